// Options by which the commands of the audit choose rows.
import type { Command } from 'commander';
import { MOMENT_RULE, parseMoment } from '../../../admin/duration.ts';
import { usageError } from '../../output.ts';

export interface FilterOptions {
  readonly subject?: string;
  readonly tenant?: string;
  readonly action?: string;
  readonly decision?: string;
  readonly since?: string;
  readonly limit?: string;
}

const DECISIONS = ['allow', 'deny', 'error', 'unauthenticated'];

export const queryOf = (options: FilterOptions, more: Readonly<Record<string, string>> = {}): string => {
  const { subject, tenant, action, decision, since, limit } = options;
  if (decision !== undefined && !DECISIONS.includes(decision)) {
    throw usageError(`--decision "${decision}" is none of ${DECISIONS.join(', ')}`);
  }
  if (since !== undefined && parseMoment(since, Date.now()) === undefined)
    throw usageError(`--since "${since}" is no moment: ${MOMENT_RULE}`);
  if (limit !== undefined && !/^[1-9][0-9]{0,4}$/.test(limit))
    throw usageError(`--limit "${limit}" is no number from 1 to 10000`);
  const query = new URLSearchParams(more);
  for (const [name, value] of Object.entries({ subject, tenant, action, decision, since, limit })) {
    if (value !== undefined) query.set(name, value);
  }
  return query.size === 0 ? '' : `?${query}`;
};

export const filtered = (command: Command): Command =>
  command
    .option('--subject <name>', 'only calls of this identity')
    .option('--tenant <tenant>', 'only calls of this tenant')
    .option('--action <action>', 'only this action, container.create, or a family, container.*')
    .option('--decision <decision>', 'only allow, deny, error or unauthenticated');
