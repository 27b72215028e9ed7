// What the policy tests share: principals, and calls made by the engine room from a request line and a body.
import assert from 'node:assert/strict';
import { toCall } from '../../src/engine/call.ts';
import { classify } from '../../src/engine/classify.ts';
import { decodeBody } from '../../src/engine/decode.ts';
import type { EngineCall, ResourceRef } from '../../src/engine/types.ts';
import { compilePolicies, type PolicySet } from '../../src/policy/compile.ts';
import { decide } from '../../src/policy/evaluate.ts';
import { parseDocuments } from '../../src/policy/policy.ts';
import type { Decision, Principal } from '../../src/policy/types.ts';

/** 2026-01-05T12:00:00Z, a Monday. */
export const NOW = Date.UTC(2026, 0, 5, 12);

export const principal = (over: Partial<Principal> = {}): Principal => ({
  subject: 'alice',
  issuer: 'https://dockgate.test',
  groups: [],
  policies: [],
  channel: 'bearer',
  claims: {},
  ...over,
});

/** What is known of the objects of a call, by `kind/name`. */
export type Known = Readonly<Record<string, { id?: string; name?: string; labels?: Record<string, string> }>>;

/** @param line `POST /containers/create?name=x` */
export function callOf(line: string, body?: unknown, known: Known = {}): EngineCall {
  const [method = '', target = ''] = line.split(' ');
  const at = classify(method, target);
  const bytes = body === undefined ? new Uint8Array(0) : new TextEncoder().encode(JSON.stringify(body));
  const call = toCall(at, decodeBody(at, body === undefined ? [] : ['application/json'], bytes));
  if (Object.keys(known).length === 0) return call;
  const resources = call.resources.map((ref): ResourceRef => {
    const object = known[`${ref.kind}/${ref.name}`];
    if (object === undefined) return ref;
    return {
      ...ref,
      id: object.id ?? 'f'.repeat(64),
      resolvedName: object.name ?? ref.name,
      labels: object.labels ?? {},
    };
  });
  return { ...call, resources };
}

/** Compiles YAML with several documents. */
export function setOf(yaml: string): PolicySet {
  const { documents, problems } = parseDocuments(yaml);
  assert.deepEqual(problems, []);
  return compilePolicies(documents, 1);
}

/** A policy with the rules given as YAML list items, bound to all principals. */
export const policyOf = (rules: string, name = 'p'): string =>
  `apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: ${name} }\nsubjects: [{ subject: "*" }]\nrules:\n${rules
    .trim()
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')}\n`;

export function decideFor(
  set: PolicySet,
  who: Principal,
  call: EngineCall,
  over: { source?: string; at?: number } = {},
): Decision {
  return decide(set.forPrincipal(who), {
    principal: who,
    call,
    source: over.source ?? '192.0.2.7',
    at: over.at ?? NOW,
  });
}
