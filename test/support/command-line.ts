// Whether a line of documentation is one the program understands: its command exists, and so does each of its options.
import assert from 'node:assert/strict';
import type { Command } from 'commander';
import { createProgram } from '../../src/cli/main.ts';

/** @param line `dockgate token create ci --ttl 1h` */
export function understands(line: string): void {
  let command: Command = createProgram();
  const globals = command.options;
  const words = line
    .replace(/ -- .*$/, '')
    .split(/\s+/)
    .slice(1);
  while (words.length > 0) {
    const inner = command.commands.find((c) => c.name() === words[0] || c.aliases().includes(words[0] as string));
    if (inner === undefined) break;
    command = inner;
    words.shift();
  }
  assert.ok(command.parent !== null, `no such command: ${line}`);
  if (command.commands.length > 0) assert.fail(`it names a group only: ${line}`);
  for (const word of words.filter((w) => /^--?[a-z]/.test(w))) {
    const flag = word.split('=')[0] as string;
    assert.ok(
      [...command.options, ...globals].some((o) => o.long === flag || o.short === flag),
      `${line}: no option ${flag}`,
    );
  }
}
