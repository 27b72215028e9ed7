// How a module is run in a process of its own: by the runtime this process is in, or by Deno wherever it lies.
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runtime } from './runtime.ts';

/** Program and arguments of this very runtime with all rights; a module's path and its arguments follow. */
export function thisRuntime(options: {
  readonly heapMib: number;
  readonly denoFlags?: readonly string[];
}): [string, string[]] {
  const heap = `--max-old-space-size=${options.heapMib}`;
  return runtime.name === 'node'
    ? [process.execPath, [heap, '--disable-warning=ExperimentalWarning']]
    : [process.execPath, ['run', '-A', '--no-check', '--quiet', `--v8-flags=${heap}`, ...(options.denoFlags ?? [])]];
}

/** Path of Deno: this very runtime, on the PATH, or installed beside this program. Undefined where there is none. */
export function denoProgram(): string | undefined {
  if (runtime.name === 'deno') return process.execPath;
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter),
    ...ancestors(dirname(fileURLToPath(import.meta.url))).map((folder) => join(folder, 'node_modules', '.bin')),
  ];
  return folders.map((folder) => join(folder, 'deno')).find((path) => existsSync(path));
}

function ancestors(folder: string): string[] {
  const up = dirname(folder);
  return up === folder ? [folder] : [folder, ...ancestors(up)];
}
