// Cost of classification beside JSON.parse of a 3 KB body in the same run, and of inputs made to be slow at two sizes: twice
// the input may take twice the time. Run: `node bench/micro/classify.ts` or `deno run -A --no-check bench/micro/classify.ts`.
import { classify } from '../../src/engine/classify.ts';
import { decodeBody } from '../../src/engine/decode.ts';
import { renderTarget } from '../../src/engine/render-target.ts';
import { GatewayError } from '../../src/errors.ts';

/** What PERF asks of a classification, in microseconds. */
const TARGET_US = 2;

function median(run: () => unknown, batch: number, ms = 400): number {
  const until = performance.now() + ms / 2;
  while (performance.now() < until) for (let i = 0; i < batch; i += 1) run();
  const times: number[] = [];
  const end = performance.now() + ms;
  while (performance.now() < end) {
    const from = performance.now();
    for (let i = 0; i < batch; i += 1) run();
    times.push(((performance.now() - from) * 1000) / batch);
  }
  times.sort((a, b) => a - b);
  return times[times.length >> 1] as number;
}

const parsed = JSON.stringify({
  Env: Array.from({ length: 60 }, (_, i) => `NAME_${i}=some value of the setting ${i}`),
});
console.log(`JSON.parse of ${parsed.length} B`.padEnd(52), `${median(() => JSON.parse(parsed), 64).toFixed(2)} us`);

let slowest = 0;
for (const [method, line] of [
  ['GET', '/_ping'],
  ['GET', '/v1.45/containers/json?all=1&limit=10'],
  ['GET', '/v1.45/containers/json?all=1&filters=%7B%22label%22%3A%7B%22com.example.app%3Dweb%22%3Atrue%7D%7D'],
  ['POST', '/v1.45/containers/create?name=web-1'],
  ['POST', '/v1.45/containers/3f4d0c4a7e9c/start'],
  ['GET', '/v1.45/images/registry.example.test:5000/team/app:1.4.2/json'],
  ['GET', '/v1.45/containers/web-1/logs?follow=1&stdout=1&stderr=1&tail=all'],
] as const) {
  const us = median(() => classify(method, line), 256);
  if (!line.includes('filters')) slowest = Math.max(slowest, us);
  const target = classify(method, line);
  const back = median(() => renderTarget(target), 256, 200);
  console.log(`${method} ${line}`.slice(0, 51).padEnd(52), `${us.toFixed(2)} us, rendered in ${back.toFixed(2)} us`);
}
console.log(slowest <= TARGET_US ? `within ${TARGET_US} us, filters apart` : `slower than ${TARGET_US} us`);

const tolerant = (run: () => unknown) => () => {
  try {
    run();
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
  }
};
const create = classify('POST', '/v1.45/containers/create');
const limits = { maxBytes: 64 << 20, maxDepth: 50_000, maxElements: 4_000_000, maxKeys: 1_000_000 };
const decode = (text: string) => {
  const bytes = new TextEncoder().encode(text);
  return () => decodeBody(create, ['application/json'], bytes, limits);
};
const keys = (n: number, key: (i: number) => string) => Array.from({ length: n }, (_, i) => `"${key(i)}":1`).join(',');

const growing: readonly [name: string, n: number, make: (n: number) => () => unknown][] = [
  ['query of n parameters', 5_000, (n) => () => classify('GET', `/containers/json?${'a=b&'.repeat(n)}`)],
  ['path of n segments', 10_000, (n) => () => classify('GET', `/images${'/a'.repeat(n)}/json`)],
  ['path of n escapes', 10_000, (n) => () => classify('GET', `/containers/${'%41'.repeat(n)}/json`)],
  [
    'filters of n words',
    2_000,
    (n) => () =>
      classify(
        'GET',
        `/containers/json?filters=${encodeURIComponent(JSON.stringify({ a: Array.from({ length: n }, (_, i) => `w${i}`) }))}`,
      ),
  ],
  ['body of n bytes in one string', 10 << 20, (n) => decode(`{"Env":["${'x'.repeat(n)}"]}`)],
  ['body of n escapes', 5 << 20, (n) => decode(`{"Env":["${'\\n'.repeat(n)}"]}`)],
  [
    'body of n keys in a map',
    100_000,
    (n) => decode(`{"Labels":{${keys(n, (i) => `k${i}`).replaceAll(':1', ':"v"')}}}`),
  ],
  ['body of n unknown keys', 100_000, (n) => decode(`{${keys(n, (i) => `k${i}`)}}`)],
  ['body of n keys that fold alike', 100_000, (n) => decode(`{${keys(n, (i) => `\u017f\u212a${i}`)}}`)],
  ['body of depth n, lists', 10_000, (n) => decode(`{"z":${'['.repeat(n)}${']'.repeat(n)}}`)],
  ['body of depth n, objects', 10_000, (n) => decode(`{"z":${'{"a":'.repeat(n)}1${'}'.repeat(n)}}`)],
  ['body of n digits', 1_000_000, (n) => decode(`{"z":${'9'.repeat(n)}}`)],
  ['body of n spaces', 10 << 20, (n) => decode(`{${' '.repeat(n)}}`)],
];
for (const [name, n, make] of growing) {
  const half = median(tolerant(make(n >> 1)), 1, 300);
  const full = median(tolerant(make(n)), 1, 300);
  console.log(
    name.padEnd(34),
    `n = ${String(n).padStart(8)}`,
    `${full.toFixed(0).padStart(8)} us, ${(full / half).toFixed(1)} times that of half`,
  );
}
