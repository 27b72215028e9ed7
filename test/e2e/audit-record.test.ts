// What the audit's rows hold of calls on a real engine: every object, digests of what came and what was sent, what came of it apart
// from what was decided, and what an exec ran, as whom, to which end.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import Database from 'better-sqlite3';
import type { AuditRow } from '../../src/audit/event.ts';
import { admin } from '../support/admin.ts';
import { type Answer, type Api, apiOver } from '../support/api.ts';
import { DOCKER_CLI, dockerDirect, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { run, startGateway, type TestGateway } from '../support/gateway.ts';
import { HttpsCaller } from '../support/https-caller.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';
import { until } from '../support/until.ts';

const PREFIX = `dg-rec-${IS_DENO ? 'deno' : 'node'}`;
const WEB = `${PREFIX}-web`;
const REFERENCE = `docker.io/library/${IMAGE}`;

describe('the audit of calls on the engine', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  let ci: Api;
  let webId = '';

  /** Rows of a call by its answer, its outcome among them. */
  const rowsOf = async ({ headers }: Answer): Promise<{ first: AuditRow; last: AuditRow }> => {
    const auditId = String(headers['dockgate-audit-id']);
    const rows = await until('the outcome', async () => {
      const { events } = await admin<{ events: AuditRow[] }>(gateway, 'GET', `/audit/${auditId}`);
      return events.some(({ stage }) => stage === 'complete') ? events : undefined;
    });
    return { first: rows[0] as AuditRow, last: rows.at(-1) as AuditRow };
  };
  const named = (row: AuditRow) => (row.resources ?? []).map(({ kind, name }) => `${kind}/${name}`);

  before(async () => {
    removeContainers(PREFIX);
    gateway = await startGateway({
      engine: ENGINE as string,
      unix: [{ name: 'ci', identity: 'ci' }],
      settings: { issuer: 'https://gate.example' },
    });
    await admin(gateway, 'POST', '/identities', { name: 'ci', policies: ['operator'] });
    ci = apiOver(join(gateway.dir, 'ci.sock'));
  });
  after(async () => {
    removeContainers(PREFIX);
    await gateway?.remove();
  });

  it('a create tells its image, volume and networks, both digests, and the id of what was made', async () => {
    const asked = {
      Image: IMAGE,
      Cmd: ['sleep', '600'],
      HostConfig: { NetworkMode: 'none', Binds: [`${PREFIX}-data:/data`] },
    };
    const body = JSON.stringify(asked, null, 1);
    const made = await ci('POST', `/v1.44/containers/create?name=${WEB}`, {
      body,
      headers: { 'content-type': 'application/json' },
    });
    assert.equal(made.status, 201, made.text);
    webId = (made.json as { Id: string }).Id;
    const { first, last } = await rowsOf(made);
    assert.equal(first.resource, `container/${WEB}`);
    assert.deepEqual(named(first), [`image/${REFERENCE}`, `volume/${PREFIX}-data`]);
    assert.equal(first.bodySha256, createHash('sha256').update(body).digest('hex'));
    assert.match(first.sentSha256 ?? '', /^[0-9a-f]{64}$/);
    assert.notEqual(first.sentSha256, first.bodySha256, 'the body was rendered anew');
    assert.equal(first.engine, `unix://${ENGINE}`);
    assert.equal(first.gateway, 'https://gate.example');
    assert.equal(first.outcome, 'open');
    assert.equal(last.outcome, 'ok');
    assert.equal(last.resourceId, webId);
    assert.deepEqual(last.resources, [{ kind: 'container', name: WEB, id: webId, at: 'answer' }]);
    assert.equal(last.engine, undefined);
  });

  it('what is not there is no denial, and the engine is quoted', async () => {
    for (const [method, path, code] of [
      ['GET', `/v1.44/containers/${PREFIX}-none/json`, 404],
      ['DELETE', `/v1.44/containers/${PREFIX}-none`, 404],
    ] as const) {
      const answer = await ci(method, path);
      assert.equal(answer.status, code, answer.text);
      const { last } = await rowsOf(answer);
      assert.equal(last.decision, 'allow');
      assert.equal(last.outcome, 'not-found');
      assert.equal(last.detail?.message, `No such container: ${PREFIX}-none`);
    }
  });

  it('a name that is taken is a conflict, a body that makes no sense is invalid', async () => {
    const again = await ci('POST', `/v1.44/containers/create?name=${WEB}`, { body: { Image: IMAGE } });
    assert.equal(again.status, 409, again.text);
    assert.equal((await rowsOf(again)).last.outcome, 'conflict');
    const odd = await ci('POST', '/v1.44/containers/create', {
      body: { Image: IMAGE, HostConfig: { Memory: 1, NetworkMode: 'none' } },
    });
    assert.equal(odd.status, 400, odd.text);
    const { last } = await rowsOf(odd);
    assert.equal(last.decision, 'allow');
    assert.equal(last.outcome, 'invalid');
    assert.match(String(last.detail?.message), /memory/i);
  });

  it('an image that cannot be pulled is a failure, also where the engine began with 200', async () => {
    const pulled = await ci('POST', '/v1.44/images/create?fromImage=127.0.0.1:1/none&tag=1');
    const { last } = await rowsOf(pulled);
    assert.equal(last.decision, 'allow');
    assert.notEqual(last.outcome, 'ok');
    assert.match(String(last.detail?.message), /127\.0\.0\.1:1/);
  });

  it('an exec has one session from its making to its end: argv, user, bytes, exit code, container', async () => {
    const started = await ci('POST', `/v1.44/containers/${webId}/start`);
    assert.equal(started.status, 204, started.text);
    const made = await ci('POST', `/v1.44/containers/${WEB}/exec`, {
      body: { Cmd: ['sh', '-c', 'echo hello; exit 3'], User: '1000', AttachStdout: true, Env: ['KEY=k3y-of-exec'] },
    });
    assert.equal(made.status, 201, made.text);
    const { Id } = made.json as { Id: string };
    const asked = await rowsOf(made);
    assert.equal(asked.last.session, Id);
    assert.deepEqual((asked.first.detail?.body as { Cmd: string[] } | undefined)?.Cmd, [
      'sh',
      '-c',
      'echo hello; exit 3',
    ]);
    const ran = await ci('POST', `/v1.44/exec/${Id}/start`, { body: { Detach: false, Tty: false } });
    assert.equal(ran.status, 200, ran.text);
    assert.match(ran.text, /hello/);
    const { first, last } = await rowsOf(ran);
    assert.equal(first.session, Id);
    assert.equal(last.session, Id);
    assert.deepEqual(last.detail?.exec, {
      argv: ['sh', '-c', 'echo hello; exit 3'],
      user: '1000',
      tty: false,
      privileged: false,
      exitCode: 3,
    });
    assert.deepEqual(last.resources, [{ kind: 'container', name: webId, id: webId, at: 'answer' }]);
    assert.ok((last.bytesOut ?? 0) >= 'hello\n'.length);
    const rows = JSON.stringify([asked, first, last]);
    assert.ok(!rows.includes('k3y-of-exec'));
  });

  it('an exec that goes on in the background has no exit code', async () => {
    const made = await ci('POST', `/v1.44/containers/${WEB}/exec`, { body: { Cmd: ['sleep', '600'] } });
    const { Id } = made.json as { Id: string };
    const ran = await ci('POST', `/v1.44/exec/${Id}/start`, { body: { Detach: true } });
    assert.equal(ran.status, 200, ran.text);
    const { last } = await rowsOf(ran);
    assert.equal(last.outcome, 'ok');
    const exec = last.detail?.exec as { argv: string[]; exitCode?: number };
    assert.deepEqual(exec.argv, ['sleep', '600']);
    assert.equal(exec.exitCode, undefined);
  });

  it('a wait tells the exit code, a prune what it removed', async () => {
    const made = await ci('POST', `/v1.44/containers/create?name=${PREFIX}-short`, {
      body: {
        Image: IMAGE,
        Cmd: ['sh', '-c', 'exit 7'],
        Labels: { 'dg.prune': PREFIX },
        HostConfig: { NetworkMode: 'none' },
      },
    });
    const { Id } = made.json as { Id: string };
    await ci('POST', `/v1.44/containers/${Id}/start`);
    const waited = await ci('POST', `/v1.44/containers/${Id}/wait`);
    assert.equal((await rowsOf(waited)).last.detail?.exitCode, 7);
    const filters = encodeURIComponent(JSON.stringify({ label: [`dg.prune=${PREFIX}`] }));
    const pruned = await ci('POST', `/v1.44/containers/prune?filters=${filters}`);
    assert.equal(pruned.status, 200, pruned.text);
    assert.deepEqual(named((await rowsOf(pruned)).last), [`container/${Id}`]);
  });

  it('a denial tells every reason and the documents that were asked', async () => {
    await admin(gateway, 'POST', '/identities', { name: 'low', policies: ['baseline'] });
    const token = await admin<{ token: string }>(gateway, 'POST', '/tokens', { identity: 'low', ttl: '1h' });
    const env = gateway.dockerEnv(token.token);
    const ran = await run(DOCKER_CLI as string, ['create', '--privileged', IMAGE], { env });
    const auditId = /\[audit ([0-9a-f-]+)\]/.exec(ran.stderr)?.[1] ?? '';
    const { events } = await admin<{ events: AuditRow[] }>(gateway, 'GET', `/audit/${auditId}`);
    const [row] = events;
    assert.equal(row?.decision, 'deny');
    assert.equal(row?.outcome, 'not-sent');
    const decided = row?.detail?.decided as { policies: string[]; reasons: { field?: string; rule?: string }[] };
    assert.ok(decided.policies.includes('baseline'), JSON.stringify(decided));
    assert.equal(decided.reasons[0]?.field, 'HostConfig.Privileged');
  });

  it('the audit of calls on the engine keeps as much of a call as its rule says', async () => {
    const levels = `
apiVersion: dockgate/v1
kind: Policy
metadata: { name: levels, acknowledges: [host-access] }
subjects: [{ group: levels }]
rules:
  - { name: all, effect: allow, actions: [container.list, volume.create, container.archive.write, container.inspect] }
  - { name: least, effect: allow, actions: [volume.create], resources: ["volume/${PREFIX}-least"], audit: metadata }
  - { name: more, effect: allow, actions: [container.list], audit: request }
  - { name: most, effect: allow, actions: [container.inspect, container.archive.write], audit: request-response }
`;
    const file = join(gateway.dir, 'levels.yaml');
    writeFileSync(file, levels);
    await gateway.must('policy', 'apply', '-f', file);
    await admin(gateway, 'POST', '/identities', { name: 'graded', groups: ['levels'] });
    const { token } = await admin<{ token: string }>(gateway, 'POST', '/tokens', { identity: 'graded', ttl: '1h' });
    const caller = new HttpsCaller(gateway, token);
    const ask = async (method: string, path: string, body?: unknown) => {
      const { auditId, status, body: text } = await caller.call(method, path, body);
      assert.ok(status < 300, text);
      return rowsOf({ headers: { 'dockgate-audit-id': auditId } } as unknown as Answer);
    };
    const least = await ask('POST', '/v1.44/volumes/create', { Name: `${PREFIX}-least`, Labels: { a: 'b' } });
    assert.equal(least.first.detail?.body, undefined);
    const usual = await ask('POST', '/v1.44/volumes/create', { Name: `${PREFIX}-usual`, Labels: { a: 'b' } });
    assert.deepEqual(usual.first.detail?.body, { Name: `${PREFIX}-usual`, Labels: { a: 'b' } });
    assert.equal(usual.last.detail?.answer, undefined);
    const more = await ask('GET', '/v1.44/containers/json?limit=3');
    assert.deepEqual(more.first.detail?.query, { limit: ['3'] });
    const most = await ask('GET', `/v1.44/containers/${WEB}/json`);
    const answer = most.last.detail?.answer as { Id: string; Name: string; Config: { Env: string[] } };
    assert.equal(answer.Id, webId);
    assert.equal(answer.Name, `/${WEB}`);
    assert.ok(
      answer.Config.Env.every((one) => /^[A-Z_]+=hmac:/.test(one)),
      answer.Config.Env.join(),
    );
    await admin(gateway, 'PATCH', '/identities/ci', { groups: ['levels'] });
    const archive = Buffer.concat([tarEntry('note', 'x'), Buffer.alloc(1024)]);
    const put = await ci('PUT', `/v1.44/containers/${WEB}/archive?path=%2Ftmp`, { body: archive });
    assert.equal(put.status, 200, put.text);
    const { last } = await rowsOf(put);
    assert.equal(last.bodySha256, createHash('sha256').update(archive).digest('hex'));
    assert.equal(last.sentSha256, last.bodySha256);
    dockerDirect('volume', 'rm', `${PREFIX}-least`, `${PREFIX}-usual`);
  });

  it('the index finds the container by name and by id, from making to removal', async () => {
    const removed = await ci('DELETE', `/v1.44/containers/${WEB}?force=1`);
    assert.equal(removed.status, 204, removed.text);
    await rowsOf(removed);
    dockerDirect('volume', 'rm', '-f', `${PREFIX}-data`);
    const raw = new Database(join(gateway.dir, 'data', 'audit.db'), { readonly: true });
    const actionsOf = (kind: string, name: string) =>
      raw
        .prepare(
          `SELECT DISTINCT action FROM audit_event WHERE seq IN (SELECT seq FROM audit_resource WHERE name_no =
           (SELECT name_no FROM audit_name WHERE name = ? AND kind = ?)) ORDER BY 1`,
        )
        .pluck()
        .all(name, kind);
    const ids = raw
      .prepare(
        `SELECT i.name FROM audit_alias JOIN audit_name AS i ON i.name_no = id_no JOIN audit_name AS n ON n.name_no = audit_alias.name_no
         WHERE n.kind = 'container' AND n.name = ?`,
      )
      .pluck()
      .all(WEB);
    const [byName, byId] = [actionsOf('container', WEB), actionsOf('container', webId)];
    const [byImage, byVolume] = [actionsOf('image', REFERENCE), actionsOf('volume', `${PREFIX}-data`)];
    raw.close();
    assert.deepEqual(ids, [webId]);
    const expected = ['container.archive.write', 'container.create', 'container.exec.create', 'container.inspect'];
    assert.deepEqual(byName, [...expected, 'container.remove']);
    assert.deepEqual(byId, ['container.create', 'container.exec.start', 'container.start']);
    assert.ok(byImage.includes('container.create'));
    assert.deepEqual(byVolume, ['container.create']);
  });
});
