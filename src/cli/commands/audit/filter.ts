// Options by which the commands of the audit choose calls.
import type { Command } from 'commander';
import { parseWhen, WHEN_RULE } from '../../../admin/moment.ts';
import { usageError } from '../../output.ts';

export interface FilterOptions {
  readonly subject?: string;
  readonly tenant?: string;
  readonly token?: string;
  readonly action?: string;
  readonly class?: string;
  readonly resource?: string;
  readonly decision?: string;
  readonly outcome?: string;
  readonly code?: string;
  readonly rule?: string;
  readonly engine?: string;
  readonly gateway?: string;
  readonly session?: string;
  readonly source?: string;
  readonly client?: string;
  readonly text?: string;
  readonly since?: string;
  readonly until?: string;
  readonly plugin?: string;
  readonly binds?: boolean;
  readonly mine?: boolean;
}

const DECISIONS = ['allow', 'deny', 'error', 'unauthenticated'];
const OUTCOMES = ['ok', 'not-found', 'conflict', 'invalid', 'failed', 'cut', 'not-sent', 'unknown'];

/** Options in the order of the help. `tail` has no times. */
const OPTIONS: readonly (readonly [flags: string, description: string])[] = [
  ['--subject <name>', 'only calls of this identity'],
  ['--tenant <tenant>', 'only calls of this tenant'],
  ['--token <id>', 'only calls with this token'],
  ['--action <action>', 'only this action, container.create, or a family, container.*'],
  ['--class <class>', 'only read, write, ... operations'],
  ['--resource <name>', 'only calls about container/web, web of any kind, or an id or its beginning'],
  ['--decision <decision>', 'only allow, deny, error or unauthenticated'],
  ['--outcome <outcome>', `only ${OUTCOMES.slice(0, -1).join(', ')} or unknown`],
  ['--code <code>', 'only this error code'],
  ['--rule <rule>', 'only decisions of this rule, policy/rule, or of a policy'],
  ['--engine <id>', 'only calls to the engine whose id begins so'],
  ['--gateway <name>', 'only calls through the gateway whose name begins so'],
  ['--session <id>', 'only calls of this exec or attach session'],
  ['--source <address>', 'only calls from this address, or those that begin with 10.0.*'],
  ['--client <text>', 'only clients whose User-Agent has this text'],
  ['--text <text>', 'only calls with this text in resource, code, rule, client or detail'],
  ['--plugin <name>', 'only calls that this plugin changed'],
  ['--binds', 'only calls that ask for a bind mount'],
  ['--mine', 'only your own calls'],
];

/** Adds the options that choose calls. */
export const filtered = (command: Command, left: readonly string[] = []): Command => {
  for (const [flags, description] of OPTIONS)
    if (!left.some((name) => flags.startsWith(`--${name}`))) command.option(flags, description);
  return command;
};

/** Adds the options of time. */
export const timed = (command: Command): Command =>
  command
    .option('--since <moment>', 'only calls since 2h, yesterday, 14:02, 2030-01-31 or an RFC 3339 time')
    .option('--until <moment>', 'only calls until then; a day counts to its end');

/** A moment of this machine's clock and zone, as the gateway takes it. */
export const momentOf = (option: string, text: string, end: 'start' | 'end'): string => {
  const ms = parseWhen(text, Date.now(), 'local', end);
  if (ms === undefined) throw usageError(`--${option} "${text}" is no moment: ${WHEN_RULE}`);
  return new Date(ms).toISOString();
};

/** A whole number an option gave. */
export const numberOf = (option: string, text: string, least: number, most: number): number => {
  if (!/^[0-9]{1,15}$/.test(text) || Number(text) < least || Number(text) > most)
    throw usageError(`--${option} "${text}" is no number from ${least} to ${most}`);
  return Number(text);
};

const oneOf = (option: string, text: string | undefined, words: readonly string[]): void => {
  if (text !== undefined && !words.includes(text))
    throw usageError(`--${option} "${text}" is none of ${words.join(', ')}`);
};

/** The query parameters of the options. */
export const paramsOf = (options: FilterOptions): URLSearchParams => {
  const { since, until, mine } = options;
  oneOf('decision', options.decision, DECISIONS);
  oneOf('outcome', options.outcome, OUTCOMES);
  const query = new URLSearchParams();
  for (const [flags] of OPTIONS) {
    const name = flags.slice(2).split(' ', 1)[0] as keyof FilterOptions;
    const value = options[name];
    if (typeof value === 'string') query.set(name, value);
  }
  if (since !== undefined) query.set('since', momentOf('since', since, 'start'));
  if (until !== undefined) query.set('until', momentOf('until', until, 'end'));
  if (options.binds === true) query.set('binds', 'true');
  if (mine === true) query.set('mine', 'true');
  return query;
};
