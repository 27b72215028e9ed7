// Testcontainers with its reaper on: Ryuk itself, built from its source, talks to the gateway by the socket that socket-substitute
// gives its container, and removes what a run left that ended without a word. No raw socket is anywhere.
// DOCKGATE_TEST_RYUK names the program: `go build` in a checkout of testcontainers/moby-ryuk with CGO_ENABLED=0. DOCKGATE_TEST_WITHIN
// has the words by which a program reaches the engine's published ports, where these are elsewhere: `nsenter -t PID -n`.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { admin } from '../support/admin.ts';
import { type Api, apiOver } from '../support/api.ts';
import { ENGINE, skipWithoutEngine } from '../support/engine.ts';
import { run, startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO, ROOT } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';
import { until } from '../support/until.ts';
import { NODE_MODULES, skipWithoutNodeModules } from './install.ts';

const RYUK = process.env.DOCKGATE_TEST_RYUK;
const WITHIN = (process.env.DOCKGATE_TEST_WITHIN ?? '').split(' ').filter(Boolean);
const REFERENCE = `dg-ryuk-${IS_DENO ? 'd' : 'n'}:test`;
const skip =
  skipWithoutEngine || skipWithoutNodeModules || (RYUK === undefined ? 'no Ryuk here: DOCKGATE_TEST_RYUK' : false);

interface Told {
  readonly box: string;
  readonly reaper: string;
  readonly session: string;
}

describe('Testcontainers with Ryuk through socket-substitute', { skip }, () => {
  let gateway: TestGateway;
  let engine: Api;
  before(async () => {
    engine = apiOver(ENGINE as string);
    const program = tarEntry('ryuk', readFileSync(RYUK as string));
    program.write('0000755\0', 100);
    let sum = 8 * 0x20;
    for (let i = 0; i < 512; i++) if (i < 148 || i >= 156) sum += program[i] as number;
    program.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    const [repo = '', tag = ''] = REFERENCE.split(':');
    const words = `fromSrc=-&repo=${repo}&tag=${tag}&changes=${encodeURIComponent('CMD ["/ryuk"]')}`;
    const made = await engine('POST', `/images/create?${words}`, {
      body: Buffer.concat([program, Buffer.alloc(1024)]),
    });
    assert.equal(made.status, 200, made.text);
    gateway = await startGateway({
      engine: ENGINE as string,
      unix: ['ci', 'alice'].map((name) => ({ name, identity: name })),
      settings: { plugins: [{ use: 'socket-substitute', needs: ['sockets'] }] },
    });
    await admin(gateway, 'POST', '/identities', { name: 'ci', policies: ['testcontainers'] });
    await admin(gateway, 'POST', '/identities', { name: 'alice', policies: ['testcontainers'], tenant: 'red' });
  });
  after(async () => {
    await gateway?.remove();
    await engine?.('DELETE', `/images/${REFERENCE}?force=1`);
  });

  const exists = async (id: string): Promise<boolean> => (await engine('GET', `/containers/${id}/json`)).status === 200;

  async function reaped(who: string): Promise<void> {
    const script = join(ROOT, 'test', 'clients', 'scripts', 'testcontainers-ryuk.cjs');
    const [program = '', ...words] = [...WITHIN, join(ROOT, 'node_modules', '.bin', 'node'), script];
    const ran = await run(program, words, {
      env: {
        PATH: process.env.PATH,
        HOME: gateway.dir,
        DOCKER_HOST: `unix://${join(gateway.dir, `${who}.sock`)}`,
        NODE_PATH: NODE_MODULES,
        RYUK_CONTAINER_IMAGE: REFERENCE,
        TESTCONTAINERS_HOST_OVERRIDE: '127.0.0.1',
        TESTCONTAINERS_RYUK_RECONNECTION_TIMEOUT: '1s',
      },
    });
    assert.equal(ran.code, 0, `${ran.stdout}${ran.stderr}`);
    const told = JSON.parse(ran.stdout.trim().split('\n').at(-1) as string) as Told;
    assert.notEqual(told.reaper, '');
    const shown = await engine('GET', `/containers/${told.reaper}/json`);
    if (shown.status === 200)
      assert.match((shown.json as { Mounts: { Source: string }[] }).Mounts[0]?.Source ?? '', /\/own-sockets\//);
    await until('Ryuk removed what the run left', async () => !(await exists(told.box)), 60_000);
    // Its own container goes with its end.
    await until('Ryuk went', async () => !(await exists(told.reaper)), 60_000);
    const removals = await gateway.must('audit', 'ls', '--json', '--action', 'container.remove', '--limit', '50');
    const row = (
      JSON.parse(removals) as { resourceId?: string; resource?: string; detail?: { listener?: string } }[]
    ).find(({ resource, resourceId }) => `${resource} ${resourceId}`.includes(told.box.slice(0, 12)));
    assert.match(row?.detail?.listener ?? '', /own-sockets/, removals);
  }

  it('Ryuk removes the containers of a caller without a tenant', () => reaped('ci'));
  it('Ryuk removes the containers of a tenant', () => reaped('alice'));
});
