// The OpenAPI document against a whole gateway in front of the stand-in: each mounted route is described and the other way round, and the
// answers are as described.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type OutputUnit, Validator } from '@cfworker/json-schema';
import { ADMIN_PREFIX, createAdminApp } from '../../src/admin/app.ts';
import { LOCAL_OPERATOR } from '../../src/admin/services.ts';
import { type OpenGateway, openGateway } from '../../src/app/assemble.ts';
import { createConfig } from '../../src/config/config.ts';
import { makeRequest } from '../../src/identity/client-certificates.ts';
import { silentLogger } from '../../src/log.ts';
import { type Standin, startStandin } from '../../src/standin/standin.ts';
import { POLICY } from './fakes.ts';

interface Media {
  readonly schema: object;
}
interface Operation {
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, Media>> }>>;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: object;
}

/** Answered with a problem here, for there is nothing they could be about. */
const WITHOUT_OBJECT = new Set([
  'POST /leases/extend',
  'POST /leases/end',
  'POST /withheld/release',
  'GET /audit/transcripts/{id}',
]);

describe('the OpenAPI document', () => {
  const dir = mkdtempSync(join(tmpdir(), 'dg-openapi-'));
  let standin: Standin;
  let open: OpenGateway;
  let app: ReturnType<typeof createAdminApp>;
  let document: Document;
  before(async () => {
    standin = await startStandin(join(dir, 'engine.sock'));
    const config = createConfig({ engine: `unix://${standin.socketPath}`, data: './data' }, { baseDir: dir });
    open = await openGateway(config, silentLogger, {
      reload: async () => ({ reloaded: [] }),
    });
    app = createAdminApp(open.admin, { stopping: AbortSignal.abort() });
    document = (await (await ask('GET', '/openapi.json')).json()) as Document;
  });
  after(async () => {
    await open?.close();
    await standin?.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const ask = (method: string, path: string, body?: unknown) =>
    app.request(
      ADMIN_PREFIX + path,
      {
        method,
        ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
      },
      { caller: LOCAL_OPERATOR },
    );
  const described = () =>
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );

  it('the OpenAPI document has every route that is mounted, and no other', () => {
    const mounted = app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path.slice(ADMIN_PREFIX.length).replace(/:(\w+)/g, '{$1}')}`);
    assert.deepEqual(described().sort(), [...new Set(mounted)].sort());
  });

  it('the OpenAPI document says of every route what a whole gateway answers', async () => {
    const seen = new Set<string>();
    /** @param route as described; parts of its path by what they are given */
    const check = async (route: string, given: Readonly<Record<string, string>> = {}, body?: unknown, query = '') => {
      const [method = '', path = ''] = route.split(' ');
      const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(given[name] ?? ''));
      const response = await ask(method, filled + query, body);
      const text = await response.text();
      const operation = document.paths[path]?.[method.toLowerCase()];
      const isProblem = WITHOUT_OBJECT.has(route);
      const told = operation?.responses[isProblem ? 'default' : String(response.status)];
      assert.ok(told !== undefined, `${route} answered ${response.status}: ${text}`);
      seen.add(route);
      const type = response.headers.get('content-type')?.split(';')[0] ?? '';
      const media = told.content?.[type];
      if (told.content === undefined) return assert.equal(text, '', route);
      assert.ok(media !== undefined, `${route} answered ${type}: ${text.slice(0, 300)}`);
      if (!/^application\/(?:problem\+)?json$/.test(type)) return undefined;
      const value = JSON.parse(text) as unknown;
      const schema = { ...media.schema, components: document.components };
      const { valid, errors } = new Validator(schema, '2020-12', false).validate(value);
      assert.ok(
        valid,
        `${route}: ${errors.map(({ instanceLocation, error }: OutputUnit) => `${instanceLocation} ${error}`).join('; ')}\n${text.slice(0, 600)}`,
      );
      return value as Record<string, string>;
    };

    const none = {};
    await check(
      'POST /policies',
      {},
      {
        sources: [
          {
            name: 'mine.yaml',
            text: POLICY('mine').replace(
              'rules: []',
              'rules:\n  - { name: a, effect: allow, actions: [container.list] }',
            ),
          },
        ],
      },
    );
    await check('POST /identities', {}, { name: 'ci', tenant: 'acme', policies: ['baseline'], maxTtl: '1h' });
    await check('POST /identities', {}, { name: 'bare' });
    const ci = { name: 'ci' };
    await check('PATCH /identities/{name}', ci, { groups: ['ops'] });
    await check('POST /identities/{name}/disable', ci, none);
    await check('POST /identities/{name}/enable', ci, none);
    const token = await check('POST /tokens', {}, { identity: 'ci', ttl: '10m', scope: ['container.list'] });
    const credential = await check('POST /credentials', {}, { identity: 'ci' });
    const { request } = await makeRequest('ci');
    const certificate = await check('POST /certificates', {}, { identity: 'ci', request });
    const socket = join(dir, 'ci.sock');
    await check('POST /sockets', {}, { path: socket, identity: 'ci' });
    await check('POST /tenants', {}, { name: 'acme', quota: { containers: 5 } });
    const acme = { name: 'acme' };
    await check('PATCH /tenants/{name}', acme, { description: 'the first' });
    await check('POST /explain', {}, { as: 'ci', request: { method: 'GET', target: '/containers/json' } });
    await check('GET /dry-run', {}, undefined, '?as=ci');
    await check('POST /tenants/{name}/adopt', acme, { label: 'team=acme' });
    for (const route of described()) {
      const [, path = ''] = route.split(' ');
      if (!route.startsWith('GET ') || path.includes('{') || seen.has(route)) continue;
      await check(route, {}, undefined, path === '/audit/timeline' ? '?resource=container/web' : '');
    }
    for (const path of ['/tenants/{name}', '/tenants/{name}/usage', '/tenants/{name}/objects'])
      await check(`GET ${path}`, acme);
    await check('GET /identities/{name}', ci);
    for (const path of ['/policies/{name}', '/policies/{name}/history']) await check(`GET ${path}`, { name: 'mine' });
    await check('POST /audit/find-secret', {}, { secret: 'a-secret-that-leaked' });
    const [row] = await open.admin.auditAfter({ afterSeq: 0, limit: 1 });
    for (const path of ['/audit/{id}', '/audit/proof/{id}']) await check(`GET ${path}`, { id: row?.auditId ?? '' });
    await check('GET /audit/transcripts/{id}', { id: 'none' });
    await check('POST /leases/extend', {}, { object: 'container/web', by: '1h' });
    await check('POST /leases/end', {}, { object: 'container/web' });
    await check('POST /withheld/release', {}, { images: ['x'] });
    await check('DELETE /tokens/{id}', { id: token?.id ?? '' });
    await check('DELETE /credentials/{id}', { id: credential?.id ?? '' });
    await check('POST /tokens/revoke', {}, { identity: 'ci' });
    await check('DELETE /certificates/{serial}', { serial: certificate?.serial ?? '' });
    await check('DELETE /certificates', {}, undefined, '?identity=ci');
    await check('DELETE /sockets', {}, undefined, `?path=${encodeURIComponent(socket)}`);
    await check('POST /keys/rotate', {}, none);
    await check('POST /backup', {}, none);
    await check('POST /reload', {}, none);
    await check('DELETE /identities/{name}', ci);
    await check('DELETE /policies/{name}', { name: 'mine' });
    await check('DELETE /tenants/{name}', acme);
    const unseen = described().filter((route) => !seen.has(route));
    // No issuer is in the settings of this gateway, so none can be blocked.
    assert.deepEqual(unseen.sort(), ['DELETE /issuer-blocks', 'POST /issuer-blocks']);
  });
});
