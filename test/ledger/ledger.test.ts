import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Holds } from '../../src/ledger/holds.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { entry, idOf } from './entries.ts';

describe('Ledger.find()', () => {
  const web = entry('red', 'container', idOf('abc1'), { name: 'web' });
  const db = entry('red', 'container', idOf('abd2'), { name: 'db' });
  const named = entry('red', 'container', idOf('ffff'), { name: 'abc1' });
  const foreign = entry('blue', 'container', idOf('e000'), { name: 'secret' });
  const ledger = new Ledger([
    web,
    db,
    foreign,
    entry('red', 'volume', 'data'),
    entry('red', 'exec', idOf('77'), { parent: web.id }),
  ]);

  for (const [title, reference, found] of [
    ['a full id', web.id, web],
    ['a name', 'db', db],
    ['part of one id', 'abc', web],
    ['part of two ids', 'ab', undefined],
    ['the name of another tenant', 'secret', undefined],
    ['the full id of another tenant', foreign.id, undefined],
    ['one digit of another tenant', 'e', undefined],
    ['upper case', 'ABC1', undefined],
    ['the start of a name', 'we', undefined],
    ['nothing', '', undefined],
  ] as const) {
    it(`Ledger.find() by ${title}`, () => assert.equal(ledger.find('red', 'container', reference), found));
  }

  it('Ledger.find() takes a name before part of an id', () => {
    assert.equal(new Ledger([web, named]).find('red', 'container', 'abc1'), named);
  });
  it('Ledger.find() takes volumes and exec instances by their whole name alone', () => {
    assert.equal(ledger.find('red', 'volume', 'dat'), undefined);
    assert.equal(ledger.find('red', 'volume', 'data')?.id, 'data');
    assert.equal(ledger.find('red', 'exec', '77'), undefined);
    assert.equal(ledger.find('red', 'exec', idOf('77'))?.parent, web.id);
  });
});

describe('Ledger.apply()', () => {
  it('a pending object holds its name and is not found', () => {
    const pending = entry('red', 'volume', 'data', { state: 'pending' });
    const ledger = new Ledger([pending]);
    assert.equal(ledger.find('red', 'volume', 'data'), undefined);
    assert.deepEqual(ledger.holders('volume', 'data'), [pending]);
    ledger.apply({ ...pending, state: 'void' });
    assert.deepEqual(ledger.holders('volume', 'data'), []);
    assert.equal(ledger.size, 0);
  });
  it('a new name replaces the old one', () => {
    const web = entry('red', 'container', idOf('a'), { name: 'web' });
    const ledger = new Ledger([web]);
    ledger.apply({ ...web, name: 'www' });
    assert.equal(ledger.find('red', 'container', 'web'), undefined);
    assert.equal(ledger.find('red', 'container', 'www')?.id, web.id);
  });
  it('an object that ended has no owner, and its exec instances end with it', () => {
    const web = entry('red', 'container', idOf('a'), { name: 'web' });
    const exec = entry('red', 'exec', idOf('b'), { parent: web.id });
    const ledger = new Ledger([web, exec]);
    const changes = ledger.ending('container', web.id, 5000);
    assert.deepEqual(
      changes.map(({ kind, state, removedAt }) => [kind, state, removedAt]),
      [
        ['container', 'removed', 5000],
        ['exec', 'removed', 5000],
      ],
    );
    for (const change of changes) ledger.apply(change);
    assert.equal(ledger.find('red', 'container', 'web'), undefined);
    assert.equal(ledger.find('red', 'exec', exec.id), undefined);
    assert.equal(ledger.wasOwned('red', 'container', web.id, 4000), true);
    assert.equal(ledger.wasOwned('blue', 'container', web.id, 4000), false);
  });
  it('what takes a name notes what it replaced, in its own tenant', () => {
    const old = entry('red', 'container', idOf('a'), { name: 'web' });
    const ledger = new Ledger([old]);
    for (const change of ledger.ending('container', old.id, 5000)) ledger.apply(change);
    assert.deepEqual(ledger.succession(entry('blue', 'container', idOf('b'), { name: 'web' })), []);
    const next = entry('red', 'container', idOf('c'), { name: 'web' });
    const [noted, ...more] = ledger.succession(next);
    assert.deepEqual([noted?.key, noted?.replacedBy, noted?.state, more.length], [old.key, next.key, 'removed', 0]);
    assert.deepEqual(ledger.succession(next), [], 'once');
  });
  it('applying a change twice is applying it once', () => {
    const web = entry('red', 'container', idOf('a'), { name: 'web' });
    const ledger = new Ledger([web, web]);
    ledger.apply({ ...web, state: 'removed', removedAt: 1 });
    ledger.apply({ ...web, state: 'removed', removedAt: 1 });
    assert.equal(ledger.count('red', 'container'), 0);
    assert.deepEqual([...ledger.objects('red')], []);
  });
  it('a volume name is its owner\u2019s only while the volume was theirs', () => {
    const old = entry('red', 'volume', 'data', { state: 'removed', createdAt: 1000, removedAt: 2000 });
    const ledger = new Ledger([old, entry('blue', 'volume', 'data', { createdAt: 3000 })]);
    assert.equal(ledger.wasOwned('red', 'volume', 'data', 1500), true);
    assert.equal(ledger.wasOwned('red', 'volume', 'data', 3500), false);
    assert.equal(ledger.wasOwned('blue', 'volume', 'data', 1500), false);
    assert.equal(ledger.wasOwned('blue', 'volume', 'data', 3500), true);
  });
});

describe('Holds', () => {
  it('a name under way is held against others until the last of its calls is over', () => {
    const holds = new Holds();
    const [first, second] = [holds.hold('volume', 'data', 'red'), holds.hold('volume', 'data', 'red')];
    assert.equal(holds.isHeldByOthers('volume', 'data', 'blue'), true);
    assert.equal(holds.isHeldByOthers('volume', 'data', 'red'), false);
    assert.equal(holds.isHeldByOthers('image', 'data', 'blue'), false);
    first();
    first();
    assert.equal(holds.isHeldByOthers('volume', 'data', 'blue'), true);
    second();
    assert.equal(holds.isHeldByOthers('volume', 'data', 'blue'), false);
  });
});

describe('names of an image', () => {
  it('namesOfImage() finds the live names of all tenants by the image id, also of a shared image', () => {
    const id = `sha256:${idOf('c1')}`;
    const own = entry('red', 'image', 'docker.io/library/a:1', { parent: id });
    const common = entry('blue', 'image', 'docker.io/library/b:1', { parent: id, isCommon: true });
    const pending = entry('blue', 'image', 'docker.io/library/c:1', { parent: id, state: 'pending' });
    const ledger = new Ledger([own, common, pending, entry('blue', 'image', id)]);
    assert.deepEqual(new Set(ledger.namesOfImage(id).map((one) => one.id)), new Set([own.id, common.id, id]));
    ledger.apply({ ...common, state: 'removed', removedAt: 1 });
    ledger.apply({ ...own, parent: `sha256:${idOf('c2')}` });
    assert.deepEqual(
      ledger.namesOfImage(id).map((one) => one.id),
      [id],
    );
  });
});
