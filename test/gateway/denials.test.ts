// What a caller is told: one sentence with policy, field, value, what would be allowed and the audit id; 404 for what it may
// not know of, 403 for what it may not do, 400 for what cannot be read.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { exchange, type Header } from '../corpus/exchange.ts';
import { ENGINE, skipWithoutEngine } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';

const CREATE = 'POST /v1.45/containers/create';
const host = (fields: Record<string, unknown>): unknown => ({ Image: 'busybox:test', HostConfig: fields });

/** As alice, bound to baseline. */
const rows: readonly [line: string, body: unknown, status: number, message: string][] = [
  [
    CREATE,
    host({ Binds: ['/:/h'] }),
    403,
    'denied by policy baseline: HostConfig.Binds[0] mounts host path "/" (allowed: none; use a named volume)',
  ],
  [
    CREATE,
    host({ Privileged: true }),
    403,
    'denied by policy baseline: HostConfig.Privileged is true (allowed: false)',
  ],
  [
    CREATE,
    host({ CapAdd: ['SYS_ADMIN'] }),
    403,
    'denied by policy baseline: HostConfig.CapAdd[0] adds the capability "SYS_ADMIN" (allowed: ',
  ],
  [
    CREATE,
    host({ Mounts: [{ Type: 'bind', Source: '/etc', Target: '/e' }] }),
    403,
    'denied by policy baseline: HostConfig.Mounts[0] mounts host path "/etc" (allowed: none; use a named volume)',
  ],
  [
    CREATE,
    host({ NetworkMode: 'host' }),
    403,
    'denied by policy baseline: HostConfig.NetworkMode is "host" (allowed: default, bridge, none, ',
  ],
  [
    CREATE,
    host({ Future: 1 }),
    403,
    'denied by policy baseline: HostConfig.Future is a field this gateway does not know (allowed: leave it out, ',
  ],
  [
    'POST /v1.45/volumes/create',
    { Name: 'x', DriverOpts: { type: 'none', o: 'bind', device: '/' } },
    403,
    'denied by policy baseline: DriverOpts.',
  ],
  [
    'POST /v1.45/images/create?fromImage=evil.test/x&tag=1',
    undefined,
    403,
    'denied by policy baseline: query.fromImage is "evil.test/x" of the registry "evil.test" (allowed: docker.io, or any with credentials of your own)',
  ],
  ['POST /v1.45/images/load', undefined, 403, 'denied: no policy of "alice" allows image.load (bound: baseline)'],
  ['GET /v1.45/swarm', undefined, 403, 'denied: no policy of "alice" allows swarm.inspect (bound: baseline)'],
  ['GET /v1.45/containers/dgx-nobodys/json', undefined, 404, 'No such container: dgx-nobodys'],
  ['POST /v1.45/containers/dgx-nobodys/stop', undefined, 404, 'No such container: dgx-nobodys'],
  [CREATE, host({ VolumesFrom: ['dgx-nobodys'] }), 404, 'No such container: dgx-nobodys'],
  ['GET /v1.45/volumes/dgx-nobodys', undefined, 404, 'get dgx-nobodys: no such volume'],
  ['GET /v1.45/networks/dgx-nobodys', undefined, 404, 'network dgx-nobodys not found'],
  [
    'GET /v1.45/plugins/x/json',
    undefined,
    404,
    'No such plugin: x (denied: no policy of "alice" allows plugin.inspect (bound: baseline))',
  ],
  ['GET /debug/vars', undefined, 404, 'page not found: /debug/vars (debug.vars) is never served through the gateway'],
  [CREATE, '{"Image":"a","image":"b"}', 400, 'the body has the key "image" twice'],
  [CREATE, '{"HostConfig":{"Privileged":"true"}}', 400, 'invalid JSON: HostConfig.Privileged must be a boolean'],
  ['GET /v1.45//info', undefined, 400, 'the path has an empty segment'],
];

describe('a denial', { skip: skipWithoutEngine }, () => {
  let gateway: TestGateway;
  const callers: Record<string, Header> = {};
  before(async () => {
    gateway = await startGateway({
      engine: ENGINE as string,
      settings: { listen: ['https://127.0.0.1:0', { unix: './any.sock', mode: '0600' }] },
    });
    const file = join(gateway.dir, 'ci.yaml');
    writeFileSync(
      file,
      `apiVersion: dockgate/v1
kind: Policy
metadata: { name: ci }
rules:
  - { name: run, effect: allow, actions: [container.create], host: { preset: baseline, binds: [/srv/ci] } }
  - { name: never, effect: deny, actions: [volume.create], description: volumes are made by operators }
`,
    );
    await gateway.must('policy', 'apply', '-f', file);
    await gateway.must('identity', 'create', 'alice', '--policy', 'baseline', '--tenant', 'alice');
    await gateway.must('identity', 'create', 'ci', '--policy', 'ci');
    for (const name of ['alice', 'ci'])
      callers[name] = ['Authorization', `Bearer ${await gateway.must('token', 'create', name)}`];
  });
  after(() => gateway?.remove());

  const ask = async (as: string, line: string, body: unknown) => {
    const [method = '', path = ''] = line.split(' ');
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const headers: Header[] = body === undefined ? [] : [['Content-Type', 'application/json']];
    const request = { method, path, headers, ...(body === undefined ? {} : { body: text }) };
    const [answer] = await exchange(join(gateway.dir, 'any.sock'), request, [callers[as] as Header]);
    const told = JSON.parse(answer?.body.toString() ?? '{}') as { message: string };
    assert.deepEqual(Object.keys(told), ['message'], 'one sentence and nothing beside it');
    return { status: answer?.status, message: told.message };
  };

  for (const [line, body, status, expected] of rows) {
    it(`${line} ${body === undefined ? '' : JSON.stringify(body).slice(0, 60)} is answered ${status}`, async () => {
      const { status: got, message } = await ask('alice', line, body);
      assert.equal(got, status, message);
      assert.ok(message.startsWith(expected), message);
      assert.match(message, / \[audit [0-9a-f-]{36}\]$/);
    });
  }

  it("a rule of a policy of one's own is named", async () => {
    const { message } = await ask('ci', CREATE, host({ Binds: ['/srv/other:/x'] }));
    assert.match(
      message,
      /^denied by policy ci, rule run: HostConfig\.Binds\[0\] mounts host path "\/srv\/other" \(allowed: \/srv\/ci itself\) \[audit /,
    );
    const denied = await ask('ci', 'POST /v1.45/volumes/create', { Name: 'x' });
    assert.match(denied.message, /^denied by policy ci: rule never denies volume\.create/);
  });

  it('the audit holds the same denial under the id the caller was told', async () => {
    const { message } = await ask('alice', CREATE, host({ PidMode: 'host' }));
    const id = /\[audit ([0-9a-f-]{36})\]/.exec(message)?.[1] ?? '';
    const shown = await gateway.must('audit', 'show', id);
    assert.match(shown, /HostConfig\.PidMode/);
    assert.match(shown, /baseline/);
  });
});
