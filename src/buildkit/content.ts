// Content of the engine's store a caller may read: what the history of its own builds names. Provenance and logs of a build are
// read this way. Kept in memory, bounded for each owner, so that no caller can push out what others know.

const MAX_OWNERS = 1000;
const MAX_DIGESTS = 2000;

export class OwnContent {
  readonly #byOwner = new Map<string, Set<string>>();

  add(owner: string, digest: string): void {
    let known = this.#byOwner.get(owner);
    if (known === undefined) {
      known = new Set();
      this.#byOwner.set(owner, known);
      if (this.#byOwner.size > MAX_OWNERS) {
        const [oldest] = this.#byOwner.keys();
        if (oldest !== undefined) this.#byOwner.delete(oldest);
      }
    }
    known.delete(digest);
    known.add(digest);
    if (known.size > MAX_DIGESTS) {
      const [oldest] = known;
      if (oldest !== undefined) known.delete(oldest);
    }
  }

  has(owner: string, digest: string): boolean {
    return this.#byOwner.get(owner)?.has(digest) === true;
  }
}
