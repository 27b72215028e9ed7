// Following the audit: rows as they come, in order and without gaps, until the reader leaves.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADMIN_PREFIX, createAdminApp } from '../../src/admin/app.ts';
import { LOCAL_OPERATOR } from '../../src/admin/services.ts';
import { createFakes, NOW } from './fakes.ts';

const event = (auditId: string, subject = 'ci') => ({
  at: NOW * 1000,
  stage: 'complete' as const,
  auditId,
  subject,
  action: 'container.list',
  decision: 'allow' as const,
});

const linesOf = async function* (response: Response): AsyncGenerator<Record<string, unknown>> {
  assert.equal(response.headers.get('content-type'), 'application/x-ndjson');
  assert.ok(response.body);
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of response.body as ReadableStream<Uint8Array> & AsyncIterable<Uint8Array>) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') yield JSON.parse(line) as Record<string, unknown>;
  }
};

test('a tail shows the rows asked for, then each new one, and ends with the gateway', async () => {
  const { services, audit } = createFakes();
  const stopping = new AbortController();
  const app = createAdminApp(services, { stopping: stopping.signal });
  for (const id of ['a', 'b', 'c']) audit.append(event(id));
  const lines = linesOf(
    await app.request(`${ADMIN_PREFIX}/audit/tail?last=2&subject=ci`, {}, { caller: LOCAL_OPERATOR }),
  );
  const seen: unknown[] = [];
  for await (const line of lines) {
    seen.push(line.auditId);
    if (seen.length === 2) {
      audit.append(event('other', 'web'));
      for (let index = 0; index < 3000; index += 1) audit.append(event(`n${index}`));
    }
    if (seen.length === 3002) stopping.abort();
  }
  assert.deepEqual(seen.slice(0, 3), ['b', 'c', 'n0']);
  assert.equal(seen.at(-1), 'n2999');
  assert.equal(new Set(seen).size, 3002);
});

test('a tail from a sequence number misses nothing after it', async () => {
  const { services, audit } = createFakes();
  const app = createAdminApp(services);
  for (const id of ['a', 'b', 'c']) audit.append(event(id));
  const lines = linesOf(
    await app.request(`${ADMIN_PREFIX}/audit/tail?after=1&action=container.*`, {}, { caller: LOCAL_OPERATOR }),
  );
  assert.equal((await lines.next()).value?.auditId, 'b');
  await lines.return(undefined);
});

test('tails are bounded, and one that left makes room', async () => {
  const { services } = createFakes();
  const app = createAdminApp(services, { maxTails: 1 });
  const open = () => app.request(`${ADMIN_PREFIX}/audit/tail`, {}, { caller: LOCAL_OPERATOR });
  const first = await open();
  assert.equal((await open()).status, 503);
  await first.body?.cancel();
  const second = await open();
  assert.equal(second.status, 200);
  await second.body?.cancel();
});

test('a tail ends when the credentials of its caller do', async () => {
  const { services } = createFakes();
  const ended = new AbortController();
  const app = createAdminApp(services);
  const response = await app.request(
    `${ADMIN_PREFIX}/audit/tail`,
    {},
    { caller: { subject: 'a', operator: true, signal: ended.signal } },
  );
  setTimeout(() => ended.abort(), 20);
  const lines = linesOf(response);
  const rest: unknown[] = [];
  for await (const line of lines) rest.push(line.action);
  assert.deepEqual(rest, ['audit.read']);
});
