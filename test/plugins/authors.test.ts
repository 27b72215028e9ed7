// An author's way from an empty folder to a denial: the commands, then the plugin in a gateway. Behind it stands the stand-in
// engine, since what is shown happens before a call is sent.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Standin, startStandin } from '../../src/standin/standin.ts';
import { runCli } from '../cli/gateway.ts';
import { type AuditView, admin } from '../support/admin.ts';
import { type Api, apiOver } from '../support/api.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';

const dir = mkdtempSync(join(tmpdir(), 'dg-authors-'));
after(() => rmSync(dir, { recursive: true, force: true }));
const cli = (...args: string[]) => runCli(args, { cwd: dir });
const must = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await cli(...args);
  assert.equal(code, 0, stderr + stdout);
  return stdout;
};

describe('dockgate plugin, for authors', () => {
  it('new makes a folder whose cases pass, try shows a denial and what changes, add pins it in the settings', async () => {
    await must('plugin', 'new', 'owner-label');
    assert.match(await must('plugin', 'test', 'owner-label'), /3 passed, 0 failed/);
    const request = (file: string, body: object) => {
      writeFileSync(join(dir, file), JSON.stringify({ method: 'POST', target: '/containers/create', body }));
      return ['plugin', 'try', 'owner-label', '--request', file] as const;
    };
    const denied = await cli(...request('denied.json', { Image: 'busybox' }));
    assert.equal(denied.code, 1);
    assert.match(denied.stdout, /DENIES {2}container\.create .*\n.*Labels\.owner must be set/);
    assert.match(
      await must(...request('passes.json', { Image: 'busybox', Labels: { owner: 'me' } })),
      /passes {2}container\.create/,
    );
    const settings = join(dir, 'dockgate.yaml');
    writeFileSync(settings, 'engine: unix:///nowhere.sock # kept\n');
    await must('plugin', 'add', 'owner-label', '--config', settings);
    await must('plugin', 'add', 'owner-label', '--config', settings);
    const text = readFileSync(settings, 'utf8');
    assert.match(text, /# kept/);
    assert.equal(text.match(/use: \.\/owner-label/g)?.length, 1);
    assert.match(text, /sha256: [0-9a-f]{64}/);
    assert.equal((await cli('check', '--config', settings)).code, 0);
  });

  it('test says which case fails and why, and that a folder has no cases', async () => {
    await must('plugin', 'new', 'broken');
    const cases = join(dir, 'broken', 'cases.yaml');
    writeFileSync(cases, readFileSync(cases, 'utf8').replace('code: label-missing', 'code: other'));
    const { code, stdout } = await cli('plugin', 'test', 'broken');
    assert.equal(code, 1);
    assert.match(stdout, /FAIL a container without an owner: expected a denial other, and got a denial label-missing/);
    writeFileSync(cases, 'valid: [{ name: a, action: no.such }]\nsurplus: 1\n');
    assert.match((await cli('plugin', 'test', 'broken')).stderr, /cases\.yaml: .*surplus/);
  });

  it('add asks for what the plugin needs', async () => {
    const path = join(dir, 'needy.ts');
    writeFileSync(
      path,
      `export default { meta: { name: 'needy', version: '1', apiVersion: 1, description: '' }, match: { actions: ['*'] }, needs: { net: ['registry.example'] }, validate: () => ({ kind: 'pass' }) };`,
    );
    const { code, stderr } = await cli('plugin', 'add', 'needy.ts', '--config', join(dir, 'dockgate.yaml'));
    assert.equal(code, 2);
    assert.match(stderr, /needs net:registry\.example: name each with --grant/);
  });
});

describe('a plugin in a gateway', () => {
  let engine: Standin;
  let gateway: TestGateway;
  let ci: Api;
  const file = join(dir, 'guard.ts');
  const guard = (verdict: string) => `
import { definePlugin } from 'dockgate/plugin';
export default definePlugin({
  meta: { name: 'guard', version: '1.0.0', apiVersion: 1, description: 'of a test' },
  match: { actions: ['container.create'] },
  mutate: ({ body }) => [
    ...(body.HostConfig?.Privileged ? [{ op: 'replace', path: '/body/HostConfig/Privileged', value: false }] : []),
    ...(body.Labels?.team === undefined ? [{ op: 'add', path: '/body/Labels/team', value: 'red' }] : []),
    ...(body.Image === 'widen' ? [{ op: 'add', path: '/body/HostConfig/Privileged', value: true }] : []),
    ...(body.Image === 'unknown' ? [{ op: 'add', path: '/body/NoSuchField', value: true }] : []),
  ],
  validate: ({ body, query }) => ${verdict},
});`;
  const create = (body: Record<string, unknown>) => ci('POST', '/v1.44/containers/create', { body });
  const rowsOf = async (auditId: unknown) =>
    (await admin<{ events: AuditView[] }>(gateway, 'GET', `/audit/${String(auditId)}`)).events;

  before(async () => {
    engine = await startStandin(join(dir, 'engine.sock'));
    writeFileSync(
      file,
      guard(
        `body.Image === 'no' ? { kind: 'deny', code: 'not-ours', message: 'Image must be ours' } : { kind: 'pass' }`,
      ),
    );
    gateway = await startGateway({
      engine: join(dir, 'engine.sock'),
      unix: [{ name: 'ci', identity: 'ci' }],
      settings: { plugins: [{ use: file }] },
    });
    await admin(gateway, 'POST', '/identities', { name: 'ci', policies: ['baseline'] });
    ci = apiOver(join(gateway.dir, 'ci.sock'));
  });
  after(async () => {
    await gateway?.remove();
    await engine?.close();
  });

  it('policy judges what the plugin made of the call, and the audit says what was changed', async () => {
    const made = await create({ Image: 'busybox', HostConfig: { Privileged: true, NetworkMode: 'none' } });
    assert.equal(made.status, 201, made.text);
    const rows = await rowsOf(made.headers['dockgate-audit-id']);
    const intent = rows.find(({ stage }) => stage === 'intent');
    assert.deepEqual(intent?.detail?.changes, [
      {
        plugin: 'guard',
        changes: [
          { op: 'replace', path: '/body/HostConfig/Privileged', before: true, after: false },
          { op: 'add', path: '/body/Labels/team', after: 'red' },
        ],
      },
    ]);
    assert.equal(intent?.pluginGeneration, 1);
  });

  it('a plugin cannot widen: what it asks for, policy refuses as it refuses the caller', async () => {
    const made = await create({ Image: 'widen', HostConfig: { NetworkMode: 'none' } });
    assert.equal(made.status, 403);
    assert.match(made.text, /HostConfig\.Privileged/);
  });

  it('a field no engine reads is the plugin’s fault, not left out in silence', async () => {
    const made = await create({ Image: 'unknown' });
    assert.equal(made.status, 403);
    assert.match(made.text, /plugin/);
  });

  it('its denial names it, its code and the audit id', async () => {
    const made = await create({ Image: 'no' });
    assert.equal(made.status, 403);
    assert.match(made.text, /denied by plugin guard: Image must be ours \(not-ours\).*\[audit [0-9a-f-]{36}\]/);
  });

  it('a reload takes the new text over, and a broken one changes nothing and says where', async () => {
    writeFileSync(file, guard(`({ kind: 'pass' })`));
    await gateway.must('plugin', 'reload');
    assert.equal((await create({ Image: 'no' })).status, 404, 'the stand-in has no such image');
    writeFileSync(file, 'export default {\n  meta: {,\n};');
    const broken = await gateway.dockgate('plugin', 'reload');
    assert.notEqual(broken.code, 0);
    assert.match(broken.stderr, /guard\.ts:2/);
    assert.equal((await create({ Image: 'busybox', HostConfig: { NetworkMode: 'none' } })).status, 201);
    assert.match(await gateway.must('plugin', 'list'), /guard +1\.0\.0 +sandboxed/);
  });
});
