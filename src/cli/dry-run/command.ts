// Runs a command with the docker clients in it pointed at a dry run. Their folder is a copy without what leads elsewhere: the context in
// use and tokens for a gateway. Plugins of the docker CLI and logins stay.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import process from 'node:process';
import type { Environment } from '../client.ts';
import { usageError } from '../output.ts';

/** How long a command that was told to end may still take, in ms. */
const GRACE_MS = 5_000;

/** Options of the docker CLI itself that would lead it to another engine. */
const ELSEWHERE = /^(?:-H|-c|--host|--context|--config)(?:=|$)/;
/** Those of its options that stand before the command and take a value of their own. */
const WITH_VALUE = /^(?:-l|--log-level|--tlscacert|--tlscert|--tlskey)$/;

/** How a command ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** It had to be told: it ran longer than it may. */
  readonly isCut: boolean;
}

export const endOf = ({ code, signal }: Ended): string => (code === null ? `signal ${signal}` : `exit code ${code}`);

/** @throws {CliError} for a docker command line that names an engine of its own */
export function checkCommand(words: readonly string[]): void {
  const [program = '', ...rest] = words;
  if (basename(program) !== 'docker') return;
  for (let at = 0; rest[at]?.startsWith('-'); at++) {
    const word = rest[at] ?? '';
    if (ELSEWHERE.test(word))
      throw usageError(`leave ${word.replace(/=.*/, '')} out: a dry run has an engine of its own`);
    if (WITH_VALUE.test(word)) at++;
  }
}

/** The variables of this process, with all that says where an engine is replaced. */
export function environmentOf(env: Environment, socketPath: string, folder: string): NodeJS.ProcessEnv {
  const {
    DOCKER_CONTEXT: _context,
    DOCKER_TLS_VERIFY: _verify,
    DOCKER_TLS: _tls,
    DOCKER_CERT_PATH: _certificates,
    DOCKER_API_VERSION: _version,
    BUILDX_BUILDER: _builder,
    ...rest
  } = env;
  const host = `unix://${socketPath}`;
  return {
    ...rest,
    DOCKER_HOST: host,
    CONTAINER_HOST: host,
    DOCKER_CONFIG: dockerConfig(env, folder),
    // BuildKit needs an engine: the classic builder tells what is built in one call.
    DOCKER_BUILDKIT: '0',
    DOCKER_CLI_HINTS: 'false',
    COMPOSE_MENU: 'false',
  };
}

function dockerConfig(env: Environment, folder: string): string {
  const from = env.DOCKER_CONFIG || join(env.HOME || homedir(), '.docker');
  let own: Record<string, unknown> = {};
  try {
    own = JSON.parse(readFileSync(join(from, 'config.json'), 'utf8')) as Record<string, unknown>;
  } catch {
    // None there, or none that docker could read.
  }
  const { HttpHeaders: _headers, currentContext: _context, cliPluginsExtraDirs, ...kept } = own;
  const extra = Array.isArray(cliPluginsExtraDirs) ? cliPluginsExtraDirs : [];
  const to = join(folder, 'docker');
  mkdirSync(to, { mode: 0o700 });
  const config = { ...kept, cliPluginsExtraDirs: [join(from, 'cli-plugins'), ...extra] };
  writeFileSync(join(to, 'config.json'), JSON.stringify(config), { mode: 0o600 });
  return to;
}

/**
 * Runs a command to its end. What it prints goes to standard error: standard output is the report's.
 *
 * @throws {CliError} when it cannot be started
 */
export function runCommand(words: readonly string[], env: NodeJS.ProcessEnv, timeoutMs: number): Promise<Ended> {
  const [program = '', ...args] = words;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ['inherit', process.stderr, 'inherit'] });
    let isCut = false;
    let killing: NodeJS.Timeout | undefined;
    const timer = setTimeout(() => {
      isCut = true;
      end(child, 'SIGTERM');
      killing = setTimeout(() => end(child, 'SIGKILL'), GRACE_MS);
    }, timeoutMs);
    // The terminal sends Ctrl-C to the command as well: its end is waited for, so that the report comes all the same.
    const onInterrupt = () => {};
    process.on('SIGINT', onInterrupt);
    const over = () => {
      clearTimeout(timer);
      clearTimeout(killing);
      process.off('SIGINT', onInterrupt);
    };
    child.once('error', (error: NodeJS.ErrnoException) => {
      over();
      reject(usageError(`${program} cannot be run (${error.code ?? error.message})`));
    });
    child.once('close', (code, signal) => {
      over();
      resolve({ code, signal, isCut });
    });
  });
}

function end({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(pid, signal);
  } catch {
    // It ended by itself.
  }
}
