// Room for what must be written on a full disk too: the end of rights. In state.db it is the write-ahead log itself, made longer
// than it needs to be and written over from its start. For audit and all else it is a file of no use but its size, which is given
// up then and made again when there is room.
import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type Database from 'better-sqlite3';

/** A revocation with its audit row takes some pages in two databases and their write-ahead logs. */
const BYTES = 512 * 1024;
/** Pages after which the log is written back into the database and begins anew. */
const WAL_PAGES = 64;
/** Twice that, with the frames' heads. */
const WAL_BYTES = 2 * WAL_PAGES * (4096 + 24);
/** How often a reserve that was given up is tried to be made again, in ms. */
const REFILL_MS = 60_000;

export interface Reserve {
  /** Gives the room up, at most once in a while. @returns false when there is none left */
  spend(): boolean;
  close(): void;
}

/** Sets the room aside, as soon as there is some. */
export function createReserve(file: string): Reserve {
  let isThere = false;
  const fill = (): void => {
    let handle: number | undefined;
    try {
      handle = openSync(file, 'w', 0o600);
      // Of bytes no file system can leave out or shrink.
      for (let at = 0; at < BYTES; ) at += writeSync(handle, randomBytes(BYTES - at));
      isThere = true;
    } catch {
      isThere = false;
      try {
        if (handle !== undefined) ftruncateSync(handle, 0);
      } catch {
        // The next try begins anew.
      }
    } finally {
      if (handle !== undefined) closeSync(handle);
    }
  };
  fill();
  const timer = setInterval(() => {
    if (!isThere) fill();
  }, REFILL_MS);
  timer.unref?.();
  return {
    spend() {
      if (!isThere) return false;
      isThere = false;
      try {
        closeSync(openSync(file, 'w'));
        return true;
      } catch {
        return false;
      }
    },
    close: () => clearInterval(timer),
  };
}

/** Lets small changes of a database be written without more room on the disk. */
export function keepRoomToWrite(file: string, sqlite: Database.Database): void {
  sqlite.pragma(`wal_autocheckpoint = ${WAL_PAGES}`);
  try {
    const wal = openSync(`${file}-wal`, 'a', 0o600);
    try {
      // SQLite reads its log up to the first invalid frame and ignores the bytes behind it.
      const missing = WAL_BYTES - fstatSync(wal).size;
      if (missing > 0) writeSync(wal, Buffer.alloc(missing));
    } finally {
      closeSync(wal);
    }
  } catch {
    // No room now: changes find some later or are told so.
  }
}
