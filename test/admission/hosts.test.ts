// Every tier serves the same contract, and every way a plugin can misbehave costs its own callers one clear denial each.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { type Hook, type HookAnswer, HookFault, type PluginHost, type Tier } from '../../src/admission/hosts/host.ts';
import { type LoadOptions, loadPlugins, type PluginSetting } from '../../src/admission/load.ts';
import { GatewayError } from '../../src/errors.ts';
import { silentLogger } from '../../src/log.ts';

const TIERS: readonly Tier[] = ['sandboxed', 'process', 'trusted'];
const dir = mkdtempSync(join(tmpdir(), 'dg-hosts-'));
after(() => rmSync(dir, { recursive: true, force: true }));

let files = 0;
const file = (source: string, name = `p${++files}.ts`): string => {
  const path = join(dir, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, source);
  return path;
};

/** A module with these members beside its name. */
const source = (members: string, before = '', name = `plugin-${++files}`): string => `
import { definePlugin } from 'dockgate/plugin';
${before}
export default definePlugin({
  meta: { name: '${name}', version: '1.0.0', apiVersion: 1, description: 'of a test' },
  match: { actions: ['container.create'] },
  ${members}
});`;

const opened: PluginHost[] = [];
after(() => Promise.all(opened.map((host) => host.close())));

async function open(
  settings: readonly PluginSetting[],
  options: Partial<LoadOptions> = {},
): Promise<readonly PluginHost[]> {
  const hosts = await loadPlugins(settings, {
    baseDir: dir,
    log: silentLogger,
    // A busy machine: what is shown is who fails, not how soon.
    times: { cpuMs: 50, wallMs: 1500 },
    ...options,
  });
  opened.push(...hosts);
  return hosts;
}
const one = async (
  members: string,
  setting: Partial<PluginSetting> & { before?: string } = {},
  options: Partial<LoadOptions> = {},
) => {
  const { before, ...rest } = setting;
  return (await open([{ use: file(source(members, before)), ...rest }], options))[0] as PluginHost;
};
const request = (body: unknown = { Image: 'x' }) => JSON.stringify({ body, query: {}, path: {}, resources: [] });
const ask = (host: PluginHost, hook: Hook = 'validate', body?: unknown): Promise<HookAnswer> =>
  host.ask(hook, request(body));
const refusal = (settings: readonly PluginSetting[], options: Partial<LoadOptions> = {}) =>
  open(settings, options).then(
    () => assert.fail('it was loaded'),
    (error: unknown) => {
      assert.ok(error instanceof GatewayError);
      assert.equal(error.code, 'config-invalid');
      return error.message;
    },
  );

for (const tier of TIERS) {
  describe(`tier ${tier}`, () => {
    it('runs mutate and validate with settings, annotations and the store', async () => {
      const host = await one(
        `config: { type: 'object', properties: { team: { type: 'string' } }, required: ['team'], additionalProperties: false },
         mutate: (request, { config }) => [{ op: 'add', path: '/body/Labels/team', value: config.team }],
         async validate({ body }, { annotate, store, name }) {
           const seen = ((await store.get('seen')) ?? 0) + 1;
           await store.set('seen', seen);
           annotate('image', body.Image);
           return { kind: 'warn', message: name + ' saw ' + seen };
         },`,
        { tier, config: { team: 'red' }, name: 'mine' },
      );
      assert.equal(host.name, 'mine');
      assert.deepEqual((await ask(host, 'mutate')).value, [{ op: 'add', path: '/body/Labels/team', value: 'red' }]);
      await ask(host);
      assert.deepEqual(await ask(host), {
        value: { kind: 'warn', message: 'mine saw 2' },
        annotations: { image: 'x' },
      });
    });

    it('gives what is granted of the environment and of the engine, and refuses the rest in words', async () => {
      process.env.DOCKGATE_TEST_GRANTED = 'yes';
      process.env.DOCKGATE_TEST_SECRET = 'no';
      const host = await one(
        `needs: { env: ['DOCKGATE_TEST_GRANTED'], engineRead: ['image.inspect'] },
         async validate(_, { env, engine }) {
           const image = await engine.get('image.inspect', { name: 'busybox' });
           const other = await engine.get('secret.inspect', { id: 'x' }).catch((e) => e.message);
           return { kind: 'warn', message: JSON.stringify({ env, image, other }) };
         },`,
        { tier, needs: ['env:DOCKGATE_TEST_GRANTED', 'engine:image.inspect'] },
        { engineRead: async (action, parameters) => ({ action, ...parameters }) },
      );
      const told = JSON.parse(((await ask(host)).value as { message: string }).message);
      assert.deepEqual(told.env, { DOCKGATE_TEST_GRANTED: 'yes' });
      assert.deepEqual(told.image, { action: 'image.inspect', name: 'busybox' });
      assert.match(told.other, /secret\.inspect is not granted/);
    });

    for (const [title, members, before] of [
      ['an endless loop', 'validate() { for (;;); },', ''],
      [
        'a built-in that runs on and on',
        'validate() { new Array(2e7).fill(0).map(String).sort(); return { kind: "pass" }; },',
        '',
      ],
      ['deep recursion', 'validate() { const f = (n) => f(n + 1) + 1; return f(0); },', ''],
      ['an endless promise', 'validate: () => new Promise(() => {}),', ''],
      ['an answer of 100 MB', 'validate: () => ({ kind: "warn", message: "x".repeat(1e8) }),', ''],
      ['a loop of promises', 'async validate() { for (;;) await 0; },', ''],
      ['an exception of a strange kind', 'validate() { throw { get message() { throw 1; } }; },', ''],
      ['an end of the process', 'validate() { globalThis.process.exit(1); },', ''],
    ] as const) {
      it(`${title} fails its own call, and the next call of another plugin is answered`, {
        timeout: 30_000,
      }, async () => {
        const [bad, good] = (await open([
          { use: file(source(members, before)), tier },
          { use: file(source('validate: () => ({ kind: "pass" }),')), tier },
        ])) as [PluginHost, PluginHost];
        const answers = await Promise.allSettled([ask(bad), ask(good), ask(bad), ask(good)]);
        for (const i of [0, 2]) assert.equal(answers[i]?.status, 'rejected', JSON.stringify(answers[i]));
        for (const i of [1, 3])
          assert.equal(answers[i]?.status, 'fulfilled', String((answers[i] as PromiseRejectedResult).reason));
        const reason = (answers[0] as PromiseRejectedResult).reason as HookFault;
        assert.ok(reason instanceof HookFault, String(reason));
        assert.equal((await ask(good)).value !== undefined, true);
      });
    }
  });
}

describe('the sandbox', () => {
  it('the sandbox has nothing of the system: no process, no file, no network, no timer, no way out through constructors', async () => {
    const host = await one(
      `validate() {
         const seen = ['process', 'require', 'fetch', 'Deno', 'setTimeout', 'WebAssembly', 'SharedArrayBuffer', '__post', 'std', 'os', 'Worker']
           .filter((name) => typeof globalThis[name] !== 'undefined');
         const up = (() => {}).constructor('return typeof process + typeof __post')();
         return { kind: 'warn', message: JSON.stringify({ seen, up }) };
       },`,
    );
    const told = JSON.parse(((await ask(host)).value as { message: string }).message);
    assert.deepEqual(told, {
      seen: ['SharedArrayBuffer'].filter((n) => told.seen.includes(n)),
      up: 'undefinedundefined',
    });
  });

  it('the sandbox keeps the prototypes of one plugin from another, and the request from both', async () => {
    const [bad, good] = (await open([
      {
        use: file(
          source(
            `validate({ body }) { Object.prototype.kind = 'deny'; Array.prototype.map = () => { throw 1; }; JSON.stringify = () => 'x'; body.Image = 'y'; return { kind: 'pass' }; },`,
          ),
        ),
      },
      {
        use: file(
          source(
            `validate: ({ body }) => ({ kind: 'warn', message: body.Image + Object.keys({ a: 1 }).map(String) + ({}).kind }),`,
          ),
        ),
      },
    ])) as [PluginHost, PluginHost];
    await assert.rejects(ask(bad));
    assert.deepEqual((await ask(good)).value, { kind: 'warn', message: 'xaundefined' });
  });

  it('the sandbox tells a thrown error as the plugin’s words, which the caller never sees', async () => {
    const host = await one(`validate() { throw new Error('secret'); },`);
    await assert.rejects(ask(host), (error: unknown) => error instanceof HookFault && error.isQuoted && !error.killed);
  });

  it('loads modules beside the entry and takes their types out', async () => {
    file('export const allowed = (name: string): boolean => name === "x";', 'lib/names.ts');
    const path = file(
      source(
        `validate: ({ body }) => allowed(body.Image as string) ? { kind: 'pass' } : { kind: 'deny', code: 'no', message: 'no' },`,
        `import { allowed } from './lib/names.ts'; import type { Nothing } from './not-there.ts';`,
      ),
    );
    const [host] = (await open([{ use: path }])) as [PluginHost];
    assert.deepEqual((await ask(host)).value, { kind: 'pass' });
    assert.equal(((await ask(host, 'validate', { Image: 'z' })).value as { kind: string }).kind, 'deny');
  });
});

for (const tier of ['process', 'trusted'] as const) {
  it(`a caller whose hooks of tier ${tier} wait for something slow keeps no other caller's waiting`, async () => {
    const host = await one(
      'validate: ({ body }) => (body.slow ? new Promise(() => {}) : { kind: "pass" }),',
      { tier },
      { times: { cpuMs: 50, wallMs: 5000 } },
    );
    const slow = Array.from({ length: 100 }, () => host.ask('validate', request({ slow: true }), 'mallory'));
    const ended = Promise.allSettled(slow);
    const startedMs = performance.now();
    for (let i = 0; i < 5; i++) await host.ask('validate', request(), 'alice');
    assert.ok(performance.now() - startedMs < 2500, 'it waited for another caller');
    await host.close();
    assert.ok((await ended).every(({ status }) => status === 'rejected'));
  });
}

describe('the tier process', () => {
  it('the tier process may reach what was granted and nothing else', async () => {
    const secret = file('secret', 'secret.txt');
    const open_ = file('open', 'open.txt');
    const host = await one(
      `validate() {
         const read = (path) => { try { return Deno.readTextFileSync(path); } catch (e) { return e.name; } };
         let env; try { env = Deno.env.get('HOME') ?? 'none'; } catch (e) { env = e.name; }
         return { kind: 'warn', message: [read('/etc/hostname'), read('${open_}'), read('${secret}'), env].join(' ') };
       },`,
      { tier: 'process', needs: [`read:${open_}`] },
    );
    assert.equal(((await ask(host)).value as { message: string }).message, 'NotCapable open NotCapable NotCapable');
  });
});

describe('loading plugins', () => {
  for (const [title, text, expected] of [
    [
      'no default export',
      'export const a = 1;',
      /no default export|does not (provide|have)|Could not find export 'default'/,
    ],
    ['a default export that is no plugin', 'export default 7;', /no default export that is a plugin/],
    ['a syntax error', 'export default {\n  meta: {,\n};', /:2/],
    [
      'another apiVersion',
      `export default { meta: { name: 'a', version: '1', apiVersion: 2, description: '' }, match: { actions: ['*'] }, validate() {} };`,
      /apiVersion is 2/,
    ],
    [
      'no hook',
      `export default { meta: { name: 'a', version: '1', apiVersion: 1, description: '' }, match: { actions: ['*'] } };`,
      /no hook/,
    ],
    [
      'a name that is not kebab-case',
      `export default { meta: { name: 'A b', version: '1', apiVersion: 1, description: '' }, match: { actions: ['*'] }, validate() {} };`,
      /kebab-case/,
    ],
    [
      'a misspelt hook',
      source('validates: () => ({ kind: "pass" }), validate: () => ({ kind: "pass" }),'),
      /validates/,
    ],
    [
      'needs that are not granted',
      source('needs: { net: ["registry.example"] }, validate: () => ({ kind: "pass" }),'),
      /net:registry\.example, which is not granted: write needs: \[net:registry\.example\]/,
    ],
    [
      'a module of the system',
      source('validate: () => ({ kind: "pass" }),', `import fs from 'node:fs';`),
      /node:fs.*tier process or trusted/,
    ],
    [
      'an import that is not there',
      source('validate: () => ({ kind: "pass" }),', `import { a } from './nope.ts';`),
      /nope\.ts, which does not exist/,
    ],
    [
      'a config that fails its schema',
      source('config: { type: "object", required: ["team"] }, validate: () => ({ kind: "pass" }),'),
      /config is not valid: .*"team"/,
    ],
    [
      'a setup that throws',
      source('setup() { throw new Error("no luck"); }, validate: () => ({ kind: "pass" }),'),
      /setup failed: no luck/,
    ],
    [
      'an example that fails',
      source(
        'validate: () => ({ kind: "pass" }), examples: [{ name: "a container", action: "container.create", body: {}, expect: { deny: "x" } }],',
      ),
      /its example "a container" fails: expected a denial x, and got pass/,
    ],
    ['a loop while it is loaded', 'for (;;);\nexport default {};', /did not load|processor time/],
  ] as const) {
    it(`${title} is refused in one sentence that names the file`, { timeout: 30_000 }, async () => {
      const path = file(text);
      const message = await refusal([{ use: path }]);
      assert.match(message, expected);
      assert.ok(message.includes(path), message);
      assert.doesNotMatch(message, /\n/);
    });
  }

  it('a wrong pin is refused with both sums, the right one loads', async () => {
    const path = file(source('validate: () => ({ kind: "pass" }),'));
    const message = await refusal([{ use: path, sha256: '0'.repeat(64) }]);
    const sum = /its SHA-256 is ([0-9a-f]{64})/.exec(message)?.[1] as string;
    assert.equal((await open([{ use: path, sha256: sum }]))[0]?.sha256, sum);
  });

  it('two uses of one plugin need two names', async () => {
    const path = file(source('validate: () => ({ kind: "pass" }),'));
    assert.match(await refusal([{ use: path }, { use: path }]), /is named plugin-\d+ already/);
    assert.deepEqual(
      (await open([{ use: path }, { use: path, name: 'second' }])).map(({ name }) => name.replace(/\d+/, '')),
      ['plugin-', 'second'],
    );
  });

  it('tears down what was set up when a later plugin does not load', async () => {
    const log: string[] = [];
    const logger = { ...silentLogger, info: (_data: unknown, message?: string) => void log.push(String(message)) };
    const first = file(
      source(
        `setup: ({ log }) => { globalThis.say = log; log('info', 'up'); }, teardown() { globalThis.say('info', 'down'); }, validate: () => ({ kind: 'pass' }),`,
      ),
    );
    await refusal(
      [
        { use: first, tier: 'trusted' },
        {
          use: file(source('setup() { throw new Error("no"); }, validate: () => ({ kind: "pass" }),')),
          tier: 'trusted',
        },
      ],
      { log: logger as never },
    );
    assert.deepEqual(log, ['up', 'down']);
  });
});
