// Our own corpus: what real engines make of each request is tried again, and what the gateway lets through of it is the verdict.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ENGINE, ENGINE_LINES } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { exchange, type Header } from './exchange.ts';
import { OWN_CASES, type OwnCase, type Places, type Ran, removeRest, runCase } from './own-case.ts';

/** Cases under way at once. */
const AT_ONCE = 12;
/** Over these the engine sits for up to 40 s, looking for a plugin or waiting: they begin first, so that the others go by meanwhile. */
const LONG_WAITS = /^(vol-driver|mnt-voldriver|mnt-d-plugin|log-x-|xt-exec-resize|xt-wait)/;
/** These name a container by the first digit of its id, which must not be another's too: they go last, one at a time. */
const BY_ONE_DIGIT = /^xt-(kill|ns-pid)-1$/;
/** Half a minute on a quiet machine. */
const TIMEOUT_MS = 600_000;

/** Sent straight to the engine these would disturb other tests or the machine's routes, or wait for addresses. */
const isAloneOnly = ({ id, category }: OwnCase): boolean =>
  category === 'plugins-swarm' ||
  category === 'system' ||
  /^(net-x-(public|loop|linklocal)|img-x-|fx-pipe-denied$)/.test(id);

/** Runs all cases, each under its own prefix, and tells of those whose effect is not the wanted one. */
async function runAll(
  cases: readonly OwnCase[],
  mark: string,
  places: Places,
  wanted: (it: OwnCase) => boolean,
): Promise<readonly string[]> {
  const told: string[] = [];
  const all = [...cases.entries()];
  const waiting = all
    .filter(([, { id }]) => !BY_ONE_DIGIT.test(id))
    .sort(([, a], [, b]) => Number(LONG_WAITS.test(b.id)) - Number(LONG_WAITS.test(a.id)));
  const last = all.filter(([, { id }]) => BY_ONE_DIGIT.test(id));
  const tell = (each: OwnCase, ran: Ran) =>
    told.push(`${each.id}: took effect ${ran.honoured}, answers ${ran.statuses.join(' ')} ${ran.message}`);
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [i, each] = next;
      const ran = await runCase(each, `${mark}${i}x`, places);
      if (ran.honoured === wanted(each)) continue;
      // An unwanted effect gets no second try.
      if (ran.honoured) tell(each, ran);
      // An engine under load may answer too late for a proof.
      else last.push(next);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  for (const [i, each] of last) {
    let ran = await runCase(each, `${mark}${i}y`, places);
    for (let n = 0; n < 9 && /multiple IDs found/.test(ran.message); n++)
      ran = await runCase(each, `${mark}${i}y${n}`, places);
    if (ran.honoured !== wanted(each)) tell(each, ran);
  }
  await removeRest(places.engine, `d${mark}`);
  return told;
}

it('the cases are many, of every family, and stand beside neighbours that are allowed', () => {
  assert.ok(OWN_CASES.length > 400, `${OWN_CASES.length} cases`);
  assert.ok(OWN_CASES.filter(({ verdict }) => verdict === 'allow').length > 80);
  assert.equal(new Set(OWN_CASES.map(({ id }) => id)).size, OWN_CASES.length);
});

for (const { line, socket, skip } of ENGINE_LINES) {
  describe(`our own corpus on ${line}`, { skip }, () => {
    const engine = socket as string;
    const mark = IS_DENO ? 'd' : 'n';
    let gateway: TestGateway;
    let isNew = true;
    const notedOf = ({ observed28, observed20 }: OwnCase) => (isNew ? observed28 : observed20);
    before(async () => {
      const version = (await exchange(engine, { method: 'GET', path: '/version' }))[0]?.body.toString() ?? '';
      isNew = !/"ApiVersion":"1\.41"/.test(version);
      gateway = await startGateway({
        engine,
        settings: { listen: ['https://127.0.0.1:0', { unix: './any.sock', mode: '0600' }] },
      });
      for (const name of ['alice', 'bob'])
        await gateway.must('identity', 'create', name, '--policy', 'baseline', '--tenant', name);
    });
    after(() => gateway?.remove());

    // No code of ours takes part in it: once is enough.
    const isShownElsewhere = IS_DENO || socket !== ENGINE ? 'shown on Node with the newer engine' : false;
    it('the engine reads each request as noted', { skip: isShownElsewhere, timeout: TIMEOUT_MS }, async () => {
      const cases = OWN_CASES.filter((each) => !isAloneOnly(each));
      const told = await runAll(cases, `${mark}e`, { engine }, (each) => notedOf(each).honoured);
      assert.deepEqual(told, []);
    });

    it('through the gateway each request has the effect baseline allows, or none', {
      timeout: TIMEOUT_MS,
    }, async () => {
      const callers: Record<string, Header> = {};
      for (const name of ['alice', 'bob'])
        callers[name] = ['Authorization', `Bearer ${await gateway.must('token', 'create', name)}`];
      const places = { engine, gateway: { socket: join(gateway.dir, 'any.sock'), callers } };
      // What the engine itself refuses, a version it does not know for one, stays refused.
      const wanted = (each: OwnCase) => each.verdict === 'allow' && notedOf(each).honoured;
      assert.deepEqual(await runAll(OWN_CASES, mark, places, wanted), []);
    });
  });
}
