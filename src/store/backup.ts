// Backup and restore of a data folder. A backup is a folder: the three databases as they were at one moment, in which no row of the
// audit was on its way, and the keys beside them, but for the key that seals the signing keys; and a manifest that tells a whole one
// from a part of one. It is as secret as the data folder itself.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import Database from 'better-sqlite3';
import { GatewayError } from '../errors.ts';
import { makeDataDir } from './database.ts';
import { markOlder } from './ledger-file.ts';

/** Within the data folder, where backups are put unless another place is named. */
export const BACKUPS = 'backups';
const MANIFEST = 'backup.json';
const FORMAT = 1;
const DATABASES = ['audit.db', 'ledger.db', 'state.db'] as const;
/** Keys and certificates are far smaller; a larger file is none. In bytes. */
const MAX_FILE = 1024 * 1024;
/** Of the running process alone; and the key that seals the signing keys, which is kept apart from them. */
const TRANSIENT = /^(?:.*\.db(?:-wal|-shm|-journal|\.checkpoint)?|lock\..*|.*\.sock|reserve.*|seal\.key|\..*)$/;
/** Rows that a gateway which was killed left beside audit.db; a running one has them in audit.db when a backup begins. */
const READS_LEFT = /^audit\.db-reads[01]$/;
/** Pages copied in one turn of the event loop: other calls go on between. */
const PAGES = 256;

export interface BackupManifest {
  readonly format: number;
  /** Version of the program that made it. */
  readonly version: string;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly files: readonly { readonly name: string; readonly size: number; readonly sha256: string }[];
}

/** A backup that has begun: what it holds is fixed. `finish` copies it, and leaves nothing behind when it fails. */
export interface BegunBackup {
  finish(): Promise<BackupManifest>;
}

/**
 * Begins a backup of a data folder: it holds the present state, without the changes made while it is copied.
 *
 * @param into a folder that is not there yet
 * @param atRest runs its work, which does not wait, at a moment when no row is being written; left out where there is no writer
 * @throws {GatewayError} `conflict` when the folder is there, `storage-full`
 */
export async function beginBackup(
  dataDir: string,
  into: string,
  made: { readonly nowMs: number; readonly version: string },
  atRest?: <T>(work: () => T) => Promise<T>,
): Promise<BegunBackup> {
  if (existsSync(into)) throw new GatewayError('conflict', `${into} is there already: name a folder that is not`);
  const part = `${into}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true, mode: 0o700 });
  const open: { readonly name: string; readonly sqlite: Database.Database }[] = [];
  const giveUp = (error: unknown): never => {
    for (const { sqlite } of open) sqlite.close();
    rmSync(part, { recursive: true, force: true });
    if (/ENOSPC|SQLITE_FULL/.test(String((error as { code?: string }).code))) {
      throw new GatewayError('storage-full', 'there is no space for the backup', { cause: error });
    }
    throw error;
  };
  try {
    for (const name of DATABASES) {
      if (existsSync(join(dataDir, name)))
        open.push({ name, sqlite: new Database(join(dataDir, name), { readonly: true }) });
    }
    // From here on each connection sees its database as it is in this very turn of the event loop.
    const look = () => {
      for (const { sqlite } of open) {
        sqlite.exec('BEGIN');
        sqlite.prepare('SELECT count(*) FROM sqlite_master').get();
      }
    };
    if (atRest === undefined) look();
    else await atRest(look);
    const isRunning = atRest !== undefined;
    for (const name of keyFiles(dataDir).filter((file) => !isRunning || !READS_LEFT.test(file)))
      copyFileSync(join(dataDir, name), join(part, name));
  } catch (error) {
    giveUp(error);
  }
  const copy = async (): Promise<BackupManifest> => {
    for (const { name, sqlite } of open) {
      await sqlite.backup(join(part, name), { progress: () => PAGES });
      settleCopy(join(part, name));
    }
    const manifest: BackupManifest = {
      format: FORMAT,
      version: made.version,
      at: new Date(made.nowMs).toISOString(),
      files: readdirSync(part)
        .sort()
        .map((name) => ({ name, ...digestOf(join(part, name)) })),
    };
    writeFileSync(join(part, MANIFEST), `${JSON.stringify(manifest, undefined, 2)}\n`);
    for (const name of readdirSync(part)) chmodSync(join(part, name), 0o600);
    renameSync(part, into);
    for (const { sqlite } of open) sqlite.close();
    return manifest;
  };
  return { finish: () => copy().catch(giveUp) };
}

/** The copy as one file, whole by itself. */
function settleCopy(file: string): void {
  const copy = new Database(file);
  try {
    copy.pragma('journal_mode = DELETE');
    const check = copy.pragma('quick_check(1)', { simple: true });
    if (check !== 'ok') throw new GatewayError('store-corrupt', `${basename(file)} is damaged: ${String(check)}`);
  } finally {
    copy.close();
  }
}

const keyFiles = (dataDir: string): string[] =>
  readdirSync(dataDir).filter((name) => {
    const found = lstatSync(join(dataDir, name));
    return found.isFile() && found.size <= MAX_FILE && !TRANSIENT.test(name);
  });

function digestOf(file: string): { size: number; sha256: string } {
  return { size: statSync(file).size, sha256: createHash('sha256').update(readFileSync(file)).digest('hex') };
}

/**
 * Puts a backup in the place of a data folder. The former files are moved to `replaced-TIME` within it. The gateway is told: at its next
 * start objects made since the backup are looked for before a tenant is served.
 *
 * @param dataDir a folder no gateway runs on; held by the caller
 * @returns the manifest, and where the old files are
 * @throws {GatewayError} `input-invalid` for a folder that is no whole backup, `conflict` when there is something to replace
 */
export function restoreBackup(
  from: string,
  dataDir: string,
  options: { readonly replace: boolean; readonly nowMs: number },
): { readonly manifest: BackupManifest; readonly replaced: string | undefined } {
  const manifest = readManifest(from);
  makeDataDir(dataDir);
  const old = readdirSync(dataDir).filter((name) => {
    return lstatSync(join(dataDir, name)).isFile() && !/^lock\.|\.sock$|^seal\.key$/.test(name);
  });
  if (old.length > 0 && !options.replace) {
    throw new GatewayError('conflict', `${dataDir} holds data already: --replace moves it aside, nothing is deleted`);
  }
  const replaced = old.length === 0 ? undefined : join(dataDir, `replaced-${stampOf(options.nowMs)}`);
  if (replaced !== undefined) {
    mkdirSync(replaced, { mode: 0o700 });
    for (const name of old) renameSync(join(dataDir, name), join(replaced, name));
  }
  for (const { name } of manifest.files) {
    copyFileSync(join(from, name), join(dataDir, name));
    chmodSync(join(dataDir, name), 0o600);
  }
  markOlder(join(dataDir, 'state.db'));
  return { manifest, replaced };
}

/** `20260301T180000Z`: names a folder by a moment. */
export const stampOf = (ms: number): string => new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '');

function readManifest(from: string): BackupManifest {
  const refuse = (why: string, cause?: unknown) =>
    new GatewayError('input-invalid', `${from} is no whole backup: ${why}`, { cause });
  let manifest: BackupManifest;
  try {
    manifest = JSON.parse(readFileSync(join(from, MANIFEST), 'utf8')) as BackupManifest;
  } catch (cause) {
    throw refuse(`${MANIFEST} cannot be read`, cause);
  }
  if (manifest.format !== FORMAT || !Array.isArray(manifest.files)) {
    throw refuse(`${MANIFEST} is of a form this program does not know`);
  }
  for (const { name, size, sha256 } of manifest.files) {
    if (typeof name !== 'string' || basename(name) !== name || name.startsWith('.'))
      throw refuse('a file has a strange name');
    const file = join(from, name);
    if (!existsSync(file)) throw refuse(`${name} is missing`);
    const found = digestOf(file);
    if (found.size !== size || found.sha256 !== sha256) throw refuse(`${name} is not as it was written`);
  }
  if (!manifest.files.some(({ name }) => name === 'state.db')) throw refuse('state.db is missing');
  return manifest;
}
