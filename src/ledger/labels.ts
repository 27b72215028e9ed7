// The labels that tell people and tools whose an object is. They are written by the gateway alone and decide nothing: the ledger
// does. A ledger that was lost is made again from them where a seal proves them; see seal.ts.
import type { Json, JsonObject } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import type { Owner } from './entry.ts';

export const TENANT_LABEL = 'dockgate.tenant';
export const OWNER_LABEL = 'dockgate.owner';
export const AUDIT_LABEL = 'dockgate.audit-id';
export const SEAL_LABEL = 'dockgate.seal';
const PREFIX = 'dockgate.';

export const labelsOf = (owner: Owner): Readonly<Record<string, string>> => ({
  [TENANT_LABEL]: owner.tenant,
  [OWNER_LABEL]: owner.subject,
  [AUDIT_LABEL]: owner.auditId,
});

/**
 * Labels of the containers of a tenant's service. They name no call and no person, as a spec with another label is another one:
 * its tasks would be restarted.
 */
export const labelsOfTasks = (tenant: string): Readonly<Record<string, string>> => ({
  [TENANT_LABEL]: tenant,
  [OWNER_LABEL]: '',
  [AUDIT_LABEL]: '',
});

/**
 * Refuses labels a caller may not set. What `inspect` shows of one's own object may be sent again, as tools that recreate a
 * container do; it is written anew.
 *
 * @param isRewritten whether the gateway writes its labels there; where it does not, a label of another call would stay
 * @throws {GatewayError} `label-reserved`
 */
export function refuseReserved(labels: Json | undefined, owner: Owner, at: string, isRewritten = true): void {
  if (typeof labels !== 'object' || labels === null || Array.isArray(labels)) return;
  for (const [key, value] of Object.entries(labels as JsonObject)) {
    if (!key.toLowerCase().startsWith(PREFIX)) continue;
    if (isRewritten && (key === OWNER_LABEL || key === AUDIT_LABEL || key === SEAL_LABEL)) continue;
    if (key === TENANT_LABEL && value === owner.tenant) continue;
    throw reserved(key, at);
  }
}

/** Refuses the name of a label in a Dockerfile. @throws {GatewayError} `label-reserved` */
export function refuseReservedLabel(name: string, at: string): void {
  if (name.toLowerCase().startsWith(PREFIX)) throw reserved(name, at);
}

const reserved = (key: string, at: string): GatewayError =>
  new GatewayError(
    'label-reserved',
    `${at}: labels that begin with ${PREFIX} are written by the gateway and cannot be set; leave ${key} out`,
  );

/**
 * The body with the owner's labels in `field`; values the caller set under their names are replaced.
 *
 * @param seal of an object that carries one; left out, one that was given is taken off
 */
export function stamp(body: JsonObject, field: 'Labels', owner: Owner, seal?: string): JsonObject {
  const labels: Record<string, Json> = Object.create(null);
  const given = body[field];
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) Object.assign(labels, given);
  delete labels[SEAL_LABEL];
  Object.assign(labels, labelsOf(owner), seal === undefined ? {} : { [SEAL_LABEL]: seal });
  const stamped: Record<string, Json | undefined> = Object.create(null);
  Object.assign(stamped, body);
  stamped[field] = Object.freeze(labels) as JsonObject;
  return Object.freeze(stamped) as JsonObject;
}
