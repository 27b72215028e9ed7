// Places at the engine, shared between identities: shares, turns, deadlines and those who leave the queue.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Lane, Place, type Waiting } from '../../src/proxy/lanes.ts';

const lane = (total: number, sharePercent = 25, queueMs = 60_000) =>
  new Lane({ places: 'calls', setting: 'limits.engineConnections' }, () => ({ total, sharePercent, queueMs }));
/** Takes until one has to wait; returns the places, and the one who waits. */
function takeAll(from: Lane, holder: string): { places: Place[]; waiting: Waiting } {
  const places: Place[] = [];
  for (;;) {
    const taken = from.take(holder);
    if (!(taken instanceof Place)) return { places, waiting: taken };
    places.push(taken);
  }
}
const LEFT = { code: 'shutting-down', message: 'left' };
const leave = async (waiting: Waiting) => {
  const refused = assert.rejects(waiting.place, LEFT);
  waiting.refuse(Object.assign(new Error('left'), { code: 'shutting-down' }) as never);
  await refused;
};

describe('Lane', () => {
  it('Lane gives one identity a quarter of what is free to all, and each further one a quarter of the rest', async () => {
    const of = lane(64);
    const all = ['a', 'b', 'c', 'd', 'e', 'f'].map((holder) => takeAll(of, holder));
    assert.deepEqual(
      all.map(({ places }) => places.length),
      [16, 12, 9, 6, 5, 4],
    );
    assert.ok(of.take('late') instanceof Place, 'no number of greedy ones leaves nothing to the next');
    for (const { waiting } of all) await leave(waiting);
    assert.equal(of.state().waiting, 0);
  });

  it('Lane lets each identity have one place as long as one is free', async () => {
    const of = lane(4);
    for (const holder of ['a', 'b', 'c', 'd']) assert.ok(of.take(holder) instanceof Place, holder);
    const fifth = of.take('e');
    assert.ok(!(fifth instanceof Place));
    await leave(fifth);
  });

  it('serves identities in turn, however many calls of one wait', async () => {
    const of = lane(1, 100);
    const first = of.take('x') as Place;
    const order: string[] = [];
    const wait = (holder: string, name: string) =>
      (of.take(holder) as Waiting).place.then((place) => {
        order.push(name);
        place.release();
      });
    const all = [wait('a', 'a1'), wait('a', 'a2'), wait('a', 'a3'), wait('b', 'b1'), wait('c', 'c1'), wait('b', 'b2')];
    first.release();
    await Promise.all(all);
    assert.deepEqual(order, ['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
    assert.deepEqual(of.state(), { used: 0, waiting: 0, refused: 0, largestShare: 0 });
  });

  it('Lane passes by an identity at its share and serves the next', async () => {
    const of = lane(8);
    const { places, waiting } = takeAll(of, 'a');
    const others = ['b', 'b', 'c', 'd', 'e', 'f'].map((holder) => of.take(holder));
    const late = others.filter((taken) => !(taken instanceof Place)) as Waiting[];
    for (const taken of others) if (taken instanceof Place) taken.release();
    for (const { place } of late) (await place).release();
    assert.equal(of.state().used, places.length);
    await leave(waiting);
  });

  it('Lane refuses at the deadline with a sentence, and forgets the one who waited', async () => {
    const of = lane(4, 25, 10);
    const { places, waiting } = takeAll(of, 'a');
    await assert.rejects(waiting.place, {
      code: 'engine-busy',
      retryAfterS: 1,
      message:
        'no connection to the engine came free within 10 ms: this identity has 1 of the 1 calls one identity may have now, ' +
        '25 % of those that are free (limits.engineConnections, limits.sharePercent); end some of them',
    });
    assert.deepEqual(of.state(), { used: 1, waiting: 0, refused: 1, largestShare: 1 });
    places[0]?.release();
    places[0]?.release();
    assert.equal(of.state().used, 0, 'a place given back twice is one place');
  });

  it('Lane keeps the queue itself from being filled by one identity', async () => {
    const of = lane(4);
    const waiting: Waiting[] = [takeAll(of, 'a').waiting];
    assert.throws(
      () => {
        for (let i = 0; i < 4096; i++) waiting.push(of.take('a') as Waiting);
      },
      { code: 'engine-busy', message: /^too many calls wait for the engine; this identity has 1 of the 1 calls/ },
    );
    assert.equal(waiting.length, 1024);
    assert.ok(of.take('b') instanceof Place);
    for (const one of waiting) one.place.catch(() => {});
    of.refuseAll(Object.assign(new Error('x'), { code: 'shutting-down' }) as never);
    assert.equal(of.state().waiting, 0);
  });
});
