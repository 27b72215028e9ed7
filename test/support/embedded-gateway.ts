// The gateway inside the test's own process: the package's embedded gateway behind the program's own listeners. Fast, and
// the test holds both ends. Tests of the whole program start a child process instead (gateway.ts).
import { mkdtempSync, rmSync } from 'node:fs';
import net, { type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LOCAL_OPERATOR } from '../../src/admin/services.ts';
import { embedGateway, type OpenEmbedded } from '../../src/app/embed.ts';
import type { AuditRow } from '../../src/audit/event.ts';
import { createConfig } from '../../src/config/config.ts';
import type { Logger } from '../../src/log.ts';
import { listen, type RunningListener } from '../../src/runtime/listen.ts';
import { until } from './until.ts';

export interface EmbeddedTestGateway {
  readonly gateway: OpenEmbedded;
  readonly dir: string;
  readonly data: string;
  /** Port of the plain HTTP listener on loopback. */
  readonly port: number;
  /** Path of a unix listener bound to the identity `op`, whose policy is `operator`. */
  readonly socketPath: string;
  /** Lines of the log so far, one JSON object each. */
  log(): string;
  /** A token of an identity, made when it is not there. */
  token(identity: string, policy?: string): Promise<string>;
  /** Stores a policy from its YAML. */
  policy(name: string, source: string): Promise<void>;
  /** Audit rows, oldest first. */
  rows(): Promise<readonly AuditRow[]>;
  /** Waits until the rows of an audit id say how the call ended. */
  completed(auditId: string): Promise<readonly AuditRow[]>;
  /** A raw connection to the HTTP listener. */
  connect(): RawCaller;
  /** Ends the gateway; its folder stays. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** Opens a gateway in front of an engine address (`unix:///...`). */
export async function openEmbedded(
  engine: string,
  settings: Record<string, unknown> = {},
  /** Fills the data folder before the gateway opens it. */
  prepare: (data: string) => void = () => {},
): Promise<EmbeddedTestGateway> {
  const dir = mkdtempSync(join(tmpdir(), 'dg-embedded-'));
  const data = join(dir, 'data');
  const socketPath = join(dir, 'op.sock');
  const config = createConfig(
    {
      engine,
      data,
      listen: [{ unix: socketPath, mode: '0600', identity: 'op' }],
      ...(engine.startsWith('tcp:') ? { engineInsecure: true } : {}),
      ...settings,
    },
    { baseDir: dir },
  );
  const lines: string[] = [];
  const write = (level: string) => (data: object, message: string) => {
    const error = (data as { err?: Error }).err;
    lines.push(JSON.stringify({ level, message, ...data, ...(error ? { err: String(error.stack) } : {}) }));
  };
  const log: Logger = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  prepare(data);
  const gateway = await embedGateway(config, { log, baseDir: dir });
  const context = () => ({ by: LOCAL_OPERATOR, auditId: gateway.admin.newAuditId() });
  const known = new Set<string>();
  const ensure = async (name: string, policy: string) => {
    if (known.has(name)) return;
    known.add(name);
    await gateway.admin.createIdentity({ name, groups: [], policies: [policy] }, context());
  };
  await ensure('op', 'operator');
  const listeners: RunningListener[] = [];
  for (const listener of [{ kind: 'http', host: '127.0.0.1', port: 0 } as const, ...config.listen]) {
    listeners.push(await listen(listener, gateway, config.limits, log));
  }
  const port = listeners[0]?.port as number;
  const rows = () => gateway.admin.auditAfter({ afterSeq: 0, limit: 100_000 });
  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= (async () => {
      for (const listener of listeners) listener.stop();
      await gateway.close();
      await Promise.all(listeners.map((l) => l.close()));
    })();
    return stopped;
  };
  return {
    gateway,
    dir,
    data,
    port,
    socketPath,
    log: () => lines.join('\n'),
    async token(identity, policy = 'operator') {
      await ensure(identity, policy);
      return (await gateway.admin.createToken({ identity, ttlMs: 600_000 }, context())).token;
    },
    async policy(name, source) {
      await gateway.admin.applyPolicies([{ kind: 'Policy', name, source }], context());
    },
    rows,
    completed: (auditId) =>
      until(`the outcome of ${auditId}`, async () => {
        const own = (await rows()).filter((row) => row.auditId === auditId);
        return own.some((row) => row.stage === 'complete') ? own : undefined;
      }),
    connect: () => new RawCaller(net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })),
    stop,
    async close() {
      await stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The audit id the gateway gave. */
  readonly auditId: string;
}

/** A caller that writes bytes and reads bytes: nothing tidies up what it sends. */
export class RawCaller {
  readonly socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  /** The other side said it has no more. */
  ended = false;
  closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, data]);
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
    });
  }

  send(text: string | Buffer): void {
    this.socket.write(text);
  }

  /** All that came and was not taken yet. */
  get received(): string {
    return this.#bytes.toString('latin1');
  }

  /** Takes one answer with Content-Length, chunked, or (HEAD) without a body off the front. */
  async answer(method = 'GET'): Promise<RawAnswer> {
    const end = await until('the head of an answer', () => {
      const at = this.#bytes.indexOf('\r\n\r\n');
      if (at >= 0) return at;
      if (this.ended || this.closed) throw new Error(`the connection ended without an answer: ${this.received}`);
      return undefined;
    });
    const [first = '', ...lines] = this.#bytes.subarray(0, end).toString('latin1').split('\r\n');
    const headers: Record<string, string> = {};
    for (const line of lines) {
      const colon = line.indexOf(':');
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    const status = Number(first.split(' ')[1]);
    let rest = this.#bytes.subarray(end + 4);
    let body = '';
    if (method === 'HEAD' || status < 200 || status === 204 || status === 304) {
      this.#bytes = rest;
    } else if (headers['transfer-encoding'] === 'chunked') {
      for (;;) {
        const [size, line] = await until('a chunk', () => {
          rest = this.#bytes.subarray(end + 4);
          return unchunk(rest);
        });
        body = line;
        this.#bytes = rest.subarray(size);
        break;
      }
    } else {
      const length = Number(headers['content-length'] ?? 0);
      await until(`a body of ${length} bytes`, () => {
        if (this.#bytes.length >= end + 4 + length) return true;
        if (this.closed) throw new Error(`the body broke off: ${this.received}`);
        return false;
      });
      body = this.#bytes.subarray(end + 4, end + 4 + length).toString('latin1');
      this.#bytes = this.#bytes.subarray(end + 4 + length);
    }
    return { status, headers, body, auditId: headers['dockgate-audit-id'] ?? '' };
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** Length of a whole chunked body on the wire, and its content; undefined while it is not whole. */
function unchunk(bytes: Buffer): [size: number, body: string] | undefined {
  let at = 0;
  let body = '';
  for (;;) {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const size = Number.parseInt(bytes.toString('latin1', at, end), 16);
    if (bytes.length < end + 4 + size) return undefined;
    if (size === 0) return [end + 4, body];
    body += bytes.toString('latin1', end + 2, end + 2 + size);
    at = end + 4 + size;
  }
}
