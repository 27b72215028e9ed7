// How the cost of a call grows with what there is: policies, containers of others, audit rows, tokens, tenants, open streams.
// One gateway in this process behind its own listener, and a stand-in for the engine in the same process: only ratios inside one run
// mean something. `npm run bench:growth [AXIS...]`; `DOCKGATE_BENCH_ROWS=10000000` for the whole log.
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { LOCAL_OPERATOR } from '../src/admin/services.ts';
import { embedGateway, type OpenEmbedded } from '../src/app/embed.ts';
import { createConfig } from '../src/config/config.ts';
import { silentLogger } from '../src/log.ts';
import { listen } from '../src/runtime/listen.ts';
import { startScriptedEngine } from '../test/support/scripted-engine.ts';

const CALLS = Number(process.env.DOCKGATE_BENCH_CALLS ?? 400);
const ROUNDS = 5;
const ROWS = Number(process.env.DOCKGATE_BENCH_ROWS ?? 1_000_000);
const JSON_TYPE = ['Content-Type: application/json'];
const idOf = (n: number) => n.toString(16).padStart(64, '0');

let containers = 10;
let list: Buffer = Buffer.from('[]');
const setContainers = (count: number): void => {
  containers = count;
  list = Buffer.from(
    JSON.stringify(
      Array.from({ length: count }, (_, i) => ({
        Id: idOf(i + 1),
        Names: [`/c${i}`],
        Image: 'busybox',
        State: 'running',
      })),
    ),
  );
};
let made = 0;
const engine = await startScriptedEngine((r) => {
  if (r.target.includes('/events')) r.socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
  else if (r.method === 'POST') r.answer(201, JSON.stringify({ Id: idOf(++made), Warnings: [] }), JSON_TYPE);
  else if (r.target.includes('/version'))
    r.answer(200, '{"ApiVersion":"1.51","MinAPIVersion":"1.24","Components":[{"Name":"Engine"}]}', JSON_TYPE);
  else if (r.target.includes('/images/')) r.answer(200, '{"Id":"sha256:1","RepoTags":["busybox:latest"]}', JSON_TYPE);
  else if (/containers\/[0-9a-f]{64}\/json/.test(r.target)) r.answer(200, '{"Mounts":[]}', JSON_TYPE);
  else if (r.target.includes('/containers/json')) {
    // As the engine does: the ids of the filter, or all there are.
    const filters = new URL(`http://x${r.target}`).searchParams.get('filters');
    const ids = filters === null ? undefined : Object.keys((JSON.parse(filters) as { id?: object }).id ?? {});
    const own = ids?.filter((id) => Number.parseInt(id, 16) >= 1 && Number.parseInt(id, 16) <= containers);
    r.answer(200, own === undefined ? list : JSON.stringify(own.map((Id) => ({ Id, Names: ['/x'] }))), JSON_TYPE);
  } else r.answer(200, r.target.includes('/volumes') ? '{"Volumes":[]}' : '[]', JSON_TYPE);
});

interface Running {
  readonly gateway: OpenEmbedded;
  readonly port: number;
  readonly dir: string;
  readonly startMs: number;
  close(): Promise<void>;
}

async function open(dir = mkdtempSync(join(tmpdir(), 'dg-growth-'))): Promise<Running> {
  const config = createConfig(
    {
      engine: engine.url,
      data: join(dir, 'data'),
      listen: ['http://127.0.0.1:0'],
      limits: {
        connections: 40_000,
        connectionsPerIp: 40_000,
        engineStreams: 40_000,
        calls: 40_000,
        sharePercent: 100,
      },
    },
    { baseDir: dir },
  );
  const from = performance.now();
  const gateway = await embedGateway(config, { log: silentLogger, baseDir: dir });
  const startMs = performance.now() - from;
  const listener = await listen({ kind: 'http', host: '127.0.0.1', port: 0 }, gateway, config.limits, silentLogger);
  return {
    gateway,
    port: listener.port as number,
    dir,
    startMs,
    async close() {
      listener.stop();
      await gateway.close();
      await listener.close();
    },
  };
}

const context = ({ gateway }: Running) => ({ by: LOCAL_OPERATOR, auditId: gateway.admin.newAuditId() });
async function identity(at: Running, name: string, policies: readonly string[], tenant?: string): Promise<string> {
  const given = { name, groups: [], policies: [...policies], ...(tenant === undefined ? {} : { tenant }) };
  await at.gateway.admin.createIdentity(given, context(at));
  return (await at.gateway.admin.createToken({ identity: name, ttlMs: 3_600_000 }, context(at))).token;
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const call = ({ port }: Running, token: string, path: string, method = 'GET'): Promise<void> =>
  new Promise((resolve, reject) => {
    const body = method === 'POST' ? '{"Image":"busybox"}' : '';
    const asked = request(
      {
        agent,
        host: '127.0.0.1',
        port,
        path,
        method,
        headers: { authorization: `Bearer ${token}`, ...(body === '' ? {} : { 'content-type': 'application/json' }) },
      },
      (answer) => {
        answer.resume();
        answer.on('end', () =>
          (answer.statusCode ?? 500) < 300 ? resolve() : reject(new Error(`${path}: ${answer.statusCode}`)),
        );
      },
    );
    asked.on('error', reject);
    asked.end(body);
  });

/** CPU of the whole process per call, in us: the least of some rounds, for others work on the machine too. */
async function cost(one: (i: number) => Promise<void>, calls = CALLS): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 50; i++) await one(i);
  for (let round = 0; round < ROUNDS; round++) {
    const from = process.cpuUsage();
    for (let i = 0; i < calls; i++) await one(i);
    const { user, system } = process.cpuUsage(from);
    best = Math.min(best, (user + system) / calls);
  }
  return best;
}

const tell = (axis: string, what: string, values: readonly (readonly [number, number])[], unit = 'us CPU'): void => {
  const first = values[0]?.[1] ?? 1;
  const line = values.map(([size, value]) => `${size}: ${value.toFixed(value < 10 ? 2 : 0)}`).join('  ');
  const ratio = Math.max(...values.map(([, value]) => value)) / first;
  console.log(
    `${axis.padEnd(11)} ${what.padEnd(28)} ${line} ${unit}  x ${ratio.toFixed(2)}${ratio > 1.3 ? '  GROWS' : ''}`,
  );
};

const axes: Record<string, () => Promise<void>> = {
  async policies() {
    const values: [number, number][] = [];
    const refused: [number, number][] = [];
    for (const count of [1, 5, 200]) {
      const at = await open();
      const sources = Array.from({ length: count }, (_, i) => ({
        kind: 'Policy' as const,
        name: `p${i}`,
        source: `apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: p${i} }\nrules:\n  - name: r\n    effect: allow\n    actions: [container.inspect, container.list]\n    resources: ["container/c${i}-*"]\n`,
      }));
      await at.gateway.admin.applyPolicies(sources, context(at));
      const token = await identity(
        at,
        'ci',
        sources.map(({ name }) => name),
      );
      values.push([count, await cost(() => call(at, token, '/containers/c0-x/json'))]);
      refused.push([count, await cost(() => call(at, token, '/containers/other/json').catch(() => {}))]);
      await at.close();
      rmSync(at.dir, { recursive: true });
    }
    tell('policies', 'inspect, first rule', values);
    tell('policies', 'refusal', refused);
  },
  async containers() {
    const at = await open();
    const red = await identity(at, 'red', ['operator'], 'red');
    for (let i = 0; i < 5; i++) await call(at, red, '/containers/create', 'POST');
    const op = await identity(at, 'op', ['operator']);
    const own: [number, number][] = [];
    const all: [number, number][] = [];
    for (const count of [10, 200, 2000]) {
      setContainers(count);
      own.push([count, await cost(() => call(at, red, '/containers/json?all=1'))]);
      all.push([count, await cost(() => call(at, op, '/containers/json?all=1'), 100)]);
    }
    tell('containers', "a tenant's list, 5 own", own);
    tell('containers', "an operator's list (bytes)", all);
    await at.close();
    rmSync(at.dir, { recursive: true });
  },
  async audit() {
    const values: [number, number][] = [];
    const starts: [number, number][] = [];
    const since: [number, number][] = [];
    for (const count of [0, ROWS / 100, ROWS]) {
      const at = await open();
      const op = await identity(at, 'op', ['operator']);
      await call(at, op, '/containers/c/json');
      await at.close();
      fillAudit(join(at.dir, 'data', 'audit.db'), count);
      const again = await open(at.dir);
      starts.push([count, again.startMs]);
      const token = (await again.gateway.admin.createToken({ identity: 'op', ttlMs: 3_600_000 }, context(again))).token;
      values.push([count, await cost(() => call(again, token, '/containers/c/json'))]);
      const from = performance.now();
      await again.gateway.admin.listAudit?.(
        { since: Date.now() * 1000 - 60e6, action: 'container.stop', limit: 50 },
        LOCAL_OPERATOR,
      );
      since.push([count, performance.now() - from]);
      await again.close();
      rmSync(at.dir, { recursive: true });
    }
    tell('audit', 'inspect', values);
    tell('audit', 'start', starts, 'ms');
    tell('audit', 'ls --since 1m, no hits', since, 'ms');
  },
  async tokens() {
    const at = await open();
    await identity(at, 'ci', ['operator']);
    const tokens: string[] = [];
    const values: [number, number][] = [];
    for (const count of [1, 100, 10_000]) {
      while (tokens.length < count)
        tokens.push((await at.gateway.admin.createToken({ identity: 'ci', ttlMs: 3_600_000 }, context(at))).token);
      // Each was used before: the first use of a token verifies its signature.
      for (const token of tokens.slice(0, 2000)) await call(at, token, '/_ping');
      let next = 0;
      values.push([
        count,
        await cost(() => call(at, tokens[next++ % Math.min(count, 2000)] as string, '/containers/c/json')),
      ]);
    }
    tell('tokens', 'inspect, in turn', values);
    await at.close();
    rmSync(at.dir, { recursive: true });
  },
  async tenants() {
    const at = await open();
    const values: [number, number][] = [];
    const first = await identity(at, 't0', ['operator'], 't0');
    await call(at, first, '/containers/create', 'POST');
    let tenants = 1;
    for (const count of [1, 50, 1000]) {
      for (; tenants < count; tenants++) {
        const token = await identity(at, `t${tenants}`, ['operator'], `t${tenants}`);
        await call(at, token, '/containers/create', 'POST');
      }
      setContainers(made);
      values.push([count, await cost(() => call(at, first, '/containers/json?all=1'))]);
    }
    tell('tenants', 'list, one own container', values);
    await at.close();
    rmSync(at.dir, { recursive: true });
  },
  async streams() {
    const at = await open();
    const tokens: string[] = [];
    for (let i = 0; i < 100; i++) tokens.push(await identity(at, `s${i}`, ['operator']));
    const op = await identity(at, 'op', ['operator']);
    const sockets: net.Socket[] = [];
    const values: [number, number][] = [];
    const memory: string[] = [];
    const rss = () => {
      globalThis.gc?.();
      return process.memoryUsage().rss;
    };
    const base = rss();
    for (const count of [1, 100, 1000, 10_000]) {
      while (sockets.length < count) {
        await new Promise<void>((resolve, reject) => {
          const socket = net.connect({ port: at.port, host: '127.0.0.1' });
          sockets.push(socket);
          socket.on('error', reject).once('data', () => resolve());
          socket.write(
            `GET /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokens[sockets.length % 100]}\r\n\r\n`,
          );
        });
      }
      values.push([count, await cost(() => call(at, op, '/containers/c/json'))]);
      memory.push(`${count}: ${((rss() - base) / count / 1024).toFixed(1)}`);
    }
    tell('streams', 'inspect beside them', values);
    console.log(
      `streams     memory of each, KiB, with both ends of the caller's connection and the stand-in engine's: ${memory.join('  ')}`,
    );
    for (const socket of sockets) socket.destroy();
    await at.close();
    rmSync(at.dir, { recursive: true });
  },
};

/** Copies of the rows that are there, so many more. The chain is not continued: no run verifies it here. */
function fillAudit(file: string, count: number): void {
  if (count === 0) return;
  const sqlite = new Database(file);
  sqlite.pragma('synchronous = OFF');
  const columns = (sqlite.pragma('table_info(audit_event)') as { name: string }[])
    .map(({ name }) => name)
    .filter((name) => !['seq', 'at', 'audit_id', 'stage'].includes(name));
  const first = Number((sqlite.prepare('SELECT max(seq) AS seq FROM audit_event').get() as { seq: number }).seq);
  sqlite.exec(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
     INSERT INTO audit_event (seq, at, audit_id, stage, ${columns.join(', ')})
     SELECT ${first} + i, at - 3600000000 + i, audit_id || '-' || (i / 2), CASE i % 2 WHEN 1 THEN 'intent' ELSE 'complete' END, ${columns.join(', ')}
     FROM n, (SELECT * FROM audit_event ORDER BY seq DESC LIMIT 1)`,
  );
  sqlite.prepare("UPDATE audit_meta SET value = ? WHERE key = 'closed-through'").run(String(first + count));
  sqlite.close();
}

const wanted = process.argv.slice(2);
for (const [name, measure] of Object.entries(axes)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  try {
    await measure();
  } catch (error) {
    console.error(`${name}: ${String((error as Error).stack)}`);
  }
}
agent.destroy();
await engine.close();
process.exit(0);
