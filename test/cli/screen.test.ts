// What fits a terminal, what colours it and what reaches a spreadsheet, whatever callers put into names.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EventView, eventsTable } from '../../src/cli/commands/audit/rows.ts';
import { ago, csvLine, fit, screenOf, widthOf } from '../../src/cli/screen.ts';

const NOW = Date.parse('2030-01-31T12:00:00Z');
const event = (more: Partial<EventView>): EventView => ({
  seq: 1,
  at: '2030-01-31T11:57:00.123456Z',
  stage: 'complete',
  auditId: '0199f2c4-7d3a-7c11-9b5e-2f1f6f0f4a55',
  shortId: '0199f2c4-7d3a',
  subject: 'ci',
  action: 'container.create',
  resource: 'container/web',
  decision: 'allow',
  outcome: 'ok',
  status: 201,
  ...more,
});

test('a list of calls is as wide as the terminal at most, whatever names are in it', () => {
  const long = event({
    subject: 'github:very/long/repository/name/that/goes/on',
    resource: `container/${'a'.repeat(200)}`,
    decision: 'deny',
    code: 'host-field-denied',
    status: 403,
  });
  const wide = event({
    subject: '漢字漢字漢字漢字漢字漢字',
    resource: 'container/🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢🚢',
  });
  for (const width of [60, 80, 100, 132]) {
    const lines = eventsTable({ width, colours: false }, [event({}), long, wide], NOW).split('\n');
    assert.equal(lines.length, 4);
    for (const line of lines) assert.ok(widthOf(line) <= width, `${width}: ${widthOf(line)} ${line}`);
    assert.match(
      lines[1] ?? '',
      width < 100 ? /^3m +ci .*0199f2c4-7d3a$/ : /^3m +ci +container\.create +container\/web .*0199f2c4-7d3a$/,
    );
  }
});

test('elsewhere nothing is shortened, and a list does not depend on when it was read', () => {
  const text = eventsTable({ width: undefined, colours: false }, [event({})], NOW);
  assert.match(text, /\n2030-01-31T11:57:00\.123Z +ci .* 0199f2c4-7d3a-7c11-9b5e-2f1f6f0f4a55$/);
});

test('an object that was asked for by id has its name, and an image none of what is usual', () => {
  const of = (more: Partial<EventView>) =>
    eventsTable({ width: 100, colours: false }, [event(more)], NOW).split('\n')[1];
  const id = 'c0ffee0c0ffee'.padEnd(64, '0');
  assert.match(of({ resource: `container/${id}`, knownAs: 'web' }) ?? '', / container\/web /);
  assert.match(of({ resource: `container/${id}` }) ?? '', / container\/c0ffee0c0ffe /);
  assert.match(of({ resource: 'container', resourceId: id }) ?? '', / container\/c0ffee0c0ffe /);
  assert.match(of({ resource: 'image/docker.io/library/alpine:latest' }) ?? '', / image\/alpine /);
  assert.match(of({ resource: 'image/docker.io/library/alpine:3' }) ?? '', / image\/alpine:3 /);
  assert.match(
    of({ code: 'object-not-found', decision: 'error', outcome: 'not-found', status: 404 }) ?? '',
    / error +object-not-found 404/,
  );
});

test('colours are for terminals that want them', () => {
  const of = (isTTY: boolean, env: Record<string, string> = {}) => screenOf({ isTTY, columns: 100 }, env);
  assert.deepEqual(of(true), { width: 100, colours: true });
  assert.deepEqual(of(true, { NO_COLOR: '1' }), { width: 100, colours: false });
  assert.deepEqual(of(true, { NO_COLOR: '' }), { width: 100, colours: true });
  assert.deepEqual(of(true, { TERM: 'dumb' }), { width: 100, colours: false });
  assert.deepEqual(of(false), { width: undefined, colours: false });
  const denied = eventsTable(of(true), [event({ decision: 'deny', resource: 'x\u001b[32m' })], NOW);
  assert.ok(denied.includes('\u001b[31mdeny'));
  assert.ok(!denied.includes('\u001b[32m'));
  assert.match(denied, /x\\x1b\[32m/);
});

test('what is not seen and what turns text around is shown', () => {
  const shown = eventsTable(
    { width: undefined, colours: false },
    [event({ resource: 'a\u200eb\u2066c\u00add\u{e0041}e\ufefff\u061cg' })],
    NOW,
  );
  assert.match(shown, /a\\u\{200e\}b\\u\{2066\}c\\xadd\\u\{e0041\}e\\u\{feff\}f\\u\{61c\}g/);
});

test('csvLine() quotes as RFC 4180 wants it and lets no cell be a formula', () => {
  const cases: readonly [string | number | null | undefined, string][] = [
    ['plain', 'plain'],
    [201, '201'],
    [null, ''],
    ['a,b', '"a,b"'],
    ['say "x"', '"say ""x"""'],
    ['=1+1', "'=1+1"],
    ['+1', "'+1"],
    ['-1', "'-1"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['|calc', "'|calc"],
    ['＝1', "'＝1"],
    [' =1', "' =1"],
    ['\t=1', '\\x09=1'],
    ['\r\n=1', '\\x0d\\x0a=1'],
    ['=HYPERLINK("http://x","y")', '"\'=HYPERLINK(""http://x"",""y"")"'],
    ['a=1', 'a=1'],
  ];
  for (const [cell, wanted] of cases) assert.equal(csvLine([cell]), wanted, String(cell));
  assert.equal(csvLine(['a', undefined, 'b;c']), 'a,,"b;c"');
});

test('fit() cuts at the end or in the middle and never through a character', () => {
  assert.equal(fit('container/web', 20), 'container/web');
  assert.equal(fit('container/web', 8), 'contain…');
  assert.equal(fit('container/web', 9, 'middle'), 'cont…/web');
  assert.equal(fit('🚢🚢🚢', 4), '🚢…');
  assert.equal(fit('abc', 1), '…');
});

test('ago() tells a span in one unit', () => {
  for (const [ms, wanted] of [
    [0, '0s'],
    [99_000, '99s'],
    [180_000, '3m'],
    [3 * 3_600_000, '3h'],
    [3 * 86_400_000, '3d'],
    [-5, '0s'],
  ] as const)
    assert.equal(ago(ms), wanted);
});
