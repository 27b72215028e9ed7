// Reading the audit is in the audit: each new question at once, and how often the same one was asked again once a minute. A page
// that looks every few seconds, or a long listing by pages, leaves a row a minute.
import type { AuditEvent } from '../audit/event.ts';
import type { AdminCaller } from './services.ts';

/** How long the same question counts as the same reading, in ms. */
const WINDOW_MS = 60_000;
/** Readings that are followed; beyond, each is a row of its own. */
const MAX_FOLLOWED = 1000;

interface Reading {
  readonly by: AdminCaller;
  readonly question: Readonly<Record<string, unknown>>;
  readonly since: number;
  again: number;
}

export interface ReadingParts {
  append(event: AuditEvent): void;
  newAuditId(): string;
  /** Milliseconds since the epoch. */
  now(): number;
}

export class AuditReadings {
  readonly #parts: ReadingParts;
  readonly #followed = new Map<string, Reading>();
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: ReadingParts) {
    this.#parts = parts;
  }

  /**
   * Records a reading.
   * @param question what was asked, without the place in a list of pages
   */
  note(by: AdminCaller, question: Readonly<Record<string, unknown>>): void {
    const now = this.#parts.now();
    this.#endOld(now);
    const { subject, issuer, tokenId, source } = by;
    const key = JSON.stringify([subject, issuer, tokenId, source, question]);
    const known = this.#followed.get(key);
    if (known !== undefined) {
      known.again++;
      return;
    }
    this.#append(by, question);
    if (this.#followed.size >= MAX_FOLLOWED) return;
    this.#followed.set(key, { by, question, since: now, again: 0 });
    this.#timer ??= this.#wait();
  }

  /** Records what is still to be recorded. */
  flush(): void {
    this.#endOld(Number.POSITIVE_INFINITY);
  }

  #wait(): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#timer = undefined;
      this.#endOld(this.#parts.now());
      if (this.#followed.size > 0) this.#timer = this.#wait();
    }, WINDOW_MS);
    timer.unref();
    return timer;
  }

  #endOld(now: number): void {
    for (const [key, { by, question, since, again }] of this.#followed) {
      // In order of their beginning: the rest is newer.
      if (now - since < WINDOW_MS) return;
      this.#followed.delete(key);
      if (again > 0) this.#append(by, { ...question, again, since: new Date(since).toISOString() });
    }
  }

  #append(by: AdminCaller, detail: Readonly<Record<string, unknown>>): void {
    this.#parts.append({
      at: this.#parts.now() * 1000,
      stage: 'gateway',
      auditId: this.#parts.newAuditId(),
      subject: by.subject,
      issuer: by.issuer,
      tenant: by.tenant,
      tokenId: by.tokenId,
      source: by.source,
      client: by.client,
      action: 'audit.read',
      decision: 'allow',
      detail,
    });
  }
}
