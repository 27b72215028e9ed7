// Cost of filtering a list: ms of CPU for GET /containers/json with 2000 containers, of which a tenant has all, half or none.
// Run: `node bench/micro/list.ts` or `deno run -A --no-check bench/micro/list.ts`.
import { randomBytes } from 'node:crypto';
import { JsonItems } from '../../src/ledger/json-items.ts';

const COUNT = 2000;
const ROUNDS = 50;
/** What a socket gives at once, in bytes. */
const CHUNK = 64 * 1024;

const containers = Array.from({ length: COUNT }, (_, i) => ({
  Id: randomBytes(32).toString('hex'),
  Names: [`/ci-job-${i}`],
  Image: 'registry.example.test:5000/team/app:1.4.2',
  ImageID: `sha256:${randomBytes(32).toString('hex')}`,
  Command: "sh -c 'make test'",
  Created: 1_790_000_000 + i,
  Ports: [],
  Labels: { 'com.docker.compose.project': `p${i % 50}`, 'dockgate.tenant': i % 2 === 0 ? 'red' : 'blue' },
  State: 'running',
  Status: 'Up 3 hours',
  HostConfig: { NetworkMode: 'default' },
  NetworkSettings: { Networks: { bridge: { NetworkID: randomBytes(32).toString('hex'), IPAddress: '172.17.0.2' } } },
  Mounts: [{ Type: 'volume', Name: `v${i}`, Destination: '/data', RW: true }],
}));
const bytes = Buffer.from(JSON.stringify(containers));

for (const [share, keep] of [
  ['all', () => true],
  ['half', (i: number) => i % 2 === 0],
  ['none', () => false],
] as const) {
  const own = new Set(containers.filter((_, i) => keep(i)).map(({ Id }) => Id));
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    const filter = new JsonItems(
      (item) => own.has((item as { Id: string }).Id),
      (id) => own.has(id),
    );
    for (let at = 0; at < bytes.length; at += CHUNK) filter.push(bytes.subarray(at, at + CHUNK));
    filter.end();
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  const median = times[ROUNDS / 2] as number;
  console.log(
    `${share.padEnd(5)} ${own.size} of ${COUNT} containers, ${(bytes.length / 1e6).toFixed(1)} MB: ${median.toFixed(1)} ms`,
  );
}
