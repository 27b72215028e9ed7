// Reads YAML or JSON text into values that remember where they stood, so that every fault can be told with its line.
// What the values mean is policy.ts's business.

import type { Document, Node, Pair } from 'yaml';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml';

/** A place in a source text; lines and columns begin at 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** One fault in a document: where, what, and what would be right. */
export interface Problem extends Position {
  readonly message: string;
  readonly file?: string;
}

export type Scalar = string | number | boolean | null;

/** A value of a document and its place. */
export type Located =
  | { readonly kind: 'scalar'; readonly value: Scalar; readonly at: Position }
  | { readonly kind: 'list'; readonly items: readonly Located[]; readonly at: Position }
  | { readonly kind: 'map'; readonly entries: ReadonlyMap<string, LocatedEntry>; readonly at: Position };

export interface LocatedEntry {
  readonly keyAt: Position;
  readonly value: Located;
}

/** One document of a text: its root and the part of the text it came from. */
export interface LocatedDocument {
  readonly root: Located;
  readonly source: string;
}

/** Longest text read as documents, in characters: a set this large is generated and can be split. */
const MAX_SOURCE_LENGTH = 4 * 1024 * 1024;
/** Values in one text, aliases unfolded: a bound on what a few nested aliases can grow to. */
const MAX_VALUES = 200_000;
const MAX_DEPTH = 32;

class TooMuch extends Error {}

/** Reads every document of a text. Text that is no YAML gives problems and no documents for the part at fault. */
export function readLocated(source: string): { documents: LocatedDocument[]; problems: Problem[] } {
  const problems: Problem[] = [];
  const documents: LocatedDocument[] = [];
  if (source.length > MAX_SOURCE_LENGTH) {
    problems.push({ line: 1, column: 1, message: `the text is longer than ${MAX_SOURCE_LENGTH} characters; split it` });
    return { documents, problems };
  }
  const counter = new LineCounter();
  let parsed: ReturnType<typeof parseAllDocuments>;
  try {
    parsed = parseAllDocuments(source, {
      lineCounter: counter,
      prettyErrors: false,
      uniqueKeys: true,
      version: '1.2',
      logLevel: 'silent',
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    problems.push({ line: 1, column: 1, message: 'the text is nested too deeply' });
    return { documents, problems };
  }
  if (!Array.isArray(parsed)) return { documents, problems };
  const at = (offset: number): Position => {
    const { line, col } = counter.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  let start = 0;
  for (const document of parsed as Document.Parsed[]) {
    const end = document.range[2];
    const text = source.slice(start, end);
    start = end;
    if (document.errors.length > 0) {
      for (const error of document.errors) {
        const first = error.message.split('\n')[0] ?? '';
        problems.push({ ...at(error.pos[0]), message: `${lowerFirst(first).replace(/[.:]$/, '')} (YAML)` });
      }
      continue;
    }
    if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) continue;
    try {
      documents.push({
        root: new Unfolding(document, at, problems).read(document.contents, 0),
        source: trimMarks(text),
      });
    } catch (error) {
      if (!(error instanceof TooMuch)) throw error;
      problems.push({ ...at(document.range[0]), message: error.message });
    }
  }
  return { documents, problems };
}

class Unfolding {
  #left = MAX_VALUES;
  readonly #document: Document.Parsed;
  readonly #at: (offset: number) => Position;
  readonly #problems: Problem[];

  constructor(document: Document.Parsed, at: (offset: number) => Position, problems: Problem[]) {
    this.#document = document;
    this.#at = at;
    this.#problems = problems;
  }

  read(node: Node | null | undefined, depth: number, fallback: Position = { line: 1, column: 1 }): Located {
    this.#left -= 1;
    if (this.#left < 0) throw new TooMuch(`the document holds more than ${MAX_VALUES} values`);
    if (depth > MAX_DEPTH) throw new TooMuch(`the document is nested deeper than ${MAX_DEPTH} levels`);
    if (node === null || node === undefined) return { kind: 'scalar', value: null, at: fallback };
    const at = node.range === null || node.range === undefined ? fallback : this.#at(node.range[0]);
    if (isAlias(node)) return this.read(node.resolve(this.#document), depth + 1, at);
    if (isSeq(node)) {
      return { kind: 'list', items: node.items.map((item) => this.read(item as Node, depth + 1, at)), at };
    }
    if (isMap(node)) return { kind: 'map', entries: this.#entries(node.items as Pair[], depth, at), at };
    if (isScalar(node)) {
      const value: unknown = node.value;
      if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
        return { kind: 'scalar', value, at };
      }
    }
    this.#problems.push({ ...at, message: 'this kind of value does not belong in a policy; write text or a number' });
    return { kind: 'scalar', value: null, at };
  }

  #entries(pairs: readonly Pair[], depth: number, at: Position): Map<string, LocatedEntry> {
    const entries = new Map<string, LocatedEntry>();
    for (const pair of pairs) {
      const key = this.read(pair.key as Node, depth + 1, at);
      if (key.kind !== 'scalar') {
        this.#problems.push({ ...key.at, message: 'a key must be text' });
        continue;
      }
      const name = String(key.value);
      if (entries.has(name)) {
        this.#problems.push({ ...key.at, message: `the key ${name} stands here twice` });
        continue;
      }
      entries.set(name, { keyAt: key.at, value: this.read(pair.value as Node, depth + 1, key.at) });
    }
    return entries;
  }
}

const lowerFirst = (text: string): string => (text === '' ? '' : (text[0] as string).toLowerCase() + text.slice(1));

/** The text of one document without the markers around it. */
const trimMarks = (text: string): string =>
  `${text
    .replace(/^\s*---[^\S\n]*\n?/, '')
    .replace(/\n(---|\.\.\.)\s*$/, '\n')
    .trim()}\n`;

/** The plain value, for readers with a schema of their own. Maps have no prototype. */
export function plainOf(node: Located): unknown {
  switch (node.kind) {
    case 'scalar':
      return node.value;
    case 'list':
      return node.items.map(plainOf);
    case 'map': {
      const object: Record<string, unknown> = Object.create(null);
      for (const [key, { value }] of node.entries) object[key] = plainOf(value);
      return object;
    }
  }
}
