// Sessions that a rule has recorded, through the whole gateway, against a scripted STAND-IN: what flows is in the transcript before it
// goes on, in either way of opening a session, and a session that cannot be recorded is refused or ended.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type AdminCaller, LOCAL_OPERATOR } from '../../src/admin/services.ts';
import { type EmbeddedTestGateway, openEmbedded } from '../support/embedded-gateway.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

const ID = 'c'.repeat(64);
const EXEC = 'e'.repeat(64);
const UPGRADE = ['Connection: Upgrade', 'Upgrade: tcp'];
const POLICY = `
apiVersion: dockgate/v1
kind: Policy
metadata: { name: recorded, acknowledges: [host-access] }
rules:
  - { name: all, effect: allow, actions: ['container.*'], resources: ['container/*'] }
  - { name: sessions, effect: allow, actions: [container.exec.start, container.attach], record: true }
`;

describe('a session that is recorded', () => {
  let engine: ScriptedEngine;
  let at: EmbeddedTestGateway;
  let token: string;
  before(async () => {
    engine = await startScriptedEngine(({ method, target, head, socket, answer }) => {
      const json = ['Content-Type: application/json'];
      if (target.endsWith(`/exec/${EXEC}/json`)) answer(200, JSON.stringify({ ID: EXEC, ContainerID: ID }), json);
      else if (method === 'GET') answer(200, JSON.stringify({ Id: ID, Name: '/box', Config: { Labels: {} } }), json);
      else if (target.includes('/resize')) answer(200, '');
      else if (/upgrade: tcp/i.test(head)) {
        socket.write('HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n');
        socket.write('Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
        socket.on('data', (data: Buffer) => socket.write(data));
        socket.on('end', () => socket.end('[end]'));
      } else answer(200, 'all at once', ['Content-Type: application/vnd.docker.raw-stream']);
    });
    at = await openEmbedded(engine.url);
    await at.policy('recorded', POLICY);
    token = await at.token('ann', 'recorded');
  });
  after(async () => {
    await at?.close();
    await engine.close();
  });

  const asked = (line: string, headers: readonly string[] = [], body = '') =>
    `${[`${line} HTTP/1.1`, 'Host: docker', `Authorization: Bearer ${token}`, ...headers, ...(body === '' ? [] : ['Content-Type: application/json', `Content-Length: ${body.length}`])].join('\r\n')}\r\n\r\n${body}`;
  const folder = () => join(at.data, 'transcripts');
  const castOf = async (auditId: string, by: AdminCaller = LOCAL_OPERATOR) => {
    let text = '';
    for await (const piece of await at.gateway.admin.auditTranscript(auditId, by)) text += piece;
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as [number, string, string]);
  };
  const start = `POST /v1.47/exec/${EXEC}/start`;
  const open = async (line = start, body = '{"Detach":false,"Tty":true}') => {
    const caller = at.connect();
    caller.send(asked(line, UPGRADE, line.includes('/attach') ? '' : body));
    const answer = await caller.answer();
    return { caller, answer };
  };

  it('a session that is recorded is in a sealed transcript, whose digest is in the outcome, with the size of its terminal', async () => {
    const { caller, answer } = await open();
    assert.equal(answer.status, 101);
    caller.send('hello');
    await until('the echo', () => caller.received === 'hello');
    const resize = at.connect();
    resize.send(asked(`POST /v1.47/exec/${EXEC}/resize?h=40&w=132`));
    assert.equal((await resize.answer()).status, 200);
    caller.send('curl --token geheim-wort-9');
    await until('the echo', () => caller.received.endsWith('wort-9'));
    caller.send('\r\n');
    await until('the next echo', () => caller.received.endsWith('\r\n'));
    caller.socket.end();
    const rows = await at.completed(answer.auditId);
    assert.equal(rows[0]?.detail?.recorded, 'all');
    const last = rows.at(-1)?.detail as { transcript?: { sha256: string; bytes: number }; commands?: string[] };
    const file = readFileSync(join(folder(), `${answer.auditId}.transcript`));
    assert.deepEqual(last.transcript, { sha256: createHash('sha256').update(file).digest('hex'), bytes: file.length });
    assert.match(last.commands?.[0] ?? '', /^hellocurl --token hmac:[0-9a-f]{16}$/);
    assert.ok(!file.includes('hello'));
    assert.ok(!JSON.stringify(rows).includes('geheim'));
    const [, ...events] = await castOf(answer.auditId);
    const shown = events.filter(([, kind]) => kind === 'o').map(([, , text]) => text);
    assert.match(shown.join(''), /^hellocurl --token hmac:[0-9a-f]{16}\r\n\[end\]$/);
    assert.ok(events.some(([, kind, text]) => kind === 'r' && text === '132x40'));
    for (const one of [caller, resize]) one.destroy();
  });

  it('a session that is recorded is recorded where the connection is not upgraded, and an attach too', async () => {
    const caller = at.connect();
    caller.send(asked(start, [], '{"Detach":false,"Tty":true}'));
    const plain = await caller.answer();
    assert.equal(plain.body, 'all at once');
    await at.completed(plain.auditId);
    assert.equal((await castOf(plain.auditId)).at(-1)?.[2], 'all at once');
    const attach = await open(`POST /v1.47/containers/${ID}/attach?stream=1&stdin=1&stdout=1`);
    attach.caller.send('typed');
    await until('the echo', () => attach.caller.received === 'typed');
    attach.caller.socket.end();
    await at.completed(attach.answer.auditId);
    const kinds = (await castOf(attach.answer.auditId)).slice(1).map(([, kind]) => kind);
    assert.ok(kinds.includes('o') && kinds.includes('i'));
    for (const one of [caller, attach.caller]) one.destroy();
  });

  it('a session that is recorded is read by those who review, of their tenant alone, and by none of those recorded', async () => {
    const { caller, answer } = await open();
    caller.send('x');
    await until('the echo', () => caller.received === 'x');
    caller.destroy();
    await at.completed(answer.auditId);
    const by = (audit: AdminCaller['audit']): AdminCaller => ({ ...LOCAL_OPERATOR, operator: false, audit });
    await castOf(answer.auditId, by({ kind: 'all' }));
    await assert.rejects(castOf(answer.auditId, by({ kind: 'tenant', tenant: 'red' })), { code: 'not-found' });
    await assert.rejects(castOf(answer.auditId, by({ kind: 'own', subject: 'ann', issuer: 'dockgate' })), {
      code: 'admin-forbidden',
    });
  });

  it('a session that is recorded leaves nothing where no session came of it, and is refused over a websocket', async () => {
    const before = readdirSync(folder()).length;
    const caller = at.connect();
    caller.send(asked(start, [], '{"Detach":true,"Tty":false}'));
    assert.equal((await caller.answer()).status, 200);
    const socket = at.connect();
    socket.send(
      asked(`GET /v1.47/containers/${ID}/attach/ws?stream=1`, [
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      ]),
    );
    const answer = await socket.answer();
    assert.equal(answer.status, 503);
    assert.match(answer.body, /over a websocket is not: use docker attach/);
    assert.equal(readdirSync(folder()).length, before);
    for (const one of [caller, socket]) one.destroy();
  });

  it('a session that is recorded is refused before the engine sees it where nothing can be written, with its reason in the audit', async () => {
    renameSync(folder(), `${folder()}-away`);
    writeFileSync(folder(), '');
    const seen = engine.requests.filter(({ target }) => target.includes('/start')).length;
    const { caller, answer } = await open();
    renameSync(folder(), `${folder()}-file`);
    renameSync(`${folder()}-away`, folder());
    assert.equal(answer.status, 503);
    assert.match(answer.body, /a rule has this session recorded, and its transcript cannot be written/);
    assert.equal((await at.completed(answer.auditId)).at(-1)?.code, 'transcript-unwritable');
    assert.equal(engine.requests.filter(({ target }) => target.includes('/start')).length, seen);
    assert.ok(!existsSync(join(folder(), `${answer.auditId}.transcript`)));
    caller.destroy();
  });

  it('a session that is recorded is told to a rule that allows no session, and to one that denies', async () => {
    const rule = (text: string) => POLICY.replace(/ {2}- \{ name: sessions.*\n/, `  - ${text}\n`);
    await assert.rejects(
      at.policy(
        'wrong',
        rule('{ name: x, effect: allow, actions: [container.list], record: true }').replace(
          'name: recorded',
          'name: wrong',
        ),
      ),
      /is about sessions, and the rule allows none: add container.exec.start or container.attach/,
    );
    await assert.rejects(
      at.policy(
        'wrong',
        rule('{ name: x, effect: deny, actions: [container.attach], record: all }').replace(
          'name: recorded',
          'name: wrong',
        ),
      ),
      /a deny rule takes none/,
    );
  });
});
