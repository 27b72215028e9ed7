// ledger.db beside state.db: what is taken over from an earlier version, and which ledger is not believed.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import Database from 'better-sqlite3';
import type { LedgerEntry } from '../../src/ledger/entry.ts';
import { LedgerWriter, type OpenedLedger, openLedger } from '../../src/store/ledger-file.ts';
import { encodeLedger } from '../../src/store/ledger-table.ts';
import { openRecorder } from '../../src/store/recorder.ts';

const NOW = 1_800_000_000_000;

const entry = (id: string): LedgerEntry => ({
  key: `${id}/0`,
  kind: 'container',
  id,
  name: `name-${id}`,
  tenant: 'red',
  owner: 'alice',
  auditId: id,
  state: 'live',
  createdAt: NOW,
});

class Folder {
  readonly dir = mkdtempSync(join(tmpdir(), 'dg-ledger-'));
  settings = new Map<string, string>();
  isUsed = false;
  at = (name: string): string => join(this.dir, name);
  open(): OpenedLedger {
    const pairing = {
      get: (key: string) => this.settings.get(key),
      set: (key: string, value: string) => void this.settings.set(key, value),
      isUsed: this.isUsed,
    };
    return openLedger(this.at('ledger.db'), this.at('audit.db'), pairing, NOW);
  }
  write(...ids: string[]): void {
    const writer = new LedgerWriter(this.at('ledger.db'));
    writer.write([encodeLedger(ids.map(entry))]);
    writer.close();
  }
  /** An audit.db as the version before had it. */
  async older(...ids: string[]): Promise<void> {
    await (await openRecorder(this.at('audit.db'), { thread: 'inline' })).close();
    const audit = new Database(this.at('audit.db'));
    audit.exec(`CREATE TABLE ledger_object (key TEXT PRIMARY KEY, kind TEXT, id TEXT, name TEXT, tenant TEXT, owner TEXT, token_id TEXT,
      audit_id TEXT, state TEXT, created_at INTEGER, removed_at INTEGER, replaced_by TEXT, parent TEXT, engine_created_at TEXT,
      is_pulled INTEGER, share TEXT, lease_until INTEGER, is_running INTEGER)`);
    for (const id of ids) {
      audit
        .prepare(
          "INSERT INTO ledger_object VALUES (?, 'container', ?, ?, 'red', 'alice', NULL, ?, 'live', ?, NULL, NULL, NULL, NULL, 0, NULL, NULL, 0)",
        )
        .run(`${id}/0`, id, `name-${id}`, id, NOW);
    }
    audit.close();
  }
  ids = (opened: OpenedLedger): string[] => opened.entries.map(({ id }) => id).sort();
}

const inFolder = (body: (folder: Folder) => void | Promise<void>) => async () => {
  const folder = new Folder();
  try {
    await body(folder);
  } finally {
    rmSync(folder.dir, { recursive: true, force: true });
  }
};

describe('openLedger()', () => {
  it(
    'begins empty and whole in a new data folder, and gives back what was written',
    inFolder((folder) => {
      assert.equal(folder.open().doubt, undefined);
      folder.write('a', 'b');
      folder.isUsed = true;
      const again = folder.open();
      assert.equal(again.doubt, undefined);
      assert.deepEqual(folder.ids(again), ['a', 'b']);
    }),
  );

  it(
    'takes the ledger over that an earlier version kept in audit.db, once',
    inFolder(async (folder) => {
      await folder.older('a', 'b');
      const first = folder.open();
      assert.equal(first.doubt, undefined);
      assert.deepEqual(folder.ids(first), ['a', 'b']);
      folder.write('c');
      assert.deepEqual(folder.ids(folder.open()), ['a', 'b', 'c']);
    }),
  );

  const doubts: readonly (readonly [string, RegExp, (folder: Folder) => void | Promise<void>])[] = [
    ['was removed', /was lost/, (f) => rmSync(f.at('ledger.db'))],
    ['was emptied', /was lost/, (f) => writeFileSync(f.at('ledger.db'), '')],
    [
      'belongs to another data folder',
      /another state\.db/,
      (f) => {
        const other = new Folder();
        other.open();
        copyFileSync(other.at('ledger.db'), f.at('ledger.db'));
        rmSync(other.dir, { recursive: true });
      },
    ],
    [
      'is an older copy',
      /older copy/,
      (f) => {
        copyFileSync(f.at('ledger.db'), f.at('kept'));
        f.open();
        copyFileSync(f.at('kept'), f.at('ledger.db'));
      },
    ],
  ];
  for (const [title, words, harm] of doubts) {
    it(
      `doubts a ledger that ${title}, until that is settled`,
      inFolder(async (folder) => {
        folder.open();
        folder.isUsed = true;
        await harm(folder);
        assert.match(folder.open().doubt ?? 'no doubt', words);
        const again = folder.open();
        assert.match(again.doubt ?? 'no doubt', words, 'a stop before it is settled ends no doubt');
        again.settled();
        assert.equal(folder.open().doubt, undefined);
      }),
    );
  }

  it(
    'doubts a data folder of an earlier version whose audit.db is gone or new',
    inFolder((folder) => {
      folder.isUsed = true;
      assert.match(folder.open().doubt ?? 'no doubt', /lost with audit\.db/);
    }),
  );

  it(
    'believes a ledger that was opened more often than state.db knows: it lacks nothing',
    inFolder((folder) => {
      folder.open();
      const before = new Map(folder.settings);
      folder.open();
      folder.settings = before;
      assert.equal(folder.open().doubt, undefined);
    }),
  );
});
