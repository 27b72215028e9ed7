// A small stand-in for a Docker Engine, for machines without one: in memory, a subset good enough for
// `docker version|info|ps|run|logs|exec|stop|rm`. It starts no process and says in `version` and `info` what it is.
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { GatewayError } from '../errors.ts';
import { readUpgradeBody } from '../runtime/upgrade-body.ts';
import { Containers, EngineFault, findImage, IMAGES, notFound, STANDIN_NAME } from './containers.ts';
import {
  inspectContainer,
  inspectExec,
  inspectImage,
  listContainer,
  listImage,
  MAX_MINOR,
  MIN_MINOR,
  PING_HEADERS,
  showInfo,
  showVersion,
} from './describe.ts';
import { frameOf, type Output, type PretendProcess } from './process.ts';
import { hasCommand } from './shell.ts';

/** Largest JSON body read, in bytes. */
const MAX_BODY_BYTES = 1024 * 1024;
/** Longest socket path the system takes, in bytes. */
const MAX_PATH_BYTES = 107;

export interface Standin {
  readonly socketPath: string;
  /** Ends every connection and pretended process, and removes the socket. */
  close(): Promise<void>;
}

export interface StandinHooks {
  /** Sees every request first, for fault injection. Return true to have answered it. */
  readonly intercept?: (request: IncomingMessage, answer: ServerResponse | Duplex) => boolean;
}

/** A connection that is no longer HTTP, and the bytes that came behind the request. */
interface Upgraded {
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** One request under way. */
interface Call {
  readonly request: IncomingMessage;
  readonly query: URLSearchParams;
  readonly params: readonly string[];
  readonly body: Record<string, unknown>;
  readonly state: Containers;
  /** Absent when the caller asked to upgrade. */
  readonly response?: ServerResponse;
  readonly upgraded?: Upgraded;
}

type Handler = (call: Call) => unknown;
/** What a handler gives for an answer without a body. */
class Empty {
  readonly status: number;
  constructor(status: number) {
    this.status = status;
  }
}
class Created {
  readonly value: unknown;
  constructor(value: unknown) {
    this.value = value;
  }
}
/** The handler answers by itself. */
const STREAMING = Symbol('streaming');

const isSet = (value: string | null): boolean =>
  value !== null && !['', '0', 'false', 'no', 'none'].includes(value.toLowerCase());

/** Method and path, version prefix removed. First match wins. */
const ROUTES: readonly [string, RegExp, Handler][] = [
  ['GET', /^\/version$/, showVersion],
  ['GET', /^\/info$/, ({ state }) => showInfo(state.all.values())],
  ['GET', /^\/events$/, streamEvents],
  ['GET', /^\/images\/json$/, () => IMAGES.map(listImage)],
  ['GET', /^\/images\/(.+)\/json$/, ({ params }) => inspectImage(imageNamed(params[0] as string))],
  ['POST', /^\/images\/create$/, pull],
  ['GET', /^\/networks$/, () => []],
  ['GET', /^\/volumes$/, () => ({ Volumes: [], Warnings: [] })],
  // `docker inspect` asks for every kind of object in turn until one is not missing.
  ['GET', /^\/(?:networks|volumes|plugins|services|tasks|nodes|secrets|configs)\/([^/]+)(?:\/json)?$/, notThere],
  ['GET', /^\/containers\/json$/, listContainers],
  ['POST', /^\/containers\/create$/, create],
  ['GET', /^\/containers\/([^/]+)\/json$/, (call) => inspectContainer(containerOf(call))],
  ['POST', /^\/containers\/([^/]+)\/start$/, (call) => new Empty(call.state.start(containerOf(call)) ? 204 : 304)],
  ['POST', /^\/containers\/([^/]+)\/stop$/, stop],
  ['POST', /^\/containers\/([^/]+)\/kill$/, kill],
  ['POST', /^\/containers\/([^/]+)\/wait$/, wait],
  ['POST', /^\/containers\/([^/]+)\/attach$/, attach],
  ['POST', /^\/containers\/([^/]+)\/resize$/, (call) => void containerOf(call)],
  ['GET', /^\/containers\/([^/]+)\/logs$/, logs],
  ['DELETE', /^\/containers\/([^/]+)$/, remove],
  [
    'POST',
    /^\/containers\/([^/]+)\/exec$/,
    (call) => new Created({ Id: call.state.createExec(containerOf(call), call.body).id }),
  ],
  ['POST', /^\/exec\/([^/]+)\/start$/, startExec],
  ['GET', /^\/exec\/([^/]+)\/json$/, (call) => inspectExec(execOf(call))],
  ['POST', /^\/exec\/([^/]+)\/resize$/, (call) => void execOf(call)],
];

/**
 * Serves the stand-in on a unix socket of mode 0600, taking the place of one that nobody serves any more.
 *
 * @param socketPath at most 107 bytes
 * @throws {GatewayError} `conflict` when the socket is served already, `config-invalid` when the path is too long
 */
export async function startStandin(socketPath: string, hooks: StandinHooks = {}): Promise<Standin> {
  if (Buffer.byteLength(socketPath) > MAX_PATH_BYTES) {
    throw new GatewayError('config-invalid', `the socket path ${socketPath} is longer than ${MAX_PATH_BYTES} bytes`);
  }
  if (await isServed(socketPath)) throw new GatewayError('conflict', `${socketPath} is served by another process`);
  if (lstatSync(socketPath, { throwIfNoEntry: false })?.isSocket() === false) {
    throw new GatewayError('conflict', `${socketPath} is there and no socket; move it away`);
  }
  rmSync(socketPath, { force: true });

  const state = new Containers();
  const sockets = new Set<Socket>();
  const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0 });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
  });
  server.on('request', (request, response) => {
    if (hooks.intercept?.(request, response)) return;
    void serve({ request, response, state });
  });
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {});
    if (hooks.intercept?.(request, socket)) return;
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
      let bytes: Buffer;
      if (upgraded === undefined) bytes = await readBody(request);
      else [bytes, upgraded] = await readUpgradedBody(request, upgraded);
      const params = match.slice(1).map(decodeURIComponent);
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

function answer(call: Call, result: unknown): void {
  if (result === STREAMING) return;
  if (result instanceof Created) answerJson(call, 201, result.value);
  else if (result instanceof Empty || result === undefined) {
    const status = result === undefined ? 200 : result.status;
    call.response?.writeHead(status, PING_HEADERS).end();
    call.upgraded?.socket.end(`HTTP/1.1 ${status} OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
  } else answerJson(call, 200, result);
}

function answerJson({ response, upgraded }: Pick<Call, 'response' | 'upgraded'>, status: number, value: unknown): void {
  const text = `${JSON.stringify(value)}\n`;
  if (upgraded !== undefined) {
    const head = `HTTP/1.1 ${status} Fault\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}`;
    upgraded.socket.end(`${head}\r\nConnection: close\r\n\r\n${text}`);
  } else if (response !== undefined && !response.headersSent) {
    response.writeHead(status, {
      ...PING_HEADERS,
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(text),
    });
    response.end(text);
  } else response?.destroy();
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

/** The body of a request that upgrades, and what came behind it. */
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

function parse(bytes: Buffer): Record<string, unknown> {
  if (bytes.length === 0) return {};
  try {
    const value: unknown = JSON.parse(bytes.toString());
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // told below
  }
  throw new EngineFault(400, 'invalid JSON');
}

function notThere({ params }: Call): never {
  throw new EngineFault(404, `No such object: ${params[0]}`);
}

const containerOf = ({ state, params }: Call) => state.find(params[0] as string);
function execOf({ state, params }: Call) {
  const exec = state.execs.get(params[0] as string);
  if (exec === undefined) throw new EngineFault(404, `No such exec instance: ${params[0]}`);
  return exec;
}
function imageNamed(name: string) {
  const image = findImage(name);
  if (image === undefined) throw new EngineFault(404, `No such image: ${name}`);
  return image;
}

function create({ state, body, query }: Call): Created {
  return new Created({ Id: state.create(body, query.get('name') || undefined).id, Warnings: [] });
}

function listContainers({ state, query }: Call) {
  const filters = parse(Buffer.from(query.get('filters') ?? ''));
  const wanted = (key: string): string[] => {
    const value = filters[key] ?? [];
    return Array.isArray(value) ? value.map(String) : Object.keys(value as object);
  };
  const one = (key: string, matches: (value: string) => boolean) =>
    wanted(key).length === 0 || wanted(key).some(matches);
  const isAll = isSet(query.get('all')) || wanted('status').length > 0 || isSet(query.get('limit'));
  return [...state.all.values()]
    .reverse()
    .filter((container) => {
      const labels = (container.config.Labels ?? {}) as Record<string, string>;
      return (
        (isAll || container.process.running) &&
        one('id', (id) => container.id.startsWith(id)) &&
        one('name', (name) => container.name.includes(name.replace(/^\//, ''))) &&
        one('status', (status) => listContainer(container).State === status) &&
        wanted('label').every((label) => {
          const at = label.indexOf('=');
          return at < 0 ? label in labels : labels[label.slice(0, at)] === label.slice(at + 1);
        })
      );
    })
    .slice(0, Number(query.get('limit')) > 0 ? Number(query.get('limit')) : undefined)
    .map(listContainer);
}

function pull({ query, response }: Call) {
  const from = query.get('fromImage') ?? '';
  const tag = query.get('tag') ?? '';
  const image = findImage(tag === '' ? from : `${from}${tag.startsWith('sha256:') ? '@' : ':'}${tag}`);
  if (image === undefined) {
    const have = IMAGES.map((known) => known.tag).join(', ');
    throw new EngineFault(
      404,
      `pull access denied for ${from}: ${STANDIN_NAME} reaches no registry, it has only ${have}`,
    );
  }
  response?.writeHead(200, { ...PING_HEADERS, 'Content-Type': 'application/json' });
  response?.write(`${JSON.stringify({ status: `Pulling from ${image.tag.split(':')[0]}`, id: 'latest' })}\r\n`);
  response?.end(`${JSON.stringify({ status: `Status: Image is up to date for ${image.tag}` })}\r\n`);
  return STREAMING;
}

async function stop(call: Call) {
  const { process } = containerOf(call);
  if (!process.running) return new Empty(304);
  const ended = new Promise((resolve) => process.once('exit', resolve));
  process.kill(call.query.get('signal') || 'TERM');
  if (process.running) setTimeout(() => process.kill('KILL'), Number(call.query.get('t') ?? 10) * 1000).unref();
  await ended;
  return new Empty(204);
}

function kill(call: Call) {
  const container = containerOf(call);
  if (!container.process.running) throw new EngineFault(409, `container ${container.id} is not running`);
  const signal = call.query.get('signal') || 'KILL';
  if (!container.process.kill(signal)) throw new EngineFault(400, `Invalid signal: ${signal}`);
  return new Empty(204);
}

function remove(call: Call) {
  const container = containerOf(call);
  if (container.process.running) {
    if (!isSet(call.query.get('force'))) {
      throw new EngineFault(
        409,
        `cannot remove container "/${container.name}": container is running: stop the container before removing or force remove`,
      );
    }
    container.process.once('exit', () => call.state.remove(container));
    container.process.kill('KILL');
  } else call.state.remove(container);
  return new Empty(204);
}

/** The head goes out at once: `docker run` starts the container only after it has seen it. */
function wait(call: Call) {
  const container = containerOf(call);
  const condition = call.query.get('condition') || 'not-running';
  const { response, state } = call;
  response?.writeHead(200, { ...PING_HEADERS, 'Content-Type': 'application/json' });
  response?.flushHeaders();
  const finish = () => response?.end(`${JSON.stringify({ StatusCode: container.process.exitCode ?? 0 })}\n`);
  if (condition === 'not-running' && !container.process.running) finish();
  else {
    const event = condition === 'removed' ? 'destroy' : 'die';
    const listen = (which: unknown) => {
      if (which !== container) return;
      state.off(event, listen);
      finish();
    };
    state.on(event, listen);
    response?.on('close', () => state.off(event, listen));
  }
  return STREAMING;
}

function attach(call: Call) {
  const container = containerOf(call);
  const { query } = call;
  const { process } = container;
  const connection = openStream(call, process);
  if (isSet(query.get('logs'))) for (const output of process.log) connection.send(output);
  if (!isSet(query.get('stream')) || process.exitCode !== undefined) {
    connection.end();
    return STREAMING;
  }
  const isWanted = (output: Output) => process.options.tty || isSet(query.get(output.stream));
  join(connection, process, isWanted, isSet(query.get('stdin')));
  // A container that could not be started has no exit of its own.
  call.state.on('die', function ended(which) {
    if (which !== container) return;
    call.state.off('die', ended);
    connection.end();
  });
  return STREAMING;
}

function startExec(call: Call) {
  const exec = execOf(call);
  const { process } = exec;
  if (process.running || process.exitCode !== undefined) throw new EngineFault(409, `exec ${exec.id} has run already`);
  const program = process.options.argv[0] ?? '';
  if (call.body.Detach === true) {
    process.start();
    return new Empty(200);
  }
  const connection = openStream(call, process);
  if (!hasCommand(program)) {
    process.exitCode = 127;
    const data = Buffer.from(`${notFound(program).replaceAll('create', 'exec')}\r\n`);
    connection.send({ stream: 'stdout', data, at: new Date() });
    connection.end();
    return STREAMING;
  }
  join(connection, process, () => true, exec.config.AttachStdin === true);
  process.start();
  return STREAMING;
}

interface OutputStream {
  send(output: Output): void;
  end(): void;
  /** Bytes of the caller; absent where it cannot send any. */
  readonly incoming?: Upgraded;
  onGone(listener: () => void): void;
}

/** Upgrades the connection where the caller asked for it, else answers with a body that lasts. */
function openStream({ upgraded, response }: Call, process: PretendProcess): OutputStream {
  const type = `application/vnd.docker.${process.options.tty ? 'raw' : 'multiplexed'}-stream`;
  const encode = process.options.tty ? (output: Output) => output.data : frameOf;
  if (upgraded !== undefined) {
    const { socket } = upgraded;
    socket.write(`HTTP/1.1 101 UPGRADED\r\nContent-Type: ${type}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`);
    return {
      send: (output) => void (socket.writable && socket.write(encode(output))),
      end: () => void socket.end(),
      incoming: upgraded,
      onGone: (listener) => void socket.once('close', listener),
    };
  }
  response?.writeHead(200, { ...PING_HEADERS, 'Content-Type': type });
  response?.flushHeaders();
  return {
    send: (output) => void response?.write(encode(output)),
    end: () => void response?.end(),
    onGone: (listener) => void response?.once('close', listener),
  };
}

/** Joins a caller and a process until either ends. The caller's FIN is the end of the input, no more. */
function join(
  connection: OutputStream,
  process: PretendProcess,
  isWanted: (output: Output) => boolean,
  hasInput: boolean,
): void {
  const send = (output: Output) => {
    if (isWanted(output)) connection.send(output);
  };
  process.on('output', send);
  process.once('exit', () => connection.end());
  connection.onGone(() => process.off('output', send));
  const { incoming } = connection;
  if (incoming === undefined) return;
  if (hasInput) {
    process.feed(incoming.head);
    incoming.socket.on('data', (chunk: Buffer) => process.feed(chunk));
    incoming.socket.once('end', () => process.endInput());
  }
  incoming.socket.resume();
}

function logs(call: Call) {
  const { process } = containerOf(call);
  const { query } = call;
  const isWanted = (output: Output) => process.options.tty || isSet(query.get(output.stream));
  const stamp = isSet(query.get('timestamps'));
  const connection = openStream(call, process);
  const send = (output: Output) => {
    if (!isWanted(output)) return;
    connection.send(
      stamp ? { ...output, data: Buffer.concat([Buffer.from(`${output.at.toISOString()} `), output.data]) } : output,
    );
  };
  const tail = Number.parseInt(query.get('tail') ?? 'all', 10);
  const kept = process.log.filter(isWanted);
  for (const output of Number.isNaN(tail) || tail < 0 ? kept : kept.slice(kept.length - Math.min(tail, kept.length)))
    send(output);
  if (isSet(query.get('follow')) && process.running) {
    process.on('output', send);
    process.once('exit', () => connection.end());
    connection.onGone(() => process.off('output', send));
  } else connection.end();
  return STREAMING;
}

function streamEvents({ response, state, query }: Call) {
  response?.writeHead(200, { ...PING_HEADERS, 'Content-Type': 'application/json' });
  response?.flushHeaders();
  if (query.has('until')) response?.end();
  const send = (event: unknown) => response?.write(`${JSON.stringify(event)}\n`);
  state.on('event', send);
  response?.on('close', () => state.off('event', send));
  return STREAMING;
}
