import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { JsonItems, JsonLines } from '../../src/ledger/json-items.ts';

const items = [
  { Id: 'a', text: 'plain' },
  { Id: 'b', text: 'quote " brace } bracket ] comma , backslash \\ end' },
  { Id: 'c', nested: { list: [1, [2, { x: '}' }]], empty: {} } },
  { Id: 'd', text: 'snow ☃ and 😀' },
];

function filtered(text: string, size: number, keep: (item: unknown) => boolean | object): string {
  const filter = new JsonItems(keep);
  const bytes = Buffer.from(text);
  let out = '';
  for (let at = 0; at < bytes.length; at += size)
    out += filter.push(bytes.subarray(at, at + size))?.toString('latin1') ?? '';
  out += filter.end()?.toString('latin1') ?? '';
  return Buffer.from(out, 'latin1').toString('utf8');
}

describe('JsonItems', () => {
  const text = JSON.stringify(items);
  for (const size of [1, 2, 3, 7, 64, 100_000]) {
    it(`JsonItems keeps and drops elements that come in pieces of ${size} bytes`, () => {
      for (const wanted of ['', 'a', 'bd', 'abcd', 'c']) {
        const out = filtered(text, size, (item) => wanted.includes((item as { Id: string }).Id));
        assert.deepEqual(
          JSON.parse(out),
          items.filter(({ Id }) => wanted.includes(Id)),
        );
      }
    });
  }
  it('JsonItems passes kept elements on as they came, large numbers included', () => {
    const exact = '[{"n":12345678901234567890,"f":1.10}]';
    assert.equal(
      filtered(exact, 5, () => true),
      `${exact}\n`,
    );
  });
  it('puts another value in the place of an element', () => {
    assert.equal(
      filtered('[{"a":1},{"b":2}]', 4, () => ({ c: 3 })),
      '[{"c":3},{"c":3}]\n',
    );
  });
  it('JsonItems takes an empty list with spaces, and null', () => {
    assert.equal(
      filtered(' [ ] \n', 1, () => true),
      '[]\n',
    );
    assert.equal(
      filtered('null\n', 2, () => true),
      'null\n',
    );
  });
  for (const bad of ['{"message":"x"}', '[{"a":1}', '[{"a":}]', '[{"a":1},', '', 'nul', '[{"a":"\\']) {
    it(`JsonItems gives nothing of ${JSON.stringify(bad)}`, () => {
      assert.throws(() => filtered(bad, 3, () => true), { code: 'engine-answer-malformed' });
    });
  }
});

describe('JsonLines', () => {
  it('JsonLines keeps lines whole, however they come', () => {
    const text = '{"n":1}\n{"n":2}\n\n{"n":3}\nnot json\n{"n":4}';
    for (const size of [1, 3, 1000]) {
      const filter = new JsonLines((value) => (value as { n: number }).n !== 2);
      let out = '';
      for (let at = 0; at < text.length; at += size)
        out += filter.push(Buffer.from(text.slice(at, at + size)))?.toString() ?? '';
      out += filter.end()?.toString() ?? '';
      assert.equal(out, '{"n":1}\n{"n":3}\n{"n":4}');
    }
  });
});
