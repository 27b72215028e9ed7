// Compiles documents into a set that answers fast: once per revision for all principals, then once for each, indexed by
// action. Names that are bound but do not exist, and places that cannot be filled, become rules that deny.
import type { EngineCall, ResourceRef } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import { actionsOf } from './actions.ts';
import { type BuildCheck, buildRulesOf, compileBuild } from './build/index.ts';
import { BUILT_IN_DOCUMENTS } from './builtin.ts';
import { ceilingOf, type TokenCeiling } from './ceiling.ts';
import { type Condition, compileCondition } from './conditions.ts';
import { compileHostSpec, type HostCheck, type HostSpec, isJudgedAtUse, isRemade } from './host/index.ts';
import {
  compileGlob,
  compileResource,
  isResolvable,
  type NameTest,
  needsRealName,
  type ResourcePattern,
} from './match.ts';
import type { BindingDocument, ParsedDocument, PolicyDocument, Rule, SubjectMatch } from './policy.ts';
import { type Problem, parseDocuments } from './policy.ts';
import { fillTemplate, parseTemplate, type Template, type TemplateUse } from './principal-template.ts';
import { RuleIndex } from './rule-index.ts';
import type { Principal } from './types.ts';
import { compileHours, compileSource, type SourceVerdict } from './windows.ts';

/** A rule for one principal, ready to be judged. */
export interface ReadyRule {
  /** `policy/rule`. */
  readonly id: string;
  readonly policy: string;
  /** The policy is one of the program's own. */
  readonly builtIn: boolean;
  readonly name: string;
  readonly effect: 'allow' | 'deny';
  readonly rule: Rule;
  /** The rule cannot be judged for this principal: every call it speaks of is denied. */
  readonly error: string | undefined;
  readonly resources: readonly ResourcePattern[] | undefined;
  readonly labels: readonly (readonly [string, string])[] | undefined;
  readonly source: ((source: string) => SourceVerdict) | undefined;
  readonly hours: ((at: number) => boolean) | undefined;
  readonly host: HostCheck | undefined;
  /** The policy says that it means to give the host away. */
  readonly acknowledged: boolean;
  /** Set for rules that allow builds. */
  readonly build: BuildCheck | undefined;
  readonly when: readonly Condition[] | undefined;
  /** Labels to stamp. */
  readonly set: Readonly<Record<string, string>> | undefined;
  /** Parts to take out of the answer. */
  readonly redact: readonly string[] | undefined;
  /** How long what is made may stay, in ms. */
  readonly leaseMs: number | undefined;
}

/** What one principal's rules say of one action. */
export interface ActionRules {
  readonly denies: readonly ReadyRule[];
  readonly allows: readonly ReadyRule[];
  /** Some allow rule stamps labels, takes parts out of answers, gives a lease, sets the level of the audit, has sessions recorded or may fail, so all of them are judged, not only up to the first that matches. */
  readonly judgeAll: boolean;
  /** The first rule that cannot be judged for this principal at all. */
  readonly broken: ReadyRule | undefined;
  /** Which of many rules may match a call; undefined where all are judged. */
  readonly denyIndex: RuleIndex | undefined;
  readonly allowIndex: RuleIndex | undefined;
}

/** One policy of the set, as the administrator sees it. */
export interface PolicyView {
  readonly kind: 'Policy' | 'Binding';
  readonly name: string;
  readonly description: string;
  readonly builtIn: boolean;
  readonly source: string;
}

/** What templates become once per revision; only filling is left for each principal. */
interface CompiledRule {
  readonly policy: string;
  readonly rule: Rule;
  readonly actions: ReadonlySet<string>;
  readonly resources:
    | readonly { readonly template: Template; readonly use: TemplateUse; readonly fixed: ResourcePattern | undefined }[]
    | undefined;
  readonly labels: readonly (readonly [string, Template])[] | undefined;
  readonly set: readonly (readonly [string, Template])[] | undefined;
  readonly redact: readonly string[] | undefined;
  readonly leaseMs: number | undefined;
  readonly source: ReadyRule['source'];
  readonly hours: ReadyRule['hours'];
  readonly host: HostCheck | undefined;
  readonly acknowledged: boolean;
  readonly build: BuildCheck | undefined;
  readonly when: readonly Condition[] | undefined;
  /** The rule as it holds for all principals, when nothing in it is to be filled. */
  readonly ready: ReadyRule | undefined;
}

interface CompiledBinding {
  readonly name: string;
  matches(principal: Principal): boolean;
  readonly policies: readonly string[];
}

export interface CompileOptions {
  /** This gateway's issuer: `identity:` in subjects speaks of its principals alone. Default: of any issuer's. */
  readonly issuer?: string;
}

/** Most problems told of one set: a longer list does not help its author. */
const MAX_PROBLEMS_TOLD = 50;

/**
 * Compiles a whole set. The built-in policies are always present beneath it.
 *
 * @param revision of the set, shown as `r12`
 * @throws {GatewayError} `input-invalid` with every problem, one a line
 */
export function compilePolicies(
  documents: readonly { readonly kind: string; readonly name: string; readonly source: string }[],
  revision: number,
  options: CompileOptions = {},
): PolicySet {
  const problems: string[] = [];
  const parsed: ParsedDocument[] = [];
  const names = new Map<string, string>();
  for (const { kind, name, source } of documents) {
    const read = parseDocuments(source, name);
    problems.push(...read.problems.map(renderProblem));
    if (read.problems.length > 0) continue;
    const [document] = read.documents;
    if (document === undefined || read.documents.length !== 1) {
      problems.push(`${name}: one document is expected here, ${read.documents.length} were found`);
    } else if (document.kind !== kind || document.name !== name) {
      problems.push(`${name}: the text is that of ${document.kind} ${document.name}, not of ${kind} ${name}`);
    } else if (BUILT_IN_NAMES.has(name)) {
      problems.push(`${name} is the name of a built-in policy; choose another`);
    } else if (names.has(name)) {
      problems.push(`${name} is given twice; names are unique among policies and bindings`);
    } else {
      names.set(name, kind);
      parsed.push(document);
    }
  }
  if (problems.length > 0) {
    const told = problems.slice(0, MAX_PROBLEMS_TOLD);
    if (problems.length > told.length) told.push(`and ${problems.length - told.length} more`);
    throw new GatewayError('input-invalid', told.join('\n'));
  }
  return new PolicySet(parsed, revision, options);
}

/** `ci.yaml:4:7: message`. */
export const renderProblem = ({ file, line, column, message }: Problem): string =>
  `${file === undefined ? '' : `${file}:`}${line}:${column}: ${message}`;

interface BuiltIn {
  readonly document: ParsedDocument;
  readonly rules: readonly CompiledRule[];
}

const BUILT_IN_NAMES: ReadonlySet<string> = new Set(BUILT_IN_DOCUMENTS.map(({ name }) => name));

const readBuiltIns = new Map<string, BuiltIn>();

/** A built-in document, read at its first use and kept: there are many, and most gateways use two or three. */
function builtIn(name: string): BuiltIn | undefined {
  const known = readBuiltIns.get(name);
  if (known !== undefined) return known;
  const source = BUILT_IN_DOCUMENTS.find((one) => one.name === name)?.source;
  if (source === undefined) return undefined;
  const { documents, problems } = parseDocuments(source, name);
  const [document] = documents;
  if (problems.length > 0 || document === undefined || document.name !== name) {
    const why = problems.map(renderProblem).join('; ');
    throw new GatewayError('internal', `the built-in policy ${name} is not valid: ${why}`);
  }
  const read = { document, rules: compileRules(document.document as PolicyDocument) };
  readBuiltIns.set(name, read);
  return read;
}

/** All built-in documents. A fault in one is a fault in the program. */
export const builtIns = (): readonly BuiltIn[] => BUILT_IN_DOCUMENTS.map(({ name }) => builtIn(name) as BuiltIn);

/** Every document in force at one revision. */
export class PolicySet {
  readonly revision: string;
  readonly #documents: readonly ParsedDocument[];
  readonly #policies = new Map<string, readonly CompiledRule[]>();
  readonly #bindings: CompiledBinding[] = [];
  readonly #byPrincipal = new WeakMap<Principal, PrincipalPolicies>();

  constructor(documents: readonly ParsedDocument[], revision: number, options: CompileOptions) {
    this.revision = `r${revision}`;
    this.#documents = documents;
    for (const { name, document } of documents) {
      if (document.kind === 'Policy') {
        this.#policies.set(name, compileRules(document));
        if (document.subjects.length > 0) this.#bindings.push(compileBinding(document, [name], options));
      } else {
        this.#bindings.push(compileBinding(document, document.policies, options));
      }
    }
  }

  /** Every policy and binding, built-in ones first. */
  policies(): readonly PolicyView[] {
    const view = ({ kind, name, document, source }: ParsedDocument, builtIn: boolean): PolicyView => ({
      kind,
      name,
      description: document.description ?? '',
      builtIn,
      source,
    });
    return [...builtIns().map(({ document }) => view(document, true)), ...this.#documents.map((d) => view(d, false))];
  }

  /** The documents as read, without the built-in ones. */
  get documents(): readonly ParsedDocument[] {
    return this.#documents;
  }

  /** The policies bound to a principal. Kept as long as the principal object itself, which must not change. */
  forPrincipal(principal: Principal): PrincipalPolicies {
    let known = this.#byPrincipal.get(principal);
    if (known === undefined) {
      known = this.#bind(principal);
      this.#byPrincipal.set(principal, known);
    }
    return known;
  }

  /** Exactly the policies named, without regard to bindings: for tests of one policy and for previews. */
  forPolicies(principal: Principal, names: readonly string[]): PrincipalPolicies {
    return this.#collect(principal, new Map(names.map((name) => [name, 'the test'])));
  }

  /** The policies bound to a principal, in the order they are judged, and what binds each. */
  boundTo(
    principal: Principal,
  ): readonly { readonly name: string; readonly from: string; readonly builtIn: boolean; readonly exists: boolean }[] {
    return [...this.#boundTo(principal)].map(([name, from]) => ({
      name,
      from,
      builtIn: BUILT_IN_NAMES.has(name),
      exists: this.#policies.has(name) || BUILT_IN_NAMES.has(name),
    }));
  }

  #bind(principal: Principal): PrincipalPolicies {
    return this.#collect(principal, this.#boundTo(principal));
  }

  #boundTo(principal: Principal): ReadonlyMap<string, string> {
    const bound = new Map<string, string>();
    for (const name of principal.policies) bound.set(name, 'the identity itself');
    for (const binding of this.#bindings) {
      if (!binding.matches(principal)) continue;
      for (const name of binding.policies) if (!bound.has(name)) bound.set(name, `binding ${binding.name}`);
    }
    return bound;
  }

  #collect(principal: Principal, bound: ReadonlyMap<string, string>): PrincipalPolicies {
    const rules: CompiledRule[] = [];
    const missing: string[] = [];
    for (const [name, by] of bound) {
      const found = this.#policies.get(name) ?? builtIn(name)?.rules;
      if (found === undefined) missing.push(`policy ${name}, bound by ${by}, does not exist`);
      else rules.push(...found);
    }
    return new PrincipalPolicies(principal, [...bound.keys()], rules, missing);
  }
}

/** What the set says of one principal. */
export class PrincipalPolicies {
  readonly principal: Principal;
  /** Names of the bound policies, in the order they are judged. */
  readonly names: readonly string[];
  /** Bound policies that do not exist: until that is mended, every call is denied. */
  readonly missing: readonly string[];
  readonly #rules: readonly CompiledRule[];
  readonly #filled = new Map<CompiledRule, ReadyRule>();
  readonly #byAction = new Map<string, ActionRules>();
  /** What the credentials at most allow, undefined when they set no ceiling. */
  readonly ceiling: TokenCeiling | undefined;
  readonly #scoped = new Map<string, boolean>();
  readonly #needed = new Map<string, boolean>();
  readonly #limitsImages = new Map<string, boolean>();

  constructor(
    principal: Principal,
    names: readonly string[],
    rules: readonly CompiledRule[],
    missing: readonly string[],
  ) {
    this.principal = principal;
    this.names = names;
    this.#rules = rules;
    this.missing = missing;
    this.ceiling = ceilingOf(principal);
  }

  /** Whether any rule allows the action at all: known before a body is read. */
  mayAllow(action: string): boolean {
    return this.missing.length === 0 && this.rulesFor(action).allows.length > 0 && this.isInScope(action);
  }

  /** Whether the token's ceiling covers calls of the action; without a ceiling it covers every one. */
  isInScope(action: string): boolean {
    if (this.ceiling === undefined) return true;
    let known = this.#scoped.get(action);
    if (known === undefined) {
      known = this.ceiling.outside(action) === undefined;
      this.#scoped.set(action, known);
    }
    return known;
  }

  /** The rules that speak of an action. */
  rulesFor(action: string): ActionRules {
    let known = this.#byAction.get(action);
    if (known === undefined) {
      const rules = this.#rules.filter((rule) => rule.actions.has(action)).map((rule) => this.#fill(rule));
      const allows = rules.filter((rule) => rule.effect === 'allow');
      const denies = rules.filter((rule) => rule.effect === 'deny');
      known = {
        denies,
        allows,
        denyIndex: RuleIndex.of(denies),
        allowIndex: RuleIndex.of(allows),
        judgeAll: allows.some(({ set, redact, leaseMs, when, rule: { audit, record } }) =>
          [set, redact, leaseMs, when, audit, record].some((part) => part !== undefined),
        ),
        broken: rules.find((rule) => rule.error !== undefined),
      };
      this.#byAction.set(action, known);
    }
    return known;
  }

  /** Every bound rule, for all actions, in the order of the documents. */
  allRules(): readonly ReadyRule[] {
    return this.#rules.map((rule) => this.#fill(rule));
  }

  /**
   * The objects of a call whose real name or labels must be known before it can be decided.
   * The usual rules, without labels and with patterns for whole kinds, need none.
   */
  needsResolution(call: EngineCall): readonly ResourceRef[] {
    let needed: ResourceRef[] | undefined;
    for (const ref of call.resources) {
      if (!isResolvable(ref)) continue;
      if (this.#needsToKnow(call, ref)) {
        needed ??= [];
        needed.push(ref);
      }
    }
    return needed ?? NONE;
  }

  /** All that `needsToKnow` asks of a call and an object is in the key. */
  #needsToKnow(call: EngineCall, ref: ResourceRef): boolean {
    const key = `${call.action} ${ref.kind} ${ref.role === 'creates'} ${isJudgedAtUse(call, ref)}`;
    let known = this.#needed.get(key);
    if (known === undefined) {
      const { denies, allows } = this.rulesFor(call.action);
      const ceiling = this.ceiling?.rulesFor(call.action) ?? NO_RULES;
      known = [denies, allows, ceiling].some((rules) => rules.some((rule) => needsToKnow(rule, call, ref)));
      this.#needed.set(key, known);
    }
    return known;
  }

  /** The containers of a call of which a rule must know how they would be made again. */
  needsRemake(call: EngineCall): readonly ResourceRef[] {
    const rules = this.rulesFor(call.action).allows;
    if (!rules.some(({ rule }) => rule.host?.remakes === true)) return NONE;
    return call.resources.filter((ref) => isRemade(call, ref));
  }

  /** Whether a rule about the action says which images it may touch, or where they may come from. */
  limitsImages(action: string): boolean {
    let known = this.#limitsImages.get(action);
    if (known === undefined) {
      known = this.#limitsImagesNow(action);
      this.#limitsImages.set(action, known);
    }
    return known;
  }

  #limitsImagesNow(action: string): boolean {
    const { denies, allows } = this.rulesFor(action);
    const ceiling = this.ceiling?.rulesFor(action) ?? NO_RULES;
    return [...denies, ...allows, ...ceiling].some(
      ({ resources, labels, rule, when, error }) =>
        error !== undefined ||
        resources !== undefined ||
        labels !== undefined ||
        (rule.host !== undefined && rule.host.preset !== 'privileged') ||
        when?.some((condition) => condition.readsResources) === true,
    );
  }

  #fill(compiled: CompiledRule): ReadyRule {
    if (compiled.ready !== undefined) return compiled.ready;
    let known = this.#filled.get(compiled);
    if (known === undefined) {
      known = fillRule(compiled, this.principal);
      this.#filled.set(compiled, known);
    }
    return known;
  }
}

const NONE: readonly ResourceRef[] = Object.freeze([]);
const NO_RULES: readonly ReadyRule[] = Object.freeze([]);

function needsToKnow(rule: ReadyRule, call: EngineCall, ref: ResourceRef): boolean {
  if (rule.error !== undefined) return false;
  if (rule.labels !== undefined || rule.when?.some((condition) => condition.readsResources) === true) return true;
  if (rule.host !== undefined && rule.rule.host?.preset !== 'privileged' && isJudgedAtUse(call, ref)) return true;
  // An object yet to be made is judged by the name it is to have.
  if (rule.resources === undefined || (ref.role === 'creates' && rule.effect === 'allow')) return false;
  if (rule.effect === 'deny') return rule.resources.some((pattern) => needsRealName(pattern, ref));
  if (rule.resources.some((pattern) => pattern.any && !needsRealName(pattern, ref) && coversKind(pattern, ref)))
    return false;
  return rule.resources.some((pattern) => needsRealName(pattern, ref));
}

const coversKind = (pattern: ResourcePattern, ref: ResourceRef): boolean =>
  pattern.kind === '*' || pattern.kind === (ref.kind === 'exec' ? 'container' : ref.kind);

function compileBinding(
  document: PolicyDocument | BindingDocument,
  policies: readonly string[],
  options: CompileOptions,
): CompiledBinding {
  const tests = document.subjects.map((subject) => compileSubject(subject, options));
  return { name: document.name, policies, matches: (principal) => tests.some((test) => test(principal)) };
}

function compileSubject(match: SubjectMatch, options: CompileOptions): (principal: Principal) => boolean {
  const subject: NameTest | undefined = match.subject === undefined ? undefined : compileGlob(match.subject);
  const { issuer, group, tenant, identity } = match;
  return (principal) =>
    (subject === undefined || subject(principal.subject)) &&
    (issuer === undefined || issuer === principal.issuer) &&
    (group === undefined || principal.groups.includes(group)) &&
    (tenant === undefined || tenant === principal.tenant) &&
    (identity === undefined ||
      (identity === principal.subject && (options.issuer === undefined || options.issuer === principal.issuer)));
}

/** Most host checks remembered; a set has a few different ones. */
const MAX_HOST_CHECKS = 1000;
const hostChecks = new Map<string, HostCheck>();

/** Equal specifications share one check, so that a call is held against it once however many rules have it. */
function hostCheckOf(spec: HostSpec): HostCheck {
  const key = JSON.stringify(spec);
  let known = hostChecks.get(key);
  if (known === undefined) {
    known = compileHostSpec(spec);
    if (hostChecks.size >= MAX_HOST_CHECKS) hostChecks.clear();
    hostChecks.set(key, known);
  }
  return known;
}

function compileRules(document: PolicyDocument): readonly CompiledRule[] {
  return document.rules.map((rule) => {
    const templates = (values: Readonly<Record<string, string>> | undefined) =>
      values === undefined
        ? undefined
        : Object.entries(values).map(([key, value]) => [key, parseTemplate(value)] as const);
    const resources = rule.resources?.map((text) => {
      const template = parseTemplate(text);
      const use: TemplateUse = /^(image|distribution|\*)\//.test(text) ? 'image' : 'name';
      return { template, use, fixed: template.parts.length === 1 ? compileResource(text) : undefined };
    });
    const compiled: CompiledRule = {
      policy: document.name,
      rule,
      actions: actionsOf(rule),
      resources,
      labels: templates(rule.labels),
      set: templates(rule.set?.labels),
      redact: rule.redact === undefined ? undefined : Object.freeze([...rule.redact]),
      leaseMs: rule.leaseMs,
      source: rule.source === undefined ? undefined : compileSource(rule.source),
      hours: rule.hours === undefined ? undefined : compileHours(rule.hours),
      host: rule.host === undefined ? undefined : hostCheckOf(rule.host),
      acknowledged: document.acknowledges.includes('host-access'),
      build:
        rule.effect === 'allow' && actionsOf(rule).has('build.run')
          ? compileBuild(buildRulesOf(rule.build, rule.host))
          : undefined,
      when: rule.when?.map((text) => compileCondition(text, rule.actions)),
      ready: undefined,
    };
    const isFixed =
      resources?.every(({ fixed }) => fixed !== undefined) !== false &&
      [...(compiled.labels ?? []), ...(compiled.set ?? [])].every(([, template]) => template.parts.length === 1);
    return isFixed ? { ...compiled, ready: fillRule(compiled, undefined) } : compiled;
  });
}

/** @param principal undefined for a rule in which nothing is to be filled */
function fillRule(compiled: CompiledRule, principal: Principal | undefined): ReadyRule {
  let error: string | undefined;
  const fill = (template: Template, use: TemplateUse): string => {
    if (principal === undefined || template.parts.length === 1) return template.text;
    const filled = fillTemplate(template, principal, use);
    if ('text' in filled) return filled.text;
    error ??= filled.error;
    return '';
  };
  const resources = compiled.resources?.map(
    ({ template, use, fixed }) => fixed ?? compileResource(fill(template, use) || '*/'),
  );
  const labels = compiled.labels?.map(([key, template]) => [key, fill(template, 'text')] as const);
  const set = compiled.set?.map(([key, template]) => [key, fill(template, 'text')] as const);
  const { rule, policy } = compiled;
  return {
    id: `${policy}/${rule.name}`,
    policy,
    builtIn: BUILT_IN_NAMES.has(policy),
    name: rule.name,
    effect: rule.effect,
    rule,
    error,
    resources,
    labels,
    source: compiled.source,
    hours: compiled.hours,
    host: compiled.host,
    acknowledged: compiled.acknowledged,
    build: compiled.build,
    when: compiled.when,
    set: set === undefined ? undefined : Object.freeze(Object.fromEntries(set)),
    redact: compiled.redact,
    leaseMs: compiled.leaseMs,
  };
}
