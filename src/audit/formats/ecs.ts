// A row in the Elastic Common Schema. What ECS has no field for stands under `dockgate`.
// See https://www.elastic.co/docs/reference/ecs
import type { AuditRow } from '../event.ts';
import type { Origin } from '../sinks/sink.ts';
import { outcomeOf, resourceParts, verbOf } from './facts.ts';
import { timeText } from './native.ts';

const ECS_VERSION = '8.17.0';
const TYPES = { create: 'creation', read: 'access', update: 'change', delete: 'deletion', other: 'info' } as const;

const present = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null));

export function ecsEvent(row: AuditRow, logId: string, origin: Origin): Record<string, unknown> {
  const isRefused = row.decision === 'deny' || row.decision === 'unauthenticated';
  const message = typeof row.detail?.message === 'string' ? row.detail.message : undefined;
  const { source } = row;
  const container = resourceParts(row).find(({ kind }) => kind === 'container');
  return present({
    '@timestamp': timeText(row.at),
    ecs: { version: ECS_VERSION },
    message,
    event: present({
      id: row.hash,
      sequence: row.seq,
      kind: 'event',
      category: row.decision === 'unauthenticated' ? ['api', 'authentication'] : ['api'],
      type: [TYPES[verbOf(row)], ...(isRefused ? ['denied'] : row.decision === 'allow' ? ['allowed'] : ['error'])],
      action: row.action,
      outcome: outcomeOf(row),
      code: row.code,
      reason: message,
      provider: 'dockgate',
      module: 'dockgate',
      dataset: 'dockgate.audit',
      duration: row.durationUs === undefined ? undefined : row.durationUs * 1000,
    }),
    user: row.subject === undefined ? undefined : present({ name: row.subject, domain: row.issuer }),
    organization: row.tenant === undefined ? undefined : { name: row.tenant },
    source:
      source === undefined
        ? undefined
        : source.startsWith('unix:') || source === 'unknown'
          ? { address: source }
          : { address: source, ip: source },
    user_agent: row.client === undefined ? undefined : { original: row.client },
    http: present({
      request: present({ id: row.auditId, bytes: row.bytesIn }),
      response: row.status === undefined ? undefined : present({ status_code: row.status, bytes: row.bytesOut }),
    }),
    rule: row.rule === undefined ? undefined : present({ name: row.rule, version: row.policyRev }),
    container: container === undefined ? undefined : present({ name: container.name, id: container.id }),
    observer: {
      vendor: 'dockgate',
      product: 'dockgate',
      type: 'gateway',
      version: origin.version,
      hostname: origin.host,
    },
    dockgate: present({
      logId,
      seq: row.seq,
      stage: row.stage,
      auditId: row.auditId,
      tokenId: row.tokenId,
      operationId: row.operationId,
      class: row.class,
      apiVersion: row.apiVersion,
      resource: row.resource,
      resourceId: row.resourceId,
      decision: row.decision,
      outcome: row.outcome,
      actor: row.actor,
      engine: row.engine,
      gateway: row.gateway,
      session: row.session,
      pluginGeneration: row.pluginGeneration,
      bodySha256: row.bodySha256,
      sentSha256: row.sentSha256,
      resources: row.resources,
      moreResources: row.moreResources,
      prev: row.prev,
      detail: row.detail,
    }),
  });
}
