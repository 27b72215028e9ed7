// Where the commands that read the audit ask: a gateway, or a database named with --file, which is read in this process by the same code.
import type { Command } from 'commander';
import type { AdminClient } from '../../client.ts';
import { usageError } from '../../output.ts';
import { gatewayOf } from '../common.ts';
import { logFileOf } from './seals.ts';

export type AuditClient = Pick<AdminClient, 'call'>;

/** Adds the option that names a database. */
export const fromFile = (command: Command): Command =>
  command.option('--file <file>', 'ask an audit.db, or one from dockgate audit import, instead of a gateway');

/** @throws {CliError} for a gateway that cannot be found, or a file that is not there */
export async function askedBy(command: Command): Promise<AuditClient> {
  const { file, mine } = command.opts<{ file?: string; mine?: boolean }>();
  if (file === undefined) return gatewayOf(command);
  if (mine === true) throw usageError('--mine is for a gateway: a file knows no caller');
  const found = await logFileOf(command, file);
  const { auditOfFile } = await import('../../audit-file.ts');
  const { told } = await import('../../client.ts');
  const ask = auditOfFile(found as string);
  return {
    async call<T>(_method: string, path: string): Promise<T> {
      const { status, text } = await ask(path);
      if (status >= 300) throw told(status, text);
      return JSON.parse(text) as T;
    },
  };
}
