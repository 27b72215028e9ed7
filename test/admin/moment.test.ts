// Moments as people write them, each beside its nearest neighbour that is none.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseWhen } from '../../src/admin/moment.ts';

/** A Thursday. */
const NOW = Date.parse('2030-01-31T12:00:00Z');

test('parseWhen() reads spans, days, times of day and RFC 3339', () => {
  const cases: readonly [string, string, ('start' | 'end')?][] = [
    ['now', '2030-01-31T12:00:00.000Z'],
    ['2h', '2030-01-31T10:00:00.000Z'],
    ['2h ago', '2030-01-31T10:00:00.000Z'],
    ['1h30m', '2030-01-31T10:30:00.000Z'],
    ['1w', '2030-01-24T12:00:00.000Z'],
    ['today', '2030-01-31T00:00:00.000Z'],
    ['yesterday', '2030-01-30T00:00:00.000Z'],
    ['Yesterday', '2030-01-30T23:59:59.999Z', 'end'],
    ['yesterday 14:02', '2030-01-30T14:02:00.000Z'],
    ['yesterday 14:02', '2030-01-30T14:02:00.000Z', 'end'],
    ['monday', '2030-01-28T00:00:00.000Z'],
    ['thursday', '2030-01-24T00:00:00.000Z'],
    ['11:59', '2030-01-31T11:59:00.000Z'],
    ['12:01:30', '2030-01-30T12:01:30.000Z'],
    ['9:05', '2030-01-31T09:05:00.000Z'],
    ['2030-01-29', '2030-01-29T00:00:00.000Z'],
    ['2030-01-29', '2030-01-29T23:59:59.999Z', 'end'],
    ['2030-01-29 14:02', '2030-01-29T14:02:00.000Z'],
    ['2030-01-29T14:02:03', '2030-01-29T14:02:03.000Z'],
    ['2030-01-29T14:02:03+02:00', '2030-01-29T12:02:03.000Z'],
    ['2030-01-29 14:02Z', '2030-01-29T14:02:00.000Z'],
    ['2030-01-29T14:02:03.123456Z', '2030-01-29T14:02:03.123Z'],
  ];
  for (const [text, wanted, end] of cases) {
    const read = parseWhen(text, NOW, 'utc', end);
    assert.equal(read === undefined ? read : new Date(read).toISOString(), wanted, text);
  }
});

test('parseWhen() refuses what is no moment', () => {
  for (const text of [
    '',
    'soon',
    '2',
    '0h',
    '2x',
    '24:00',
    '12:60',
    '2030-02-30',
    '2030-1-1',
    'yesterday today',
    'x 14:02',
    '2030-01-31 14:02 x',
    '2030-13-01T00:00:00Z',
    '-1h',
  ])
    assert.equal(parseWhen(text, NOW, 'utc'), undefined, text);
});

test('parseWhen() takes a time without a zone for one of the zone asked for', () => {
  const local = parseWhen('2030-01-29 14:02', NOW, 'local');
  assert.equal(local, new Date(2030, 0, 29, 14, 2).getTime());
});
