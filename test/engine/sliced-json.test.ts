// Reading JSON in steps: the same values and the same refusals as at once, and no step that keeps others waiting.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isExactNumber, parseExact } from '../../src/engine/exact-json.ts';
import { parseInSteps } from '../../src/engine/sliced-json.ts';

/** The value, and how many steps it took. */
function read(text: string, parse?: (text: string) => unknown): { value: unknown; steps: number } {
  const all = parseInSteps(Buffer.from(text), parse);
  for (let steps = 1; ; steps++) {
    const step = all.next();
    if (step.done) return { value: step.value, steps };
  }
}

const item = (i: number) => ({
  Id: i.toString(16).padStart(64, '0'),
  Names: [`/n"${i}\\`, 'ü€'],
  Labels: { ['k'.repeat(i % 50)]: '[{,}]'.repeat(i % 40), __proto__x: '\u0000' },
  Created: i * 1e9,
  None: null,
  Empty: [{}, [], ''],
});
const large = Array.from({ length: 2000 }, (_, i) => item(i));

describe('parseInSteps()', () => {
  it('parseInSteps() gives what JSON.parse gives, for large lists and lists within objects, in many steps', () => {
    for (const value of [large, { Images: large, Volumes: null, Usage: { Items: large, Total: 2 } }]) {
      for (const space of [0, 2]) {
        const text = JSON.stringify(value, null, space);
        const { value: got, steps } = read(text);
        assert.deepEqual(got, JSON.parse(text));
        assert.ok(steps > text.length / 70_000 / 2, `${steps} steps for ${text.length} bytes`);
      }
    }
  });

  it('parseInSteps() keeps numbers as they were written where that is asked for, and the names of the prototype', () => {
    const text = `{"a":${JSON.stringify(large)},"n":12345678901234567890,"__proto__":{"x":1.0},"a2":[]}`;
    const { value } = read(text, parseExact);
    assert.ok(isExactNumber((value as { n: unknown }).n));
    assert.equal(JSON.stringify(value), text);
  });

  it('agrees with JSON.parse on what is no JSON, wherever it is broken', () => {
    const padding = `"${'x'.repeat(70_000)}"`;
    const text = `{"a":[${padding},{"b":[1,true,null,"q\\""]},-0.5e3],"c":{"d":${padding}}}`;
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed % below;
    };
    const places = [...text].flatMap((c, i) => (c === 'x' ? [] : [i]));
    for (let i = 0; i < 2000; i++) {
      const at = places[random(places.length)] as number;
      const broken =
        random(2) === 0
          ? text.slice(0, at) + text.slice(at + 1)
          : text.slice(0, at) + ('[]{},:"\\1tn '[random(12)] as string) + text.slice(at + random(2));
      let expected: unknown;
      let isJson = true;
      try {
        expected = JSON.parse(broken);
      } catch {
        isJson = false;
      }
      if (isJson) assert.deepEqual(read(broken).value, expected, broken.replaceAll(/x{99,}/g, '…'));
      else assert.throws(() => read(broken), SyntaxError, broken.replaceAll(/x{99,}/g, '…'));
    }
  });

  it('parseInSteps() reads empty lists and objects however much space is in them', () => {
    for (const text of ['[]', ' {} ', `[${' '.repeat(100_000)}]`, `{${'\n'.repeat(100_000)}}`, '12', '"x"', 'null'])
      assert.deepEqual(read(text).value, JSON.parse(text));
    for (const text of ['', ' ', '[', '[1,]', '{"a"}', '[] []', 'nul'])
      assert.throws(() => read(text), SyntaxError, text);
  });
});
