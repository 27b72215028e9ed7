// The OpenAPI document against the routes: each of its routes is served, takes the parameters it names and no other.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADMIN_PREFIX, createAdminApp } from '../../src/admin/app.ts';
import { LOCAL_OPERATOR } from '../../src/admin/services.ts';
import { createFakes } from './fakes.ts';

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, { readonly get?: { readonly parameters: readonly Parameter[] } }>>;
}

/** A value that the parameter takes. */
const VALUES: Readonly<Record<string, string>> = {
  action: 'container.*',
  decision: 'deny',
  outcome: 'ok',
  since: '2h',
  until: '14:02',
  mine: 'true',
  limit: '1',
  before: '9',
  after: '1',
  last: '0',
  fold: 'true',
  binds: 'true',
  by: 'rule,hour',
  all: 'true',
  unused: 'true',
  days: '3',
};

/** Of a log that signs itself: openapi-live.test.ts asks them. */
const NEEDS_LOG = /^\/audit\/(?:export|integrity|verify|checkpoint|public-key)$/;

test('the document describes the routes as they are', async () => {
  const stopping = AbortSignal.abort();
  const reports = {
    count: async () => ({ groups: [], more: 0 }),
    timeline: async () => ({ calls: [], objects: [], more: false }),
    uses: async () => ({ rules: [], actions: [], logSince: undefined }),
  };
  const app = createAdminApp(createFakes({ reports }).services, { stopping });
  const get = (path: string) => app.request(ADMIN_PREFIX + path, {}, { caller: LOCAL_OPERATOR });
  const document = (await (await get('/openapi.json')).json()) as Document;
  assert.equal(document.openapi, '3.1.0');
  const paths = Object.entries(document.paths);
  assert.ok(paths.length >= 9);
  for (const [path, { get: route }] of paths) {
    if (route === undefined || path.includes('{') || !path.startsWith('/audit') || NEEDS_LOG.test(path)) continue;
    const needed = route.parameters.filter(({ required }) => required).map(({ name }) => `${name}=x`);
    for (const { name, in: place } of route.parameters) {
      assert.equal(place, 'query');
      const query = [
        ...needed.filter((one) => !one.startsWith(`${name}=`)),
        `${name}=${encodeURIComponent(VALUES[name] ?? 'x')}`,
      ];
      const answer = await get(`${path}?${query.join('&')}`);
      assert.equal(
        answer.status,
        200,
        `${path}?${query.join('&')}: ${answer.status === 200 ? '' : await answer.text()}`,
      );
      await answer.body?.cancel();
    }
    const other = await get(`${path}?${[...needed, 'other=1'].join('&')}`);
    assert.equal(other.status, 422, path);
    assert.equal(other.headers.get('content-type'), 'application/problem+json');
  }
});
