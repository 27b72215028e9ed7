// The caller's end with what the gateway adds to the engine's answer: the audit id, and what plugins warned of.
import type { CallerEnd } from '../proxy/types.ts';
import { AUDIT_ID_HEADER } from './answer.ts';
import { leftOutWarning } from './left-out.ts';
import { narrowHeaders } from './respond.ts';
import type { Sent } from './steps/values.ts';
import { Told } from './told.ts';

export class MarkedCaller implements CallerEnd {
  readonly #caller: CallerEnd;
  readonly #sent: Sent;
  readonly #maxMinor: number;
  #told: Told | undefined;

  constructor(caller: CallerEnd, sent: Sent, maxMinor: number) {
    this.#caller = caller;
    this.#sent = sent;
    this.#maxMinor = maxMinor;
  }

  /** What the answer tells the audit; undefined before it begins, and where the audit needs nothing of it. */
  get told(): Told | undefined {
    return this.#told;
  }

  head(status: number, reason: string, headers: readonly string[]): void {
    const { call, decision, warnings, auditId } = this.#sent;
    this.#told = Told.of(call, status, decision.obligations.audit);
    const marked = [...narrowHeaders(headers, this.#maxMinor), AUDIT_ID_HEADER, auditId];
    const warn = (warning: string) => marked.push('Dockgate-Warning', warning.replace(/[^\x20-\x7e]/g, '?'));
    warnings?.forEach(warn);
    const leftOut = leftOutWarning(call.leftOut);
    if (leftOut !== undefined) warn(leftOut);
    this.#caller.head(status, reason, marked);
  }
  write(chunk: Uint8Array): boolean {
    this.#told?.take(chunk);
    return this.#caller.write(chunk);
  }
  get isClear(): (() => boolean) | undefined {
    const caller = this.#caller;
    return caller.isClear && (() => caller.isClear?.() ?? false);
  }
  onDrain(resume: () => void): void {
    this.#caller.onDrain(resume);
  }
  end(): void {
    this.#caller.end();
  }
  abort(): void {
    this.#caller.abort();
  }
  onGone(gone: () => void): void {
    this.#caller.onGone(gone);
  }
}
