// `docker gate ...`: a plugin of the docker CLI that runs this very dockgate. It is a small script in the CLI's own folder; a file
// of another origin, or a folder that is only linked there, is left alone. See docker/cli's cli-plugins for the protocol.
import { lstatSync, mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { runtime } from '../runtime/runtime.ts';
import { VERSION } from '../version.ts';
import type { Environment } from './client.ts';
import { replaceFile } from './docker-context.ts';

const MARK = '# docker-gate: written by dockgate context create, which may write it anew';

/** What docker asks of a plugin before it shows or runs it. */
const METADATA = {
  SchemaVersion: '0.1.0',
  Vendor: 'dockgate',
  Version: VERSION,
  ShortDescription: 'Identity-aware gateway for the Docker Engine API',
};

/** In single quotes, with quotes inside it escaped. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

function script(program: readonly string[], main: string): string {
  return [
    '#!/bin/sh',
    MARK,
    'if [ "$1" = docker-cli-plugin-metadata ]; then',
    `  printf '%s\\n' ${quoted(JSON.stringify(METADATA))}`,
    '  exit 0',
    'fi',
    'if [ "$1" != gate ]; then',
    `  echo "docker gate: docker's own options do not count here; write docker gate ..., with --host or --config behind" >&2`,
    '  exit 2',
    'fi',
    'shift',
    `main=${quoted(main)}`,
    'if [ ! -e "$main" ]; then',
    '  echo "docker gate: dockgate is no longer at $main; run dockgate context create again" >&2',
    '  exit 1',
    'fi',
    `exec ${program.map(quoted).join(' ')} "$main" "$@"`,
    '',
  ].join('\n');
}

/**
 * Puts the plugin in place, or the newer one over an older one of ours.
 *
 * @returns its path; undefined where something else is there, or the folder cannot be written
 */
export function placeDockerPlugin(env: Environment): string | undefined {
  const folder = join(resolve(env.DOCKER_CONFIG || join(env.HOME || homedir(), '.docker')), 'cli-plugins');
  const file = join(folder, 'docker-gate');
  const main = process.argv[1];
  if (main === undefined || process.platform === 'win32') return undefined;
  const program = [process.execPath, ...(runtime.name === 'deno' ? ['run', '-A', '--no-check', '--quiet'] : [])];
  try {
    const there = lstatSync(folder, { throwIfNoEntry: false });
    if (there !== undefined && !there.isDirectory()) return undefined;
    const old = lstatSync(file, { throwIfNoEntry: false });
    if (old !== undefined && !(old.isFile() && readFileSync(file, 'utf8').split('\n')[1] === MARK)) return undefined;
    mkdirSync(folder, { recursive: true });
    replaceFile(file, script(program, resolve(main)), 0o755);
    return file;
  } catch {
    return undefined;
  }
}
