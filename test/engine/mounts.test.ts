import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cleanPath, isAbsolutePath, isMountMode, parseBind, volumesFromContainer } from '../../src/engine/mounts.ts';
import { GatewayError } from '../../src/errors.ts';

const malformed = (error: unknown): boolean => error instanceof GatewayError && error.code === 'body-malformed';

const BINDS: readonly [spec: string, kind: string, source: string, target: string, options?: string][] = [
  ['/srv:/data', 'bind', '/srv', '/data'],
  ['/srv:/data:ro', 'bind', '/srv', '/data', 'ro'],
  ['/srv:/data:rw', 'bind', '/srv', '/data', 'rw'],
  ['/srv:/data:', 'bind', '/srv', '/data'],
  ['/:/h', 'bind', '/', '/h'],
  ['//:/h', 'bind', '/', '/h'],
  ['/.:/h', 'bind', '/', '/h'],
  ['/tmp/..:/h', 'bind', '/', '/h'],
  ['/tmp/../:/h', 'bind', '/', '/h'],
  ['/a/../../..:/h', 'bind', '/', '/h'],
  ['/srv/./x//y/:/h/', 'bind', '/srv/x/y', '/h'],
  ['/srv/../etc:/h', 'bind', '/etc', '/h'],
  ['/srv2:/h', 'bind', '/srv2', '/h'],
  ['/var/run/docker.sock:/var/run/docker.sock', 'bind', '/var/run/docker.sock', '/var/run/docker.sock'],
  ['/srv:/data:ro,z,rslave', 'bind', '/srv', '/data', 'ro,z,rslave'],
  ['/srv:/data:Z,shared,consistent', 'bind', '/srv', '/data', 'Z,shared,consistent'],
  ['/with space:/x y', 'bind', '/with space', '/x y'],
  ['data:/data', 'volume', 'data', '/data'],
  ['data:/data:ro,nocopy', 'volume', 'data', '/data', 'ro,nocopy'],
  ['a_b.c-1:/x', 'volume', 'a_b.c-1', '/x'],
  ['..:/h', 'volume', '..', '/h'],
  ['.:/h', 'volume', '.', '/h'],
  ['ro:/x', 'volume', 'ro', '/x'],
  ['/data', 'anonymous', '', '/data'],
  ['/data/../x', 'anonymous', '', '/x'],
];

for (const [spec, kind, source, target, options] of BINDS) {
  test(`parseBind() reads ${spec} as ${kind}`, () => {
    const list = options === undefined ? [] : options.split(',');
    assert.deepEqual(parseBind(spec), { kind, source, target, options: list, readOnly: list.includes('ro') });
  });
}

const NOT_BINDS = [
  '',
  ':',
  ':/x',
  '/x:',
  '/x:ro',
  '/x:rw,z',
  'data',
  'data:',
  'data:x',
  '/srv:x',
  '/srv:./x',
  '/srv:/',
  '/srv:/..',
  '/srv:/./',
  '/',
  '/a:/b:/c',
  '/a:/b:RO',
  '/a:/b:ro,',
  '/a:/b:,ro',
  '/a:/b:ro,rw',
  '/a:/b:ro,ro',
  '/a:/b:z,Z',
  '/a:/b:shared,slave',
  '/a:/b:default',
  '/a:/b:ro:x',
  '/a:/b:nocopy',
  '/a:/b:ro,z,nocopy',
  'data:/b:shared',
  './data:/b',
  '../data:/b',
  'a/b:/c',
  '~/x:/c',
  'C:\\x:/c',
  '\\x:/c',
  '/a:\\b',
  '/a:\\',
  '/a:/x\\y/..',
];

for (const spec of NOT_BINDS) {
  test(`parseBind() refuses ${JSON.stringify(spec)}`, () => assert.throws(() => parseBind(spec), malformed));
}

const PATHS: readonly [path: string, clean: string][] = [
  ['', '.'],
  ['.', '.'],
  ['./', '.'],
  ['..', '..'],
  ['../..', '../..'],
  ['a/..', '.'],
  ['a/../..', '..'],
  ['a//b', 'a/b'],
  ['a/./b/', 'a/b'],
  ['/', '/'],
  ['//', '/'],
  ['///a', '/a'],
  ['/..', '/'],
  ['/../a', '/a'],
  ['/a/../b', '/b'],
  ['/a/b/../../..', '/'],
  ['/...', '/...'],
  ['/a/..b', '/a/..b'],
];

for (const [path, clean] of PATHS) {
  test(`cleanPath() makes ${JSON.stringify(path)} ${JSON.stringify(clean)}`, () =>
    assert.equal(cleanPath(path), clean));
}

test('cleanPath() takes a long path in linear time', () => {
  assert.equal(cleanPath(`/${'a/../'.repeat(300_000)}`), '/');
  assert.equal(cleanPath('/..'.repeat(300_000)), '/');
});

test('isAbsolutePath() takes only a leading slash', () => {
  for (const path of ['/', '/a', '//']) assert.ok(isAbsolutePath(path), path);
  for (const path of ['', 'a', './a', '\\a', 'C:/a', ' /a']) assert.ok(!isAbsolutePath(path), path);
});

test('isMountMode() takes one option of each group at most', () => {
  for (const mode of ['', 'ro', 'ro,z', 'Z,nocopy,delegated,rprivate,rw']) assert.ok(isMountMode(mode), mode);
  for (const mode of ['x', 'ro,x', 'ro,rw', ' ro', 'ro ', ',', 'Ro']) assert.ok(!isMountMode(mode), mode);
});

test('volumesFromContainer() gives the container and refuses what the engine refuses', () => {
  assert.equal(volumesFromContainer('web'), 'web');
  assert.equal(volumesFromContainer('web:'), 'web');
  assert.equal(volumesFromContainer('/web:ro'), '/web');
  assert.equal(volumesFromContainer('web:z,ro'), 'web');
  for (const spec of ['', ':ro', 'web:x', 'web:nocopy', 'web:shared', 'web:ro:z']) {
    assert.throws(() => volumesFromContainer(spec), malformed, spec);
  }
});
