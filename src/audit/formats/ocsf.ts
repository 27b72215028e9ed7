// A row as OCSF API Activity, class 6003, with the profile security_control for what was decided.
// See https://schema.ocsf.io/1.5.0/classes/api_activity
import type { AuditRow } from '../event.ts';
import type { Origin } from '../sinks/sink.ts';
import { outcomeOf, resourceParts, verbOf } from './facts.ts';

const OCSF_VERSION = '1.5.0';
const ACTIVITIES = {
  create: [1, 'Create'],
  read: [2, 'Read'],
  update: [3, 'Update'],
  delete: [4, 'Delete'],
  other: [99, 'Other'],
} as const;

const present = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null));

export function ocsfEvent(row: AuditRow, logId: string, origin: Origin): Record<string, unknown> {
  const [activityId, activityName] = ACTIVITIES[verbOf(row)];
  const outcome = outcomeOf(row);
  const isRefused = row.decision === 'deny' || row.decision === 'unauthenticated';
  const message = typeof row.detail?.message === 'string' ? row.detail.message : undefined;
  const { source } = row;
  const { prev, hash, seq, detail, stage, tenant, rule, policyRev, decision } = row;
  return present({
    activity_id: activityId,
    activity_name: activityName,
    category_uid: 6,
    category_name: 'Application Activity',
    class_uid: 6003,
    class_name: 'API Activity',
    type_uid: 600300 + activityId,
    type_name: `API Activity: ${activityName}`,
    time: Math.floor(row.at / 1000),
    severity_id: decision === 'error' ? 3 : isRefused ? 2 : 1,
    severity: decision === 'error' ? 'Medium' : isRefused ? 'Low' : 'Informational',
    status_id: outcome === 'success' ? 1 : outcome === 'failure' ? 2 : 0,
    status: outcome === 'success' ? 'Success' : outcome === 'failure' ? 'Failure' : 'Unknown',
    status_code: row.code,
    status_detail: message,
    message,
    action_id: isRefused ? 2 : decision === 'allow' ? 1 : 0,
    action: isRefused ? 'Denied' : decision === 'allow' ? 'Allowed' : 'Unknown',
    disposition_id: isRefused ? 2 : decision === 'allow' ? 1 : 0,
    disposition: isRefused ? 'Blocked' : decision === 'allow' ? 'Allowed' : 'Unknown',
    duration: row.durationUs === undefined ? undefined : Math.round(row.durationUs / 1000),
    actor: actorOf(row),
    api: present({
      operation: row.operationId ?? row.action,
      version: row.apiVersion,
      service: { name: 'Docker Engine API' },
      request: { uid: row.auditId },
      response: row.status === undefined ? undefined : present({ code: row.status, error: row.code }),
    }),
    src_endpoint:
      source === undefined
        ? { name: 'dockgate', hostname: origin.host }
        : source.startsWith('unix:')
          ? { name: source }
          : { ip: source },
    http_request: row.client === undefined ? undefined : { user_agent: row.client, uid: row.auditId },
    resources: resourcesOf(row),
    firewall_rule: rule === undefined ? undefined : present({ name: rule, version: policyRev }),
    metadata: {
      version: OCSF_VERSION,
      profiles: ['security_control'],
      product: { name: 'dockgate', vendor_name: 'dockgate', version: origin.version },
      uid: hash,
      sequence: seq,
      log_name: 'audit',
      log_provider: logId,
      event_code: row.action,
      correlation_uid: row.auditId,
    },
    unmapped: present({
      log_id: logId,
      seq,
      prev,
      stage,
      decision,
      outcome: row.outcome,
      tenant,
      class: row.class,
      actor: row.actor,
      engine: row.engine,
      gateway: row.gateway,
      session: row.session,
      plugin_generation: row.pluginGeneration,
      body_sha256: row.bodySha256,
      sent_sha256: row.sentSha256,
      bytes_in: row.bytesIn,
      bytes_out: row.bytesOut,
      more_resources: row.moreResources,
      detail,
    }),
  });
}

function actorOf({ subject, issuer, tenant, tokenId, stage }: AuditRow): Record<string, unknown> {
  if (subject === undefined) {
    return stage === 'gateway'
      ? { app_name: 'dockgate' }
      : { user: { name: 'anonymous', type_id: 0, type: 'Unknown' } };
  }
  return present({
    user: present({
      name: subject,
      uid: issuer === undefined ? subject : `${issuer}#${subject}`,
      org: tenant === undefined ? undefined : { name: tenant },
    }),
    session: tokenId === undefined ? undefined : present({ uid: tokenId, issuer }),
  });
}

function resourcesOf(row: AuditRow): Record<string, unknown>[] | undefined {
  const parts = resourceParts(row);
  return parts.length === 0 ? undefined : parts.map(({ kind, name, id }) => present({ type: kind, name, uid: id }));
}
