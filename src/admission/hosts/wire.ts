// The gateway's end of a plugin that runs as an ordinary module: in a thread (shipped plugins), in a process of this runtime
// with all its rights (trusted), or in a Deno process that has the granted permissions and no others (process). A thread
// that runs out of memory inside a built-in takes Node's whole process with it, so only our own plugins run in one.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { denoProgram, thisRuntime } from '../../runtime/programs.ts';
import type { Grants } from './capabilities.ts';
import { PluginRefused } from './describe.ts';
import { programUrl } from './programs.ts';
import type { FromGuest, ToGuest } from './protocol.ts';
import { envOf } from './use.ts';

/** Longest line a process may send, in characters. */
const MAX_LINE = 512 * 1024;
/** Memory of a plugin's process, in MiB. */
const PROCESS_HEAP_MIB = 64;
const TRUSTED_HEAP_MIB = 128;

export interface Wire {
  post(message: ToGuest): void;
  /** Ends the other side at once. */
  kill(): void;
}

export interface WireEvents {
  onMessage(message: FromGuest): void;
  /** Once, however it ended. */
  onEnd(why: string): void;
}

/** Runs a module in a thread of this process, with all its rights. */
export function threadWire(entry: string, { onMessage, onEnd }: WireEvents): Wire {
  const worker = new Worker(programUrl('native-runner'), {
    workerData: { module: entry, face: faceUrl().href },
    resourceLimits: { maxOldGenerationSizeMb: TRUSTED_HEAP_MIB },
  });
  worker.unref();
  let isOver = false;
  const over = (why: string) => {
    if (isOver) return;
    isOver = true;
    onEnd(why);
  };
  worker.on('message', (message: FromGuest) => onMessage(message));
  worker.on('error', (error) => over(`its thread ended: ${error.message}`));
  worker.on('exit', () => over('its thread ended'));
  return {
    post: (message) => worker.postMessage(message),
    kill: () => void worker.terminate(),
  };
}

/** Runs a module in a process of its own: of this runtime with all rights, or of Deno with the granted ones. */
export function processWire(
  entry: string,
  grants: Grants,
  files: readonly string[],
  rights: 'all' | 'granted',
  { onMessage, onEnd }: WireEvents,
): Wire {
  const home = mkdtempSync(join(tmpdir(), 'dockgate-plugin-'));
  const [program, args] = rights === 'all' ? ownProgram(entry) : [denoOrRefuse(), denoArguments(entry, grants, files)];
  const env =
    rights === 'all'
      ? process.env
      : {
          ...envOf(grants),
          HOME: home,
          DENO_DIR: join(home, 'deno'),
          DENO_NO_UPDATE_CHECK: '1',
          NO_COLOR: '1',
          PATH: process.env.PATH ?? '',
        };
  // A group of its own: npm's `deno` is a script that starts the real one, and both must end.
  const child = spawn(program, args, { cwd: home, env, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  let isOver = false;
  let told = '';
  const over = (why: string) => {
    if (isOver) return;
    isOver = true;
    killGroup(child);
    rmSync(home, { recursive: true, force: true });
    onEnd(why);
  };
  let rest = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (chunk: string) => {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE) return over(`it sent a line of more than ${MAX_LINE} characters`);
    for (const line of lines) {
      if (isOver) return;
      try {
        onMessage(JSON.parse(line) as FromGuest);
      } catch {
        return over('it sent what cannot be read');
      }
    }
  });
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (chunk: string) => {
    told = `${told}${chunk}`.slice(-1000);
  });
  child.on('error', (error) => over(`its process could not be started: ${error.message}`));
  child.on('exit', (code, signal) =>
    over(`its process ended (${signal ?? code})${told === '' ? '' : `: ${told.trim()}`}`),
  );
  child.stdin.on('error', () => over('its process takes no messages'));
  return {
    post: (message) => void (isOver || child.stdin.write(`${JSON.stringify(message)}\n`)),
    kill: () => over('it was ended'),
  };
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}

/** This very runtime, with the rights of this process. */
function ownProgram(entry: string): [string, string[]] {
  const [program, args] = thisRuntime({ heapMib: TRUSTED_HEAP_MIB, denoFlags: [faceMap()] });
  return [program, [...args, fileURLToPath(programUrl('native-runner')), entry, faceUrl().href]];
}

/** What `dockgate/plugin` is for a plugin. */
const faceUrl = (): URL => programUrl('../../plugin', './plugin');

const faceMap = (): string =>
  `--import-map=data:application/json,${encodeURIComponent(JSON.stringify({ imports: { 'dockgate/plugin': faceUrl().href } }))}`;

function denoOrRefuse(): string {
  const found = denoProgram();
  if (found === undefined) throw new PluginRefused('tier process needs Deno: npm install deno, or put it on the PATH');
  return found;
}

function denoArguments(entry: string, grants: Grants, files: readonly string[]): string[] {
  const runner = programUrl('native-runner');
  const face = faceUrl();
  // Of the plugin its modules alone: what else lies in its folder may be a key.
  const own = [...files, dirname(fileURLToPath(runner)), dirname(fileURLToPath(face))];
  const granted = (prefix: string) =>
    [...grants].filter((g) => g.startsWith(prefix)).map((g) => g.slice(prefix.length));
  const flag = (name: string, values: readonly string[]) =>
    values.length === 0 ? [] : [`--allow-${name}=${values.join(',')}`];
  return [
    'run',
    '--no-prompt',
    '--no-check',
    '--no-lock',
    '--no-remote',
    '--quiet',
    `--v8-flags=--max-old-space-size=${PROCESS_HEAP_MIB}`,
    faceMap(),
    ...flag('read', [...own, ...granted('read:')]),
    ...flag('write', granted('write:')),
    ...flag(
      'net',
      granted('net:').map((host) => host.replace(/^https?:\/\//, '')),
    ),
    ...flag('env', granted('env:')),
    ...flag('run', granted('run:')),
    runner.href,
    entry,
  ];
}
