// The table of operations against its snapshot of the Engine API, row by row in both directions: neither may part alone.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { classify, knownActions, OPERATIONS } from '../../src/engine/classify.ts';
import { QUERY_PARAMETERS } from '../../src/engine/query-parameters.ts';
import { BODY_SCHEMAS } from '../../src/engine/schemas/bodies.ts';
import type { Operation } from '../../src/engine/types.ts';
import { GatewayError } from '../../src/errors.ts';

/** The columns both have, as one text. */
interface Row {
  readonly key: string;
  readonly facts: string;
  readonly documented: string;
}

const text = readFileSync(new URL('./engine-operations.tsv', import.meta.url), 'utf8').trimEnd();
const [header = '', ...lines] = text.split('\n');
const columns = header.split('\t');

const snapshot: readonly Row[] = lines.map((line) => {
  const cells = line.split('\t');
  const of = (name: string): string => {
    const cell = cells[columns.indexOf(name)] ?? '';
    return cell === '-' ? '' : cell;
  };
  const minor = of('first_api') === '' ? 0 : Number(of('first_api').split('.')[1]);
  const facts = ['action', 'resource', 'class', 'stream', 'body', 'operation_id', 'risk'].map(of);
  return {
    key: `${cells[columns.indexOf('method')]} ${of('path').replace(/\{(\w+):[^}]*\}/g, '{$1}')}`,
    facts: [minor, ...facts].join('|'),
    documented: of('documented'),
  };
});
/** Rows of the snapshot that the table holds in another way: OPTIONS as one path, and Podman's own, which are refused. */
const HELD_OTHERWISE = new Set(['OPTIONS /{anyroute}', '* /v{version}/libpod/{path}']);

const factsOf = (o: Operation, hasId: boolean): string =>
  [o.firstMinor, o.action, o.resource, o.class, o.stream, o.body ?? '', hasId ? o.id : '', o.risk.join('+')].join('|');

test('every row of the snapshot is in the table, and none beside', () => {
  const keys = new Set(snapshot.map(({ key }) => key));
  assert.equal(keys.size, snapshot.length);
  for (const { key, facts } of snapshot) {
    if (HELD_OTHERWISE.has(key)) continue;
    const found = OPERATIONS.find((o) => `${o.method} ${o.path}` === key);
    assert.ok(found !== undefined, `the table lacks ${key}`);
    // Where Docker has no operation id, the table has one of its own.
    assert.equal(factsOf(found, facts.split('|')[6] !== ''), facts, key);
  }
  for (const { method, path } of OPERATIONS) {
    const key = method === 'OPTIONS' ? 'OPTIONS /{anyroute}' : `${method} ${path}`;
    assert.ok(keys.has(key), `${method} ${path} is not known`);
  }
});

test('what is removed, undocumented debugging or of Podman is never served, all the rest is', () => {
  for (const { key, documented } of snapshot) {
    const found = OPERATIONS.find((o) => `${o.method} ${o.path}` === key);
    if (found === undefined) continue;
    const isRefused = documented === 'old' || documented === 'podman' || found.resource === 'debug';
    assert.equal(found.served, !isRefused, key);
  }
});

/** A target that addresses the operation: every parameter filled. */
const addressOf = ({ path }: Operation): string => path.replace('{checkpoint}', 'c1').replace(/\{\w+\}/g, 'thing');

test('each operation is named by its method and path, with a version and without', () => {
  for (const operation of OPERATIONS) {
    const method = operation.method === '*' ? 'GET' : operation.method;
    for (const prefix of ['', '/v1.40', '/v1.56']) {
      const line = operation.path === '/' && prefix !== '' ? `${prefix}/any` : `${prefix}${addressOf(operation)}`;
      if (!operation.served) {
        assert.throws(() => classify(method, line), GatewayError, line);
        continue;
      }
      // Without a name to pull, the engine takes the call for an import.
      const target = classify(method, operation.id === 'ImageCreate' ? `${line}?fromImage=thing` : line);
      assert.equal(target.operation, operation, `${method} ${line}`);
      assert.equal(target.action, operation.action);
      assert.ok(knownActions().has(target.action));
      assert.deepEqual(
        Object.values(target.path),
        operation.path.match(/\{\w+\}/g)?.map((p) => (p === '{checkpoint}' ? 'c1' : 'thing')) ?? [],
      );
    }
  }
});

test('no method leads to an operation of another', () => {
  for (const operation of OPERATIONS) {
    for (const method of [
      'GET',
      'HEAD',
      'POST',
      'PUT',
      'DELETE',
      'PATCH',
      'OPTIONS',
      'TRACE',
      'CONNECT',
      'get',
      'Post',
      '',
    ]) {
      let found: Operation | undefined;
      try {
        found = classify(method, addressOf(operation)).operation;
      } catch (error) {
        assert.ok(
          error instanceof GatewayError && (error.status === 404 || addressOf(operation).endsWith('/')),
          `${method} ${operation.path}: ${String(error)}`,
        );
      }
      if (found !== undefined) assert.equal(found.method, method);
    }
  }
});

test('every body of the table has a schema', () => {
  for (const { body, path } of OPERATIONS) {
    if (body !== undefined && body !== 'tar') assert.ok(BODY_SCHEMAS.has(body), `${path} has a body ${body}`);
  }
});

/** Parameters that tell the engine how long to wait, or what to wait for. */
const WAITING_PARAMETERS = ['timeout', 'condition', 'signal', 'follow', 'stream'];

test('every operation that can be told to wait waits, as all streams do and what asks a registry', () => {
  for (const operation of OPERATIONS.filter((o) => o.served)) {
    const parameters = QUERY_PARAMETERS[operation.id] ?? {};
    const isTold = WAITING_PARAMETERS.some((name) => name in parameters) || parameters.t === 'int';
    const must = isTold || operation.stream !== 'none' || operation.risk.includes('egress');
    if (must) assert.ok(operation.waits, operation.id);
  }
  const quick = ['SystemPing', 'ContainerList', 'ContainerInspect', 'ContainerExec', 'ImageInspect', 'VolumeInspect'];
  for (const id of quick) assert.equal(OPERATIONS.find((o) => o.id === id)?.waits, false, id);
  for (const id of ['ContainerStop', 'ContainerKill', 'ContainerDelete', 'ImagePrune', 'SystemDataUsage'])
    assert.equal(OPERATIONS.find((o) => o.id === id)?.waits, true, id);
});
