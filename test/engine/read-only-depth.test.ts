// How far read-only binds reach, as /info tells it, and which calls it matters to.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deepRuntimes, dependsOnDepth } from '../../src/engine/read-only-depth.ts';
import { createCall } from '../../src/proxy/engine-defaults.ts';

const features = (mountOptions: unknown) => ({
  status: { 'org.opencontainers.runtime-spec.features': JSON.stringify({ mountOptions }) },
});
const info = (KernelVersion: string, Runtimes: unknown) => ({ KernelVersion, DefaultRuntime: 'runc', Runtimes });

test('a runtime is deep where it knows rro and the kernel does', () => {
  const runtimes = { runc: features(['ro', 'rro']), runsc: features(['ro']), old: {}, odd: { status: 'x' } };
  const rows: readonly [told: unknown, deep: readonly string[]][] = [
    [info('6.1.0-13-amd64', runtimes), ['runc']],
    [info('5.12.0', runtimes), ['runc']],
    [info('5.11.22-generic', runtimes), []],
    [info('4.19.0', runtimes), []],
    [info('', runtimes), []],
    [info('6.1', null), []],
    [info('6.1', { runc: features('rro') }), []],
    [undefined, []],
    ['text', []],
  ];
  for (const [told, deep] of rows) assert.deepEqual(deepRuntimes(told).runtimes, deep, JSON.stringify(told));
});

test('it matters where a call makes a read-only bind', () => {
  const host = (HostConfig: object) => createCall({ Image: 'busybox', HostConfig });
  assert.ok(dependsOnDepth(host({ Binds: ['/a:/b:ro'] })));
  assert.ok(dependsOnDepth(host({ Binds: ['/a:/b:rprivate,ro'] })));
  assert.ok(dependsOnDepth(host({ Mounts: [{ Type: 'bind', Source: '/a', Target: '/b', ReadOnly: true }] })));
  assert.ok(!dependsOnDepth(host({ Binds: ['/a:/b', 'ro:/ro'] })));
  assert.ok(!dependsOnDepth(host({})));
});
