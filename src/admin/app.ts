// The admin HTTP API under /dockgate/v1: routes and their words. Who may call is decided at the door, what happens in services.
// Errors are RFC 9457 problems; each answer names its audit id.
import { type Context, Hono } from 'hono';
import { GatewayError } from '../errors.ts';
import { isForReaders, mountAuditRoutes } from './audit-routes.ts';
import { mountCertificateRoutes } from './certificate-routes.ts';
import { splitDocuments } from './documents.ts';
import { mountDryRunRoute } from './dry-run.ts';
import { parseDuration } from './duration.ts';
import * as input from './input.ts';
import { mountIssuerRoutes } from './issuer-routes.ts';
import { mountLeaseRoutes } from './lease-routes.ts';
import { mountOwnershipRoutes } from './ownership-routes.ts';
import { problemOf } from './problems.ts';
import type { AdminCaller, AdminServices, ChangeContext } from './services.ts';
import { mountSocketRoutes } from './socket-routes.ts';
import { mountTenantRoutes } from './tenant-routes.ts';
import { credentialView, documentView, identityView, keyView, tokenView } from './views.ts';

/** Where the API is mounted on every listener that serves it. */
export const ADMIN_PREFIX = '/dockgate/v1';

/** What the gateway hands to `app.fetch(request, env)`. */
export interface AdminEnv {
  Bindings: { readonly caller?: AdminCaller };
  Variables: { context: ChangeContext };
}

export interface AdminOptions {
  /** Who calls. Default: `caller` of the bindings. */
  readonly callerOf?: (c: Context<AdminEnv>) => AdminCaller | undefined;
  /** Aborted when the gateway stops; ends tails. */
  readonly stopping?: AbortSignal;
  /** Tails open at once. Default 32: each polls the log. */
  readonly maxTails?: number;
  /** Told of faults that are ours. */
  readonly onFault?: (error: unknown, auditId: string) => void;
}

const AUDIT_HEADER = 'Dockgate-Audit-Id';

const problemResponse = (c: Context<AdminEnv>, error: unknown, auditId: string): Response => {
  const problem = problemOf(error, new URL(c.req.url).pathname, auditId);
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      [AUDIT_HEADER]: auditId,
      ...(problem.status === 401 ? { 'www-authenticate': 'Bearer realm="dockgate"' } : {}),
    },
  });
};

/**
 * The admin API as a Hono app; paths begin with `ADMIN_PREFIX`. Pure web standards: `app.fetch(request, { caller })`.
 */
export const createAdminApp = (services: AdminServices, options: AdminOptions = {}): Hono<AdminEnv> => {
  const callerOf = options.callerOf ?? ((c: Context<AdminEnv>) => c.env?.caller);

  const app = new Hono<AdminEnv>().basePath(ADMIN_PREFIX);

  app.use('*', async (c, next) => {
    const auditId = services.newAuditId();
    const by = callerOf(c);
    const call = { action: 'admin.request', resource: `${c.req.method} ${c.req.path}`.slice(0, 256) };
    if (by === undefined) {
      const error = new GatewayError('token-missing', 'the admin API needs an operator token');
      await services.recordRefusal(
        { by: { subject: '', operator: false }, auditId },
        { ...call, code: error.code, status: 401, message: error.message },
      );
      return problemResponse(c, error, auditId);
    }
    if (!by.operator && !isForReaders(c.req.method, c.req.path.slice(ADMIN_PREFIX.length))) {
      const what = by.audit === undefined ? 'the admin API needs one' : 'what is not of the audit needs one';
      const error = new GatewayError('admin-forbidden', `${by.subject} is no operator; ${what}`);
      await services.recordRefusal(
        { by, auditId },
        { ...call, code: error.code, status: error.status, message: error.message },
      );
      return problemResponse(c, error, auditId);
    }
    c.set('context', { by, auditId });
    await next();
    c.res.headers.set(AUDIT_HEADER, auditId);
    c.res.headers.set('cache-control', 'no-store');
    return undefined;
  });

  app.onError((error, c) => {
    const auditId = c.get('context')?.auditId ?? services.newAuditId();
    if (!(error instanceof GatewayError)) options.onFault?.(error, auditId);
    return problemResponse(c, error, auditId);
  });
  // Registered below the door, so that strangers learn nothing about which routes exist.
  app.notFound((c) =>
    problemResponse(
      c,
      new GatewayError('not-found', `there is no ${c.req.method} ${c.req.path.slice(0, 200)} here`),
      c.get('context')?.auditId ?? services.newAuditId(),
    ),
  );

  const body: typeof input.parseBody = (type, request) => input.parseBody(type, request);

  // identities
  app.get('/identities', (c) => {
    input.parseQuery(input.noQuery, c.req.url);
    return c.json({ identities: services.listIdentities().map(identityView) });
  });
  app.post('/identities', async (c) => {
    const { maxTtl, ...given } = await body(input.newIdentity, c.req.raw);
    const made = await services.createIdentity({ ...given, maxTtlMs: msOf(maxTtl) }, c.get('context'));
    return c.json(identityView(made), 201);
  });
  app.get('/identities/:name', (c) => {
    const name = c.req.param('name');
    return c.json({
      ...identityView(services.showIdentity(name)),
      effectivePolicies: services.effectivePolicies(name),
    });
  });
  app.patch('/identities/:name', async (c) => {
    const { maxTtl, ...changes } = await body(input.changedIdentity, c.req.raw);
    const name = c.req.param('name');
    const context = c.get('context');
    const isMore = Object.values(changes).some((given) => given !== undefined);
    let made = isMore ? await services.updateIdentity(name, defined(changes), context) : services.showIdentity(name);
    if (maxTtl !== undefined) made = await services.setMaxTtl(name, msOf(maxTtl), context);
    return c.json(identityView(made));
  });
  app.delete('/identities/:name', async (c) => {
    await services.deleteIdentity(c.req.param('name'), c.get('context'));
    return c.body(null, 204);
  });
  for (const [verb, disabled] of [
    ['disable', true],
    ['enable', false],
  ] as const) {
    app.post(`/identities/:name/${verb}`, async (c) => {
      await body(input.noQuery, c.req.raw);
      return c.json(identityView(await services.setIdentityDisabled(c.req.param('name'), disabled, c.get('context'))));
    });
  }

  // tokens
  app.get('/tokens', async (c) => {
    const { all, ...filter } = input.parseQuery(input.tokenQuery, c.req.url);
    const listed = await services.listTokens({ ...defined(filter), all: all === 'true' });
    const now = services.now();
    return c.json({ tokens: listed.map((token) => tokenView(token, now)) });
  });
  app.post('/tokens', async (c) => {
    const { ttl, lease, ...asked } = await body(input.newToken, c.req.raw);
    const { token, record } = await services.createToken(
      { ...asked, ttlMs: msOf(ttl), leaseMs: msOf(lease) },
      c.get('context'),
    );
    return c.json({ token, ...tokenView(record, services.now()) }, 201);
  });
  app.post('/tokens/revoke', async (c) =>
    c.json(
      await services.revokeIdentityTokens(await body(input.revokeTokens(services.now()), c.req.raw), c.get('context')),
    ),
  );
  app.delete('/tokens/:id', async (c) =>
    c.json(tokenView(await services.revokeToken(c.req.param('id'), c.get('context')), services.now())),
  );

  mountCertificateRoutes(app, services);
  mountTenantRoutes(app, services);
  mountLeaseRoutes(app, services);
  mountSocketRoutes(app, services);
  mountOwnershipRoutes(app, services);
  mountIssuerRoutes(app, services);

  // refresh credentials
  app.get('/credentials', (c) => {
    const filter = defined(input.parseQuery(input.credentialQuery, c.req.url));
    const now = services.now();
    return c.json({ credentials: services.listCredentials(filter).map((record) => credentialView(record, now)) });
  });
  app.post('/credentials', async (c) => {
    const { ttl, ...asked } = await body(input.newCredential, c.req.raw);
    const { secret, record } = await services.createCredential({ ...asked, ttlMs: msOf(ttl) }, c.get('context'));
    return c.json({ credential: secret, ...credentialView(record, services.now()) }, 201);
  });
  app.delete('/credentials/:id', async (c) =>
    c.json(credentialView(await services.revokeCredential(c.req.param('id'), c.get('context')), services.now())),
  );

  // signing keys
  app.get('/keys', (c) => {
    input.parseQuery(input.noQuery, c.req.url);
    return c.json({ keys: services.listKeys().map(keyView) });
  });
  app.post('/keys/rotate', async (c) => {
    await body(input.noQuery, c.req.raw);
    return c.json({ keys: (await services.rotateKey(c.get('context'))).map(keyView) });
  });

  // policies
  app.get('/unbound-policies', (c) => {
    input.parseQuery(input.noQuery, c.req.url);
    return c.json({ policies: services.unboundPolicies() });
  });
  app.get('/policies', (c) => {
    const { revision, documents } = services.listPolicies();
    return c.json({ revision, documents: documents.map(documentView) });
  });
  app.post('/policies', async (c) => {
    const { sources } = await body(input.applyDocuments, c.req.raw);
    const context = c.get('context');
    let documents: ReturnType<typeof splitDocuments>;
    try {
      documents = splitDocuments(sources);
    } catch (error) {
      if (error instanceof GatewayError) {
        await services.recordRefusal(context, {
          action: 'policy.apply',
          code: error.code,
          status: error.status,
          message: error.message.slice(0, 1000),
        });
      }
      throw error;
    }
    return c.json(await services.applyPolicies(documents, context));
  });
  app.get('/policies/:name', (c) => {
    const found = services.showPolicy(c.req.param('name'));
    return c.json({ ...documentView(found), source: found.source });
  });
  app.get('/policies/:name/history', (c) =>
    c.json({
      history: services
        .policyHistory(c.req.param('name'))
        .map((document) => ({ ...documentView(document), source: document.source })),
    }),
  );
  app.delete('/policies/:name', async (c) =>
    c.json(await services.deletePolicy(c.req.param('name'), c.get('context'))),
  );
  app.post('/explain', async (c) => {
    const { as, request } = await body(input.explainRequest, c.req.raw);
    const { method, target } = request;
    return c.json(
      await services.explain(as, { method, target, ...(request.body === undefined ? {} : { body: request.body }) }),
    );
  });

  mountDryRunRoute(app, services);

  // plugins
  app.get('/plugins', (c) => c.json({ plugins: services.listPlugins() }));

  mountAuditRoutes(app, services, options);

  // operations
  app.get('/status', async (c) => c.json(await services.status()));
  app.get(
    '/metrics',
    async () =>
      new Response(await services.metrics(), {
        headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
      }),
  );
  app.post('/backup', async (c) => {
    await body(input.noQuery, c.req.raw);
    return c.json(await services.backup(c.get('context')));
  });
  app.post('/reload', async (c) => {
    await body(input.noQuery, c.req.raw);
    return c.json(await services.reload(c.get('context')));
  });
  return app;
};

/** Milliseconds of a span that was checked already. */
const msOf = (span: string | null | undefined): number | undefined =>
  typeof span === 'string' ? parseDuration(span) : undefined;

/** Leaves keys without value out, as filters expect them. */
export const defined = <T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
