// What is measured side by side: the engine itself, dockgate with the full stack on, and HAProxy where it is installed,
// with an allow rule for the same calls. All in front of one real engine, over plain HTTP on loopback.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { ROOT } from '../test/support/runtime.ts';
import type { LoadJob } from './load.ts';

export interface Target {
  /** `dockgate` and `haproxy`, with what makes them another: `dockgate durable`, `dockgate unix`, `haproxy tls`. */
  readonly name: string;
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

/** What the widespread socket proxy lets be switched on by name: one rule each, in this order. */
const SECTIONS = [
  ...['auth', 'build', 'commit', 'configs', 'containers', 'distribution', 'events', 'exec', 'grpc', 'images', 'info'],
  ...['networks', 'nodes', '_ping', 'plugins', 'secrets', 'services', 'session', 'swarm', 'system', 'tasks', 'version'],
  'volumes',
];

/** One rule for a path, allowed where its variable says so: every call walks them until one fits. */
const pathRule = (path: string, variable: string): string =>
  `  http-request allow if { path,url_dec -m reg -i ^(/v[\\d\\.]+)?/${path} } { env(${variable}) -m bool }`;

/**
 * HAProxy as the widespread socket proxy has it: a rule with a test of the environment for each section, a line of log for each
 * call (here to no log server), a new connection to the engine each time. Beside the plain listener one with TLS.
 */
export async function haproxy(engine: string): Promise<readonly Target[]> {
  if (spawnSync('sh', ['-c', 'command -v haproxy && command -v openssl']).status !== 0) return [];
  const dir = mkdtempSync(join(tmpdir(), 'dg-haproxy-'));
  const [port, tlsPort] = [await freePort(), await freePort()];
  const [file, pem, key] = [join(dir, 'haproxy.cfg'), join(dir, 'both.pem'), join(dir, 'key.pem')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
  spawnSync('openssl', ['req', '-x509', ...curve, '-subj', '/CN=localhost', '-keyout', key, '-out', pem]);
  appendFileSync(pem, readFileSync(key));
  writeFileSync(
    file,
    `global
  log stdout format raw daemon info
  maxconn 4096
defaults
  mode http
  log global
  option httplog
  option dontlognull
  option http-server-close
  option redispatch
  retries 3
  timeout http-request 10s
  timeout queue 1m
  timeout connect 10s
  timeout client 10m
  timeout server 10m
  timeout tunnel 1h
backend engine
  server engine ${engine}
frontend in
  bind 127.0.0.1:${port}
  bind 127.0.0.1:${tlsPort} ssl crt ${pem} alpn http/1.1
  http-request deny unless METH_GET || { env(POST) -m bool }
${pathRule('containers/[a-zA-Z0-9_.-]+/((stop)|(restart)|(kill))', 'ALLOW_RESTARTS')}
${pathRule('containers/[a-zA-Z0-9_.-]+/start', 'ALLOW_START')}
${SECTIONS.map((name) => pathRule(name, name.toUpperCase())).join('\n')}
  http-request deny
  default_backend engine
`,
  );
  const allowed = { POST: '1', CONTAINERS: '1', EXEC: '1', EVENTS: '1', PING: '1', VERSION: '1' };
  const child = spawn('haproxy', ['-f', file, '-db'], { stdio: 'ignore', env: { ...process.env, ...allowed } });
  await reachable({ host: '127.0.0.1', port });
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) await killed(child);
    rmSync(dir, { recursive: true, force: true });
  };
  const shared = { headers: '', pid: child.pid, stop };
  return [
    { name: 'haproxy', to: { host: '127.0.0.1', port }, ...shared },
    { name: 'haproxy tls', to: { host: '127.0.0.1', port: tlsPort, isTls: true }, ...shared },
  ];
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

/**
 * dockgate from its bundle: token, policy, plugin and audit on. By default on three listeners, plain, unix and TLS.
 *
 * @param options `reads: durable` has its name, and the plain listener alone
 */
export async function dockgate(
  engine: string,
  options: { policy?: string; reads?: 'durable' } = {},
): Promise<{ readonly dir: string; readonly targets: readonly Target[]; readonly idleMiB: number }> {
  const dir = mkdtempSync(join(tmpdir(), 'dg-bench-'));
  const [port, tlsPort] = [await freePort(), await freePort()];
  const config = join(dir, 'dockgate.yaml');
  const unix = join(dir, 'docker.sock');
  const isDurable = options.reads === 'durable';
  writeFileSync(
    config,
    stringify({
      engine: `unix://${engine}`,
      data: './data',
      listen: [
        `http://127.0.0.1:${port}`,
        ...(isDurable ? [] : [`https://127.0.0.1:${tlsPort}`, { unix, mode: '0600' }]),
      ],
      plugins: [{ use: 'no-privileged' }],
      log: { level: 'warn' },
      ...(isDurable ? { audit: { reads: 'durable' } } : {}),
    }),
  );
  const main = (args: readonly string[]): string[] => [
    // As `npm start` and the image have it.
    '--max-semi-space-size=2',
    '--eval',
    `import('${ROOT}dist/cli.js').then((c) => c.main(${JSON.stringify([...args, '--config', config])}))`,
  ];
  const child = spawn(process.execPath, main(['serve']), { stdio: ['ignore', 'ignore', 'inherit'] });
  await reachable({ host: '127.0.0.1', port });
  const cli = (...args: string[]): string => {
    const ran = spawnSync(process.execPath, main(args), { encoding: 'utf8' });
    if (ran.status !== 0) throw new Error(`dockgate ${args.join(' ')}: ${ran.stderr}`);
    return ran.stdout.trim();
  };
  cli('identity', 'create', 'bench', '--policy', options.policy ?? 'operator');
  const token = cli('token', 'create', 'bench', '--ttl', '1h');
  const shared = {
    headers: `Authorization: Bearer ${token}\r\n`,
    pid: child.pid,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        process.kill(child.pid as number, 'SIGTERM');
        await ended(child);
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
  const plain = { host: '127.0.0.1', port };
  await new Promise((resolve) => setTimeout(resolve, 1500));
  return {
    dir,
    idleMiB: residentMiB(child.pid),
    targets: isDurable
      ? [{ name: 'dockgate durable', to: plain, ...shared }]
      : [
          { name: 'dockgate', to: plain, ...shared },
          { name: 'dockgate unix', to: { path: unix }, ...shared },
          { name: 'dockgate tls', to: { host: '127.0.0.1', port: tlsPort, isTls: true }, ...shared },
        ],
  };
}

/** The process of the engine behind a socket, where it is on this machine and its command line names the socket's folder. */
export function enginePid(socket: string): number | undefined {
  for (const name of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(name)) continue;
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, 'latin1');
      const isDefault = socket === '/var/run/docker.sock' || socket === '/run/docker.sock';
      if (/^[^\0]*dockerd\0/.test(command) && (isDefault || command.includes(socket))) return Number(name);
    } catch {
      // gone meanwhile, or another user's
    }
  }
  return undefined;
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

/** CPU of a process so far, in microseconds (Linux), of all threads there are; 0 elsewhere. */
export function cpuMicros(pid: number | undefined): number {
  if (pid === undefined) return 0;
  let nanos = 0;
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`))
      nanos += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]);
  } catch {
    // a thread that ended meanwhile
  }
  return nanos / 1000;
}

/** Resident memory of a process in MiB (Linux); 0 elsewhere. */
export function residentMiB(pid: number | undefined): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}
