// What callers may ask of the audit by query parameters.
import * as z from 'zod';
import { EXPORT_FORMATS, type ExportFormat } from '../audit/export.ts';
import type { AuditConditions } from '../audit/filter.ts';
import { COUNTED_BY, type CountedBy } from '../audit/reports.ts';
import { whole } from './input.ts';
import { parseWhen, WHEN_RULE } from './moment.ts';

export const MAX_AUDIT_LIMIT = 10_000;
export const DECISIONS = ['allow', 'deny', 'error', 'unauthenticated'] as const;
export const OUTCOMES = ['ok', 'not-found', 'conflict', 'invalid', 'failed', 'cut', 'not-sent', 'unknown'] as const;

const word = (most = 256) => z.string().min(1, { error: 'must not be empty' }).max(most).optional();
const moment = (now: number, end: 'start' | 'end') =>
  z
    .string()
    .refine((value) => parseWhen(value, now, 'utc', end) !== undefined, { error: WHEN_RULE })
    // The last microsecond of the millisecond that was meant.
    .transform((value) => (parseWhen(value, now, 'utc', end) ?? 0) * 1000 + (end === 'end' ? 999 : 0))
    .optional();
const oneOf = (words: readonly [string, ...string[]]) => z.enum(words, { error: `must be one of ${words.join(', ')}` });
const flag = () => z.enum(['true', 'false'], { error: 'must be true or false' }).transform((value) => value === 'true');

/** Parameters that choose calls, the same for every route that has them. */
export const conditionShape = (now: number) => ({
  subject: word(),
  tenant: word(),
  token: word(),
  action: z
    .string()
    .regex(/^[a-z][a-z0-9.-]*(\.\*)?$/, { error: 'must be an action such as container.create, or container.*' })
    .optional(),
  class: word(32),
  resource: word(1024),
  decision: oneOf(DECISIONS).optional(),
  outcome: oneOf(OUTCOMES).optional(),
  code: word(64),
  rule: word(),
  engine: word(),
  gateway: word(),
  session: word(),
  source: word(),
  client: word(),
  text: word(),
  plugin: word(),
  binds: flag()
    .optional()
    .transform((value) => value || undefined),
  since: moment(now, 'start'),
  until: moment(now, 'end'),
  /** The caller's own calls alone. */
  mine: flag().default(false),
});

export const exportQuery = (now: number) =>
  z.strictObject({
    format: oneOf(EXPORT_FORMATS)
      .default('segment')
      .transform((value) => value as ExportFormat),
    since: moment(now, 'start'),
    until: moment(now, 'end'),
  });

export const auditQuery = (now: number) =>
  z.strictObject({
    ...conditionShape(now),
    limit: whole(MAX_AUDIT_LIMIT).default(50),
    before: whole(Number.MAX_SAFE_INTEGER).optional(),
    after: whole(Number.MAX_SAFE_INTEGER).optional(),
    last: whole(1000).optional(),
    fold: flag().default(false),
  });

const groups = z
  .string()
  .transform((text) => text.split(',').map((one) => one.trim()))
  .pipe(
    z
      .array(z.enum(COUNTED_BY, { error: `must be among ${COUNTED_BY.join(', ')}` }))
      .min(1)
      .max(4, { error: 'at most 4' }),
  );

/** Denials and calls, counted. */
export const countQuery = (now: number, by: string) =>
  z.strictObject({
    ...conditionShape(now),
    by: groups.default(() => by.split(',') as CountedBy[]),
    limit: whole(1000).default(50),
  });

export const timelineQuery = (now: number) =>
  z.strictObject({
    resource: z.string({ error: 'must name an object such as container/web' }).min(1).max(1024),
    since: moment(now, 'start'),
    until: moment(now, 'end'),
    limit: whole(2000).default(200),
  });

export const sessionQuery = (now: number) =>
  z.strictObject({
    ...conditionShape(now),
    limit: whole(1000).default(50),
    before: whole(Number.MAX_SAFE_INTEGER).optional(),
  });

export const tokensQuery = z.strictObject({
  identity: word(),
  all: flag().default(false),
  /** Those never used, or not since a moment. */
  unused: flag().default(false),
});

export const unusedQuery = z.strictObject({
  days: whole(3650).default(90),
  identity: word(),
});

/** A secret whose traces are looked for. */
export const secretQuestion = z.strictObject({
  secret: z
    .string({ error: 'must be text' })
    .min(4, { error: 'must have at least four characters' })
    .max(64 * 1024),
  limit: z.number().int().min(1).max(1000).default(50),
});

type Given = Partial<Record<string, unknown>> & { readonly token?: string | undefined };

/** The conditions among query parameters that were read. */
export function conditionsIn({ token, ...given }: Given): AuditConditions {
  const all = { ...given, tokenId: token };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as AuditConditions;
}
