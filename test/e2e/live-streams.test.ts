// Live streams of the real docker CLI on a real engine end with the credentials that opened them, and the audit says why.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { admin, auditOf, until } from '../support/admin.ts';
import { DOCKER_CLI, dockerDirect, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { dockgateCommand, IS_DENO } from '../support/runtime.ts';

const PREFIX = `dg-live-${IS_DENO ? 'deno' : 'node'}`;
const CONTAINER = `${PREFIX}-idle`;

/** Streams that would idle for ever, by the action they are audited under. */
const STREAMS: Readonly<Record<string, readonly string[]>> = {
  'container.logs': ['logs', '-f', CONTAINER],
  'container.exec.start': ['exec', '-i', CONTAINER, 'sleep', '600'],
  'container.attach': ['attach', '--no-stdin', '--sig-proxy=false', CONTAINER],
  'system.events': ['events'],
};

interface Running {
  readonly action: string;
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
}

describe('live streams', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  const running: Running[] = [];

  const open = (env: NodeJS.ProcessEnv, action: string): Running => {
    const child = spawn(DOCKER_CLI as string, STREAMS[action] ?? [], { env, stdio: ['pipe', 'ignore', 'ignore'] });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const stream = { action, child, ended };
    running.push(stream);
    return stream;
  };
  /** Opens each stream as the caller and waits until the engine has answered them all. */
  const openAll = async (subject: string, token: string): Promise<Running[]> => {
    const env = gateway.dockerEnv(token);
    const before = new Set((await auditOf(gateway, subject)).map((row) => row.auditId));
    const streams = Object.keys(STREAMS).map((action) => open(env, action));
    await until(`all streams of ${subject} open`, async () => {
      const rows = (await auditOf(gateway, subject)).filter((row) => !before.has(row.auditId));
      return Object.keys(STREAMS).every((action) =>
        rows.some((row) => row.stage === 'stream-open' && row.action === action),
      );
    });
    return streams;
  };
  /** How the streams of a caller ended, by action. */
  const endsOf = async (subject: string): Promise<Record<string, unknown>> => {
    const rows = await until(`outcomes of ${subject}`, async () => {
      const found = (await auditOf(gateway, subject)).filter(
        (row) => row.stage === 'complete' && row.action in STREAMS && row.detail?.end !== undefined,
      );
      return found.length >= Object.keys(STREAMS).length && found;
    });
    assert.equal(rows.length, Object.keys(STREAMS).length, 'one outcome each');
    for (const row of rows) assert.equal(row.code, row.detail?.end);
    return Object.fromEntries(rows.map((row) => [row.action, row.detail?.end]));
  };
  const all = (end: string) => Object.fromEntries(Object.keys(STREAMS).map((action) => [action, end]));
  const identity = async (name: string): Promise<void> => {
    await admin(gateway, 'POST', '/identities', { name, policies: ['operator'] });
  };
  const token = (name: string, ttl = '1h') =>
    admin<{ token: string; id: string }>(gateway, 'POST', '/tokens', { identity: name, ttl });

  before(async () => {
    removeContainers(PREFIX);
    dockerDirect('run', '-d', '--network', 'none', '--name', CONTAINER, IMAGE, 'sleep', '600');
    gateway = await startGateway({ engine: ENGINE as string });
    await identity('stays');
  });
  after(async () => {
    for (const { child } of running) child.kill('SIGKILL');
    removeContainers(PREFIX);
    await gateway?.remove();
  });

  it('end when their token is revoked, and those of another token of the identity go on', async (t) => {
    await identity('revoked');
    const doomed = await token('revoked');
    const other = open(gateway.dockerEnv((await token('revoked')).token), 'container.logs');
    const streams = await openAll('revoked', doomed.token);
    const at = performance.now();
    await admin(gateway, 'DELETE', `/tokens/${doomed.id}`);
    await Promise.all(streams.map(({ ended }) => ended));
    t.diagnostic(`${streams.length} streams ended ${Math.round(performance.now() - at)} ms after the revocation`);
    assert.deepEqual(await endsOf('revoked'), all('token-revoked'));
    assert.equal(other.child.exitCode, null);
  });

  it('end when their identity is disabled, or deleted', async () => {
    for (const [name, path, method, end] of [
      ['disabled', '/identities/disabled/disable', 'POST', 'identity-disabled'],
      ['deleted', '/identities/deleted', 'DELETE', 'token-revoked'],
    ] as const) {
      await identity(name);
      const streams = await openAll(name, (await token(name)).token);
      await admin(gateway, method, path, method === 'POST' ? {} : undefined);
      await Promise.all(streams.map(({ ended }) => ended));
      assert.deepEqual(await endsOf(name), all(end));
    }
  });

  it('end when their token expires, with nothing asked of the gateway meanwhile', async () => {
    await identity('expires');
    const made = await token('expires', '8s');
    const streams = Object.keys(STREAMS).map((action) => open(gateway.dockerEnv(made.token), action));
    await Promise.all(streams.map(({ ended }) => ended));
    assert.deepEqual(await endsOf('expires'), all('token-expired'));
  });

  it('of an operator reading the audit end too', async () => {
    await identity('reader');
    const { token: text, id } = await token('reader');
    const [command, first] = dockgateCommand();
    const address = ['--host', `https://127.0.0.1:${gateway.port}`, '--ca', `${gateway.dir}/data/ca.pem`];
    const child = spawn(command, [...first, ...address, 'audit', 'tail', '--last', '1'], {
      env: { ...process.env, DOCKGATE_TOKEN: text },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await admin(gateway, 'DELETE', `/tokens/${id}`);
    await ended;
  });
});
