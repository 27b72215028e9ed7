// Reads one rule of a policy document. Every fault is told; a key that would not be enforced is refused.
import { faultOfRedaction } from '../engine/redact-answer.ts';
import { actionsOf, faultOfAction } from './actions.ts';
import { readBuild } from './build/index.ts';
import { faultOfCondition } from './conditions.ts';
import { parseHostSpec } from './host/index.ts';
import { type Located, plainOf } from './located.ts';
import { PATTERN_KINDS } from './match.ts';
import type { Rule } from './policy.ts';
import { faultOfTemplate } from './principal-template.ts';
import {
  type Faults,
  readFields,
  readList,
  readMoment,
  readText,
  readTextMap,
  readTexts,
  readWord,
} from './read-fields.ts';
import { didYouMean } from './suggest.ts';
import { AUDIT_LEVELS, RECORD_LEVELS } from './types.ts';
import { DAYS, type Day, faultOfSource, type Hours, isZone, parseClock } from './windows.ts';

export const RULE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
/** Why a key of the design is refused as long as nothing enforces it. */
export const LATER = 'not supported yet, so it would not be enforced; remove it';
export const RULE_KEYS = {
  known: [
    'name',
    'description',
    'effect',
    'actions',
    'resources',
    'labels',
    'host',
    'build',
    'set',
    'redact',
    'lease',
    'audit',
    'record',
    'when',
    'notBefore',
    'notAfter',
    'hours',
    'source',
  ],
  refused: {
    filter: `${LATER}; until then, allow the list without it or leave the list out`,
    quota: LATER,
    mode: LATER,
    limits: 'limits belong to the host preset; write host: {preset: baseline, limits: {...}}',
  },
};
export const HOURS_KEYS = ['days', 'from', 'to', 'zone'] as const;
/** Actions whose created object can carry the labels of `set`. */
export const LABELLED_CREATES: readonly string[] = [
  'container.create',
  'volume.create',
  'network.create',
  'service.create',
  'secret.create',
  'config.create',
];

/** Reads one item of `rules`. */
export function readRule(node: Located, where: string, faults: Faults): Rule | undefined {
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
  readBuildOf(rule, get('build'), faults);
  readSetOf(rule, get('set'), faults);
  readRedactOf(rule, get('redact'), faults);
  readLeaseOf(rule, get('lease'), faults);
  readAuditOf(rule, get('audit'), faults);
  readRecordOf(rule, get('record'), faults);
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

function readBuildOf(rule: RuleDraft, value: [Located, string] | undefined, faults: Faults): void {
  if (value === undefined) return;
  const [node, where] = value;
  if (rule.effect === 'deny') faults.add(node.at, `${where} narrows what a rule allows; a deny rule takes none`);
  else if (!actionsOf(rule).has('build.run')) {
    faults.add(node.at, `${where} is about builds, and the rule does not allow build.run; add it to the actions`);
  }
  const spec = readBuild(node, where, faults);
  if (spec !== undefined) rule.build = spec;
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

function readRedactOf(rule: RuleDraft, value: [Located, string] | undefined, faults: Faults): void {
  if (value === undefined) return;
  const [node, where] = value;
  if (rule.effect === 'deny') faults.add(node.at, `${where} narrows what a rule shows; a deny rule takes none`);
  rule.redact = readList(node, where, faults, (item, at) => {
    const text = readText(item, at, faults);
    const fault = text === undefined ? undefined : faultOfRedaction(text);
    return fault === undefined ? text : faults.add(item.at, `${at}: ${fault}`);
  });
}

const LEASE_UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
/** Longest lease, in days: the ledger remembers what is removed as long. */
const MAX_LEASE_DAYS = 90;

function readLeaseOf(rule: RuleDraft, value: [Located, string] | undefined, faults: Faults): void {
  if (value === undefined) return;
  const [node, where] = value;
  if (rule.effect === 'deny') faults.add(node.at, `${where} ends what a rule lets be made; a deny rule takes none`);
  const text = readText(node, where, faults);
  if (text === undefined) return;
  const match = /^([1-9][0-9]{0,5})([smhd])$/.exec(text);
  const ms = match === null ? 0 : Number(match[1]) * LEASE_UNIT_MS[match[2] as keyof typeof LEASE_UNIT_MS];
  if (ms === 0 || ms > MAX_LEASE_DAYS * LEASE_UNIT_MS.d) {
    faults.add(
      node.at,
      `${where} is ${JSON.stringify(text.slice(0, 40))}; write a span of at most ${MAX_LEASE_DAYS}d, such as 2h`,
    );
    return;
  }
  rule.leaseMs = ms;
}

function readAuditOf(rule: RuleDraft, value: [Located, string] | undefined, faults: Faults): void {
  if (value === undefined) return;
  const [node, where] = value;
  if (rule.effect === 'deny')
    faults.add(
      node.at,
      `${where} says what the audit keeps of allowed calls; a refusal is always kept with its request`,
    );
  const level = readWord(node, where, AUDIT_LEVELS, faults);
  if (level !== undefined) rule.audit = level;
}

/** Sessions that can be recorded: an exec once it is started, and an attach. */
export const RECORDED_ACTIONS: readonly string[] = ['container.exec.start', 'container.attach'];

function readRecordOf(rule: RuleDraft, value: [Located, string] | undefined, faults: Faults): void {
  if (value === undefined) return;
  const [node, where] = value;
  if (rule.effect === 'deny')
    faults.add(node.at, `${where} has sessions recorded that a rule allows; a deny rule takes none`);
  else if (!RECORDED_ACTIONS.some((action) => actionsOf(rule).has(action)))
    faults.add(
      node.at,
      `${where} is about sessions, and the rule allows none: add ${RECORDED_ACTIONS.join(' or ')} to its actions`,
    );
  // As one says it: record: true.
  const level =
    node.kind === 'scalar' && node.value === true ? 'all' : readWord(node, `${where}`, RECORD_LEVELS, faults);
  if (level !== undefined) rule.record = level;
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

/** The fault of a resource pattern and its remedy; undefined when it has none. */
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
  const fields = readFields(node, where, { known: HOURS_KEYS }, faults);
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
