// What a sink is to those who feed it, and the faults it answers with. Messages name settings and codes, never what a receiver
// answered or a file holds: either may repeat a secret.
import { readFileSync } from 'node:fs';
import type { AuditRow } from '../event.ts';

/** Rows in the order of the log, without a gap between them. Never empty. */
export interface Batch {
  readonly logId: string;
  readonly rows: readonly AuditRow[];
}

export interface Sink {
  /**
   * Delivers a batch; resolves once the receiver has all of it.
   *
   * @returns rows the receiver said it will not take, which are not sent again
   * @throws {SinkFault} when it is not known to have it: the same rows are sent again
   */
  deliver(batch: Batch, signal: AbortSignal): Promise<{ readonly refused: number }>;
  close(): void;
}

/** Facts of this gateway that formats write into each event. */
export interface Origin {
  readonly version: string;
  readonly host: string;
}

export class SinkFault extends Error {
  /** The receiver asked for so long a pause, in ms. */
  readonly retryAfterMs: number | undefined;
  /** The batch is too large for the receiver. */
  readonly isTooLarge: boolean;
  constructor(
    message: string,
    more: { readonly retryAfterMs?: number | undefined; readonly isTooLarge?: boolean } = {},
  ) {
    super(message);
    this.name = 'SinkFault';
    this.retryAfterMs = more.retryAfterMs;
    this.isTooLarge = more.isTooLarge ?? false;
  }
}

/** The code of a system or TLS error, for people. Its message may name what the other side sent. */
export const codeOf = (error: unknown): string => {
  const { code, name } = error as { code?: unknown; name?: unknown };
  return typeof code === 'string' && code !== '' ? code : typeof name === 'string' ? name : 'unknown error';
};

const MAX_SECRET_BYTES = 8192;

/**
 * Reads a secret that goes into a header.
 *
 * @param what the setting that names the file
 * @throws {SinkFault} when it is not there, or no text that fits into a header
 */
export function readHeaderSecret(file: string, what: string): string {
  const value = readSecret(file, what).toString('latin1').trim();
  if (!/^[\x20-\x7e]+$/.test(value)) throw new SinkFault(`the file of ${what} holds no line of printable ASCII`);
  return value;
}

/** A secret as bytes. @throws {SinkFault} */
export function readSecret(file: string, what: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new SinkFault(`the file of ${what} cannot be read (${codeOf(error)})`);
  }
  if (bytes.length === 0 || bytes.length > MAX_SECRET_BYTES)
    throw new SinkFault(`the file of ${what} is empty or larger than ${MAX_SECRET_BYTES} bytes`);
  return bytes;
}
