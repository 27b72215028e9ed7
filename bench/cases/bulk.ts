// A large file out of and into a container, in MiB/s, and the memory a slow reader costs.
import net from 'node:net';
import { goal, median, ratio } from '../goals.ts';
import { residentMiB, type Target } from '../targets.ts';
import { engine } from './hijack.ts';

const MIB = 1024 * 1024;
const SIZE_MIB = 1024;
const ROUNDS = 3;
const NAME = 'dg-bench-bulk';
const SLOW_MS = 4000;

export async function bulk(targets: readonly Target[], socketPath: string): Promise<void> {
  await engine(socketPath, 'DELETE', `/containers/${NAME}?force=1`);
  await engine(socketPath, 'POST', `/containers/create?name=${NAME}`, {
    Image: 'busybox:test',
    Cmd: ['sh', '-c', `dd if=/dev/zero of=/big bs=1048576 count=${SIZE_MIB}; sleep 900`],
    HostConfig: { NetworkMode: 'none' },
  });
  await engine(socketPath, 'POST', `/containers/${NAME}/start`);
  for (let i = 0; i < 120; i++) {
    const stat = (await engine(socketPath, 'GET', `/containers/${NAME}/top`)) as { Processes?: string[][] };
    if (
      stat.Processes?.some((p) => p.join(' ').includes('sleep 900')) &&
      !stat.Processes.some((p) => p.join(' ').includes('dd if='))
    )
      break;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  console.log(`\n${SIZE_MIB} MiB out of a container and into it, median of ${ROUNDS} rounds`);
  try {
    const down = new Map<string, number[]>();
    const up = new Map<string, number[]>();
    for (let round = 0; round < ROUNDS; round++) {
      for (const target of targets) {
        down.set(target.name, [...(down.get(target.name) ?? []), await download(target)]);
        up.set(target.name, [...(up.get(target.name) ?? []), await upload(target)]);
      }
    }
    for (const { name } of targets) {
      console.log(
        `  ${name.padEnd(9)} download ${median(down.get(name) ?? []).toFixed(0)} MiB/s  upload ${median(up.get(name) ?? []).toFixed(0)} MiB/s`,
      );
    }
    const share = (of: Map<string, number[]>, other: string) => ratio(of.get('dockgate') ?? [], of.get(other) ?? []);
    if (down.has('haproxy')) {
      const [got, put] = [share(down, 'haproxy'), share(up, 'haproxy')];
      console.log(`  dockgate / haproxy: download ${got.toFixed(2)} x, upload ${put.toFixed(2)} x`);
    }
    goal(`download of ${SIZE_MIB} MiB, share of direct`, 'at least', 0.95, share(down, 'direct'));
    goal(`upload of ${SIZE_MIB / 2} MiB, share of direct`, 'at least', 0.95, share(up, 'direct'));
    for (const target of targets.filter((t) => t.pid !== undefined)) {
      const before = residentMiB(target.pid);
      const peak = await slowReader(target);
      console.log(
        `  slow reader, ${target.name}: ${before.toFixed(0)} MiB before, at most ${peak.toFixed(0)} MiB during (${(peak - before).toFixed(1)} MiB more)`,
      );
    }
  } finally {
    await engine(socketPath, 'DELETE', `/containers/${NAME}?force=1`);
  }
}

function open(target: Target, head: string): net.Socket {
  const socket = net.connect(target.to as net.NetConnectOpts);
  socket.on('error', () => {});
  socket.write(head);
  return socket;
}

const getHead = (target: Target) =>
  `GET /v1.43/containers/${NAME}/archive?path=/big HTTP/1.1\r\nHost: docker\r\n${target.headers}Connection: close\r\n\r\n`;

function download(target: Target): Promise<number> {
  return new Promise((resolve) => {
    const started = performance.now();
    let got = 0;
    const socket = open(target, getHead(target));
    socket.on('data', (data: Buffer) => {
      got += data.length;
    });
    socket.on('close', () => resolve(got / MIB / ((performance.now() - started) / 1000)));
  });
}

/** A tar of one file of zeros, made on the way, sent chunked. */
function upload(target: Target): Promise<number> {
  const size = (SIZE_MIB / 2) * MIB;
  const header = Buffer.alloc(512);
  header.write('up', 0);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write('0', 156);
  header.write('ustar\0', 257);
  header.write('00', 263);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const frame = (data: Buffer) =>
    Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n')]);
  const block = frame(Buffer.alloc(64 * 1024));
  return new Promise((resolve) => {
    const started = performance.now();
    const socket = open(
      target,
      `PUT /v1.43/containers/${NAME}/archive?path=/tmp HTTP/1.1\r\nHost: docker\r\n${target.headers}Content-Type: application/x-tar\r\n` +
        'Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n',
    );
    socket.write(frame(header));
    let left = size / (64 * 1024);
    const pump = () => {
      while (left-- > 0) {
        if (!socket.write(block)) {
          socket.once('drain', pump);
          return;
        }
      }
      socket.write(frame(Buffer.alloc(1024)));
      socket.write('0\r\n\r\n');
    };
    pump();
    let answer = '';
    socket.on('data', (data: Buffer) => {
      answer += data.toString('latin1', 0, 200);
    });
    socket.on('close', () => {
      if (!answer.startsWith('HTTP/1.1 200')) console.log(`  upload failed: ${answer.slice(0, 120)}`);
      resolve(size / MIB / ((performance.now() - started) / 1000));
    });
  });
}

/** Reads about 5 MB/s for a while; the peak of the target's resident memory in MiB. */
function slowReader(target: Target): Promise<number> {
  return new Promise((resolve) => {
    let peak = residentMiB(target.pid);
    const socket = open(target, getHead(target));
    socket.on('data', () => {
      socket.pause();
      setTimeout(() => socket.resume(), 12);
    });
    const watch = setInterval(() => {
      peak = Math.max(peak, residentMiB(target.pid));
    }, 50);
    setTimeout(() => {
      clearInterval(watch);
      socket.destroy();
      resolve(peak);
    }, SLOW_MS);
  });
}
