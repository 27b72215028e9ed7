// Many idle streams: `docker events` and `logs -f` of a hundred identities, held open. The gateway runs in this process, so that its memory is
// told from that of the callers and the engine, which are processes of their own; the engine is a STAND-IN that answers a head and then
// nothing, for a real one needs a thread or more of its own for each. `npm run bench:streams [COUNT]`; needs descriptors: `ulimit -n 65536`.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LOCAL_OPERATOR } from '../src/admin/services.ts';
import { embedGateway } from '../src/app/embed.ts';
import { createConfig } from '../src/config/config.ts';
import { silentLogger } from '../src/log.ts';
import { listen } from '../src/runtime/listen.ts';

const CLIENTS = 5;
const IDENTITIES = 100;
const MOST_KIB = 32;
const [role = '', ...given] = process.argv.slice(2);
const HEAD = 'HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nContent-Type: application/json\r\n';
const VERSION = '{"ApiVersion":"1.51","MinAPIVersion":"1.24","Components":[{"Name":"Engine"}]}';

/** A bare engine at a path. */
function engine(path: string): void {
  net
    .createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (data) => {
        const line = data.toString('latin1', 0, 200);
        const body = line.includes('/version') ? VERSION : '[]';
        const isStream = line.includes('/events') || line.includes('/logs');
        socket.write(
          isStream
            ? `${HEAD}Transfer-Encoding: chunked\r\n\r\n`
            : `${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`,
        );
      });
    })
    .listen({ path, backlog: 4096 }, () => console.log('ready'));
}

/** Opens streams, some at a time, from an address of its own; holds them until it is killed. */
function client(from: string, port: string, count: number, tokens: readonly string[]): void {
  let begun = 0;
  let open = 0;
  const next = (): void => {
    if (begun === count) return;
    const i = begun++;
    const socket = net.connect({ port: Number(port), host: '127.0.0.1', localAddress: from });
    const path = i % 2 === 0 ? '/events' : '/containers/c/logs?follow=1&stdout=1';
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokens[i % tokens.length]}\r\n\r\n`);
    socket.once('data', (data) => {
      if (!data.toString('latin1').startsWith('HTTP/1.1 200')) throw new Error(data.toString());
      open++;
      if (open === count) console.log('ready');
      next();
    });
    socket.on('error', (error) => {
      throw error;
    });
  };
  for (let i = 0; i < 20; i++) next();
}

const started = (args: readonly string[]): Promise<ChildProcess> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [new URL(import.meta.url).pathname, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child.stdout?.once('data', () => resolve(child));
    child.once('exit', (code) => reject(new Error(`${args[0]} ended with ${code}`)));
  });

const memory = async (): Promise<{ rss: number; used: number }> => {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, used: heapUsed + external };
};

async function measure(count: number): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'dg-streams-'));
  const children = [await started(['engine', join(dir, 'engine.sock')])];
  const limits = { connections: 60_000, connectionsPerIp: 60_000, engineStreams: 60_000, calls: 60_000 };
  const config = createConfig(
    {
      engine: `unix://${join(dir, 'engine.sock')}`,
      data: join(dir, 'data'),
      listen: ['http://127.0.0.1:0'],
      limits: { ...limits, sharePercent: 100 },
    },
    { baseDir: dir },
  );
  const gateway = await embedGateway(config, { log: silentLogger, baseDir: dir });
  const listener = await listen({ kind: 'http', host: '127.0.0.1', port: 0 }, gateway, config.limits, silentLogger);
  const context = () => ({ by: LOCAL_OPERATOR, auditId: gateway.admin.newAuditId() });
  const tokens: string[] = [];
  for (let i = 0; i < IDENTITIES; i++) {
    await gateway.admin.createIdentity({ name: `s${i}`, groups: [], policies: ['operator'] }, context());
    tokens.push((await gateway.admin.createToken({ identity: `s${i}`, ttlMs: 3_600_000 }, context())).token);
  }
  const file = join(dir, 'tokens.json');
  writeFileSync(file, JSON.stringify(tokens));
  const port = String(listener.port);
  // A hundred of each kind first: what is made once does not count for each.
  children.push(await started(['client', '127.0.0.2', port, '200', file]));
  const times = { before: await good(port, tokens[0] as string), beside: 0 };
  const base = await memory();
  const cpu = process.cpuUsage();
  const each = Math.ceil(count / CLIENTS);
  children.push(
    ...(await Promise.all(
      Array.from({ length: CLIENTS }, (_, i) => started(['client', `127.0.0.${i + 3}`, port, String(each), file])),
    )),
  );
  const { user, system } = process.cpuUsage(cpu);
  const full = await memory();
  times.beside = await good(port, tokens[0] as string);
  const kib = (one: number): string => (one / (each * CLIENTS) / 1024).toFixed(1);
  const rss = full.rss - base.rss;
  console.log(
    `${each * CLIENTS} idle streams of ${IDENTITIES} identities: ${kib(rss)} KiB resident each, of it ${kib(full.used - base.used)} KiB of objects and ` +
      `buffers; ${((user + system) / each / CLIENTS).toFixed(0)} us CPU to open one; ${readdirSync('/proc/self/fd').length} descriptors; ` +
      `a call beside them ${times.beside.toFixed(2)} ms at the median, ${times.before.toFixed(2)} before${rss / (each * CLIENTS) / 1024 > MOST_KIB ? '  TOO MUCH' : ''}`,
  );
  for (const child of children) child.kill('SIGKILL');
  listener.stop();
  await gateway.close();
  await listener.close();
  rmSync(dir, { recursive: true, force: true });
  process.exit(0);
}

/** The median of a hundred small calls, in ms. */
async function good(port: string, token: string): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 100; i++) {
    const from = performance.now();
    const answer = await fetch(`http://127.0.0.1:${port}/containers/json`, {
      headers: { authorization: `Bearer ${token}` },
    });
    await answer.text();
    times.push(performance.now() - from);
  }
  return times.sort((a, b) => a - b)[50] as number;
}

if (role === 'engine') engine(given[0] as string);
else if (role === 'client') {
  client(
    given[0] as string,
    given[1] as string,
    Number(given[2]),
    JSON.parse(readFileSync(given[3] as string, 'utf8')),
  );
} else await measure(Number(role || 10_000));
