// What is measured side by side: the engine itself, dockgate with the full stack on, and HAProxy where it is installed,
// with an allow rule for the same calls. All in front of one real engine, over plain HTTP on loopback.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { ROOT } from '../test/support/runtime.ts';
import type { LoadJob } from './load.ts';

export interface Target {
  readonly name: 'direct' | 'haproxy' | 'bare' | 'dockgate';
  readonly to: LoadJob['to'];
  /** Header lines this target needs, each with its line end. */
  readonly headers: string;
  readonly pid: number | undefined;
  stop(): Promise<void>;
}

export const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });

const ended = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null ? Promise.resolve() : new Promise((resolve) => child.once('exit', () => resolve()));

const killed = (child: ChildProcess): Promise<void> => {
  child.kill('SIGKILL');
  return ended(child);
};

export const direct = (socketPath: string): Target => ({
  name: 'direct',
  to: { path: socketPath },
  headers: '',
  pid: undefined,
  stop: async () => {},
});

/** The widespread HAProxy socket proxy's way: match version and path, allow or deny, a new engine connection each time. */
export async function haproxy(engine: string): Promise<Target | undefined> {
  if (spawnSync('sh', ['-c', 'command -v haproxy']).status !== 0) return undefined;
  const dir = mkdtempSync(join(tmpdir(), 'dg-haproxy-'));
  const port = await freePort();
  const file = join(dir, 'haproxy.cfg');
  writeFileSync(
    file,
    `global
  maxconn 4096
defaults
  mode http
  option http-server-close
  option redispatch
  timeout http-request 10s
  timeout connect 10s
  timeout client 10m
  timeout server 10m
  timeout tunnel 1h
backend engine
  server engine ${engine}
frontend in
  bind 127.0.0.1:${port}
  http-request deny unless METH_GET || METH_HEAD || METH_POST || METH_PUT || METH_DELETE
  http-request allow if { path,url_dec -m reg -i ^(/v[\\d\\.]+)?/containers }
  http-request allow if { path,url_dec -m reg -i ^(/v[\\d\\.]+)?/exec }
  http-request allow if { path,url_dec -m reg -i ^(/v[\\d\\.]+)?/_ping }
  http-request deny
  default_backend engine
`,
  );
  const child = spawn('haproxy', ['-f', file, '-db'], { stdio: 'ignore' });
  await reachable({ host: '127.0.0.1', port });
  return {
    name: 'haproxy',
    to: { host: '127.0.0.1', port },
    headers: '',
    pid: child.pid,
    async stop() {
      await killed(child);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** The floor under any gateway on node:http: bench/bare.ts. */
export async function bare(engine: string): Promise<Target> {
  const port = await freePort();
  const child = spawn(process.execPath, [`${ROOT}bench/bare.ts`, engine, String(port)], { stdio: 'inherit' });
  await reachable({ host: '127.0.0.1', port });
  return {
    name: 'bare',
    to: { host: '127.0.0.1', port },
    headers: '',
    pid: child.pid,
    stop: () => killed(child),
  };
}

/** dockgate from its bundle where there is one: token, policy, plugin and durable audit on. */
export async function dockgate(engine: string, options: { policy?: string } = {}): Promise<Target & { dir: string }> {
  const dir = mkdtempSync(join(tmpdir(), 'dg-bench-'));
  const port = await freePort();
  const config = join(dir, 'dockgate.yaml');
  writeFileSync(
    config,
    stringify({
      engine: `unix://${engine}`,
      data: './data',
      listen: [`http://127.0.0.1:${port}`],
      plugins: [{ use: 'no-privileged' }],
      log: { level: 'warn' },
    }),
  );
  const bundle = `${ROOT}dist/cli.js`;
  const command = existsSync(bundle)
    ? ['--eval', `import('${bundle}').then((c) => c.main(['serve', '--config', '${config}']))`]
    : [`${ROOT}bin/dockgate.js`, 'serve', '--config', config];
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'ignore', 'inherit'] });
  await reachable({ host: '127.0.0.1', port });
  const cli = (...args: string[]): string => {
    const ran = spawnSync(process.execPath, [`${ROOT}bin/dockgate.js`, ...args, '--config', config], {
      encoding: 'utf8',
    });
    if (ran.status !== 0) throw new Error(`dockgate ${args.join(' ')}: ${ran.stderr}`);
    return ran.stdout.trim();
  };
  cli('identity', 'create', 'bench', '--policy', options.policy ?? 'operator');
  const token = cli('token', 'create', 'bench', '--ttl', '1h');
  return {
    name: 'dockgate',
    dir,
    to: { host: '127.0.0.1', port },
    headers: `Authorization: Bearer ${token}\r\n`,
    pid: child.pid,
    async stop() {
      child.kill('SIGTERM');
      await ended(child);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export async function reachable(to: { host: string; port: number }): Promise<void> {
  for (let i = 0; i < 400; i++) {
    const ok = await new Promise<boolean>((resolve) => {
      const socket = net.connect(to.port, to.host, () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
    if (ok) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`nothing listens on ${to.host}:${to.port}`);
}

/** User and system CPU of a process so far, in microseconds (Linux), threads included; 0 elsewhere. */
export function cpuMicros(pid: number | undefined): number {
  if (pid === undefined) return 0;
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  } catch {
    return 0;
  }
}

/** Resident memory of a process in MiB (Linux); 0 elsewhere. */
export function residentMiB(pid: number | undefined): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}
