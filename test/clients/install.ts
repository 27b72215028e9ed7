// Fetches the client libraries the tests in this folder drive, from PyPI, npm and the Go module proxy, into a folder beside
// node_modules' own caches: `node test/clients/install.ts`. What cannot be had is told, and its tests are skipped by name.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../support/runtime.ts';

const KIT = join(ROOT, 'node_modules', '.cache', 'client-kit');
const DOCKER_PY = 'docker==7.1.0';
const NPM = ['dockerode@5.0.1', 'testcontainers@12.2.0'];
/** Longest one installer may take, in ms. */
const TIMEOUT_MS = 180_000;

/** Source of the program that uses the Go SDK. */
const GO_SOURCE = join(ROOT, 'test', 'clients', 'go-sdk');
/** Named after the source: a changed one is built again. */
const GO = `go-${['main.go', 'go.sum']
  .reduce((hash, name) => hash.update(readFileSync(join(GO_SOURCE, name))), createHash('sha256'))
  .digest('hex')
  .slice(0, 12)}`;

/** Python with docker-py, or undefined where it was not installed. */
export const PYTHON: string | undefined = present(join(KIT, 'python', 'bin', 'python'));
/** Folder of node modules with dockerode and testcontainers. */
export const NODE_MODULES: string | undefined = present(join(KIT, 'npm', 'node_modules'));
/** The program of go-sdk/, built. */
export const GO_SDK: string | undefined = present(join(KIT, GO, 'go-sdk'));
export const skipWithoutGo: false | string =
  GO_SDK === undefined ? 'the Go SDK is not built (it needs go), run node test/clients/install.ts' : false;
export const skipWithoutPython: false | string =
  PYTHON === undefined ? 'docker-py is not installed, run node test/clients/install.ts' : false;
export const skipWithoutNodeModules: false | string =
  NODE_MODULES === undefined
    ? 'dockerode and testcontainers are not installed, run node test/clients/install.ts'
    : false;

function present(path: string): string | undefined {
  return existsSync(path) ? path : undefined;
}

function run(command: string, args: readonly string[], cwd?: string): string | undefined {
  const ran = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: TIMEOUT_MS });
  return ran.status === 0
    ? undefined
    : (ran.stderr || ran.stdout || ran.error?.message || 'it failed').trim().slice(-400);
}

/** Installs into a folder that takes its name only once everything is there. */
function install(name: string, steps: (folder: string) => readonly (readonly [string, readonly string[]])[]): void {
  const folder = join(KIT, name);
  if (existsSync(folder)) return;
  const part = `${folder}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true });
  for (const [command, args] of steps(part)) {
    const fault = run(command, args, part);
    if (fault === undefined) continue;
    console.log(`client libraries: ${name} CANNOT BE INSTALLED, its tests are SKIPPED: ${fault}`);
    rmSync(part, { recursive: true, force: true });
    return;
  }
  renameSync(part, folder);
  console.log(`client libraries: ${name} is there`);
}

if (import.meta.main) {
  install('python', (folder) => [
    ['python3', ['-m', 'venv', '--without-pip', folder]],
    ['python3', ['-m', 'pip', '--python', join(folder, 'bin', 'python'), 'install', '-q', DOCKER_PY]],
  ]);
  install('npm', (folder) => {
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
    return [['npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', ...NPM]]];
  });
  // Quick to build rather than quick to run, and without a C compiler.
  install(GO, (folder) => [
    [
      'env',
      [
        'CGO_ENABLED=0',
        'go',
        'build',
        '-C',
        GO_SOURCE,
        '-trimpath',
        '-gcflags=all=-N -l',
        '-ldflags=-s -w',
        '-o',
        join(folder, 'go-sdk'),
        '.',
      ],
    ],
  ]);
}
