// What is made under a lease goes when the lease ends, in order, in its owner's name and with an audit row; also after a restart.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-lease-${IS_DENO ? 'deno' : 'node'}`;
const POLICY = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: tests, acknowledges: [host-access] }
rules:
  - { name: short, effect: allow, actions: [container.create, volume.create, network.create], lease: 1h }
  - { name: rest, effect: allow, actions: ["container.*", "volume.*", "network.*", "image.*", "system.*"] }
`;

describe('leases', { skip: skipWithoutEngine }, () => {
  let two: TwoTenants;
  const leases = async (): Promise<{ object: string; endsAt: string; owner: string }[]> =>
    JSON.parse(await two.gateway.must('lease', 'list', '--json'));
  const until = async (holds: () => Promise<boolean>): Promise<void> => {
    for (let i = 0; !(await holds()); i++) {
      assert.ok(i < 200, 'it did not come to pass in time');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  const isGone = async (path: string): Promise<boolean> => (await two.engine('GET', path)).status === 404;

  before(async () => {
    two = await startTwoTenants();
    await removeAll(two.engine, PREFIX);
    const file = join(two.gateway.dir, 'tests.yaml');
    writeFileSync(file, POLICY);
    await two.gateway.must('policy', 'apply', '-f', file);
    await two.gateway.must('identity', 'create', 'carol', '--policy', 'tests', '--tenant', 'red');
    await two.gateway.must('socket', 'add', '--identity', 'carol', '--path', join(two.gateway.dir, 'carol.sock'));
  });
  after(async () => {
    if (two === undefined) return;
    await removeAll(two.engine, PREFIX);
    await two.gateway.remove();
  });

  it('a rule with a lease gives what is made an end, and says so', async () => {
    const { apiOver } = await import('../support/api.ts');
    const carol = apiOver(join(two.gateway.dir, 'carol.sock'));
    assert.equal((await carol('POST', '/v1.41/volumes/create', { body: { Name: `${PREFIX}-data` } })).status, 201);
    assert.equal(
      (await carol('POST', '/v1.41/networks/create', { body: { Name: `${PREFIX}-net`, Internal: true } })).status,
      201,
    );
    const made = await carol('POST', `/v1.41/containers/create?name=${PREFIX}-web`, {
      body: {
        Image: IMAGE,
        Cmd: ['sleep', '300'],
        HostConfig: { NetworkMode: 'none', Binds: [`${PREFIX}-data:/data`] },
      },
    });
    assert.equal(made.status, 201, made.text);
    assert.equal((await carol('POST', `/v1.41/containers/${PREFIX}-web/start`)).status, 204);
    const all = await leases();
    assert.deepEqual(
      all.map(({ object, owner }) => [object, owner]).sort(),
      [
        [`container/${PREFIX}-web`, 'carol'],
        [`network/${PREFIX}-net`, 'carol'],
        [`volume/${PREFIX}-data`, 'carol'],
      ].sort(),
    );
    for (const { endsAt } of all) assert.ok(Math.abs(Date.parse(endsAt) - Date.now() - 3_600_000) < 120_000, endsAt);
  });

  it('an object whose lease is ended now is removed after its users, though it runs and is in use', async () => {
    await two.gateway.must('lease', 'end', `volume/${PREFIX}-data`);
    await two.gateway.must('lease', 'end', `container/${PREFIX}-web`);
    await until(async () => (await isGone(`/containers/${PREFIX}-web/json`)) && isGone(`/volumes/${PREFIX}-data`));
    const rows = JSON.parse(await two.gateway.must('audit', 'ls', '--subject', 'carol', '--json')) as {
      action: string;
      rule: string | null;
      status: number | null;
      stage: string;
    }[];
    const removals = rows.filter(({ action, stage }) => action === 'container.remove' && stage === 'complete');
    assert.deepEqual(
      removals.map(({ rule, status }) => [rule, status]),
      [['lease/ended', 204]],
    );
  });

  it('an object whose lease is extended stays', async () => {
    const before = (await leases()).find(({ object }) => object === `network/${PREFIX}-net`);
    await two.gateway.must('lease', 'extend', `network/${PREFIX}-net`, '--by', '2h');
    const after = (await leases()).find(({ object }) => object === `network/${PREFIX}-net`);
    assert.equal(Date.parse(after?.endsAt ?? '') - Date.parse(before?.endsAt ?? ''), 7_200_000);
    const none = await two.gateway.dockgate('lease', 'extend', 'container/none', '--by', '1h');
    assert.match(none.stderr, /there is no lease on container\/none/);
  });

  it('a token with a lease ends what is made with it, also when the gateway was away at that time', async () => {
    const token = await two.gateway.must('token', 'create', 'alice', '--lease', '2s');
    const { default: https } = await import('node:https');
    const { readFileSync } = await import('node:fs');
    const status = await new Promise<number>((resolve, reject) => {
      const request = https.request(
        {
          host: '127.0.0.1',
          port: two.gateway.port,
          ca: readFileSync(join(two.gateway.dir, 'data', 'ca.pem')),
          method: 'POST',
          path: '/v1.41/volumes/create',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        },
        (answer) => {
          answer.resume();
          resolve(answer.statusCode ?? 0);
        },
      );
      request.on('error', reject);
      request.end(JSON.stringify({ Name: `${PREFIX}-short` }));
    });
    assert.equal(status, 201);
    await two.gateway.stop('SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 2000));
    assert.equal(await isGone(`/volumes/${PREFIX}-short`), false);
    await two.gateway.restart();
    await until(() => isGone(`/volumes/${PREFIX}-short`));
  });

  it('a lease for an identity without a tenant is refused, in a token and in a rule', async () => {
    const refused = await two.gateway.dockgate('token', 'create', 'root', '--lease', '1h');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /identity root has no tenant/);
  });
});
