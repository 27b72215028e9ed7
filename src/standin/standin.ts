// A small stand-in for a Docker Engine, for machines without one: in memory, a subset good enough for
// `docker version|info|ps|run|logs|exec|stop|rm`. It starts no process and says in `version` and `info` that it is a stand-in.
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { GatewayError } from '../errors.ts';
import { readUpgradeBody } from '../runtime/upgrade-body.ts';
import { answer, answerJson } from './answers.ts';
import { type Call, parse, type Upgraded } from './call.ts';
import { Containers, type StandinState } from './containers.ts';
import { MAX_MINOR, MIN_MINOR, PING_HEADERS } from './describe.ts';
import { EngineFault } from './fault.ts';
import { ROUTES, UPLOADS } from './routes.ts';

/** Largest JSON body read, in bytes. */
const MAX_BODY_BYTES = 1024 * 1024;
/** Longest socket path the system takes, in bytes. */
const MAX_PATH_BYTES = 107;

export interface Standin {
  readonly socketPath: string;
  /** Ends every connection and pretended process, and removes the socket. */
  close(): Promise<void>;
}

export interface StandinOptions extends StandinState {
  /** Sees every request first, for fault injection. Return true to have answered it. */
  readonly intercept?: (request: IncomingMessage, answer: ServerResponse | Duplex) => boolean;
}

/**
 * Serves the stand-in on a unix socket of mode 0600, taking the place of one that is no longer served.
 *
 * @param socketPath at most 107 bytes
 * @throws {GatewayError} `conflict` when the socket is served already, `config-invalid` when the path is too long
 */
export async function startStandin(socketPath: string, options: StandinOptions = {}): Promise<Standin> {
  if (Buffer.byteLength(socketPath) > MAX_PATH_BYTES) {
    throw new GatewayError('config-invalid', `the socket path ${socketPath} is longer than ${MAX_PATH_BYTES} bytes`);
  }
  if (await isServed(socketPath)) throw new GatewayError('conflict', `${socketPath} is served by another process`);
  if (lstatSync(socketPath, { throwIfNoEntry: false })?.isSocket() === false) {
    throw new GatewayError('conflict', `${socketPath} is there and no socket; move it away`);
  }
  rmSync(socketPath, { force: true });

  const state = new Containers(options);
  const sockets = new Set<Socket>();
  const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0 });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
  });
  server.on('request', (request, response) => {
    if (options.intercept?.(request, response)) return;
    void serve({ request, response, state });
  });
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {});
    if (options.intercept?.(request, socket)) return;
    void serve({ request, upgraded: { socket, head }, state });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  chmodSync(socketPath, 0o600);

  return {
    socketPath,
    async close() {
      for (const { process } of [...state.all.values(), ...state.execs.values()]) process.kill('KILL');
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
      rmSync(socketPath, { force: true });
    },
  };
}

const isServed = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

/** Finds the route, reads the body, answers. */
async function serve(start: Pick<Call, 'request' | 'response' | 'upgraded' | 'state'>): Promise<void> {
  const { request, response } = start;
  let { upgraded } = start;
  try {
    const url = new URL(request.url ?? '/', 'http://standin');
    const [, minor, path = '/'] = /^(?:\/v1\.(\d+))?(\/.*)$/.exec(url.pathname) ?? [];
    if (minor !== undefined && Number(minor) > MAX_MINOR) {
      throw new EngineFault(
        400,
        `client version 1.${minor} is too new. Maximum supported API version is 1.${MAX_MINOR}`,
      );
    }
    if (minor !== undefined && Number(minor) < MIN_MINOR) {
      throw new EngineFault(
        400,
        `client version 1.${minor} is too old. Minimum supported API version is 1.${MIN_MINOR}`,
      );
    }
    const method = request.method ?? 'GET';
    if (path === '/_ping' && response !== undefined) {
      response.writeHead(200, { ...PING_HEADERS, 'Content-Type': 'text/plain; charset=utf-8' });
      response.end(method === 'HEAD' ? undefined : 'OK');
      return;
    }
    for (const [wanted, pattern, handler] of ROUTES) {
      const match = wanted === method ? pattern.exec(path) : null;
      if (match === null) continue;
      let bytes: Buffer = Buffer.alloc(0);
      if (UPLOADS.test(path) && response !== undefined) await readPast(request);
      else if (upgraded === undefined) bytes = await readBody(request);
      else [bytes, upgraded] = await readUpgradedBody(request, upgraded);
      const params = match.slice(1).map((part) => decodeURIComponent(part));
      const call = {
        ...start,
        ...(upgraded === undefined ? {} : { upgraded }),
        query: url.searchParams,
        params,
        body: parse(bytes),
      };
      answer(call, await handler(call));
      return;
    }
    throw new EngineFault(501, `the stand-in engine cannot do ${method} ${path}; a real Docker Engine is needed`);
  } catch (error) {
    const fault = error instanceof EngineFault ? error : new EngineFault(500, 'the stand-in engine failed');
    answerJson(start, fault.status, { message: fault.message });
  }
}

async function readPast(request: IncomingMessage): Promise<void> {
  for await (const _chunk of request) {
    // An archive: the stand-in looks into none.
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_BODY_BYTES) throw new EngineFault(400, 'the body is too large for the stand-in engine');
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

/** The body of a request that upgrades, and the bytes behind it. */
async function readUpgradedBody(request: IncomingMessage, { socket, head }: Upgraded): Promise<[Buffer, Upgraded]> {
  const length = Number(request.headers['content-length'] ?? 0);
  if (!(length <= MAX_BODY_BYTES)) throw new EngineFault(400, 'the body is too large for the stand-in engine');
  if (length === 0) return [Buffer.alloc(0), { socket, head }];
  try {
    const { body, rest } = await readUpgradeBody(request, socket, head, length);
    return [Buffer.from(body), { socket, head: Buffer.from(rest) }];
  } catch {
    throw new EngineFault(400, 'the body ended early');
  }
}
