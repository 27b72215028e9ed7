// Routes of the admin API for questions to the audit beside lists: an object's life, calls counted, sessions, tokens, what is unused.
import type { Context, Hono } from 'hono';
import type { AuditCall, AuditScope } from '../audit/filter.ts';
import type { Counted, CountedBy } from '../audit/reports.ts';
import type { AdminEnv } from './app.ts';
import { conditionsIn, countQuery, sessionQuery, timelineQuery, tokensQuery, unusedQuery } from './audit-input.ts';
import { scopeOf } from './audit-services.ts';
import { unusedSince } from './audit-unused.ts';
import { callView } from './audit-view.ts';
import * as input from './input.ts';
import type { AdminServices } from './services.ts';
import { microTime, tokenView } from './views.ts';

/** What opens a session: its row of the outcome has what ran, as whom, and how it ended. */
const SESSION_ACTIONS = ['container.exec.start', 'container.attach'];
const DAY_US = 86_400_000_000;
const TIMES: ReadonlySet<CountedBy> = new Set<CountedBy>(['minute', 'hour', 'day']);

/** Questions to rows alone. */
export type ReportServices = Pick<AdminServices, 'now' | 'auditTimeline' | 'auditCount' | 'auditPage'>;

export function mountAuditReportRoutes(app: Hono<AdminEnv>, services: ReportServices): void {
  app.get('/audit/timeline', async (c) => {
    const question = input.parseQuery(timelineQuery(services.now()), c.req.url);
    const { by } = c.get('context');
    const { calls, objects, more } = await services.auditTimeline(question, by);
    const scope = scopeOf(by);
    return c.json({
      resource: question.resource,
      objects,
      more,
      events: calls.map((call) => timelineView(call, scope)),
    });
  });
  const counted =
    (decision: 'deny' | undefined, groups: string) =>
    async (c: Context<AdminEnv>): Promise<Response> => {
      const { by: asked, limit, mine, ...given } = input.parseQuery(countQuery(services.now(), groups), c.req.url);
      const conditions = { ...conditionsIn(given), ...(decision === undefined ? {} : { decision }) };
      const { by } = c.get('context');
      const { groups: found, more } = await services.auditCount({ conditions, by: asked, limit }, mine, by);
      return c.json({ by: asked, groups: found.map((one) => countedView(one, asked)), more });
    };
  app.get('/audit/denies', counted('deny', 'rule,subject,field'));
  app.get('/audit/stats', counted(undefined, 'hour,subject'));
  app.get('/audit/sessions', async (c) => {
    const { limit, before, mine, ...given } = input.parseQuery(sessionQuery(services.now()), c.req.url);
    const { by } = c.get('context');
    const conditions = { ...conditionsIn(given), ...(given.action === undefined ? { actions: SESSION_ACTIONS } : {}) };
    const page = await services.auditPage({ conditions, before, limit, calls: true, follow: true }, mine, by);
    return c.json({ sessions: page.entries.map(sessionView), next: page.next ?? null });
  });
}

/** Questions to rows, and to identities, tokens and policies. */
export function mountAuditUseRoutes(app: Hono<AdminEnv>, services: AdminServices): void {
  app.get('/audit/tokens', async (c) => {
    const { identity, all, unused } = input.parseQuery(tokensQuery, c.req.url);
    const { by } = c.get('context');
    const scope = scopeOf(by);
    const now = services.now();
    const listed = await services.listTokens({ all, ...(identity === undefined ? {} : { identity }) });
    services.auditRead(by, { read: 'tokens', identity, all, unused });
    const seen = listed.filter((token) => isSeen(token, scope, services) && (!unused || token.use === undefined));
    return c.json({ tokens: seen.map((token) => ({ ...tokenView(token, now), neverUsed: token.use === undefined })) });
  });
  app.get('/audit/unused', async (c) => {
    const { days, identity } = input.parseQuery(unusedQuery, c.req.url);
    const uses = await services.auditUses(c.get('context').by);
    const since = services.now() * 1000 - days * DAY_US;
    const { rules, grants } = unusedSince(since, uses, {
      identities: services.listIdentities().filter(({ name }) => identity === undefined || name === identity),
      documents: services.listPolicies().documents,
      policiesOf: (name) => services.effectivePolicies(name).map((policy) => policy.name),
    });
    const tokens = await services.listTokens(identity === undefined ? {} : { identity });
    const now = services.now();
    const timed = <T extends { readonly lastUsedAt: number | undefined }>(one: T) => ({
      ...one,
      lastUsedAt: one.lastUsedAt === undefined ? null : microTime(one.lastUsedAt),
    });
    return c.json({
      days,
      since: microTime(since),
      // Tokens and rules used only before the log begins must not count as unused.
      logSince: uses.logSince === undefined ? null : microTime(uses.logSince),
      rules: rules.map(timed),
      grants: grants.map(timed),
      tokens: tokens
        .filter(({ use }) => use === undefined || use.lastUsedAt * 1000 < since)
        .map((token) => tokenView(token, now)),
    });
  });
}

function isSeen(
  token: { readonly id: string; readonly identity: string },
  scope: AuditScope,
  services: Pick<AdminServices, 'listIdentities'>,
): boolean {
  if (scope.kind === 'all') return true;
  if (scope.kind === 'own')
    return token.identity === scope.subject && (scope.tokenId === undefined || token.id === scope.tokenId);
  return services.listIdentities().some(({ name, tenant }) => name === token.identity && tenant === scope.tenant);
}

/** Where a call stands in the life of an object. */
function timelineView(call: AuditCall, scope: AuditScope) {
  const view = callView(call, scope);
  // What the gateway saw happen without having carried it: a caller used the engine itself.
  const isOutside = call.stage === 'gateway' && (call.action.startsWith('engine.') || call.detail?.outside === true);
  return { ...view, outside: isOutside };
}

const countedView = ({ values, firstAt, lastAt, ...counts }: Counted, by: readonly CountedBy[]) => ({
  ...Object.fromEntries(
    by.map((key, i) => {
      const value = values[i] ?? null;
      return [key, TIMES.has(key) && typeof value === 'number' ? microTime(value) : value];
    }),
  ),
  ...counts,
  firstAt: microTime(firstAt),
  lastAt: microTime(lastAt),
});

interface ExecDetail {
  readonly argv?: unknown;
  readonly user?: unknown;
  readonly tty?: unknown;
  readonly privileged?: unknown;
  readonly exitCode?: unknown;
}

/** An exec or attach: who, where, what, as whom, and how it ended. */
function sessionView(call: AuditCall) {
  const exec = (call.detail?.exec ?? {}) as ExecDetail;
  const container = call.resources?.find(({ kind }) => kind === 'container');
  const isAttach = call.action === 'container.attach';
  const [, ...name] = (call.resource ?? '').split('/');
  return {
    seq: call.seq,
    at: microTime(call.at),
    auditId: call.auditId,
    session: call.session ?? null,
    kind: isAttach ? 'attach' : 'exec',
    subject: call.subject ?? null,
    tenant: call.tenant ?? null,
    tokenId: call.tokenId ?? null,
    source: call.source ?? null,
    container: isAttach ? name.join('/') : (container?.name ?? null),
    containerId: isAttach ? (call.resourceId ?? null) : (container?.id ?? null),
    containerName: call.knownAs ?? null,
    argv: exec.argv ?? null,
    user: exec.user ?? null,
    tty: exec.tty ?? null,
    privileged: exec.privileged ?? null,
    exitCode: exec.exitCode ?? null,
    decision: call.decision,
    outcome: call.outcome ?? null,
    code: call.code ?? null,
    durationUs: call.durationUs ?? null,
    bytesIn: call.bytesIn ?? null,
    bytesOut: call.bytesOut ?? null,
    recorded: call.detail?.recorded ?? null,
    transcript: call.detail?.transcript ?? null,
    commands: call.detail?.commands ?? null,
  };
}
