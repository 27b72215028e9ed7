// The rules the engine is given, read as its own source does: the last that matches counts, one that changes a source begins anew.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Message, messageOf, messagesOf, numberIn, textMapOf, textOf } from '../../src/buildkit/protobuf.ts';
import { type SourceRules, sourcePolicy } from '../../src/buildkit/source-policy.ts';

const NONCE = 'a-b-c';
const STORED = { hidden: [], hiddenIds: [], own: [], made: [] };
const OPEN: SourceRules = { allowed: ['*'], frontends: ['*'], stored: undefined, mark: 'm.cache' };

function isMatch(selector: Message, identifier: string, attrs: ReadonlyMap<string, string>): boolean {
  for (const one of messagesOf(selector, 'constraints')) {
    const isEqual = (attrs.get(textOf(one, 'key')) ?? '') === textOf(one, 'value');
    if (isEqual !== (numberIn(one, 'condition') === 0)) return false;
  }
  const text = textOf(selector, 'identifier').replace(/^\(\?:a-b-c\d+\)\{0\}/, '');
  const expression = text
    .replace('(?s)', '')
    .replace(/\\([^A-Za-z0-9])/g, (_all, c: string) => (/[-:@/]/.test(c) ? c : `\\${c}`));
  return new RegExp(expression, 's').test(identifier);
}

/** What becomes of a source: its attributes, or undefined where it is denied. */
function evaluate(rules: SourceRules, identifier: string, given: Readonly<Record<string, string>> = {}) {
  const { message } = sourcePolicy(rules, NONCE);
  const attrs = new Map(Object.entries(given));
  for (let round = 0; ; round++) {
    assert.ok(round < 20, 'the engine gives up after 20 changes');
    let isDenied = false;
    let isChanged = false;
    for (const rule of messagesOf(message, 'rules')) {
      if (!isMatch(messageOf(rule, 'selector') ?? {}, identifier, attrs)) continue;
      const action = numberIn(rule, 'action');
      if (action < 2) isDenied = action === 1;
      else {
        for (const [key, value] of textMapOf(messageOf(rule, 'updates') ?? {}, 'attrs')) {
          if (attrs.get(key) !== value) isChanged = true;
          attrs.set(key, value);
        }
        if (isChanged) break;
      }
    }
    if (!isChanged) return isDenied ? undefined : Object.fromEntries(attrs);
  }
}

const image = (name: string) => `docker-image://${name}`;
const BUSYBOX = image('docker.io/library/busybox:1');
const FRONTEND = { 'image.recordtype': 'frontend' };

describe('sourcePolicy()', () => {
  it('sourcePolicy() gives every source the mark of its owner, and nothing else where all is open', () => {
    for (const source of [BUSYBOX, 'local://context', 'git://x/y', 'https://h.test/a\nb'])
      assert.deepEqual(evaluate(OPEN, source), { 'dockgate.owner': 'm.cache' });
    assert.equal(sourcePolicy(OPEN, NONCE).isNeeded, false);
  });

  it('sourcePolicy() holds what is fetched to the sources', () => {
    const rules = { ...OPEN, allowed: [image('docker.io/library/*')] };
    assert.ok(evaluate(rules, BUSYBOX));
    assert.ok(evaluate(rules, 'local://context'));
    assert.equal(evaluate(rules, image('docker.io/evil/x:1')), undefined);
    assert.equal(sourcePolicy(rules, NONCE).isNeeded, true);
  });

  it('runs images of frontends that are among both lists alone', () => {
    const front = image('docker.io/docker/dockerfile:1');
    const frontends = [image('docker.io/docker/dockerfile:*')];
    const rules = { ...OPEN, allowed: [image('docker.io/*')], frontends };
    assert.ok(evaluate(rules, front, FRONTEND));
    assert.ok(evaluate({ ...OPEN, frontends }, front, FRONTEND));
    assert.ok(evaluate(rules, BUSYBOX));
    assert.equal(evaluate(rules, BUSYBOX, FRONTEND), undefined);
    assert.equal(evaluate({ ...rules, allowed: [image('docker.io/library/*')] }, front, FRONTEND), undefined);
    assert.equal(evaluate({ ...OPEN, frontends: [] }, front, FRONTEND), undefined);
    const made = { ...STORED, own: ['docker.io/docker/dockerfile:1'], made: ['docker.io/docker/dockerfile:1'] };
    assert.equal(evaluate({ ...rules, stored: made }, front, FRONTEND), undefined);
    assert.ok(evaluate({ ...rules, stored: made }, front));
  });

  it('sourcePolicy() takes from the store what the tenant sees there; all else is asked of its registry', () => {
    const rules = {
      ...OPEN,
      stored: { ...STORED, own: ['docker.io/library/busybox:1'], hidden: ['docker.io/library/theirs:1'] },
    };
    assert.equal(evaluate(rules, BUSYBOX)?.['image.resolvemode'], undefined);
    for (const name of [
      'docker.io/library/busybox:2',
      'docker.io/library/busybox:1@sha256:x',
      'docker.io/library/later:1',
    ])
      assert.equal(evaluate(rules, image(name))?.['image.resolvemode'], 'pull');
    assert.equal(evaluate(rules, BUSYBOX, { 'image.resolvemode': 'local' })?.['image.resolvemode'], 'local');
    assert.equal(
      evaluate(rules, image('docker.io/library/later:1'), { 'image.resolvemode': 'local' })?.['image.resolvemode'],
      'pull',
    );
    assert.equal(evaluate(rules, image('docker.io/library/theirs:1')), undefined);
    assert.equal(evaluate(rules, 'local://context')?.['image.resolvemode'], undefined);
  });

  it('sourcePolicy() takes a name in no other meaning than its own', () => {
    const rules = { ...OPEN, stored: { ...STORED, own: ['docker.io/a/b:1'] } };
    for (const name of ['docker.io/a/b:12', 'xdocker.io/a/b:1', 'dockerxio/a/b:1', 'docker.io/a/b:1\n'])
      assert.equal(evaluate(rules, image(name))?.['image.resolvemode'], 'pull');
  });
});
