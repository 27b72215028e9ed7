// Requests per second and latency of GET containers/json at 1, 16 and 64 connections; targets alternate in each round.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { applyPragmas } from '../../src/store/database-pragmas.ts';
import { ROOT } from '../../test/support/runtime.ts';
import type { LoadJob, LoadResult } from '../load.ts';
import { cpuMicros, type Target } from '../targets.ts';

const ROUNDS = 5;
const DURATION_MS = 1500;

const median = (values: number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

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

export async function small(targets: readonly Target[]): Promise<void> {
  console.log(`\none durable commit of one row: ${commitMicros().toFixed(0)} us`);
  // A program that has run for a while is what is compared: code is compiled and files have their size.
  for (const target of targets) load(target, 16);
  for (const connections of [1, 16, 64]) {
    const results = new Map<string, (LoadResult & { cpu: number })[]>();
    for (let round = 0; round < ROUNDS; round++) {
      for (const target of targets) {
        const before = cpuMicros(target.pid);
        const result = load(target, connections);
        const cpu = (cpuMicros(target.pid) - before) / Math.max(1, (result.requestsPerSecond * DURATION_MS) / 1000);
        results.set(target.name, [...(results.get(target.name) ?? []), { ...result, cpu }]);
      }
    }
    const of = (name: string, pick: (r: LoadResult & { cpu: number }) => number) =>
      median((results.get(name) ?? []).map(pick));
    console.log(`\nGET containers/json, ${connections} connection(s), median of ${ROUNDS} rounds`);
    for (const { name } of targets) {
      const rps = of(name, (r) => r.requestsPerSecond);
      const all = (results.get(name) ?? []).map((r) => r.requestsPerSecond);
      const noisy = Math.max(...all) > 1.3 * rps || Math.min(...all) < 0.7 * rps ? '  (noisy)' : '';
      const failed = (results.get(name) ?? []).reduce((n, r) => n + r.failed, 0);
      console.log(
        `  ${name.padEnd(9)} ${String(rps).padStart(6)} req/s  p50 ${of(name, (r) => r.p50)} us  p99 ${of(name, (r) => r.p99)} us  ` +
          `cpu ${of(name, (r) => r.cpu).toFixed(0)} us/req${failed > 0 ? `  FAILED ${failed}` : ''}${noisy}`,
      );
    }
    const added = (name: string) => of(name, (r) => r.p50) - of('direct', (r) => r.p50);
    const compare = (one: string, other: string) => {
      if (!results.has(one) || !results.has(other)) return;
      const ratio = of(one, (r) => r.requestsPerSecond) / of(other, (r) => r.requestsPerSecond);
      console.log(
        `  ${one} / ${other}: ${ratio.toFixed(2)} x req/s; added p50 ${(added(one) / added(other)).toFixed(2)} x ` +
          `(${added(one)} us against ${added(other)} us)`,
      );
    };
    compare('dockgate', 'haproxy');
    compare('bare', 'haproxy');
    compare('dockgate', 'bare');
  }
}

function load(target: Target, connections: number): LoadResult {
  const job: LoadJob = {
    to: target.to,
    request: `GET /v1.43/containers/json HTTP/1.1\r\nHost: docker\r\n${target.headers}\r\n`,
    connections,
    durationMs: DURATION_MS,
  };
  const out = execFileSync(process.execPath, [`${ROOT}bench/load.ts`, JSON.stringify(job)], { encoding: 'utf8' });
  return JSON.parse(out) as LoadResult;
}
