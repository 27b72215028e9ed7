// Plugins reloaded every second while callers keep the gateway busy: each call is judged by one load alone, and none is lost.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ENGINE, skipWithoutEngine } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';

const CALLS = 10_000;
const AT_ONCE = 6;
/** A busy machine takes its time; what was shown by then counts. In ms. */
const MAX_MS = 40_000;
/** A busy machine may keep a plugin from answering in its time; that denies in words, and loses nothing. */
const LATE = /no answer within|no thread was free|processor time|was ended 3 times/;
const plugin = `export default { meta: { name: 'p', version: '1.0.0', apiVersion: 1, description: '' }, match: { actions: ['system.ping', 'system.info'] },
  needs: { responses: true }, config: { type: 'object', properties: { load: { type: 'number' } } },
  validate: (_request, { config }) => ({ kind: 'warn', message: 'load ' + config.load }),
  onResponse: () => [] }`;

describe('a reload of plugins under load', { skip: skipWithoutEngine }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'dg-reload-'));
  const file = join(dir, 'p.js');
  writeFileSync(file, plugin);
  const uses = (load: number) =>
    ['first', 'second'].map((name) => ({ use: file, name, needs: ['responses'], config: { load } }));
  let gateway: TestGateway;
  before(async () => {
    gateway = await startGateway({
      engine: ENGINE as string,
      unix: [{ name: 'op', identity: 'op' }],
      settings: { plugins: uses(0) },
    });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
  });
  after(async () => {
    await gateway?.remove();
    rmSync(dir, { recursive: true, force: true });
  });

  it(`a reload of plugins under load leaves each of up to ${CALLS} calls to one load, and loses none`, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
    const socketPath = join(gateway.dir, 'op.sock');
    const call = (path: string) =>
      new Promise<{ status: number; warnings: readonly string[]; text: string }>((resolve, reject) => {
        const asked = request({ socketPath, path, agent }, (answer) => {
          let text = '';
          answer.on('data', (chunk: Buffer) => {
            text += chunk.toString();
          });
          answer.on('end', () => {
            const warnings = answer.headersDistinct['dockgate-warning'] ?? [];
            resolve({ status: answer.statusCode ?? 0, warnings, text });
          });
          answer.on('error', reject);
        });
        asked.on('error', reject);
        asked.end();
      });

    let load = 0;
    const loads = setInterval(() => {
      const settings = readFileSync(gateway.configFile, 'utf8');
      writeFileSync(gateway.configFile, settings.replaceAll(`load: ${load}\n`, `load: ${load + 1}\n`));
      load++;
      gateway.process.kill('SIGHUP');
    }, 1000);
    const seen = new Map<string, number>();
    let left = CALLS;
    const end = performance.now() + MAX_MS;
    let late = 0;
    try {
      await Promise.all(
        Array.from({ length: AT_ONCE }, async () => {
          while (left > 0 && performance.now() < end) {
            left--;
            const { status, warnings, text } = await call(left % 50 === 0 ? '/info' : '/_ping');
            if (status !== 200 && LATE.test(text)) {
              late++;
              continue;
            }
            assert.equal(status, 200, text);
            const [first = '', second = ''] = warnings.flatMap((one) => one.split(', '));
            assert.equal(first.replace('first: ', ''), second.replace('second: ', ''), warnings.join(' | '));
            seen.set(first, (seen.get(first) ?? 0) + 1);
          }
        }),
      );
    } finally {
      clearInterval(loads);
      agent.destroy();
    }
    assert.equal(
      [...seen.values()].reduce((a, b) => a + b, late),
      CALLS - left,
    );
    assert.ok(late < (CALLS - left) / 2, `${late} of ${CALLS - left} calls were denied for time`);
    assert.ok(seen.size > 1, `loads seen: ${[...seen].map(([name, calls]) => `${name} (${calls})`).join(', ')}`);
  });
});
