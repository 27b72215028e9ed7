// Arbitrary JSON texts along a schema: right ones with odd spellings, and wrong ones, for the fuzz tests of the decoder.
import fc from 'fast-check';
import type { Schema } from '../../src/engine/schema.ts';

/** How often a text deviates: `clean` never breaks a type and never repeats a key. */
export interface TextOptions {
  readonly clean: boolean;
}

const SPACES = ['', '', '', ' ', '\n', '\t', '\r\n  '];
export const space = fc.constantFrom(...SPACES);

/** A key or string as JSON text: plain, or with some characters escaped. */
export const quoted = (value: string): fc.Arbitrary<string> =>
  fc
    .integer({ min: 0, max: 9 })
    .map((n) =>
      n > 1
        ? JSON.stringify(value)
        : `"${[...value].map((c) => (c.length === 1 ? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}` : c)).join('')}"`,
    );

/** Spellings of a field name that Go takes for the field. */
export const spelled = (name: string): fc.Arbitrary<string> =>
  fc
    .tuple(fc.integer({ min: 0, max: 9 }), fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 40 }))
    .map(([n, flips]) => {
      if (n > 3) return name;
      return [...name]
        .map((c, i) => {
          const flip = flips[i] ?? 0;
          if (flip === 1) return c === c.toUpperCase() ? c.toLowerCase() : c.toUpperCase();
          if (flip === 2 && /s/i.test(c)) return '\u017f';
          if (flip === 2 && /k/i.test(c)) return '\u212a';
          return c;
        })
        .join('');
    });

const word = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }).filter((s) => !s.includes('\0') && s.isWellFormed()),
  fc.constantFrom(
    '',
    'host',
    'container:x',
    '/a:/b:ro',
    'data:/x',
    '__proto__',
    'constructor',
    '😀',
    '\u2028',
    'a"b\\c',
  ),
);
const integers = fc.oneof(
  fc.integer({ min: -3, max: 70_000 }).map(String),
  fc.bigInt({ min: -(1n << 64n), max: 1n << 65n }).map(String),
  fc.constantFrom(
    '0',
    '-0',
    '-1',
    '9007199254740993',
    '9223372036854775807',
    '9223372036854775808',
    '18446744073709551615',
  ),
);
const numbers = fc.oneof(
  integers,
  fc.constantFrom('1e3', '1.0', '1.5', '0.1', '1E-2', '1e20', '1e999', '2.5e38', '4e38', '01', '+1', '.5'),
);

const anything: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('null', 'true', 'false', '{}', '[]', '[null]', '{"a":1}', '[{"x":[]}]', '1', '"x"', '[1,"a"]'),
  numbers,
  word.chain(quoted),
);

/** A JSON text of a schema. */
export function textOf(schema: Schema, options: TextOptions, depth = 0): fc.Arbitrary<string> {
  const right = rightText(schema, options, depth);
  const some = fc.oneof({ weight: 12, arbitrary: right }, { weight: 1, arbitrary: fc.constant('null') });
  const chosen = options.clean ? some : fc.oneof({ weight: 40, arbitrary: some }, { weight: 1, arbitrary: anything });
  return fc.tuple(space, chosen, space).map(([a, text, b]) => a + text + b);
}

function rightText(schema: Schema, options: TextOptions, depth: number): fc.Arbitrary<string> {
  switch (schema.kind) {
    case 'text':
      return word.chain(quoted);
    case 'choice':
      return fc.constantFrom(...schema.words, ...schema.words.map((w) => w.toUpperCase())).chain(quoted);
    case 'bool':
      return fc.constantFrom('true', 'false');
    case 'int':
      return options.clean ? integers : numbers;
    case 'float':
      return numbers;
    case 'bytes':
      return fc.uint8Array({ maxLength: 8 }).map((b) => JSON.stringify(Buffer.from(b).toString('base64')));
    case 'strings':
      return fc.oneof(word.chain(quoted), listText(word.chain(quoted), 0, 3));
    case 'list':
      return listText(textOf(schema.of, options, depth + 1), schema.length ?? 0, schema.length ?? 3);
    case 'map':
      return fc
        .uniqueArray(word, { maxLength: 3 })
        .chain((keys) => objectText(keys.map((key) => fc.tuple(quoted(key), textOf(schema.of, options, depth + 1)))));
    case 'any':
      return anything;
    case 'struct':
      return fc
        .tuple(
          fc.shuffledSubarray([...schema.order], { maxLength: Math.min(schema.order.length, depth === 0 ? 9 : 6) }),
          fc.shuffledSubarray(['Unknown', 'Host-Config', 'priv\u0131leged', 'x', '__proto__'], { maxLength: 1 }),
          fc.integer({ min: 0, max: 20 }),
        )
        .chain(([fields, unknown, n]) => {
          const known = [...new Set([...fields, ...schema.required])].map((field) =>
            fc.tuple(
              spelled(field.name).chain(quoted),
              field.rule === 'trap' ? emptyText : textOf(field.schema, options, depth + 1),
            ),
          );
          const others = n > 16 ? unknown.map((key) => fc.tuple(quoted(key), anything)) : [];
          const members = [...known, ...others];
          const first = members[0];
          return objectText(!options.clean && n === 0 && first !== undefined ? [...members, first] : members);
        });
  }
}

const emptyText = fc.constantFrom('null', '""', '0', 'false', '[]', '{}');

const listText = (item: fc.Arbitrary<string>, minLength: number, maxLength: number): fc.Arbitrary<string> =>
  fc.array(item, { minLength, maxLength }).map((items) => `[${items.join(',')}]`);

function objectText(members: fc.Arbitrary<[string, string]>[]): fc.Arbitrary<string> {
  return fc
    .tuple(space, ...members)
    .map(([a, ...pairs]) => `{${a}${pairs.map(([key, value]) => `${a}${key}${a}:${value}`).join(',')}}`);
}
