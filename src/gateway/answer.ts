// What the gateway itself says to Docker callers: one sentence in Docker's error JSON, with the audit id.
// Content-Type is exactly application/json: with a parameter the docker CLI shows the raw text instead.
import { STATUS_CODES } from 'node:http';
import { type ErrorCode, type GatewayError, statusOf } from '../errors.ts';
import type { CallerEnd } from '../proxy/types.ts';

export const AUDIT_ID_HEADER = 'Dockgate-Audit-Id';

/** A refusal as a Docker client shows it: status, flat header list and body. */
export interface Refusal {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly string[];
  readonly body: Buffer;
}

/** @param challenge value of WWW-Authenticate, on a 401 */
export function refusalOf(error: GatewayError, auditId: string, challenge?: string): Refusal {
  const body = Buffer.from(JSON.stringify({ message: `${error.message} [audit ${auditId}]` }));
  const status = error.status;
  const headers = ['Content-Type', 'application/json', 'Content-Length', String(body.length), AUDIT_ID_HEADER, auditId];
  if (challenge !== undefined) headers.push('WWW-Authenticate', challenge);
  if (error.retryAfterS !== undefined) headers.push('Retry-After', String(error.retryAfterS));
  return { status, reason: reasonOf(status), headers, body };
}

/** Sends a refusal; HEAD gets the head alone. */
export function sendRefusal(caller: CallerEnd, refusal: Refusal, method: string): void {
  caller.head(refusal.status, refusal.reason, refusal.headers);
  if (method !== 'HEAD') caller.write(refusal.body);
  caller.end();
}

/** Reason phrase of a status, as HTTP names it. */
export const reasonOf = (status: number): string => STATUS_CODES[status] ?? '';

/** A whole refusal as bytes, for connections whose head could not even be read. */
export function rawRefusal(code: ErrorCode, message: string, auditId: string): string {
  const body = JSON.stringify({ message: `${message} [audit ${auditId}]` });
  return (
    `HTTP/1.1 ${statusOf(code)} ${reasonOf(statusOf(code))}\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n${AUDIT_ID_HEADER}: ${auditId}\r\nConnection: close\r\n\r\n${body}`
  );
}
