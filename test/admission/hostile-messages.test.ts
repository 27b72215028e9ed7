// A hostile plugin writes messages in its guest's name, asks without end, reads files as modules: each costs itself alone.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { PluginHost } from '../../src/admission/hosts/host.ts';
import { readGuestMessage } from '../../src/admission/hosts/messages.ts';
import { loadPlugins } from '../../src/admission/load.ts';
import { silentLogger } from '../../src/log.ts';

const dir = mkdtempSync(join(tmpdir(), 'dg-hostile-'));
const opened: PluginHost[] = [];
after(async () => {
  await Promise.all(opened.map((host) => host.close()));
  rmSync(dir, { recursive: true, force: true });
});
let files = 0;
const open = async (members: string, before = '', extra = ''): Promise<readonly PluginHost[]> => {
  const text = (name: string, code: string, head: string) =>
    `${head}\nexport default { meta: { name: '${name}', version: '1', apiVersion: 1, description: '' }, match: { actions: ['*'] }, ${code} };`;
  const bad = join(dir, `bad${++files}.ts`);
  const good = join(dir, `good${files}.ts`);
  writeFileSync(bad, text(`bad-${files}`, members, before) + extra);
  writeFileSync(good, text(`good-${files}`, `validate: () => ({ kind: 'pass' })`, ''));
  const hosts = await loadPlugins([{ use: bad }, { use: good }], {
    baseDir: dir,
    log: silentLogger,
    times: { cpuMs: 50, wallMs: 1500 },
  });
  opened.push(...hosts);
  return hosts;
};
const ask = (host: PluginHost) => host.ask('validate', '{"body":{}}');

describe('messages of a hostile plugin', () => {
  for (const [title, members] of [
    ['null in place of every message', 'validate() { Object.prototype.toJSON = () => null; return { kind: "pass" }; }'],
    [
      'a level of the log that is a method',
      'validate() { Object.prototype.toJSON = () => ({ kind: "log", level: "setLevel", message: "x" }); return { kind: "pass" }; }',
    ],
    [
      'a loop of wishes on replies',
      'validate(r, c) { const f = () => c.store.get("k").then(f); for (let i = 0; i < 50; i++) f(); return { kind: "pass" }; }',
    ],
    [
      'a loop after its answer',
      'validate(r, c) { c.store.get("k").then(() => { for (;;); }); return { kind: "pass" }; }',
    ],
  ] as const) {
    it(`${title} leaves the gateway and other plugins as they are`, { timeout: 30_000 }, async () => {
      const [bad, good] = (await open(members)) as [PluginHost, PluginHost];
      for (let i = 0; i < 3; i++) await ask(bad).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 200));
      assert.deepEqual((await ask(good)).value, { kind: 'pass' });
    });
  }

  for (const told of [
    null,
    1,
    'x',
    [],
    {},
    { kind: 'answered' },
    { kind: 'answered', id: -1 },
    { kind: 'log', level: 'setLevel' },
    { kind: 'wish', id: 1, wish: { kind: 'fetch', url: 1 } },
  ]) {
    it(`readGuestMessage() takes ${JSON.stringify(told)} for no message`, () => {
      assert.equal(readGuestMessage(told), undefined);
    });
  }
});

describe('modules of a hostile plugin', () => {
  it('a file outside the plugin’s folder, or one that is no JavaScript, is not read', async () => {
    mkdirSync(join(dir, 'inner'));
    writeFileSync(join(dir, 'secret.js'), 'TOKEN = 1;');
    writeFileSync(join(dir, 'inner', '.env'), 'TOKEN=1');
    for (const specifier of ['../secret.js', join(dir, 'secret.js'), './.env']) {
      const entry = join(dir, 'inner', 'x.ts');
      writeFileSync(entry, `import '${specifier}'; export default {};`);
      await assert.rejects(
        loadPlugins([{ use: entry }], { baseDir: dir, log: silentLogger }),
        /lies outside the plugin or is no JavaScript/,
      );
    }
  });

  it('a schema with a pattern is refused: it would run on the gateway’s own thread', async () => {
    await assert.rejects(
      open(
        `config: { type: 'object', properties: { a: { type: 'string', default: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', pattern: '^(a+)+$' } } }, validate: () => ({ kind: 'pass' })`,
      ),
      /pattern.*not served/,
    );
  });
});
