// Request lines: one spelling each. Beside every refused one stands its nearest neighbour that is taken.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { classify, OPERATIONS } from '../../src/engine/classify.ts';
import { renderTarget } from '../../src/engine/render-target.ts';
import type { Target } from '../../src/engine/types.ts';
import { GatewayError } from '../../src/errors.ts';

type Row = readonly [line: string, expected: string];

/** `action key=value ...`, or the code of the refusal. */
function reading(line: string): string {
  const space = line.indexOf(' ');
  try {
    const { action, apiVersion, path, query } = classify(line.slice(0, space), line.slice(space + 1));
    const parts = [...Object.entries(path), ...Object.entries(query).map(([k, v]) => [k, v.join('+')])];
    return [action, ...(apiVersion === undefined ? [] : [apiVersion]), ...parts.map(([k, v]) => `${k}=${v}`)].join(' ');
  } catch (error) {
    assert.ok(error instanceof GatewayError, String(error));
    return error.code;
  }
}
const table = (rows: readonly Row[]): void => {
  for (const [line, expected] of rows) assert.equal(reading(line), expected, line);
};

test('a path has one spelling; what the engine would clean or redirect is refused', () => {
  table([
    ['POST /v1.41/containers/create', 'container.create 1.41'],
    ['POST //v1.41/containers/create', 'path-not-canonical'],
    ['POST /v1.41//containers/create', 'path-not-canonical'],
    ['POST /v1.41/./containers/create', 'path-not-canonical'],
    ['POST /v1.41/x/../containers/create', 'path-not-canonical'],
    ['POST /v1.41/%2e%2e/containers/create', 'path-not-canonical'],
    ['POST /v1.41/%2E/containers/create', 'path-not-canonical'],
    ['POST /v1.41/containers/create/', 'path-not-canonical'],
    ['POST /v1.41%2Fcontainers%2Fcreate', 'path-not-canonical'],
    ['POST /v1.41/containers/create%00', 'path-not-canonical'],
    ['POST /v1.41/containers/create%09', 'path-not-canonical'],
    ['POST /v1.41/containers/%zz', 'path-not-canonical'],
    ['POST /v1.41/containers/%c0%af', 'path-not-canonical'],
    ['POST v1.41/containers/create', 'path-not-canonical'],
    ['POST http://docker/v1.41/containers/create', 'path-not-canonical'],
    ['POST *', 'path-not-canonical'],
    ['POST ', 'path-not-canonical'],
    ['POST /v1.41/containers/create;x', 'operation-unknown'],
    ['POST /v1.41/CONTAINERS/create', 'operation-unknown'],
    ['POST /v1.41/%2563ontainers/create', 'operation-unknown'],
    ['POST /v1.41/containers/create%3Fname=x', 'operation-unknown'],
    ['POST /v1.41/containers/create#x', 'operation-unknown'],
    ['POST /v1.41\\containers\\create', 'version-unsupported'],
    ['GET /v1.41/networks/', 'network.list 1.41'],
    ['POST /v1.41/networks/', 'path-not-canonical'],
    ['GET /v1.41/containers/json/', 'path-not-canonical'],
    ['GET /v1.41/containers/%67wc/json', 'container.inspect 1.41 id=gwc'],
    ['GET /v1.41/containers/%2Fgwc/json', 'path-not-canonical'],
    ['GET /v1.41/containers/a%2Fb/json', 'path-not-canonical'],
    ['GET /v1.41/volumes/a%2Fb', 'path-not-canonical'],
    ['GET /v1.41/networks/a%2fb', 'path-not-canonical'],
    ['GET /v1.41/exec/a%2Fb/json', 'path-not-canonical'],
    ['GET /containers/%2e%2e%2Finfo', 'path-not-canonical'],
    ['GET /v1.44/images/acme%2Fq:1/json', 'image.inspect 1.44 name=acme/q:1'],
    ['GET /v1.44/images/acme%2fq%3A1/json', 'image.inspect 1.44 name=acme/q:1'],
    ['GET /v1.44/images/127.0.0.1%3A5001%2Fa%2Fb/c/json', 'image.inspect 1.44 name=127.0.0.1:5001/a/b/c'],
    ['POST /v1.51/images/127.0.0.1%3A5001%2Fx/push?tag=1', 'image.push 1.51 name=127.0.0.1:5001/x tag=1'],
    ['GET /distribution/registry:5000%2Falpine/json', 'image.distribution name=registry:5000/alpine'],
    ['DELETE /images/a%2Fjson', 'image.remove name=a/json'],
    ['GET /images/a%2Fjson', 'image.inspect name=a'],
    ['GET /images/a%2Fget', 'image.export name=a'],
    ['GET /v1.44/images/acme%252Fq:1/json', 'path-not-canonical'],
    ['GET /v1.44/images/acme%2F%2Fq/json', 'path-not-canonical'],
    ['GET /v1.44/images/%2Facme/json', 'path-not-canonical'],
    ['GET /v1.44/images/acme%2F/json', 'path-not-canonical'],
    ['GET /v1.44/images/acme%2F..%2Fq/json', 'path-not-canonical'],
    ['GET /v1.44/images/..%2Fq/json', 'path-not-canonical'],
    ['GET /v1.44/images%2Facme/json', 'path-not-canonical'],
    ['GET /v1.44%2Fimages/acme/json', 'path-not-canonical'],
    ['POST /containers%2Fcreate', 'path-not-canonical'],
    ['GET /v1.41/images/docker.io/library/x:1/json', 'image.inspect 1.41 name=docker.io/library/x:1'],
    ['GET /v1.41/images/x@sha256:ab/json', 'image.inspect 1.41 name=x@sha256:ab'],
    ['GET /v1.41/images/a//b/json', 'path-not-canonical'],
    ['GET /v1.41/images/get', 'image.export 1.41'],
    ['GET /v1.41/images/get/get', 'image.export 1.41 name=get'],
    ['GET /v1.41/containers/a/b/json', 'operation-unknown'],
  ]);
});

test('a version has one spelling and lies between the oldest and the newest served', () => {
  table([
    ['GET /_ping', 'system.ping'],
    ['GET /v1.40/_ping', 'system.ping 1.40'],
    ['GET /v1.39/_ping', 'system.ping 1.39'],
    ['GET /v1.24/_ping', 'system.ping 1.24'],
    ['GET /v1.23/_ping', 'version-unsupported'],
    ['POST /v1.23/containers/x/start', 'version-unsupported'],
    ['GET /v1.56/_ping', 'system.ping 1.56'],
    ['GET /v1.57/_ping', 'version-unsupported'],
    ['GET /v1.041/_ping', 'version-unsupported'],
    ['GET /v01.41/_ping', 'version-unsupported'],
    ['GET /v1.41.0/_ping', 'version-unsupported'],
    ['GET /v1.41./_ping', 'version-unsupported'],
    ['GET /v1/_ping', 'version-unsupported'],
    ['GET /v2.0/_ping', 'version-unsupported'],
    ['GET /v1.99999999999999999999/_ping', 'version-unsupported'],
    ['GET /V1.41/_ping', 'operation-unknown'],
    ['GET /v1.4%31/_ping', 'system.ping 1.41'],
    ['GET /v1.41/v1.41/_ping', 'operation-unknown'],
    ['GET /v4.0.0/libpod/info', 'operation-unknown'],
    ['GET /libpod/containers/json', 'operation-unknown'],
    ['GET /debug/pprof/heap', 'operation-unknown'],
    // The engine answers OPTIONS on every path, and does nothing.
    ['OPTIONS /v1.41/containers/json', 'system.ping'],
    ['OPTIONS /', 'system.ping'],
    ['OPTIONS /v1.41/containers/create?name=x', 'system.ping'],
    ['OPTIONS /v1.41/../x', 'path-not-canonical'],
    ['OPTIONS *', 'path-not-canonical'],
    ['GET /', 'operation-unknown'],
  ]);
});

test('a query is read as the engine reads it, once', () => {
  table([
    ['GET /containers/json?all=1&limit=5', 'container.list all=1 limit=5'],
    ['GET /containers/json?all=yes', 'container.list all=1'],
    ['GET /containers/json?all=%20NO%20', 'container.list all=0'],
    ['GET /containers/json?all=1&all=1', 'container.list all=1'],
    ['GET /containers/json?all=1&all=yes&all=%31', 'container.list all=1'],
    ['GET /containers/json?all=1&all=0', 'query-ambiguous'],
    ['GET /containers/json?limit=5&limit=05', 'query-ambiguous'],
    [
      'GET /containers/json?filters={"name":["a"]}&filters={"name":{"a":true}}',
      'container.list filters={"name":{"a":true}}',
    ],
    ['POST /containers/x/kill?signal=9&signal=9', 'container.kill id=x signal=9'],
    ['POST /containers/x/resize?h=a', 'query-ambiguous'],
    ['GET /containers/json?all=1;limit=5', 'query-ambiguous'],
    ['GET /containers/json?all=%zz', 'query-ambiguous'],
    ['GET /containers/json?ALL=1', 'query-unknown'],
    ['GET /containers/json?future=1', 'container.list'],
    ['POST /containers/x/stop?future=1', 'container.stop id=x'],
    ['POST /containers/x/stop?T=1', 'query-unknown'],
    ['POST /containers/x/attach?stream=true&hijack=true', 'container.attach id=x stream=1'],
    ['POST /containers/x/kill?signal=9&signal=15', 'query-ambiguous'],
    ['POST /containers/x/stop?t=0x1', 'query-ambiguous'],
    ['POST /build?t=a&t=b', 'build.run t=a+b'],
    ['POST /build?remote=x&remote=y', 'query-ambiguous'],
    // docker-py: the name it gives a Dockerfile from outside the context, and then its content.
    ['POST /build?dockerfile=.dockerfile.1f0&dockerfile=FROM%20a%0A', 'build.run dockerfile=.dockerfile.1f0'],
    ['POST /build?dockerfile=.dockerfile.1f0&dockerfile=FROM%20a%0A&dockerfile=b', 'query-ambiguous'],
    ['POST /build?dockerfile=a&dockerfile=b', 'query-ambiguous'],
    ['POST /build?dockerfile=a&dockerfile=.dockerfile.1f0', 'query-ambiguous'],
    ['POST /build?dockerfile=.dockerfile.1f0&remote=a&remote=b', 'query-ambiguous'],
    ['GET /containers/json?filters={"name":["a"]}', 'container.list filters={"name":{"a":true}}'],
    ['GET /containers/json?filters={"name":{"a":false}}', 'container.list filters={"name":{"a":true}}'],
    ['GET /containers/json?filters={"name":["a"],"name":["b"]}', 'query-ambiguous'],
    ['GET /containers/json?filters={"name":"a"}', 'query-ambiguous'],
    ['POST /images/create?fromImage=x', 'image.pull fromImage=x'],
    ['POST /images/create?fromSrc=-', 'image.import fromSrc=-'],
    ['POST /images/create?fromsrc=-', 'query-unknown'],
  ]);
});

const BUDGET_MS = Number(process.env.DOCKGATE_FUZZ_MS ?? 1500);
/** Kept: seeds that once found a fault, and one that never did. */
for (const seed of [1, 20241124]) {
  test(`a target rendered and classified again is the judged one (seed ${seed})`, () => {
    const word = fc.oneof(
      fc.constantFrom(
        'a',
        'x:1',
        '..',
        '.',
        '',
        '%',
        ' ',
        '/',
        'json',
        'get',
        'ü',
        '\u2028',
        'a b',
        'sha256:ab',
        '+',
        '&',
        '=',
      ),
      fc.string({ unit: 'grapheme', maxLength: 8 }),
    );
    const piece = fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...OPERATIONS.flatMap(({ path }) => path.split('/').slice(1))) },
      { weight: 2, arbitrary: word.map(encodeURIComponent) },
      { weight: 1, arbitrary: word },
    );
    const free = fc.array(piece, { maxLength: 6 }).map((pieces) => `/${pieces.join('/')}`);
    const known = fc
      .tuple(fc.constantFrom(...OPERATIONS), fc.array(word, { minLength: 3, maxLength: 3 }))
      .map(([{ path }, names]) => path.replace(/\{\w+\}/g, () => encodeURIComponent(names.pop() ?? 'n')));
    const pair = fc.tuple(
      fc.constantFrom(
        'all',
        'filters',
        't',
        'name',
        'fromSrc',
        'signal',
        'force',
        'x',
        'tag',
        'repo',
        'limit',
        'follow',
      ),
      fc.oneof(word, fc.constantFrom('1', 'no', '{"a":["b"]}', '{"a":{"b":true}}', '-1')),
      fc.boolean(),
    );
    const query = fc
      .array(pair, { maxLength: 4 })
      .map((pairs) => pairs.map(([k, v, raw]) => `${k}=${raw ? v : encodeURIComponent(v)}`).join('&'));
    const prefix = fc.constantFrom('', '', '/v1.41', '/v1.56', '/v1.39', '/v1.23', '/v01.41', '/', '/.');
    let taken = 0;
    fc.assert(
      fc.property(
        fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'get', 'OPTIONS'),
        prefix,
        fc.oneof(known, free),
        query,
        (method, version, path, text) => {
          const line = `${version}${path}${text === '' ? '' : `?${text}`}`;
          let target: Target;
          try {
            target = classify(method, line);
          } catch (error) {
            assert.ok(error instanceof GatewayError && error.status >= 400 && error.status < 500, String(error));
            return;
          }
          taken += 1;
          const rendered = renderTarget(target);
          assert.match(rendered, /^\/[\x21-\x7e]*$/, 'only visible ASCII leaves');
          const { leftOut, ...judged } = target;
          for (const { at } of leftOut ?? []) assert.match(at, /^query\./);
          assert.deepEqual(classify(method, rendered), judged, `${method} ${line} became ${rendered}`);
        },
      ),
      { seed, numRuns: 100_000, interruptAfterTimeLimit: BUDGET_MS, markInterruptAsFailure: false },
    );
    assert.ok(taken > 10, 'the generator makes targets that are taken');
  });
}
