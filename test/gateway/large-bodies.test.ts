// Large bodies are read one at a time, in turn by identity, with room for everything else in between.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LargeBodies } from '../../src/gateway/large-bodies.ts';
import { openEmbedded } from '../support/embedded-gateway.ts';
import { startScriptedEngine } from '../support/scripted-engine.ts';

const LARGE = 256 * 1024 + 1;
const OK = ['Content-Type: application/json'];

describe('LargeBodies', () => {
  it('LargeBodies has turns by identity, and small bodies wait for none', async () => {
    const bodies = new LargeBodies();
    const order: string[] = [];
    const read = (holder: string, bytes: number, what: string) =>
      bodies.read(holder, bytes, () => void order.push(`${holder} ${what}`));
    const all = [1, 2, 3, 4].map((n) => read('greedy', LARGE, `${n}`));
    all.push(read('good', LARGE, '1'), read('other', LARGE, '1'), read('good', LARGE - 1, 'small'));
    await Promise.all(all);
    assert.deepEqual(order, ['greedy 1', 'good small', 'greedy 2', 'good 1', 'other 1', 'greedy 3', 'greedy 4']);
  });

  it('rests after each for as long as it took, and goes on after one that cannot be read', async () => {
    const bodies = new LargeBodies();
    const busy = (): void => {
      const end = performance.now() + 30;
      while (performance.now() < end);
      throw new Error('no JSON');
    };
    const first = assert.rejects(bodies.read('a', LARGE, busy), /no JSON/);
    const ended = performance.now();
    await bodies.read('a', LARGE, () => {});
    assert.ok(performance.now() - ended >= 29, 'the second waited');
    await first;
  });
});

describe('a caller who sends many large bodies at once', () => {
  it('a caller who sends many large bodies at once is served one by one, and another caller in between', async () => {
    const engine = await startScriptedEngine((r) => r.answer(200, '{}', OK));
    const at = await openEmbedded(engine.url);
    try {
      const [greedy, good] = [await at.token('greedy'), await at.token('good')];
      const ports = Array.from({ length: 40_000 }, (_, i) => `"${i + 1}/tcp":{}`).join(',');
      const body = `{"Image":"app:1","ExposedPorts":{${ports}}}`;
      const order: string[] = [];
      const send = async (line: string, token: string, text: string, what: string): Promise<void> => {
        const caller = at.connect();
        caller.send(
          `${line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
        );
        const { status } = await caller.answer();
        order.push(`${what} ${status}`);
        caller.destroy();
      };
      const large = Array.from({ length: 24 }, () => send('POST /containers/create', greedy, body, 'large'));
      // Answered while some of the large ones still wait: a small call, and a large one in its turn.
      const own = [
        send('GET /containers/json', good, '', 'small'),
        send('POST /containers/create', good, body, 'own large'),
      ];
      await Promise.all([...large, ...own]);
      assert.equal(order.filter((one) => one.startsWith('large')).length, 24);
      assert.ok(order.indexOf('small 200') < 23, order.join(', '));
      const last = order.at(-1) ?? '';
      assert.ok(last.startsWith('large'), order.join(', '));
      assert.equal(new Set(order).size, 3, order.join(', '));
    } finally {
      await at.close();
      await engine.close();
    }
  });
});
