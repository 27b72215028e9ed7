// The store's contract on disk and in memory, and what only a file can show: rights, remembering, damage, versions.
import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import Database from 'better-sqlite3';
import { openStore } from '../../src/store/open.ts';
import { openRecorder } from '../../src/store/recorder.ts';
import { alice, NOW, storeContract, tokenOf } from './contract.ts';

const inFolder = (body: (folder: string) => void | Promise<void>) => async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-store-'));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

storeContract('a store on disk', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-store-'));
  return { store: openStore(folder), done: () => rmSync(folder, { recursive: true, force: true }) };
});
storeContract('a store in memory', () => ({ store: openStore(':memory:'), done() {} }));

const fault = (code: string, message: RegExp) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, code);
  assert.match((error as Error).message, message);
  return true;
};

describe('openStore()', () => {
  it(
    'finds everything as it was',
    inFolder((folder) => {
      const first = openStore(folder);
      first.identities.insert(alice);
      first.tokens.insert(tokenOf('t1', 'alice', { scope: ['image.*'] }));
      first.policies.apply([{ kind: 'Policy', name: 'p', source: 'x' }], 'op', NOW);
      first.settings.set('key', 'value');
      first.close();
      const second = openStore(folder);
      assert.deepEqual(second.identities.list(), [alice]);
      assert.deepEqual(second.tokens.get('t1')?.scope, ['image.*']);
      assert.equal(second.policies.current().revision, 1);
      assert.equal(second.settings.get('key'), 'value');
      second.close();
    }),
  );
  it(
    'makes the folder and its files readable by their owner alone, also where they were open to others',
    inFolder((folder) => {
      const data = join(folder, 'new', 'data');
      openStore(data).close();
      assert.equal(statSync(data).mode & 0o777, 0o700);
      assert.equal(statSync(join(data, 'state.db')).mode & 0o777, 0o600);
      chmodSync(data, 0o755);
      chmodSync(join(data, 'state.db'), 0o644);
      const store = openStore(data);
      store.settings.set('a', 'b');
      assert.equal(statSync(data).mode & 0o777, 0o700);
      assert.equal(statSync(join(data, 'state.db')).mode & 0o777, 0o600);
      assert.equal(statSync(join(data, 'state.db-wal')).mode & 0o777, 0o600);
      store.close();
    }),
  );

  const damages: readonly [string, (file: string) => void][] = [
    [
      'holds something else',
      (file) => writeFileSync(file, 'this is not a database, and long enough to be seen as none\n'.repeat(50)),
    ],
    ['has a broken header', (file) => patch(file, 0, 'NOT A DATABASE!!')],
    ['lost its second half', (file) => writeFileSync(file, readFileSync(file).subarray(0, statSync(file).size / 2))],
    ['has a page of zeros', (file) => patch(file, 4096, '\0'.repeat(4096))],
    ['has a page of noise', (file) => patch(file, 8192, '\x9f\x03\xff'.repeat(1365))],
  ];
  for (const [what, damage] of damages) {
    it(
      `refuses a file that ${what}, names it, says what to do, and leaves it as it is`,
      inFolder((folder) => {
        const store = openStore(folder);
        for (let i = 0; i < 200; i++) store.identities.insert({ ...alice, name: `identity-${i}` });
        store.close();
        const file = join(folder, 'state.db');
        damage(file);
        const before = readFileSync(file);
        assert.throws(
          () => openStore(folder),
          fault('store-corrupt', /state\.db is damaged \(.+\): restore it from a backup/),
        );
        assert.deepEqual(readFileSync(file), before);
      }),
    );
  }
  it(
    'refuses a file of a newer version and names both versions; the same file without the newer step opens',
    inFolder((folder) => {
      openStore(folder).close();
      const file = join(folder, 'state.db');
      copyFileSync(file, `${file}.old`);
      const raw = new Database(file);
      raw.exec("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('x', 4102444800000)");
      const count = (raw.prepare('SELECT count(*) AS n FROM __drizzle_migrations').get() as { n: number }).n;
      raw.close();
      assert.throws(
        () => openStore(folder),
        fault(
          'store-newer',
          new RegExp(
            `state\\.db was written by a newer dockgate \\(its schema is ${count}, this program knows ${count - 1}\\)`,
          ),
        ),
      );
      copyFileSync(`${file}.old`, file);
      openStore(folder).close();
    }),
  );
  it(
    'says that a folder cannot be used when its place is taken by a file',
    inFolder((folder) => {
      writeFileSync(join(folder, 'data'), 'x');
      assert.throws(
        () => openStore(join(folder, 'data')),
        fault('config-invalid', /the data folder .*data cannot be used/),
      );
      assert.equal(readFileSync(join(folder, 'data'), 'utf8'), 'x');
    }),
  );
  it(
    'says that a database cannot be opened when its place is taken by a folder',
    inFolder((folder) => {
      mkdirSync(join(folder, 'state.db'));
      assert.throws(() => openStore(folder), fault('config-invalid', /state\.db cannot be opened/));
    }),
  );
  it(
    'a migration that fails leaves the file as it was',
    inFolder((folder) => {
      const file = join(folder, 'state.db');
      const raw = new Database(file);
      // Another program's table stands where a migration wants to make one.
      raw.exec('CREATE TABLE token (x)');
      raw.close();
      assert.throws(() => openStore(folder), fault('store-corrupt', /token.* already exists/));
      const again = new Database(file);
      const names = again.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all();
      again.close();
      assert.deepEqual(
        names.filter((name) => name !== '__drizzle_migrations'),
        ['token'],
      );
    }),
  );
});

describe('openRecorder()', () => {
  it(
    'refuses a damaged audit log and says that the file is evidence',
    inFolder(async (folder) => {
      const file = join(folder, 'audit.db');
      writeFileSync(file, 'no database at all, only words\n'.repeat(200));
      await assert.rejects(
        openRecorder(file),
        fault('store-corrupt', /audit log .*audit\.db is damaged .*keep audit\.db\*/),
      );
      assert.ok(existsSync(file));
    }),
  );
  it(
    'refuses an audit log of a newer version',
    inFolder(async (folder) => {
      const file = join(folder, 'audit.db');
      await (await openRecorder(file)).close();
      const raw = new Database(file);
      raw.exec("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('x', 4102444800000)");
      raw.close();
      await assert.rejects(openRecorder(file), fault('store-newer', /audit\.db was written by a newer dockgate/));
    }),
  );
});

function patch(file: string, at: number, text: string): void {
  const bytes = readFileSync(file);
  Buffer.from(text, 'latin1').copy(bytes, at);
  writeFileSync(file, bytes);
}
