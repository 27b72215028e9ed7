// dockgate doctor: looks at an engine and a gateway as their users see them, and tells each trouble with its remedy.
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { Command } from 'commander';
import { engineAddressText } from '../../config/address.ts';
import type { Config } from '../../config/config.ts';
import type { Question } from '../../doctor/probe.ts';
import type { Environment } from '../client.ts';
import { EXIT, print, printJson, usageError, visible } from '../output.ts';
import { examples, optionsOf } from './common.ts';
import { readTarget } from './connect.ts';

/** Options both `doctor` and `tenant check` take. */
export interface DoctorFlags {
  readonly config?: string;
  readonly host?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly json?: boolean;
}

/** What docker itself would talk to, and as whom. */
const asDocker = (env: Environment): { url: string; flags: DoctorFlags } => {
  const url = env.DOCKER_HOST || 'unix:///var/run/docker.sock';
  const folder = env.DOCKER_CERT_PATH || join(env.DOCKER_CONFIG || join(homedir(), '.docker'));
  const isTls = !!env.DOCKER_TLS_VERIFY;
  if (url.startsWith('tcp://') && !isTls) return { url: url.replace(/^tcp:/, 'http:'), flags: {} };
  if (!isTls) return { url, flags: {} };
  const at = (name: string) => {
    const file = join(folder, name);
    return textOf(file) === undefined ? undefined : file;
  };
  const [ca, cert, key] = [at('ca.pem'), at('cert.pem'), at('key.pem')];
  return {
    url,
    flags: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    },
  };
};

const textOf = (file: string): string | undefined => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
};

/** The token a client would send: given, from the environment, or from docker's own settings. */
const tokenOf = (flags: DoctorFlags, env: Environment): Question['token'] => {
  const file = flags.tokenFile ?? env.DOCKGATE_TOKEN_FILE;
  if (file) {
    const text = textOf(file);
    if (text === undefined) return { source: file, fault: `the token file ${file} cannot be read` };
    return { source: file, text };
  }
  if (env.DOCKGATE_TOKEN) return { source: 'DOCKGATE_TOKEN', text: env.DOCKGATE_TOKEN };
  const source = join(env.DOCKER_CONFIG || join(homedir(), '.docker'), 'config.json');
  try {
    const settings = JSON.parse(textOf(source) ?? '{}') as { HttpHeaders?: Record<string, string> };
    const [, value] =
      Object.entries(settings.HttpHeaders ?? {}).find(([n]) => n.toLowerCase() === 'authorization') ?? [];
    const bearer = /^Bearer\s+(\S+)$/i.exec(value ?? '');
    return bearer === null ? undefined : { source, text: bearer[1] as string };
  } catch {
    return { source, fault: `${source} is not JSON` };
  }
};

/** The engine and the listeners of a settings file, as seen from the gateway's own machine. */
const ofConfig = (config: Config, newestMinor: number): Question[] => {
  const minorOf = (version: string) => Number(version.slice(2));
  const { engine, engineTls, data, listen, apiVersions } = config;
  const { tls: _none, ...address } = engine;
  const text = engineAddressText(engine);
  const { servername: _name, ...files } = engineTls ?? {};
  const served = {
    min: minorOf(apiVersions.min),
    max: apiVersions.max === undefined ? newestMinor : minorOf(apiVersions.max),
  };
  const questions: Question[] = [
    { role: 'engine', target: { text, address, ...(engineTls === undefined ? {} : { tls: files }) }, served },
  ];
  for (const one of listen) {
    if (one.kind === 'unix') {
      const target = { text: `unix://${one.path}`, address: { kind: 'unix', path: one.path } as const };
      questions.push({ role: 'listener', target });
      continue;
    }
    // Where it listens on every address, this machine is one of them; its certificate is for the names clients use.
    const host = one.host === '0.0.0.0' ? '127.0.0.1' : one.host === '::' ? '::1' : one.host;
    const at = `${host.includes(':') ? `[${host}]` : host}:${one.port}`;
    const target = { text: `${one.kind}://${at}`, address: { kind: 'tcp', host, port: one.port } as const };
    if (one.kind === 'http') questions.push({ role: 'listener', target });
    else {
      const ca = one.tls === undefined ? join(data, 'ca.pem') : undefined;
      const tls = ca === undefined || textOf(ca) === undefined ? {} : { ca };
      questions.push({ role: 'listener', target: { ...target, tls }, anyName: one.tls !== undefined });
    }
  }
  return questions;
};

/** What to look at: named endpoints, a settings file, or what docker itself would talk to. */
export const questionsOf = async (urls: readonly string[], flags: DoctorFlags): Promise<Question[]> => {
  const env = process.env;
  const asked = [...urls, ...(flags.host === undefined ? [] : [flags.host])];
  if (flags.config !== undefined && asked.length > 0)
    throw usageError('--config and an address are two ways to say what to look at; give one');
  // As for every command: DOCKGATE_HOST, DOCKGATE_CONFIG, ./dockgate.yaml. Without any, what docker itself would talk to.
  const isLeftOpen = asked.length === 0 && !env.DOCKGATE_HOST;
  const written = env.DOCKGATE_CONFIG || (existsSync('dockgate.yaml') ? 'dockgate.yaml' : undefined);
  const file = flags.config ?? (isLeftOpen ? written : undefined);
  if (file) {
    const { loadConfig } = await import('../../config/config.ts');
    const { NEWEST_MINOR } = await import('../../engine/versions.ts');
    return ofConfig(loadConfig(file), NEWEST_MINOR);
  }
  if (asked.length === 0 && env.DOCKGATE_HOST) asked.push(env.DOCKGATE_HOST);
  const docker = asked.length === 0 ? asDocker(env) : undefined;
  const token = tokenOf(flags, env);
  return (docker === undefined ? asked : [docker.url]).map((url) => {
    if (url.startsWith('ssh://')) throw usageError(`doctor cannot look through ${url}; run it on that machine`);
    const target = readTarget(url, { ...docker?.flags, ...flags }, env, { allowPlain: true });
    // A socket that is an identity needs no token, and an engine none at all.
    return { role: 'endpoint', target, ...(token === undefined || target.tls === undefined ? {} : { token }) };
  });
};

export const doctorCommand = (): Command =>
  new Command('doctor')
    .description('look at an engine and a gateway as their users see them; tell each trouble with its remedy')
    .argument(
      '[url...]',
      'endpoints: https://host:2376, unix:///path, tcp://host:2376; else DOCKGATE_HOST, DOCKGATE_CONFIG, ./dockgate.yaml or DOCKER_HOST',
    )
    .option('--cert <file>', 'client certificate, PEM')
    .option('--key <file>', 'its private key, PEM')
    .option('--strict', 'advice counts as trouble: exit code 1')
    .addHelpText(
      'after',
      examples(
        'dockgate doctor',
        'dockgate doctor --config dockgate.yaml',
        'dockgate doctor https://gateway:2376 --ca ca.pem --token-file token --json',
      ),
    )
    .action(async (urls: string[], _options: object, command: Command) => {
      const flags = optionsOf<DoctorFlags & { strict?: boolean }>(command);
      const questions = await questionsOf(urls, flags);
      const { lookAt, lookHere } = await import('../../doctor/probe.ts');
      const { judge } = await import('../../doctor/findings.ts');
      const targets = await Promise.all(questions.map((question) => lookAt(question)));
      const findings = judge({ here: lookHere(process.env, Date.now()), targets });
      if (flags.json) await printJson({ findings });
      else {
        const lines = findings.map(
          ({ level, code, address, message, remedy }) =>
            `${level.padEnd(8)}${visible(address)}: ${visible(message)}${remedy === undefined ? '' : `; ${visible(remedy)}`}${level === 'ok' ? '' : ` [${code}]`}`,
        );
        await print(lines.join('\n'));
      }
      const counts = flags.strict === true ? ['trouble', 'advice'] : ['trouble'];
      if (findings.some(({ level }) => counts.includes(level))) process.exitCode = EXIT.failed;
    });
