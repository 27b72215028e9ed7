// dockgate audit import: segments of the archive, or those an auditor was given, back into a database for review.
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { print, printJson, table, usageError } from '../../output.ts';
import { examples, optionsOf } from '../common.ts';

interface ImportOptions {
  readonly out: string;
  readonly publicKey?: string;
}

const PROOFS = {
  signed: 'signed by the key given',
  'signed-by-its-own': 'signed by a key it brings along itself',
  none: 'nothing signed covers its end',
} as const;

export const auditImport = (): Command =>
  new Command('import')
    .description('read segments back into a database of their own, following their chain; needs no gateway')
    .argument('<segment...>', 'files of audit export or of the archive, oldest first')
    .requiredOption('--out <audit.db>', 'the database to make')
    .option('--public-key <file>', "the log's public key: a segment signed by another one is refused")
    .addHelpText(
      'after',
      examples(
        'dockgate audit import january.ndjson.gz --public-key audit.pub --out january.db',
        'dockgate audit import data/audit-archive/*.ndjson.gz --out old.db',
      ),
    )
    .action(async (files: readonly string[], options: ImportOptions, command: Command) => {
      const missing = [...files, ...(options.publicKey === undefined ? [] : [options.publicKey])].find(
        (file) => !existsSync(file),
      );
      if (missing !== undefined) throw usageError(`there is no file ${missing}`);
      const { importSegments } = await import('../../../store/segment-import.ts');
      const keys =
        options.publicKey === undefined
          ? []
          : readFileSync(options.publicKey, 'utf8')
              .split('\n')
              .filter((line) => line.trim() !== '');
      const done = await importSegments(files, resolve(options.out), keys);
      if (optionsOf(command).json) return printJson(done);
      await print(
        table(
          ['SEGMENT', 'FIRST', 'LAST', 'NEW ROWS', 'PROOF'],
          done.map(({ file, first, last, rows, proof }) => [
            ...[file, String(first), String(last), String(rows)],
            PROOFS[proof],
          ]),
        ),
      );
    });
