// Requests per second and latency of GET containers/json at 1, 16 and 64 connections; targets alternate in each round.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { applyPragmas } from '../../src/store/database-pragmas.ts';
import { ROOT } from '../../test/support/runtime.ts';
import { goal, median, ratio } from '../goals.ts';
import type { LoadJob, LoadResult } from '../load.ts';
import { cpuMicros, type Target } from '../targets.ts';

const ROUNDS = Number(process.env.DOCKGATE_BENCH_ROUNDS ?? 5);
const DURATION_MS = 1500;

/** Median of one durable commit of one row, in microseconds: SQLite as the audit uses it, in the temporary folder. */
function commitMicros(): number {
  const dir = mkdtempSync(join(tmpdir(), 'dg-commit-'));
  const sqlite = new Database(join(dir, 'one.db'));
  applyPragmas(sqlite);
  sqlite.exec('CREATE TABLE row (seq INTEGER PRIMARY KEY, line TEXT)');
  const insert = sqlite.prepare('INSERT INTO row (line) VALUES (?)');
  const times: number[] = [];
  // The write-ahead log is written over once it has its size: that is the state of a program that has run for a while.
  for (let i = 0; i < 4000; i++) {
    const from = performance.now();
    insert.run('x'.repeat(400));
    if (i >= 2000) times.push((performance.now() - from) * 1000);
  }
  sqlite.close();
  rmSync(dir, { recursive: true, force: true });
  return median(times);
}

type Round = LoadResult & { readonly cpu: number; readonly engineCpu: number };

const LIST = '/v1.43/containers/json';

export async function small(targets: readonly Target[], engine: number | undefined): Promise<void> {
  console.log(`\none durable commit of one row: ${commitMicros().toFixed(0)} us`);
  // A program that has run for a while is what is compared: code is compiled and files have their size.
  for (const target of targets) load(target, 16, LIST);
  for (const connections of [1, 16, 64]) {
    const results = rounds(targets, connections, LIST, engine);
    console.log(`\nGET containers/json, ${connections} connection(s), median of ${ROUNDS} rounds`);
    print(results);
    const of = (name: string, pick: (r: Round) => number) => (results.get(name) ?? []).map(pick);
    const rps = (name: string) => of(name, (r) => r.requestsPerSecond);
    const direct = of('direct', (r) => r.p50);
    const added = (name: string) => of(name, (r) => r.p50).map((p50, i) => p50 - (direct[i] ?? 0));
    if (connections === 1) {
      goal('list, 1 connection, added p50, x HAProxy', 'at most', 1, ratio(added('dockgate'), added('haproxy')));
      goal('  the same, reads: durable', 'at most', 1.8, ratio(added('dockgate durable'), added('haproxy')));
    } else {
      const wanted = connections === 16 ? 1.1 : 1;
      const what = `list, ${connections} connections, requests/s, x HAProxy`;
      goal(what, 'at least', wanted, ratio(rps('dockgate'), rps('haproxy')));
      goal('  the same, reads: durable', 'at least', 0.75, ratio(rps('dockgate durable'), rps('haproxy')));
      goal('  the same, over the unix listener', 'at least', wanted, ratio(rps('dockgate unix'), rps('haproxy')));
    }
    const tls = ratio(rps('dockgate tls'), rps('haproxy tls'));
    goal(`  the same over HTTPS, requests/s, x HAProxy with TLS`, 'at least', connections === 64 ? 0.85 : 0.95, tls);
  }
}

/** One object after the other, as `docker inspect` of sixty does. */
export async function inspects(targets: readonly Target[], id: string): Promise<void> {
  const path = `/v1.43/containers/${id}/json`;
  const results = rounds(
    targets.filter(({ name }) => ['direct', 'haproxy', 'dockgate'].includes(name)),
    1,
    path,
    undefined,
  );
  console.log('\nGET containers/{id}/json, one after the other');
  print(results);
  const p50 = (name: string) => (results.get(name) ?? []).map((r) => r.p50);
  goal('inspects one after the other, x direct', 'at most', 2, ratio(p50('dockgate'), p50('direct')));
}

/** Containers made by 16 callers: each waits for its row on disk. They are removed afterwards. */
export async function creates(targets: readonly Target[], remove: () => Promise<void>): Promise<void> {
  const body = '{"Image":"busybox:test","Cmd":["true"],"Labels":{"dg-bench":"1"},"HostConfig":{"NetworkMode":"none"}}';
  const results = new Map<string, Round[]>();
  for (let round = 0; round < 3; round++) {
    for (const target of targets.filter(({ name }) => ['direct', 'haproxy', 'dockgate'].includes(name))) {
      const result = load(target, 16, '/v1.43/containers/create', { method: 'POST', body });
      results.set(target.name, [...(results.get(target.name) ?? []), { ...result, cpu: 0, engineCpu: 0 }]);
      // The next one finds an engine with as few containers.
      await remove();
    }
  }
  console.log('\nPOST containers/create, 16 connections');
  print(results);
  const p50 = (name: string) => (results.get(name) ?? []).map((r) => r.p50);
  goal('create, 16 connections, p50, x HAProxy', 'at most', 1.1, ratio(p50('dockgate'), p50('haproxy')));
}

/** Targets in turn, the other way round in every second round. */
function rounds(
  targets: readonly Target[],
  connections: number,
  path: string,
  engine: number | undefined,
): ReadonlyMap<string, readonly Round[]> {
  const results = new Map<string, Round[]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const target of round % 2 === 0 ? targets : [...targets].reverse()) {
      const [before, engineBefore] = [cpuMicros(target.pid), cpuMicros(engine)];
      const result = load(target, connections, path);
      const calls = Math.max(1, (result.requestsPerSecond * DURATION_MS) / 1000);
      const cpu = (cpuMicros(target.pid) - before) / calls;
      const engineCpu = (cpuMicros(engine) - engineBefore) / calls;
      results.set(target.name, [...(results.get(target.name) ?? []), { ...result, cpu, engineCpu }]);
    }
  }
  return results;
}

function print(results: ReadonlyMap<string, readonly Round[]>): void {
  for (const [name, all] of results) {
    const of = (pick: (r: Round) => number) => median(all.map(pick));
    const rps = of((r) => r.requestsPerSecond);
    const every = all.map((r) => r.requestsPerSecond);
    const noisy = Math.max(...every) > 1.3 * rps || Math.min(...every) < 0.7 * rps ? '  (noisy)' : '';
    const failed = all.reduce((n, r) => n + r.failed, 0);
    console.log(
      `  ${name.padEnd(16)} ${String(rps).padStart(6)} req/s  p50 ${of((r) => r.p50)} us  p99 ${of((r) => r.p99)} us  ` +
        `cpu ${of((r) => r.cpu).toFixed(0)} us/req, the engine's ${of((r) => r.engineCpu).toFixed(0)}${failed > 0 ? `  FAILED ${failed}` : ''}${noisy}`,
    );
  }
}

function load(
  target: Target,
  connections: number,
  path: string,
  { method = 'GET', body = '' }: { method?: string; body?: string } = {},
): LoadResult {
  const about = body === '' ? '' : `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
  const job: LoadJob = {
    to: target.to,
    request: `${method} ${path} HTTP/1.1\r\nHost: docker\r\n${target.headers}${about}\r\n${body}`,
    connections,
    durationMs: DURATION_MS,
  };
  const out = execFileSync(process.execPath, [`${ROOT}bench/load.ts`, JSON.stringify(job)], { encoding: 'utf8' });
  return JSON.parse(out) as LoadResult;
}
