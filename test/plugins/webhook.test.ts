// The webhook against a real HTTP service: its yes and its no, and everything that is neither.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type Asked, pluginTable, type Told } from '../support/plugin-table.ts';

type Review = { readonly request: Readonly<Record<string, unknown>> };

describe('webhook', () => {
  let respond: (review: Review) => { status?: number; body: unknown } = () => ({ body: {} });
  let asked: Review | undefined;
  let token: string | undefined;
  const server = createServer((request, response) => {
    token = request.headers.authorization;
    let text = '';
    request.on('data', (chunk) => {
      text += chunk;
    });
    request.on('end', () => {
      asked = JSON.parse(text) as Review;
      const { status = 200, body } = respond(asked);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });
  const review = (response: object) => (asking: Review) => ({
    body: {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: asking.request.uid, ...response },
    },
  });
  process.env.DOCKGATE_TEST_HOOK = 'word';
  const needs: string[] = ['env:DOCKGATE_TEST_HOOK'];
  const ask = pluginTable('webhook', { needs });
  let url = '';
  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    url = `http://${host}/review`;
    needs.push(`net:http://${host}`);
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const create = (more: Partial<Asked> = {}): Promise<Told> =>
    ask({
      call: 'POST /containers/create?name=web',
      body: { Image: 'x', Env: ['PASSWORD=hidden'] },
      config: { url, tokenEnv: 'DOCKGATE_TEST_HOOK' },
      ...more,
    });

  it('webhook passes what the service allows, told who asks for what, without the values of variables', async () => {
    respond = review({ allowed: true });
    assert.equal((await create()).verdict, 'pass');
    assert.equal(token, 'Bearer word');
    const { request } = asked as Review;
    assert.equal(request.operation, 'CREATE');
    assert.equal((request.userInfo as { username?: string }).username, 'ann');
    assert.deepEqual((request.object as { Env?: unknown }).Env, ['PASSWORD=***']);
  });
  it('denies what it denies, in its words, and hands its warnings on', async () => {
    respond = review({ allowed: false, status: { message: 'not on a Friday' } });
    const { verdict, message } = await create();
    assert.deepEqual([verdict, message], ['webhook-denied', 'not on a Friday']);
    respond = review({ allowed: true, warnings: ['soon'] });
    assert.equal((await create()).verdict, 'warn');
  });
  it('webhook does not ask about other actions', async () => {
    respond = review({ allowed: false });
    assert.equal((await create({ call: 'POST /containers/c/start', body: undefined })).verdict, 'pass');
  });
  for (const [what, answer, words] of [
    ['another status', () => ({ status: 500, body: {} }), /answered 500/],
    ['a redirect', () => ({ status: 302, body: {} }), /answered 302/],
    ['an answer without form', () => ({ body: [] }), /something else/],
    ['the answer to another call', review({ uid: 'x', allowed: true }), /something else/],
    ['a patch', review({ allowed: true, patch: 'W10=' }), /a patch/],
  ] as const) {
    it(`fails closed on ${what}`, async () => {
      respond = answer;
      await assert.rejects(create(), words);
    });
  }
  it('webhook takes no other word for yes', async () => {
    respond = review({ allowed: 'true' });
    assert.equal((await create()).verdict, 'webhook-denied');
  });
  it('webhook does not load with a token that is not granted', async () => {
    await assert.rejects(create({ config: { url, tokenEnv: 'OTHER' } }), /tokenEnv OTHER is not granted or empty/);
  });
});
