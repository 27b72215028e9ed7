// Every operation of the table through a running gateway: what is served reaches the engine as one judged request, what is
// not never does, and each leaves its audit row. The engine here is a recorder that answers every call; it stands for speed
// and for operations that would tear a real engine's state apart.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { OPERATIONS } from '../../src/engine/classify.ts';
import type { Operation } from '../../src/engine/types.ts';
import { exchange, type Header } from '../corpus/exchange.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';

const dir = mkdtempSync(join(tmpdir(), 'dg-every-'));
const socket = join(dir, 'engine.sock');
const seen: { line: string; contentType: string | undefined; body: string }[] = [];
const recorder = http.createServer((request, answer) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { method, url, headers } = request;
    seen.push({
      line: `${method} ${url}`,
      contentType: headers['content-type'],
      body: Buffer.concat(chunks).toString(),
    });
    const isPing = url === '/_ping';
    answer.writeHead(isPing || url?.includes('every-') ? 200 : 404, {
      'Content-Type': 'application/json',
      'Api-Version': '1.51',
    });
    answer.end(method === 'HEAD' ? undefined : isPing ? 'OK' : '{}');
  });
});
let gateway: TestGateway;
let operator: Header;

before(async () => {
  await new Promise<void>((resolve) => recorder.listen(socket, resolve));
  gateway = await startGateway({
    engine: socket,
    settings: { listen: ['https://127.0.0.1:0', { unix: './any.sock', mode: '0600' }] },
  });
  const file = join(dir, 'opaque.yaml');
  writeFileSync(file, OPAQUE);
  await gateway.must('policy', 'apply', '-f', file);
  await gateway.must('identity', 'create', 'op', '--policy', 'operator', '--policy', 'opaque');
  operator = ['Authorization', `Bearer ${await gateway.must('token', 'create', 'op')}`];
});
after(async () => {
  await gateway?.remove();
  await new Promise<void>((resolve) => recorder.close(() => resolve()));
  rmSync(dir, { recursive: true });
});

/** No pattern of the operator's covers what passes through unread. */
const OPAQUE = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: opaque, acknowledges: [host-access] }
rules: [{ name: all, effect: allow, actions: [build.opaque, build.session, build.control] }]
`;

/** The smallest body each schema takes, where an empty object is none. */
const BODIES: Readonly<Record<string, string>> = {
  'PluginPrivilege[]': '[]',
  'string[]': '["A=1"]',
  ContainerCreateRequest: '{"image":"busybox:test"}',
  tar: 'not json',
};
const QUERIES: Readonly<Record<string, string>> = {
  ContainerRename: '?name=every-renamed',
  PutContainerArchive: '?path=/x',
  ContainerArchive: '?path=/x',
  ContainerArchiveInfo: '?path=/x',
  ImageTag: '?repo=every-tagged',
  ImageGetAll: '?names=every-image:1',
  ImageCreate: '?fromImage=every-image&tag=1',
  ImageSearch: '?term=every',
  ImageCommit: '?container=every-thing',
  GetPluginPrivileges: '?remote=every-plugin',
  PluginPull: '?remote=every-plugin',
  PluginUpgrade: '?remote=every-plugin',
  PluginCreate: '?name=every-plugin',
  BuildCancel: '?id=every-build',
};

/** Names of images are sent in their canonical form, all others as they came. */
const pathOf = ({ path, resource }: Operation): string =>
  path
    .replace('{checkpoint}', 'c1')
    .replace(/\{\w+\}/g, /^(image|distribution)$/.test(resource) ? 'docker.io/library/every-thing:1' : 'every-thing');

const targetOf = (operation: Operation): string =>
  `/v1.45${operation.path === '/' ? '/any' : pathOf(operation)}${QUERIES[operation.id] ?? ''}`;

const send = (operation: Operation) => {
  const body = operation.body === undefined ? undefined : (BODIES[operation.body] ?? '{}');
  const headers: Header[] = [];
  if (body !== undefined)
    headers.push(['Content-Type', operation.body === 'tar' ? 'application/x-tar' : 'application/json']);
  if (operation.stream === 'h2c') headers.push(['Connection', 'Upgrade'], ['Upgrade', 'h2c']);
  const method = operation.method === '*' ? 'GET' : operation.method;
  const request = { method, path: targetOf(operation), headers, ...(body === undefined ? {} : { body }) };
  return exchange(join(gateway.dir, 'any.sock'), request, [operator]);
};

test('every served operation reaches the engine as the judged request, and nothing else of it does', async () => {
  for (const operation of OPERATIONS.filter(({ served }) => served)) {
    seen.length = 0;
    const [answer] = await send(operation);
    const what = `${operation.method} ${targetOf(operation)}`;
    const path = pathOf(operation);
    // OPTIONS is one request, whatever its path and version.
    const wanted = operation.path === '/' ? 'OPTIONS /' : `${operation.method} /v1.45${path}`;
    const reached = seen.filter(({ line }) => line.replace(/\?.*/, '') === wanted);
    assert.equal(
      reached.length,
      1,
      `${what} reached the engine once, not as ${JSON.stringify(seen)}: ${answer?.body.toString()}`,
    );
    const expected =
      operation.body === undefined ? undefined : `application/${operation.body === 'tar' ? 'x-tar' : 'json'}`;
    assert.equal(reached[0]?.contentType, expected, what);
    if (operation.body === 'ContainerCreateRequest')
      assert.match(
        reached[0]?.body ?? '',
        /"Image":"docker.io\/library\/busybox:test"/,
        'keys and names are canonical',
      );
  }
});

test('what is not served is answered 404 and never reaches the engine', async () => {
  for (const operation of OPERATIONS.filter(({ served }) => !served)) {
    seen.length = 0;
    const [answer] = await send(operation);
    assert.ok([400, 404].includes(answer?.status ?? 0), `${operation.method} ${operation.path}: ${answer?.status}`);
    assert.deepEqual(seen, []);
  }
});

test('every action left its audit row', async () => {
  const rows = JSON.parse(await gateway.must('audit', 'ls', '--limit', '1000', '--json')) as { action: string }[];
  const audited = new Set(rows.map(({ action }) => action));
  for (const { action, served } of OPERATIONS) if (served) assert.ok(audited.has(action), `${action} is in the audit`);
});
