// The real engine tests run against, and the real docker CLI. test/run.ts finds or starts one and says so in the
// environment; without one, tests that need it are skipped by name.
import { execFileSync, spawnSync } from 'node:child_process';
import { IS_DENO } from './runtime.ts';

/** Socket of the real engine, or undefined. */
export const ENGINE: string | undefined = engineFrom('DOCKGATE_TEST_DOCKER_HOST');
/** Socket of an engine of the 20.10 line, the oldest served, or undefined. */
export const OLD_ENGINE: string | undefined = engineFrom('DOCKGATE_TEST_DOCKER_HOST_20');
/** Socket of an engine of the newest line, whose images lie in containerd's store, or undefined. */
export const NEW_ENGINE: string | undefined = engineFrom('DOCKGATE_TEST_DOCKER_HOST_NEW');
/** The docker CLI, or undefined. */
export const DOCKER_CLI: string | undefined = process.env.DOCKGATE_TEST_DOCKER_CLI ?? which('docker');
/** Folder of docker-buildx and docker-compose, where the environment names one. */
export const CLI_PLUGINS: string | undefined = process.env.DOCKGATE_TEST_CLI_PLUGINS;

/** Image every engine test may use. */
export const IMAGE = 'busybox:test';

/** `false`, or why tests on a real engine are skipped: for the `skip` option of node:test. */
export const skipWithoutEngine: false | string = ENGINE === undefined ? 'no Docker Engine here' : false;
export const skipWithoutCli: false | string =
  skipWithoutEngine !== false ? skipWithoutEngine : DOCKER_CLI === undefined ? 'no docker CLI here' : false;

export interface EngineLine {
  /** As titles of tests name it: `the engine`, `the 20.10 engine`. */
  readonly line: string;
  readonly socket: string | undefined;
  /** `false`, or why tests on it are skipped. */
  readonly skip: false | string;
}

const lineOf = (line: string, socket: string | undefined, variable: string): EngineLine => ({
  line,
  socket,
  skip: socket === undefined ? `no such engine here: ${variable}` : false,
});
export const NEW_LINE: EngineLine = lineOf('the newest engine', NEW_ENGINE, 'DOCKGATE_TEST_DOCKER_HOST_NEW');
/** Every engine line, at hand or not: for tests that run on each. */
export const ENGINE_LINES: readonly EngineLine[] = [
  { line: 'the engine', socket: ENGINE, skip: skipWithoutEngine },
  lineOf('the 20.10 engine', OLD_ENGINE, 'DOCKGATE_TEST_DOCKER_HOST_20'),
  NEW_LINE,
];
/**
 * Lines for what an engine reads in a minute or more and makes of it the same whatever runtime the gateway has: Deno takes the current
 * one, Node the older and the newest where they are at hand, and else the current one too.
 */
export const LONG_LINES: readonly EngineLine[] = IS_DENO
  ? ENGINE_LINES.slice(0, 1)
  : ENGINE_LINES.slice(1).some(({ skip }) => skip === false)
    ? ENGINE_LINES.slice(1)
    : ENGINE_LINES;

function engineFrom(variable: string): string | undefined {
  const host = process.env[variable];
  if (host === undefined || host === '') return undefined;
  if (!host.startsWith('unix://')) throw new Error(`${variable} must be unix://PATH, not ${host}`);
  return host.slice('unix://'.length);
}

function which(program: string): string | undefined {
  const found = spawnSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' });
  return found.status === 0 ? found.stdout.trim() : undefined;
}

/** Runs the docker CLI straight against the engine, for set-up and proof; returns its output. */
export function dockerDirect(...args: string[]): string {
  return execFileSync(DOCKER_CLI as string, ['-H', `unix://${ENGINE}`, ...args], { encoding: 'utf8', timeout: 60_000 });
}

/** Removes what a test left behind, by name prefix. */
export function removeContainers(prefix: string): void {
  const ids = dockerDirect('ps', '-aq', '--filter', `name=^/?${prefix}`).split('\n').filter(Boolean);
  if (ids.length > 0) dockerDirect('rm', '-fv', ...ids);
}
