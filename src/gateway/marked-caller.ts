// The caller's end with what the gateway adds to the engine's answer: the audit id, and what plugins warned of.
import type { CallerEnd } from '../proxy/types.ts';
import { AUDIT_ID_HEADER } from './answer.ts';
import { leftOutWarning } from './left-out.ts';
import { narrowHeaders } from './respond.ts';
import { Told } from './told.ts';
import type { Trace } from './trace.ts';

export class MarkedCaller implements CallerEnd {
  readonly #caller: CallerEnd;
  readonly #trace: Trace;
  readonly #maxMinor: number;
  /** The audit listens to what the answer tells. */
  #told: Told | undefined;

  constructor(caller: CallerEnd, trace: Trace, maxMinor: number) {
    this.#caller = caller;
    this.#trace = trace;
    this.#maxMinor = maxMinor;
  }
  head(status: number, reason: string, headers: readonly string[]): void {
    const { call } = this.#trace;
    if (call !== undefined) {
      this.#told = Told.of(call, status, this.#trace.decision?.obligations.audit);
      this.#trace.told = this.#told;
    }
    const marked = [...narrowHeaders(headers, this.#maxMinor), AUDIT_ID_HEADER, this.#trace.auditId];
    const leftOut = leftOutWarning(this.#trace.call?.leftOut);
    for (const warning of leftOut === undefined ? this.#trace.warnings : [...this.#trace.warnings, leftOut]) {
      marked.push('Dockgate-Warning', warning.replace(/[^\x20-\x7e]/g, '?'));
    }
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
