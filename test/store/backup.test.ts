// dockgate backup and restore with the real program: while callers create and are killed, after kill -9, and what a file copied alone
// is worth. The engine is a scripted STAND-IN that remembers what it made.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import Database from 'better-sqlite3';
import { openAuditReader, verifyChain } from '../../src/store/audit-reader.ts';
import { admin } from '../support/admin.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';
import { startTwoTenants, type TwoTenants } from '../support/tenants.ts';
import { until } from '../support/until.ts';

const body = { Image: 'busybox:1' };

describe('dockgate backup and restore', () => {
  let engine: ScriptedEngine;
  let two: TwoTenants;
  let folder = '';
  const made = new Map<string, object>();
  before(async () => {
    engine = await startScriptedEngine(async (r) => {
      const json = (value: unknown, status = 200): void =>
        r.answer(status, JSON.stringify(value), ['Content-Type: application/json']);
      if (r.target.includes('/events')) return;
      if (r.target.endsWith('/version')) {
        json({ ApiVersion: '1.47', MinAPIVersion: '1.24', Components: [{ Name: 'Engine', Version: '27.0' }] });
        return;
      }
      if (r.target.includes('/containers/create')) {
        const { Labels } = JSON.parse((await r.body).toString()) as { Labels: object };
        const Id = randomBytes(32).toString('hex');
        const name = new URL(`http://e${r.target}`).searchParams.get('name') ?? '';
        made.set(Id, {
          Id,
          Names: [`/${name}`],
          Name: `/${name}`,
          Labels,
          Config: { Labels },
          Mounts: [],
          HostConfig: {},
          State: {},
          ImageID: 'sha256:1',
        });
        json({ Id, Warnings: [] }, 201);
      } else if (r.target.includes('/containers/json')) json([...made.values()]);
      else if (/\/containers\/[0-9a-f]{64}\/json/.test(r.target)) {
        const found = made.get(/[0-9a-f]{64}/.exec(r.target)?.[0] ?? '');
        json(found ?? { message: 'No such container' }, found === undefined ? 404 : 200);
      } else if (r.target.includes('/images/json')) json([]);
      else if (r.target.includes('/images/'))
        json({ Id: 'sha256:1', RepoTags: ['busybox:1'], RepoDigests: [], Config: {} });
      else if (r.target.includes('/volumes')) json({ Volumes: [] });
      else if (/\/(services|secrets|configs)/.test(r.target)) json({ message: 'no swarm' }, 503);
      else json([]);
    });
  });
  after(async () => engine?.close());
  beforeEach(async () => {
    made.clear();
    folder = mkdtempSync(join(tmpdir(), 'dg-backup-'));
    two = await startTwoTenants('operator', { engine: engine.address.path as string });
  });
  afterEach(async () => {
    await two.gateway.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const data = (): string => join(two.gateway.dir, 'data');
  const create = async (name: string): Promise<number> =>
    (await two.alice('POST', `/v1.44/containers/create?name=${name}`, { body })).status;
  const seen = async (api: TwoTenants['alice'], name: string): Promise<number> =>
    (await api('GET', `/v1.44/containers/${name}/json`)).status;
  const rowsOf = (at: string) => {
    const reader = openAuditReader(join(at, 'audit.db'));
    try {
      return reader.list({ limit: 100_000 });
    } finally {
      reader.close();
    }
  };

  it('copies state, ledger and audit of one moment while callers create, and every acknowledged call is in it', async () => {
    let stop = false;
    let n = 0;
    const acknowledged: string[] = [];
    const work = Array.from({ length: 6 }, async () => {
      while (!stop) {
        const name = `load-${n++}`;
        if ((await create(name)) === 201) acknowledged.push(name);
      }
    });
    await until('some load', () => acknowledged.length > 20);
    const to = join(folder, 'one');
    const before = [...acknowledged];
    const shown = await two.gateway.must('backup', '--to', to);
    stop = true;
    await Promise.all(work);
    assert.match(shown, /ledger\.db/);
    assert.ok(acknowledged.length > before.length, 'callers went on meanwhile');
    const copy = join(folder, 'read');
    cpSync(to, copy, { recursive: true });
    const rows = rowsOf(copy);
    assert.equal(verifyChain(join(copy, 'audit.db')).ok, true);
    const ledger = new Database(join(copy, 'ledger.db'));
    const owned = new Map(
      (
        ledger.prepare('SELECT name, audit_id, state FROM ledger_object').all() as {
          name: string;
          audit_id: string;
          state: string;
        }[]
      ).map((one) => [one.name, one]),
    );
    ledger.close();
    for (const name of before) assert.ok(owned.has(name), `${name} is in the ledger`);
    const creates = rows.filter(({ action, stage }) => action === 'container.create' && stage === 'intent');
    assert.deepEqual(
      creates.map(({ auditId }) => auditId).filter((id) => ![...owned.values()].some((one) => one.audit_id === id)),
      [],
      'each intent of the audit has its entry in the ledger',
    );
    assert.deepEqual(
      [...owned.values()]
        .map(({ audit_id }) => audit_id)
        .filter((id) => !creates.some(({ auditId }) => auditId === id)),
      [],
      'and each entry its intent',
    );
    assert.equal(statSync(to).mode & 0o077, 0, 'for its owner alone');
    assert.deepEqual(readdirSync(join(data(), 'backups')), [], 'and not twice on the disk');
  });

  it('a backup is put back into the place of what was lost, and finds what was made since', async () => {
    assert.equal(await create('old'), 201);
    const to = join(folder, 'one');
    await two.gateway.must('backup', '--to', to);
    assert.equal(await create('since'), 201);
    await two.gateway.stop('SIGKILL');
    for (const file of readdirSync(data())) if (/\.db/.test(file)) rmSync(join(data(), file));
    const refused = await two.gateway.dockgate('restore', to);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /--replace/);
    const shown = await two.gateway.must('restore', to, '--replace');
    assert.match(shown, /what was there is in .*replaced-/);
    await two.gateway.restart();
    assert.deepEqual([await seen(two.alice, 'old'), await seen(two.alice, 'since')], [200, 200]);
    assert.deepEqual([await seen(two.bob, 'old'), await seen(two.bob, 'since')], [404, 404]);
    assert.match(two.gateway.log(), /older copy/);
  });

  it('a backup is made of a folder whose gateway was killed, and not beside one that runs', async () => {
    assert.equal(await create('mine'), 201);
    const beside = await two.gateway.dockgate('backup', '--stopped', '--to', join(folder, 'x'));
    assert.notEqual(beside.code, 0);
    assert.match(beside.stderr, /already runs a gateway/);
    await two.gateway.stop('SIGKILL');
    await two.gateway.must('backup', '--stopped', '--to', join(folder, 'dead'));
    await two.gateway.must('restore', join(folder, 'dead'), '--replace');
    await two.gateway.restart();
    assert.deepEqual([await seen(two.alice, 'mine'), await seen(two.bob, 'mine')], [200, 404]);
  });

  it('dockgate restore refuses a backup that is not whole, and touches nothing then', async () => {
    await two.gateway.must('backup', '--to', join(folder, 'one'));
    await two.gateway.stop();
    const harms: readonly (readonly [string, (at: string) => void])[] = [
      ['missing', (at) => rmSync(join(at, 'state.db'))],
      ['not as it was written', (at) => writeFileSync(join(at, 'audit.db'), 'other')],
      ['cannot be read', (at) => writeFileSync(join(at, 'backup.json'), '{')],
      ['form', (at) => writeFileSync(join(at, 'backup.json'), '{"format":9}')],
      [
        'strange name',
        (at) => writeFileSync(join(at, 'backup.json'), '{"format":1,"files":[{"name":"../x","size":1,"sha256":""}]}'),
      ],
    ];
    for (const [why, harm] of harms) {
      const at = join(folder, `harm-${why.replaceAll(' ', '-')}`);
      cpSync(join(folder, 'one'), at, { recursive: true });
      harm(at);
      const before = readdirSync(data()).sort();
      const ran = await two.gateway.dockgate('restore', at, '--replace');
      assert.equal(ran.code, 1, why);
      assert.match(ran.stderr, new RegExp(why));
      assert.deepEqual(readdirSync(data()).sort(), before, why);
    }
  });

  it('state.db copied alone holds what was acknowledged a moment before, and its tenants wait for their ledger', async () => {
    await admin(two.gateway, 'POST', '/identities', { name: 'late', policies: ['reader'] });
    const copy = join(folder, 'state.db');
    const names = await until('the file alone to be whole', () => {
      copyFileSync(join(data(), 'state.db'), copy);
      const sqlite = new Database(copy);
      try {
        assert.ok(
          sqlite.prepare("SELECT 1 FROM sqlite_master WHERE name = 'identity'").get(),
          'never without its tables',
        );
        const found = sqlite.prepare('SELECT name FROM identity ORDER BY name').pluck().all() as string[];
        return found.includes('late') ? found : undefined;
      } finally {
        sqlite.close();
      }
    });
    assert.deepEqual(names, ['alice', 'bob', 'late', 'root']);
    for (const file of ['audit.db', 'ledger.db'])
      await until(
        `${file} to be whole`,
        () => !existsSync(join(data(), `${file}-wal`)) || statSync(join(data(), file)).size > 4096,
      );
    mkdirSync(join(folder, 'alone'));
    assert.equal(await create('mine'), 201);
    await two.gateway.stop('SIGKILL');
    for (const file of readdirSync(data())) if (/^(audit|ledger|state)\.db/.test(file)) rmSync(join(data(), file));
    copyFileSync(copy, join(data(), 'state.db'));
    await two.gateway.restart();
    assert.deepEqual([await seen(two.alice, 'mine'), await seen(two.bob, 'mine')], [200, 404]);
    assert.match(two.gateway.log(), /ledger\.db was lost/);
  });
});
