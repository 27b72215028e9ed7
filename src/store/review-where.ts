// Conditions of a review as SQL over audit_event. The words come from callers: all of them are parameters.
import { type AuditConditions, NO_DENIAL } from '../audit/filter.ts';

/** How bind mounts stand in a body, of a container, a service and a volume. */
const BINDS = ['"Binds":["', '"Type":"bind"', '"o":"bind', '"o":"rbind'];

export interface Where {
  /** Terms to join with AND. */
  readonly terms: readonly string[];
  readonly params: readonly (string | number)[];
}

/** An engine's id, or so much of one that no name looks like it. */
const ID = /^(sha256:)?[0-9a-f]{12,64}$/;
/** What a value that begins with a text ends before: the text with its last character one higher. */
const after = (text: string): string =>
  `${text.slice(0, -1)}${String.fromCodePoint((text.codePointAt(text.length - 1) ?? 0) + 1)}`;
/** For LIKE with `ESCAPE '\'`. */
const like = (text: string): string => `%${text.replace(/[\\%_]/g, '\\$&')}%`;

/** Names an object may be asked by: `docker.io/library/alpine:latest` is also `alpine` and `alpine:latest`. */
export function namesOf(resource: string): { readonly kind: string | undefined; readonly name: string } {
  const slash = resource.indexOf('/');
  const kind = slash < 0 ? undefined : resource.slice(0, slash);
  return kind !== undefined && KINDS.has(kind)
    ? { kind, name: resource.slice(slash + 1) }
    : { kind: undefined, name: resource };
}

/** What stands before the slash of a resource. */
export const KINDS: ReadonlySet<string> = new Set([
  ...['container', 'image', 'volume', 'network', 'exec', 'build', 'distribution', 'plugin', 'system', 'session'],
  ...['service', 'task', 'node', 'swarm', 'secret', 'config', 'identity', 'token', 'credential', 'certificate'],
  ...['policy', 'tenant', 'socket', 'issuer', 'key', 'lease', 'gateway', 'audit'],
]);

/**
 * @param table name or alias of audit_event in the statement
 */
export function whereOf(conditions: AuditConditions, table = 'audit_event'): Where {
  const terms: string[] = [];
  const params: (string | number)[] = [];
  const add = (term: string, ...given: (string | number)[]): void => {
    terms.push(term);
    params.push(...given);
  };
  const c = (column: string): string => `${table}.${column}`;
  const equal = {
    subject: 'subject',
    issuer: 'issuer',
    tenant: 'tenant',
    tokenId: 'token_id',
    class: 'class',
    code: 'code',
    outcome: 'outcome',
    session: 'session',
  };
  for (const [name, column] of Object.entries(equal)) {
    const value = conditions[name as keyof typeof equal];
    if (value !== undefined) add(`${c(column)} = ?`, value);
  }
  const { action, decision, rule, source, client, text, since, until, resource, plugin } = conditions;
  if (action?.endsWith('.*')) {
    const family = action.slice(0, -2);
    add(`${c('action')} >= ? AND ${c('action')} < ?`, `${family}.`, `${family}/`);
  } else if (action !== undefined && action !== '*') add(`${c('action')} = ?`, action);
  if (decision !== undefined) {
    add(`${c('decision')} = ?`, decision);
    if (decision !== 'allow') add(`${c('decision')} <> 'allow'`);
    if (decision === 'deny')
      add(
        `(${c('outcome')} IS NOT NULL OR coalesce(${c('code')}, '') NOT IN (${NO_DENIAL.map((code) => `'${code}'`).join(', ')}))`,
      );
  }
  if (rule !== undefined) {
    const policy = rule.replace(/\/\*$/, '');
    if (policy.includes('/')) add(`${c('rule')} = ?`, policy);
    else add(`(${c('rule')} = ? OR ${c('rule')} >= ? AND ${c('rule')} < ?)`, policy, `${policy}/`, `${policy}0`);
  }
  if (source !== undefined) {
    const start = source.slice(0, -1);
    if (!source.endsWith('*')) add(`${c('source')} = ?`, source);
    else if (start !== '') add(`${c('source')} >= ? AND ${c('source')} < ?`, start, after(start));
  }
  for (const [column, start] of [
    ['engine', conditions.engine],
    ['gateway', conditions.gateway],
  ] as const)
    if (start !== undefined && start !== '') add(`${c(column)} >= ? AND ${c(column)} < ?`, start, after(start));
  if (client !== undefined) add(`${c('client')} LIKE ? ESCAPE '\\'`, like(client));
  if (text !== undefined) {
    const columns = [
      ...['resource', 'code', 'rule', 'client'].map(c),
      conditions.shownTextOnly === true ? `json_extract(${c('detail')}, '$.message')` : c('detail'),
    ];
    add(`(${columns.map((column) => `${column} LIKE ? ESCAPE '\\'`).join(' OR ')})`, ...columns.map(() => like(text)));
  }
  if (plugin !== undefined) {
    if (conditions.shownTextOnly === true) add('0');
    else add(`${c('detail')} LIKE ? ESCAPE '\\'`, like(`"plugin":${JSON.stringify(plugin)}`));
  }
  if (conditions.binds === true)
    add(`(${BINDS.map(() => `${c('detail')} LIKE ? ESCAPE '\\'`).join(' OR ')})`, ...BINDS.map(like));
  // The sign keeps SQLite from the index of times: all of its rows would be sorted before the first is given.
  if (since !== undefined) add(`+${c('at')} >= ?`, since);
  if (until !== undefined) add(`+${c('at')} <= ?`, until);
  if (conditions.actions !== undefined)
    add(`${c('action')} IN (${conditions.actions.map(() => '?').join(', ')})`, ...conditions.actions);
  if (resource !== undefined) addResource(resource, c, add);
  if (conditions.resources !== undefined) {
    const any: string[] = [];
    for (const one of conditions.resources)
      addResource(one, c, (term, ...more) => {
        any.push(term);
        params.push(...more);
      });
    terms.push(`(${any.join(' OR ')})`);
  }
  return { terms, params };
}

function addResource(
  resource: string,
  c: (column: string) => string,
  add: (term: string, ...given: (string | number)[]) => void,
): void {
  const { kind, name } = namesOf(resource);
  const [column, id] = [c('resource'), c('resource_id')];
  if (kind !== undefined && (name === '*' || name === '')) {
    add(`(${column} = ? OR ${column} >= ? AND ${column} < ?)`, kind, `${kind}/`, `${kind}0`);
    return;
  }
  const seq = c('seq');
  const named = kind === undefined ? `substr(${column}, instr(${column}, '/') + 1) = ?` : `${column} = ?`;
  const asked = kind === undefined ? name : resource;
  // Objects beside the main one stand in the index of names.
  const among = (
    is: string,
  ): string => `EXISTS (SELECT 1 FROM audit_name n JOIN audit_resource r ON r.name_no = n.name_no
    AND r.seq = ${seq} WHERE ${is}${kind === undefined ? '' : ' AND n.kind = ?'})`;
  const ofKind = kind === undefined ? [] : [kind];
  if (!ID.test(name)) {
    add(`(${named} OR ${among('n.name = ?')})`, asked, name, ...ofKind);
    return;
  }
  // Ids are asked for by their beginning; one that was named by its beginning is found by the whole of it.
  const whole = name.startsWith('sha256:') ? name.slice(7) : name;
  const starts = [whole, after(whole), `sha256:${whole}`, `sha256:${after(whole)}`];
  const begins = (where: string): string => `(${where} >= ? AND ${where} < ? OR ${where} >= ? AND ${where} < ?)`;
  const main = kind === undefined ? '' : ` AND (${column} = ? OR ${column} >= ? AND ${column} < ?)`;
  add(
    `(${named} OR ${begins(id)}${main} OR ${among(begins('n.name'))})`,
    ...[asked, ...starts, ...(kind === undefined ? [] : [kind, `${kind}/`, `${kind}0`])],
    ...[...starts, ...ofKind],
  );
}
