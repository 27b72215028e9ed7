// Reads located values against what is expected of them. Each reader reports its own fault and gives undefined, so that
// one pass over a document finds every fault in it.
import type { Located, Position, Problem } from './located.ts';
import { didYouMean } from './suggest.ts';

/** Collects the faults of one text. */
export class Faults {
  readonly problems: Problem[];
  readonly #file: string | undefined;

  constructor(problems: Problem[], file: string | undefined) {
    this.problems = problems;
    this.#file = file;
  }

  add(at: Position, message: string): undefined {
    this.problems.push({
      line: at.line,
      column: at.column,
      message,
      ...(this.#file === undefined ? {} : { file: this.#file }),
    });
    return undefined;
  }
}

/** Keys of a map: those known, and those that are refused with a reason of their own. */
export interface KeySet {
  readonly known: readonly string[];
  readonly refused?: Readonly<Record<string, string>>;
}

/** A map whose keys have been checked. */
export interface Fields {
  readonly at: Position;
  /** The value of a key; undefined when the key is absent or its value is null. */
  get(key: string): Located | undefined;
}

/** @param where what the map is, `rules[0].set` */
export function readFields(node: Located, where: string, keys: KeySet, faults: Faults): Fields | undefined {
  if (node.kind !== 'map') {
    return faults.add(node.at, `${where} must be a map with the keys ${keys.known.join(', ')}`);
  }
  for (const [key, { keyAt }] of node.entries) {
    if (keys.known.includes(key)) continue;
    const reason = keys.refused !== undefined && Object.hasOwn(keys.refused, key) ? keys.refused[key] : undefined;
    if (reason !== undefined) faults.add(keyAt, `${where} has the key ${key}: ${reason}`);
    else {
      const hint = didYouMean(key, keys.known) || `; known: ${keys.known.join(', ')}`;
      faults.add(keyAt, `${where} has an unknown key ${JSON.stringify(key.slice(0, 64))}${hint}`);
    }
  }
  return {
    at: node.at,
    get(key) {
      const value = node.entries.get(key)?.value;
      return value === undefined || (value.kind === 'scalar' && value.value === null) ? undefined : value;
    },
  };
}

/** Non-empty text without control characters. */
export function readText(node: Located, where: string, faults: Faults, maxLength = 1024): string | undefined {
  if (node.kind !== 'scalar' || typeof node.value !== 'string') {
    const quote = node.kind === 'scalar' && node.value !== null ? `; write "${node.value}" in quotes` : '';
    return faults.add(node.at, `${where} must be text${quote}`);
  }
  if (node.value === '') return faults.add(node.at, `${where} must not be empty`);
  if (node.value.length > maxLength) {
    return faults.add(node.at, `${where} is ${node.value.length} characters long, at most ${maxLength} are taken`);
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\x00-\x08\x0b-\x1f\x7f]/.test(node.value)) return faults.add(node.at, `${where} holds a control character`);
  return node.value;
}

/** One of a few words. */
export function readWord<W extends string>(
  node: Located,
  where: string,
  words: readonly W[],
  faults: Faults,
): W | undefined {
  const value = node.kind === 'scalar' ? node.value : undefined;
  const found = words.find((word) => word === value);
  if (found !== undefined) return found;
  const got = value === undefined ? 'a list or map' : JSON.stringify(value);
  const hint = typeof value === 'string' ? didYouMean(value, words) : '';
  return faults.add(node.at, `${where} is ${got}; write ${words.join(' or ')}${hint}`);
}

/** Every item of a list, read by `readItem`; a fault in one does not hide the others. */
export function readList<T>(
  node: Located,
  where: string,
  faults: Faults,
  readItem: (item: Located, where: string) => T | undefined,
): T[] {
  if (node.kind !== 'list') {
    faults.add(node.at, `${where} must be a list, with [ ] around it or one item a line after a dash`);
    return [];
  }
  const values: T[] = [];
  for (const [i, item] of node.items.entries()) {
    const value = readItem(item, `${where}[${i}]`);
    if (value !== undefined) values.push(value);
  }
  return values;
}

/** A list of texts that must not be empty. */
export function readTexts(node: Located, where: string, faults: Faults): string[] {
  const texts = readList(node, where, faults, (item, at) => readText(item, at, faults));
  if (node.kind === 'list' && node.items.length === 0)
    faults.add(node.at, `${where} is an empty list; remove it or name something`);
  return texts;
}

/** Text by text: labels. */
export function readTextMap(node: Located, where: string, faults: Faults): Record<string, string> {
  const values: Record<string, string> = Object.create(null);
  if (node.kind !== 'map') {
    faults.add(node.at, `${where} must be a map of names to texts`);
    return values;
  }
  for (const [key, { value }] of node.entries) {
    const text = readText(value, `${where}[${JSON.stringify(key)}]`, faults);
    if (text !== undefined) values[key] = text;
  }
  if (node.entries.size === 0) faults.add(node.at, `${where} is empty; remove it or name a label`);
  return values;
}

/** A moment as RFC 3339 text with its zone, in milliseconds since the epoch. */
export function readMoment(node: Located, where: string, faults: Faults): number | undefined {
  const text = readText(node, where, faults);
  if (text === undefined) return undefined;
  const form = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/;
  const moment = form.test(text) ? Date.parse(text) : Number.NaN;
  // A day no month has would be read as one of the next month.
  const day = /^\d{4}-(\d{2})-(\d{2})/.exec(text);
  const isDay =
    day !== null && Number(day[2]) <= new Date(Date.UTC(Number(text.slice(0, 4)), Number(day[1]), 0)).getUTCDate();
  if (Number.isNaN(moment) || !isDay) {
    return faults.add(
      node.at,
      `${where} is ${JSON.stringify(text)}; write a moment with its zone, such as 2026-03-01T18:00:00Z`,
    );
  }
  return moment;
}
