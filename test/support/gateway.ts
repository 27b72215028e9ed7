// A dockgate of its own for a test: a child process in the test's runtime, with a data folder that is removed after it.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { DOCKER_CLI } from './engine.ts';
import { dockgateCommand } from './runtime.ts';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface TestGateway {
  readonly dir: string;
  readonly configFile: string;
  readonly port: number;
  readonly process: ChildProcess;
  /** What the gateway wrote to its log so far. */
  log(): string;
  /** Runs `dockgate ... --config FILE`. */
  dockgate(...args: string[]): Promise<Ran>;
  /** Runs `dockgate` and fails when it does. */
  must(...args: string[]): Promise<string>;
  /** A folder for DOCKER_CONFIG and DOCKER_CERT_PATH that carries the identity's token. */
  dockerConfig(token: string): string;
  /** The environment a docker CLI needs to reach the gateway over HTTPS with a token. */
  dockerEnv(token: string): NodeJS.ProcessEnv;
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  /** Starts again with the same data folder, after `stop`. */
  restart(): Promise<void>;
  remove(): Promise<void>;
}

export interface GatewayOptions {
  readonly engine: string;
  readonly settings?: Record<string, unknown>;
  readonly unix?: readonly { name: string; identity: string }[];
  readonly dir?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Shell commands before the program takes the shell's place: `ulimit -f 1024`. */
  readonly wrap?: string;
  /** Program and first arguments in place of those of the test's own runtime. */
  readonly command?: readonly [string, readonly string[]];
}

/** Runs a command to its end; never throws for an exit code. */
export function run(
  command: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; input?: string | Buffer; timeoutMs?: number; uid?: number } = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(
      command,
      args,
      {
        env: options.env ?? process.env,
        timeout: options.timeoutMs ?? 60_000,
        ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
        killSignal: 'SIGKILL',
        maxBuffer: 256 * 1024 * 1024,
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, stdout, stderr });
      },
    );
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');
  });
}

/** Starts a gateway on a free port and waits until it is ready. */
export async function startGateway(options: GatewayOptions): Promise<TestGateway> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'dg-'));
  const configFile = join(dir, 'dockgate.yaml');
  writeFileSync(
    configFile,
    stringify({
      engine: options.engine.includes('://') ? options.engine : `unix://${options.engine}`,
      data: './data',
      listen: [
        'https://127.0.0.1:0',
        ...(options.unix ?? []).map(({ name, identity }) => ({ unix: `./${name}.sock`, mode: '0600', identity })),
      ],
      log: { level: 'info' },
      ...options.settings,
    }),
  );
  let child!: ChildProcess;
  let port = 0;
  let output = '';
  const launch = async () => {
    const [command, args] = options.command ?? dockgateCommand();
    const serve = [command, ...args, 'serve', '--config', configFile];
    const [program = '', ...rest] =
      options.wrap === undefined ? serve : ['sh', '-c', `${options.wrap}; exec "$0" "$@"`, ...serve];
    child = spawn(program, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    });
    output = '';
    port = await new Promise<number>((resolve, reject) => {
      const timer = setTimeout(() => {
        // No test has a handle on it, so it would run on.
        if (child.pid !== undefined) process.kill(child.pid, 'SIGKILL');
        reject(new Error(`the gateway was not ready in time:\n${output}`));
      }, 30_000);
      const onData = (data: Buffer) => {
        output += data.toString();
        const ready = /"port":(\d+).*"msg":"listening"/.exec(output);
        if (ready !== null && output.includes('"msg":"ready"')) {
          clearTimeout(timer);
          resolve(Number(ready[1]));
        }
      };
      child.stdout?.on('data', onData);
      child.stderr?.on('data', onData);
      child.once('exit', (code) => {
        clearTimeout(timer);
        reject(new Error(`the gateway ended with ${code}:\n${output}`));
      });
    });
  };
  await launch();

  const dockgate = (...args: string[]) => {
    const [command, first] = dockgateCommand();
    return run(command, [...first, ...args, '--config', configFile]);
  };
  const gateway: TestGateway = {
    dir,
    configFile,
    get port() {
      return port;
    },
    get process() {
      return child;
    },
    log: () => output,
    dockgate,
    async must(...args) {
      const ran = await dockgate(...args);
      if (ran.code !== 0)
        throw new Error(`dockgate ${args.join(' ')} ended with ${ran.code}: ${ran.stderr}${ran.stdout}`);
      return ran.stdout.trim();
    },
    dockerConfig(token) {
      const folder = mkdtempSync(join(dir, 'docker-'));
      writeFileSync(join(folder, 'config.json'), JSON.stringify({ HttpHeaders: { Authorization: `Bearer ${token}` } }));
      writeFileSync(join(folder, 'ca.pem'), readFileSync(join(dir, 'data', 'ca.pem')));
      return folder;
    },
    dockerEnv(token) {
      const folder = this.dockerConfig(token);
      return {
        PATH: process.env.PATH,
        HOME: folder,
        DOCKER_CONFIG: folder,
        DOCKER_CERT_PATH: folder,
        DOCKER_TLS_VERIFY: '1',
        DOCKER_HOST: `tcp://127.0.0.1:${port}`,
      };
    },
    async stop(signal = 'SIGTERM') {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
      child.kill(signal);
      return ended;
    },
    restart: launch,
    async remove() {
      await gateway.stop('SIGTERM');
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return gateway;
}

/** Runs the docker CLI with an environment from `dockerEnv`. */
export const docker = (env: NodeJS.ProcessEnv, args: readonly string[], input?: string | Buffer): Promise<Ran> =>
  run(DOCKER_CLI as string, args, { env, ...(input === undefined ? {} : { input }) });
