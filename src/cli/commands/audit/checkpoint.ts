// dockgate audit checkpoint and public-key: what is kept elsewhere, to prove the log with later.
import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { CliError, print, printJson } from '../../output.ts';
import { examples, gatewayOf, optionsOf } from '../common.ts';
import { logFileOf } from './seals.ts';

/** Prints a text, or writes it to a file that is not there yet or may be replaced. */
export async function give(text: string, out: string | undefined): Promise<void> {
  if (out === undefined) return print(text.replace(/\n$/, ''));
  writeFileSync(out, text);
}

export const auditCheckpoint = (): Command =>
  new Command('checkpoint')
    .description('sign the log as it is now, and print the checkpoint to keep elsewhere')
    .option('--out <file>', 'write it to a file')
    .option('--file <file>', 'print the newest checkpoint in an audit.db; no gateway is needed')
    .addHelpText(
      'after',
      `${examples('dockgate audit checkpoint --out monday.txt', 'dockgate audit checkpoint --file copy/audit.db')}\n
With it you can show later that rows up to it are there and unchanged: dockgate audit verify --checkpoint FILE`,
    )
    .action(async ({ out, file }: { out?: string; file?: string }, command: Command) => {
      const note = file === undefined ? await signed(command) : await stored(command, file);
      if (optionsOf(command).json && out === undefined) return printJson({ checkpoint: note });
      return give(note, out);
    });

const signed = async (command: Command): Promise<string> =>
  (await (await gatewayOf(command)).call<{ checkpoint: string }>('GET', '/audit/checkpoint')).checkpoint;

async function stored(command: Command, file: string): Promise<string> {
  const { newestCheckpoint } = await import('../../../store/audit-proof.ts');
  const note = newestCheckpoint((await logFileOf(command, file)) ?? file);
  if (note === undefined) throw new CliError(`${file} has no checkpoint`);
  return note;
}

export const auditPublicKey = (): Command =>
  new Command('public-key')
    .description('print the public key the log is signed with, for those who verify it elsewhere')
    .option('--out <file>', 'write it to a file')
    .option('--file <file>', 'that of an audit.db; no gateway is needed')
    .addHelpText('after', examples('dockgate audit public-key --out audit.pub'))
    .action(async ({ out, file }: { out?: string; file?: string }, command: Command) => {
      let key: string;
      if (file === undefined)
        key = (await (await gatewayOf(command)).call<{ publicKey: string }>('GET', '/audit/public-key')).publicKey;
      else {
        const { publicKeysOf } = await import('../../../store/audit-proof.ts');
        key = publicKeysOf((await logFileOf(command, file)) ?? file);
      }
      if (key === '') throw new CliError('the log was not signed yet');
      if (optionsOf(command).json && out === undefined) return printJson({ publicKeys: key.split('\n') });
      return give(`${key}\n`, out);
    });
