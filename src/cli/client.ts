// The command line's end of the admin API: HTTP over the data folder's unix socket, or HTTPS with an operator's token.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { openRequest } from '../runtime/https.ts';
import { CliError, EXIT, usageError } from './output.ts';

const PREFIX = '/dockgate/v1';
/** A whole policy set with its sources stays far below this. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const ANSWER_TIMEOUT_MS = 60_000;

/** Options every client command understands. */
export interface GatewayOptions {
  readonly config?: string;
  readonly data?: string;
  readonly host?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly json?: boolean;
}

/** How a gateway is reached. */
export type GatewayAddress =
  | { readonly kind: 'unix'; readonly socketPath: string }
  | { readonly kind: 'https'; readonly url: URL; readonly token: string; readonly ca: string | undefined };

export type Environment = Readonly<Record<string, string | undefined>>;

const readText = (file: string, what: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw usageError(`${what} ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`);
  }
};

/** `data` of a settings file; the whole file is judged, because a wrong one may name a wrong folder. */
const dataOf = async (file: string): Promise<string> => {
  const { loadConfig } = await import('../config/config.ts');
  const { GatewayError } = await import('../errors.ts');
  try {
    return loadConfig(file).data;
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    const [first = '', ...rest] = error.message.split('\n');
    throw new CliError(first, EXIT.usage, rest);
  }
};

/**
 * Finds the gateway the options mean: `--host`, `--data`, `--config`, then `DOCKGATE_HOST`, `DOCKGATE_DATA`, `DOCKGATE_CONFIG`,
 * then `./dockgate.yaml`, then `./data`.
 */
export const locateGateway = async (
  options: GatewayOptions,
  env: Environment,
  exists: (path: string) => boolean,
): Promise<GatewayAddress> => {
  const given = [options.host && '--host', options.data && '--data', options.config && '--config'].filter(Boolean);
  if (given.length > 1) throw usageError(`${given.join(' and ')} name two gateways; give one of them`);
  const asked = given.length > 0;
  const host = options.host ?? (asked ? undefined : env.DOCKGATE_HOST);
  if (host) return httpsAddress(host, options, env);
  const data = options.data ?? (asked ? undefined : env.DOCKGATE_DATA);
  if (data) return { kind: 'unix', socketPath: join(resolve(data), 'admin.sock') };
  const config = options.config ?? (env.DOCKGATE_CONFIG || (exists('dockgate.yaml') ? 'dockgate.yaml' : undefined));
  if (config) return { kind: 'unix', socketPath: join(await dataOf(config), 'admin.sock') };
  return { kind: 'unix', socketPath: resolve('data', 'admin.sock') };
};

const httpsAddress = (host: string, options: GatewayOptions, env: Environment): GatewayAddress => {
  const url = URL.canParse(host) ? new URL(host) : undefined;
  if (url?.protocol !== 'https:')
    throw usageError(`--host must be an address such as https://gateway.example:2376, not "${host}"`);
  if (url.username || url.password || url.search || url.hash || (url.pathname !== '/' && url.pathname !== '')) {
    throw usageError('--host is scheme, host and port only; the token comes from DOCKGATE_TOKEN or --token-file');
  }
  const token = (
    options.tokenFile === undefined ? env.DOCKGATE_TOKEN : readText(options.tokenFile, 'token file')
  )?.trim();
  if (!token) throw usageError(`${url.origin} needs an operator's token: set DOCKGATE_TOKEN or give --token-file`);
  if (!/^[\x21-\x7e]+$/.test(token)) throw usageError('the token holds characters no token has');
  const caFile = options.ca ?? env.DOCKGATE_CA;
  return { kind: 'https', url, token, ca: caFile ? readText(caFile, 'CA file') : undefined };
};

interface Problem {
  readonly detail?: string;
  readonly title?: string;
  readonly auditId?: string;
  readonly problems?: readonly { path: string; message: string }[];
}

/** What a refusal of the admin API says. */
export const told = (status: number, text: string): CliError => {
  let problem: Problem = {};
  try {
    problem = JSON.parse(text) as Problem;
  } catch {
    // Not one of ours: the status has to do.
  }
  const what = problem.detail ?? problem.title ?? `the gateway answered ${status}`;
  const audit = problem.auditId ? ` [audit ${problem.auditId}]` : '';
  const [first, ...rest] = problem.problems ?? [];
  if (first && rest.length > 0) {
    const lines = [first, ...rest].map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
    return new CliError(`${lines[0]}${audit}`, EXIT.failed, lines.slice(1));
  }
  return new CliError(`${what}${audit}`);
};

const unreachable = (address: GatewayAddress, error: NodeJS.ErrnoException): CliError => {
  if (address.kind === 'unix') {
    const at = address.socketPath;
    switch (error.code) {
      case 'ENOENT':
      case 'ECONNREFUSED':
        return new CliError(`no gateway answers at ${at}; start one, or say which with --config, --data or --host`);
      case 'EACCES':
      case 'EPERM':
        return new CliError(
          `${at} is not yours to use; run this as the user of the gateway, or use --host with an operator's token`,
        );
      case 'ENAMETOOLONG':
      case 'EINVAL':
        return new CliError(`${dirname(at)} is too long a path for a unix socket`);
      default:
        return new CliError(`the gateway at ${at} cannot be reached (${error.code ?? error.message})`);
    }
  }
  const at = address.url.origin;
  const code = error.code ?? '';
  if (/CERT|SELF_SIGNED|UNABLE_TO|ALTNAME/.test(code) || /peer certificate/.test(error.message)) {
    return new CliError(
      `the certificate of ${at} is not trusted (${code || error.message}); give its CA with --ca FILE`,
    );
  }
  return new CliError(`the gateway at ${at} cannot be reached (${code || error.message})`);
};

/** One gateway to talk to. */
export class AdminClient {
  readonly #address: GatewayAddress;
  constructor(address: GatewayAddress) {
    this.#address = address;
  }

  /** `tcp://host:port` for a docker client to reach the same gateway at; undefined over the admin socket. */
  get dockerEndpoint(): string | undefined {
    const address = this.#address;
    return address.kind === 'https' ? `tcp://${address.url.hostname}:${address.url.port || 443}` : undefined;
  }

  /** PEM of the CA given with --ca: other clients must trust it too to reach the gateway the same way. */
  get ca(): string | undefined {
    return this.#address.kind === 'https' ? this.#address.ca : undefined;
  }

  async #open(method: string, target: string, body: string | undefined): Promise<http.IncomingMessage> {
    const address = this.#address;
    const headers: Record<string, string> = {
      accept: 'application/json, application/problem+json',
      'user-agent': 'dockgate-cli',
      ...(body === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
      ...(address.kind === 'https' ? { authorization: `Bearer ${address.token}` } : {}),
    };
    const path = `${PREFIX}${target}`;
    const request =
      address.kind === 'unix'
        ? // No agent: a kept connection would keep a finished command from ending.
          http.request({ method, path, headers, agent: false, socketPath: address.socketPath, host: 'localhost' })
        : await openRequest(address.url, {
            method,
            path,
            headers,
            ca: address.ca,
            dialTimeoutMs: ANSWER_TIMEOUT_MS,
          }).catch((error: NodeJS.ErrnoException) => {
            throw unreachable(address, error);
          });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => request.destroy(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' })),
        ANSWER_TIMEOUT_MS,
      );
      request.on('response', (response) => {
        clearTimeout(timer);
        resolve(response);
      });
      request.on('error', (error) => {
        clearTimeout(timer);
        reject(unreachable(address, error));
      });
      request.end(body);
    });
  }

  /** @throws {CliError} with the gateway's own words, or why it cannot be reached */
  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const text = await this.text(method, path, body);
    if (text === '') return undefined as T;
    try {
      return JSON.parse(text) as T;
    } catch {
      throw new CliError('the answer is not JSON; is this a dockgate?');
    }
  }

  async text(method: string, path: string, body?: unknown): Promise<string> {
    const response = await this.#open(method, path, body === undefined ? undefined : JSON.stringify(body));
    const text = await collect(response);
    const status = response.statusCode ?? 0;
    if (status < 200 || status > 299) throw told(status, text);
    return text;
  }

  /** Lines of an endless answer, empty ones left out. Ends when the gateway does. */
  async *lines(path: string): AsyncGenerator<string> {
    const response = await this.#open('GET', path, undefined);
    const status = response.statusCode ?? 0;
    if (status !== 200) throw told(status, await collect(response));
    const decoder = new TextDecoder();
    let rest = '';
    try {
      for await (const chunk of response as AsyncIterable<Uint8Array>) {
        rest += decoder.decode(chunk, { stream: true });
        const lines = rest.split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line !== '') yield line;
      }
    } catch (error) {
      throw new CliError(`the gateway ended the stream (${(error as NodeJS.ErrnoException).code ?? 'broken off'})`);
    } finally {
      response.destroy();
    }
  }
}

const collect = async (response: http.IncomingMessage): Promise<string> => {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      length += chunk.byteLength;
      if (length > MAX_ANSWER_BYTES) throw new CliError('the answer is too large');
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError('the gateway broke off its answer');
  }
  return Buffer.concat(chunks).toString('utf8');
};

/** The gateway of this command line. */
export const connect = async (options: GatewayOptions, env: Environment = process.env): Promise<AdminClient> => {
  const { existsSync } = await import('node:fs');
  return new AdminClient(await locateGateway(options, env, existsSync));
};
