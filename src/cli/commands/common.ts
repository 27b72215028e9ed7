// What the client commands share: their options in one object, and a connection to the gateway they mean.
import process from 'node:process';
import type { Command } from 'commander';
import { DURATION_RULE, parseDuration } from '../../admin/duration.ts';
import type { AdminClient, GatewayOptions } from '../client.ts';
import { usageError } from '../output.ts';

/** Adds what an option gave to what it gave before: `--group a --group b`. */
export const collect = (value: string, previous: readonly string[] | undefined): readonly string[] => [
  ...(previous ?? []),
  value,
];

/** Examples below a command's help, one a line. */
export const examples = (...lines: readonly string[]): string =>
  `\n${lines.length > 1 ? 'Examples' : 'Example'}:\n${lines.map((line) => `  $ ${line}`).join('\n')}`;

/** The options of a command and of the program. */
export const optionsOf = <T extends object = object>(command: Command): T & GatewayOptions =>
  command.optsWithGlobals<T & GatewayOptions>();

/** The gateway a command talks to. */
export const gatewayOf = async (command: Command): Promise<AdminClient> => {
  const { connect } = await import('../client.ts');
  return connect(optionsOf(command));
};

/** Milliseconds of a span. @throws {CliError} */
export const timeoutOf = (span: string): number => {
  const ms = parseDuration(span);
  if (ms === undefined) throw usageError(`--timeout: ${DURATION_RULE}`);
  return ms;
};

/** A name in a path of the admin API. */
export const segment = (name: string): string => encodeURIComponent(name);

/** All of standard input as text. */
export const readStdin = async (): Promise<string> => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
};
