// Step 1: sockets. Opens HTTPS, unix and loopback HTTP listeners, with limits on heads, slow senders and connections.
// It hands requests on and judges nothing. TLS 1.2 or newer, ALPN http/1.1 (docker clients do not speak HTTP/2 here).
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Listener } from '../config/types.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import type { Channel } from '../gateway/arrival.ts';
import type { Logger } from '../log.ts';
import { type ConnectionCounts, type ConnectionLimits, Connections } from './connections.ts';
import { takeLooseUpgrades } from './loose-upgrade.ts';
import { makePausable } from './pausable.ts';
import { bindSocket } from './socket-file.ts';
import { Turns } from './turns.ts';
import { readUpgradeBody } from './upgrade-body.ts';

/** How often connections are looked over for late heads, in ms. */
const CHECK_MS = 1_000;
/** TCP keep-alive probes start after this long, in ms, so that a stream that idles for hours notices a dead peer. */
const TCP_KEEP_ALIVE_MS = 60_000;
/** A connection that was told off is read past for this long, in ms, so that the answer arrives. */
const REFUSED_LINGER_MS = 1_000;

/** What takes the requests: the gateway, or the admin app. */
/** How it reads when the other side went away during a handshake. */
const LEFT = /ECONNRESET|EPIPE|unexpected eof|UNEXPECTED_EOF|socket hang up/i;

export interface Handlers {
  onRequest(incoming: IncomingMessage, outgoing: ServerResponse, channel: Channel): void;
  onCheckContinue(incoming: IncomingMessage, outgoing: ServerResponse, channel: Channel): void;
  onUpgrade(
    incoming: IncomingMessage,
    socket: Duplex,
    readBody: (length: number | 'chunked', timeoutMs?: number) => Promise<{ body: Uint8Array; rest: Uint8Array }>,
    channel: Channel,
    giveBack: (socket: Duplex) => void,
  ): void;
  wantsUpgrade(incoming: IncomingMessage): boolean;
  /** Records a head that could not be read; returns the answer to write. */
  onUnreadable(code: ErrorCode, message: string, channel: Channel, source: string): string;
  /** Records a TLS handshake that was refused. Left out, none is recorded. */
  onHandshake?(message: string, channel: Channel, source: string): void;
}

export interface ListenLimits extends ConnectionLimits {
  readonly headBytes: number;
  readonly headTimeoutMs: number;
  /** Keep-alive connections wait this long for their next request. */
  readonly idleTimeoutMs: number;
}

export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
}

export interface RunningListener {
  readonly listener: Listener;
  readonly channel: Channel;
  /** Port actually bound; undefined on unix sockets. */
  readonly port: number | undefined;
  /** Connections now, and how many made room or were turned away. */
  counts(): ConnectionCounts;
  /** New connections use the new certificate; open ones go on with the old. */
  updateTls(tls: TlsMaterial): void;
  /** Stops accepting; connections without a request end at once. */
  stop(): void;
  /** Ends every connection still open. */
  close(): Promise<void>;
}

/** @throws {GatewayError} `config-invalid` when the address cannot be bound */
export async function listen(
  listener: Listener,
  handlers: Handlers,
  limits: ListenLimits,
  log: Logger,
  tls?: TlsMaterial,
): Promise<RunningListener> {
  const channel = channelOf(listener);
  const options: http.ServerOptions & { shouldUpgradeCallback?: (incoming: IncomingMessage) => boolean } = {
    maxHeaderSize: limits.headBytes,
    headersTimeout: limits.headTimeoutMs,
    // Uploads and streams may last for hours: only heads and judged bodies have a time limit, the latter of their own.
    requestTimeout: 0,
    keepAliveTimeout: limits.idleTimeoutMs,
    connectionsCheckingInterval: CHECK_MS,
    insecureHTTPParser: false,
    requireHostHeader: false,
    // Everything that is not a hijack stays an ordinary request: its Upgrade header is ignored and the next bytes on
    // the connection are the next request.
    shouldUpgradeCallback: (incoming) => handlers.wantsUpgrade(incoming),
  };
  const server =
    listener.kind === 'https'
      ? https.createServer({
          ...options,
          // Without it the CLI's close_notify after `docker run` would end the output too.
          allowHalfOpen: true,
          minVersion: 'TLSv1.2',
          ALPNProtocols: ['http/1.1'],
          handshakeTimeout: limits.headTimeoutMs,
          // Asked for, never required: whether a certificate is good is judged per request, with a reason to tell. No CA
          // is named in the question, or Go clients would keep back a wrong certificate and never learn its fault.
          requestCert: true,
          rejectUnauthorized: false,
          ...(tls ?? {}),
        } as https.ServerOptions)
      : http.createServer(options);
  server.timeout = 0;
  // As options of the server, Deno does not take them.
  server.on('connection', (socket: Socket) => {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    if (listener.kind !== 'https') takeLooseUpgrades(socket);
  });
  server.on('secureConnection', (socket: Socket) => {
    if (makePausable(socket)) {
      takeLooseUpgrades(socket);
      return;
    }
    log.error(
      { listener: channel.name },
      'a connection was refused: this runtime cannot pause TLS connections; use Node',
    );
    socket.destroy();
  });

  const turns = new Turns(log, channel.name);
  const open = boundConnections(server, listener, limits, turns, log);
  server.on('request', (incoming, outgoing) => {
    open.spoke(incoming.socket);
    turns.take(incoming.socket, outgoing, () => handlers.onRequest(incoming, outgoing, channel));
  });
  server.on('checkContinue', (incoming, outgoing) => {
    open.spoke(incoming.socket);
    turns.take(incoming.socket, outgoing, () => handlers.onCheckContinue(incoming, outgoing, channel));
  });
  server.on('checkExpectation', (_incoming, outgoing: ServerResponse) => {
    outgoing.writeHead(417, { Connection: 'close' }).end();
  });
  server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    open.spoke(socket);
    turns.takeOver(socket, () =>
      handlers.onUpgrade(
        incoming,
        socket,
        (length, timeoutMs) => readUpgradeBody(incoming, socket, head, length, timeoutMs),
        channel,
        // To the server it is a connection like a new one: its next bytes are the head of a request.
        (back) => {
          turns.giveBack(back);
          server.emit(listener.kind === 'https' ? 'secureConnection' : 'connection', back);
          back.resume();
        },
      ),
    );
  });
  // CONNECT has no place here; without a listener the connection would just end.
  server.on('connect', (incoming: IncomingMessage, socket: Duplex) => {
    const answer = handlers.onUnreadable(
      'operation-unknown',
      'CONNECT is not served',
      channel,
      sourceOf(incoming.socket),
    );
    socket.end(answer);
  });
  const refused = new WeakSet<Duplex>();
  server.on('clientError', (error: Error & { code?: string; rawPacket?: Buffer }, socket: Duplex) => {
    const raw = socket as Socket;
    // Bytes of a client that keeps sending are dropped, or the answer would be lost with the connection.
    if (refused.has(raw) && !raw.destroyed && error.code !== 'ECONNRESET') return;
    if (error.code === 'ECONNRESET' || raw.destroyed || !raw.writable) {
      raw.destroy();
      return;
    }
    refused.add(raw);
    const [code, message] = describe(error, limits);
    const answer = handlers.onUnreadable(code, message, channel, sourceOf(raw));
    const tell = () => {
      raw.end(answer);
      setTimeout(() => raw.destroy(), REFUSED_LINGER_MS).unref();
    };
    const before = turns.last(raw);
    // Where the request before it was whole, its answer comes first; else the fault is in that request itself.
    if (before === undefined || before.writableFinished || before.destroyed || !before.req.complete) tell();
    else before.once('close', tell);
  });
  // Garbage on the TLS port ends its own connection and nothing else.
  server.on('tlsClientError', (error: Error, socket: Socket) => {
    log.debug({ listener: channel.name, error: error.message }, 'a TLS handshake failed');
    const source = sourceOf(socket);
    socket.destroy();
    // A client that only looks whether the port is open neither refuses nor was refused.
    if (!LEFT.test(`${(error as { code?: string }).code} ${error.message}`))
      handlers.onHandshake?.(error.message, channel, source);
  });

  const unbind = await bind(server, listener);
  server.on('error', (error) => log.error({ listener: channel.name, err: error }, 'a listener failed'));
  const address = server.address();
  return {
    listener,
    channel,
    port: typeof address === 'object' && address !== null ? (address as AddressInfo).port : undefined,
    counts: () => open.counts(),
    updateTls(material) {
      if (listener.kind === 'https') (server as https.Server).setSecureContext({ ...material, minVersion: 'TLSv1.2' });
    },
    stop() {
      server.close();
      server.closeIdleConnections();
    },
    async close() {
      server.close();
      server.closeAllConnections?.();
      for (const socket of [...open.sockets()]) socket.destroy();
      unbind();
    },
  };
}

function channelOf(listener: Listener): Channel {
  if (listener.kind === 'unix') {
    return {
      kind: 'unix',
      name: `unix:${listener.path}`,
      ...(listener.identity === undefined ? {} : { identity: listener.identity }),
      ...(listener.speaksFor === undefined ? {} : { speaksFor: listener.speaksFor }),
    };
  }
  const host = listener.host.includes(':') ? `[${listener.host}]` : listener.host;
  return { kind: 'tcp', name: `${listener.kind}://${host}:${listener.port}` };
}

const sourceOf = (socket: Socket | undefined): string => socket?.remoteAddress ?? 'unix';

/** The engine takes a bare line feed for a line end; here two readers of one head could part over it (RFC 9112 section 2.2). */
const BARE_LINE_FEED = /^[A-Z]+ [^\r\n]+ HTTP\/1\.[01]\n/;

function describe(
  { code, rawPacket }: { readonly code?: string; readonly rawPacket?: Buffer },
  limits: ListenLimits,
): [ErrorCode, string] {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return ['header-too-large', `the request head is larger than ${limits.headBytes} bytes`];
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return ['request-timeout', `the request head did not arrive within ${limits.headTimeoutMs} ms`];
    default:
      if (rawPacket !== undefined && BARE_LINE_FEED.test(rawPacket.toString('latin1', 0, limits.headBytes))) {
        const advice = 'send CRLF (the Docker plugin of Jenkins: connect agents by SSH or JNLP, not by attach)';
        return ['request-malformed', `the lines of the request head end in a bare line feed; ${advice}`];
      }
      return ['request-malformed', 'the request is not well-formed HTTP/1.1'];
  }
}

/** How often the log says that connections were turned away, in ms: a flood must not fill it. */
const TELL_MS = 10_000;

/** Keeps count of connections and ends those beyond the limits before a byte is read. */
function boundConnections(
  server: http.Server,
  listener: Listener,
  limits: ListenLimits,
  turns: Turns,
  log: Logger,
): Connections {
  const open = new Connections(
    () => limits,
    (socket) => turns.isBusy(socket),
  );
  const secure = listener.kind === 'https' ? new Map<string, Socket>() : undefined;
  const placeOf = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`;
  let toldAt = 0;
  let untold = 0;
  server.on('connection', (socket: Socket) => {
    // Counted already: it comes back from an upgrade that was not.
    if (open.has(socket)) return;
    const address = listener.kind === 'unix' ? undefined : (socket.remoteAddress ?? '');
    if (open.admit(socket, address)) {
      if (secure === undefined) return;
      const place = placeOf(socket);
      secure.set(place, socket);
      socket.once('close', () => {
        if (secure.get(place) === socket) secure.delete(place);
      });
      return;
    }
    socket.destroy();
    untold++;
    if (Date.now() - toldAt < TELL_MS) return;
    toldAt = Date.now();
    const name = channelOf(listener).name;
    log.warn({ listener: name, address, count: untold }, 'connections were refused: too many are open');
    untold = 0;
  });
  server.on('secureConnection', (socket: Socket) => open.secured(secure?.get(placeOf(socket)), socket));
  return open;
}

/** @returns removes what binding has left in the file system */
async function bind(server: http.Server, listener: Listener): Promise<() => void> {
  if (listener.kind === 'unix') return bindSocket(server, listener.path, listener.mode, listener.group);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(listener.port, listener.host, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (cause) {
    const isTaken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
    const reason = isTaken
      ? 'address in use by another process: end it, or name another address (--listen of dockgate start, listen: of the settings)'
      : cause instanceof Error
        ? cause.message
        : String(cause);
    throw new GatewayError('config-invalid', `cannot listen on ${channelOf(listener).name}: ${reason}`, { cause });
  }
  return () => {};
}
