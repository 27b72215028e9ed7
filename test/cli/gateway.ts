// A gateway for the command line to talk to: the admin app over in-memory stores on a real socket, and a way to run the CLI.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { Readable } from 'node:stream';
import { createAdminApp } from '../../src/admin/app.ts';
import { type AdminCaller, LOCAL_OPERATOR } from '../../src/admin/services.ts';
import { createFakes, type Fakes } from '../admin/fakes.ts';
import { dockgateCommand } from '../support/runtime.ts';

export { ROOT } from '../support/runtime.ts';

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly input?: string;
  /** Called with all of stdout so far; true ends the program with SIGINT. */
  readonly until?: (stdout: string) => boolean;
}

/** Runs the CLI in the runtime the test runs in, as its user would. */
export const runCli = (args: readonly string[], options: RunOptions = {}): Promise<Finished> => {
  const [program, before] = dockgateCommand();
  const { DOCKGATE_CONFIG: _c, DOCKGATE_DATA: _d, DOCKGATE_HOST: _h, DOCKGATE_TOKEN: _t, ...inherited } = process.env;
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...before, ...args], {
      cwd: options.cwd ?? tmpdir(),
      env: { ...inherited, NO_COLOR: '1', ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    let interrupted = false;
    child.stdout.on('data', (chunk: Uint8Array) => {
      stdout += Buffer.from(chunk).toString('utf8');
      // Once: a second one could meet the program after it let go of its handler.
      if (interrupted || !options.until?.(stdout)) return;
      interrupted = true;
      // Not child.kill(): Deno would then report the signal, whatever the program made of it.
      if (child.pid !== undefined) process.kill(child.pid, 'SIGINT');
    });
    child.stderr.on('data', (chunk: Uint8Array) => {
      stderr += Buffer.from(chunk).toString('utf8');
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
};

/** Serves the app over one node:http(s) request. */
export const handlerOf =
  (
    app: ReturnType<typeof createAdminApp>,
    callerOf: (request: http.IncomingMessage) => AdminCaller | undefined,
  ): http.RequestListener =>
  (request, response) => {
    void (async () => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of request as AsyncIterable<Uint8Array>) chunks.push(chunk);
      const body = Buffer.concat(chunks);
      const caller = callerOf(request);
      const answer = await app.fetch(
        new Request(`http://localhost${request.url}`, {
          method: request.method ?? 'GET',
          headers: Object.entries(request.headers).map(([name, value]) => [name, String(value)] as [string, string]),
          ...(body.length > 0 ? { body } : {}),
        }),
        caller ? { caller } : {},
      );
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      if (!answer.body) return response.end();
      const source = Readable.fromWeb(answer.body as Parameters<typeof Readable.fromWeb>[0]);
      source.on('error', () => response.destroy());
      response.on('close', () => source.destroy());
      return source.pipe(response);
    })().catch(() => response.destroy());
  };

export interface TestGateway extends Fakes {
  readonly dir: string;
  /** `--data` of this gateway. */
  readonly data: string;
  cli(args: readonly string[], options?: RunOptions): Promise<Finished>;
  close(): Promise<void>;
}

/** Starts the admin app on `admin.sock` in a folder of its own. */
export const startGateway = async (): Promise<TestGateway> => {
  const dir = mkdtempSync(join(tmpdir(), 'dockgate-cli-'));
  const fakes = createFakes({ now: () => Date.now() });
  const app = createAdminApp(fakes.services);
  const server = http.createServer(handlerOf(app, () => LOCAL_OPERATOR));
  await new Promise<void>((resolve) => server.listen(join(dir, 'admin.sock'), resolve));
  return {
    ...fakes,
    dir,
    data: dir,
    cli: (args, options) => runCli(['--data', dir, ...args], options),
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      rmSync(dir, { recursive: true, force: true });
    },
  };
};
