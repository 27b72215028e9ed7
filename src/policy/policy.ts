// The policy documents: Policy (rules, and who they are for) and Binding (who gets which policies), read from YAML or JSON.
// Every fault is told at once, with its place and what would be right. A key that would not be enforced is refused.
import { faultOfAction } from './actions.ts';
import { faultOfCondition } from './conditions.ts';
import { type HostSpec, parseHostSpec } from './host/index.ts';
import { type Located, plainOf, type Problem, readLocated } from './located.ts';
import { PATTERN_KINDS } from './match.ts';
import { faultOfTemplate } from './principal-template.ts';
import {
  Faults,
  type Fields,
  readFields,
  readList,
  readMoment,
  readText,
  readTextMap,
  readTexts,
  readWord,
} from './read-fields.ts';
import { didYouMean } from './suggest.ts';
import { type Day, DAYS, faultOfSource, type Hours, isZone, parseClock } from './windows.ts';

export type { Problem } from './located.ts';

/** Version of the document form this program reads. */
export const API_VERSION = 'dockgate/v1';
const DOCUMENT_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;
const RULE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** Whom a policy or binding is for: all that is given must hold. */
export interface SubjectMatch {
  /** Glob over the subject. */
  readonly subject?: string;
  readonly issuer?: string;
  readonly group?: string;
  readonly tenant?: string;
  /** Name of an identity of this gateway. */
  readonly identity?: string;
}

export interface Rule {
  readonly name: string;
  readonly description?: string;
  readonly effect: 'allow' | 'deny';
  readonly actions: readonly string[];
  /** Absent: whatever the call touches. */
  readonly resources?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly host?: HostSpec;
  readonly set?: { readonly labels: Readonly<Record<string, string>> };
  readonly when?: readonly string[];
  /** Milliseconds since the epoch. */
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly hours?: Hours;
  readonly source?: readonly string[];
  /** Line the rule begins on. */
  readonly line: number;
}

/** One expectation beside the rules: a request and what must become of it. */
export interface PolicyTest {
  readonly name: string;
  readonly principal: {
    readonly subject?: string;
    readonly issuer?: string;
    readonly tenant?: string;
    readonly groups?: readonly string[];
    readonly policies?: readonly string[];
    readonly scope?: readonly string[];
    readonly claims?: Readonly<Record<string, unknown>>;
  };
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly body?: unknown;
    /** Address of the caller. Default `unix`. */
    readonly source?: string;
    /** Milliseconds since the epoch. Default: 2026-01-05T12:00:00Z, a Monday. */
    readonly at?: number;
  };
  /** Objects that exist for this test: `container/web` and their labels. */
  readonly objects?: readonly {
    readonly kind: string;
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
  }[];
  readonly expect: 'allow' | 'deny';
  readonly code?: string;
  readonly line: number;
}

export interface PolicyDocument {
  readonly kind: 'Policy';
  readonly name: string;
  readonly description?: string;
  /** Dangers the author knows the policy to carry: `host-access`. */
  readonly acknowledges: readonly Acknowledgement[];
  readonly subjects: readonly SubjectMatch[];
  readonly rules: readonly Rule[];
  readonly tests: readonly PolicyTest[];
}

export interface BindingDocument {
  readonly kind: 'Binding';
  readonly name: string;
  readonly description?: string;
  readonly subjects: readonly SubjectMatch[];
  readonly policies: readonly string[];
}

/** A document as read. */
export interface ParsedDocument {
  readonly kind: 'Policy' | 'Binding';
  readonly name: string;
  readonly document: PolicyDocument | BindingDocument;
  /** Its part of the text. */
  readonly source: string;
  readonly file?: string;
  /** Line it begins on. */
  readonly line: number;
}

const ACKNOWLEDGEMENTS = ['host-access'] as const;
export type Acknowledgement = (typeof ACKNOWLEDGEMENTS)[number];

const LATER = 'not supported yet, so it would not be enforced; remove it';
const RULE_KEYS = {
  known: [
    'name',
    'description',
    'effect',
    'actions',
    'resources',
    'labels',
    'host',
    'set',
    'when',
    'notBefore',
    'notAfter',
    'hours',
    'source',
  ],
  refused: {
    filter: `${LATER}; until then, allow the list without it or leave the list out`,
    redact: LATER,
    quota: LATER,
    audit: LATER,
    record: LATER,
    mode: LATER,
    build: `${LATER}; host: {preset: baseline} judges the options of a build`,
    limits: 'limits belong to the host preset; write host: {preset: baseline, limits: {...}}',
  },
};
const POLICY_KEYS = {
  known: ['apiVersion', 'kind', 'metadata', 'subjects', 'rules', 'tests'],
  refused: {
    activation: LATER,
    policies: 'policies belong to a Binding; write kind: Binding or rules',
    mode: LATER,
    quota: LATER,
  },
};
const BINDING_KEYS = {
  known: ['apiVersion', 'kind', 'metadata', 'subjects', 'policies'],
  refused: { rules: 'rules belong to a Policy; write kind: Policy', parameters: LATER, activation: LATER },
};

/** Actions whose created object can carry the labels of `set`. */
export const LABELLED_CREATES: readonly string[] = [
  'container.create',
  'volume.create',
  'network.create',
  'service.create',
  'secret.create',
  'config.create',
];

/**
 * Reads every document of a text. What is at fault is left out of `documents` and told in `problems`.
 *
 * @param file shown with each problem
 */
export function parseDocuments(
  source: string,
  file?: string,
): { documents: readonly ParsedDocument[]; problems: readonly Problem[] } {
  const read = readLocated(source);
  const faults = new Faults([], file);
  for (const problem of read.problems) faults.add(problem, problem.message);
  const documents: ParsedDocument[] = [];
  for (const { root, source: text } of read.documents) {
    const before = faults.problems.length;
    const document = readDocument(root, faults);
    if (document === undefined || faults.problems.length > before) continue;
    const { kind, name } = document;
    documents.push({ kind, name, document, source: text, line: root.at.line, ...(file === undefined ? {} : { file }) });
  }
  return { documents, problems: faults.problems };
}

function readDocument(root: Located, faults: Faults): PolicyDocument | BindingDocument | undefined {
  if (root.kind !== 'map')
    return faults.add(root.at, 'a document must be a map that begins with kind: Policy or kind: Binding');
  const kindNode = root.entries.get('kind')?.value;
  if (kindNode === undefined)
    return faults.add(root.at, 'the document has no kind; write kind: Policy or kind: Binding');
  const kind = readWord(kindNode, 'kind', ['Policy', 'Binding'], faults);
  if (kind === undefined) return undefined;
  const fields = readFields(root, 'the document', kind === 'Policy' ? POLICY_KEYS : BINDING_KEYS, faults) as Fields;
  const version = fields.get('apiVersion');
  if (version === undefined) faults.add(root.at, `the document has no apiVersion; write apiVersion: ${API_VERSION}`);
  else readWord(version, 'apiVersion', [API_VERSION], faults);
  const metadata = readMetadata(fields, kind, faults);
  const subjectsNode = fields.get('subjects');
  const subjects =
    subjectsNode === undefined ? [] : readList(subjectsNode, 'subjects', faults, (n, w) => readSubject(n, w, faults));
  const { name, description, acknowledges } = metadata;
  const common = { name, ...(description === undefined ? {} : { description }), subjects };
  if (kind === 'Binding') {
    const node = fields.get('policies');
    if (subjects.length === 0 && subjectsNode === undefined)
      faults.add(root.at, 'a Binding needs subjects: whom it is for');
    if (node === undefined) return faults.add(root.at, 'a Binding needs policies: a list of their names');
    return { kind, ...common, policies: readTexts(node, 'policies', faults) };
  }
  const rulesNode = fields.get('rules');
  if (rulesNode === undefined)
    return faults.add(root.at, 'a Policy needs rules: a list, each with name, effect and actions');
  const rules = readList(rulesNode, 'rules', faults, (n, w) => readRule(n, w, faults));
  if (rulesNode.kind === 'list' && rulesNode.items.length === 0)
    faults.add(rulesNode.at, 'rules is empty; write at least one');
  refuseDoubles(rules, 'rule', faults);
  const testsNode = fields.get('tests');
  const tests = testsNode === undefined ? [] : readList(testsNode, 'tests', faults, (n, w) => readTest(n, w, faults));
  refuseDoubles(tests, 'test', faults);
  return { kind, ...common, acknowledges, rules, tests };
}

function refuseDoubles(items: readonly { name: string; line: number }[], what: string, faults: Faults): void {
  const lines = new Map<string, number>();
  for (const { name, line } of items) {
    const earlier = lines.get(name);
    if (earlier !== undefined)
      faults.add(
        { line, column: 1 },
        `there is already a ${what} ${name} on line ${earlier}; give this one another name`,
      );
    else lines.set(name, line);
  }
}

function readMetadata(fields: Fields, kind: string, faults: Faults) {
  const node = fields.get('metadata');
  const known = kind === 'Policy' ? ['name', 'description', 'acknowledges'] : ['name', 'description'];
  const inner = node === undefined ? undefined : readFields(node, 'metadata', { known }, faults);
  if (node === undefined) faults.add(fields.at, 'the document has no metadata; write metadata: { name: my-policy }');
  const nameNode = inner?.get('name');
  const descriptionNode = inner?.get('description');
  const acknowledgesNode = inner?.get('acknowledges');
  const name = nameNode === undefined ? undefined : readText(nameNode, 'metadata.name', faults);
  if (inner !== undefined && nameNode === undefined) faults.add(inner.at, 'metadata has no name');
  if (name !== undefined && !DOCUMENT_NAME.test(name)) {
    faults.add(
      (nameNode as Located).at,
      `metadata.name is ${JSON.stringify(name.slice(0, 80))}; write 1 to 63 of a-z, 0-9, dot, underscore and hyphen, beginning with a letter or digit`,
    );
  }
  const description =
    descriptionNode === undefined ? undefined : readText(descriptionNode, 'metadata.description', faults);
  const acknowledges =
    acknowledgesNode === undefined
      ? []
      : readList(acknowledgesNode, 'metadata.acknowledges', faults, (n, w) => readWord(n, w, ACKNOWLEDGEMENTS, faults));
  return { name: name ?? '', description, acknowledges };
}

function readSubject(node: Located, where: string, faults: Faults): SubjectMatch | undefined {
  const keys = ['subject', 'issuer', 'group', 'tenant', 'identity'] as const;
  const fields = readFields(node, where, { known: keys }, faults);
  if (fields === undefined) return undefined;
  const match: { -readonly [K in keyof SubjectMatch]: SubjectMatch[K] } = {};
  for (const key of keys) {
    const value = fields.get(key);
    if (value === undefined) continue;
    const text = readText(value, `${where}.${key}`, faults);
    if (text === undefined) return undefined;
    if (key !== 'subject' && text.includes('*')) {
      return faults.add(
        value.at,
        `${where}.${key} is taken word for word, only subject may hold *; write the whole ${key}`,
      );
    }
    match[key] = text;
  }
  if (Object.keys(match).length === 0) {
    return faults.add(
      node.at,
      `${where} names nobody; write one or more of ${keys.join(', ')}; for everybody, subject: "*"`,
    );
  }
  return match;
}

function readRule(node: Located, where: string, faults: Faults): Rule | undefined {
  const fields = readFields(node, where, RULE_KEYS, faults);
  if (fields === undefined) return undefined;
  const need = (key: string, right: string): Located | undefined =>
    fields.get(key) ?? faults.add(node.at, `${where} has no ${key}; write ${right}`);
  const nameNode = need('name', 'a short word, such as name: run');
  const name = nameNode === undefined ? undefined : readText(nameNode, `${where}.name`, faults);
  if (name !== undefined && !RULE_NAME.test(name)) {
    faults.add(
      (nameNode as Located).at,
      `${where}.name is ${JSON.stringify(name.slice(0, 80))}; write 1 to 63 letters, digits, dots, underscores and hyphens`,
    );
  }
  const effectNode = need('effect', 'effect: allow or effect: deny');
  const effect =
    effectNode === undefined ? undefined : readWord(effectNode, `${where}.effect`, ['allow', 'deny'], faults);
  const actionsNode = need('actions', 'actions: [container.list]');
  const actions = actionsNode === undefined ? [] : readActions(actionsNode, `${where}.actions`, faults);
  const rule: { -readonly [K in keyof Rule]: Rule[K] } = {
    name: name ?? '',
    effect: effect ?? 'deny',
    actions,
    line: node.at.line,
  };
  const get = (key: string): [Located, string] | undefined => {
    const value = fields.get(key);
    return value === undefined ? undefined : [value, `${where}.${key}`];
  };
  const description = get('description');
  if (description) rule.description = readText(...description, faults) ?? '';
  const resources = get('resources');
  if (resources) rule.resources = readResources(...resources, faults);
  const labels = get('labels');
  if (labels) rule.labels = readLabels(...labels, faults);
  const source = get('source');
  if (source) {
    rule.source = readTexts(...source, faults);
    for (const pattern of rule.source) {
      const fault = faultOfSource(pattern);
      if (fault !== undefined) faults.add(source[0].at, `${source[1]}: ${fault}`);
    }
  }
  for (const key of ['notBefore', 'notAfter'] as const) {
    const value = get(key);
    const moment = value && readMoment(...value, faults);
    if (moment !== undefined) rule[key] = moment;
  }
  if (rule.notBefore !== undefined && rule.notAfter !== undefined && rule.notBefore >= rule.notAfter) {
    faults.add(node.at, `${where} ends (notAfter) before it begins (notBefore), so it never matches`);
  }
  const hours = get('hours');
  if (hours) {
    const read = readHours(...hours, faults);
    if (read !== undefined) rule.hours = read;
  }
  readHostOf(rule, get('host'), faults);
  readSetOf(rule, get('set'), faults);
  const when = get('when');
  if (when) {
    rule.when = readTexts(...when, faults);
    for (const [i, expression] of rule.when.entries()) {
      const fault = faultOfCondition(expression, rule.actions);
      const at = when[0].kind === 'list' ? (when[0].items[i]?.at ?? when[0].at) : when[0].at;
      if (fault !== undefined) faults.add(at, `${when[1]}[${i}]: ${fault}`);
    }
  }
  return rule;
}

type RuleDraft = { -readonly [K in keyof Rule]: Rule[K] };

function readHostOf(rule: RuleDraft, value: [Located, string] | undefined, faults: Faults): void {
  if (value === undefined) return;
  const [node, where] = value;
  if (rule.effect === 'deny') {
    faults.add(node.at, `${where} narrows what a rule allows; a deny rule takes none`);
    return;
  }
  const { spec, problems } = parseHostSpec(plainOf(node), where);
  for (const problem of problems) faults.add(placeOf(node, where, problem), problem);
  rule.host = spec;
}

/** The nearest place inside a value that a message which begins with its path speaks of. */
function placeOf(node: Located, where: string, message: string): Located['at'] {
  let at = node.at;
  let here = node;
  const path = message.startsWith(where) ? (/^[\w.[\]"-]*/.exec(message.slice(where.length))?.[0] ?? '') : '';
  for (const part of path.split(/[.[\]]+/)) {
    if (part === '') continue;
    if (here.kind === 'map') {
      const entry = here.entries.get(part);
      if (entry === undefined) break;
      at = entry.keyAt;
      here = entry.value;
    } else if (here.kind === 'list') {
      const item = here.items[Number(part)];
      if (item === undefined) break;
      at = item.at;
      here = item;
    }
  }
  return at;
}

function readSetOf(rule: RuleDraft, value: [Located, string] | undefined, faults: Faults): void {
  if (value === undefined) return;
  const [node, where] = value;
  const labelsNode = readFields(node, where, { known: ['labels'] }, faults)?.get('labels');
  if (labelsNode === undefined) {
    faults.add(node.at, `${where} sets nothing; write set: { labels: { name: value } }`);
    return;
  }
  if (rule.effect === 'deny') faults.add(node.at, `${where} adds to what a rule allows; a deny rule takes none`);
  const others = rule.actions.filter((action) => !LABELLED_CREATES.includes(action));
  if (others.length > 0) {
    faults.add(
      node.at,
      `${where}.labels can be stamped on ${LABELLED_CREATES.join(', ')} only, not on ${others.join(', ')}; move these to a rule without set`,
    );
  }
  rule.set = { labels: readLabels(labelsNode, `${where}.labels`, faults) };
}

function readActions(node: Located, where: string, faults: Faults): string[] {
  const actions = readList(node, where, faults, (item, at) => {
    const text = readText(item, at, faults);
    const fault = text === undefined ? undefined : faultOfAction(text);
    return fault === undefined ? text : faults.add(item.at, `${at}: ${fault}`);
  });
  if (node.kind === 'list' && node.items.length === 0)
    faults.add(node.at, `${where} is empty; name at least one action`);
  return actions;
}

function readResources(node: Located, where: string, faults: Faults): string[] {
  const resources = readList(node, where, faults, (item, at) => {
    const text = readText(item, at, faults);
    const fault = text === undefined ? undefined : faultOfResource(text);
    return fault === undefined ? text : faults.add(item.at, `${at}: ${fault}`);
  });
  if (node.kind === 'list' && node.items.length === 0) {
    faults.add(node.at, `${where} is empty, so the rule could never match; remove it to mean any resource`);
  }
  return resources;
}

/** What is wrong with a resource pattern and what would be right; undefined when nothing is. */
export function faultOfResource(text: string): string | undefined {
  if (text === '*') return undefined;
  const slash = text.indexOf('/');
  const kind = slash < 0 ? text : text.slice(0, slash);
  const name = slash < 0 ? '' : text.slice(slash + 1);
  if (kind === 'exec') return 'exec instances are judged as their container; write container/NAME';
  if (!(PATTERN_KINDS as readonly string[]).includes(kind)) {
    return `unknown kind ${JSON.stringify(kind.slice(0, 64))}${didYouMean(kind, PATTERN_KINDS) || `; known: ${PATTERN_KINDS.join(', ')}`}`;
  }
  if (name === '') return `${JSON.stringify(text)} names nothing; write ${kind}/* or ${kind}/NAME`;
  const fault = faultOfTemplate(name);
  if (fault !== undefined) return fault;
  if (kind === 'container' && name.startsWith('/'))
    return `write container/${name.slice(1)}, without the leading slash`;
  if (kind !== 'image' && kind !== 'distribution') return undefined;
  if (name.startsWith('sha256:')) return undefined;
  const first = name.slice(0, Math.max(0, name.indexOf('/')));
  const host = name.includes('/') ? first : name;
  const isHost = /[.:]/.test(first) || first === 'localhost' || /[*$]/.test(host);
  if (isHost) return undefined;
  const whole = name.includes('/') ? `docker.io/${name}` : `docker.io/library/${name}`;
  return `image references are judged in their whole form; write ${kind}/${whole}`;
}

function readLabels(node: Located, where: string, faults: Faults): Record<string, string> {
  const labels = readTextMap(node, where, faults);
  for (const [key, value] of Object.entries(labels)) {
    const fault = faultOfTemplate(value);
    if (fault !== undefined) faults.add(node.at, `${where}[${JSON.stringify(key)}]: ${fault}`);
    if (key.includes('$'))
      faults.add(node.at, `${where}: the name of a label is taken word for word, ${JSON.stringify(key)} holds a $`);
    if (value === '*')
      faults.add(node.at, `${where}[${JSON.stringify(key)}]: values are compared word for word, * stands for itself`);
  }
  return labels;
}

function readHours(node: Located, where: string, faults: Faults): Hours | undefined {
  const fields = readFields(node, where, { known: ['days', 'from', 'to', 'zone'] }, faults);
  if (fields === undefined) return undefined;
  const clock = (key: 'from' | 'to'): number | undefined => {
    const value = fields.get(key);
    if (value === undefined) return faults.add(node.at, `${where} has no ${key}; write ${key}: "08:00"`);
    const text = readText(value, `${where}.${key}`, faults);
    if (text === undefined) return undefined;
    return (
      parseClock(text) ??
      faults.add(value.at, `${where}.${key} is ${JSON.stringify(text)}; write a time such as "08:00"`)
    );
  };
  const from = clock('from');
  const to = clock('to');
  const zoneNode = fields.get('zone');
  const zone = zoneNode === undefined ? 'UTC' : readText(zoneNode, `${where}.zone`, faults);
  if (zone !== undefined && !isZone(zone)) {
    faults.add(
      (zoneNode as Located).at,
      `${where}.zone ${JSON.stringify(zone)} is not known; write UTC or a name such as Europe/Berlin`,
    );
  }
  const daysNode = fields.get('days');
  const days: Day[] =
    daysNode === undefined ? [] : readList(daysNode, `${where}.days`, faults, (n, w) => readWord(n, w, DAYS, faults));
  if (daysNode !== undefined && days.length === 0)
    faults.add(daysNode.at, `${where}.days is empty; remove it to mean every day`);
  if (from === undefined || to === undefined || zone === undefined) return undefined;
  if (from === to)
    return faults.add(node.at, `${where} begins when it ends; for whole days write from: "00:00", to: "24:00"`);
  return { days, from, to, zone };
}

function readTest(node: Located, where: string, faults: Faults): PolicyTest | undefined {
  const fields = readFields(
    node,
    where,
    { known: ['name', 'principal', 'request', 'objects', 'expect', 'code'] },
    faults,
  );
  if (fields === undefined) return undefined;
  const nameNode = fields.get('name') ?? faults.add(node.at, `${where} has no name`);
  const name = nameNode === undefined ? undefined : readText(nameNode, `${where}.name`, faults, 200);
  const expectNode =
    fields.get('expect') ?? faults.add(node.at, `${where} has no expect; write expect: allow or expect: deny`);
  const expect =
    expectNode === undefined ? undefined : readWord(expectNode, `${where}.expect`, ['allow', 'deny'], faults);
  const codeNode = fields.get('code');
  const code = codeNode === undefined ? undefined : readText(codeNode, `${where}.code`, faults);
  const principal = readTestPrincipal(fields.get('principal'), `${where}.principal`, faults);
  const requestNode =
    fields.get('request') ??
    faults.add(node.at, `${where} has no request; write request: { method: GET, path: /info }`);
  const request = requestNode === undefined ? undefined : readTestRequest(requestNode, `${where}.request`, faults);
  const objectsNode = fields.get('objects');
  const objects =
    objectsNode === undefined
      ? undefined
      : readList(objectsNode, `${where}.objects`, faults, (n, w) => readTestObject(n, w, faults));
  if (name === undefined || expect === undefined || principal === undefined || request === undefined) return undefined;
  return {
    name,
    principal,
    request,
    expect,
    ...(code === undefined ? {} : { code }),
    ...(objects === undefined ? {} : { objects }),
    line: node.at.line,
  };
}

function readTestPrincipal(
  node: Located | undefined,
  where: string,
  faults: Faults,
): PolicyTest['principal'] | undefined {
  if (node === undefined) return {};
  const texts = ['subject', 'issuer', 'tenant'] as const;
  const lists = ['groups', 'policies', 'scope'] as const;
  const fields = readFields(node, where, { known: [...texts, ...lists, 'claims'] }, faults);
  if (fields === undefined) return undefined;
  const principal: Record<string, unknown> = {};
  for (const key of texts) {
    const value = fields.get(key);
    if (value !== undefined) principal[key] = readText(value, `${where}.${key}`, faults);
  }
  for (const key of lists) {
    const value = fields.get(key);
    if (value !== undefined)
      principal[key] = readList(value, `${where}.${key}`, faults, (n, w) => readText(n, w, faults));
  }
  const claims = fields.get('claims');
  if (claims !== undefined) principal.claims = plainOf(claims);
  return principal as PolicyTest['principal'];
}

function readTestRequest(node: Located, where: string, faults: Faults): PolicyTest['request'] | undefined {
  const fields = readFields(node, where, { known: ['method', 'path', 'body', 'source', 'at'] }, faults);
  if (fields === undefined) return undefined;
  const methodNode =
    fields.get('method') ?? faults.add(node.at, `${where} has no method; write GET, POST, PUT, DELETE or HEAD`);
  const pathNode =
    fields.get('path') ?? faults.add(node.at, `${where} has no path; write one such as /containers/json`);
  const method =
    methodNode && readWord(methodNode, `${where}.method`, ['GET', 'POST', 'PUT', 'DELETE', 'HEAD'], faults);
  const path = pathNode && readText(pathNode, `${where}.path`, faults, 8192);
  const body = fields.get('body');
  const source = fields.get('source');
  const at = fields.get('at');
  if (method === undefined || path === undefined) return undefined;
  const sourceText = source && readText(source, `${where}.source`, faults);
  const moment = at && readMoment(at, `${where}.at`, faults);
  return {
    method,
    path,
    ...(body === undefined ? {} : { body: plainOf(body) }),
    ...(sourceText === undefined ? {} : { source: sourceText }),
    ...(moment === undefined ? {} : { at: moment }),
  };
}

function readTestObject(node: Located, where: string, faults: Faults) {
  const fields = readFields(node, where, { known: ['resource', 'labels'] }, faults);
  const nameNode = fields?.get('resource');
  if (fields === undefined || nameNode === undefined)
    return faults.add(node.at, `${where} has no resource; write resource: container/web`);
  const text = readText(nameNode, `${where}.resource`, faults);
  if (text === undefined) return undefined;
  const slash = text.indexOf('/');
  if (slash <= 0 || slash === text.length - 1)
    return faults.add(
      nameNode.at,
      `${where}.resource is ${JSON.stringify(text)}; write KIND/NAME, such as container/web`,
    );
  const labelsNode = fields.get('labels');
  const labels = labelsNode === undefined ? {} : readTextMap(labelsNode, `${where}.labels`, faults);
  return { kind: text.slice(0, slash), name: text.slice(slash + 1), labels };
}
