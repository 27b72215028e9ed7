// Numbers come back as they were written, and no text between them is touched.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isExactNumber, numberIn, parseExact } from '../../src/engine/exact-json.ts';

describe('parseExact()', () => {
  for (const number of [
    '0',
    '-0',
    '1.0',
    '0.0',
    '-1.50',
    '1e3',
    '1E+2',
    '0.1',
    '999999999999999',
    '9007199254740993',
    '1795576358382064470',
    '-9223372036854775808',
    '18446744073709551615',
    '1e400',
  ]) {
    for (const text of [number, `[${number}]`, `{"a":${number},"b":[0,${number}]}`])
      it(`parseExact() gives ${text} back`, () => assert.equal(JSON.stringify(parseExact(text)), text));
    it(`parseExact() gives ${number} back after white space`, () =>
      assert.equal(JSON.stringify(parseExact(`{ "a" :\n\t ${number} }`)), `{"a":${number}}`));
  }
  it('parseExact() keeps what a double holds a number', () =>
    assert.deepEqual(parseExact('{"a":1795576358,"b":0.5,"c":-1}'), { a: 1795576358, b: 0.5, c: -1 }));
  it('parseExact() keeps text that looks like a number, or like a kept one', () => {
    const text = '{"a":":1.0","b":[":-0"],"rawJSON":"1.0","c":{"rawJSON":"1.0"}}';
    const value = parseExact(text);
    assert.equal(JSON.stringify(value), text);
    assert.ok(!isExactNumber(value));
  });
  it('parseExact() refuses what is no JSON, with and without such a number', () => {
    for (const text of ['{"a":1', '{"a":1.0', '[01.0]', '[1.]', '[.5]', '[1e]', '[--0]'])
      assert.throws(() => parseExact(text), SyntaxError);
  });
});

describe('numberIn()', () => {
  it('numberIn() reads a number however it was kept', () => {
    const [exact, plain, text] = parseExact('[1.50,7,"7"]') as unknown[];
    assert.deepEqual([exact, plain, text].map(numberIn), [1.5, 7, undefined]);
  });
});
