// Collects violations of one call. Costs nothing while there are none.

import { isEmptyValue } from '../../engine/json.ts';
import { isTelling, mask, maskArguments, withoutSecrets } from '../../engine/mask.ts';
import type { Json, JsonObject, ReadOnlyDepth } from '../../engine/types.ts';
import type { Principal } from '../types.ts';
import type { HostSite } from './site.ts';
import type { HostViolation } from './spec.ts';

/** More would not help the reader. */
const MAX_VIOLATIONS = 32;
const MAX_SHOWN = 120;
const NONE: readonly HostViolation[] = Object.freeze([]);

/** Any value as short text. */
export function show(value: Json | undefined): string {
  let text: string;
  if (typeof value === 'string') text = value;
  else if (typeof value === 'object' && value !== null) {
    text = JSON.stringify(masked(value), (_key, item: unknown) => (typeof item === 'bigint' ? String(item) : item));
  } else text = String(value);
  text = withoutSecrets(text);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text;
}

/** A value without the secrets in it: the value of a telling name, and the text after a telling word of a command line. */
function masked(value: Json): Json {
  if (typeof value === 'string') return withoutSecrets(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const list = value as readonly Json[];
    return list.every((item) => typeof item === 'string') ? maskArguments(list, undefined) : list.map(masked);
  }
  const members = Object.entries(value as JsonObject).map(([name, inner]) => [
    name,
    inner === undefined || inner === null || inner === ''
      ? inner
      : isTelling(name)
        ? mask(String(inner), undefined)
        : masked(inner),
  ]);
  return Object.fromEntries(members) as JsonObject;
}

/** Any value for a message: text in quotes, the rest plain. */
export const quote = (value: Json | undefined): string =>
  typeof value === 'string' ? JSON.stringify(show(value)) : show(value);

export class Report {
  readonly principal: Principal;
  /** HostConfig the engine fills in by itself, where it was asked. */
  readonly defaults: JsonObject | undefined;
  /** Facts of the installation, where they are known. */
  readonly site: HostSite | undefined;
  /** API version the call is judged for, as a minor number; undefined for the engine's own. */
  minor: number | undefined;
  /** How far read-only binds reach, where it is known and matters. */
  depth: ReadOnlyDepth | undefined;
  /** Runtime of the container that is judged; empty for the engine's default. */
  runtime = '';
  readonly #fields: ReadonlySet<string>;
  #found: HostViolation[] | undefined;

  /** @param fields paths, without list positions, that pass although no table knows them */
  constructor(principal: Principal, fields: ReadonlySet<string>, defaults?: JsonObject, site?: HostSite) {
    this.principal = principal;
    this.defaults = defaults;
    this.site = site;
    this.#fields = fields;
  }

  /** An empty report for the same rule and caller. */
  anew(defaults: JsonObject | undefined): Report {
    const report = new Report(this.principal, this.#fields, defaults, this.site);
    report.minor = this.minor;
    report.depth = this.depth;
    return report;
  }

  /** An empty report for a container that is there: the API version it was made with is unknown. */
  ofMade(runtime: string): Report {
    const report = new Report(this.principal, new Set(), undefined, this.site);
    report.depth = this.depth;
    report.runtime = runtime;
    return report;
  }

  get violations(): readonly HostViolation[] {
    return this.#found ?? NONE;
  }

  /** @param text the fault, then in brackets the allowed values; the field is put before it */
  deny(field: string, value: Json | undefined, text: string, near = false): void {
    this.#found ??= [];
    if (this.#found.length >= MAX_VIOLATIONS) return;
    const shown = show(value);
    // `DriverOpts.password is "x"`: the name of the field says what the value is.
    const isSecret =
      typeof value === 'string' && value !== '' && isTelling(/[^.[\]"]+(?=["\]]*$)/.exec(field)?.[0] ?? '');
    const told = isSecret ? text.replaceAll(shown, mask(value, undefined)) : text;
    const kept = isSecret ? mask(value, undefined) : shown;
    this.#found.push({ field, value: kept, message: `${field} ${told}`, ...(near ? { near } : {}) });
  }

  /** Refuses a field that no table knows, unless it is empty or the policy lets it through. */
  unknown(field: string, value: Json | undefined): void {
    if (isEmptyValue(value) || this.isLetThrough(field)) return;
    this.deny(field, value, `is a field this gateway does not know (allowed: leave it out, or list it under fields)`);
  }

  isLetThrough(field: string): boolean {
    return this.#fields.size > 0 && this.#fields.has(field.replaceAll(/\[[^\]]*\]/g, ''));
  }
}

/** Judges one value that is not null, false, 0 or an empty string. */
export type Check = (value: Json, at: string, report: Report) => void;
/** Known fields of one struct; null is free. */
export type Rows = ReadonlyMap<string, Check | null>;

/** A value as an object; anything else is refused. */
export function objectOf(value: Json | undefined, at: string, report: Report): JsonObject | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'object' && !Array.isArray(value)) return value as JsonObject;
  report.deny(at, value, `is ${quote(value)} (allowed: an object)`);
  return undefined;
}

/** A value as a list; anything else is refused. */
export function listOf(value: Json | undefined, at: string, report: Report): readonly Json[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value as readonly Json[];
  report.deny(at, value, `is ${quote(value)} (allowed: a list)`);
  return [];
}

/**
 * Looks at every field of an object. Absent, null, "", false and 0 are the same and pass: a stock client sends every
 * field. Lists and objects go to their check even when empty, since some mean something then.
 */
export function walk(rows: Rows, value: Json | undefined, at: string, report: Report): void {
  const object = objectOf(value, at, report);
  if (object === undefined) return;
  for (const key in object) {
    const check = rows.get(key);
    if (check === null) continue;
    const item = object[key];
    if (item === undefined || item === null || item === '' || item === false || item === 0) continue;
    const field = at === '' ? key : `${at}.${key}`;
    if (check === undefined) report.unknown(field, item);
    else check(item, field, report);
  }
}

/** The rows of a struct that have a check, by position: quicker to look up than the whole object is to go through. */
export interface CheckedRows {
  readonly names: readonly string[];
  readonly checks: readonly Check[];
}

/**
 * For large structs that the decoder has gone through anyway: a field it knows and `rows` does not is refused like an
 * unknown one, and a field it does not know is in its list of unknown fields, see `refuseUnknown`.
 *
 * @param decoded fields the decoder knows
 */
export function checkedRows(rows: Rows, decoded: Iterable<string>): CheckedRows {
  const checks = new Map<string, Check>();
  for (const [name, check] of rows) if (check !== null) checks.set(name, check);
  for (const name of decoded) {
    if (!rows.has(name)) checks.set(name, (value, at, report) => report.unknown(at, value));
  }
  return { names: [...checks.keys()], checks: [...checks.values()] };
}

/** As `walk`, for the fields that have a check. */
export function look(rows: CheckedRows, value: Json | undefined, at: string, report: Report): void {
  const object = objectOf(value, at, report);
  if (object === undefined) return;
  const { names, checks } = rows;
  for (let i = 0; i < names.length; i += 1) {
    const key = names[i] as string;
    const item = object[key];
    if (item === undefined || item === null || item === '' || item === false || item === 0) continue;
    (checks[i] as Check)(item, at === '' ? key : `${at}.${key}`, report);
  }
}

/** Path of an entry of a map. */
export const entry = (at: string, key: string): string =>
  /^[\w./-]+$/.test(key) ? `${at}["${key}"]` : `${at}[${JSON.stringify(key)}]`;

/** A struct as the check of a field. */
export const nested =
  (rows: Rows): Check =>
  (value, at, report) =>
    walk(rows, value, at, report);

/** A list of structs as the check of a field. */
export const each =
  (check: Check): Check =>
  (value, at, report) => {
    const list = listOf(value, at, report);
    for (let i = 0; i < list.length; i += 1) check(list[i] ?? null, `${at}[${i}]`, report);
  };

/** A field that must stay empty, `{}` and `[]` included among the empty. */
export const empty =
  (allowed: string): Check =>
  (value, at, report) => {
    if (!isEmptyValue(value)) report.deny(at, value, `is set to ${quote(value)} (allowed: ${allowed})`);
  };

/** A text that must be one of a few. */
export const oneOf =
  (words: ReadonlySet<string>, allowed: string): Check =>
  (value, at, report) => {
    if (typeof value !== 'string' || !words.has(value)) {
      report.deny(at, value, `is ${quote(value)} (allowed: ${allowed})`);
    }
  };

/** Words as the end of a message: `a, b or c`, or `none`. */
export function oneOfWords(words: Iterable<string>): string {
  const list = [...words].filter((word) => word !== '');
  if (list.length === 0) return 'none';
  return list.length === 1 ? (list[0] as string) : `${list.slice(0, -1).join(', ')} or ${list[list.length - 1]}`;
}
