// dockgate backup and restore: the data folder as it was at one moment, and putting such a one in its place.
import { cpSync, existsSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { Command } from 'commander';
import { VERSION } from '../../version.ts';
import { print, printJson, table, usageError } from '../output.ts';
import { examples, gatewayOf, optionsOf } from './common.ts';

interface Done {
  readonly folder: string;
  readonly at: string;
  readonly files: readonly { readonly name: string; readonly size: number }[];
}

const doneText = ({ folder, at, files }: Done): string =>
  `${folder}: the data as it was at ${at}; as secret as the data folder itself\n${table(
    ['FILE', 'BYTES'],
    files.map(({ name, size }) => [name, String(size)]),
  )}`;

/** The data folder the options name: `--data`, or that of the settings. */
export async function dataDirOf(command: Command): Promise<string> {
  const options = optionsOf(command);
  const data = options.data ?? (options.config === undefined ? process.env.DOCKGATE_DATA : undefined);
  if (data !== undefined) return resolve(data);
  const config =
    options.config ?? process.env.DOCKGATE_CONFIG ?? (existsSync('dockgate.yaml') ? 'dockgate.yaml' : undefined);
  if (config === undefined) return resolve('data');
  const { loadConfig } = await import('../../config/config.ts');
  return loadConfig(config).data;
}

const backup = (): Command =>
  new Command('backup')
    .description(
      'copy the data folder as it is at one moment: state, ledger, audit and keys, but not seal.key; the gateway may be running',
    )
    .option('--to <folder>', 'where to put it; default: a folder of its own in backups/ of the data folder')
    .option('--stopped', 'the gateway does not run: read the data folder itself')
    .addHelpText(
      'after',
      examples(
        'dockgate backup',
        'dockgate backup --to /backup/dockgate-monday',
        'dockgate backup --stopped --data ./data',
      ),
    )
    .action(async ({ to, stopped }: { to?: string; stopped?: true }, command: Command) => {
      if (to !== undefined && existsSync(to)) throw usageError(`${to} is there already: name a folder that is not`);
      const done = stopped === true ? await backupStopped(command, to) : await backupRunning(command, to);
      return optionsOf(command).json ? printJson(done) : print(doneText(done));
    });

async function backupRunning(command: Command, to: string | undefined): Promise<Done> {
  const done = await (await gatewayOf(command)).call<Done>('POST', '/backup', {});
  if (to === undefined) return done;
  const folder = resolve(to);
  try {
    renameSync(done.folder, folder);
  } catch {
    // Another disk. The copy comes under its name once it is whole.
    cpSync(done.folder, `${folder}.part`, { recursive: true });
    renameSync(`${folder}.part`, folder);
    rmSync(done.folder, { recursive: true });
  }
  return { ...done, folder };
}

async function backupStopped(command: Command, to: string | undefined): Promise<Done> {
  const { BACKUPS, beginBackup, stampOf } = await import('../../store/backup.ts');
  const { lockDataDir } = await import('../../store/lock.ts');
  const data = await dataDirOf(command);
  if (!existsSync(join(data, 'state.db'))) throw usageError(`${data} holds no state.db: there is nothing to copy`);
  const lock = lockDataDir(data);
  try {
    const folder = to === undefined ? join(data, BACKUPS, stampOf(Date.now())) : resolve(to);
    const { at, files } = await (await beginBackup(data, folder, { nowMs: Date.now(), version: VERSION })).finish();
    return { folder, at, files };
  } finally {
    lock.release();
  }
}

const restore = (): Command =>
  new Command('restore')
    .description('put a backup in the place of the data folder of a gateway that is stopped')
    .argument('<backup>', 'folder that dockgate backup made')
    .option('--replace', 'move what is in the data folder aside, into a folder replaced-TIME within it')
    .addHelpText(
      'after',
      `${examples('dockgate restore /backup/dockgate-monday --data ./data --replace')}\n
A seal.key in the data folder stays; on another machine put it there, or give DOCKGATE_SEAL_KEY. Tokens, policies and revocations are those of the backup: revoke again what was revoked since. At its next start the gateway looks for
objects that tenants made since, and closes images without a known owner until tenant adopt or tenant release.`,
    )
    .action(async (from: string, { replace }: { replace?: true }, command: Command) => {
      const { restoreBackup } = await import('../../store/backup.ts');
      const { lockDataDir } = await import('../../store/lock.ts');
      const data = await dataDirOf(command);
      const lock = lockDataDir(data);
      try {
        const done = restoreBackup(resolve(from), data, { replace: replace === true, nowMs: Date.now() });
        if (optionsOf(command).json) return await printJson({ data, replaced: done.replaced, at: done.manifest.at });
        await print(`${data} holds the data of ${done.manifest.at}`);
        if (done.replaced !== undefined) await print(`what was there is in ${done.replaced}`);
      } finally {
        lock.release();
      }
    });

export const backupCommands = (): Command[] => [backup(), restore()];
