// How an audit event becomes a row and a link of the chain. One text per event, the same when written and when verified.
//
// The canonical form of a row is the JSON array of its columns in the order of COLUMNS, as JSON.stringify writes it: no spaces,
// integers without a fraction, absent values null, `detail` and `resources` as the texts they are stored as. Columns behind
// `detail` came later: those of them at the end that are null are left out, so that a row keeps its form when columns are added.
// `canonicalLine` makes it from a stored row, `encodeEvent` from an event; both give the same bytes.
import { createHash, hash } from 'node:crypto';
import type { AuditEvent } from '../audit/event.ts';

/** Columns between `seq` and `prev`, in table order. */
export const COLUMNS = [
  'at',
  'stage',
  'audit_id',
  'subject',
  'issuer',
  'tenant',
  'token_id',
  'source',
  'client',
  'action',
  'operation_id',
  'class',
  'api_version',
  'resource',
  'resource_id',
  'decision',
  'code',
  'rule',
  'policy_rev',
  'status',
  'duration_us',
  'bytes_in',
  'bytes_out',
  'detail',
  'actor',
  'plugin_gen',
  'engine',
  'gateway',
  'body_sha256',
  'sent_sha256',
  'outcome',
  'session',
  'resources',
] as const;

/** Columns every line has: those of the first rows there ever were. */
const FIRST_COLUMNS = COLUMNS.indexOf('detail') + 1;

export type ColumnValue = string | number | null;

/** Where the writer looks into a row. */
export const STAGE = COLUMNS.indexOf('stage');
export const AUDIT_ID = COLUMNS.indexOf('audit_id');

/** Longest `detail` kept, in characters; a longer one is replaced by its hash and size. */
const MAX_DETAIL = 16 * 1024;
/** Longest text of any other column, in characters. Names, ids and references of the engine stay far below. */
const MAX_TEXT = 1024;
/** Longest list of resources, in characters; what goes beyond is counted in its last element. */
const MAX_RESOURCES = 48 * 1024;
/** Longest name of one of them, in characters. */
const MAX_NAME = 256;
/** Longest line `encodeEvent` makes, in bytes of UTF-8: every character escaped, those of detail and resources twice. */
export const MAX_LINE_BYTES = (COLUMNS.length * MAX_TEXT + MAX_DETAIL + MAX_RESOURCES) * 7;

/** Where rows are made: the engine as the settings name it, and the name of this gateway. */
export interface Place {
  readonly engine: string;
  readonly gateway: string;
}

/** The line of a stored row, by its columns in order. */
export function canonicalLine(values: readonly ColumnValue[]): string {
  let end = values.length;
  while (end > FIRST_COLUMNS && values[end - 1] === null) end--;
  return JSON.stringify(end === values.length ? values : values.slice(0, end));
}

/**
 * The line that is hashed and handed to the writer. Whatever the event holds, the line is one the table takes and gives
 * back unchanged: a row that cannot be stored would take its whole group with it, and one that reads differently would
 * look forged.
 *
 * @throws {TypeError} when the event lacks what every row has
 */
export function encodeEvent(event: AuditEvent, place?: Place): string {
  const at = place === undefined || !isFirstRow(event) ? undefined : place;
  return canonicalLine([
    needNumber(event.at),
    needText(event.stage),
    needText(event.auditId),
    text(event.subject),
    text(event.issuer),
    text(event.tenant),
    text(event.tokenId),
    text(event.source),
    text(event.client),
    needText(event.action),
    text(event.operationId),
    text(event.class),
    text(event.apiVersion),
    text(event.resource),
    text(event.resourceId),
    needText(event.decision),
    text(event.code),
    text(event.rule),
    text(event.policyRev),
    number(event.status),
    number(event.durationUs),
    number(event.bytesIn),
    number(event.bytesOut),
    detailText(event.detail),
    text(event.actor),
    number(event.pluginGeneration),
    text(event.engine ?? at?.engine),
    text(event.gateway ?? at?.gateway),
    text(event.bodySha256),
    text(event.sentSha256),
    text(event.outcome),
    text(event.session),
    resourcesText(event.resources),
  ]);
}

/**
 * The first row of a call and its outcome as one: it holds the request and its outcome. Only its content tells it from
 * the outcome of a call with a first row of its own.
 *
 * @returns undefined where both say something in the same place, or change the ledger
 */
export function wholeCall(first: AuditEvent, outcome: AuditEvent, place?: Place): AuditEvent | undefined {
  if (first.stage !== 'intent' || outcome.stage !== 'complete' || outcome.decision !== 'allow') return undefined;
  if (first.ledger !== undefined || outcome.ledger !== undefined) return undefined;
  if (first.detail !== undefined && outcome.detail !== undefined) return undefined;
  if (first.resources !== undefined && outcome.resources !== undefined) return undefined;
  return {
    ...outcome,
    detail: outcome.detail ?? first.detail,
    actor: first.actor,
    pluginGeneration: first.pluginGeneration,
    engine: first.engine ?? place?.engine,
    gateway: first.gateway ?? place?.gateway,
    bodySha256: outcome.bodySha256 ?? first.bodySha256,
    sentSha256: outcome.sentSha256 ?? first.sentSha256,
    resources: outcome.resources ?? first.resources,
  };
}

/** Rows that stand for themselves, or begin a call. */
const isFirstRow = ({ stage, decision }: AuditEvent): boolean =>
  stage === 'intent' || stage === 'gateway' || (stage === 'complete' && decision !== 'allow');

/** `[{"kind":"image","name":"...","id":"...","at":"Image"}, ..., {"more":3}]`. */
function resourcesText(resources: AuditEvent['resources']): string | null {
  if (resources === undefined || resources === null || resources.length === 0) return null;
  let kept = '';
  for (const [i, { kind, name, id, at }] of resources.entries()) {
    const one = jsonText({ kind, name: cut(name), ...(id ? { id: cut(id) } : {}), ...(at ? { at: cut(at) } : {}) });
    if (kept.length + one.length > MAX_RESOURCES - 32) return `[${kept},${jsonText({ more: resources.length - i })}]`;
    kept = i === 0 ? one : `${kept},${one}`;
  }
  return `[${kept}]`;
}

const cut = (value: string): string => (value.length <= MAX_NAME ? value : `${value.slice(0, MAX_NAME - 1)}…`);

/** SQLite keeps UTF-8, which has no lone surrogates. */
function text(value: string | undefined): string | null {
  if (value === undefined || value === null) return null;
  const whole = typeof value === 'string' ? value : String(value);
  const kept = whole.length <= MAX_TEXT ? whole : `${whole.slice(0, MAX_TEXT - 1)}…`;
  return kept.isWellFormed() ? kept : kept.toWellFormed();
}

/** An integer column keeps whole numbers; those beyond 2^53 would come back changed. */
function number(value: number | undefined): number | null {
  if (value === undefined || value === null) return null;
  const whole = Math.trunc(Number(value));
  return Number.isSafeInteger(whole) ? whole + 0 : null;
}

function needText(value: string): string {
  const kept = text(value);
  if (kept === null || kept === '') throw new TypeError('the event has no stage, audit id, action or decision');
  return kept;
}

function needNumber(value: number): number {
  const kept = number(value);
  if (kept === null) throw new TypeError('the event has no time');
  return kept;
}

function detailText(detail: AuditEvent['detail']): string {
  if (detail === undefined || detail === null) return '{}';
  let all: string;
  try {
    all = jsonText(detail);
  } catch (error) {
    // A detail that cannot be written as JSON must not keep the call itself from being recorded.
    return JSON.stringify({ unreadable: String(error).slice(0, 200).toWellFormed() });
  }
  if (all.length <= MAX_DETAIL) return all;
  const { message, field } = detail;
  return jsonText({
    message: shortened(message),
    field: shortened(field),
    truncated: { characters: all.length, sha256: createHash('sha256').update(all).digest('hex') },
  });
}

/** JSON.stringify escapes lone surrogates itself, so its text is always UTF-8. */
const jsonText = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? `${inner}` : inner)) ?? '{}';

const shortened = (value: unknown): string | undefined =>
  typeof value === 'string' ? value.slice(0, MAX_TEXT).toWellFormed() : undefined;

/** Bytes that are hashed: reused, as one thread hashes one row after the other. */
let scratch = Buffer.allocUnsafe(64 * 1024);

/** SHA-256 over the previous hash, the sequence number, a line feed, and the line. */
export function chainHash(prev: Uint8Array, seq: number, line: string): Buffer {
  const most = prev.length + 20 + line.length * 3;
  if (scratch.length < most) scratch = Buffer.allocUnsafe(most);
  scratch.set(prev, 0);
  const end = prev.length + scratch.write(`${seq}\n${line}`, prev.length);
  // By way of hexadecimal, which both runtimes hand over several times as fast as a buffer of their own.
  return Buffer.from(hash('sha256', scratch.subarray(0, end), 'hex'), 'hex');
}

/** First link: binds the log's random id, so that two logs never share a chain. */
export const genesis = (logId: string): Buffer => createHash('sha256').update(`dockgate audit log ${logId}`).digest();
