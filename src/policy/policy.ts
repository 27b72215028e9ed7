// The policy documents: Policy (rules and their principals) and Binding (principals and their policies), read from YAML or JSON.
// Every fault is told at once, with its place and what would be right. A key that would not be enforced is refused.
import type { BuildSpec } from './build/index.ts';
import type { HostSpec } from './host/index.ts';
import { type Located, type Problem, readLocated } from './located.ts';
import { Faults, type Fields, readFields, readList, readText, readTexts, readWord } from './read-fields.ts';
import { LATER, readRule } from './read-rule.ts';
import { readTest } from './read-test.ts';
import type { AuditLevel, RecordLevel } from './types.ts';
import type { Hours } from './windows.ts';

export type { Problem } from './located.ts';

/** Version of the document form this program reads. */
export const API_VERSION = 'dockgate/v1';
const DOCUMENT_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

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
  /** Absent: all objects of the call. */
  readonly resources?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly host?: HostSpec;
  /** What builds with BuildKit may ask for; absent: what the host preset says. */
  readonly build?: BuildSpec;
  readonly set?: { readonly labels: Readonly<Record<string, string>> };
  /** Parts taken out of the answers. */
  readonly redact?: readonly string[];
  /** How much of a call the audit keeps. */
  readonly audit?: AuditLevel;
  /** Sessions are recorded. */
  readonly record?: RecordLevel;
  /** How long what is made may stay, in ms. */
  readonly leaseMs?: number;
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
  /** Objects that exist for this test: `container/web`, their labels, and how a container is made. */
  readonly objects?: readonly {
    readonly kind: string;
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    /** Body of the create call that gives the container. */
    readonly body?: unknown;
  }[];
  readonly expect: 'allow' | 'deny';
  readonly code?: string;
  readonly line: number;
}

export interface PolicyDocument {
  readonly kind: 'Policy';
  readonly name: string;
  readonly description?: string;
  /** Dangers the author knows the policy to carry. */
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

/** `host-access`: the policy may hand over the host. `seccomp-unconfined`: its containers may make any system call. */
export const ACKNOWLEDGEMENTS = ['host-access', 'seccomp-unconfined'] as const;
export type Acknowledgement = (typeof ACKNOWLEDGEMENTS)[number];

export const POLICY_KEYS = {
  known: ['apiVersion', 'kind', 'metadata', 'subjects', 'rules', 'tests'],
  refused: {
    activation: LATER,
    policies: 'policies belong to a Binding; write kind: Binding or rules',
    mode: LATER,
    quota: LATER,
  },
};
export const BINDING_KEYS = {
  known: ['apiVersion', 'kind', 'metadata', 'subjects', 'policies'],
  refused: { rules: 'rules belong to a Policy; write kind: Policy', parameters: LATER, activation: LATER },
};

export const POLICY_METADATA_KEYS = ['name', 'description', 'acknowledges'] as const;
export const BINDING_METADATA_KEYS = ['name', 'description'] as const;
export const SUBJECT_KEYS = ['subject', 'issuer', 'group', 'tenant', 'identity'] as const;

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
  refuseUnconfined(rules, acknowledges, faults);
  return { kind, ...common, acknowledges, rules, tests };
}

/** A container without a seccomp profile reaches all of the kernel: the policy's author must acknowledge that. */
function refuseUnconfined(rules: readonly Rule[], acknowledges: readonly Acknowledgement[], faults: Faults): void {
  if (acknowledges.includes('seccomp-unconfined')) return;
  for (const { name, line, host } of rules) {
    if (host?.seccompProfiles?.includes('unconfined') !== true) continue;
    faults.add(
      { line, column: 1 },
      `rule ${name} lists the seccomp profile unconfined, which opens every system call; write metadata.acknowledges: [seccomp-unconfined] if that is meant`,
    );
  }
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
  const known = kind === 'Policy' ? POLICY_METADATA_KEYS : BINDING_METADATA_KEYS;
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
  const keys = SUBJECT_KEYS;
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
      `${where} names no principal; write one or more of ${keys.join(', ')}; for all principals, subject: "*"`,
    );
  }
  return match;
}
