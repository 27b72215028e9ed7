// A gateway with a plugin in every tier ends when it is told to, and takes their threads and processes along.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { startGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { until } from '../support/until.ts';

const TIERS = ['sandboxed', 'process', 'trusted'] as const;

/** Processes of this machine whose arguments hold the text. */
const running = (text: string): string[] =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(text);
    } catch {
      return false;
    }
  });

describe('a gateway with a plugin in every tier', {
  skip: process.platform === 'linux' ? false : 'reads /proc',
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-ending-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const plugins = [
    { use: 'no-privileged' },
    ...TIERS.map((tier) => {
      const use = join(folder, `${tier}.ts`);
      const meta = `{ name: '${tier}', version: '1.0.0', apiVersion: 1, description: 'passes' }`;
      writeFileSync(
        use,
        `export default { meta: ${meta}, match: { actions: ['container.create'] }, validate() { return { kind: 'pass' }; } };\n`,
      );
      return { use, tier };
    }),
  ];

  for (const [signal, code] of [
    ['SIGTERM', 0],
    ['SIGINT', 0],
    ['SIGKILL', null],
  ] as const)
    it(`a gateway with a plugin in every tier leaves no process of theirs behind after ${signal}`, async () => {
      const gateway = await startGateway({ engine: 'unix:///nonexistent.sock', settings: { plugins } });
      try {
        // The gateway's own arguments name its settings alone; the plugin's file is an argument of its process.
        assert.ok(running(join(folder, 'process.ts')).length >= 1);
        assert.ok(running(join(folder, 'trusted.ts')).length >= 1);
        const ended = await gateway.stop(signal);
        // To Deno's node:child_process a child that was sent a signal has no exit code, whatever it made of the signal.
        if (!IS_DENO) assert.equal(ended, code, gateway.log());
        assert.equal(gateway.log().includes('"stopped"'), code === 0, gateway.log());
        await until('their end', () => running(folder).length === 0);
      } finally {
        await gateway.remove();
      }
    });
});
