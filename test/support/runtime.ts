// How tests start this program and which runtime they are in.
import { fileURLToPath } from 'node:url';

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));
export const IS_DENO: boolean = 'Deno' in globalThis;

/**
 * Command and first arguments that run dockgate's CLI in the runtime of the test: on Deno from source, on Node the bundle
 * that test/run.ts made, which is what is published; without one from source too.
 */
export function dockgateCommand(): [string, string[]] {
  return IS_DENO
    ? [process.execPath, ['run', '-A', '--no-check', `${ROOT}src/cli/main.ts`]]
    : [process.execPath, [process.env.DOCKGATE_TEST_PROGRAM ?? `${ROOT}bin/dockgate.js`]];
}

/** Arguments that run a script of ours in the runtime of the test. */
export function scriptCommand(script: string): [string, string[]] {
  return IS_DENO ? [process.execPath, ['run', '-A', '--no-check', script]] : [process.execPath, [script]];
}
