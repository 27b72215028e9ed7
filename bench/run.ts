// npm run bench: added latency and throughput of dockgate against the engine itself and HAProxy, in one alternating run.
// Needs a real engine: DOCKGATE_TEST_DOCKER_HOST or /var/run/docker.sock. See bench/README.md for how to read it.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { ROOT } from '../test/support/runtime.ts';
import { bulk } from './cases/bulk.ts';
import { hijack } from './cases/hijack.ts';
import { small } from './cases/small.ts';
import { startup } from './cases/startup.ts';
import { bare, direct, dockgate, haproxy, type Target } from './targets.ts';

const socket = (process.env.DOCKGATE_TEST_DOCKER_HOST ?? 'unix:///var/run/docker.sock').replace(/^unix:\/\//, '');
if (!existsSync(socket)) {
  console.error(`no engine at ${socket}: set DOCKGATE_TEST_DOCKER_HOST=unix://...`);
  process.exit(2);
}
if (spawnSync(process.execPath, [`${ROOT}scripts/build.ts`], { stdio: 'inherit' }).status !== 0) process.exit(1);

const only = process.argv.slice(2);
const wants = (name: string) => only.length === 0 || only.includes(name);
console.log(`machine: ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.versions.node}`);
const targets: Target[] = [direct(socket)];
const peer = await haproxy(socket);
if (peer === undefined) console.log('haproxy: not installed, so no peer column');
else targets.push(peer);
if (wants('small')) targets.push(await bare(socket));
targets.push(await dockgate(socket));
try {
  if (wants('small')) await small(targets);
  const proxies = targets.filter(({ name }) => name !== 'bare');
  if (wants('hijack')) await hijack(proxies, socket);
  if (wants('bulk')) await bulk(proxies, socket);
} finally {
  for (const target of targets) await target.stop();
}
if (wants('startup')) await startup(socket);
