// The reviewer's walk: the commands of docs/audit-review.md as they stand there, run against the program on a recorded day.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { CI_TOKEN, recordDay, WEB } from '../audit/day.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { ROOT } from '../support/runtime.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';

const POLICY = (name: string, rules: readonly string[]) => `apiVersion: dockgate/v1
kind: Policy
metadata:
  name: ${name}
rules:
${rules.map((rule) => `  - name: ${rule}\n    effect: allow\n    actions: [container.*]\n    host: { preset: baseline }\n`).join('')}`;

let engine: ScriptedEngine;
let gateway: TestGateway;
/** Words of the command below each heading of the page. */
const commands = new Map<string, readonly string[]>();

before(async () => {
  const page = readFileSync(join(ROOT, 'docs', 'audit-review.md'), 'utf8');
  for (const [, heading = '', command = ''] of page.matchAll(/^## (.*)\n\n```sh\ndockgate (.*)\n```$/gm)) {
    const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
    commands.set(heading, words);
  }
  const dir = mkdtempSync(join(tmpdir(), 'dg-walk-'));
  mkdirSync(join(dir, 'data'), { mode: 0o700 });
  await recordDay(join(dir, 'data', 'audit.db'));
  engine = await startScriptedEngine((r) => r.answer(200, '[]', ['Content-Type: application/json']));
  gateway = await startGateway({ engine: engine.url, dir });
  for (const [name, rules] of [
    ['team', ['run', 'exec', 'never']],
    ['tenants', ['run']],
  ] as const) {
    writeFileSync(join(dir, `${name}.yaml`), POLICY(name, rules));
    await gateway.must('policy', 'apply', '-f', join(dir, `${name}.yaml`));
  }
  await gateway.must('identity', 'create', 'ann', '--policy', 'team');
  await gateway.must('identity', 'create', 'ci', '--tenant', 'red', '--policy', 'tenants');
  await gateway.must('token', 'create', 'ci');
});
after(async () => {
  await gateway?.remove();
  await engine?.close();
});

const ask = (heading: string, ...more: string[]): Promise<string> => {
  const words = commands.get(heading);
  assert.ok(words, `the page has no command below "${heading}"`);
  return gateway.must(...words, ...more);
};
/** Lines that hold all of these in this order. */
const has = (text: string, ...parts: readonly RegExp[]): void => {
  const all = new RegExp(parts.map(({ source }) => source).join('.*'));
  assert.ok(
    text.split('\n').some((line) => all.test(line)),
    `${all} in\n${text}`,
  );
};

test('who created this container, and under which rule', async () => {
  const text = await ask('Who created this container, and under which rule?');
  const [names, head, ...lines] = text.trimEnd().split('\n');
  assert.equal(names, `container ${WEB.slice(0, 19)}  web`);
  assert.match(head ?? '', /^TIME/);
  assert.deepEqual(
    lines.map((line) => line.split(/ {2,}/).slice(1, 3)),
    [
      ['container.create', 'ann'],
      ['container.start', 'ann'],
      ['container.exec.create', 'ann'],
      ['container.exec.start', 'ann'],
      ['container.rename', 'ann'],
      ['container.stop', 'ann'],
      ['container.remove', 'ann'],
      ['container.inspect', 'ann'],
    ],
  );
  has(text, /container\.create/, /ann/, /allow/, /team\/run/);
  has(text, /container\.inspect/, /error/, /object-not-found 404/);
  // By its id as by any of its names. What was asked for by its first name after it had another is not about it.
  for (const [name, count] of [
    [WEB.slice(0, 12), 8],
    [`container/${WEB}`, 8],
    ['container/web-old', 7],
  ] as const) {
    const other = await gateway.must('audit', 'timeline', name);
    assert.equal(other.split('\n').filter((line) => /^20/.test(line)).length, count, `${name}: ${other}`);
    has(other, /container\.create/, /ann/, /team\/run/);
  }
});

test('what this token did', async () => {
  const text = await ask('What did this token do?');
  assert.equal(text.trimEnd().split('\n').length, 1 + 5, text);
  assert.doesNotMatch(text, /ann/);
  const rows = JSON.parse(await ask('What did this token do?', '--json')) as { tokenId: string }[];
  assert.ok(rows.every(({ tokenId }) => tokenId === CI_TOKEN));
});

test('what was denied, by rule and field', async () => {
  const text = await ask('What was denied, by rule and field?');
  for (const field of ['Binds\\[0\\]', 'Mounts\\[0\\]', 'Privileged'])
    has(text, /tenants\/run/, /ci/, new RegExp(`HostConfig\\.${field}`), / 1 /);
  assert.equal(text.trimEnd().split('\n').length, 4, text);
});

test('who ran what in this container', async () => {
  const text = await ask('Who ran what in this container?');
  has(text, /ann/, /exec/, /web/, /root/, / 0 /, /0\/1234/, /sh -c 'cat \/etc\/passwd'$/);
  assert.equal(text.trimEnd().split('\n').length, 2, text);
});

test('the audit tells which bind mounts were tried', async () => {
  const text = await ask('Which bind mounts were tried?');
  has(text, /container\/web/, /allow/, /\/srv\/www:\/usr\/share\/nginx\/html:ro/);
  has(text, /container\/root/, /deny/, /\/:\/host/);
  has(text, /container\/root/, /deny/, /\/etc:\/x/);
  assert.equal(text.trimEnd().split('\n').length, 4, text);
});

test('what a plugin changed', async () => {
  const text = await ask('What did a plugin change?');
  has(text, /container\/job-1/, /owner-label:\/body\/Labels\/owner/);
  const id = /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(text)?.[0] ?? '';
  const page = await gateway.must('audit', 'show', id);
  assert.match(page, /Changed by plugins:\n {2}owner-label: add \/body\/Labels\/owner\n {4}- null\n {4}\+ "ci"\n/);
  assert.match(page, /Sent:\n {2}\{\n {4}"Image": "nginx:1\.27"/);
});

test('the audit tells which tokens and rules are unused', async () => {
  const text = await ask('Which tokens and rules are unused?');
  has(text, /team\/never/, /allow/, /never/);
  assert.doesNotMatch(text, /team\/run/);
  has(text, /[0-9a-f-]{36}/, /ci/, /valid/, /never/);
  has(text, /ann/, /container\.archive\.read/);
  assert.match(text, /^the log begins 20/);
});

test('was the log altered', async () => {
  const text = await ask('Was the log altered?');
  assert.match(text, /whole|ok/i);
});

test('last month for the auditor', async () => {
  const out = join(gateway.dir, 'month.ndjson.gz');
  const words = commands.get('How does the auditor get last month, with a proof?') ?? [];
  const text = await gateway.must(...words.map((word) => (word === 'month.ndjson.gz' ? out : word)));
  assert.match(text, /month\.ndjson\.gz: \d+ rows$/);
  const lines = gunzipSync(readFileSync(out)).toString().trimEnd().split('\n');
  assert.ok(lines.some((line) => line.includes(CI_TOKEN)));
});

test('what happened between 14:02 and 14:05', async () => {
  const text = await ask('What happened between 14:02 and 14:05?');
  const lines = text.trimEnd().split('\n').slice(1);
  assert.deepEqual(
    lines.map((line) => line.split(/ {2,}/)[2]),
    ['container.list', 'container.exec.start', 'container.exec.create'],
  );
});

test('every question of the page is asked here', () => {
  assert.equal(commands.size, 10);
});
