// A token's ceiling: scope and RFC 9396 authorization details, its own and those of the tokens it was made from. Every layer
// must cover a call; none ever grants anything. Details are judged as allow rules are, so both mean the same by a pattern.

import { actionsOf, expandAction, faultOfAction, isBuildKitDoor, scopeCovers } from './actions.ts';
import { type BuildGrant, bothGrants, buildRulesOf, compileBuild, narrowedGrant } from './build/index.ts';
import type { ReadyRule } from './compile.ts';
import { compileHostSpec, HOST_PRESETS, type HostPreset } from './host/index.ts';
import { type HostResults, judgeRule, type Miss, STAGES } from './judge-rule.ts';
import { compileResource, type ResourcePattern } from './match.ts';
import { faultOfResource } from './read-rule.ts';
import { didYouMean } from './suggest.ts';
import type { Ceiling, DecisionInput, DockerAuthorization, Principal, Reason } from './types.ts';

/** `type` of our authorization details. */
export const DETAIL_TYPE = 'docker';
/** Bounds of what one token carries. */
const MAX_DETAILS = 16;
const MAX_ENTRIES = 64;
const MAX_ENTRY_LENGTH = 256;
/** Presets from loosest to strictest. `privileged` narrows nothing. */
const STRICTNESS: readonly HostPreset[] = ['privileged', 'baseline', 'restricted', 'hardened'];
/** What every client asks before anything else. Details never stand against it; the policies still decide. */
const ALWAYS_COVERED: ReadonlySet<string> = new Set(['system.ping', 'system.version']);
/** Action patterns named in a denial. */
const MAX_NAMED = 8;

/** Details as read, or every fault in them, each a sentence that begins with its place. */
export type ReadDetails =
  | { readonly details: readonly DockerAuthorization[]; readonly problems?: undefined }
  | { readonly details?: undefined; readonly problems: readonly string[] };

/** Reads `authorization_details` from untrusted JSON. A key that would not be enforced is refused. */
export function readAuthorizationDetails(value: unknown): ReadDetails {
  const problems: string[] = [];
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_DETAILS) {
    return { problems: [`must be a list of 1 to ${MAX_DETAILS} objects of type ${DETAIL_TYPE}`] };
  }
  const details = value.map((item: unknown, i) => readDetail(item, `[${i}]`, problems));
  return problems.length > 0 ? { problems } : { details: Object.freeze(details) };
}

function readDetail(value: unknown, where: string, problems: string[]): DockerAuthorization {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    problems.push(`${where} must be an object of type ${DETAIL_TYPE}`);
    return { type: DETAIL_TYPE };
  }
  const known = ['type', 'actions', 'resources', 'host'];
  const fields = value as Record<string, unknown>;
  for (const key of Object.keys(fields)) {
    if (!known.includes(key)) problems.push(`${where} has an unknown key ${quoted(key)}${didYouMean(key, known)}`);
  }
  if (fields.type !== DETAIL_TYPE) problems.push(`${where}.type must be ${DETAIL_TYPE}`);
  const actions = readEntries(fields.actions, `${where}.actions`, faultOfAction, problems);
  const resources = readEntries(fields.resources, `${where}.resources`, faultOfDetailResource, problems);
  const host = fields.host === undefined ? undefined : readHost(fields.host, `${where}.host`, problems);
  if (actions === undefined && resources === undefined && host === undefined) {
    problems.push(`${where} narrows nothing; give actions, resources or host`);
  }
  return Object.freeze({
    type: DETAIL_TYPE,
    ...(actions === undefined ? {} : { actions }),
    ...(resources === undefined ? {} : { resources }),
    ...(host === undefined ? {} : { host }),
  });
}

function readEntries(
  value: unknown,
  where: string,
  faultOf: (entry: string) => string | undefined,
  problems: string[],
): readonly string[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_ENTRIES) {
    problems.push(`${where} must be a list of 1 to ${MAX_ENTRIES} patterns`);
    return [];
  }
  for (const [i, entry] of value.entries()) {
    if (typeof entry !== 'string' || entry.length > MAX_ENTRY_LENGTH) {
      problems.push(`${where}[${i}] must be text of at most ${MAX_ENTRY_LENGTH} characters`);
      continue;
    }
    const fault = faultOf(entry);
    if (fault !== undefined) problems.push(`${where}[${i}]: ${fault}`);
  }
  return Object.freeze([...(value as string[])]);
}

/** Nothing fills places in a token: what it says is what it means. */
const faultOfDetailResource = (text: string): string | undefined =>
  text.includes('$') ? `${quoted(text)} holds a $; a token's patterns are fixed` : faultOfResource(text);

function readHost(value: unknown, where: string, problems: string[]): { readonly preset: HostPreset } | undefined {
  const fields = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const usable = HOST_PRESETS.filter((preset) => preset !== 'privileged');
  const preset = usable.find((name) => name === fields.preset);
  if (preset !== undefined && Object.keys(fields).length === 1) return Object.freeze({ preset });
  problems.push(`${where} must be { preset } with one of ${usable.join(', ')}`);
  return undefined;
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 64));

interface Layer {
  readonly scope: readonly string[] | undefined;
  readonly rules: readonly { readonly actions: ReadonlySet<string>; readonly rule: ReadyRule }[] | undefined;
}

/** The ceiling of one principal, compiled once. */
export class TokenCeiling {
  readonly #layers: readonly Layer[];

  constructor(layers: readonly Ceiling[]) {
    this.#layers = layers.map(({ scope, authorizationDetails }) => ({
      scope,
      rules: authorizationDetails?.map((detail, i) => ({
        // As in an allow rule, all actions are all but build.opaque, which has to be named.
        actions: actionsOf({ effect: 'allow', actions: detail.actions ?? ['*'] }),
        rule: ruleOf(detail, i),
      })),
    }));
  }

  /** Why no call of this action is covered, in one sentence; undefined when some may be. */
  outside(action: string): string | undefined {
    for (const { scope, rules } of this.#layers) {
      if (scope !== undefined && !scopeCovers(scope, action)) {
        return `denied by the token's scope: it covers ${listed(scope)}, not ${action}`;
      }
      if (!ALWAYS_COVERED.has(action) && rules?.every(({ actions }) => !actions.has(action))) {
        const covered = [...new Set(rules.flatMap(({ rule }) => rule.rule.actions))];
        return `denied by the token's ceiling: it covers ${listed(covered)}, not ${action}`;
      }
    }
    return undefined;
  }

  /** The details that speak of an action, for what they need to know of its objects. */
  rulesFor(action: string): readonly ReadyRule[] {
    return this.#layers.flatMap(({ rules }) =>
      (rules ?? []).filter(({ actions }) => actions.has(action)).map(({ rule }) => rule),
    );
  }

  /** The part of a build's grant below the ceiling: of each layer, the part that the details covering the call give. */
  narrowed(grant: BuildGrant, input: DecisionInput): BuildGrant {
    let left = grant;
    for (const { rules } of this.#layers) {
      let layer: BuildGrant | undefined;
      for (const { actions, rule } of rules ?? []) {
        if (!actions.has(input.call.action) || rule.build === undefined) continue;
        if (judgeRule(rule, input).kind !== 'match') continue;
        layer = layer === undefined ? rule.build.grant : bothGrants(layer, rule.build.grant);
      }
      if (layer !== undefined) left = narrowedGrant(left, layer);
    }
    return left;
  }

  /** Why the ceiling does not cover the call; undefined when it does. */
  exceededBy(input: DecisionInput, hosts?: HostResults, isUnread = false): Reason | undefined {
    const { action } = input.call;
    const message = this.outside(action);
    if (message !== undefined) return { code: 'scope-exceeded', field: 'scope', message };
    // What comes through a door that is read is held against the ceiling by itself.
    if (ALWAYS_COVERED.has(action) || (isBuildKitDoor(action) && !isUnread)) return undefined;
    for (const { rules } of this.#layers) {
      if (rules === undefined) continue;
      let nearest: Miss | undefined;
      let covered = false;
      for (const { actions, rule } of rules) {
        if (!actions.has(action)) continue;
        const verdict = judgeRule(rule, input, hosts);
        if (verdict.kind === 'match') {
          covered = true;
          break;
        }
        if (verdict.kind === 'error') {
          return { code: 'rule-error', message: `denied by the token's ceiling: ${verdict.message}` };
        }
        if (nearest === undefined || STAGES.indexOf(verdict.stage) > STAGES.indexOf(nearest.stage)) nearest = verdict;
      }
      if (covered) continue;
      const field = nearest?.field;
      return {
        code: 'scope-exceeded',
        ...(field === undefined ? {} : { field }),
        message: `denied by the token's ceiling: ${nearest?.message ?? `it does not cover ${action}`}`,
      };
    }
    return undefined;
  }
}

const listed = (patterns: readonly string[]): string =>
  patterns.length === 0 ? 'nothing' : patterns.slice(0, MAX_NAMED).join(' ');

/** The ceiling of a principal; undefined when its credentials set none. */
export function ceilingOf(principal: Principal): TokenCeiling | undefined {
  const { scope, authorizationDetails, ancestors = [] } = principal;
  const own: Ceiling = {
    ...(scope === undefined ? {} : { scope }),
    ...(authorizationDetails === undefined ? {} : { authorizationDetails }),
  };
  const layers = [own, ...ancestors.map(({ ceiling }) => ceiling)].filter(
    (layer) => layer.scope !== undefined || layer.authorizationDetails !== undefined,
  );
  return layers.length === 0 ? undefined : new TokenCeiling(layers);
}

/** A detail as an allow rule, to be judged by the same code as any other. */
function ruleOf(detail: DockerAuthorization, index: number): ReadyRule {
  const name = `authorization_details[${index}]`;
  const { actions = ['*'], resources, host } = detail;
  return {
    id: `token/${name}`,
    policy: 'token',
    builtIn: true,
    name,
    effect: 'allow',
    rule: { name, effect: 'allow', actions, ...(resources === undefined ? {} : { resources }), line: 0 },
    error: undefined,
    resources: resources?.map(compileResource),
    labels: undefined,
    source: undefined,
    hours: undefined,
    host: host === undefined ? undefined : compileHostSpec(host),
    // A token grants nothing, so naming an action in full is all it needs to say.
    acknowledged: true,
    build: compileBuild(buildRulesOf(undefined, host)),
    when: undefined,
    set: undefined,
    redact: undefined,
    leaseMs: undefined,
  };
}

/**
 * The reason why one ceiling reaches beyond another; undefined when it surely does not. Patterns are compared as they stand, so
 * a narrower one may be refused that is written in another way; the wider one is a ceiling at use in any case.
 */
export function exceeds(narrow: Ceiling, wide: Ceiling): string | undefined {
  if (wide.scope !== undefined && narrow.scope !== undefined) {
    for (const entry of narrow.scope) {
      const covered = [...actionsOf({ effect: 'allow', actions: [entry] })];
      const beyond = covered.find((action) => !scopeCovers(wide.scope as readonly string[], action));
      if (beyond !== undefined) return `scope ${entry} covers ${beyond}, which the parent's scope does not`;
    }
  }
  if (wide.authorizationDetails !== undefined && narrow.authorizationDetails !== undefined) {
    const outer = wide.authorizationDetails;
    for (const [i, detail] of narrow.authorizationDetails.entries()) {
      if (!outer.some((other) => isWithin(detail, other))) {
        return `authorization_details[${i}] is not within any of the parent's`;
      }
    }
  }
  return undefined;
}

function isWithin(inner: DockerAuthorization, outer: DockerAuthorization): boolean {
  if (outer.actions !== undefined) {
    if (inner.actions === undefined) return false;
    const covered = new Set(outer.actions.flatMap(expandAction));
    if (!inner.actions.flatMap(expandAction).every((action) => covered.has(action))) return false;
  }
  if (outer.resources !== undefined) {
    if (inner.resources === undefined) return false;
    const wide = outer.resources.map(compileResource);
    const isCovered = (text: string) => wide.some((pattern) => patternCovers(pattern, compileResource(text)));
    if (!inner.resources.every(isCovered)) return false;
  }
  if (outer.host !== undefined) {
    if (inner.host === undefined) return false;
    if (STRICTNESS.indexOf(inner.host.preset) < STRICTNESS.indexOf(outer.host.preset)) return false;
  }
  return true;
}

/** A `*` of the narrower pattern is read as a letter that only a `*` of the wider one can stand for. */
function patternCovers(wide: ResourcePattern, narrow: ResourcePattern): boolean {
  if (wide.kind !== '*' && wide.kind !== narrow.kind) return false;
  return wide.any || wide.test(narrow.text.slice(narrow.text.indexOf('/') + 1));
}
