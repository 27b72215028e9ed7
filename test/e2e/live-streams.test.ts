// Live streams of the real docker CLI on a real engine end with the credentials that opened them, and the audit says why.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { after, before, describe, it } from 'node:test';
import { admin, auditOf, until } from '../support/admin.ts';
import { DOCKER_CLI, dockerDirect, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { dockgateCommand, IS_DENO } from '../support/runtime.ts';

const PREFIX = `dg-live-${IS_DENO ? 'deno' : 'node'}`;
const CONTAINER = `${PREFIX}-idle`;

/** The docker CLI outlives the end of these: `stats` goes on showing nothing, `load` waits for its standard input. */
const CLI_STAYS: readonly string[] = ['container.stats', 'image.load'];

/** Streams that would idle for ever, by the action they are audited under. Of `load` the end of the upload never comes. */
const STREAMS: Readonly<Record<string, readonly string[]>> = {
  'container.logs': ['logs', '-f', CONTAINER],
  'container.exec.start': ['exec', '-i', CONTAINER, 'sleep', '600'],
  'container.attach': ['attach', '--no-stdin', '--sig-proxy=false', CONTAINER],
  'container.wait': ['wait', CONTAINER],
  'container.stats': ['stats', CONTAINER],
  'image.load': ['load'],
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
  const openAll = async (subject: string, env: NodeJS.ProcessEnv): Promise<Running[]> => {
    const before = new Set((await auditOf(gateway, subject)).map((row) => row.auditId));
    const streams = Object.keys(STREAMS).map((action) => open(env, action));
    await until(`all streams of ${subject} open`, async () => {
      const rows = (await auditOf(gateway, subject)).filter((row) => !before.has(row.auditId));
      return Object.keys(STREAMS).every((action) =>
        rows.some((row) => row.stage === (action === 'image.load' ? 'intent' : 'stream-open') && row.action === action),
      );
    });
    return streams;
  };
  const allEnded = (streams: readonly Running[]) =>
    Promise.all(streams.filter(({ action }) => !CLI_STAYS.includes(action)).map(({ ended }) => ended));
  /** How the streams of a caller ended, by action. */
  const endsOf = async (subject: string): Promise<Record<string, unknown>> => {
    const rows = await until(`outcomes of ${subject}`, async () => {
      const found = (await auditOf(gateway, subject)).filter(
        (row) => row.stage === 'complete' && row.action in STREAMS && row.detail?.end !== undefined,
      );
      return Object.keys(STREAMS).every((action) => found.some((row) => row.action === action)) && found;
    });
    assert.equal(new Set(rows.map(({ auditId }) => auditId)).size, rows.length, 'one outcome each');
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
    gateway = await startGateway({ engine: ENGINE as string, unix: [{ name: 'bound', identity: 'bound' }] });
    await identity('bound');
    await identity('stays');
  });
  after(async () => {
    for (const { child } of running) child.kill('SIGKILL');
    removeContainers(PREFIX);
    await gateway?.remove();
  });

  it('live streams end when their token is revoked, and those of another token of the identity go on', async (t) => {
    await identity('revoked');
    const doomed = await token('revoked');
    const other = open(gateway.dockerEnv((await token('revoked')).token), 'container.logs');
    const streams = await openAll('revoked', gateway.dockerEnv(doomed.token));
    const at = performance.now();
    await admin(gateway, 'DELETE', `/tokens/${doomed.id}`);
    await allEnded(streams);
    t.diagnostic(`${streams.length} streams ended ${Math.round(performance.now() - at)} ms after the revocation`);
    assert.deepEqual(await endsOf('revoked'), all('token-revoked'));
    assert.equal(other.child.exitCode, null);
  });

  it('live streams end on a unix socket when the identity it is bound to is disabled', async () => {
    const env = { PATH: process.env.PATH, HOME: gateway.dir, DOCKER_HOST: `unix://${gateway.dir}/bound.sock` };
    const streams = await openAll('bound', env);
    await admin(gateway, 'POST', '/identities/bound/disable', {});
    await allEnded(streams);
    assert.deepEqual(await endsOf('bound'), all('identity-disabled'));
  });

  it('live streams end too when the client does not read them', async () => {
    await identity('deaf');
    const made = await token('deaf');
    const name = `${PREFIX}-loud`;
    dockerDirect('run', '-d', '--network', 'none', '--name', name, IMAGE, 'yes', 'x'.repeat(100));
    const request = https.get({
      host: '127.0.0.1',
      port: gateway.port,
      path: `/v1.45/containers/${name}/logs?follow=1&stdout=1`,
      headers: { authorization: `Bearer ${made.token}` },
      ca: readFileSync(`${gateway.dir}/data/ca.pem`),
    });
    request.on('error', () => {});
    // Unread, the answer fills every buffer on the way and stands still.
    await new Promise((resolve) => request.once('response', resolve));
    await admin(gateway, 'DELETE', `/tokens/${made.id}`);
    const row = await until('its outcome', async () =>
      (await auditOf(gateway, 'deaf')).find(({ stage }) => stage === 'complete'),
    );
    assert.equal(row.code, 'token-revoked');
    request.destroy();
  });

  it('beside calls: one whose body was on its way when the token was revoked is not sent on', async () => {
    await identity('slow');
    const made = await token('slow');
    const name = `${PREFIX}-slow`;
    const body = JSON.stringify({ Image: IMAGE, HostConfig: { NetworkMode: 'none' } });
    const request = https.request({
      host: '127.0.0.1',
      port: gateway.port,
      method: 'POST',
      path: `/v1.45/containers/create?name=${name}`,
      headers: {
        authorization: `Bearer ${made.token}`,
        'content-type': 'application/json',
        'content-length': body.length,
      },
      ca: readFileSync(`${gateway.dir}/data/ca.pem`),
    });
    const answered = new Promise<number | undefined>((resolve, reject) => {
      request.once('response', (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      request.once('error', reject);
    });
    const { callsInFlight: calls } = await admin<{ callsInFlight: number }>(gateway, 'GET', '/status');
    request.write(body.slice(0, 10));
    await until('the call is under way', async () => {
      const { callsInFlight } = await admin<{ callsInFlight: number }>(gateway, 'GET', '/status');
      return callsInFlight > calls;
    });
    await admin(gateway, 'DELETE', `/tokens/${made.id}`);
    request.end(body.slice(10));
    assert.equal(await answered, 401);
    assert.equal(dockerDirect('ps', '-aq', '--filter', `name=${name}`).trim(), '');
  });

  it('live streams end when their identity is disabled, or deleted', async () => {
    for (const [name, path, method, end] of [
      ['disabled', '/identities/disabled/disable', 'POST', 'identity-disabled'],
      ['deleted', '/identities/deleted', 'DELETE', 'token-revoked'],
    ] as const) {
      await identity(name);
      const streams = await openAll(name, gateway.dockerEnv((await token(name)).token));
      await admin(gateway, method, path, method === 'POST' ? {} : undefined);
      await allEnded(streams);
      assert.deepEqual(await endsOf(name), all(end));
    }
  });

  it('live streams end when their token expires, with nothing asked of the gateway meanwhile', async () => {
    await identity('expires');
    const made = await token('expires', '8s');
    const streams = Object.keys(STREAMS).map((action) => open(gateway.dockerEnv(made.token), action));
    await allEnded(streams);
    assert.deepEqual(await endsOf('expires'), all('token-expired'));
  });

  it('live streams of an operator who reads the audit end too', async () => {
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
