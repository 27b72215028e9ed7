// Runs `dockgate connect` for a test, in the test's runtime.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dockgateCommand } from '../support/runtime.ts';

export interface Connected {
  readonly socket: string;
  readonly process: ChildProcess;
  /** What it wrote to standard error so far. */
  log(): string;
  stop(): Promise<number | null>;
}

/** Starts it on a socket of its own and waits until it serves. */
export async function startConnect(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Connected> {
  const dir = mkdtempSync(join(tmpdir(), 'dg-co-'));
  const socket = join(dir, 'c.sock');
  const [command, first] = dockgateCommand();
  const child = spawn(command, [...first, 'connect', ...args, '--socket', socket], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let output = '';
  let errors = '';
  child.stderr.on('data', (data: Buffer) => {
    errors += data.toString();
  });
  let isOver = false;
  const exited = new Promise<number | null>((resolve) =>
    child.once('exit', (code) => {
      isOver = true;
      resolve(code);
    }),
  );
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
      if (output.includes(`DOCKER_HOST=unix://${socket}\n`)) resolve();
    });
    void exited.then((code) => reject(new Error(`connect ended with ${code}: ${errors}`)));
  });
  return {
    socket,
    process: child,
    log: () => errors,
    async stop() {
      // Not child.kill(): Deno would then report the signal, whatever the program made of it.
      if (!isOver) process.kill(child.pid as number, 'SIGTERM');
      const code = await exited;
      rmSync(dir, { recursive: true, force: true });
      return code;
    },
  };
}
