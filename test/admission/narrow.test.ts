// What a plugin may take out of an answer: it may lose, and gains nothing.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GONE, narrowed } from '../../src/admission/narrow.ts';
import type { Change } from '../../src/admission/plugin.ts';
import { parseExact } from '../../src/engine/exact-json.ts';

const ANSWER = `{"Id":"abc","Size":9007199254740993,"Up":true,"Config":{"Env":["A=1","TOKEN=s3cret","B=2"],"Labels":{"a/b":"x"}}}`;
const apply = (...changes: Change[]): string => {
  const value = narrowed(parseExact(ANSWER), changes);
  return value === GONE ? 'gone' : JSON.stringify(value);
};
const replace = (path: string, value: unknown): Change => ({ op: 'replace', path, value: value as never });

describe('narrowed()', () => {
  const allowed: readonly (readonly [string, readonly Change[], RegExp])[] = [
    ['a value of a variable is masked', [replace('/body/Config/Env/1', 'TOKEN=***')], /"TOKEN=\*\*\*"/],
    ['with the word of the redaction', [replace('/body/Config/Env/1', 'TOKEN=<redacted>')], /"TOKEN=<redacted>"/],
    ['an element goes', [{ op: 'remove', path: '/body/Config/Env/1' }], /\["A=1","B=2"\]/],
    ['a member goes', [{ op: 'remove', path: '/body/Config/Labels/a~1b' }], /"Labels":\{\}/],
    ['a list loses elements', [replace('/body/Config/Env', ['A=1', 'B=2'])], /\["A=1","B=2"\]/],
    [
      'an object loses members',
      [replace('/body', { Id: 'abc', Config: { Env: [] } })],
      /^\{"Id":"abc","Config":\{"Env":\[\]\}\}$/,
    ],
    ['a number becomes null, and others stay exact', [replace('/body/Up', null)], /9007199254740993,"Up":null/],
    ['the whole element goes', [{ op: 'remove', path: '/body' }], /^gone$/],
  ];
  for (const [title, changes, expected] of allowed) it(title, () => assert.match(apply(...changes), expected));

  const refused: readonly (readonly [string, readonly Change[]])[] = [
    ['a member that was not there', [{ op: 'add', path: '/body/Extra', value: 'x' }]],
    ['another text', [replace('/body/Id', 'abd')]],
    ['a longer text', [replace('/body/Id', 'abcd')]],
    ['pieces in another order', [replace('/body/Config/Env/1', 's3cret***TOKEN')]],
    ['another truth', [replace('/body/Config/Env', true)]],
    ['another number', [replace('/body/Size', 1)]],
    ['a list in another order', [replace('/body/Config/Env', ['B=2', 'A=1'])]],
    ['an element twice', [replace('/body/Config/Env', ['A=1', 'A=1'])]],
    ['a member moved from elsewhere', [replace('/body/Config', { Id: 'abc' })]],
    ['a prototype', [replace('/body', JSON.parse('{"__proto__":{"a":1}}'))]],
    ['a place outside', [{ op: 'remove', path: '/status' }]],
    ['a member of an exact number', [{ op: 'remove', path: '/body/Size/rawJSON' }]],
    ['what is gone already', [{ op: 'remove', path: '/body' }, replace('/body/Id', null)]],
    ['what is not there', [replace('/body/Nope', null)]],
    ['nothing at all', [{ op: 'replace', path: '/body/Id' }]],
  ];
  for (const [title, changes] of refused)
    it(`${title} is refused`, () => assert.throws(() => apply(...changes), Error));

  it('comparing stays bounded, whatever the plugin puts in', () => {
    const list = Array.from({ length: 2000 }, (_, i) => Array.from({ length: 200 }, (__, j) => `${i}-${j}`));
    const end = list.at(-1) as string[];
    const from = performance.now();
    try {
      narrowed(list, [replace('/body', [[...end].reverse()])]);
    } catch {}
    assert.ok(performance.now() - from < 1000);
  });
});
