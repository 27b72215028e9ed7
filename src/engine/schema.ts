// Words to describe the Engine's wire structs the way its Go code declares them, so that the reader in json.ts can
// read a body as encoding/json would. Pure data: the schemas themselves live in schemas/.

/** How one field of a struct is treated once its key is recognised. */
export type FieldRule =
  /** Kept under its canonical name. */
  | 'keep'
  /** Real clients send it, no engine reads it: read for well-formedness, then dropped. */
  | 'ignore'
  /** Only old engines read it: left out for the others, refused for those. */
  | 'trap';

export interface Field {
  /** Canonical spelling, the one the engine documents. */
  readonly name: string;
  readonly schema: Schema;
  readonly rule: FieldRule;
  /** The struct may not come without it. */
  readonly required: boolean;
  /** Position in the struct; the reader marks seen fields in a bit set. */
  readonly index: number;
  /** For a trap: what to tell the caller. */
  readonly hint: string;
}

export interface TextSchema {
  readonly kind: 'text';
}
/**
 * One word of a few, which the engine takes in any case: canonical in lower case. Words it does not know it takes for
 * the first of its list, so they are refused.
 */
export interface ChoiceSchema {
  readonly kind: 'choice';
  readonly words: readonly string[];
  /** A missing or empty word is not harmless: the engine takes it for the first of its list. */
  readonly required: boolean;
}
export interface BoolSchema {
  readonly kind: 'bool';
}
/** A Go integer: no fraction, no exponent, within its width. */
export interface IntSchema {
  readonly kind: 'int';
  readonly type: string;
  readonly min: bigint;
  readonly max: bigint;
  /** Holds every integer of up to 15 digits without a sign. */
  readonly wide: boolean;
}
export interface FloatSchema {
  readonly kind: 'float';
  readonly max: number;
}
/** `[]byte`: standard base64 in a string. */
export interface BytesSchema {
  readonly kind: 'bytes';
}
/** The engine's StrSlice: a list of strings, or one bare string for a list of one. */
export interface StringsSchema {
  readonly kind: 'strings';
}
export interface ListSchema {
  readonly kind: 'list';
  readonly of: Schema;
  /** Exact length of a Go array; undefined for a slice. */
  readonly length: number | undefined;
}
export interface MapSchema {
  readonly kind: 'map';
  readonly of: Schema;
  /** Keys it may have where that is more than other objects may. */
  readonly maxKeys?: number;
}
export interface StructSchema {
  readonly kind: 'struct';
  readonly name: string;
  /** Unknown non-empty fields of this struct may change what a container can reach: kept, and refused by presets. */
  readonly secure: boolean;
  /** Fields in the order Go clients write them, so that the next key can be guessed. */
  readonly order: readonly Field[];
  readonly exact: ReadonlyMap<string, Field>;
  readonly folded: ReadonlyMap<string, Field>;
  /** Fields the struct may not come without. */
  readonly required: readonly Field[];
}
/** Anything; `fold`: keys that fold together count as duplicates. */
export interface AnySchema {
  readonly kind: 'any';
  readonly fold: boolean;
}

export type Schema =
  | TextSchema
  | ChoiceSchema
  | BoolSchema
  | IntSchema
  | FloatSchema
  | BytesSchema
  | StringsSchema
  | ListSchema
  | MapSchema
  | StructSchema
  | AnySchema;

const integer = (type: string, bits: bigint, signed: boolean): IntSchema => ({
  kind: 'int',
  type,
  min: signed ? -(1n << (bits - 1n)) : 0n,
  max: signed ? (1n << (bits - 1n)) - 1n : (1n << bits) - 1n,
  wide: bits === 64n,
});

export const text: TextSchema = { kind: 'text' };
export const bool: BoolSchema = { kind: 'bool' };
/** Go's `int`, 64 bits wide on every platform the gateway judges for. */
export const int: IntSchema = integer('int', 64n, true);
export const int64: IntSchema = integer('int64', 64n, true);
export const uint: IntSchema = integer('uint', 64n, false);
export const uint64: IntSchema = integer('uint64', 64n, false);
export const uint32: IntSchema = integer('uint32', 32n, false);
export const uint16: IntSchema = integer('uint16', 16n, false);
export const float32: FloatSchema = { kind: 'float', max: 3.4028234663852886e38 };
export const bytes: BytesSchema = { kind: 'bytes' };
export const strings: StringsSchema = { kind: 'strings' };
/** A value of a field no schema knows. */
export const unknownValue: AnySchema = { kind: 'any', fold: true };
/** Plain JSON outside any struct: only exact duplicates are ambiguous. */
export const plainJson: AnySchema = { kind: 'any', fold: false };

export const choice = (...words: readonly string[]): ChoiceSchema => ({ kind: 'choice', words, required: false });
export const requiredChoice = (...words: readonly string[]): ChoiceSchema => ({
  kind: 'choice',
  words,
  required: true,
});
export const list = (of: Schema, length?: number): ListSchema => ({ kind: 'list', of, length });
export const map = (of: Schema): MapSchema => ({ kind: 'map', of });
/** By port and protocol: every port there is, in each of three protocols. */
export const portMap = (of: Schema): MapSchema => ({ kind: 'map', of, maxKeys: 3 * 65_536 });
/** What ports of the host are bound to: as many as the host has. More would only keep the thread busy that reads and judges them. */
export const boundPorts = (of: Schema): MapSchema => ({ kind: 'map', of, maxKeys: 65_536 });
export const texts: ListSchema = list(text);
export const textMap: MapSchema = map(text);

/** Fields of a struct by canonical name. Embedded Go structs are spread in. */
export type Fields = Readonly<Record<string, Schema>>;

export interface StructOptions {
  /** Default false: unknown fields are not sent to the engine. True: they are kept, and host presets refuse them. */
  readonly secure?: boolean;
  /** Names that are read and dropped. */
  readonly ignored?: readonly string[];
  /** Names that old engines read, with what to tell the caller of one. */
  readonly traps?: ReadonlyMap<string, string>;
}

/** Room of the reader's bit set. */
const MAX_FIELDS = 128;

/** @throws {Error} when two fields fold to the same key, which no struct of the engine has */
export function struct(name: string, fields: Fields, options: StructOptions = {}): StructSchema {
  const exact = new Map<string, Field>();
  const folded = new Map<string, Field>();
  const add = (field: Omit<Field, 'index' | 'required'>): void => {
    const key = foldKey(field.name);
    if (folded.has(key)) throw new Error(`schema ${name} has two fields that fold to ${key}`);
    const required = field.schema.kind === 'choice' && field.schema.required;
    const full = { ...field, required, index: exact.size };
    exact.set(field.name, full);
    folded.set(key, full);
  };
  for (const [field, schema] of Object.entries(fields)) add({ name: field, schema, rule: 'keep', hint: '' });
  for (const field of options.ignored ?? []) add({ name: field, schema: unknownValue, rule: 'ignore', hint: '' });
  for (const [field, hint] of options.traps ?? []) add({ name: field, schema: unknownValue, rule: 'trap', hint });
  if (exact.size > MAX_FIELDS) throw new Error(`schema ${name} has more than ${MAX_FIELDS} fields`);
  const order = [...exact.values()];
  const required = order.filter((field) => field.required);
  return { kind: 'struct', name, secure: options.secure ?? false, order, exact, folded, required };
}

/** A Go `struct{}`: the value of set-like maps. */
export const empty: StructSchema = struct('Empty', {});

const NOT_ASCII = /[^\0-\x7f]/;

/**
 * Folds a key as Go's encoding/json does when it looks for a struct field: ASCII case, U+017F to s, U+212A to k.
 * No other letter of Unicode folds onto ASCII, and the engine's field names are ASCII.
 */
export function foldKey(key: string): string {
  if (!NOT_ASCII.test(key)) return key.toLowerCase();
  return key.replace(/[A-Z\u017f\u212a]/g, (letter) => {
    if (letter === '\u017f') return 's';
    if (letter === '\u212a') return 'k';
    return letter.toLowerCase();
  });
}

/** What a schema expects, for messages: `a list of strings`. */
export function describe(schema: Schema): string {
  switch (schema.kind) {
    case 'text':
      return 'a string';
    case 'choice':
      return `one of ${schema.words.join(', ')}`;
    case 'bool':
      return 'a boolean';
    case 'int':
      return schema.min === 0n ? 'a whole number of at least 0' : 'a whole number';
    case 'float':
      return 'a number';
    case 'bytes':
      return 'a base64 string';
    case 'strings':
      return 'a list of strings or one string';
    case 'list':
      return schema.of.kind === 'text' ? 'a list of strings' : 'a list';
    case 'map':
      return 'an object';
    case 'struct':
      return 'an object';
    case 'any':
      return 'any value';
  }
}
