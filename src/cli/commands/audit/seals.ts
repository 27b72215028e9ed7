// What the commands that prove something of the log share: reading keys and checkpoints from files, and which log is meant.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { decodeKey, type NoteKey } from '../../../audit/seal/note.ts';
import { usageError } from '../../output.ts';
import { dataDirOf } from '../backup.ts';
import { optionsOf } from '../common.ts';

/** Largest file of a key, a checkpoint or proofs that is read, in bytes. */
const MAX_FILE = 8 * 1024 * 1024;

/** A small text file. @throws {CliError} exit code 2 */
export function readText(file: string, what: string): string {
  try {
    if (statSync(file).size > MAX_FILE) throw new Error('it is too large');
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw usageError(`${what} ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Public keys in a file, one a line, as `dockgate audit public-key` prints them. @throws {CliError} exit code 2 */
export function readKeys(file: string): readonly NoteKey[] {
  const lines = readText(file, '--public-key')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const keys = lines.map(decodeKey).filter((key) => key !== undefined);
  if (keys.length === 0 || keys.length < lines.length)
    throw usageError(`--public-key ${file} holds a line that is no key: dockgate audit public-key prints them`);
  return keys;
}

/** The log of a command: `--file`, or that of the data folder; undefined for a gateway reached over HTTPS. */
export async function logFileOf(command: Command, file: string | undefined): Promise<string | undefined> {
  if (file !== undefined) {
    const found = existsSync(file) && statSync(file).isDirectory() ? join(file, 'audit.db') : file;
    if (!existsSync(found)) throw usageError(`--file ${file} is not there`);
    return resolve(found);
  }
  const { host, data, config } = optionsOf(command);
  if (host !== undefined || (process.env.DOCKGATE_HOST !== undefined && data === undefined && config === undefined))
    return undefined;
  const found = join(await dataDirOf(command), 'audit.db');
  if (!existsSync(found))
    throw usageError(`${found} is not there: name the log with --file, or the data folder with --data`);
  return found;
}
