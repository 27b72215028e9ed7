// Pages of the audit for review, newest first, by number: where an index says that rows may be, or one stretch after the other.
import type Database from 'better-sqlite3';
import type { AuditRow } from '../audit/event.ts';
import {
  type AuditCall,
  type AuditConditions,
  type AuditPage,
  foldRows,
  type PageQuestion,
  withinScope,
} from '../audit/filter.ts';
import { BLOCK, isFindable, type ReviewIndex } from './review-index.ts';
import { namesOf, whereOf } from './review-where.ts';

/** Rows of a stretch without an index: ten to twenty ms. */
const STRETCH = 16_384;
/** A page is given as it is after this long, in ms; the caller goes on from there. */
const PATIENCE_MS = 250;
/** Blocks asked of the index at a time. */
const BLOCKS_AT_ONCE = 64;
/** Rows of one call that are read. A call has three, and what is folded under one id a few more. */
const MAX_ROWS_OF_CALL = 50;
/** Fewest characters of a short id: the milliseconds of a UUIDv7. */
const MIN_SHORT = 13;

/** Reads of single calls. */
export interface CallReader {
  /** All rows of one call, in order. */
  byAuditId(auditId: string): readonly AuditRow[];
}

interface Hit {
  readonly seq: number;
  readonly auditId: string;
}

/** Ids of one name that are looked for beside it. */
const MAX_FOLLOWED = 20;

/** The ids that a name stood for, with the first row that said so. */
export const IDS_OF = `SELECT i.name AS id, n.kind, a.first_seq AS seq FROM audit_name n JOIN audit_alias a ON a.name_no = n.name_no
  JOIN audit_name i ON i.name_no = a.id_no WHERE n.name = ? ORDER BY a.first_seq LIMIT 200`;

/** Names that an id had, newest first. */
export const NAMES = `SELECT n.name FROM audit_name i JOIN audit_alias a ON a.id_no = i.name_no
  JOIN audit_name n ON n.name_no = a.name_no WHERE i.kind = ? AND i.name = ? ORDER BY a.first_seq DESC LIMIT 5`;

/** The statement of one stretch: exported for the test of its plan. */
export function stretchSql(
  conditions: AuditConditions,
  calls: boolean,
): { sql: string; params: readonly (string | number)[] } {
  const own = whereOf(conditions, 'e');
  const params: (string | number)[] = [...own.params];
  const terms = ['e.seq >= ?', 'e.seq <= ?', ...own.terms];
  if (calls) {
    // Each call once, at the newest of its rows that matches.
    const later = whereOf(conditions, 'l');
    terms.push(
      `NOT EXISTS (SELECT 1 FROM audit_event l INDEXED BY audit_call WHERE l.audit_id = e.audit_id AND l.seq > e.seq${later.terms
        .map((term) => ` AND ${term}`)
        .join('')})`,
    );
    params.push(...later.params);
  }
  return {
    sql: `SELECT e.seq, e.audit_id AS auditId FROM audit_event e WHERE ${terms.join(' AND ')} ORDER BY e.seq DESC LIMIT ?`,
    params,
  };
}

export class ReviewPages {
  readonly #sqlite: Database.Database;
  readonly #calls: CallReader;
  readonly #index: ReviewIndex | undefined;
  readonly #newest: Database.Statement;
  readonly #oldest: Database.Statement;
  readonly #before: Database.Statement;
  readonly #behind: Database.Statement;

  readonly #names: Database.Statement;

  /** @param index undefined where none can be kept: then every row is looked at */
  constructor(sqlite: Database.Database, calls: CallReader, index: ReviewIndex | undefined) {
    this.#sqlite = sqlite;
    this.#calls = calls;
    this.#index = index;
    this.#names = sqlite.prepare(NAMES);
    this.#newest = sqlite.prepare('SELECT coalesce(max(seq), 0) AS seq FROM audit_event');
    this.#oldest = sqlite.prepare('SELECT coalesce(min(seq), 0) AS seq FROM audit_event');
    this.#before = sqlite.prepare(
      'SELECT audit_id AS id FROM audit_event WHERE audit_id < ? ORDER BY audit_id DESC LIMIT 1',
    );
    this.#behind = sqlite.prepare(
      'SELECT audit_id AS id FROM audit_event WHERE audit_id > ? ORDER BY audit_id LIMIT 1',
    );
  }

  newest(): number {
    return (this.#newest.get() as { seq: number }).seq;
  }

  *page(question: PageQuestion): Generator<undefined, AuditPage> {
    const conditions = withinScope(this.#followed(question), question.scope);
    if (conditions === undefined) return { entries: [] };
    const entries: AuditCall[] = [];
    for (const hit of this.hits(conditions, question)) {
      if (hit === undefined) {
        yield;
        continue;
      }
      if (typeof hit === 'number') return { entries, next: hit };
      const rows = this.#calls.byAuditId(hit.auditId);
      const one = question.calls ? foldRows(rows.slice(-MAX_ROWS_OF_CALL)) : rows.find(({ seq }) => seq === hit.seq);
      // What a condition says of the outcome, the newest row decides.
      if (one === undefined || !isOf(conditions, one)) continue;
      // The name of what a caller may not see is none of its business, even where it knows the id.
      const knownAs = question.scope.kind === 'all' ? (this.#nameOf(one) ?? this.#containerOf(one)) : undefined;
      entries.push({ ...one, shortId: this.#shortId(one.auditId), ...(knownAs === undefined ? {} : { knownAs }) });
      if (entries.length >= question.limit) return { entries, next: hit.seq };
    }
    return { entries };
  }

  /**
   * Numbers and audit ids of what matches, newest first; undefined between two steps; at last the number to go on from, when
   * patience ended.
   */
  *hits(
    conditions: AuditConditions,
    {
      before,
      calls,
      limit,
      patienceMs = PATIENCE_MS,
    }: { before?: number | undefined; calls: boolean; limit: number; patienceMs?: number },
  ): Generator<Hit | undefined | number, undefined> {
    const { sql, params } = stretchSql(conditions, calls);
    const stretch = this.#sqlite.prepare(sql);
    const until = performance.now() + patienceMs;
    for (const [low, high] of this.stretches(
      conditions,
      Math.min(this.newest(), (before ?? Number.MAX_SAFE_INTEGER) - 1),
    )) {
      let top = high;
      while (top >= low) {
        const found = stretch.all(low, top, ...params, limit) as Hit[];
        yield* found;
        const last = found.at(-1);
        if (last === undefined || found.length < limit) break;
        top = last.seq - 1;
      }
      if (performance.now() > until) {
        if (low > 1) yield low;
        return undefined;
      }
      yield undefined;
    }
    return undefined;
  }

  /** Stretches of rows to look at, newest first. */
  *stretches(conditions: AuditConditions, high: number): Generator<readonly [number, number]> {
    const index = isFindable(conditions) ? this.#index : undefined;
    const known = index?.through ?? 0;
    const oldest = Math.max(1, (this.#oldest.get() as { seq: number }).seq);
    for (let top = high; top > known && top >= oldest; top -= STRETCH)
      yield [Math.max(oldest, known + 1, top - STRETCH + 1), top];
    if (index === undefined) return;
    let below = Math.floor((Math.min(high, known) - 1) / BLOCK) + 1;
    for (;;) {
      const blocks = this.#blocks(index, conditions, below);
      if (blocks === undefined) {
        for (let top = Math.min(high, below * BLOCK); top >= oldest; top -= STRETCH)
          yield [Math.max(oldest, top - STRETCH + 1), top];
        return;
      }
      for (const block of blocks) {
        const top = Math.min(high, (block + 1) * BLOCK);
        if (top < oldest) return;
        yield [block * BLOCK + 1, top];
        below = block;
      }
      if (blocks.length < BLOCKS_AT_ONCE) return;
    }
  }

  /** Undefined for an index that cannot be read: then the rest is looked at row by row. */
  #blocks(index: ReviewIndex, conditions: AuditConditions, below: number): readonly number[] | undefined {
    try {
      return index.blocks(conditions, below, BLOCKS_AT_ONCE);
    } catch {
      return undefined;
    }
  }

  /** The conditions, with the ids that the name of an object stood for beside it. */
  #followed({ conditions, follow }: PageQuestion): AuditConditions {
    const { resource, ...rest } = conditions;
    if (follow !== true || resource === undefined) return conditions;
    const { kind, name } = namesOf(resource);
    const ids = this.#sqlite.prepare(IDS_OF).all(name) as { kind: string; id: string }[];
    const also = ids.filter((one) => kind === undefined || one.kind === kind).slice(-MAX_FOLLOWED);
    return { ...rest, resources: [resource, ...also.map((one) => `${one.kind}/${one.id}`)] };
  }

  /** The newest name of the main object, when the call has its id alone. */
  #nameOf({ resource, resourceId }: Pick<AuditRow, 'resource' | 'resourceId'>): string | undefined {
    const slash = resource?.indexOf('/') ?? -1;
    const [kind, asked] = slash < 0 ? [resource, ''] : [resource?.slice(0, slash), resource?.slice(slash + 1) ?? ''];
    if (kind === undefined || (asked !== '' && !/^[0-9a-f]{12,64}$/.test(asked))) return undefined;
    const id = asked.length === 64 || resourceId === undefined ? asked : resourceId;
    if (id === '') return undefined;
    const names = this.#names.all(kind, id) as { name: string }[];
    return names.find(({ name }) => name !== id && !id.startsWith(name))?.name;
  }

  /** The name of the container an exec instance ran in. */
  #containerOf({ resource, resources }: AuditRow): string | undefined {
    const within = resource?.startsWith('exec/') ? resources?.find(({ kind }) => kind === 'container') : undefined;
    return within?.id === undefined ? undefined : this.#nameOf({ resource: 'container', resourceId: within.id });
  }

  #shortId(auditId: string): string {
    const near = [this.#before.get(auditId), this.#behind.get(auditId)] as ({ id: string } | undefined)[];
    const shared = Math.max(0, ...near.map((other) => (other === undefined ? 0 : sharedStart(auditId, other.id))));
    const short = auditId.slice(0, Math.max(MIN_SHORT, shared + 1));
    return short.endsWith('-') ? auditId.slice(0, short.length + 1) : short;
  }
}

const sharedStart = (a: string, b: string): number => {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
};

const isOf = ({ decision, code }: AuditConditions, row: AuditRow): boolean =>
  (decision === undefined || row.decision === decision) && (code === undefined || row.code === code);
