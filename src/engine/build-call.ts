// A BuildKit build as a call that policy judges: the facts read from the protocol, and beside them the query a classic build
// of the same kind would have, so that conditions and plugins about builds speak of both. Pure.
import { toCall } from './call.ts';
import { classify } from './classify.ts';
import type { BuildFact, BuildFacts, EngineCall } from './types.ts';

const KINDS: Readonly<Record<keyof BuildFacts, true>> = {
  entitlements: true,
  networks: true,
  sources: true,
  frontends: true,
  exporters: true,
  tags: true,
  secrets: true,
  ssh: true,
  cache: true,
  contexts: true,
};

/** Parts of a build's facts; a part that is left out is empty. */
export const factsOf = (parts: Partial<BuildFacts>): BuildFacts => {
  const facts = Object.fromEntries(
    (Object.keys(KINDS) as (keyof BuildFacts)[]).map((kind) => [kind, Object.freeze([...(parts[kind] ?? [])])]),
  );
  return Object.freeze(facts) as unknown as BuildFacts;
};

/**
 * The call a build is judged as.
 *
 * @param query of a classic build with the same options, but for its tags and version
 */
export function buildCall(facts: BuildFacts, query: Readonly<Record<string, string>> = {}): EngineCall {
  const parameters = new URLSearchParams({ ...query, version: '2' });
  for (const { value } of facts.tags) parameters.append('t', value);
  const call = toCall(classify('POST', `/build?${parameters}`), undefined);
  // An image without a name is a build's own; what goes to the client makes no object.
  const isUnnamed = facts.tags.length === 0 && facts.exporters.some(({ value }) => value === 'image');
  const resources = call.resources.filter(({ kind }) => kind !== 'build' || isUnnamed);
  return Object.freeze({ ...call, resources: Object.freeze(resources), build: facts });
}

/**
 * The facts as people write them in tests of a policy: lists of texts under the names of the `build:` block.
 *
 * @returns undefined for a text that is no such map
 */
export function writtenFacts(body: unknown): BuildFacts | undefined {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return undefined;
  const parts: { -readonly [K in keyof BuildFacts]?: BuildFact[] } = {};
  for (const [key, values] of Object.entries(body)) {
    if (!Object.hasOwn(KINDS, key) || !Array.isArray(values)) return undefined;
    parts[key as keyof BuildFacts] = values.map((value, i) => ({ at: `${key}[${i}]`, value: String(value) }));
  }
  return factsOf(parts);
}
