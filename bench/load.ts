// A closed-loop HTTP/1.1 client in a process of its own: N connections, each sends its next request when the answer is
// complete. Reads answers by Content-Length or chunked framing, nothing more. Prints one JSON line.
//   node bench/load.ts '{"to":{"path":...}|{"host":...,"port":...},"request":"...","connections":16,"durationMs":1000}'
import net from 'node:net';
import tls from 'node:tls';

export interface LoadJob {
  /** `isTls`: over TLS, any certificate accepted. */
  readonly to: { path: string } | { host: string; port: number; isTls?: boolean };
  /** The whole request, head and body. */
  readonly request: string;
  readonly connections: number;
  readonly durationMs: number;
}

export interface LoadResult {
  readonly requestsPerSecond: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly failed: number;
}

const HEAD_END = Buffer.from('\r\n\r\n');

/** Length of the first complete answer in `data`, 0 when it is not complete. */
function answerLength(data: Buffer): number {
  const at = data.indexOf(HEAD_END);
  if (at < 0) return 0;
  const head = data.toString('latin1', 0, at);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head);
  if (length !== null) {
    const total = at + 4 + Number(length[1]);
    return data.length >= total ? total : 0;
  }
  const end = data.indexOf('0\r\n\r\n', at + 4, 'latin1');
  return end < 0 ? 0 : end + 5;
}

async function load(job: LoadJob): Promise<LoadResult> {
  const bytes = Buffer.from(job.request);
  const times: number[] = [];
  let failed = 0;
  const end = performance.now() + job.durationMs;
  const warm = performance.now() + Math.min(200, job.durationMs / 4);
  await Promise.all(
    Array.from(
      { length: job.connections },
      () =>
        new Promise<void>((resolve) => {
          const isTls = 'isTls' in job.to && job.to.isTls === true;
          const socket = isTls
            ? tls.connect({ ...(job.to as tls.ConnectionOptions), rejectUnauthorized: false })
            : net.connect(job.to as net.NetConnectOpts);
          let sent = 0;
          let pending: Buffer | undefined;
          const send = () => {
            sent = performance.now();
            socket.write(bytes);
          };
          socket.setNoDelay(true);
          socket.on(isTls ? 'secureConnect' : 'connect', send);
          socket.on('data', (data: Buffer) => {
            const all = pending === undefined ? data : Buffer.concat([pending, data]);
            const length = answerLength(all);
            if (length === 0) {
              pending = all;
              return;
            }
            pending = undefined;
            const now = performance.now();
            if (all[9] !== 0x32) failed++;
            if (sent >= warm) times.push(now - sent);
            if (now < end) send();
            else {
              socket.destroy();
              resolve();
            }
          });
          socket.on('error', () => {
            failed++;
            resolve();
          });
          socket.on('close', () => resolve());
        }),
    ),
  );
  times.sort((a, b) => a - b);
  const at = (q: number) => Math.round((times[Math.min(times.length - 1, Math.floor(times.length * q))] ?? 0) * 1000);
  return {
    requestsPerSecond: Math.round(times.length / ((end - warm) / 1000)),
    p50: at(0.5),
    p99: at(0.99),
    failed,
  };
}

if (import.meta.main) console.log(JSON.stringify(await load(JSON.parse(process.argv[2] as string) as LoadJob)));
