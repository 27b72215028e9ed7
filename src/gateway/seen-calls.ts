// Calls without a body, read before. Reading a request line is pure: the same line gives the same frozen value, and clients
// that watch an engine send the same few lines again and again. Bounded, in two generations; refused lines are not kept.
import { toCall } from '../engine/call.ts';
import { classify } from '../engine/classify.ts';
import { bodyKindOfTarget } from '../engine/decode.ts';
import { renderTarget } from '../engine/render-target.ts';
import type { EngineCall, Target } from '../engine/types.ts';
import type { VersionLimits } from '../engine/versions.ts';

/** Lines kept in a generation. */
const HALF = 512;
/** Longest request target kept, in characters. */
const MAX_TARGET = 512;

/** A request line as it was read, with the values derived from it since. */
export class SeenCall {
  readonly target: Target;
  readonly takesBody: boolean;
  #call: EngineCall | undefined;
  #rendered: string | undefined;

  constructor(target: Target) {
    this.target = Object.freeze(target);
    this.takesBody = bodyKindOfTarget(target) !== 'none';
  }

  /** The call without a body. @throws {GatewayError} as `toCall` */
  bodiless(): EngineCall {
    this.#call ??= toCall(this.target, undefined);
    return this.#call;
  }

  /** What a call is sent as. */
  render(call: EngineCall): string {
    if (call !== this.#call) return renderTarget(call);
    this.#rendered ??= renderTarget(call);
    return this.#rendered;
  }
}

export class SeenCalls {
  readonly #limits: VersionLimits;
  #minMinor: number | undefined;
  #maxMinor: number | undefined;
  #young = new Map<string, SeenCall>();
  #old = new Map<string, SeenCall>();

  /** @param limits API versions served: they change with a reload, and what was seen before is then forgotten */
  constructor(limits: VersionLimits) {
    this.#limits = limits;
  }

  /** @throws {GatewayError} as `classify` */
  read(method: string, rawTarget: string): SeenCall {
    // A method holds no space.
    const { minMinor, maxMinor } = this.#limits;
    if (minMinor !== this.#minMinor || maxMinor !== this.#maxMinor) {
      this.#young = new Map();
      this.#old = new Map();
      this.#minMinor = minMinor;
      this.#maxMinor = maxMinor;
    }
    const key = `${method} ${rawTarget}`;
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const seen = this.#old.get(key) ?? new SeenCall(classify(method, rawTarget, this.#limits));
    if (!seen.takesBody && rawTarget.length <= MAX_TARGET) this.#keep(key, seen);
    return seen;
  }

  #keep(key: string, seen: SeenCall): void {
    if (this.#young.size >= HALF) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, seen);
  }
}
