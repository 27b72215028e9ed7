// Receivers for sinks: small servers that can fail, hang and come back, and a log with the thread that feeds sinks from it.
import { readFileSync } from 'node:fs';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import type { AuditEvent, Recorder } from '../../src/audit/event.ts';
import type { SinkSetting } from '../../src/audit/sinks/setting.ts';
import { createConfig } from '../../src/config/config.ts';
import { openRecorder } from '../../src/store/recorder.ts';
import type { SinkState } from '../../src/store/sink-runner.ts';
import { SinksThread } from '../../src/store/sinks-thread.ts';
import { until } from '../support/until.ts';
import { eventOf } from './events.ts';

/** Settings as a file gives them. */
export const sinksOf = (folder: string, ...sinks: Record<string, unknown>[]): readonly SinkSetting[] =>
  createConfig({ engine: 'unix:///x.sock', data: join(folder, 'data'), audit: { sinks } }, { baseDir: folder }).audit
    .sinks;

export interface SinkBench {
  readonly recorder: Recorder;
  readonly thread: SinksThread;
  /** What the log was told. */
  readonly told: string[];
  record(count: number, more?: Partial<AuditEvent>): Promise<void>;
  state(name: string): SinkState;
  /** Waits until a sink has everything. */
  caughtUp(name: string): Promise<void>;
  /** Ends the thread and begins another one, as a restart does. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export async function openBench(file: string, sinks: readonly SinkSetting[]): Promise<SinkBench> {
  const recorder = await openRecorder(file);
  const told: string[] = [];
  const tell = (data: object, message: string): void => void told.push(`${message} ${JSON.stringify(data)}`);
  const start = (): SinksThread =>
    new SinksThread({ auditFile: file, version: '1.2.3' }, { info: tell, warn: tell, error: tell });
  let thread = start();
  let written = 0;
  await thread.apply(sinks);
  const state = (name: string): SinkState => {
    const found = thread.states().find((one) => one.name === name);
    if (found === undefined) throw new Error(`there is no sink ${name}`);
    return found;
  };
  return {
    recorder,
    get thread() {
      return thread;
    },
    told,
    async record(count, more = {}) {
      written += count;
      await Promise.all(Array.from({ length: count }, () => recorder.record(eventOf(more))));
    },
    state,
    async caughtUp(name) {
      await until(`${name} has ${written} rows`, () =>
        thread.states().some((one) => one.name === name && one.seq >= written),
      );
    },
    async restart() {
      await thread.close();
      thread = start();
      await thread.apply(sinks);
    },
    async close() {
      await thread.close();
      await recorder.close();
    },
  };
}

export interface Received {
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** An HTTP receiver. `how` may answer by itself and return true; otherwise it takes the delivery with 200. */
export async function httpReceiver(how: (answer: ServerResponse, received: Received) => boolean = () => false) {
  const taken: Received[] = [];
  const server = http.createServer((request, answer) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const received = { headers: request.headers, body: Buffer.concat(pieces).toString('utf8') };
      if (how(answer, received)) return;
      taken.push(received);
      answer.end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    taken,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Numbers of the rows taken, in the order they came. */
    seqs: (): number[] =>
      taken.flatMap(({ body }) =>
        body
          .trim()
          .split('\n')
          .map((line) => (JSON.parse(line) as { seq: number }).seq),
      ),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A receiver of octet-counted syslog. `how` sees each connection first and may break it. */
export async function syslogReceiver(how: (socket: Socket, index: number) => boolean = () => false) {
  const messages: string[] = [];
  let count = 0;
  const sockets = new Set<Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    if (how(socket, count++)) return;
    const pieces: Buffer[] = [];
    socket.on('data', (piece: Buffer) => pieces.push(piece));
    socket.on('end', () => {
      messages.push(...framesOf(Buffer.concat(pieces)));
      socket.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    messages,
    address: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

function framesOf(bytes: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(bytes.toString('latin1', at, space));
    found.push(bytes.toString('utf8', space + 1, space + 1 + length));
    at = space + 1 + length;
  }
  return found;
}

export const linesOf = (file: string): { seq: number; logId: string; hash: string }[] =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { seq: number; logId: string; hash: string });

export const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
export const folderOf = (file: string): string => dirname(file);
