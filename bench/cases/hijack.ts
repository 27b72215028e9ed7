// A hijacked attach to a container that runs `cat`: 64-byte ping-pong latency and echo throughput.
import http from 'node:http';
import net from 'node:net';
import { goal, median, ratio } from '../goals.ts';
import type { Target } from '../targets.ts';

const ROUNDS = 3;
const PINGS = 2000;
const ECHO_BYTES = 64 * 1024 * 1024;
/** The engine frames each piece of output of a container without a tty. */
const FRAME_BYTES = 8;
const NAME = 'dg-bench-hijack';

interface Row {
  readonly p50: number;
  readonly p99: number;
  readonly rate: number;
}

export async function hijack(targets: readonly Target[], socketPath: string): Promise<void> {
  await engine(socketPath, 'DELETE', `/containers/${NAME}?force=1`);
  // Attach and not exec: HAProxy takes the Upgrade away from a request with a body, and exec start has one.
  await engine(socketPath, 'POST', `/containers/create?name=${NAME}`, {
    Image: 'busybox:test',
    Cmd: ['cat'],
    OpenStdin: true,
    HostConfig: { NetworkMode: 'none', LogConfig: { Type: 'none' } },
  });
  await engine(socketPath, 'POST', `/containers/${NAME}/start`);
  console.log(
    `\nhijacked attach to cat: ${PINGS} pings of 64 bytes, then ${ECHO_BYTES / 1024 / 1024} MiB echoed, median of ${ROUNDS} rounds`,
  );
  const rows = new Map<string, Row[]>();
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const target of targets) rows.set(target.name, [...(rows.get(target.name) ?? []), await measure(target)]);
    }
    const of = (name: string, pick: (row: Row) => number) => median((rows.get(name) ?? []).map(pick));
    for (const { name } of targets) {
      console.log(
        `  ${name.padEnd(9)} p50 ${of(name, (r) => r.p50)} us  p99 ${of(name, (r) => r.p99)} us  echo ${of(name, (r) => r.rate).toFixed(0)} MiB/s`,
      );
    }
    if (rows.has('haproxy')) {
      const all = (name: string, pick: (row: Row) => number) => (rows.get(name) ?? []).map(pick);
      const beside = (pick: (row: Row) => number) => ratio(all('dockgate', pick), all('haproxy', pick));
      console.log(
        `  dockgate / haproxy: ${beside((r) => r.p50).toFixed(2)} x p50, ${beside((r) => r.rate).toFixed(2)} x MiB/s`,
      );
      goal(
        'hijacked echo of 64 bytes, p50, x HAProxy',
        'at most',
        1.05,
        beside((r) => r.p50),
      );
    }
  } finally {
    await engine(socketPath, 'DELETE', `/containers/${NAME}?force=1`);
  }
}

async function measure(target: Target): Promise<Row> {
  const socket = net.connect(target.to as net.NetConnectOpts);
  socket.setNoDelay(true);
  socket.write(
    `POST /v1.43/containers/${NAME}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: docker\r\n${target.headers}` +
      'Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n',
  );
  let onData: (data: Buffer) => void = () => {};
  let buffered = Buffer.alloc(0);
  const headDone = new Promise<void>((resolve, reject) => {
    onData = (data) => {
      buffered = Buffer.concat([buffered, data]);
      if (!buffered.includes('\r\n\r\n')) return;
      if (buffered.toString('latin1', 9, 12) === '101') resolve();
      else reject(new Error(buffered.toString('latin1', 0, 200)));
    };
  });
  socket.on('data', (data: Buffer) => onData(data));
  await headDone;
  const times: number[] = [];
  const ping = Buffer.alloc(64, 0x61);
  for (let i = 0; i < PINGS; i++) {
    const started = performance.now();
    await new Promise<void>((resolve) => {
      let got = 0;
      onData = (data) => {
        got += data.length;
        if (got >= ping.length + FRAME_BYTES) resolve();
      };
      socket.write(ping);
    });
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  const started = performance.now();
  await new Promise<void>((resolve) => {
    let got = 0;
    onData = (data) => {
      got += data.length;
      if (got >= ECHO_BYTES) resolve();
    };
    const chunk = Buffer.alloc(64 * 1024, 0x62);
    let left = ECHO_BYTES;
    const pump = () => {
      while (left > 0) {
        left -= chunk.length;
        if (!socket.write(chunk)) {
          socket.once('drain', pump);
          return;
        }
      }
    };
    pump();
  });
  const seconds = (performance.now() - started) / 1000;
  socket.destroy();
  const at = (q: number) => Math.round((times[Math.floor(times.length * q)] ?? 0) * 1000);
  return { p50: at(0.5), p99: at(0.99), rate: ECHO_BYTES / 1024 / 1024 / seconds };
}

/** One call straight to the engine. */
export function engine(socketPath: string, method: string, path: string, body?: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const request = http.request(
      {
        socketPath,
        method,
        path,
        headers:
          text === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) },
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (c: Buffer) => chunks.push(c));
        answer.on('end', () => {
          const all = Buffer.concat(chunks).toString();
          try {
            resolve(all === '' ? undefined : JSON.parse(all));
          } catch {
            resolve(all);
          }
        });
      },
    );
    request.on('error', reject);
    request.end(text);
  });
}
