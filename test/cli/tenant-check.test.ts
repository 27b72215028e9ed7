// dockgate tenant check on engines set in different ways (a STAND-IN that answers what an engine would) and on a real one.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ENGINE, skipWithoutEngine } from '../support/engine.ts';
import { run } from '../support/gateway.ts';
import { dockgateCommand } from '../support/runtime.ts';

const SAFE = {
  SecurityOptions: ['name=seccomp,profile=builtin', 'name=userns'],
  Debug: false,
  ExperimentalBuild: false,
  KernelVersion: '6.1.0',
  DefaultRuntime: 'runc',
  Runtimes: {
    runc: {
      path: 'runc',
      status: { 'org.opencontainers.runtime-spec.features': JSON.stringify({ mountOptions: ['ro', 'rro'] }) },
    },
  },
};

async function checkEngine(info: Record<string, unknown>) {
  const dir = mkdtempSync(join(tmpdir(), 'dg-check-'));
  const socket = join(dir, 'engine.sock');
  const server = http.createServer((request, answer) => {
    const body = /\/info$/.test(request.url ?? '')
      ? { ...SAFE, ...info }
      : /\/version$/.test(request.url ?? '')
        ? { Version: '28.5.2', ApiVersion: '1.51', MinAPIVersion: '1.24' }
        : 'OK';
    answer.setHeader('Api-Version', '1.51');
    answer.setHeader('Content-Type', 'application/json');
    answer.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  try {
    return await check(`unix://${socket}`);
  } finally {
    server.closeAllConnections?.();
    server.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

const check = async (url: string) => {
  const [command, args] = dockgateCommand();
  const ran = await run(command, [...args, 'tenant', 'check', url, '--json']);
  const { findings } = JSON.parse(ran.stdout) as { findings: { code: string; remedy?: string }[] };
  return { code: ran.code, codes: findings.map((one) => one.code), findings };
};

describe('dockgate tenant check', () => {
  it('finds nothing on an engine with user namespaces and a seccomp profile', async () =>
    assert.deepEqual((await checkEngine({})).codes, []));
  it('tells what is off, each with its remedy, and ends with 1', async () => {
    const { code, codes, findings } = await checkEngine({
      SecurityOptions: ['name=seccomp,profile=unconfined'],
      Debug: true,
      Warnings: ['[DEPRECATION NOTICE]: API is accessible on http://0.0.0.0:2375 without encryption.'],
    });
    assert.equal(code, 1);
    assert.deepEqual(codes.sort(), ['debug-on', 'engine-open-on-tcp', 'seccomp-off', 'userns-off']);
    for (const { remedy } of findings) assert.ok(remedy);
  });
  it('tells of an engine whose read-only folders do not reach the mounts below them', async () => {
    assert.deepEqual((await checkEngine({ KernelVersion: '5.11.0' })).codes, ['read-only-shallow']);
    assert.deepEqual((await checkEngine({ Runtimes: { runc: { path: 'runc' } } })).codes, ['read-only-shallow']);
  });
  it('an engine that cannot be asked is a finding', async () => {
    const { code, codes } = await check('unix:///nowhere/docker.sock');
    assert.equal(code, 1);
    assert.equal(codes.length, 1);
  });
  it('looks at a real engine', { skip: skipWithoutEngine }, async () => {
    const { code, codes } = await check(`unix://${ENGINE}`);
    assert.equal(code, codes.length === 0 ? 0 : 1);
    assert.ok(codes.includes('userns-off'), codes.join());
  });
});
