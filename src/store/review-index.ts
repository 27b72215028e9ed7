// Where in the audit to look: for each block of rows the values that stand in it, and its times. Kept by the review thread in a
// file of its own, made from the log alone and made again when it does not fit it: the writer of the log pays nothing for it,
// and it never says what a row holds, only which rows are worth reading.
import Database from 'better-sqlite3';
import type { AuditResource } from '../audit/event.ts';
import type { AuditConditions } from '../audit/filter.ts';
import { namesOf } from './review-where.ts';

/** Rows of one block. Reading one takes half a millisecond. */
export const BLOCK = 512;
/** Another number makes files of other versions be made again. */
const FORMAT = '2';
/** Values are cut here, and so are those looked for: a cut value finds too much, never too little. */
const MAX_VALUE = 120;

/** What a value is of. Stored as numbers: never renumber. */
const KIND = {
  subject: 1,
  tenant: 2,
  token: 3,
  action: 4,
  class: 5,
  code: 6,
  rule: 7,
  source: 8,
  client: 9,
  decision: 10,
  /** `kind/name`, and the name alone. */
  resource: 11,
  name: 12,
  id: 13,
  engine: 14,
  session: 15,
  outcome: 16,
  /** Subject and action of what was allowed, with a line feed between. */
  pair: 17,
} as const;
type Kind = keyof typeof KIND;

/** One thing that must stand in a block: one of several values or ranges. */
interface Term {
  readonly any: readonly {
    readonly kind: Kind;
    readonly from: string;
    readonly below?: string;
    readonly like?: string;
  }[];
}

interface Row {
  readonly seq: number;
  readonly at: number;
  readonly subject: string | null;
  readonly tenant: string | null;
  readonly token: string | null;
  readonly action: string;
  readonly class: string | null;
  readonly code: string | null;
  readonly rule: string | null;
  readonly source: string | null;
  readonly client: string | null;
  readonly decision: string;
  readonly resource: string | null;
  readonly id: string | null;
  readonly engine: string | null;
  readonly session: string | null;
  readonly outcome: string | null;
  readonly resources: string | null;
}

/** An engine's id, or so much of one that no name looks like it. */
const ID = /^(sha256:)?[0-9a-f]{12,64}$/;
const cut = (value: string): string => value.slice(0, MAX_VALUE);
const beyond = (text: string): string => `${text}\u{10ffff}`;
const bare = (id: string): string => (id.startsWith('sha256:') ? id.slice(7) : id);

export class ReviewIndex {
  readonly #audit: Database.Database;
  readonly #own: Database.Database;
  readonly #rows: Database.Statement;
  readonly #putTerm: Database.Statement;
  readonly #putBlock: Database.Statement;
  readonly #putMeta: Database.Statement;
  #blocks: number;

  /** @param file made when it is not there @param audit a connection to the log */
  constructor(file: string, audit: Database.Database) {
    this.#audit = audit;
    this.#own = new Database(file);
    const own = this.#own;
    own.pragma('journal_mode = WAL');
    own.pragma('synchronous = NORMAL');
    own.exec('CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID');
    if (!this.#fits()) this.#begin();
    this.#rows = audit.prepare(
      `SELECT seq, at, subject, tenant, token_id AS token, action, class, code, rule, source, client, decision, resource,
         resource_id AS id, engine, session, outcome, resources FROM audit_event WHERE seq > ? AND seq <= ? ORDER BY seq`,
    );
    this.#putTerm = own.prepare('INSERT OR IGNORE INTO term (kind, value, block) VALUES (?, ?, ?)');
    this.#putBlock = own.prepare('INSERT OR REPLACE INTO block (no, first_at, last_at) VALUES (?, ?, ?)');
    this.#putMeta = own.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
    this.#blocks = Number(this.#meta('blocks') ?? 0);
  }

  /** Up to this row the index knows the log. */
  get through(): number {
    return this.#blocks * BLOCK;
  }

  #meta(key: string): string | undefined {
    return (this.#own.prepare('SELECT value FROM meta WHERE key = ?').get(key) as { value: string } | undefined)?.value;
  }

  #log(): string {
    const found = this.#audit.prepare("SELECT value FROM audit_meta WHERE key = 'log-id'").get();
    return (found as { value: string } | undefined)?.value ?? '';
  }

  #hashOf(seq: number): string | undefined {
    const row = this.#audit.prepare('SELECT hex(hash) AS hash FROM audit_event WHERE seq = ?').get(seq);
    return (row as { hash: string } | undefined)?.hash;
  }

  /** Whether the file is of this log: of a restored backup, the later rows are others. */
  #fits(): boolean {
    if (this.#meta('format') !== FORMAT || this.#meta('log') !== this.#log()) return false;
    const blocks = Number(this.#meta('blocks') ?? 0);
    return blocks === 0 || this.#hashOf(blocks * BLOCK) === this.#meta('last-hash');
  }

  #begin(): void {
    const own = this.#own;
    own.exec(`DROP TABLE IF EXISTS term; DROP TABLE IF EXISTS block; DELETE FROM meta;
      CREATE TABLE term (kind INTEGER NOT NULL, value TEXT NOT NULL, block INTEGER NOT NULL, PRIMARY KEY (kind, value, block)) WITHOUT ROWID;
      CREATE TABLE block (no INTEGER PRIMARY KEY, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL)`);
    const put = own.prepare('INSERT INTO meta (key, value) VALUES (?, ?)');
    put.run('format', FORMAT);
    put.run('log', this.#log());
  }

  /**
   * Takes in the next rows of the log, at most some thousands.
   * @param end number of its newest row
   * @returns whether there are more
   */
  advance(end: number, atMost = 8): boolean {
    const to = Math.min(this.#blocks + atMost, Math.floor(end / BLOCK));
    if (to <= this.#blocks) return false;
    this.#own.transaction(() => {
      for (let block = this.#blocks; block < to; block++) this.#take(block);
      this.#putMeta.run('blocks', String(to));
      this.#putMeta.run('last-hash', this.#hashOf(to * BLOCK) ?? '');
    })();
    this.#blocks = to;
    return to < Math.floor(end / BLOCK);
  }

  #take(block: number): void {
    const rows = this.#rows.all(block * BLOCK, (block + 1) * BLOCK) as Row[];
    let [first, last] = [Number.MAX_SAFE_INTEGER, 0];
    const values = new Map<Kind, Set<string>>();
    const add = (kind: Kind, value: string | null): void => {
      if (value === null || value === '') return;
      const known = values.get(kind);
      if (known === undefined) values.set(kind, new Set([cut(value)]));
      else known.add(cut(value));
    };
    for (const row of rows) {
      first = Math.min(first, row.at);
      last = Math.max(last, row.at);
      for (const kind of ['subject', 'tenant', 'token', 'action', 'class', 'code', 'rule', 'source', 'client'] as const)
        add(kind, row[kind]);
      if (row.decision !== 'allow') add('decision', row.decision);
      else if (row.subject !== null) add('pair', `${row.subject}\n${row.action}`);
      add('resource', row.resource);
      if (row.resource !== null) add('name', row.resource.slice(row.resource.indexOf('/') + 1));
      if (row.id !== null) add('id', bare(row.id));
      add('engine', row.engine);
      add('session', row.session);
      if (row.outcome !== 'ok') add('outcome', row.outcome);
      if (row.resources === null) continue;
      for (const { kind, name = '', id } of JSON.parse(row.resources) as Partial<AuditResource>[]) {
        if (kind === undefined) continue;
        add('resource', `${kind}/${name}`);
        add('name', name);
        if (id !== undefined) add('id', bare(id));
        // One that was named by its id alone.
        if (ID.test(name)) add('id', bare(name));
      }
    }
    for (const [kind, known] of values) for (const value of known) this.#putTerm.run(KIND[kind], value, block);
    this.#putBlock.run(block, first, last);
  }

  /**
   * Blocks in which rows may be that meet the conditions, newest first.
   * @param below only blocks before this one
   */
  blocks(conditions: AuditConditions, below: number, limit: number): readonly number[] {
    const { sql, params } = blocksSql(conditions, below, limit);
    return (this.#own.prepare(sql).all(...params) as { block: number }[]).map(({ block }) => block);
  }

  /** The last block of each value of a kind, where that block has rows of a time or later. */
  lastBlocks(kind: 'rule' | 'pair', since: number): readonly { readonly value: string; readonly block: number }[] {
    return this.#own
      .prepare(
        `SELECT t.value, t.block FROM (SELECT value, max(block) AS block FROM term WHERE kind = ? GROUP BY value) t
          JOIN block b ON b.no = t.block WHERE b.last_at >= ?`,
      )
      .all(KIND[kind], since) as { value: string; block: number }[];
  }

  close(): void {
    this.#own.close();
  }
}

/** Whether an index helps with these conditions. */
export const isFindable = (conditions: AuditConditions): boolean =>
  termsOf(conditions).length > 0 || conditions.since !== undefined || conditions.until !== undefined;

/** The rarest first: the first is walked, the others are looked up. */
function termsOf(conditions: AuditConditions): readonly Term[] {
  const terms: Term[] = [];
  const { resource, tokenId, rule, code, subject, source, action, tenant, decision, client } = conditions;
  const add = (kind: Kind, value: string | undefined): void => {
    if (value !== undefined) terms.push({ any: [{ kind, from: cut(value) }] });
  };
  if (resource !== undefined) terms.push(resourceTerm(resource));
  if (conditions.resources !== undefined)
    terms.push({ any: conditions.resources.flatMap((one) => resourceTerm(one).any) });
  add('session', conditions.session);
  add('token', tokenId);
  if (rule !== undefined) {
    const policy = cut(rule.replace(/\/\*$/, ''));
    const all = { kind: 'rule', from: `${policy}/`, below: `${policy}0` } as const;
    terms.push({
      any: policy.includes('/') ? [{ kind: 'rule', from: policy }] : [{ kind: 'rule', from: policy }, all],
    });
  }
  add('code', code);
  add('subject', subject);
  if (source?.endsWith('*')) {
    const start = cut(source.slice(0, -1));
    if (start !== '') terms.push({ any: [{ kind: 'source', from: start, below: beyond(start) }] });
  } else add('source', source);
  if (action?.endsWith('.*')) {
    const family = cut(action.slice(0, -2));
    terms.push({ any: [{ kind: 'action', from: `${family}.`, below: `${family}/` }] });
  } else if (action !== '*') add('action', action);
  if (conditions.actions !== undefined)
    terms.push({ any: conditions.actions.map((one) => ({ kind: 'action', from: one }) as const) });
  add('tenant', tenant);
  if (decision !== 'allow') add('decision', decision);
  if (conditions.outcome !== 'ok') add('outcome', conditions.outcome);
  if (conditions.engine !== undefined && conditions.engine !== '') {
    const start = cut(conditions.engine);
    terms.push({ any: [{ kind: 'engine', from: start, below: beyond(start) }] });
  }
  add('class', conditions.class);
  if (client !== undefined && client.length < MAX_VALUE)
    terms.push({ any: [{ kind: 'client', from: '', like: client }] });
  return terms;
}

function resourceTerm(resource: string): Term {
  const { kind, name } = namesOf(resource);
  if (kind !== undefined && (name === '*' || name === '')) {
    return {
      any: [
        { kind: 'resource', from: kind },
        { kind: 'resource', from: `${kind}/`, below: `${kind}0` },
      ],
    };
  }
  const named =
    kind === undefined
      ? ({ kind: 'name', from: cut(name) } as const)
      : ({ kind: 'resource', from: cut(resource) } as const);
  if (!ID.test(name)) return { any: [named] };
  const id = bare(name);
  return { any: [named, { kind: 'id', from: id, below: beyond(id) }] };
}

/** The statement that finds blocks: exported for the test of its plan. */
export function blocksSql(
  conditions: AuditConditions,
  below: number,
  limit: number,
): { readonly sql: string; readonly params: readonly (string | number)[] } {
  const params: (string | number)[] = [];
  const bounds: string[] = [];
  const value = ({ kind, from, below: end, like }: Term['any'][number]): string => {
    if (like !== undefined) {
      params.push(KIND[kind], `%${like.replace(/[\\%_]/g, '\\$&')}%`);
      return "kind = ? AND value LIKE ? ESCAPE '\\'";
    }
    params.push(KIND[kind], from);
    if (end === undefined) return 'kind = ? AND value = ?';
    params.push(end);
    return 'kind = ? AND value >= ? AND value < ?';
  };
  const [first, ...others] = termsOf(conditions);
  const isTimed = conditions.since !== undefined || conditions.until !== undefined;
  const times = (): string => {
    const of: string[] = [];
    if (conditions.since !== undefined) {
      of.push('b.last_at >= ?');
      params.push(conditions.since);
    }
    if (conditions.until !== undefined) {
      of.push('b.first_at <= ?');
      params.push(conditions.until);
    }
    return of.join(' AND ');
  };
  if (first === undefined) {
    params.push(below);
    const timed = isTimed ? ` AND ${times()}` : '';
    return { sql: `SELECT no AS block FROM block b WHERE no < ?${timed} ORDER BY no DESC LIMIT ${limit}`, params };
  }
  const walked = first.any
    .map((one) => {
      const sql = `SELECT block FROM term WHERE ${value(one)} AND block < ?`;
      params.push(below);
      return sql;
    })
    .join(' UNION ');
  for (const { any } of others)
    bounds.push(
      `(${any.map((one) => `EXISTS (SELECT 1 FROM term o WHERE ${value(one)} AND o.block = t.block)`).join(' OR ')})`,
    );
  if (isTimed) bounds.push(`EXISTS (SELECT 1 FROM block b WHERE b.no = t.block AND ${times()})`);
  const where = bounds.length === 0 ? '' : ` WHERE ${bounds.join(' AND ')}`;
  const from =
    first.any.length === 1 && first.any[0]?.below === undefined && first.any[0]?.like === undefined
      ? walked
      : `SELECT DISTINCT block FROM (${walked})`;
  return { sql: `SELECT t.block FROM (${from}) t${where} ORDER BY t.block DESC LIMIT ${limit}`, params };
}
