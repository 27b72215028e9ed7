// npm run bench: added latency and throughput of dockgate against the engine itself and HAProxy, in one alternating run.
// Needs a real engine: DOCKGATE_TEST_DOCKER_HOST or /var/run/docker.sock. See bench/README.md for how to read it.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { ROOT } from '../test/support/runtime.ts';
import { bulk } from './cases/bulk.ts';
import { engine, hijack } from './cases/hijack.ts';
import { creates, inspects, small } from './cases/small.ts';
import { startup } from './cases/startup.ts';
import { goal, printGoals } from './goals.ts';
import { bare, direct, dockgate, enginePid, haproxy, residentMiB, type Target } from './targets.ts';

const socket = (process.env.DOCKGATE_TEST_DOCKER_HOST ?? 'unix:///var/run/docker.sock').replace(/^unix:\/\//, '');
if (!existsSync(socket)) {
  console.error(`no engine at ${socket}: set DOCKGATE_TEST_DOCKER_HOST=unix://...`);
  process.exit(2);
}
if (spawnSync(process.execPath, [`${ROOT}scripts/build.ts`], { stdio: 'inherit' }).status !== 0) process.exit(1);

const only = process.argv.slice(2);
const wants = (name: string) => only.length === 0 || only.includes(name);
console.log(`machine: ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.versions.node}`);
const targets: Target[] = [direct(socket), ...(await haproxy(socket))];
if (targets.length === 1) console.log('haproxy or openssl is not installed, so there is no peer');
if (wants('small')) targets.push(await bare(socket));
const ours = await dockgate(socket);
targets.push(...ours.targets);
if (wants('small')) targets.push(...(await dockgate(socket, { reads: 'durable' })).targets);
try {
  const [gateway] = ours.targets;
  if (wants('small')) {
    await small(targets, enginePid(socket));
    goal('resident memory, idle', 'at most', 90, ours.idleMiB, ' MiB');
    goal('resident memory, after the lists', 'at most', 150, residentMiB(gateway?.pid), ' MiB');
    const made = (await engine(socket, 'POST', '/containers/create?name=dg-bench-inspect', {
      Image: 'busybox:test',
      Labels: { 'dg-bench': '1' },
    })) as { Id?: string };
    await inspects(targets, made.Id ?? 'dg-bench-inspect');
    await removeOurs();
    await creates(targets, removeOurs);
  }
  const plain = targets.filter(({ name }) => ['direct', 'haproxy', 'dockgate'].includes(name));
  if (wants('hijack')) await hijack(plain, socket);
  if (wants('bulk')) await bulk(plain, socket);
} finally {
  for (const target of targets) await target.stop();
  await removeOurs();
}
if (wants('startup')) await startup(socket);
printGoals();

/** Removes the containers this program made. */
async function removeOurs(): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ label: ['dg-bench=1'] }));
  for (;;) {
    const found = await engine(socket, 'GET', `/containers/json?all=1&limit=200&filters=${filters}`);
    if (!Array.isArray(found) || found.length === 0) return;
    await Promise.all(found.map(({ Id }: { Id: string }) => engine(socket, 'DELETE', `/containers/${Id}?force=1`)));
  }
}
