// Runs the tests that stand beside the rules, and the hostile calls against every policy. Both judge a policy alone, as
// bound to the caller of the test and without the bindings of the set, so that a result means the same everywhere.
import { buildCall, writtenFacts } from '../engine/build-call.ts';
import { toCall } from '../engine/call.ts';
import { classify } from '../engine/classify.ts';
import { bodyKindOfTarget, decodeBody } from '../engine/decode.ts';
import type { EngineCall, ResourceRef } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import { BUILD_OPAQUE, isBuildKitDoor } from './actions.ts';
import type { PolicySet, PrincipalPolicies } from './compile.ts';
import { decide } from './evaluate.ts';
import { HOSTILE_CALLS, type HostileCall } from './hostile.ts';
import { judgeRule } from './judge-rule.ts';
import type { ParsedDocument, PolicyDocument, PolicyTest } from './policy.ts';
import type { DecisionInput, Principal } from './types.ts';
import { isGraveUnjudged } from './unjudged.ts';

export interface TestResult {
  readonly policy: string;
  readonly test: string;
  /** Line of the test in its document. */
  readonly line: number;
  readonly passed: boolean;
  /** The expected and the actual decision, in one sentence. */
  readonly message: string;
}

/** A hostile call a policy would let pass although it does not acknowledge host access. */
export interface HostileFinding {
  readonly policy: string;
  readonly rule: string;
  readonly line: number;
  readonly call: string;
  readonly message: string;
}

export interface TestReport {
  /** Nothing failed: the documents may come into force. */
  readonly ok: boolean;
  readonly results: readonly TestResult[];
  readonly hostile: readonly HostileFinding[];
}

/** 2026-01-05T12:00:00Z, a Monday: the moment of a test that names none. */
const DEFAULT_AT = Date.UTC(2026, 0, 5, 12);
const KNOWN_ID = 'd0c4'.repeat(16);

/**
 * Runs every test and the hostile set.
 *
 * @param set compiled from at least these documents
 */
export function runPolicyTests(set: PolicySet, documents: readonly ParsedDocument[]): TestReport {
  const results: TestResult[] = [];
  const hostile: HostileFinding[] = [];
  for (const { document } of documents) {
    if (document.kind !== 'Policy') continue;
    for (const test of document.tests) results.push(runTest(set, document, test));
    hostile.push(...loses(set, document));
  }
  return { ok: hostile.length === 0 && results.every(({ passed }) => passed), results, hostile };
}

/** What keeps documents from coming into force, one `name:line:1: message` each; empty when nothing does. */
export function faultsOfTests(set: PolicySet, documents: readonly ParsedDocument[]): readonly string[] {
  const { results, hostile } = runPolicyTests(set, documents);
  return [
    ...results
      .filter(({ passed }) => !passed)
      .map(({ policy, test, line, message }) => `${policy}:${line}:1: test ${JSON.stringify(test)}: ${message}`),
    ...hostile.map(({ policy, line, message }) => `${policy}:${line}:1: ${message}`),
  ];
}

function principalOf(test: PolicyTest['principal']): Principal {
  return Object.freeze({
    subject: test.subject ?? 'somebody',
    issuer: test.issuer ?? 'https://issuer.test',
    ...(test.tenant === undefined ? {} : { tenant: test.tenant }),
    groups: test.groups ?? [],
    policies: test.policies ?? [],
    ...(test.scope === undefined ? {} : { scope: test.scope }),
    channel: 'bearer',
    claims: test.claims ?? {},
  });
}

function runTest(set: PolicySet, document: PolicyDocument, test: PolicyTest): TestResult {
  const { request, expect } = test;
  const principal = principalOf(test.principal);
  const policies = set.forPolicies(principal, test.principal.policies ?? [document.name]);
  let effect: 'allow' | 'deny';
  let code: string;
  let message: string;
  try {
    const call = withObjects(callOf(request), policies, test.objects ?? []);
    const decision = decide(policies, {
      principal,
      call,
      source: request.source ?? 'unix',
      at: request.at ?? DEFAULT_AT,
    });
    effect = decision.effect;
    code = decision.reasons[0]?.code ?? '';
    message = decision.reasons[0]?.message ?? '';
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    effect = 'deny';
    code = error.code;
    message = `refused before policy: ${error.message}`;
  }
  const result = { policy: document.name, test: test.name, line: test.line };
  if (effect !== expect) {
    return { ...result, passed: false, message: `expected ${expect}, got ${effect}: ${message}` };
  }
  if (expect === 'deny' && test.code !== undefined && test.code !== code) {
    return { ...result, passed: false, message: `expected the code ${test.code}, got ${code}: ${message}` };
  }
  return { ...result, passed: true, message };
}

/** The call a request is, as the gateway would read it. */
function callOf({ method, path, body }: { method: string; path: string; body?: unknown }): EngineCall {
  const target = classify(method, path);
  if (target.action === 'build.control' && body !== undefined) {
    const facts = writtenFacts(body);
    if (facts !== undefined) return buildCall(facts);
    throw new GatewayError(
      'input-invalid',
      'the body of a build holds lists of texts: tags, sources, entitlements, ...',
    );
  }
  if (bodyKindOfTarget(target) === 'opaque') return toCall(target, undefined);
  const bytes = body === undefined ? new Uint8Array(0) : new TextEncoder().encode(JSON.stringify(body));
  return toCall(target, decodeBody(target, body === undefined ? [] : ['application/json'], bytes));
}

function withObjects(
  call: EngineCall,
  policies: PrincipalPolicies,
  objects: NonNullable<PolicyTest['objects']>,
): EngineCall {
  if (objects.length === 0) return call;
  const open = new Set(policies.needsResolution(call));
  const remade = new Set(policies.needsRemake(call));
  const resources = call.resources.map((ref): ResourceRef => {
    const found = objects.find(({ kind, name }) => kind === ref.kind && name === ref.name);
    if (found === undefined || !(open.has(ref) || remade.has(ref))) return ref;
    const remake =
      remade.has(ref) && found.body !== undefined
        ? { remake: callOf({ method: 'POST', path: '/containers/create', body: found.body }) }
        : {};
    return { ...ref, id: KNOWN_ID, resolvedName: found.name, labels: found.labels, ...remake };
  });
  return { ...call, resources };
}

/** A caller with something in every place a template may fill. */
const HOSTILE: Principal = Object.freeze({
  subject: 'hostile',
  issuer: 'https://issuer.test',
  tenant: 'hostile',
  groups: [],
  policies: [],
  tokenId: 'hostile',
  channel: 'bearer',
  claims: { owner: 'hostile' },
});

let hostileCalls: readonly { readonly hostile: HostileCall; readonly call: EngineCall }[] | undefined;

function readHostileCalls() {
  hostileCalls ??= HOSTILE_CALLS.map((hostile) => ({ hostile, call: callOf(hostile) }));
  return hostileCalls;
}

/**
 * The hostile calls a policy would let pass. Names, labels, hours and sources are not looked at: a caller may meet them.
 * What counts is whether the host preset or the conditions of the rule, or a deny rule without conditions of its own,
 * stand in the way.
 */
function loses(set: PolicySet, document: PolicyDocument): HostileFinding[] {
  if (document.acknowledges.includes('host-access')) return [];
  const policies = set.forPolicies(HOSTILE, [document.name]);
  const findings: HostileFinding[] = [];
  for (const { hostile, call } of readHostileCalls()) {
    if (hostile.acknowledgedBy !== undefined && document.acknowledges.includes(hostile.acknowledgedBy)) continue;
    const input: DecisionInput = { principal: HOSTILE, call, source: 'unix', at: DEFAULT_AT };
    // Of BuildKit's doors only the unread ones hand over anything.
    const { allows, denies } = policies.rulesFor(isBuildKitDoor(call.action) ? BUILD_OPAQUE : call.action);
    const isDenied = denies.some(
      (deny) =>
        deny.resources === undefined &&
        deny.labels === undefined &&
        deny.source === undefined &&
        deny.hours === undefined &&
        deny.rule.notBefore === undefined &&
        deny.rule.notAfter === undefined &&
        judgeRule(deny, input).kind === 'match',
    );
    if (isDenied) continue;
    const open = allows.find((allow) => {
      // The swarm is grave for its tokens alone, and what a matching rule takes out of an answer is out.
      if (call.action === 'swarm.inspect' && allow.redact?.includes('swarm.tokens') === true) return false;
      const bare = { ...allow, rule: { ...allow.rule } };
      delete bare.rule.notBefore;
      delete bare.rule.notAfter;
      delete bare.rule.hours;
      return (
        judgeRule(
          { ...bare, error: undefined, resources: undefined, labels: undefined, source: undefined, hours: undefined },
          input,
        ).kind === 'match'
      );
    });
    if (open === undefined) continue;
    findings.push({
      policy: document.name,
      rule: open.name,
      line: open.rule.line,
      call: hostile.name,
      message: `rule ${open.name} lets pass ${hostile.name} (${hostile.method} ${hostile.path}); ${remedyFor(call.action)}`,
    });
  }
  return findings;
}

const remedyFor = (action: string): string =>
  isGraveUnjudged(action)
    ? `take ${action} out of it, which no host preset can judge, or write metadata.acknowledges: [host-access] if this is meant${action === 'swarm.inspect' ? '; with redact: [swarm.tokens] the rule may keep it' : ''}`
    : 'add host: {preset: baseline} to it, or metadata.acknowledges: [host-access] if this is meant';
