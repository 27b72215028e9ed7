// Settings on disk: reading, naming the file in each fault, and the files next to it. Also where an engine is looked for.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { checkConfig, loadConfig, locateEngine, readEngineAddress } from '../../src/config/config.ts';
import { nearest } from '../../src/config/nearest.ts';
import { PRESET_NAMES } from '../../src/identity/external/presets.ts';

const dir = mkdtempSync(join(tmpdir(), 'dockgate-config-'));
after(() => rmSync(dir, { recursive: true }));
const write = (name: string, text: string | Uint8Array): string => {
  const file = join(dir, name);
  writeFileSync(file, text);
  return file;
};

test('loadConfig() resolves paths against the folder of the file', () => {
  assert.equal(loadConfig(write('good.yaml', 'engine: unix://e.sock\ndata: d\n')).data, join(dir, 'd'));
  assert.equal(loadConfig(join(dir, 'good.yaml')).engine.path, join(dir, 'e.sock'));
});

test('loadConfig() names file, line and column of every fault', () => {
  const file = write('bad.yaml', 'engine: unix:///e\nlog: { level: loud }\nlimts: {}\n');
  assert.throws(() => loadConfig(file), {
    code: 'config-invalid',
    message: `${file}:2:15: log.level: must be one of debug, info, warn, error, not "loud"\n${file}:3:1: limts: unknown key; did you mean limits?`,
  });
});

const UNREADABLE: [string, () => string, RegExp][] = [
  ['a missing file', () => join(dir, 'none.yaml'), /there is no such file/],
  ['a folder', () => dir, /it is a folder/],
  [
    'bytes that are not UTF-8',
    () => write('latin1.yaml', Uint8Array.of(0x64, 0x61, 0x74, 0x61, 0x3a, 0x20, 0xff)),
    /not UTF-8/,
  ],
];
for (const [name, file, message] of UNREADABLE) {
  test(`loadConfig() says what is wrong with ${name}`, () => {
    assert.match(checkConfig(file())[0]?.message ?? '', message);
    assert.throws(() => loadConfig(file()), { code: 'config-invalid' });
  });
}

test('readEngineAddress() brings the contents of the TLS files', () => {
  write('ca.pem', 'CA');
  const config = loadConfig(
    write('tls.yaml', 'engine: tcp://a.test:1\nengineTls: { ca: ca.pem, servername: b.test }\n'),
  );
  assert.deepEqual(readEngineAddress(config), {
    kind: 'tcp',
    host: 'a.test',
    port: 1,
    tls: { ca: 'CA', servername: 'b.test' },
  });
  rmSync(join(dir, 'ca.pem'));
  assert.throws(() => readEngineAddress(config), {
    code: 'config-invalid',
    message: 'engineTls.ca: ca.pem cannot be read',
  });
});

test('the example of issuers is right, and shows every preset', () => {
  const file = new URL('../../examples/issuers.yaml', import.meta.url);
  assert.deepEqual(checkConfig(file.pathname), []);
  const text = readFileSync(file, 'utf8');
  for (const preset of PRESET_NAMES) assert.ok(text.includes(`preset: ${preset}`), preset);
});

test('the example file is right, and shows every key', () => {
  const file = new URL('../../examples/dockgate.yaml', import.meta.url);
  assert.deepEqual(checkConfig(file.pathname), []);
  const text = readFileSync(file, 'utf8');
  for (const key of [
    'engineTls',
    'engineInsecure',
    'clientCas',
    'metrics',
    'apiVersions',
    'tenants',
    'hostNames',
    'issuer',
    'audience',
    'issuers',
    'auditQueue',
    'loadBytes',
    'connectionsPerIp',
  ]) {
    assert.ok(text.includes(`${key}:`), key);
  }
});

const LOCATE: [string, Record<string, string>, string[], string | undefined][] = [
  ['DOCKER_HOST first', { DOCKER_HOST: 'tcp://a:1' }, ['/var/run/docker.sock'], 'tcp://a:1'],
  [
    'the system socket',
    { DOCKER_HOST: '', XDG_RUNTIME_DIR: '/r' },
    ['/var/run/docker.sock', '/r/docker.sock'],
    'unix:///var/run/docker.sock',
  ],
  [
    'the rootless socket',
    { XDG_RUNTIME_DIR: '/r' },
    ['/r/docker.sock', '/run/podman/podman.sock'],
    'unix:///r/docker.sock',
  ],
  [
    "Podman's socket",
    { XDG_RUNTIME_DIR: '/r' },
    ['/run/podman/podman.sock', '/r/podman/podman.sock'],
    'unix:///run/podman/podman.sock',
  ],
  ["Podman's rootless socket", { XDG_RUNTIME_DIR: '/r' }, ['/r/podman/podman.sock'], 'unix:///r/podman/podman.sock'],
  ['nothing where nothing is', { XDG_RUNTIME_DIR: '/r' }, [], undefined],
  ['nothing without a runtime folder', {}, ['undefined/docker.sock', '/docker.sock'], undefined],
];
for (const [name, env, files, expected] of LOCATE) {
  test(`locateEngine() finds ${name}`, () => {
    const found = locateEngine(env, (path) => files.includes(path));
    assert.equal(found?.address, expected);
    if (found) assert.ok(found.how.length > 5);
  });
}

const NEAREST: [string, string | undefined][] = [
  ['listne', 'listen'],
  ['Listen', 'listen'],
  ['limit', 'limits'],
  ['zzz', undefined],
  ['l'.repeat(1000), undefined],
];
for (const [word, expected] of NEAREST) {
  test(`nearest() to ${word.slice(0, 10)} is ${expected}`, () =>
    assert.equal(nearest(word, ['listen', 'limits', 'log', 'data']), expected));
}
