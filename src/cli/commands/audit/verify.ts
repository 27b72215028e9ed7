// dockgate audit verify: whether the log is what was written. Works on a file alone; a running gateway need not be asked.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { Command } from 'commander';
import type { AuditVerdict } from '../../../audit/seal/faults.ts';
import { EXIT, print, printJson, usageError, visible } from '../../output.ts';
import { collect, examples, gatewayOf, optionsOf } from '../common.ts';
import { logFileOf, readKeys, readText } from './seals.ts';

interface Options {
  readonly file?: string;
  readonly checkpoint?: readonly string[];
  readonly from?: string;
  readonly publicKey?: readonly string[];
}

interface Told extends AuditVerdict {
  /** Where the keys that were believed came from. */
  readonly keysFrom: string;
  /** Rows of reads that lie beside the file: a gateway that was killed writes them into the log at its next start. */
  readonly waiting?: number;
  /** Transcripts of sessions beside the file: so many are what was recorded, so many were not there to be looked at. */
  readonly transcripts?: { readonly whole: number; readonly notLookedAt: number };
}

const FROM_WORDS: Readonly<Record<string, string>> = {
  option: 'given with --public-key',
  'key-file': 'of the key file beside the log',
  log: 'FROM THE LOG ITSELF, so that an attacker who rewrote it may have replaced it: give --public-key',
  nowhere: 'none: give --public-key; without one a log that was written anew looks whole',
  gateway: 'of the gateway',
};

export const auditVerify = (): Command =>
  new Command('verify')
    .description('verify that the log is what was written, and say where it is not')
    .option(
      '--file <file>',
      'an audit.db, or the folder it is in; no gateway is needed. Default: that of the data folder',
    )
    .option('--checkpoint <file>', 'a checkpoint kept elsewhere: shows rows cut off the end; may be repeated', collect)
    .option('--from <seq>', 'begin at the newest checkpoint before this row')
    .option('--public-key <file>', 'public keys to believe, from dockgate audit public-key; may be repeated', collect)
    .addHelpText(
      'after',
      `${examples(
        'dockgate audit verify',
        'dockgate audit verify --file copy/audit.db --checkpoint monday.txt --public-key audit.pub',
        'dockgate audit verify --from 120000 --json',
      )}\n
Exit codes: 0 the log is whole, 1 it was altered, 2 wrong usage or a file that cannot be read
Kinds: edited, deleted, inserted, reordered, gap, truncated, rolled-back, missing-outcome, clock-backwards, wrong-log, other-key, unsigned`,
    )
    .action(async (options: Options, command: Command) => {
      const told = await verdictOf(options, command);
      process.exitCode = told.whole ? EXIT.ok : EXIT.failed;
      return optionsOf(command).json ? printJson(told) : print(textOf(told));
    });

async function verdictOf(options: Options, command: Command): Promise<Told> {
  const from = options.from === undefined ? undefined : Number(options.from);
  if (from !== undefined && !/^[1-9][0-9]{0,14}$/.test(options.from ?? ''))
    throw usageError(`--from "${options.from}" is no number of a row`);
  const file = await logFileOf(command, options.file);
  const outside = (options.checkpoint ?? []).map((one) => readText(one, '--checkpoint'));
  if (file === undefined) {
    if (outside.length > 0 || options.publicKey !== undefined)
      throw usageError('--checkpoint and --public-key are for a file: copy the audit.db and name it with --file');
    const query = from === undefined ? '' : `?from=${from}`;
    const verdict = await (await gatewayOf(command)).call<AuditVerdict>('GET', `/audit/verify${query}`);
    return { ...verdict, keysFrom: 'gateway' };
  }
  const { keysOf } = await import('../../../store/audit-proof.ts');
  const { verifyAudit } = await import('../../../store/audit-verify.ts');
  const { waitingReads } = await import('../../../store/read-journal.ts');
  const { verifyTranscripts } = await import('../../../store/transcript-verify.ts');
  const { HEAD_FILE } = await import('../../../store/audit-key.ts');
  // Beside a log in its data folder lies the newest checkpoint; a copy elsewhere has none.
  const head = join(dirname(file), HEAD_FILE);
  if (existsSync(head) && options.file === undefined) outside.push(readFileSync(head, 'utf8'));
  try {
    const known =
      options.publicKey === undefined
        ? keysOf(file)
        : { keys: options.publicKey.flatMap((one) => readKeys(one)), from: 'option' };
    const verdict = verifyAudit({
      file,
      keys: known.keys,
      outside,
      ...(from === undefined ? {} : { from }),
      mustBeSigned: options.publicKey !== undefined,
    });
    const waiting = waitingReads(file);
    // Of a log that is not even one, its rows tell nothing.
    const transcripts =
      verdict.origin === '' ? undefined : await verifyTranscripts(dirname(file), file, options.file === undefined);
    const faults = [...verdict.faults, ...(transcripts?.faults ?? [])];
    return {
      ...{ ...verdict, whole: faults.length === 0, faults },
      keysFrom: known.from,
      ...(waiting > 0 ? { waiting } : {}),
      ...(transcripts === undefined || (transcripts.checked === 0 && transcripts.notLookedAt === 0)
        ? {}
        : { transcripts: { whole: transcripts.checked, notLookedAt: transcripts.notLookedAt } }),
    };
  } catch (error) {
    if ((error as { code?: string }).code === 'input-invalid') throw usageError((error as Error).message);
    throw error;
  }
}

function textOf(told: Told): string {
  const { first, last, signedThrough, checkpoints, anchor, open, faults, origin, vouchedThrough, vouchedKeys } = told;
  const lines = faults.map(({ kind, seq, through, message }) =>
    visible(
      `${kind === 'other-key' ? 'NOT PROVED from' : 'ALTERED at'} row ${seq}${through === undefined ? '' : `, or at one up to ${through}`}: ${kind}: ${message}`,
    ),
  );
  if (told.whole)
    lines.push(last < first ? 'whole: the log has no rows' : `whole: rows ${first} to ${last} of ${origin}`);
  lines.push(
    checkpoints === 0
      ? 'signed: no row'
      : `signed: rows up to ${signedThrough}, ${checkpoints} checkpoints hold${last > signedThrough ? `; rows ${signedThrough + 1} to ${last} have no checkpoint yet` : ''}`,
    `public key: ${FROM_WORDS[told.keysFrom] ?? told.keysFrom}`,
  );
  if (vouchedThrough !== undefined)
    lines.push(
      `rows up to ${vouchedThrough} were signed with another key (${(vouchedKeys ?? []).join(', ')}), for which the present one vouches: that one was lost; with its public key kept elsewhere and --public-key for both, those rows are proved without it`,
    );
  if (anchor !== undefined) lines.push(`rows up to ${anchor} were exported and removed`);
  if (told.waiting !== undefined)
    lines.push(
      `rows of reads that are not in the log yet: ${told.waiting}; a running gateway writes them at once, a killed one at its next start`,
    );
  if (told.transcripts !== undefined && told.transcripts.whole > 0)
    lines.push(`transcripts: ${told.transcripts.whole} are what was recorded`);
  if (told.transcripts !== undefined && told.transcripts.notLookedAt > 0)
    lines.push(
      `transcripts: ${told.transcripts.notLookedAt} were not looked at, as there is no folder transcripts beside the log`,
    );
  if (open > 0) lines.push(`calls without an outcome so far: ${open}`);
  return lines.join('\n');
}
