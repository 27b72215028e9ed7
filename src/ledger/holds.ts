// Names in use by calls under way. A volume or an image is known to the engine by a name alone, so while a call that was judged
// by such a name is on its way, no other call may take the name: the call would reach another object than the judged one.

interface Held {
  readonly tenant: string;
  count: number;
}

export class Holds {
  readonly #held = new Map<string, Held[]>();

  /** Holds a name for a tenant until the function returned is called; calling it again does nothing. */
  hold(kind: string, name: string, tenant: string): () => void {
    const key = `${kind}/${name}`;
    let all = this.#held.get(key);
    if (all === undefined) {
      all = [];
      this.#held.set(key, all);
    }
    let mine = all.find((held) => held.tenant === tenant);
    if (mine === undefined) {
      mine = { tenant, count: 0 };
      all.push(mine);
    }
    const held = mine;
    held.count++;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      held.count--;
      const left = this.#held.get(key)?.filter((one) => one.count > 0) ?? [];
      if (left.length === 0) this.#held.delete(key);
      else this.#held.set(key, left);
    };
  }

  /** Whether a call under way holds the name. */
  isHeld(kind: string, name: string): boolean {
    return this.#held.get(`${kind}/${name}`)?.some((held) => held.count > 0) ?? false;
  }

  /** Whether a tenant other than this one has a call under way that was judged by the name. */
  isHeldByOthers(kind: string, name: string, tenant: string): boolean {
    return this.#held.get(`${kind}/${name}`)?.some((held) => held.tenant !== tenant && held.count > 0) ?? false;
  }
}
