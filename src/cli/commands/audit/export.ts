// dockgate audit export: a stretch of the log in a file, for an auditor or another program.
import { createWriteStream, existsSync, renameSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { Command } from 'commander';
import { EXPORT_FORMATS, type ExportFormat } from '../../../audit/export.ts';
import { CliError, print, printJson, usageError } from '../../output.ts';
import { examples, gatewayOf, optionsOf } from '../common.ts';
import { momentOf } from './filter.ts';

interface ExportOptions {
  readonly out: string;
  readonly since?: string;
  readonly until?: string;
  readonly format: string;
  readonly file?: string;
}

export const auditExport = (): Command =>
  new Command('export')
    .description('write a stretch of the log into a file: a segment that can be verified and read back, or events')
    .requiredOption('--out <file>', 'where to write it, compressed where the name ends with .gz')
    .option('--since <moment>', 'begin with what was made since 30d, yesterday, 2030-01-31 or an RFC 3339 time')
    .option('--until <moment>', 'end with what was made until then; a day counts to its end')
    .option('--format <format>', `${EXPORT_FORMATS.join(', ')}`, 'segment')
    .option('--file <audit.db>', 'read this database in place of a gateway: a copy, or one made by audit import')
    .addHelpText(
      'after',
      `${examples(
        'dockgate audit export --since 2030-01-01 --until 2030-01-31 --out january.ndjson.gz',
        'dockgate audit export --since 7d --format ocsf --out week.ndjson',
      )}\n
A segment goes on to the next signed checkpoint, which proves it. Reading is itself recorded.`,
    )
    .action(async (options: ExportOptions, command: Command) => {
      const format = EXPORT_FORMATS.find((one) => one === options.format);
      if (format === undefined)
        throw usageError(`--format "${options.format}" is none of ${EXPORT_FORMATS.join(', ')}`);
      const out = resolve(options.out);
      if (existsSync(out)) throw usageError(`${options.out} is there already: name a file that is not`);
      const times = {
        ...(options.since === undefined ? {} : { since: momentOf('since', options.since, 'start') }),
        ...(options.until === undefined ? {} : { until: momentOf('until', options.until, 'end') }),
      };
      const count = { lines: 0 };
      const lines =
        options.file === undefined ? ofGateway(command, format, times) : ofFile(resolve(options.file), format, times);
      await write(out, counted(lines, count));
      const events = format === 'segment' ? Math.max(0, count.lines - 2) : count.lines;
      if (optionsOf(command).json) await printJson({ file: out, format, rows: events });
      else await print(`${options.out}: ${events} rows`);
    });

type Times = { readonly since?: string; readonly until?: string };

async function* ofGateway(command: Command, format: ExportFormat, times: Times): AsyncGenerator<string> {
  const client = await gatewayOf(command);
  const query = new URLSearchParams({ format, ...times });
  let last = '';
  for await (const line of client.lines(`/audit/export?${query}`)) {
    last = line;
    yield `${line}\n`;
  }
  // The stream has no other sign of its end.
  if (format === 'segment' && last !== '' && !last.startsWith('{"end":true'))
    throw new CliError('the gateway broke off before the end: is the log altered? dockgate audit verify tells');
}

async function* ofFile(file: string, format: ExportFormat, times: Times): AsyncGenerator<string> {
  if (!existsSync(file)) throw usageError(`there is no file ${file}`);
  const { exportPiece } = await import('../../../store/audit-export.ts');
  const micros = (text: string | undefined, end: number): number | undefined =>
    text === undefined ? undefined : Date.parse(text) * 1000 + end;
  const question = {
    format,
    since: micros(times.since, 0),
    until: micros(times.until, 999) ?? Number.MAX_SAFE_INTEGER,
  };
  for (let next: number | undefined = 0; next !== undefined; ) {
    const piece = exportPiece(file, { ...question, afterSeq: next });
    for (const line of piece.text.split('\n')) if (line !== '') yield `${line}\n`;
    next = piece.next;
  }
}

async function* counted(lines: AsyncGenerator<string>, count: { lines: number }): AsyncGenerator<string> {
  for await (const line of lines) {
    count.lines++;
    yield line;
  }
}

/** The file appears under its name once it is whole. */
async function write(out: string, lines: AsyncGenerator<string>): Promise<void> {
  const part = `${out}.part`;
  const source = Readable.from(lines);
  const file = createWriteStream(part, { mode: 0o600 });
  try {
    if (out.endsWith('.gz')) await pipeline(source, createGzip(), file);
    else await pipeline(source, file);
    renameSync(part, out);
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  }
}
