// What all mediated connections to BuildKit share: the secret ids are marked with, content that may be read, builds under way, and
// whether the engine can be held to a list of sources.
import { OwnContent } from '../../buildkit/content.ts';
import { Owner } from '../../buildkit/owner.ts';
import { GatewayError } from '../../errors.ts';
import type { Principal } from '../../policy/types.ts';
import type { EngineClient } from '../../proxy/engine-client.ts';
import { ask, inner, text } from '../tenancy/engine-state.ts';
import type { Build } from './build.ts';

/** First API version of engines whose BuildKit knows source policies in all of its requests: 25.0 has BuildKit 0.12. */
const FIRST_MINOR = 44;
/** An engine may be replaced while the gateway runs, in ms. */
const ASK_AGAIN_MS = 60_000;
/** Parts of a build may come before the build itself, on streams of their own: they wait so long for it, in ms. */
const WAIT_FOR_BUILD_MS = 10_000;

/** Most requests of one owner's that are refused at once, and how fast the room for more comes back. */
export const MAX_REFUSED = 300;
export const REFUSED_A_SECOND = 5;
const MAX_OWNERS = 10_000;

/** What a tenant hears of BuildKit where tenants must not meet. */
export const distrusted = (): GatewayError =>
  new GatewayError(
    'tenant-not-served',
    'denied: BuildKit shares its cache among all, and the tenants of this engine must not meet (tenants.distrust); build with DOCKER_BUILDKIT=0',
  );

export class BuildKitState {
  readonly content = new OwnContent();
  readonly #secret: Uint8Array;
  readonly #owners = new WeakMap<Principal, Owner>();
  readonly #builds = new Map<string, Build>();
  readonly #refused = new Map<string, { readonly left: number; readonly atMs: number }>();
  readonly #waiting = new Map<string, Set<(build: Build) => void>>();
  #enforces: { readonly atMs: number; readonly answer: Promise<boolean> } | undefined;
  /** Tenants that must not meet share no BuildKit. */
  readonly isDistrusting: () => boolean;

  constructor(secret: Uint8Array, isDistrusting: () => boolean = () => false) {
    this.#secret = secret;
    this.isDistrusting = isDistrusting;
  }

  ownerOf(principal: Principal): Owner {
    let owner = this.#owners.get(principal);
    if (owner === undefined) {
      owner = new Owner(this.#secret, principal);
      this.#owners.set(principal, owner);
    }
    return owner;
  }

  /** @param ref with the owner's mark */
  add(ref: string, build: Build): void {
    this.#builds.set(ref, build);
    for (const tell of this.#waiting.get(ref) ?? []) tell(build);
    this.#waiting.delete(ref);
  }

  remove(ref: string, build: Build): void {
    if (this.#builds.get(ref) === build) this.#builds.delete(ref);
  }

  /** Builds of one owner under way. */
  *ownedBy(mark: string): Iterable<Build> {
    for (const [ref, build] of this.#builds) if (ref.startsWith(mark)) yield build;
  }

  /** Whether one more refused request of an owner's is told by itself: each costs a record. */
  mayRefuse(mark: string, nowMs: number): boolean {
    const bucket = this.#refused.get(mark) ?? { left: MAX_REFUSED, atMs: nowMs };
    const left = Math.min(MAX_REFUSED, bucket.left + ((nowMs - bucket.atMs) / 1000) * REFUSED_A_SECOND);
    this.#refused.delete(mark);
    this.#refused.set(mark, { left: Math.max(0, left - 1), atMs: nowMs });
    if (this.#refused.size > MAX_OWNERS) this.#refused.delete(this.#refused.keys().next().value ?? '');
    return left >= 1;
  }

  running(ref: string): Build | undefined {
    return this.#builds.get(ref);
  }

  /** The build a part belongs to; undefined when it does not come. */
  async awaited(ref: string, ended: AbortSignal): Promise<Build | undefined> {
    const known = this.#builds.get(ref);
    if (known !== undefined) return known;
    const waiting = this.#waiting.get(ref) ?? new Set();
    this.#waiting.set(ref, waiting);
    return new Promise((resolve) => {
      const settle = (build: Build | undefined) => {
        clearTimeout(timer);
        ended.removeEventListener('abort', onEnd);
        waiting.delete(settle);
        if (waiting.size === 0 && this.#waiting.get(ref) === waiting) this.#waiting.delete(ref);
        resolve(build);
      };
      const onEnd = () => settle(undefined);
      const timer = setTimeout(onEnd, WAIT_FOR_BUILD_MS);
      waiting.add(settle);
      ended.addEventListener('abort', onEnd);
      if (ended.aborted) settle(undefined);
    });
  }

  /** Whether the engine's BuildKit reads a source policy; older ones leave it out without a word. */
  enforcesSources(engine: EngineClient): Promise<boolean> {
    const now = Date.now();
    if (this.#enforces === undefined || now - this.#enforces.atMs > ASK_AGAIN_MS) {
      const answer = ask(engine, '/version').then((version) => {
        const minor = /^1\.(\d+)$/.exec(text(inner(version, 'ApiVersion')))?.[1];
        return minor !== undefined && Number(minor) >= FIRST_MINOR;
      });
      const asked = { atMs: now, answer };
      this.#enforces = asked;
      // An engine that did not answer is asked again.
      answer.catch(() => {
        if (this.#enforces === asked) this.#enforces = undefined;
      });
    }
    return this.#enforces.answer;
  }
}
