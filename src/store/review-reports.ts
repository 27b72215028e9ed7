// Questions to the audit beside pages: calls counted, an object's life, what was used last. Read in steps, like pages.
import type Database from 'better-sqlite3';
import { type AuditCall, type AuditConditions, foldRows, withinScope } from '../audit/filter.ts';
import type {
  CountAnswer,
  Counted,
  CountedBy,
  CountQuestion,
  Timeline,
  TimelineQuestion,
  UseAnswer,
} from '../audit/reports.ts';
import { BLOCK, type ReviewIndex } from './review-index.ts';
import { type CallReader, IDS_OF, type ReviewPages } from './review-pages.ts';
import { namesOf, whereOf } from './review-where.ts';

/** Groups that are counted; of further ones only that there were some is told. */
const MAX_GROUPS = 20_000;
/** Ids of one name that a timeline follows, and names of one id. */
const MAX_ALIASES = 20;
/** Names and ids that one timeline goes through, with the names it had before and after. */
const MAX_WINDOWS = 40;
const END = Number.MAX_SAFE_INTEGER;
/** Rows looked at in one step. */
const STRETCH = 16_384;
const HOUR_US = 3_600_000_000;

/** What calls are grouped by, as SQL over the row of the outcome. */
const GROUPED: Readonly<Record<CountedBy, string>> = {
  subject: 'e.subject',
  tenant: 'e.tenant',
  token: 'e.token_id',
  action: 'e.action',
  class: 'e.class',
  resource: 'e.resource',
  decision: 'e.decision',
  outcome: 'e.outcome',
  code: 'e.code',
  rule: 'e.rule',
  field: "json_extract(e.detail, '$.field')",
  source: 'e.source',
  client: 'e.client',
  status: 'e.status',
  minute: `e.at / ${HOUR_US / 60} * ${HOUR_US / 60}`,
  hour: `e.at / ${HOUR_US} * ${HOUR_US}`,
  day: `e.at / ${HOUR_US * 24} * ${HOUR_US * 24}`,
};

/** What stands in the first row of a call alone: the row of the outcome is found by way of it. */
const FIRST_ROW_ONLY = ['engine', 'gateway', 'resource', 'text', 'session', 'plugin', 'binds'] as const;

/** The names of ids that begin so, with the first row that said so. */
export const NAMES_OF = `SELECT i.name AS id, n.name, n.kind, a.first_seq AS seq FROM audit_name i JOIN audit_alias a ON a.id_no = i.name_no
  JOIN audit_name n ON n.name_no = a.name_no WHERE i.name >= ? AND i.name < ? ORDER BY a.first_seq LIMIT 200`;

interface Alias {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly seq: number;
}

/** Calls about what is called so, within numbers of rows. */
interface Window {
  readonly resource: string;
  readonly from: number;
  readonly below: number;
}

interface Group {
  calls: number;
  denials: number;
  errors: number;
  firstAt: number;
  lastAt: number;
  lastSeq: number;
}

type GroupRow = { readonly [key in keyof Group]: number } & Readonly<Record<string, string | number | null>>;

/** The statement that counts one stretch: exported for the test of its plan. */
export function countSql(
  conditions: AuditConditions,
  by: readonly CountedBy[],
): { readonly sql: string; readonly params: readonly (string | number)[] } {
  const own = whereOf(conditions, 'e');
  const params: (string | number)[] = [...own.params];
  let matches = own.terms.join(' AND ') || '1';
  if (FIRST_ROW_ONLY.some((key) => conditions[key] !== undefined)) {
    const first = whereOf(conditions, 'f');
    matches = `(${matches} OR EXISTS (SELECT 1 FROM audit_event f INDEXED BY audit_call WHERE f.audit_id = e.audit_id AND f.seq < e.seq AND ${first.terms.join(' AND ')}))`;
    params.push(...first.params);
  }
  const columns = by.map((key, i) => `${GROUPED[key]} AS g${i}`);
  return {
    sql: `SELECT ${columns.map((column) => `${column}, `).join('')}count(*) AS calls, sum(e.decision = 'deny') AS denials,
      sum(e.decision IN ('error', 'unauthenticated')) AS errors, min(e.at) AS firstAt, max(e.at) AS lastAt, max(e.seq) AS lastSeq
      FROM audit_event e WHERE e.seq >= ? AND e.seq <= ? AND e.stage IN ('complete', 'gateway') AND ${matches}
      ${by.length === 0 ? '' : `GROUP BY ${by.map((_, i) => i + 1).join(', ')}`}`,
    params,
  };
}

export class ReviewReports {
  readonly #sqlite: Database.Database;
  readonly #pages: ReviewPages;
  readonly #calls: CallReader;
  readonly #index: ReviewIndex | undefined;

  constructor(sqlite: Database.Database, pages: ReviewPages, calls: CallReader, index: ReviewIndex | undefined) {
    this.#sqlite = sqlite;
    this.#pages = pages;
    this.#calls = calls;
    this.#index = index;
  }

  *count({ conditions: asked, scope, by, limit }: CountQuestion): Generator<undefined, CountAnswer> {
    const conditions = withinScope(asked, scope);
    if (conditions === undefined) return { groups: [], more: 0 };
    const { sql, params } = countSql(conditions, by);
    const statement = this.#sqlite.prepare(sql);
    const groups = new Map<string, Group>();
    let lost = 0;
    // By way of another row of the call only its time says where it is.
    const { since, until } = conditions;
    const times = { ...(since === undefined ? {} : { since }), ...(until === undefined ? {} : { until }) };
    const where = FIRST_ROW_ONLY.some((key) => conditions[key] !== undefined) ? times : conditions;
    for (const [low, high] of this.#pages.stretches(where, this.#pages.newest())) {
      for (const row of statement.all(low, high, ...params) as GroupRow[]) {
        if (row.calls === 0) continue;
        const key = JSON.stringify(by.map((_, i) => row[`g${i}`] ?? null));
        const known = groups.get(key);
        if (known === undefined && groups.size >= MAX_GROUPS) lost++;
        else groups.set(key, joined(known, row));
      }
      yield;
    }
    const sorted = [...groups].sort(([, a], [, b]) => b.calls - a.calls || b.lastSeq - a.lastSeq);
    const idOf = this.#sqlite.prepare('SELECT audit_id AS id FROM audit_event WHERE seq = ?');
    return {
      groups: sorted.slice(0, limit).map(([key, { lastSeq, ...group }]): Counted => {
        const last = idOf.get(lastSeq) as { id: string } | undefined;
        return { values: JSON.parse(key) as (string | number | null)[], ...group, lastAuditId: last?.id ?? '' };
      }),
      more: Math.max(0, sorted.length - limit) + lost,
    };
  }

  *timeline({ resource, scope, since, until, limit }: TimelineQuestion): Generator<undefined, Timeline> {
    const { kind, name } = namesOf(resource);
    const aliases = this.#aliasesOf(kind, name);
    const times = { ...(since === undefined ? {} : { since }), ...(until === undefined ? {} : { until }) };
    // A name in use again stands for another object: of a name, only the time in which it was this one's.
    const asked: Window[] = [{ resource, from: 0, below: END }];
    const isId = isBeginningOf(name, aliases);
    for (const alias of aliases) {
      if (isId) asked.push({ resource: `${alias.kind}/${alias.name}`, from: alias.seq, below: this.#endOf(alias) });
      else asked.push({ resource: `${alias.kind}/${alias.id}`, from: 0, below: END });
    }
    const found = new Map<string, AuditCall>();
    const known = new Set<string>();
    let more = false;
    for (let window = asked.shift(); window !== undefined && known.size < MAX_WINDOWS; window = asked.shift()) {
      const key = JSON.stringify(window);
      if (known.has(key)) continue;
      known.add(key);
      const conditions = withinScope({ resource: window.resource, ...times }, scope);
      if (conditions === undefined) break;
      let count = 0;
      for (const hit of this.#pages.hits(conditions, {
        before: window.below,
        calls: true,
        limit,
        patienceMs: 20_000,
      })) {
        if (hit === undefined) {
          yield;
          continue;
        }
        if (typeof hit === 'number' || hit.seq < window.from || ++count > limit) {
          more ||= typeof hit === 'number' || hit.seq >= window.from;
          break;
        }
        const call = found.get(hit.auditId) ?? foldRows(this.#calls.byAuditId(hit.auditId));
        found.set(hit.auditId, call);
        asked.push(...this.#renamed(call, window.resource));
      }
    }
    const calls = [...found.values()].sort((a, b) => a.seq - b.seq);
    return {
      calls: calls.slice(-limit),
      objects: scope.kind === 'all' ? objectsOf(aliases) : [],
      more: more || calls.length > limit,
    };
  }

  /** The other name of a container that was renamed, for the time in which it had it. */
  #renamed(call: AuditCall, asked: string): readonly Window[] {
    const after = call.resources?.find(({ at }) => at === 'query.name');
    if (call.action !== 'container.rename' || call.outcome !== 'ok' || after === undefined) return [];
    const [before = '', now] = [call.resource, `container/${after.name}`];
    if (asked !== now) return [{ resource: now, from: call.seq, below: END }];
    const name = before.slice(before.indexOf('/') + 1);
    const ids = (this.#sqlite.prepare(IDS_OF).all(name) as Omit<Alias, 'name'>[]).filter(({ seq }) => seq < call.seq);
    const id = ids.at(-1);
    if (id === undefined) return [{ resource: before, from: 0, below: call.seq }];
    return [
      { resource: before, from: id.seq, below: call.seq },
      { resource: `container/${id.id}`, from: 0, below: END },
    ];
  }

  #aliasesOf(kind: string | undefined, name: string): readonly Alias[] {
    const ofKind = (alias: { kind: string }): boolean => kind === undefined || alias.kind === kind;
    const bare = name.replace(/^sha256:/, '');
    const byId = /^[0-9a-f]{12,64}$/.test(bare)
      ? (['', 'sha256:'].flatMap((start) =>
          this.#sqlite.prepare(NAMES_OF).all(`${start}${bare}`, `${start}${bare}g`),
        ) as Alias[])
      : [];
    const found = byId.filter(ofKind);
    if (found.length > 0) return found.filter((alias) => !alias.id.startsWith(alias.name)).slice(0, MAX_ALIASES);
    const ids = this.#sqlite.prepare(IDS_OF).all(name) as Omit<Alias, 'name'>[];
    return ids
      .filter(ofKind)
      .map((alias) => ({ ...alias, name }))
      .slice(-MAX_ALIASES);
  }

  /** The first row in which a name stood for another object than it did before. */
  #endOf({ id, name, kind, seq }: Alias): number {
    const others = this.#sqlite.prepare(IDS_OF).all(name) as Omit<Alias, 'name'>[];
    const next = others.find((other) => other.kind === kind && other.id !== id && other.seq > seq);
    return next?.seq ?? END;
  }

  *uses(since: number): Generator<undefined, UseAnswer> {
    const rules = new Map<string, number>();
    const actions = new Map<string, number>();
    const put = (map: Map<string, number>, key: string | null, at: number | null): void => {
      if (key !== null && at !== null && at >= since && at > (map.get(key) ?? 0)) map.set(key, at);
    };
    const index = this.#index;
    if (index !== undefined) {
      const ruleAt = this.#sqlite
        .prepare('SELECT max(at) FROM audit_event WHERE seq > ? AND seq <= ? AND rule = ?')
        .pluck();
      const pairAt = this.#sqlite
        .prepare(
          `SELECT max(at) FROM audit_event WHERE seq > ? AND seq <= ? AND +subject = ? AND action = ? AND decision = 'allow'`,
        )
        .pluck();
      for (const { value, block } of index.lastBlocks('rule', since)) {
        put(rules, value, ruleAt.get(block * BLOCK, (block + 1) * BLOCK, value) as number | null);
        yield;
      }
      for (const { value, block } of index.lastBlocks('pair', since)) {
        const [subject = '', action = ''] = value.split('\n');
        put(actions, value, pairAt.get(block * BLOCK, (block + 1) * BLOCK, subject, action) as number | null);
        yield;
      }
    }
    const rows = this.#sqlite.prepare(
      `SELECT rule, CASE decision WHEN 'allow' THEN subject || char(10) || action END AS pair, max(at) AS at FROM audit_event
        WHERE seq >= ? AND seq <= ? GROUP BY 1, 2`,
    );
    const known = index?.through ?? 0;
    for (let top = this.#pages.newest(); top > known; top -= STRETCH) {
      const low = Math.max(known + 1, top - STRETCH + 1);
      for (const { rule, pair, at } of rows.all(low, top) as {
        rule: string | null;
        pair: string | null;
        at: number;
      }[]) {
        put(rules, rule, at);
        put(actions, pair, at);
      }
      yield;
    }
    const oldest = this.#sqlite.prepare('SELECT at FROM audit_event ORDER BY seq LIMIT 1').pluck().get() as
      | number
      | undefined;
    return {
      rules: [...rules],
      actions: [...actions].map(([pair, at]) => {
        const [subject = '', action = ''] = pair.split('\n');
        return [subject, action, at] as const;
      }),
      logSince: oldest,
    };
  }
}

const isBeginningOf = (name: string, aliases: readonly Alias[]): boolean =>
  aliases.length > 0 && aliases.every(({ id }) => id.replace(/^sha256:/, '').startsWith(name.replace(/^sha256:/, '')));

const joined = (known: Group | undefined, { calls, denials, errors, firstAt, lastAt, lastSeq }: GroupRow): Group =>
  known === undefined
    ? { calls, denials, errors, firstAt, lastAt, lastSeq }
    : {
        calls: known.calls + calls,
        denials: known.denials + denials,
        errors: known.errors + errors,
        firstAt: Math.min(known.firstAt, firstAt),
        lastAt: Math.max(known.lastAt, lastAt),
        lastSeq: Math.max(known.lastSeq, lastSeq),
      };

function objectsOf(aliases: readonly Alias[]): Timeline['objects'] {
  const objects = new Map<string, { kind: string; id: string; names: string[] }>();
  for (const { id, kind, name } of aliases) {
    const known = objects.get(id);
    if (known === undefined) objects.set(id, { kind, id, names: [name] });
    else if (!known.names.includes(name)) known.names.push(name);
  }
  return [...objects.values()];
}
