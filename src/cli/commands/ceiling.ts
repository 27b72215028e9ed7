// Options that narrow a token or a credential: the same for both, and told apart from each other where they cannot go together.
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { usageError } from '../output.ts';
import { collect } from './common.ts';

export interface CeilingOptions {
  readonly scope?: readonly string[];
  readonly action?: readonly string[];
  readonly resource?: readonly string[];
  readonly hostPreset?: string;
  readonly authorizationDetails?: string;
}

/** Adds the options to a command. */
export const withCeiling = (command: Command): Command =>
  command
    .option('--scope <scope>', 'ceiling of actions, an action or class; may be given more than once', collect)
    .option('--action <pattern>', 'with the next two: a ceiling of actions; may be given more than once', collect)
    .option(
      '--resource <pattern>',
      'objects it may touch, such as container/ci-*; may be given more than once',
      collect,
    )
    .option('--host-preset <preset>', 'strictest host settings it may use: baseline, restricted or hardened')
    .option('--authorization-details <json>', 'RFC 9396 authorization details instead of those three, or @FILE');

/** The options as the admin API reads them. */
export const ceilingOf = (options: CeilingOptions): Record<string, unknown> => {
  const { scope, action, resource, hostPreset, authorizationDetails } = options;
  const isShort = action !== undefined || resource !== undefined || hostPreset !== undefined;
  if (isShort && authorizationDetails !== undefined) {
    throw usageError('--authorization-details says it all; leave --action, --resource and --host-preset out');
  }
  const detail = {
    type: 'docker',
    ...(action === undefined ? {} : { actions: action }),
    ...(resource === undefined ? {} : { resources: resource }),
    ...(hostPreset === undefined ? {} : { host: { preset: hostPreset } }),
  };
  const details = isShort ? [detail] : readDetails(authorizationDetails);
  return {
    ...(scope === undefined ? {} : { scope }),
    ...(details === undefined ? {} : { authorizationDetails: details }),
  };
};

const readDetails = (given: string | undefined): unknown => {
  if (given === undefined) return undefined;
  let text = given;
  try {
    if (given.startsWith('@')) text = readFileSync(given.slice(1), 'utf8');
    return JSON.parse(text) as unknown;
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'it is not JSON';
    throw usageError(`--authorization-details ${given.slice(0, 60)} cannot be read (${why})`);
  }
};

/** A ceiling in one cell of a table. */
export const shortCeiling = (scope: readonly string[] | null, details: readonly unknown[] | null): string =>
  [scope?.join(','), details === null ? undefined : `${details.length} ${details.length === 1 ? 'detail' : 'details'}`]
    .filter(Boolean)
    .join(' + ');
