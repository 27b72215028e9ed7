// No caller can stop another: each attack of a greedy identity, or without one, while a good caller of another identity and address
// works. None of its calls fails and none waits long; memory stays bounded, and everything comes back to rest. The whole program,
// against a scripted STAND-IN with 2,000 containers, which a real engine would need minutes and much memory for.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO, ROOT, scriptCommand } from '../support/runtime.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

/** Longest time the slowest of a hundred calls may take, in ms, on a machine that does nothing else. */
const P99_MS = 100;
/** Where others work on the machine the same calls take longer without any attack: so many times that is allowed. */
const TIMES_AT_REST = 15;
const ROUNDS = 3;
const CALLS = 100;
/** Memory an attack may take, and what may remain when it is over, in bytes. */
const MAX_GROWTH = 400 * 1024 * 1024;

const JSON_TYPE = ['Content-Type: application/json'];
const idOf = (n: number) => n.toString(16).padStart(64, '0');
const containers = Buffer.from(
  JSON.stringify(
    Array.from({ length: 2000 }, (_, i) => ({
      Id: idOf(i),
      Names: [`/c${i}`],
      Image: 'busybox',
      Labels: Object.fromEntries(Array.from({ length: 20 }, (_x, k) => [`label.${k}`, 'v'.repeat(30)])),
      State: 'running',
    })),
  ),
);
const volumes = Buffer.from(
  JSON.stringify({
    Volumes: Array.from({ length: 15 }, (_, i) => ({ Name: `v${i}`, Labels: { large: 'x'.repeat(250_000) } })),
    Warnings: null,
  }),
);

describe('a greedy caller', () => {
  let engine: ScriptedEngine;
  let gateway: TestGateway;
  let good: string;
  const tokens = new Map<string, string>();
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  before(async () => {
    engine = await startScriptedEngine((r) => {
      if (/\/(events|stop|wait)/.test(r.target)) {
        if (r.target.includes('/events')) r.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      } else if (r.target.includes('/attach')) {
        r.socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
        // As a shell does whose input has ended.
        r.socket.on('end', () => r.socket.end()).resume();
      } else if (r.target.includes('/containers/json'))
        r.answer(200, r.target.includes('filters') ? '[]' : containers, JSON_TYPE);
      else if (r.target.includes('/volumes')) r.answer(200, volumes, JSON_TYPE);
      else if (r.target.includes('/version'))
        r.answer(200, '{"ApiVersion":"1.51","MinAPIVersion":"1.24","Components":[{"Name":"Engine"}]}', JSON_TYPE);
      else if (r.method === 'POST') r.answer(201, '{"Id":"x","Warnings":[]}', JSON_TYPE);
      else r.answer(200, '{}', JSON_TYPE);
    });
    gateway = await startGateway({
      engine: engine.address.path as string,
      settings: { listen: ['http://127.0.0.1:0'] },
    });
    await gateway.must('tenant', 'create', 'greedy-tenant');
    for (const [name, ...more] of [['good'], ['greedy'], ['greedy-tenant', '--tenant', 'greedy-tenant']] as const) {
      await gateway.must('identity', 'create', name, '--policy', 'operator', ...more);
      tokens.set(name, await gateway.must('token', 'create', name));
    }
    good = tokens.get('good') as string;
  });
  after(async () => {
    agent.destroy();
    await gateway?.remove();
    await engine?.close();
  });

  /** One call of the good caller's; the milliseconds it took. */
  const call = (method: string, path: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const from = performance.now();
      const body = method === 'POST' ? '{"Image":"busybox"}' : '';
      const asked = request(
        {
          agent,
          host: '127.0.0.1',
          port: gateway.port,
          localAddress: '127.0.0.2',
          method,
          path,
          headers: {
            authorization: `Bearer ${good}`,
            ...(body === '' ? {} : { 'content-type': 'application/json', 'content-length': body.length }),
          },
        },
        (answer) => {
          answer.resume();
          answer.on('error', reject);
          answer.on('end', () => {
            if ((answer.statusCode ?? 500) < 300) resolve(performance.now() - from);
            else reject(new Error(`${method} ${path} of the good caller was answered ${answer.statusCode}`));
          });
        },
      );
      asked.on('error', reject);
      asked.end(body);
    });

  /** The 99th percentile of a round of the good caller's calls; fails when one of them does. */
  const round = async (): Promise<number> => {
    const times: number[] = [];
    for (let i = 0; i < CALLS; i++) {
      times.push(
        await (i % 10 === 0 ? call('POST', '/containers/create') : call('GET', `/containers/${idOf(i)}/json`)),
      );
      await new Promise((resolve) => setTimeout(resolve, 4));
    }
    times.sort((a, b) => a - b);
    return times[Math.floor(CALLS * 0.99)] as number;
  };
  const rss = (): number =>
    Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${gateway.process.pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  const metrics = (): Promise<string> =>
    new Promise((resolve, reject) => {
      request({ socketPath: join(gateway.dir, 'data', 'admin.sock'), path: '/metrics', agent: false }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (data: string) => {
          text += data;
        });
        answer.on('end', () => resolve(text));
      })
        .on('error', reject)
        .end();
    });
  /** The sum of all samples whose line begins so. */
  const metric = async (name: string): Promise<number> =>
    (await metrics())
      .split('\n')
      .filter((line) => line.startsWith(name))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);

  const begin = async (attack: string, token: string): Promise<ChildProcess> => {
    const [command, args] = scriptCommand(join(ROOT, 'test/faults/attacker.ts'));
    const child = spawn(command, [...args, attack, String(gateway.port), token], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise<void>((resolve, reject) => {
      child.stdout?.on('data', (data: Buffer) => {
        if (data.toString().includes('at it')) resolve();
      });
      child.once('exit', (code) => reject(new Error(`the attacker ended with ${code}`)));
    });
    return child;
  };

  const ATTACKS: readonly (readonly [string, string])[] = [
    ['streams', 'greedy'],
    ['stops', 'greedy'],
    ['waits', 'greedy'],
    ['attaches', 'greedy'],
    ['pipelining', 'greedy'],
    ['pipelining-unknown', ''],
    ['silent', ''],
    ['slow-heads', ''],
    ['slow-bodies', 'greedy'],
    ['labels', 'greedy'],
    ['volumes', 'greedy-tenant'],
    ['lists', 'greedy-tenant'],
    ['unknown', ''],
  ];
  // Deno answers the piled up requests of a hundred connections for minutes: measured 725 ms at the 99th percentile, 18 ms at rest.
  const skipOf = (attack: string) =>
    IS_DENO && attack.startsWith('pipelining')
      ? 'the runtime takes minutes to answer what lies in a hundred connections'
      : false;
  // Answers of 1.5 MB on a hundred connections keep both ends busy copying, the stand-in in this process too. Measured on a busy
  // machine: 365 ms at the 99th percentile, 30 at rest; on a quiet one not yet, so that it may exceed the bound.
  const todoOf = (attack: string) => attack === 'pipelining' && 'not yet measured on a machine that does nothing else';
  for (const [attack, who] of ATTACKS) {
    it(`a greedy caller with ${attack} does not keep another from working`, {
      skip: skipOf(attack),
      todo: todoOf(attack),
    }, async (t) => {
      await call('GET', '/_ping');
      const atRest = await round();
      const before = rss();
      const child = await begin(attack, tokens.get(who) ?? '');
      let best = Number.POSITIVE_INFINITY;
      let peak = 0;
      try {
        const bound = Math.max(P99_MS, TIMES_AT_REST * atRest);
        for (let i = 0; i < ROUNDS && best >= bound; i++) {
          best = Math.min(best, await round());
          peak = Math.max(peak, rss());
        }
        assert.equal(await readiness(), 200, 'it is ready all the while');
        t.diagnostic?.(
          `${attack}: p99 ${best.toFixed(1)} ms, ${atRest.toFixed(1)} ms at rest; memory +${((peak - before) / 2 ** 20).toFixed(0)} MiB`,
        );
        assert.ok(best < bound, `p99 ${best.toFixed(1)} ms, ${atRest.toFixed(1)} ms at rest`);
        assert.ok(peak - before < MAX_GROWTH, `memory grew by ${((peak - before) / 2 ** 20).toFixed(0)} MiB`);
      } finally {
        child.kill('SIGKILL');
      }
      // Beside what the gateway follows for itself, the events of the engine.
      for (const lane of ['call', 'stream', 'question', 'in-flight'])
        await until(
          'everything to be at rest',
          async () => (await metric(`dockgate_places_used{lane="${lane}"}`)) === 0,
        );
      await until('its connections to be gone', async () => (await metric('dockgate_connections{')) <= 8);
    });
  }

  const readiness = (): Promise<number> =>
    new Promise((resolve, reject) => {
      request(
        { host: '127.0.0.1', port: gateway.port, localAddress: '127.0.0.3', path: '/readyz', agent: false },
        (answer) => {
          answer.resume();
          resolve(answer.statusCode ?? 0);
        },
      )
        .on('error', reject)
        .end();
    });
});
