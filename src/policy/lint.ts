// Looks over documents for what is valid but probably not meant: rules that can never match, grave grants, unknown
// names. `parseDocuments` tells faults of form; this reads its result.

import { OPERATIONS } from '../engine/operations.ts';
import type { ResourceKind } from '../engine/types.ts';
import { ACTIONS, actionsOf, BUILD_OPAQUE, isBuildKitDoor } from './actions.ts';
import { builtIns } from './compile.ts';
import type { ParsedDocument, PolicyDocument, Rule } from './policy.ts';
import { LABELLED_CREATES } from './read-rule.ts';
import { didYouMean } from './suggest.ts';
import { UNJUDGED_ACTIONS } from './unjudged.ts';

export type FindingCode =
  | 'escalates-without-host'
  | 'everything-allowed'
  | 'opaque-by-wildcard'
  | 'never-matches'
  | 'links-followed'
  | 'covered-by-deny'
  | 'redundant'
  | 'labels-of-many'
  | 'policy-unknown'
  | 'name-taken'
  | 'hostile-passes';

export interface Finding {
  /** An error makes callers' requests fail; a warning may be meant. */
  readonly level: 'error' | 'warning';
  readonly code: FindingCode;
  readonly document: string;
  readonly rule?: string;
  readonly file?: string;
  readonly line: number;
  /** One sentence: what, and what would be right. */
  readonly message: string;
}

/** Kinds of objects the calls of an action name as their own: without a pattern for one of them no such call matches. */
const KINDS_OF_ACTIONS: ReadonlyMap<string, readonly ResourceKind[]> = kindsOfActions();

function kindsOfActions(): Map<string, ResourceKind[]> {
  const kinds = new Map<string, ResourceKind[]>();
  for (const { action, resource, served } of OPERATIONS) {
    if (served) kinds.set(action, [resource === 'exec' ? 'container' : resource]);
  }
  kinds.set('container.create', ['container', 'image']);
  kinds.set('network.connect', ['network', 'container']);
  kinds.set('network.disconnect', ['network', 'container']);
  // These name objects of other kinds than their table row, or none at all times.
  for (const action of ['container.exec.start', 'container.exec.resize', 'container.exec.inspect'])
    kinds.set(action, ['container']);
  kinds.set('image.commit', ['container']);
  for (const action of ['build.run', 'image.import', 'task.logs', 'task.inspect']) kinds.delete(action);
  return kinds;
}

/**
 * Every finding of the documents, in the order they were read.
 *
 * @param others names of further policies in force, besides the built-in ones
 */
export function lintDocuments(
  documents: readonly ParsedDocument[],
  others: readonly string[] = [],
): readonly Finding[] {
  const findings: Finding[] = [];
  const builtInNames = builtIns().map(({ document }) => document.name);
  const known = new Set([
    ...builtInNames,
    ...others,
    ...documents.filter((d) => d.kind === 'Policy').map((d) => d.name),
  ]);
  const seen = new Map<string, number>();
  for (const parsed of documents) {
    const { document, name, line, file } = parsed;
    const add = (finding: Omit<Finding, 'document' | 'file'>): void => {
      findings.push({ ...finding, document: name, ...(file === undefined ? {} : { file }) });
    };
    if (builtInNames.includes(name)) {
      add({
        level: 'error',
        code: 'name-taken',
        line,
        message: `${name} is the name of a built-in policy; choose another`,
      });
    } else if (seen.has(name)) {
      add({
        level: 'error',
        code: 'name-taken',
        line,
        message: `${name} is given twice; names are unique among policies and bindings`,
      });
    }
    seen.set(name, line);
    if (document.kind === 'Binding') {
      for (const policy of document.policies) {
        if (known.has(policy)) continue;
        add({
          level: 'error',
          code: 'policy-unknown',
          line,
          message: `policy ${policy} does not exist, so every principal bound to it is denied everything${didYouMean(policy, known)}`,
        });
      }
    } else {
      lintPolicy(document, add);
    }
  }
  return findings;
}

type Add = (finding: Omit<Finding, 'document' | 'file'>) => void;

function lintPolicy(document: PolicyDocument, add: Add): void {
  const denied = new Map<string, string>();
  for (const rule of document.rules) {
    if (rule.effect !== 'deny' || !isUnconditional(rule)) continue;
    for (const action of actionsOf(rule)) if (!denied.has(action)) denied.set(action, rule.name);
  }
  const granted = new Map<string, string>();
  for (const rule of document.rules) {
    const actions = [...actionsOf(rule)];
    const tell = (level: Finding['level'], code: FindingCode, message: string): void =>
      add({ level, code, rule: rule.name, line: rule.line, message: `rule ${rule.name} ${message}` });
    if (rule.effect === 'deny') {
      lintDeny(rule, actions, tell);
      continue;
    }
    const isAcknowledged = document.acknowledges.includes('host-access');
    lintGrants(rule, actions, isAcknowledged, tell);
    lintReach(rule, actions, isAcknowledged, tell);
    lintBinds(rule, tell);
    if (actions.length > 0 && actions.every((action) => denied.has(action))) {
      const by = [...new Set(actions.map((action) => denied.get(action)))].join(', ');
      tell('warning', 'covered-by-deny', `never has an effect, rule ${by} denies all it allows; remove one of them`);
    }
    if (actions.length > 0 && rule.set === undefined && actions.every((action) => granted.has(action))) {
      const by = [...new Set(actions.map((action) => granted.get(action)))].join(', ');
      tell('warning', 'redundant', `adds nothing, rule ${by} already allows all of it; remove one of them`);
    }
    if (isUnconditional(rule) && rule.host === undefined) {
      for (const action of actions) if (!granted.has(action)) granted.set(action, rule.name);
    }
  }
}

/** The rule speaks of every call of its actions. */
const isUnconditional = (rule: Rule): boolean =>
  (rule.resources === undefined || rule.resources.includes('*') || rule.resources.includes('*/*')) &&
  rule.labels === undefined &&
  rule.when === undefined &&
  rule.notBefore === undefined &&
  rule.notAfter === undefined &&
  rule.hours === undefined &&
  rule.source === undefined;

type Tell = (level: Finding['level'], code: FindingCode, message: string) => void;

function lintGrants(rule: Rule, actions: readonly string[], isAcknowledged: boolean, tell: Tell): void {
  if (isAcknowledged) return;
  if (rule.actions.includes('*') && rule.host === undefined) {
    tell(
      'warning',
      'everything-allowed',
      'allows everything, the host included; name the actions, or write metadata.acknowledges: [host-access]',
    );
    return;
  }
  if (rule.actions.includes(BUILD_OPAQUE)) {
    tell(
      'warning',
      'escalates-without-host',
      `allows ${BUILD_OPAQUE}: BuildKit passes through unread and no host preset can judge it; write metadata.acknowledges: [host-access] if that is meant`,
    );
  }
  const grave = actions.filter(
    (action) => action !== BUILD_OPAQUE && !isBuildKitDoor(action) && ACTIONS.get(action)?.risks.has('escalates'),
  );
  if (grave.length > 0 && rule.host === undefined) {
    tell(
      'warning',
      'escalates-without-host',
      `allows ${some(grave)}, which can hand over the host; add host: {preset: baseline}`,
    );
  }
  const unread = actions.filter(
    (action) => !isBuildKitDoor(action) && ACTIONS.get(action)?.opaque && !rule.actions.includes(action),
  );
  if (unread.length > 0) {
    tell(
      'warning',
      'opaque-by-wildcard',
      `allows ${some(unread)} by a pattern, and what they carry is not read; name them if they are meant`,
    );
  }
}

/** Writable folders, below which a container can make links that the engine follows. */
function lintBinds(rule: Rule, tell: Tell): void {
  const roots = (rule.host?.binds ?? []).map((bind) => (typeof bind === 'string' ? { path: bind } : bind));
  for (const { path, readOnly = false, subpaths = readOnly } of roots) {
    if (readOnly) continue;
    if (subpaths) {
      tell(
        'warning',
        'links-followed',
        `lets all below the writable ${path} be mounted: a link a container makes there is followed to any path of the host, so bind it only to callers trusted with the host, or take subpaths out`,
      );
      continue;
    }
    const inner = roots.find((other) => other.path !== path && other.path.startsWith(`${path.replace(/\/+$/, '')}/`));
    if (inner !== undefined) {
      tell(
        'warning',
        'never-matches',
        `can never mount ${inner.path}, for it lies below the writable ${path} and may be a link; list it alone, or ${path} as readOnly`,
      );
    }
  }
}

/** Whether a call could match at all. */
function lintReach(rule: Rule, actions: readonly string[], isAcknowledged: boolean, tell: Tell): void {
  const unjudged = rule.actions.filter((action) => UNJUDGED_ACTIONS.has(action));
  if (unjudged.length > 0 && !isAcknowledged && rule.host !== undefined && rule.host.preset !== 'privileged') {
    tell(
      'warning',
      'never-matches',
      `can never allow ${some(unjudged)}, which no host preset can judge; move it to a rule without host, or write metadata.acknowledges: [host-access]`,
    );
  }
  const waiting = rule.actions.filter((action) => isBuildKitDoor(action) && !actions.includes(action));
  if (waiting.length > 0) {
    tell(
      'warning',
      'never-matches',
      `can never allow ${some(waiting)}, for BuildKit opens to every caller who may build, and is read then; name build.run, or name ${BUILD_OPAQUE} to let it through unread`,
    );
  }
  if (rule.resources !== undefined && !rule.resources.includes('*')) {
    const kinds = new Set(rule.resources.map((text) => text.slice(0, text.indexOf('/'))));
    const lacking = new Map<ResourceKind, string[]>();
    for (const action of actions) {
      for (const kind of KINDS_OF_ACTIONS.get(action) ?? []) {
        if (kinds.has('*') || kinds.has(kind)) continue;
        lacking.set(kind, [...(lacking.get(kind) ?? []), action]);
      }
    }
    for (const [kind, without] of lacking) {
      tell(
        'warning',
        'never-matches',
        `can never allow ${some(without)}, for it has no pattern for the ${kind} they touch; add ${kind}/*`,
      );
    }
  }
  if (rule.labels !== undefined) {
    const never = actions.filter((action) => LABELLED_CREATES.includes(action) || isOfMany(action));
    if (never.length > 0 && !rule.actions.some((pattern) => pattern.includes('*') || pattern.startsWith('class:'))) {
      tell(
        'warning',
        'never-matches',
        `can never allow ${some(never)}, which touch no existing object that could carry its labels; move them to a rule without labels`,
      );
    }
  }
}

/** Lists, prunes and other calls about no single object. */
const isOfMany = (action: string): boolean =>
  OPERATIONS.some((o) => o.action === action && o.served && !o.path.includes('{')) &&
  !OPERATIONS.some((o) => o.action === action && o.path.includes('{')) &&
  /\.(list|prune|events|df)$/.test(action);

function lintDeny(rule: Rule, actions: readonly string[], tell: Tell): void {
  if (rule.labels === undefined && rule.resources === undefined) return;
  const names = rule.resources?.filter((text) => !/^\*$|\/\*+$/.test(text)) ?? [];
  if (rule.labels === undefined && names.length === 0) return;
  const many = actions.filter((action) => /\.prune$/.test(action));
  if (many.length > 0) {
    tell(
      'warning',
      'labels-of-many',
      `denies ${some(many)} altogether, for they touch every object; leave them out if that is not meant`,
    );
  }
}

const some = (names: readonly string[]): string =>
  names.length <= 4 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;

/** `ci.yaml:7: warning: ... [never-matches]`. */
export const renderFinding = ({ file, document, line, level, code, message }: Finding): string =>
  `${file ?? document}:${line}: ${level}: ${message} [${code}]`;
