// Reads and writes protobuf messages by the table in messages.ts. What is read strictly is refused wherever two readers could
// differ: unknown fields, a field given twice, two members of a oneof, groups, text that is no UTF-8. What was judged is
// written anew from the value, never copied. Pure. https://protobuf.dev/programming-guides/encoding/
import { MESSAGES, TABLE_VERSION } from './messages.ts';

export type Scalar = string | boolean | number | bigint | Uint8Array;
export type Value = Scalar | Message | readonly (Scalar | Message)[] | ReadonlyMap<string, Scalar | Message>;
/** A message by the names of its fields; those not sent are absent. Keys of maps are text, also where they are numbers. */
export interface Message {
  readonly [field: string]: Value | undefined;
}

/** A message that is refused; says why in words for the caller. */
export class ProtobufError extends Error {}

/** Deepest nesting of messages: a definition in a definition in a source map is seven. */
const MAX_DEPTH = 40;
/** Most fields and items of one message altogether. A definition of the largest builds has some ten thousand. */
const MAX_ITEMS = 500_000;

interface Field {
  readonly number: number;
  readonly name: string;
  /** A scalar, or the name of a message. */
  readonly type: string;
  /** Type of a map's key. */
  readonly key: string | undefined;
  readonly isRepeated: boolean;
  readonly group: string | undefined;
}
interface Table {
  readonly name: string;
  readonly byNumber: ReadonlyMap<number, Field>;
  readonly fields: readonly Field[];
}

const tables = new Map<string, Table>();

function tableOf(name: string): Table {
  let table = tables.get(name);
  if (table !== undefined) return table;
  const lines = MESSAGES[name];
  if (lines === undefined) throw new ProtobufError(`the message ${name} is not in the table`);
  const fields = lines.map((line): Field => {
    const [number = '', field = '', declared = '', ...more] = line.split(' ');
    const [first = '', second] = declared.split('>');
    return {
      number: Number(number),
      name: field,
      type: second ?? first,
      key: second === undefined ? undefined : first,
      isRepeated: more.includes('*'),
      group: more.find((word) => word.startsWith('|'))?.slice(1),
    };
  });
  table = { name, fields, byNumber: new Map(fields.map((field) => [field.number, field])) };
  tables.set(name, table);
  return table;
}

/** Where unknown fields of a message that was read leniently are kept, to be written again. */
const UNKNOWN = '?';

class Reader {
  readonly bytes: Uint8Array;
  readonly isStrict: boolean;
  at = 0;
  items = 0;

  constructor(bytes: Uint8Array, isStrict: boolean) {
    this.bytes = bytes;
    this.isStrict = isStrict;
  }

  varint(end: number): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.at >= end) throw new ProtobufError('it ends in the middle of a number');
      const byte = this.bytes[this.at++] as number;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (value > 0xffff_ffff_ffff_ffffn) throw new ProtobufError('it holds a number of more than 64 bits');
        return value;
      }
    }
    throw new ProtobufError('it holds a number of more than 64 bits');
  }

  /** Small numbers are most of all. */
  small(end: number): number {
    const byte = this.bytes[this.at];
    if (byte !== undefined && byte < 0x80 && this.at < end) {
      this.at++;
      return byte;
    }
    const value = this.varint(end);
    if (value > 0xffff_ffffn) throw new ProtobufError('it holds a length of more than 32 bits');
    return Number(value);
  }

  /** End of a run of bytes that begins here. */
  run(end: number): number {
    const length = this.small(end);
    if (length > end - this.at) throw new ProtobufError('it ends in the middle of a field');
    return this.at + length;
  }

  skip(wire: number, end: number): void {
    if (wire === 0) this.varint(end);
    else if (wire === 2) this.at = this.run(end);
    else if (wire === 1 || wire === 5) this.at += wire === 1 ? 8 : 4;
    else throw new ProtobufError('it holds a group');
    if (this.at > end) throw new ProtobufError('it ends in the middle of a field');
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const WIRE: Readonly<Record<string, number>> = { bool: 0, int32: 0, int64: 0, uint32: 0, uint64: 0 };
const isScalar = (type: string): boolean => type in WIRE || type === 'string' || type === 'bytes';

/**
 * Reads a message.
 *
 * @param name full name, as in messages.ts
 * @param isStrict false for what the engine answers: there unknown fields are kept as they are, and the last of two counts
 * @throws {ProtobufError} says which field of which message
 */
export function readMessage(name: string, bytes: Uint8Array, isStrict = true): Message {
  const reader = new Reader(bytes, isStrict);
  return readFields(reader, tableOf(name), bytes.length, 0);
}

function readFields(reader: Reader, table: Table, end: number, depth: number): Message {
  if (depth > MAX_DEPTH) throw new ProtobufError(`it is nested deeper than ${MAX_DEPTH} messages`);
  const message: Record<string, Value> = Object.create(null);
  while (reader.at < end) {
    if (++reader.items > MAX_ITEMS) throw new ProtobufError(`it has more than ${MAX_ITEMS} fields`);
    const start = reader.at;
    const tag = reader.small(end);
    const wire = tag & 7;
    const field = table.byNumber.get(tag >>> 3);
    if (field === undefined || field.type === 'unread') {
      if (reader.isStrict) {
        throw new ProtobufError(
          `${shortName(table.name)} has a field ${tag >>> 3} that BuildKit ${TABLE_VERSION} does not know`,
        );
      }
      reader.skip(wire, end);
      message[UNKNOWN] = [...((message[UNKNOWN] ?? []) as Uint8Array[]), reader.bytes.slice(start, reader.at)];
      continue;
    }
    if (field.key !== undefined) readEntry(reader, table, field, wire, message, end, depth);
    else readField(reader, table, field, wire, message, end, depth);
  }
  return message;
}

const shortName = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

function readField(
  reader: Reader,
  table: Table,
  field: Field,
  wire: number,
  message: Record<string, Value>,
  end: number,
  depth: number,
): void {
  const where = `${shortName(table.name)}.${field.name}`;
  const isPacked = wire === 2 && field.isRepeated && field.type in WIRE;
  if (isPacked) {
    const last = reader.run(end);
    const list = (message[field.name] ?? []) as Scalar[];
    while (reader.at < last) {
      if (++reader.items > MAX_ITEMS) throw new ProtobufError(`it has more than ${MAX_ITEMS} fields`);
      list.push(readScalar(reader, field.type, where, last));
    }
    message[field.name] = list;
    return;
  }
  if (wire !== (WIRE[field.type] ?? 2)) throw new ProtobufError(`${where} is of another kind than declared`);
  const value = readValue(reader, field.type, where, end, depth);
  if (field.isRepeated) {
    const list = (message[field.name] ?? []) as (Scalar | Message)[];
    list.push(value);
    message[field.name] = list;
    return;
  }
  if (reader.isStrict) {
    if (message[field.name] !== undefined) throw new ProtobufError(`${where} is given twice`);
    const { group } = field;
    const other =
      group === undefined ? undefined : table.fields.find((one) => one.group === group && message[one.name]);
    if (other !== undefined) throw new ProtobufError(`${where} and ${other.name} exclude each other`);
  }
  message[field.name] = value;
}

function readEntry(
  reader: Reader,
  table: Table,
  field: Field,
  wire: number,
  message: Record<string, Value>,
  end: number,
  depth: number,
): void {
  const where = `${shortName(table.name)}.${field.name}`;
  if (wire !== 2) throw new ProtobufError(`${where} is of another kind than declared`);
  const last = reader.run(end);
  let key: Scalar | undefined;
  let value: Scalar | Message | undefined;
  while (reader.at < last) {
    if (++reader.items > MAX_ITEMS) throw new ProtobufError(`it has more than ${MAX_ITEMS} fields`);
    const tag = reader.small(last);
    const type = tag >>> 3 === 1 ? (field.key ?? '') : tag >>> 3 === 2 ? field.type : undefined;
    if (type === undefined || (tag & 7) !== (WIRE[type] ?? 2)) throw new ProtobufError(`${where} has an odd entry`);
    if ((tag >>> 3 === 1 ? key : value) !== undefined) throw new ProtobufError(`${where} has an odd entry`);
    if (tag >>> 3 === 1) key = readScalar(reader, type, where, last);
    else value = readValue(reader, type, where, last, depth + 1);
  }
  const map = (message[field.name] ?? new Map()) as Map<string, Scalar | Message>;
  const text = String(key ?? emptyOf(field.key ?? ''));
  if (map.has(text) && reader.isStrict) {
    throw new ProtobufError(`${where} has the key ${JSON.stringify(text.slice(0, 64))} twice`);
  }
  map.set(text, value ?? emptyOf(field.type));
  message[field.name] = map;
}

const emptyOf = (type: string): Scalar | Message => {
  if (type === 'string') return '';
  if (type === 'bytes') return new Uint8Array(0);
  if (type === 'bool') return false;
  if (type === 'int64' || type === 'uint64') return 0n;
  return type in WIRE ? 0 : Object.create(null);
};

function readValue(reader: Reader, type: string, where: string, end: number, depth: number): Scalar | Message {
  if (isScalar(type)) return readScalar(reader, type, where, end);
  const last = reader.run(end);
  return readFields(reader, tableOf(type), last, depth + 1);
}

function readScalar(reader: Reader, type: string, where: string, end: number): Scalar {
  if (type === 'string' || type === 'bytes') {
    const last = reader.run(end);
    const bytes = reader.bytes.subarray(reader.at, last);
    reader.at = last;
    if (type === 'bytes') return bytes;
    try {
      return utf8.decode(bytes);
    } catch {
      throw new ProtobufError(`${where} is no UTF-8 text`);
    }
  }
  const number = reader.varint(end);
  switch (type) {
    case 'bool':
      if (number > 1n && reader.isStrict) throw new ProtobufError(`${where} is neither true nor false`);
      return number !== 0n;
    case 'int64':
      return BigInt.asIntN(64, number);
    case 'uint64':
      return number;
    case 'uint32':
      if (number > 0xffff_ffffn && reader.isStrict) throw new ProtobufError(`${where} has more than 32 bits`);
      return Number(BigInt.asUintN(32, number));
    default: {
      const signed = BigInt.asIntN(64, number);
      if (signed !== BigInt.asIntN(32, number) && reader.isStrict) {
        throw new ProtobufError(`${where} has more than 32 bits`);
      }
      return Number(BigInt.asIntN(32, number));
    }
  }
}

const encoder = new TextEncoder();

/** Writes a message: fields by number, maps in the order of their keys' arrival. */
export function writeMessage(name: string, message: Message): Uint8Array {
  const parts: Uint8Array[] = [];
  const table = tableOf(name);
  for (const field of [...table.fields].sort((a, b) => a.number - b.number)) {
    const value = message[field.name];
    if (value === undefined) continue;
    if (field.key !== undefined) {
      for (const [key, item] of value as ReadonlyMap<string, Scalar | Message>) {
        const entry = Buffer.concat([one(1, field.key, keyOf(field.key, key)), one(2, field.type, item)]);
        parts.push(one(field.number, 'bytes', entry));
      }
    } else if (field.isRepeated) {
      const items = value as readonly (Scalar | Message)[];
      if (field.type in WIRE) {
        if (items.length > 0)
          parts.push(one(field.number, 'bytes', Buffer.concat(items.map((item) => varint(numberOf(item))))));
      } else for (const item of items) parts.push(one(field.number, field.type, item));
    } else parts.push(one(field.number, field.type, value as Scalar | Message));
  }
  for (const raw of (message[UNKNOWN] ?? []) as readonly Uint8Array[]) parts.push(raw);
  return Buffer.concat(parts);
}

const keyOf = (type: string, key: string): Scalar => (type === 'string' ? key : BigInt(key));

function one(number: number, type: string, value: Scalar | Message): Uint8Array {
  if (type in WIRE) return Buffer.concat([varint(BigInt(number << 3)), varint(numberOf(value))]);
  const bytes =
    value instanceof Uint8Array
      ? value
      : typeof value === 'string'
        ? encoder.encode(value)
        : writeMessage(type, value as Message);
  return Buffer.concat([varint(BigInt((number << 3) | 2)), varint(BigInt(bytes.length)), bytes]);
}

const numberOf = (value: Scalar | Message): bigint => BigInt.asUintN(64, BigInt(value as bigint | number | boolean));

function varint(value: bigint): Uint8Array {
  if (value < 0x80n) return Uint8Array.of(Number(value));
  const bytes: number[] = [];
  let left = value;
  while (left > 0x7fn) {
    bytes.push(Number(left & 0x7fn) | 0x80);
    left >>= 7n;
  }
  bytes.push(Number(left));
  return Uint8Array.from(bytes);
}

/** Text of a field; empty when it was not sent. */
export const textOf = (message: Message, field: string): string => {
  const value = message[field];
  return typeof value === 'string' ? value : '';
};

/** Texts of a repeated field. */
export const textsOf = (message: Message, field: string): readonly string[] =>
  (Array.isArray(message[field]) ? message[field] : []).filter((item): item is string => typeof item === 'string');

const isMessage = (value: unknown): value is Message =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof Map) &&
  !(value instanceof Uint8Array);

/** A message in a field; undefined when it was not sent. */
export const messageOf = (message: Message, field: string): Message | undefined => {
  const value = message[field];
  return isMessage(value) ? value : undefined;
};

/** Messages of a repeated field. */
export const messagesOf = (message: Message, field: string): readonly Message[] =>
  (Array.isArray(message[field]) ? message[field] : []).filter(isMessage);

const NO_ENTRIES: ReadonlyMap<string, never> = new Map<string, never>();

/** A map of texts. */
export const textMapOf = (message: Message, field: string): ReadonlyMap<string, string> => {
  const value = message[field];
  return value instanceof Map ? (value as Map<string, string>) : NO_ENTRIES;
};

/** A map of messages. */
export const messageMapOf = (message: Message, field: string): ReadonlyMap<string, Message> => {
  const value = message[field];
  return value instanceof Map ? (value as Map<string, Message>) : NO_ENTRIES;
};

/** Number of a field; 0 when it was not sent. */
export const numberIn = (message: Message, field: string): number => Number(message[field] ?? 0);

/** Whether a flag is set. */
export const isSet = (message: Message, field: string): boolean => message[field] === true;

/** Bytes of a repeated field. */
export const bytesOf = (message: Message, field: string): readonly Uint8Array[] =>
  (Array.isArray(message[field]) ? message[field] : []).filter(
    (item): item is Uint8Array => item instanceof Uint8Array,
  );
