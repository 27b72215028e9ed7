// How an audit event becomes a row and a link of the chain. One text per event, the same when written and when verified:
// the JSON array of its columns in table order.
import { createHash } from 'node:crypto';
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
] as const;

export type ColumnValue = string | number | null;

/** Longest `detail` kept, in characters; a longer one is replaced by its hash and size. */
const MAX_DETAIL = 16 * 1024;

/** The line that is hashed and handed to the writer. */
export function encodeEvent(event: AuditEvent): string {
  return JSON.stringify([
    event.at,
    event.stage,
    event.auditId,
    event.subject ?? null,
    event.issuer ?? null,
    event.tenant ?? null,
    event.tokenId ?? null,
    event.source ?? null,
    event.client ?? null,
    event.action,
    event.operationId ?? null,
    event.class ?? null,
    event.apiVersion ?? null,
    event.resource ?? null,
    event.resourceId ?? null,
    event.decision,
    event.code ?? null,
    event.rule ?? null,
    event.policyRev ?? null,
    event.status ?? null,
    event.durationUs ?? null,
    event.bytesIn ?? null,
    event.bytesOut ?? null,
    detailText(event.detail),
  ]);
}

function detailText(detail: AuditEvent['detail']): string {
  if (detail === undefined) return '{}';
  const text = JSON.stringify(detail, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}` : value));
  if (text.length <= MAX_DETAIL) return text;
  const { message, field } = detail;
  return JSON.stringify({
    message,
    field,
    truncated: { characters: text.length, sha256: createHash('sha256').update(text).digest('hex') },
  });
}

/** SHA-256 over the previous hash, the sequence number and the line. */
export const chainHash = (prev: Uint8Array, seq: number, line: string): Buffer =>
  createHash('sha256').update(prev).update(`${seq}\n`).update(line).digest();

/** First link: binds the log's random id, so that two logs never share a chain. */
export const genesis = (logId: string): Buffer => createHash('sha256').update(`dockgate audit log ${logId}`).digest();
