// The settings file: YAML to one frozen Config, with every fault told at once, its line, and what would be right.
// Reads no environment. Sections and their words live in config/schema.ts, text and lines in config/document.ts.
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type * as z from 'zod';
import { GatewayError } from '../errors.ts';
import type { EngineAddress } from '../proxy/types.ts';
import { isLoopback, MAX_SOCKET_PATH_BYTES, parseEngineAddress } from './address.ts';
import { auditSection, readRetention, readSinks, readTranscripts } from './audit.ts';
import { readClientCas } from './client-cas.ts';
import { type Fault, type Path, pathText, readDocument, type SourceDocument } from './document.ts';
import { readIssuers } from './issuers.ts';
import { readListeners } from './listen.ts';
import * as schema from './schema.ts';
import type { Config, ConfigProblem, EngineTlsFiles, PluginSetting } from './types.ts';

export { type LocatedEngine, locateEngine } from './locate.ts';
export type * from './types.ts';

export interface ParseOptions {
  /** Relative paths in the file are relative to this folder. */
  readonly baseDir: string;
  /** When given, files the settings name must exist. */
  readonly exists?: (path: string) => boolean;
}

/** The gateway's own unix socket for the command line, in its data folder. */
export const adminSocketPath = (data: string): string => join(data, 'admin.sock');

const deepFreeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
};

/** Paths the settings name and the check that they are there. */
class Files {
  readonly #baseDir: string;
  readonly #exists: ((path: string) => boolean) | undefined;
  readonly #faults: Fault[];
  constructor(options: ParseOptions, faults: Fault[]) {
    this.#baseDir = options.baseDir;
    this.#exists = options.exists;
    this.#faults = faults;
  }
  /** Absolute path of a file that need not exist yet. */
  readonly resolve = (path: string): string => resolve(this.#baseDir, path);
  /** Absolute path of a file that must exist. */
  readonly existing = (path: string, at: Path): string => {
    const absolute = this.resolve(path);
    if (this.#exists && !this.#exists(absolute)) this.#faults.push({ path: at, message: `there is no file ${path}` });
    return absolute;
  };
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Reads the settings.
 *
 * @param source the text of the file
 * @returns the configuration, or every fault in the order of the file
 */
export const parseConfig = (
  source: string,
  options: ParseOptions,
): { config?: Config; problems: readonly ConfigProblem[] } => {
  const document = readDocument(source);
  if (document.faults.length > 0) {
    return { problems: document.faults.map((fault) => ({ ...fault, path: '' })) };
  }
  const faults: Fault[] = [];
  const config = readSections(document.value, options, faults);
  if (faults.length > 0 || config === undefined) return { problems: placed(faults, document) };
  return { config: deepFreeze(config), problems: [] };
};

const placed = (faults: readonly Fault[], document: SourceDocument): ConfigProblem[] =>
  faults
    .map((fault) => ({
      ...document.position(fault.path, fault.key),
      path: pathText(fault.path),
      message: fault.message,
    }))
    .sort((a, b) => a.line - b.line || a.column - b.column);

const readSections = (value: unknown, options: ParseOptions, faults: Fault[]): Config | undefined => {
  const file = value === undefined || value === null ? {} : value;
  if (!isMap(file)) {
    faults.push({ path: [], message: 'the file must be a map that begins with engine: unix:///var/run/docker.sock' });
    return undefined;
  }
  for (const key of Object.keys(file)) {
    if (!(schema.KEYS as readonly string[]).includes(key)) faults.push(schema.unknownKey([], key, schema.KEYS));
  }
  const files = new Files(options, faults);

  /** Reads one section; `emptyIs` says that a key without value (`limits:`) means its defaults. */
  const section = <T>(key: string, type: z.ZodType<T>, fallback: unknown, emptyIs?: 'default'): T | undefined => {
    const written = Object.hasOwn(file, key) ? file[key] : undefined;
    const given = written === undefined || (written === null && emptyIs) ? fallback : written;
    if (given === undefined && key !== 'engine') return undefined;
    const result = type.safeParse(given);
    if (result.success) return result.data;
    faults.push(...schema.faultsOf(result.error, [key]));
    return undefined;
  };

  const engine = readEngine(section, Object.hasOwn(file, 'engineTls'), files, faults);
  const data = files.resolve(section('data', schema.dataSection, './data') ?? './data');
  if (Buffer.byteLength(adminSocketPath(data)) > MAX_SOCKET_PATH_BYTES) {
    faults.push({
      path: ['data'],
      message: `the folder's path is too long for the admin socket in it; at most ${MAX_SOCKET_PATH_BYTES - '/admin.sock'.length} bytes`,
    });
  }
  const defaultTls = section('tls', schema.tlsSection, undefined);
  const tls = defaultTls && {
    cert: files.existing(defaultTls.cert, ['tls', 'cert']),
    key: files.existing(defaultTls.key, ['tls', 'key']),
  };
  const reserved = new Map([[adminSocketPath(data), 'is the admin socket of the data folder']]);
  if (engine?.address.kind === 'unix' && engine.address.path)
    reserved.set(engine.address.path, "is the engine's own socket");
  const { listen, metrics } = readListeners(
    Object.hasOwn(file, 'listen') ? file.listen : ['https://127.0.0.1:2376'],
    section('metrics', schema.metricsSection, undefined)?.listen,
    { tls, reserved, ...files },
    faults,
  );
  const clientCas = readClientCas(
    section('clientCas', schema.clientCasSection, [], 'default') ?? [],
    files.existing,
    faults,
  );
  const plugins = (section('plugins', schema.pluginsSection, [], 'default') ?? []).map(
    ({ use, name, tier, sha256, needs, timeoutMs, config }, index): PluginSetting => ({
      // A bare name is one of the shipped plugins or a package; only the loader knows.
      use: /^[./]/.test(use) ? files.existing(use, ['plugins', index, 'use']) : use,
      ...(name === undefined ? {} : { name }),
      ...(tier === undefined ? {} : { tier }),
      ...(sha256 === undefined ? {} : { sha256 }),
      ...(needs === undefined ? {} : { needs }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      config: config ?? {},
    }),
  );
  const limits = section('limits', schema.limitsSection, {}, 'default');
  const log = section('log', schema.logSection, {}, 'default');
  const apiVersions = section('apiVersions', schema.apiVersionsSection, {}, 'default');
  const tenants = section('tenants', schema.tenantsSection, {}, 'default');
  const issuer = section('issuer', schema.issuerSection, 'dockgate');
  const audience = section('audience', schema.audienceSection, 'dockgate');
  const issuers = readIssuers(
    Object.hasOwn(file, 'issuers') ? file.issuers : undefined,
    { ownIssuer: issuer ?? 'dockgate', ...files },
    faults,
  );
  const hostNames = section('hostNames', schema.hostNamesSection, [], 'default');
  const audit = section('audit', auditSection, {}, 'default');
  const sinks = readSinks(audit?.sinks ?? [], { data, ...files }, faults);
  const retention = readRetention(audit?.retention, { data, ...files }, faults);
  const ownSockets = section('ownSockets', schema.ownSocketsSection, undefined);
  const keySeal = section('keySeal', schema.keySealSection, undefined);
  if (!engine || !limits || !log || !audit || !apiVersions || !tenants) return undefined;
  if (!issuer || !audience || !hostNames) return undefined;
  return {
    engine: engine.address,
    ...(engine.tls ? { engineTls: engine.tls } : {}),
    data,
    listen,
    clientCas,
    plugins,
    ownSockets: { folder: ownSockets === undefined ? join(data, 'own-sockets') : files.resolve(ownSockets.folder) },
    limits,
    log,
    ...(keySeal ? { keySeal: { file: files.existing(keySeal.file, ['keySeal', 'file']) } } : {}),
    issuer,
    audience,
    issuers,
    hostNames,
    apiVersions: { min: apiVersions.min, ...(apiVersions.max === undefined ? {} : { max: apiVersions.max }) },
    tenants,
    ...(metrics ? { metrics: { listen: metrics } } : {}),
    audit: {
      reads: audit.reads,
      outside: audit.outside,
      sinks,
      transcripts: readTranscripts(audit.transcripts),
      ...(retention ? { retention } : {}),
    },
  };
};

type SectionReader = <T>(key: string, type: z.ZodType<T>, fallback: unknown, emptyIs?: 'default') => T | undefined;

const readEngine = (section: SectionReader, tlsWritten: boolean, files: Files, faults: Fault[]) => {
  const text = section('engine', schema.engineSection, undefined);
  const insecure = section('engineInsecure', schema.engineInsecureSection, false);
  const written = section('engineTls', schema.engineTlsSection, undefined);
  const tls: EngineTlsFiles | undefined = written && {
    ...(written.ca === undefined ? {} : { ca: files.existing(written.ca, ['engineTls', 'ca']) }),
    ...(written.cert === undefined ? {} : { cert: files.existing(written.cert, ['engineTls', 'cert']) }),
    ...(written.key === undefined ? {} : { key: files.existing(written.key, ['engineTls', 'key']) }),
    ...(written.servername === undefined ? {} : { servername: written.servername }),
  };
  if (text === undefined) return undefined;
  const address = parseEngineAddress(text, files.resolve);
  if (typeof address === 'string') {
    faults.push({ path: ['engine'], message: address });
    return undefined;
  }
  if (address.kind !== 'tcp' && tls) {
    const what = address.kind === 'unix' ? 'a unix socket speaks no TLS' : 'ssh protects the connection itself';
    faults.push({ path: ['engineTls'], key: true, message: `belongs to a tcp:// engine; ${what}` });
  }
  if (insecure && tls) {
    faults.push({ path: ['engineInsecure'], key: true, message: 'contradicts engineTls; remove one of them' });
  }
  // A faulty answer to the question of TLS is a fault of its own, not a missing answer.
  if (address.kind === 'tcp' && !tlsWritten && insecure === false && !isLoopback(address.host ?? '')) {
    faults.push({
      path: ['engine'],
      message: `${text} would be reached without TLS, open to every host on the way; add engineTls: { ca, cert, key }, or engineInsecure: true if the network itself is protected`,
    });
  }
  return { address, tls };
};

/** `dockgate.yaml:7:3: listen[0]: must be ...` */
export const problemText = (problem: ConfigProblem, file: string): string =>
  `${file}:${problem.line}:${problem.column}: ${problem.path === '' ? '' : `${problem.path}: `}${problem.message}`;

const readSettings = (file: string): { source: string } | { problem: string } => {
  try {
    return { source: new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file)) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return { problem: 'there is no such file' };
    if (code === 'EISDIR') return { problem: 'it is a folder' };
    if (code === 'EACCES') return { problem: 'it may not be read' };
    if (error instanceof TypeError && code !== undefined && code.startsWith('ERR_ENCODING'))
      return { problem: 'it is not UTF-8 text' };
    if (error instanceof TypeError && code === undefined) return { problem: 'it is not UTF-8 text' };
    return { problem: `it cannot be read (${code ?? 'unknown error'})` };
  }
};

const judgeFile = (file: string): { config?: Config; problems: readonly ConfigProblem[] } => {
  const read = readSettings(file);
  if ('problem' in read) return { problems: [{ line: 1, column: 1, path: '', message: read.problem }] };
  return parseConfig(read.source, { baseDir: dirname(resolve(file)), exists: existsSync });
};

/** Every fault of a settings file, also that it is not there. */
export const checkConfig = (file: string): readonly ConfigProblem[] => judgeFile(file).problems;

/**
 * Reads and judges a settings file, and that the files it names exist.
 *
 * @throws {GatewayError} `config-invalid`, its message one fault per line
 */
export const loadConfig = (file: string): Config => {
  const { config, problems } = judgeFile(file);
  if (config) return config;
  throw new GatewayError('config-invalid', problems.map((problem) => problemText(problem, file)).join('\n'));
};

/**
 * Settings given as a value rather than a file: the same checks, the same defaults.
 *
 * @throws {GatewayError} `config-invalid`
 */
export const createConfig = (settings: Readonly<Record<string, unknown>>, options: ParseOptions): Config => {
  const { config, problems } = parseConfig(JSON.stringify(settings), options);
  if (config) return config;
  throw new GatewayError(
    'config-invalid',
    problems.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('\n'),
  );
};

/**
 * The engine's address with the contents of its TLS files.
 *
 * @throws {GatewayError} `config-invalid` when a file cannot be read
 */
export const readEngineAddress = (config: Config): EngineAddress => {
  const { engine, engineTls } = config;
  if (!engineTls) return engine;
  const read = (name: 'ca' | 'cert' | 'key'): Record<string, string> => {
    const file = engineTls[name];
    if (file === undefined) return {};
    try {
      return { [name]: readFileSync(file, 'utf8') };
    } catch (error) {
      throw new GatewayError('config-invalid', `engineTls.${name}: ${basename(file)} cannot be read`, { cause: error });
    }
  };
  const { servername } = engineTls;
  return {
    ...engine,
    tls: { ...read('ca'), ...read('cert'), ...read('key'), ...(servername === undefined ? {} : { servername }) },
  };
};
