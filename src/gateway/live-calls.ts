// Calls under way and whose they are: streams end with the credentials that opened them, also when nothing flows on them.
// One timer waits for the next expiry of all; a revocation asks for every principal once.
import { type ErrorCode, GatewayError } from '../errors.ts';
import type { Principal } from '../policy/types.ts';
import { Ender, type Ending } from '../proxy/ending.ts';

/** Longest wait of one timer, in ms: beyond 2^31 a timer would fire at once. */
const MAX_WAIT_MS = 86_400_000;

/** One call, or one stream of the gateway's own, from arrival to outcome. */
export interface LiveCall extends Ending {
  /** Aborted when the call must end now; made when first asked for. */
  readonly signal: AbortSignal;
  /** Why it was ended, undefined while it was not: `token-revoked`, `token-expired`, `identity-disabled`, `shutting-down`. */
  readonly endedBy: ErrorCode | undefined;
}

export interface LiveCallsParts {
  /** Is a principal still good? @throws {GatewayError} the 401 code that ended it */
  recheck(principal: Principal): void;
  /** Milliseconds since the epoch. Default: the system clock. */
  now?(): number;
}

class Call extends Ender implements LiveCall {
  #controller: AbortController | undefined;
  endedBy: ErrorCode | undefined;
  principal: Principal | undefined;

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.ended) this.#controller.abort();
    return this.#controller.signal;
  }
  endWith(code: ErrorCode): void {
    if (this.ended) return;
    this.endedBy = code;
    this.#controller?.abort();
    this.end();
  }
}

export class LiveCalls {
  readonly #parts: LiveCallsParts;
  readonly #calls = new Set<Call>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires, in ms since the epoch. */
  #timerAt = Number.POSITIVE_INFINITY;
  #onIdle: (() => void) | undefined;
  #isClosing = false;

  constructor(parts: LiveCallsParts) {
    this.#parts = parts;
  }

  /** No call is judged any more: the gateway stops. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** From here on new calls are refused. */
  close(): void {
    this.#isClosing = true;
  }

  get size(): number {
    return this.#calls.size;
  }

  enter(): LiveCall {
    const call = new Call();
    this.#calls.add(call);
    return call;
  }

  leave(call: LiveCall): void {
    this.#calls.delete(call as Call);
    if (this.#calls.size === 0) this.#onIdle?.();
  }

  /**
   * From here on the call ends when its principal's credentials do.
   *
   * @throws {GatewayError} a 401 code when they ended while the call was judged
   */
  hold(call: LiveCall, principal: Principal): void {
    this.#parts.recheck(principal);
    (call as Call).principal = principal;
    if (principal.expiresAt !== undefined) this.#wakeAt(principal.expiresAt);
  }

  /** Asks for every held call whether its principal is still good, and ends those whose is not. Call after any change. */
  review(): void {
    const verdicts = new Map<Principal, ErrorCode | undefined>();
    let next = Number.POSITIVE_INFINITY;
    for (const call of this.#calls) {
      const { principal } = call;
      if (principal === undefined || call.endedBy !== undefined) continue;
      if (!verdicts.has(principal)) verdicts.set(principal, this.#verdictOn(principal));
      const code = verdicts.get(principal);
      if (code !== undefined) call.endWith(code);
      else if (principal.expiresAt !== undefined) next = Math.min(next, principal.expiresAt);
    }
    if (next < Number.POSITIVE_INFINITY) this.#wakeAt(next);
  }

  /** Ends every call. */
  endAll(code: ErrorCode): void {
    for (const call of this.#calls) call.endWith(code);
  }

  /** Resolves when no call is under way, or after `timeoutMs`. */
  async idle(timeoutMs: number): Promise<void> {
    if (this.#calls.size === 0) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      timer = setTimeout(resolve, timeoutMs);
    });
    clearTimeout(timer);
    this.#onIdle = undefined;
  }

  #verdictOn(principal: Principal): ErrorCode | undefined {
    try {
      this.#parts.recheck(principal);
      return undefined;
    } catch (error) {
      // A call whose caller cannot be checked again is ended.
      return error instanceof GatewayError ? error.code : 'internal';
    }
  }

  #wakeAt(at: number): void {
    if (at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    const wait = Math.min(Math.max(0, at - (this.#parts.now?.() ?? Date.now())), MAX_WAIT_MS);
    this.#timer = setTimeout(() => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.review();
    }, wait);
    this.#timer.unref();
  }
}
