// A compiled Go test program as a suite of this folder: what it runs, in which environment, and how its tests are told apart.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Outcomes, Suite } from './compared.ts';

export interface GoSuite {
  readonly name: string;
  /** What `go test -c` made. */
  readonly program: string;
  /** The package it was made of, where its test data lies. */
  readonly folder: string;
  /** Command words before the program's: those that enter the engine's network name space, as a rule. */
  enter(socket: string): readonly string[];
  /** Level of the tests that are compared: 1 is the top. */
  readonly depth: number;
  /** Expressions for `-test.run` and `-test.skip`. */
  readonly chosen?: string;
  readonly leftOut?: string;
  /** What the tests need beside PATH, HOME and TMPDIR; `home` is removed after them. */
  env(socket: string, home: string): Readonly<Record<string, string>>;
  readonly meant?: Readonly<Record<string, string>>;
  /** Puts back what tests of an earlier play took away, as images. */
  prepare?(): void;
}

/** `-test.run` for tests by their full name, subtests included: one expression for each level. */
function expressionOf(names: readonly string[]): string {
  const levels = names.map((name) => name.split('/'));
  const depth = Math.max(...levels.map(({ length }) => length));
  const at = (level: number) =>
    [...new Set(levels.map((parts) => parts[level] ?? ''))].map((part) =>
      part.replaceAll(/[.*+?()[\]{}|\\^$]/g, '\\$&'),
    );
  return Array.from({ length: depth }, (_, level) => `^(${at(level).join('|')})$`).join('/');
}

const WORDS: Readonly<Record<string, string>> = { PASS: 'passed', FAIL: 'failed', SKIP: 'skipped' };

export function goSuite(suite: GoSuite): Suite {
  async function play(socket: string, only?: readonly string[]): Promise<Outcomes> {
    suite.prepare?.();
    const home = mkdtempSync(join(tmpdir(), 'outside-'));
    const tests = only === undefined ? suite.chosen : expressionOf(only);
    const args = [
      ...['-test.v', '-test.timeout=90m', ...(tests === undefined ? [] : [`-test.run=${tests}`])],
      ...(suite.leftOut !== undefined && tests === undefined ? [`-test.skip=${suite.leftOut}`] : []),
    ];
    const [enter = '', ...words] = [...suite.enter(socket), suite.program, ...args];
    const child = spawn(enter, words, {
      cwd: suite.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, HOME: home, TMPDIR: home, ...suite.env(socket, home) },
    });
    let told = '';
    const onData = (data: Buffer) => {
      told += data.toString();
    };
    child.stdout.on('data', onData);
    child.stderr.on('data', onData);
    await new Promise((resolve) => child.once('close', resolve));
    rmSync(home, { recursive: true, force: true });
    if (process.env.WHY !== undefined) console.log(told);
    const outcomes = new Map<string, string>();
    for (const [, outcome = '', test = ''] of told.matchAll(/^ *--- (PASS|FAIL|SKIP): (\S+) \(/gm))
      if (test.split('/').length === suite.depth) outcomes.set(test, WORDS[outcome] ?? outcome);
    if (outcomes.size === 0) throw new Error(`${suite.name} ran no test: ${told.slice(-3000)}`);
    return outcomes;
  }
  return { name: suite.name, play, ...(suite.meant === undefined ? {} : { meant: suite.meant }) };
}
