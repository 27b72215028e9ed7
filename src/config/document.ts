// The configuration file as text: YAML 1.2 to plain values, with the line and column of every path in it.
import { isAlias, isMap, isNode, isPair, LineCounter, type Node, parseDocument, visit } from 'yaml';

export type Path = readonly (string | number)[];

/** What a fault is recorded with before its line is looked up. `key` points at the key, not at its value. */
export interface Fault {
  readonly path: Path;
  readonly message: string;
  readonly key?: boolean;
}

export interface SourceDocument {
  readonly value: unknown;
  /** Faults of the text itself, already placed. */
  readonly faults: readonly { readonly line: number; readonly column: number; readonly message: string }[];
  position(path: Path, key?: boolean): { line: number; column: number };
}

/** Configuration is a page of text; a megabyte is a mistake or an attack. */
const MAX_SOURCE_BYTES = 1024 * 1024;

const START = { line: 1, column: 1 };
const failed = (message: string): SourceDocument => ({
  value: undefined,
  faults: [{ ...START, message }],
  position: () => START,
});

/** Parser messages say it in one line; ours end without a period. */
const oneLine = (message: string): string => (message.split('\n')[0] ?? message).replace(/[.:]$/, '');

/**
 * Reads YAML (JSON is a subset). Duplicate keys, several documents, unknown tags and aliases are faults:
 * an alias can make a page of text grow without end, and a settings file has no need of it.
 */
export const readDocument = (source: string): SourceDocument => {
  if (source.length > MAX_SOURCE_BYTES) return failed(`the file is larger than ${MAX_SOURCE_BYTES} bytes`);
  const counter = new LineCounter();
  let document: ReturnType<typeof parseDocument>;
  const faults: { line: number; column: number; message: string }[] = [];
  const place = (offset: number) => {
    const { line, col } = counter.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  try {
    document = parseDocument(source, { lineCounter: counter, prettyErrors: false, uniqueKeys: true, version: '1.2' });
    for (const error of [...document.errors, ...document.warnings]) {
      const message =
        error.code === 'DUPLICATE_KEY'
          ? 'the key stands here a second time; keep one of them'
          : error.code === 'MULTIPLE_DOCS'
            ? 'a second document begins here; the file holds one'
            : oneLine(error.message);
      faults.push({ ...place(error.pos[0]), message });
    }
    visit(document, {
      Node(_key, node) {
        if (!isAlias(node)) return;
        faults.push({
          ...place(node.range?.[0] ?? 0),
          message: `aliases are not read here; write the value of *${node.source} out`,
        });
      },
    });
  } catch (error) {
    // Nesting deep enough to exhaust the parser's stack.
    return failed(error instanceof RangeError ? 'the file is nested too deeply' : oneLine(String(error)));
  }
  const offsetOf = (path: Path, key: boolean): number => {
    let node: unknown = document.contents;
    let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
    for (const [index, step] of path.entries()) {
      let next: unknown;
      if (isMap(node)) {
        const pair = node.items.find(
          (item) => isPair(item) && String((item.key as { value?: unknown })?.value ?? item.key) === String(step),
        );
        if (pair === undefined) break;
        const keyNode = pair.key as Node | null;
        // A missing value has no place of its own: its key stands for it.
        offset = keyNode?.range?.[0] ?? offset;
        if (key && index === path.length - 1) return offset;
        next = pair.value;
      } else {
        next = (node as { get?: (step: unknown, keep: boolean) => unknown } | null)?.get?.(step, true);
      }
      if (!isNode(next)) break;
      if (next.range && next.range[1] > next.range[0]) offset = next.range[0];
      node = next;
    }
    return offset;
  };
  let value: unknown;
  if (faults.length === 0) {
    try {
      value = document.toJS({ maxAliasCount: 0 });
    } catch (error) {
      return failed(error instanceof RangeError ? 'the file is nested too deeply' : oneLine(String(error)));
    }
  }
  return { value, faults, position: (path, key = false) => place(offsetOf(path, key)) };
};

/** `listen[0].tls.cert`, as people write it. */
export const pathText = (path: Path): string =>
  path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    return text === '' ? step : `${text}.${step}`;
  }, '');
