// A soak: mixed traffic through the whole program for half an hour, against a real engine. Memory, descriptors and threads are looked at every
// five seconds; at the end the last third must be as the second was. `npm run bench:soak [MINUTES]`; needs DOCKGATE_TEST_DOCKER_HOST or
// /var/run/docker.sock with the image busybox:test, and the bundle (npm run build).
import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { engine } from './cases/hijack.ts';
import { median } from './goals.ts';
import { dockgate } from './targets.ts';

const MINUTES = Number(process.argv[2] ?? 30);
const WORKERS = 6;
/** Growth of the last third over the second that counts as none: of memory, and of descriptors. */
const MEMORY_TIMES = 1.15;
const MORE_DESCRIPTORS = 20;
const LOOK_MS = Math.min(5000, MINUTES * 1000);

const socket = (process.env.DOCKGATE_TEST_DOCKER_HOST ?? 'unix:///var/run/docker.sock').replace(/^unix:\/\//, '');
const { targets } = await dockgate(socket);
const [gateway] = targets;
if (gateway === undefined || !('port' in gateway.to)) throw new Error('the gateway has no plain listener');
const { port } = gateway.to;
const authorization = /: (.*)\r\n/.exec(gateway.headers)?.[1] as string;
const agent = new http.Agent({ keepAlive: true, maxSockets: WORKERS });
const counts = new Map<string, number>();
let isOver = false;

interface Asked {
  readonly method?: string;
  readonly body?: string | Buffer;
  readonly type?: string;
  /** Ends the answer after so many ms. */
  readonly leaveMs?: number;
  readonly token?: string;
  readonly fresh?: boolean;
}

/** One call; resolves with the status and the answer's first bytes. */
const call = (path: string, asked: Asked = {}): Promise<{ status: number; text: string }> =>
  new Promise((resolve, reject) => {
    const { method = 'GET', body, type = 'application/json', leaveMs, token = authorization, fresh = false } = asked;
    const request = http.request(
      {
        host: '127.0.0.1',
        port,
        path,
        method,
        agent: fresh || leaveMs !== undefined ? false : agent,
        headers: {
          authorization: token,
          ...(body === undefined ? {} : { 'content-type': type, 'content-length': body.length }),
        },
      },
      (answer) => {
        let text = '';
        const done = () => resolve({ status: answer.statusCode ?? 0, text });
        answer.on('data', (data: Buffer) => {
          if (text.length < 4096) text += data.toString('latin1', 0, 4096);
        });
        answer.on('end', done).on('error', done);
        if (leaveMs !== undefined)
          setTimeout(() => {
            request.destroy();
            done();
          }, leaveMs);
      },
    );
    request.on('error', (error) => (leaveMs === undefined ? reject(error) : resolve({ status: 0, text: '' })));
    request.end(body);
  });

const expect = async (name: string, status: number, answer: Promise<{ status: number; text: string }>) => {
  const got = await answer;
  if (got.status !== status) throw new Error(`${name} was answered ${got.status}: ${got.text.slice(0, 200)}`);
  counts.set(name, (counts.get(name) ?? 0) + 1);
  return got.text;
};

/** A tar of one file of a mebibyte. */
function tar(): Buffer {
  const size = 1024 * 1024;
  const all = Buffer.alloc(512 + size + 1024);
  const fields: readonly [string, number][] = [
    ['soak', 0],
    ['0000644\0', 100],
    ['0000000\0', 108],
    ['0000000\0', 116],
    [`${size.toString(8).padStart(11, '0')}\0`, 124],
    ['00000000000\0', 136],
    ['        ', 148],
    ['0', 156],
    ['ustar\0', 257],
    ['00', 263],
  ];
  for (const [text, at] of fields) all.write(text, at);
  const sum = all.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  all.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return all;
}
const ARCHIVE = tar();

async function worker(no: number): Promise<void> {
  const body = JSON.stringify({
    Image: 'busybox:test',
    Cmd: ['sh', '-c', 'echo hello; sleep 600'],
    Labels: { 'dg-bench': '1' },
    HostConfig: { NetworkMode: 'none' },
  });
  const denied = JSON.stringify({ Image: 'busybox:test', HostConfig: { Privileged: true } });
  while (!isOver) {
    const made = await expect('create', 201, call('/containers/create', { method: 'POST', body }));
    const { Id: id } = JSON.parse(made) as { Id: string };
    for (let i = 0; i < 40 && !isOver; i++) {
      await expect('list', 200, call('/containers/json?all=1'));
      await expect('inspect', 200, call(`/containers/${id}/json`));
      await expect('not found', 404, call(`/containers/none-${i}/json`));
      await expect('list, a connection of its own', 200, call('/images/json', { fresh: true }));
      await expect('refused', 403, call('/containers/create', { method: 'POST', body: denied }));
      await expect('unknown caller', 401, call('/containers/json', { token: 'Bearer x.y.z' }));
      if (i % 10 === no) {
        await expect(
          'upload',
          200,
          call(`/containers/${id}/archive?path=/tmp`, { method: 'PUT', body: ARCHIVE, type: 'application/x-tar' }),
        );
        await expect('download', 200, call(`/containers/${id}/archive?path=/tmp/soak`));
        await call('/events', { leaveMs: 200 });
        counts.set('stream', (counts.get('stream') ?? 0) + 1);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await expect('remove', 204, call(`/containers/${id}?force=1`, { method: 'DELETE' }));
  }
}

interface Sample {
  readonly rss: number;
  readonly own: number;
  readonly descriptors: number;
  readonly threads: number;
}
const look = (): Sample => {
  const status = readFileSync(`/proc/${gateway.pid}/status`, 'utf8');
  const of = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0);
  return {
    rss: of('VmRSS') / 1024,
    own: of('RssAnon') / 1024,
    descriptors: readdirSync(`/proc/${gateway.pid}/fd`).length,
    threads: of('Threads'),
  };
};

const atRest = look();
const samples: Sample[] = [];
const watch = setInterval(() => samples.push(look()), LOOK_MS);
let failure: unknown;
const work = Promise.all(Array.from({ length: WORKERS }, (_, i) => worker(i))).catch((error: unknown) => {
  failure = error;
  isOver = true;
});
for (const until = Date.now() + MINUTES * 60_000; Date.now() < until && !isOver; )
  await new Promise((resolve) => setTimeout(resolve, 1000));
isOver = true;
await work;
clearInterval(watch);
agent.destroy();
await new Promise((resolve) => setTimeout(resolve, 2000));
const after = look();
const third = Math.floor(samples.length / 3);
const of = (part: number, pick: (sample: Sample) => number): number =>
  median(samples.slice(part * third, (part + 1) * third).map(pick));
const line = (name: string, pick: (sample: Sample) => number): string =>
  `${name}: ${pick(atRest).toFixed(0)} at rest, ${[0, 1, 2].map((part) => of(part, pick).toFixed(0)).join(', ')} in the thirds, ${pick(after).toFixed(0)} afterwards`;
console.log(`${MINUTES} minutes: ${[...counts].map(([name, count]) => `${count} ${name}`).join(', ')}`);
console.log(line('resident memory, MiB', (s) => s.rss));
console.log(line('memory of its own, MiB', (s) => s.own));
console.log(line('descriptors', (s) => s.descriptors));
console.log(line('threads', (s) => s.threads));
const faults = [
  failure === undefined ? '' : String(failure),
  of(2, (s) => s.own) > MEMORY_TIMES * of(1, (s) => s.own) ? 'memory grows' : '',
  after.descriptors > atRest.descriptors + MORE_DESCRIPTORS ? 'descriptors are left' : '',
  after.threads > of(1, (s) => s.threads) ? 'threads are left' : '',
].filter((fault) => fault !== '');
console.log(faults.length === 0 ? 'at rest as before: passed' : `FAILED: ${faults.join('; ')}`);
for (const target of targets) await target.stop();
const filters = encodeURIComponent(JSON.stringify({ label: ['dg-bench=1'] }));
const left = await engine(socket, 'GET', `/containers/json?all=1&filters=${filters}`);
if (Array.isArray(left))
  for (const { Id } of left as { Id: string }[]) await engine(socket, 'DELETE', `/containers/${Id}?force=1`);
process.exit(faults.length === 0 ? 0 : 1);
