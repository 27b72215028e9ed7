// Routes of the admin API for the audit. Operators and reviewers read all of it, a tenant's reviewers their tenant's part, every
// other caller its own calls.
import type { Hono } from 'hono';
import { foldRows } from '../audit/filter.ts';
import { GatewayError } from '../errors.ts';
import type { AdminEnv, AdminOptions } from './app.ts';
import { auditQuery, conditionsIn, exportQuery, secretQuestion } from './audit-input.ts';
import { mountIntegrityRoutes } from './audit-integrity.ts';
import { mountAuditReportRoutes, mountAuditUseRoutes } from './audit-report-routes.ts';
import { scopeOf } from './audit-services.ts';
import { callView } from './audit-view.ts';
import * as input from './input.ts';
import { openApiDocument } from './openapi.ts';
import type { AdminServices } from './services.ts';
import { tailStream } from './tail.ts';

/** What callers without the rights of an operator may ask: for each its own part. Other routes of the audit are none of theirs. */
const READERS =
  /^\/audit(?:\/(?:tail|timeline|denies|stats|tokens|unused|sessions|export|integrity|public-key|checkpoint|verify|(?:proof|transcripts)\/[0-9a-f-]{36}|[0-9a-f-]{4,36}))?$/;

/** @param path below the prefix of the API */
export const isForReaders = (method: string, path: string): boolean =>
  (method === 'GET' && (READERS.test(path) || path === '/openapi.json')) ||
  (method === 'POST' && path === '/audit/find-secret');

/** Views made into text at a time: other calls have their turn in between. */
const SLICE = 500;

export function mountAuditRoutes(app: Hono<AdminEnv>, services: AdminServices, options: AdminOptions): void {
  const maxTails = options.maxTails ?? 32;
  const never = new AbortController().signal;
  let tails = 0;
  /** Of callers without the rights to all of the audit. */
  let others = 0;

  app.get('/openapi.json', (c) => {
    input.parseQuery(input.noQuery, c.req.url);
    return c.json(openApiDocument());
  });
  app.use('/audit/*', async (_c, next) => {
    await services.settleAudit();
    await next();
  });
  app.get('/audit/tail', async (c) => {
    const {
      after,
      last,
      mine,
      before: _b,
      limit: _l,
      fold: _f,
      ...given
    } = input.parseQuery(auditQuery(services.now()), c.req.url);
    const { by } = c.get('context');
    const scope = scopeOf(by, mine);
    const isOther = scopeOf(by).kind !== 'all';
    if (tails >= maxTails || (isOther && others >= maxTails / 4))
      throw new GatewayError('too-many-connections', `${tails} tails are open already`);
    const conditions = conditionsIn(given);
    const leave = (): void => {
      tails -= 1;
      if (isOther) others -= 1;
    };
    const begin = async (): Promise<number> => {
      const end = await services.auditEnd();
      // Reading the log is itself audited; that row is the first one a tail from the end shows.
      const question = { conditions, limit: last === undefined || last === 0 ? 1 : last, calls: false };
      const earlier = (await services.auditPage(question, mine, by)).entries;
      return after ?? (last ? Math.max(0, Math.min(end, (earlier.at(-1)?.seq ?? end + 1) - 1)) : end);
    };
    tails += 1;
    if (isOther) others += 1;
    const from = await begin().catch((error: unknown) => {
      leave();
      throw error;
    });
    const signals = [options.stopping ?? never, by.signal ?? never, c.req.raw.signal];
    const stream = tailStream(services, { conditions, scope }, from, AbortSignal.any(signals), leave);
    return new Response(stream, { headers: { 'content-type': 'application/x-ndjson' } });
  });
  app.get('/audit/export', async (c) => {
    const { format, since, until = services.now() * 1000 } = input.parseQuery(exportQuery(services.now()), c.req.url);
    const pieces = await services.auditExport({ format, since, until }, c.get('context').by);
    return new Response(streamOf(pieces), { headers: { 'content-type': 'application/x-ndjson' } });
  });
  app.get('/audit/transcripts/:id', async (c) => {
    input.parseQuery(input.noQuery, c.req.url);
    const pieces = await services.auditTranscript(c.req.param('id'), c.get('context').by);
    return new Response(streamOf(pieces), { headers: { 'content-type': 'application/x-asciicast' } });
  });
  mountAuditReportRoutes(app, services);
  mountAuditUseRoutes(app, services);
  // The secret comes in the body: an address stands in logs.
  app.post('/audit/find-secret', async (c) => {
    const { secret, limit } = await input.parseBody(secretQuestion, c.req.raw);
    const { by } = c.get('context');
    const { hash, entries, next } = await services.auditSecret(secret, limit, by);
    const scope = scopeOf(by);
    return jsonOf(
      'events',
      entries.map((entry) => callView(entry, scope)),
      { hash, next: next ?? null },
    );
  });
  mountIntegrityRoutes(app, services);
  mountAuditListRoutes(app, services);
}

/** What lists and single calls are asked of. */
export type ListServices = Pick<AdminServices, 'now' | 'auditPage' | 'auditCall' | 'listAudit'>;

/** Lists and single calls. Behind other routes below `/audit/`, whose names would be taken for ids. */
export function mountAuditListRoutes(app: Hono<AdminEnv>, services: ListServices): void {
  app.get('/audit', async (c) => {
    const {
      before,
      after,
      limit,
      fold,
      mine,
      last: _last,
      ...given
    } = input.parseQuery(auditQuery(services.now()), c.req.url);
    const { by } = c.get('context');
    const conditions = conditionsIn(given);
    const scope = scopeOf(by, mine);
    if (after !== undefined) {
      // Kept for those who read the log in its order.
      if (scope.kind !== 'all') throw new GatewayError('admin-forbidden', 'after reads all rows; give before instead');
      const rows = await services.listAudit({ ...conditions, afterSeq: after, limit }, by);
      return jsonOf(
        'events',
        rows.map((row) => callView(row, scope)),
      );
    }
    const page = await services.auditPage({ conditions, before, limit, calls: fold }, mine, by);
    return jsonOf(
      'events',
      page.entries.map((entry) => callView(entry, scope)),
      { next: page.next ?? null },
    );
  });
  app.get('/audit/:id', async (c) => {
    const id = c.req.param('id');
    const { by } = c.get('context');
    const rows = await services.auditCall(id, by);
    const scope = scopeOf(by);
    return c.json({
      auditId: rows[0]?.auditId ?? id,
      call: callView(foldRows(rows), scope),
      events: rows.map((row) => callView(row, scope)),
    });
  });
}

/** Pieces as the reader takes them; a fault on the way breaks the answer off. */
function streamOf(pieces: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (done === true) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    async cancel() {
      await pieces.return(undefined);
    },
  });
}

/** The answer that lists things. */
async function jsonOf(
  name: string,
  things: readonly unknown[],
  more: Readonly<Record<string, unknown>> = {},
): Promise<Response> {
  const pieces: string[] = [];
  for (let from = 0; from < things.length; from += SLICE) {
    if (from > 0) await new Promise((resolve) => setImmediate(resolve));
    const slice = things.slice(from, from + SLICE);
    pieces.push(slice.map((thing) => JSON.stringify(thing)).join(','));
  }
  const rest = Object.entries(more).map(([key, value]) => `,${JSON.stringify(key)}:${JSON.stringify(value)}`);
  return new Response(`{${JSON.stringify(name)}:[${pieces.join(',')}]${rest.join('')}}`, {
    headers: { 'content-type': 'application/json' },
  });
}
