// A refusal quotes what was sent, and is read by others than the caller: in the log of a job, in the audit. Secrets in it are masked,
// wherever they stand, before anything is cut off. The engine is a scripted STAND-IN; no call reaches it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type EmbeddedTestGateway, openEmbedded } from '../support/embedded-gateway.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';

const SECRET = 'hunter2Zx9';
const LONG = 'x'.repeat(200);
const host = (HostConfig: object, more: object = {}): object => ({ Image: 'busybox:1', HostConfig, ...more });
const q = encodeURIComponent;
const CREATE = '/containers/create';

const cases: readonly (readonly [title: string, target: string, body?: object])[] = [
  ['the address of a build context', `/build?remote=${q(`https://ci:${SECRET}@git.test/app.git`)}`],
  ['a long address that a message cuts', `/build?remote=${q(`https://ci:${SECRET}${LONG}@git.test/app.git`)}`],
  ['an address without a scheme', `/build?remote=${q(`ci:${SECRET}@git.test/app.git`)}`],
  ['the query of an address', `/build?remote=${q(`https://git.test/app.tar?token=${SECRET}`)}`],
  ['the source of an import', `/images/create?fromSrc=${q(`https://ci:${SECRET}@files.test/a.tar`)}&repo=a`],
  ['a comment of an import', `/images/create?fromSrc=-&repo=a&message=${q(`password=${SECRET}`)}`],
  ['a comment of a commit', `/commit?container=x&repo=a&comment=${q(`token: ${SECRET}`)}`],
  ['a security option', CREATE, host({ SecurityOpt: [`label=password:${SECRET}`] })],
  ['a profile in a security option', CREATE, host({ SecurityOpt: [`seccomp={"password":"${SECRET}"}`] })],
  ['a long security option', CREATE, host({ SecurityOpt: [`apparmor=token=${SECRET}${LONG}`] })],
  ['an option of a log driver', CREATE, host({ LogConfig: { Type: 'splunk', Config: { 'splunk-token': SECRET } } })],
  [
    'options of a volume',
    '/volumes/create',
    { Name: 'v', DriverOpts: { type: 'cifs', o: `username=a,password=${SECRET}`, device: '//h/s' } },
  ],
  [
    'an option of a volume by its name',
    '/volumes/create',
    { Name: 'v', Driver: 'x', DriverOpts: { password: SECRET } },
  ],
  [
    'options of a mount',
    CREATE,
    host({
      Mounts: [
        {
          Type: 'volume',
          Target: '/a',
          VolumeOptions: { DriverConfig: { Name: 'x', Options: { o: `password=${SECRET}`, secret: SECRET } } },
        },
      ],
    }),
  ],
  ['a runtime', CREATE, host({ Runtime: `x --token=${SECRET}` })],
  ['an annotation', CREATE, host({ Annotations: { password: SECRET } })],
  ['an unknown field', CREATE, host({ Future: { auth: { password: SECRET }, argv: ['run', '--password', SECRET] } })],
  ['a field that holds a command', CREATE, host({ Future: ['mysql', '--password', SECRET] })],
  ['a bearer in a text', CREATE, host({ CgroupParent: `Authorization: Bearer ${SECRET}` })],
  ['a token known by its shape', CREATE, host({ CgroupParent: `SWMTKN-1-${SECRET}-${SECRET}` })],
  ['a network option', '/networks/create', { Name: 'n', Options: { 'com.x.password': SECRET } }],
];

describe('a refusal', () => {
  let engine: ScriptedEngine;
  let embedded: EmbeddedTestGateway;
  let token = '';
  before(async () => {
    engine = await startScriptedEngine((r) =>
      r.answer(404, '{"message":"no such thing"}', ['Content-Type: application/json']),
    );
    embedded = await openEmbedded(engine.url);
    token = await embedded.token('ci', 'baseline');
  });
  after(async () => {
    await embedded?.close();
    await engine?.close();
  });

  for (const [title, target, body] of cases) {
    it(`a refusal tells no secret of ${title}, nor does the audit`, async () => {
      const method = target.endsWith('/json') ? 'GET' : 'POST';
      const answer = await fetch(`http://127.0.0.1:${embedded.port}/v1.45${target}`, {
        method,
        headers: {
          Authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      assert.ok(answer.status >= 400, text);
      assert.ok(!text.includes(SECRET), text);
      const id = answer.headers.get('dockgate-audit-id') ?? '';
      const rows = await embedded.completed(id);
      assert.ok(rows.length > 0);
      assert.ok(!JSON.stringify(rows).includes(SECRET), JSON.stringify(rows));
    });
  }

  it('still says what was refused where nothing is a secret', async () => {
    const answer = await fetch(`http://127.0.0.1:${embedded.port}/v1.45${CREATE}`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(host({ SecurityOpt: ['seccomp=unconfined'], Binds: ['/srv/token-service:/x'] })),
    });
    const text = await answer.text();
    assert.match(text, /seccomp=unconfined/);
    assert.match(text, /\/srv\/token-service/);
  });
});
