// Collects what a build asks for while its requests are read.
import { factsOf } from '../engine/build-call.ts';
import { canonicalImageReference } from '../engine/image-reference.ts';
import type { BuildFact, BuildFacts } from '../engine/types.ts';
import { Refusal } from './grpc.ts';

/** Most facts of one request: beyond, nothing could be told of them. */
const MAX_FACTS = 20_000;

export class Collected {
  readonly #parts = new Map<keyof BuildFacts, BuildFact[]>();
  readonly #seen = new Set<string>();
  /** Images that go to their registry, in full. */
  readonly pushes: BuildFact[] = [];
  /** Values the audit masks: those of build arguments. */
  readonly masked = new Set<string>();

  add(kind: keyof BuildFacts, at: string, value: string): void {
    const key = `${kind}\n${value}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    if (this.#seen.size > MAX_FACTS)
      throw new Refusal('resource-exhausted', `a build asks for more than ${MAX_FACTS} things`);
    const list = this.#parts.get(kind);
    if (list === undefined) this.#parts.set(kind, [{ at, value }]);
    else list.push({ at, value });
  }

  /** An image a build takes from. @returns its identifier as it is judged, and must be sent */
  image(at: string, reference: string): string {
    const identifier = `docker-image://${canonicalImage(reference, at)}`;
    this.add('sources', at, identifier);
    return identifier;
  }

  get facts(): BuildFacts {
    return factsOf(Object.fromEntries(this.#parts));
  }
}

/** @throws {Refusal} for a text that is no image reference */
export function canonicalImage(reference: string, at: string): string {
  try {
    const name = canonicalImageReference(reference);
    if (name.startsWith('sha256:')) throw new Error('an id');
    return name;
  } catch {
    throw new Refusal(
      'invalid-argument',
      `${at} is ${JSON.stringify(reference.slice(0, 200))}, which is no image reference`,
    );
  }
}
