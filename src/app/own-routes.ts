// Routes of the gateway itself, beside the Engine API: health, readiness, keys, and the admin API for operators.
// Strangers learn up or not, and public keys; nothing else. RFC 7517 (JWKS).
import type { IncomingMessage, ServerResponse } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { ADMIN_PREFIX, type AdminEnv } from '../admin/app.ts';
import { problemOf } from '../admin/problems.ts';
import { type AdminCaller, type AdminServices, LOCAL_OPERATOR } from '../admin/services.ts';
import type { AuditScope } from '../audit/filter.ts';
import { AUDIT_ID_HEADER } from '../gateway/answer.ts';
import { headerValues } from '../gateway/arrival.ts';
import type { Gateway, GatewayEnv } from '../gateway/gateway.ts';
import type { LiveCalls } from '../gateway/live-calls.ts';
import { asGatewayError } from '../gateway/refusal.ts';
import { holderName } from '../gateway/steps/authenticate.ts';
import type { Strangers } from '../gateway/strangers.ts';
import { answerTokenCall, TOKEN_PATH, type TokenEndpointParts } from '../gateway/token-endpoint.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import type { Issuer } from '../identity/issue-token.ts';
import { ceilingOf } from '../policy/ceiling.ts';
import type { Principal } from '../policy/types.ts';
import { claimOf } from '../runtime/connections.ts';
import type { Handlers } from '../runtime/listen.ts';
import { peerOf } from '../runtime/peer.ts';

/** The built-in policy that makes an identity an operator. */
const OPERATOR_POLICY = 'operator';
/** The one that lets an identity read the audit: all of it, or its tenant's. */
const REVIEWER_POLICY = 'reviewer';
/** Verifiers of our tokens may keep keys this long, in seconds. */
const JWKS_MAX_AGE_S = 300;
/** Prometheus text exposition format. */
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
/** Content type of the endless answers of the admin API. */
const TAIL_TYPE = 'application/x-ndjson';

export interface OwnRoutes {
  readonly adminApp: Hono<AdminEnv>;
  readonly admin: AdminServices;
  readonly authenticator: Authenticator;
  readonly live: LiveCalls;
  readonly issuer: Issuer;
  readonly strangers: Strangers;
  readonly tokenEndpoint: TokenEndpointParts;
  ready(): Promise<boolean>;
}

interface Health {
  ready(): Promise<boolean>;
  /** What operators are told beside it, where only they can ask. */
  details?(): Readonly<Record<string, unknown>>;
}

/** Strangers are told no more than up or not. */
function mountHealth(app: Hono<GatewayEnv>, of: Health): void {
  app.get('/healthz', (c) => c.json({ status: 'up' }));
  app.get('/readyz', async (c) => {
    const up = await of.ready();
    return c.json({ status: up ? 'up' : 'down', ...of.details?.() }, up ? 200 : 503);
  });
}

/** What the machine's monitoring asks, on the admin socket and on the listener for metrics: Prometheus text and health. */
export function createOperationsApp(of: Health & { metrics(): Promise<string> }): Hono<GatewayEnv> {
  const app = new Hono<GatewayEnv>();
  mountHealth(app, of);
  app.get('/metrics', async () => new Response(await of.metrics(), { headers: { 'Content-Type': METRICS_TYPE } }));
  app.notFound((c) => c.json({ message: 'there are /metrics, /healthz and /readyz here' }, 404));
  return app;
}

/** Mounts the routes; they come before the Engine API, whose paths never begin like these. */
export function mountOwnRoutes(app: Hono<GatewayEnv>, own: OwnRoutes): void {
  mountHealth(app, { ready: () => own.ready() });
  app.get('/.well-known/jwks.json', (c) => {
    c.header('Cache-Control', `public, max-age=${JWKS_MAX_AGE_S}`);
    return c.json(own.issuer.jwks());
  });
  app.post(TOKEN_PATH, (c, next) => {
    // Calls on a unix socket need no token; the path belongs to the engine there, which knows none of that name.
    if (c.env?.channel?.kind === 'unix') return next();
    sayContinue(c);
    const socket = c.env?.incoming?.socket;
    const peer = socket === undefined ? undefined : peerOf(socket);
    return answerTokenCall({ request: c.req.raw, source: sourceOf(c), client: clientOf(c), peer }, own.tokenEndpoint);
  });
  app.all(`${ADMIN_PREFIX}/*`, async (c) => {
    const call = own.live.enter();
    let caller: AdminCaller;
    try {
      const principal = await authenticate(c, own.authenticator);
      claimOf(c.env?.incoming?.socket)?.claim(holderName(principal));
      // A tail of the audit ends with the operator's credentials, like any other stream.
      own.live.hold(call, principal);
      caller = adminCallerOf(principal, c, call.signal);
    } catch (thrown) {
      own.live.leave(call);
      const error = asGatewayError(thrown);
      const counted = error.status === 401 ? own.strangers.fold(sourceOf(c), error.code) : undefined;
      const auditId = counted ?? own.admin.newAuditId();
      if (counted === undefined)
        await own.admin.recordRefusal(
          { by: { subject: '', operator: false, source: sourceOf(c) }, auditId },
          {
            action: 'admin.request',
            code: error.code,
            status: error.status,
            message: error.message,
            origin: error.audit,
          },
        );
      return c.json(problemOf(error, c.req.path, auditId), error.status as 401, {
        'Content-Type': 'application/problem+json',
        [AUDIT_ID_HEADER]: auditId,
        'WWW-Authenticate': own.authenticator.challengeFor(error),
      });
    }
    sayContinue(c);
    const response = await own.adminApp.fetch(c.req.raw, { caller });
    return untilRead(response, () => own.live.leave(call));
  });
}

/** The response, and word of when its body was read to the end or given up. */
function untilRead(response: Response, done: () => void): Response {
  if (response.body === null || response.headers.get('content-type') !== TAIL_TYPE) {
    done();
    return response;
  }
  const reader = response.body.getReader();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done: ended, value } = await reader.read();
        if (!ended) return controller.enqueue(value);
        done();
        controller.close();
      } catch (error) {
        done();
        controller.error(error);
      }
    },
    async cancel(reason) {
      done();
      await reader.cancel(reason);
    },
  });
  return new Response(body, response);
}

function authenticate(c: Context<GatewayEnv>, authenticator: Authenticator): Principal | Promise<Principal> {
  const identity = c.env?.channel?.identity;
  const raw = c.env?.incoming?.rawHeaders ?? [...c.req.raw.headers].flat();
  if (identity !== undefined) return authenticator.onSocket(identity, raw, sourceOf(c));
  const socket = c.env?.incoming?.socket;
  return authenticator.authenticate(raw, socket === undefined ? undefined : peerOf(socket), sourceOf(c));
}

const sourceOf = (c: Context<GatewayEnv>): string =>
  c.env?.channel?.kind === 'unix' ? 'unix' : (c.env?.incoming?.socket.remoteAddress ?? c.env?.source ?? 'unknown');

/** Own routes read every body: a caller that waits to be told may go on. */
function sayContinue(c: Context<GatewayEnv>): void {
  if (c.env?.incoming?.headers.expect !== undefined) c.env.outgoing?.writeContinue();
}

const clientOf = (c: Context<GatewayEnv>): string | undefined =>
  headerValues(c.env?.incoming?.rawHeaders ?? [], 'user-agent')[0]?.slice(0, 256);

function adminCallerOf(principal: Principal, c: Context<GatewayEnv>, signal: AbortSignal): AdminCaller {
  return {
    subject: principal.subject,
    // A narrowed token is for less than its identity may: the admin API is never part of a ceiling.
    operator: principal.policies.includes(OPERATOR_POLICY) && ceilingOf(principal) === undefined,
    audit: auditScopeOf(principal),
    issuer: principal.issuer,
    tenant: principal.tenant,
    tokenId: principal.tokenId,
    source: sourceOf(c),
    client: clientOf(c),
    signal,
  };
}

/** A token that is narrower than its identity reads only its own calls, also where the identity may read more. */
function auditScopeOf(principal: Principal): AuditScope {
  const { subject, issuer, tenant, tokenId, policies } = principal;
  if (ceilingOf(principal) !== undefined) return { kind: 'own', subject, issuer, tokenId };
  if (!policies.includes(REVIEWER_POLICY)) return { kind: 'own', subject, issuer };
  return tenant === undefined ? { kind: 'all' } : { kind: 'tenant', tenant };
}

/** Handlers of the admin socket: the admin API for the operator of this machine, its monitoring, nothing of the engine. */
export const adminHandlers = (adminApp: Hono<AdminEnv>, operations: Hono<GatewayEnv>, gateway: Gateway): Handlers =>
  ownHandlers(
    (request) =>
      new URL(request.url).pathname.startsWith(`${ADMIN_PREFIX}/`)
        ? adminApp.fetch(request, { caller: LOCAL_OPERATOR })
        : operations.fetch(request),
    gateway,
  );

/** Handlers for an app of ours alone: no upgrade, no engine. */
export function ownHandlers(fetch: (request: Request) => Response | Promise<Response>, gateway: Gateway): Handlers {
  const listener = getRequestListener(fetch, { hostname: 'dockgate', overrideGlobalObjects: false });
  const onRequest = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    incoming.headers.host = 'dockgate';
    void listener(incoming, outgoing);
  };
  return {
    onRequest,
    onCheckContinue(incoming, outgoing) {
      outgoing.writeContinue();
      onRequest(incoming, outgoing);
    },
    onUpgrade(_incoming, socket) {
      socket.destroy();
    },
    wantsUpgrade: () => false,
    onUnreadable: gateway.onUnreadable,
    onHandshake: gateway.onHandshake,
  };
}
