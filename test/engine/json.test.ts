import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isEmptyValue, readJson, stringifyJson, writeJson } from '../../src/engine/json.ts';
import type { Json } from '../../src/engine/types.ts';
import { GatewayError } from '../../src/errors.ts';
import { bytesOf, plain } from './targets.ts';

const refusal = (code: string, message?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof GatewayError, String(error));
  assert.equal(error.code, code, error.message);
  assert.doesNotMatch(error.message, /\.$/);
  if (message !== undefined) assert.match(error.message, message);
  return true;
};

const READ: readonly [name: string, text: string, value: unknown][] = [
  ['white space of all four kinds', ' \t\r\n{ "a" :\n1 ,\t"b": [ 1 , 2 ] } \r\n', { a: 1, b: [1, 2] }],
  ['empty containers with white space inside', '{"a":[ ],"b":{ }}', { a: [], b: {} }],
  ['all literals', '[true,false,null]', [true, false, null]],
  ['numbers of every form', '[0,-1,1.5,1e3,1E+2,1e-2,-0.5]', [0, -1, 1.5, 1000, 100, 0.01, -0.5]],
  ['the largest exact integer as number', '9007199254740991', 9007199254740991],
  ['the next integer as bigint', '9007199254740993', '9007199254740993n'],
  ['a negative big integer', '-9223372036854775808', '-9223372036854775808n'],
  ['every escape', '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9"', '"\\/\b\f\n\r\té'],
  ['a surrogate pair as escapes', '"\\ud83d\\ude00"', '😀'],
  ['raw characters of all planes', '"é 漢 😀 \u2028"', 'é 漢 😀 \u2028'],
  ['DEL, which is no control character of JSON', '"\x7f"', '\x7f'],
  ['keys that only fold together', '{"a":1,"A":2}', { a: 1, A: 2 }],
  ['an exact duplicate once', '{"a":[1,{"b":null}],"a":[1,{"b":null}]}', { a: [1, { b: null }] }],
  ['an empty key', '{"":1}', { '': 1 }],
  ['a string at the top', '"x"', 'x'],
];

for (const [name, text, value] of READ) {
  test(`readJson() reads ${name}`, () => assert.deepEqual(plain(readJson(bytesOf(text))), value));
}

const REFUSED: readonly [name: string, text: string | Uint8Array, code: string, message?: RegExp][] = [
  ['nothing', '', 'body-malformed', /^unexpected EOF$/],
  ['white space only', '  ', 'body-malformed'],
  ['an open object', '{"a":1', 'body-malformed'],
  ['an open list', '[1', 'body-malformed'],
  ['an open string', '"abc', 'body-malformed', /^unexpected EOF$/],
  ['a string ending in a backslash', '"abc\\', 'body-malformed'],
  ['an escaped quote as the end', '"abc\\"', 'body-malformed'],
  ['a trailing comma in an object', '{"a":1,}', 'body-malformed'],
  ['a trailing comma in a list', '[1,]', 'body-malformed'],
  ['a leading comma', '[,1]', 'body-malformed'],
  ['a missing comma', '[1 2]', 'body-malformed', /^invalid character '2' after array element/],
  ['a missing colon', '{"a" 1}', 'body-malformed', /^invalid character '1' after object key/],
  ['a key without quotes', '{a:1}', 'body-malformed'],
  ['single quotes', "{'a':1}", 'body-malformed'],
  ['a line comment', '{"a":1}//x', 'body-malformed'],
  ['a block comment', '{/*x*/"a":1}', 'body-malformed'],
  ['a second value', '{} {}', 'body-malformed', /goes on/],
  ['a closing bracket after the value', '{}]', 'body-malformed', /goes on/],
  ['a closing brace after the value', '{}}', 'body-malformed', /goes on/],
  ['NUL after the value', '{}\0', 'body-malformed', /goes on/],
  ['mixed brackets', '[1}', 'body-malformed'],
  ['a number with a leading zero', '01', 'body-malformed'],
  ['a negative number with a leading zero', '-01', 'body-malformed'],
  ['a number with a plus', '+1', 'body-malformed'],
  ['a number without a whole part', '.5', 'body-malformed'],
  ['a number ending in a point', '1.', 'body-malformed'],
  ['an exponent without digits', '1e', 'body-malformed'],
  ['a lone minus', '-', 'body-malformed'],
  ['a hexadecimal number', '0x10', 'body-malformed'],
  ['NaN', 'NaN', 'body-malformed'],
  ['Infinity', 'Infinity', 'body-malformed'],
  ['a number beyond doubles', '1e999', 'body-malformed', /out of range/],
  ['an integer of 60 digits', '1'.repeat(60), 'body-malformed', /digits/],
  ['a fraction of 500 digits', `0.${'1'.repeat(500)}`, 'body-malformed'],
  ['literals in capitals', 'True', 'body-malformed'],
  ['a literal cut short', 'nul', 'body-malformed'],
  ['a literal with a tail', 'nullx', 'body-malformed'],
  ['a duplicate of another value', '{"a":1,"a":"1"}', 'body-ambiguous', /"a" twice, with two values/],
  ['a duplicate spelled with an escape', '{"a":1,"\\u0061":2}', 'body-ambiguous'],
  ['a duplicate at depth', '[{"x":{"a":null,"b":1,"a":0}}]', 'body-ambiguous', /\[0\]\.x/],
  ['a duplicate __proto__', '{"__proto__":1,"__proto__":2}', 'body-ambiguous'],
  ['a raw control character', '"a\x01"', 'body-malformed', /'\\u0001' in string literal/],
  ['a raw line feed in a string', '"a\nb"', 'body-malformed', /'\\n' in string literal/],
  ['a raw control character in a key', '{"a\t":1}', 'body-malformed'],
  ['an escaped NUL', '"a\\u0000"', 'body-malformed', /NUL/],
  ['an escaped NUL in a key', '{"a\\u0000":1}', 'body-malformed', /NUL/],
  ['an unknown escape', '"\\x41"', 'body-malformed', /escape/],
  ['an escape of three digits', '"\\u004"', 'body-malformed'],
  ['a lone high surrogate', '"\\ud800"', 'body-malformed', /lone surrogate/],
  ['a lone low surrogate', '"\\udc00x"', 'body-malformed', /lone surrogate/],
  ['surrogates in the wrong order', '"\\ude00\\ud83d"', 'body-malformed'],
  ['a lone surrogate in a key', '{"\\udfff":1}', 'body-malformed'],
  ['a byte order mark', '\ufeff{}', 'body-malformed', /byte order mark/],
  ['a stray continuation byte', new Uint8Array([0x22, 0x80, 0x22]), 'body-malformed', /UTF-8/],
  ['an overlong slash', new Uint8Array([0x22, 0xc0, 0xaf, 0x22]), 'body-malformed', /UTF-8/],
  ['a surrogate in UTF-8', new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]), 'body-malformed', /UTF-8/],
  ['a cut sequence', new Uint8Array([0x22, 0xe2, 0x82]), 'body-malformed', /UTF-8/],
  ['UTF-16', new Uint8Array([0x7b, 0, 0x7d, 0]), 'body-malformed'],
  ['gzip', new Uint8Array([0x1f, 0x8b, 8, 0]), 'body-malformed'],
  ['a no-break space between tokens', '{\u00a0}', 'body-malformed'],
  ['a form feed between tokens', '{\f}', 'body-malformed'],
];

for (const [name, text, code, message] of REFUSED) {
  test(`readJson() refuses ${name}`, () => {
    assert.throws(() => readJson(typeof text === 'string' ? bytesOf(text) : text), refusal(code, message));
  });
}

test('readJson() counts depth, elements, keys and bytes, and takes the last one that fits', () => {
  const limits = { maxBytes: 40, maxDepth: 3, maxElements: 3, maxKeys: 2 };
  assert.deepEqual(plain(readJson(bytesOf('[[[1,2,3]]]'), limits)), [[[1, 2, 3]]]);
  assert.deepEqual(plain(readJson(bytesOf('{"a":1,"b":2}'), limits)), { a: 1, b: 2 });
  assert.equal(readJson(bytesOf(`"${'x'.repeat(38)}"`), limits), 'x'.repeat(38));
  assert.throws(() => readJson(bytesOf('[[[[]]]]'), limits), refusal('body-malformed', /more than 3 levels/));
  assert.throws(() => readJson(bytesOf('[1,2,3,4]'), limits), refusal('body-too-large', /more than 3 elements/));
  assert.throws(() => readJson(bytesOf('{"a":1,"b":2,"c":3}'), limits), refusal('body-too-large', /more than 2 keys/));
  assert.throws(
    () => readJson(bytesOf(`"${'x'.repeat(39)}"`), limits),
    refusal('body-too-large', /41 bytes, at most 40/),
  );
});

test('readJson() and stringifyJson() take 10 000 levels without recursion', () => {
  const text = `${'[{"a":'.repeat(5000)}1${'}]'.repeat(5000)}`;
  const value = readJson(bytesOf(text), { maxDepth: 10_000 });
  assert.equal(stringifyJson(value), text);
  assert.throws(() => readJson(bytesOf('['.repeat(2_000_000))), refusal('body-malformed', /levels/));
});

test('readJson() keeps __proto__ and its kin as ordinary keys of objects without a prototype', () => {
  const value = readJson(bytesOf('{"__proto__":{"polluted":true},"constructor":1,"toString":2}')) as Record<
    string,
    Json
  >;
  assert.equal(Object.getPrototypeOf(value), null);
  assert.deepEqual(Object.keys(value), ['__proto__', 'constructor', 'toString']);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
  assert.equal(stringifyJson(value), '{"__proto__":{"polluted":true},"constructor":1,"toString":2}');
});

test('readJson() takes long input in linear time', () => {
  const wide = { maxBytes: 1 << 26, maxElements: 1 << 24, maxKeys: 1 << 24, maxDepth: 1 << 20 };
  const texts = (n: number): string[] => [
    `"${'x'.repeat(n * 10)}"`,
    `"${'\\n'.repeat(n * 5)}"`,
    `"${'\\'.repeat(n * 10)}"`,
    `{${Array.from({ length: n }, (_, i) => `"k${i}":${i}`).join(',')}}`,
    `[${'0,'.repeat(n)}0]`,
    `[${'""'.repeat(0)}${'[],'.repeat(n)}0]`,
    `${'['.repeat(n)}${']'.repeat(n)}`,
    ' '.repeat(n * 10),
  ];
  const time = (text: string): number => {
    const from = performance.now();
    try {
      readJson(bytesOf(text), wide);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
    }
    return performance.now() - from;
  };
  for (const text of texts(100_000)) assert.ok(time(text) < 5000, 'far from quadratic');
});

test('stringifyJson() writes the same text for the same value, without white space', () => {
  const value = readJson(bytesOf('{ "b" : [1, 2.5, 9007199254740993, "\\u00e9\\n"], "a" : {} }'));
  assert.equal(stringifyJson(value), '{"b":[1,2.5,9007199254740993,"é\\n"],"a":{}}');
  assert.deepEqual(writeJson(value), bytesOf('{"b":[1,2.5,9007199254740993,"é\\n"],"a":{}}'));
});

test('stringifyJson() leaves members without a value out and keeps the commas right', () => {
  assert.equal(stringifyJson({ a: undefined, b: 1, c: undefined, d: 2 }), '{"b":1,"d":2}');
  assert.equal(stringifyJson({ a: undefined }), '{}');
});

test('stringifyJson() keeps doubles apart from exact integers', () => {
  assert.equal(stringifyJson([1e20, 10n ** 20n, -0, 1e-7]), '[1e+20,100000000000000000000,0,1e-7]');
  assert.deepEqual(plain(readJson(writeJson([1e20, 10n ** 20n]))), [1e20, '100000000000000000000n']);
  assert.throws(() => stringifyJson(Number.NaN), refusal('body-malformed'));
});

test('isEmptyValue() takes zero values for empty at any depth, and nothing else', () => {
  for (const text of ['null', '""', '0', 'false', '[]', '{}', '{"a":{"b":null,"c":[]}}']) {
    assert.ok(isEmptyValue(readJson(bytesOf(text))), text);
  }
  for (const text of ['1', '"x"', 'true', '[null]', '[""]', '{"a":{"b":1}}']) {
    assert.ok(!isEmptyValue(readJson(bytesOf(text))), text);
  }
});
