// dockgate audit export and import on the running program. The engine is a scripted STAND-IN.
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';

describe('dockgate audit export', () => {
  let engine: ScriptedEngine;
  let gateway: TestGateway;
  before(async () => {
    engine = await startScriptedEngine((r) => r.answer(200, '[]', ['Content-Type: application/json']));
    gateway = await startGateway({ engine: engine.address.path as string });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
  });
  after(async () => {
    await gateway?.remove();
    await engine?.close();
  });

  it('writes a segment that audit import verifies, and events for other programs', async () => {
    const [segment, imported] = [join(gateway.dir, 'all.ndjson.gz'), join(gateway.dir, 'all.db')];
    assert.match(
      await gateway.must('audit', 'export', '--since', '1h', '--out', segment),
      /all\.ndjson\.gz: \d+ rows$/,
    );
    assert.equal(statSync(segment).mode & 0o777, 0o600);
    const lines = gunzipSync(readFileSync(segment)).toString('utf8').trimEnd().split('\n');
    assert.ok(lines.length >= 4);
    assert.match(lines.at(-1) ?? '', /^\{"end":true,/);
    const [done] = JSON.parse(await gateway.must('audit', 'import', segment, '--out', imported, '--json')) as {
      rows: number;
      proof: string;
    }[];
    assert.equal(done?.rows, lines.length - 2);
    assert.equal(done?.proof, 'signed-by-its-own');
    // Offline, from what was imported.
    const again = join(gateway.dir, 'again.ndjson');
    await gateway.must('audit', 'export', '--file', imported, '--out', again);
    assert.equal(readFileSync(again, 'utf8').trimEnd().split('\n').length, lines.length);
    // What is asked of the file is answered as the gateway answers it, and recorded nowhere.
    const from = ['--file', imported];
    for (const question of [
      ['ls', '--action', 'identity.create', '--json'],
      ['timeline', 'identity/op', '--json'],
      ['stats', '--by', 'action,outcome', '--action', 'identity.create', '--json'],
      ['sessions', '--json'],
    ]) {
      const asked = await gateway.must('audit', ...question);
      assert.equal(await gateway.must('audit', ...question, ...from), asked, question.join(' '));
    }
    const [call] = JSON.parse(await gateway.must('audit', 'ls', ...from, '--action', 'identity.create', '--json')) as {
      auditId: string;
    }[];
    const id = call?.auditId ?? '';
    assert.equal(
      await gateway.must('audit', 'show', id, ...from, '--json'),
      await gateway.must('audit', 'show', id, '--json'),
    );
    for (const [args, told] of [
      [['show', '0199f2c4', ...from], /the audit has no call 0199f2c4/],
      [['ls', ...from, '--mine'], /--mine is for a gateway/],
      [['ls', ...from, '--action', 'A'], /must be an action such as/],
      [['ls', '--file', `${imported}-none`], /is not there/],
      [['ls', '--file', gateway.configFile], /not a database/],
    ] as const) {
      const { code, stderr } = await gateway.dockgate('audit', ...args);
      assert.notEqual(code, 0);
      assert.match(stderr, told);
    }
    const ecs = join(gateway.dir, 'ecs.ndjson');
    await gateway.must('audit', 'export', '--format', 'ecs', '--out', ecs);
    const events = readFileSync(ecs, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: { action: string } });
    assert.ok(events.some(({ event }) => event.action === 'identity.create'));
    const rows = JSON.parse(await gateway.must('audit', 'ls', '--rows', '--limit', '20', '--json')) as object[];
    assert.match(JSON.stringify(rows), /"read":"export"/);
  });

  it('overwrites nothing, and says what is wrong', async () => {
    const out = join(gateway.dir, 'all.ndjson.gz');
    for (const [args, told] of [
      [['export', '--out', out], /is there already/],
      [['export', '--out', `${out}2`, '--format', 'cef'], /--format "cef" is none of segment, native, ocsf, ecs/],
      [['export', '--out', `${out}2`, '--since', 'soon'], /--since "soon" is no moment/],
      [['import', join(gateway.dir, 'none'), '--out', join(gateway.dir, 'n.db')], /there is no file/],
      [['import', gateway.configFile, '--out', join(gateway.dir, 'n.db')], /is no whole segment of an audit log/],
    ] as const) {
      const { code, stderr } = await gateway.dockgate('audit', ...args);
      assert.notEqual(code, 0);
      assert.match(stderr, told);
    }
  });
});
