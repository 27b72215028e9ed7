// A hijacked exec of `cat`: 64-byte ping-pong latency and echo throughput.
import http from 'node:http';
import net from 'node:net';
import type { Target } from '../targets.ts';

const PINGS = 2000;
const ECHO_BYTES = 64 * 1024 * 1024;
const NAME = 'dg-bench-hijack';

export async function hijack(targets: readonly Target[], socketPath: string): Promise<void> {
  await engine(socketPath, 'DELETE', `/containers/${NAME}?force=1`);
  await engine(socketPath, 'POST', `/containers/create?name=${NAME}`, {
    Image: 'busybox:test',
    Cmd: ['sleep', '600'],
    HostConfig: { NetworkMode: 'none' },
  });
  await engine(socketPath, 'POST', `/containers/${NAME}/start`);
  console.log(`\nhijacked exec of cat: ${PINGS} pings of 64 bytes, then ${ECHO_BYTES / 1024 / 1024} MiB echoed`);
  const rows = new Map<string, { p50: number; p99: number; rate: number }>();
  try {
    for (const target of targets) {
      const row = await measure(target, socketPath);
      rows.set(target.name, row);
      console.log(`  ${target.name.padEnd(9)} p50 ${row.p50} us  p99 ${row.p99} us  echo ${row.rate.toFixed(0)} MiB/s`);
    }
    const [ours, peer] = [rows.get('dockgate'), rows.get('haproxy')];
    if (ours !== undefined && peer !== undefined) {
      console.log(
        `  dockgate / haproxy: ${(ours.p50 / peer.p50).toFixed(2)} x p50, ${(ours.rate / peer.rate).toFixed(2)} x MiB/s`,
      );
    }
  } finally {
    await engine(socketPath, 'DELETE', `/containers/${NAME}?force=1`);
  }
}

async function measure(target: Target, socketPath: string): Promise<{ p50: number; p99: number; rate: number }> {
  // A tty without echo hands bytes on one to one; without a tty the engine frames them, which is counted out below.
  const { Id } = (await engine(socketPath, 'POST', `/containers/${NAME}/exec`, {
    AttachStdin: true,
    AttachStdout: true,
    Cmd: ['cat'],
  })) as { Id: string };
  const socket = net.connect(target.to as net.NetConnectOpts);
  socket.setNoDelay(true);
  const body = '{"Detach":false,"Tty":false}';
  socket.write(
    `POST /v1.43/exec/${Id}/start HTTP/1.1\r\nHost: docker\r\n${target.headers}Connection: Upgrade\r\nUpgrade: tcp\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
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
        if (got >= ping.length + 8) resolve();
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
