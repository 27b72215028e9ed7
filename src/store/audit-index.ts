// Finds the rows of an object by any of its names and ids. Kept by the audit's writer in the transaction of the rows, and made
// from their columns alone, so that it can be made again and nothing about it needs to be believed.
//
// Shape: `audit_name` numbers every pair of kind and name there ever was, an id being a name like others. `audit_resource` holds
// the rows of each. `audit_alias` says which id had which name, and the first row that said so. The rows about one container,
// newest first, each page one walk along a primary key:
//
//   SELECT name_no FROM audit_name WHERE name = 'web' AND kind = 'container';   -- or: name >= '0f3a' AND name < '0f3b', for part of an id
//   SELECT id_no, first_seq FROM audit_alias WHERE name_no = ?;                 -- the ids it had, when it had several in its time
//   SELECT seq FROM audit_resource WHERE name_no = ? AND seq < ? ORDER BY seq DESC LIMIT 50;
//   SELECT * FROM audit_event WHERE seq = ?;   -- and by its audit_id the other rows of the call
//
// Images stand under their full reference (`docker.io/library/alpine:3`), containers without the leading slash. Rows up to
// `indexed-after` of `audit_meta` were written before there was an index and are not in it.
import type Database from 'better-sqlite3';
import { COLUMNS, type ColumnValue } from './audit-row.ts';

const AT = {
  stage: COLUMNS.indexOf('stage'),
  resource: COLUMNS.indexOf('resource'),
  resourceId: COLUMNS.indexOf('resource_id'),
  decision: COLUMNS.indexOf('decision'),
  resources: COLUMNS.indexOf('resources'),
  gateway: COLUMNS.indexOf('gateway'),
} as const;

/** Numbers of names kept in memory: containers and images in daily use are far fewer. */
const MAX_KNOWN = 20_000;

export interface Named {
  readonly kind: string;
  readonly name: string;
  readonly id: string;
}

/**
 * What a row is found by. Its main object counts in the first row of a call alone, which saves half of the index, and in the one row
 * of a read; objects in `resources` always count.
 *
 * @param values by COLUMNS
 */
export function namedBy(values: readonly ColumnValue[]): readonly Named[] {
  const found: Named[] = [];
  const stage = values[AT.stage];
  const isFirst =
    stage === 'intent' ||
    stage === 'gateway' ||
    (stage === 'complete' && (values[AT.decision] !== 'allow' || typeof values[AT.gateway] === 'string'));
  const resource = values[AT.resource];
  const id = textOf(values[AT.resourceId]);
  if (isFirst && typeof resource === 'string') {
    const slash = resource.indexOf('/');
    const kind = slash < 0 ? resource : resource.slice(0, slash);
    const name = slash < 0 ? '' : resource.slice(slash + 1);
    if (name !== '' || id !== '') found.push({ kind, name, id });
  }
  const others = values[AT.resources];
  if (typeof others === 'string') {
    for (const one of JSON.parse(others) as Partial<Named>[]) {
      const [kind, name, itsId] = [textOf(one.kind), textOf(one.name), textOf(one.id)];
      if (kind !== '' && (name !== '' || itsId !== '')) found.push({ kind, name, id: itsId });
    }
  }
  return found;
}

export class AuditIndex {
  readonly #add: Database.Statement;
  readonly #find: Database.Statement;
  readonly #insert: Database.Statement;
  readonly #alias: Database.Statement;
  /** By kind and name. Belongs to one connection: a number of a transaction that was rolled back must not be used again. */
  readonly #known = new Map<string, number>();

  /** @param sqlite the writer's connection; a transaction is open when rows are added */
  constructor(sqlite: Database.Database) {
    this.#find = sqlite.prepare('SELECT name_no FROM audit_name WHERE name = ? AND kind = ?').pluck();
    this.#insert = sqlite.prepare('INSERT INTO audit_name (name, kind) VALUES (?, ?)');
    this.#add = sqlite.prepare('INSERT OR IGNORE INTO audit_resource (name_no, seq) VALUES (?, ?)');
    this.#alias = sqlite.prepare('INSERT OR IGNORE INTO audit_alias (id_no, name_no, first_seq) VALUES (?, ?, ?)');
  }

  /** @param values of a row, by COLUMNS */
  add(seq: number, values: readonly ColumnValue[]): void {
    for (const { kind, name, id } of namedBy(values)) {
      const nameNo = name === '' ? undefined : this.#number(kind, name);
      const idNo = id === '' || id === name ? undefined : this.#number(kind, id);
      if (nameNo !== undefined) this.#add.run(nameNo, seq);
      if (idNo === undefined) continue;
      this.#add.run(idNo, seq);
      if (nameNo !== undefined) this.#alias.run(idNo, nameNo, seq);
    }
  }

  #number(kind: string, name: string): number {
    const key = `${kind}/${name}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const number =
      (this.#find.get(name, kind) as number | undefined) ?? Number(this.#insert.run(name, kind).lastInsertRowid);
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(key, number);
    return number;
  }
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
