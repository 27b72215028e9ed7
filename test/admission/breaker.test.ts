// Whose calls are denied when calls end a plugin again and again: theirs alone. And that no plugin floods the log.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { GuardedHost } from '../../src/admission/hosts/guarded.ts';
import { HookFault, type PluginHost } from '../../src/admission/hosts/host.ts';
import { loadPlugins, type PluginSetting } from '../../src/admission/load.ts';
import { silentLogger } from '../../src/log.ts';
import { denoProgram } from '../../src/runtime/programs.ts';
import { until } from '../support/until.ts';

const folder = mkdtempSync(join(tmpdir(), 'dg-breaker-'));
const opened: PluginHost[] = [];
after(async () => {
  await Promise.all(opened.map((host) => host.close()));
  rmSync(folder, { recursive: true, force: true });
});
let files = 0;
const file = (text: string): string => {
  const path = join(folder, `p${++files}.js`);
  writeFileSync(path, text);
  return path;
};
const source = (hooks: string): string =>
  `export default { meta: { name: 'p', version: '1.0.0', apiVersion: 1, description: '' }, match: { actions: ['*'] }, ${hooks} }`;
async function open(settings: readonly PluginSetting[], log = silentLogger): Promise<readonly PluginHost[]> {
  const hosts = await loadPlugins(settings, { baseDir: folder, log });
  opened.push(...hosts);
  return hosts;
}

describe('the breaker', () => {
  /** Ends for the callers that are named, and answers all others. */
  const fragile = (heavy: (holder: string) => boolean) => {
    const told: (string | undefined)[] = [];
    let asked = 0;
    const host = {
      name: 'bad',
      ask: (_hook: string, _input: string, holder = '') => {
        asked++;
        return heavy(holder)
          ? Promise.reject(new HookFault('it was ended', true))
          : Promise.resolve({ value: { kind: 'pass' }, annotations: {} });
      },
    } as unknown as PluginHost;
    return { guarded: new GuardedHost(host, (_host, holder) => told.push(holder)), told, asked: () => asked };
  };

  it("the breaker closes after three kills of one caller's calls to that caller, and to no other", async () => {
    const { guarded, told, asked } = fragile((holder) => holder === 'mallory');
    await guarded.ask('validate', '{}', 'ann');
    for (let i = 0; i < 50; i++) await assert.rejects(guarded.ask('validate', '{}', 'mallory'));
    assert.equal(asked(), 4);
    assert.deepEqual(told, ['mallory']);
    assert.equal(guarded.figures.breaker, 'some');
    await assert.rejects(
      guarded.ask('validate', '{}', 'mallory'),
      /ended 3 times within a minute for this caller's calls/,
    );
    await guarded.ask('validate', '{}', 'ann');
    await guarded.ask('validate', '{}', 'bob');
  });

  it('the breaker closes to all callers when a plugin fails for several of them and more often than it answers', async () => {
    const { guarded, told, asked } = fragile(() => true);
    for (const holder of ['a', 'b', 'c']) await assert.rejects(guarded.ask('validate', '{}', holder));
    assert.deepEqual(told, [undefined]);
    assert.equal(guarded.figures.breaker, 'open');
    await assert.rejects(guarded.ask('validate', '{}', 'd'), /ended 3 times within a minute and is not asked/);
    assert.equal(asked(), 3);
  });

  it('the breaker stays closed for those it answers, whatever several callers do', async () => {
    const { guarded } = fragile((holder) => holder.startsWith('m'));
    for (let i = 0; i < 60; i++) await guarded.ask('validate', '{}', 'ann');
    for (let i = 0; i < 200; i++) await assert.rejects(guarded.ask('validate', '{}', `m${i % 4}`));
    await guarded.ask('validate', '{}', 'ann');
  });

  for (const tier of ['sandboxed', 'trusted', 'process'] as const) {
    it(`a caller whose bodies end a plugin of tier ${tier} is denied alone, while another is answered`, {
      skip: tier === 'process' && denoProgram() === undefined ? 'no deno here' : false,
    }, async () => {
      const [host] = await open([
        {
          use: file(source('validate: ({ body }) => { while (body.heavy) {} return { kind: "pass" }; },')),
          tier,
        },
      ]);
      const guarded = new GuardedHost(host as PluginHost, () => undefined);
      const ask = (heavy: boolean) =>
        guarded.ask('validate', JSON.stringify({ body: { heavy } }), heavy ? 'mallory' : 'ann');
      for (let round = 0; round < 4; round++) {
        const bad = assert.rejects(ask(true));
        const good = await Promise.allSettled([ask(false), ask(false)]);
        await bad;
        // What was under way together with the heavy one may fail, and counts against no caller.
        for (const one of good) if (one.status === 'rejected') assert.equal((one.reason as HookFault).killed, false);
      }
      await assert.rejects(ask(true), /for this caller's calls/);
      await until('the plugin runs again', () =>
        ask(false).then(
          () => true,
          () => false,
        ),
      );
      for (let i = 0; i < 5; i++) await ask(false);
    });
  }
});

describe('the log', () => {
  it('the log takes a burst of a plugin and then some lines a second, whatever it writes', async () => {
    const lines: string[] = [];
    const log = { ...silentLogger, info: (_data: unknown, message?: string) => void lines.push(String(message)) };
    const noisy =
      'validate(_r, { log }) { for (let i = 0; i < 20; i++) log("info", "line"); return { kind: "pass" }; }';
    const [host] = await open([{ use: file(source(noisy)) }], log as never);
    const from = performance.now();
    for (let i = 0; i < 20; i++) await (host as PluginHost).ask('validate', '{}');
    const seconds = (performance.now() - from) / 1000;
    const written = lines.filter((line) => line === 'line').length;
    assert.ok(written >= 50 && written <= 51 + 5 * seconds, `${written} lines in ${seconds} s`);
  });
});
