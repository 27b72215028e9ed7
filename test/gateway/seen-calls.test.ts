// Request lines read once: the same line gives the same frozen value; what is refused, long or takes a body is read anew.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toCall } from '../../src/engine/call.ts';
import { classify } from '../../src/engine/classify.ts';
import { renderTarget } from '../../src/engine/render-target.ts';
import { SeenCalls } from '../../src/gateway/seen-calls.ts';

const LIMITS = { minMinor: 40, maxMinor: 51 };

describe('request lines that were read before', () => {
  const lines: readonly [string, string][] = [
    ['GET', '/v1.43/containers/json'],
    ['GET', '/containers/json?all=1&filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D'],
    ['GET', '/v1.51/containers/web/logs?stdout=1&follow=1&tail=10'],
    ['HEAD', '/_ping'],
    ['POST', '/v1.43/containers/web/start'],
    ['DELETE', '/v1.43/volumes/data?force=true'],
  ];
  for (const [method, target] of lines) {
    it(`${method} ${target}: the second reading is the first, and what a fresh one gives`, () => {
      const seen = new SeenCalls(LIMITS);
      const first = seen.read(method, target);
      assert.equal(seen.read(method, target), first);
      const fresh = classify(method, target, LIMITS);
      assert.deepEqual(first.target, fresh);
      assert.equal(first.takesBody, false);
      const call = first.bodiless();
      assert.equal(first.bodiless(), call);
      assert.deepEqual(call, toCall(fresh, undefined));
      assert.equal(first.render(call), renderTarget(call));
      assert.ok([first.target, call, call.path, call.query, call.resources].every(Object.isFrozen));
    });
  }

  it('another method, case or spelling is another line', () => {
    const seen = new SeenCalls(LIMITS);
    const get = seen.read('GET', '/v1.43/containers/json');
    assert.notEqual(seen.read('GET', '/v1.44/containers/json'), get);
    assert.notEqual(seen.read('GET', '/v1.43/containers/json?'), get);
    assert.throws(() => seen.read('POST', '/v1.43/containers/json'), { code: 'operation-unknown' });
    assert.throws(() => seen.read('get', '/v1.43/containers/json'), { code: 'operation-unknown' });
  });

  it('a refused line is refused each time, and stays so', () => {
    const seen = new SeenCalls(LIMITS);
    for (let i = 0; i < 3; i++) {
      assert.throws(() => seen.read('GET', '/v1.52/info'), { code: 'version-unsupported' });
      assert.throws(() => seen.read('GET', '/containers//json'), { code: 'path-not-canonical' });
    }
  });

  it('a call with a body is read anew, and a changed call is rendered anew', () => {
    const seen = new SeenCalls(LIMITS);
    const create = seen.read('POST', '/v1.43/containers/create?name=a');
    assert.equal(create.takesBody, true);
    assert.notEqual(seen.read('POST', '/v1.43/containers/create?name=a'), create);
    const start = seen.read('POST', '/v1.43/containers/web/start');
    const resolved = { ...start.bodiless(), path: { id: 'f'.repeat(64) } };
    assert.equal(start.render(resolved), `/v1.43/containers/${'f'.repeat(64)}/start`);
    assert.equal(start.render(start.bodiless()), '/v1.43/containers/web/start');
  });

  it('lines that are not repeated push each other out, not one in use', () => {
    const seen = new SeenCalls(LIMITS);
    const used = seen.read('GET', '/v1.43/containers/json');
    for (let i = 0; i < 5000; i++) {
      seen.read('GET', `/v1.43/containers/c${i}/json`);
      if (i % 100 === 0) assert.equal(seen.read('GET', '/v1.43/containers/json'), used);
    }
    const first = seen.read('GET', '/v1.43/containers/c0/json');
    assert.equal(first, seen.read('GET', '/v1.43/containers/c0/json'));
    for (let i = 0; i < 1100; i++) seen.read('GET', `/v1.43/containers/d${i}/json`);
    assert.notEqual(seen.read('GET', '/v1.43/containers/c0/json'), first);
  });

  it('a line longer than 512 characters is not kept', () => {
    const seen = new SeenCalls(LIMITS);
    const long = `/v1.43/containers/json?filters=${encodeURIComponent(JSON.stringify({ label: ['x'.repeat(600)] }))}`;
    assert.notEqual(seen.read('GET', long), seen.read('GET', long));
  });

  it('a line is read anew when the versions served have changed', () => {
    const limits = { minMinor: 24, maxMinor: 51 };
    const seen = new SeenCalls(limits);
    assert.equal(seen.read('GET', '/v1.30/containers/json').target.apiVersion, '1.30');
    limits.minMinor = 40;
    assert.throws(() => seen.read('GET', '/v1.30/containers/json'), { code: 'version-unsupported' });
    limits.minMinor = 24;
    assert.equal(seen.read('GET', '/v1.30/containers/json').target.apiVersion, '1.30');
  });
});
