// Finds, of many rules, those that may match a call by the objects it names, so that a principal with hundreds of rules is
// judged as fast as one with a few. It may name too many rules and never too few: judge-rule.ts alone decides.
import type { EngineCall, ResourceKind, ResourceRef } from '../engine/types.ts';
import type { ReadyRule } from './compile.ts';
import { repositoryOf } from './match.ts';

/** Fewer rules are judged one by one as fast. */
const LEAST_RULES = 9;

/** Places, in the order of judging, of the rules with patterns of one kind. */
class KindIndex {
  readonly all = new Set<number>();
  readonly #any = new Set<number>();
  readonly #exact = new Map<string, Set<number>>();
  /** By length, what patterns begin with before their first `*`. */
  readonly #prefixes = new Map<number, Map<string, Set<number>>>();

  add(place: number, name: string, any: boolean): void {
    this.all.add(place);
    const star = name.indexOf('*');
    if (any) this.#any.add(place);
    else if (star < 0) getOrMake(this.#exact, name, newPlaces).add(place);
    else {
      const sameLength = getOrMake(this.#prefixes, star, () => new Map<string, Set<number>>());
      getOrMake(sameLength, name.slice(0, star), newPlaces).add(place);
    }
  }

  find(names: readonly string[], found: Set<number>): void {
    addAll(this.#any, found);
    for (const name of names) {
      addAll(this.#exact.get(name), found);
      for (const [length, prefixes] of this.#prefixes) addAll(prefixes.get(name.slice(0, length)), found);
    }
  }
}

const newPlaces = (): Set<number> => new Set();

/** The value of a key, made when it is not there. */
function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function addAll(some: ReadonlySet<number> | undefined, to: Set<number>): void {
  if (some !== undefined) for (const one of some) to.add(one);
}

export class RuleIndex {
  readonly #rules: readonly ReadyRule[];
  readonly #always = new Set<number>();
  readonly #kinds = new Map<ResourceKind | '*', KindIndex>();

  /** @param rules of one action and one effect, in the order they are judged */
  private constructor(rules: readonly ReadyRule[]) {
    this.#rules = rules;
    for (const [place, { resources }] of rules.entries()) {
      if (resources === undefined) this.#always.add(place);
      for (const { kind, text, any } of resources ?? []) {
        getOrMake(this.#kinds, kind, () => new KindIndex()).add(place, text.slice(text.indexOf('/') + 1), any);
      }
    }
  }

  /** Undefined for few rules, which need none. */
  static of(rules: readonly ReadyRule[]): RuleIndex | undefined {
    return rules.length < LEAST_RULES ? undefined : new RuleIndex(rules);
  }

  /** Allow rules that may match, in their order. The others miss on their resources, or on what is judged before these. */
  allowing(call: EngineCall): readonly ReadyRule[] {
    // A rule must cover every object, so it must cover the first.
    const [first] = call.resources;
    if (first === undefined) return this.#rules;
    const found = new Set(this.#always);
    for (const index of this.#ofKind(first)) index.find(namesOf(first), found);
    return this.#inOrder(found);
  }

  /** Deny rules that may match, in their order. */
  denying(call: EngineCall): readonly ReadyRule[] {
    const found = new Set(this.#always);
    for (const ref of call.resources) {
      for (const index of this.#ofKind(ref)) {
        // Where a deny closes in doubt, or by a part of a name, the kind alone is looked at.
        if (ref.name === '' || ref.kind === 'exec' || ref.kind === 'image' || ref.kind === 'distribution') {
          addAll(index.all, found);
        } else index.find(namesOf(ref), found);
      }
    }
    return this.#inOrder(found);
  }

  #ofKind({ kind }: ResourceRef): readonly KindIndex[] {
    const own = this.#kinds.get(kind === 'exec' ? 'container' : kind);
    const every = this.#kinds.get('*');
    return [own, every].filter((index) => index !== undefined);
  }

  #inOrder(found: ReadonlySet<number>): readonly ReadyRule[] {
    if (found.size === this.#rules.length) return this.#rules;
    return [...found].sort((a, b) => a - b).map((place) => this.#rules[place] as ReadyRule);
  }
}

/** Every text of an object that a pattern is held against. */
function namesOf({ kind, name, resolvedName, id }: ResourceRef): readonly string[] {
  const names = [name];
  if (resolvedName !== undefined) names.push(resolvedName);
  if (id !== undefined) names.push(id);
  if (kind === 'image' || kind === 'distribution') names.push(...names.map(repositoryOf));
  return names;
}
