// What ends a call before its body is read: a tenant's rate, and an action that no rule of the caller's is about.
import { toCall } from '../../engine/call.ts';
import type { GatewayParts } from '../parts.ts';
import { denialOf } from '../refusal.ts';
import { decisionOn } from './decide.ts';
import { type Admitted, atMsOf, type Named } from './values.ts';

/** @throws {GatewayError} `rate-limited`, `operation-not-allowed` */
export function admit(named: Named, parts: GatewayParts): Admitted {
  const { principal, target } = named;
  if (principal.tenant !== undefined)
    parts.tenancy.admit({ ...principal, tenant: principal.tenant }, target.operation, atMsOf(named));
  const set = parts.policies();
  const policies = set.forPrincipal(principal);
  const admitted: Admitted = Object.freeze({ ...named, policies, policyRevision: set.revision });
  // An upload is never taken in vain.
  if (!policies.mayAllow(target.action))
    throw denialOf({ ...admitted, decision: decisionOn(toCall(target, undefined), admitted, parts) });
  return admitted;
}
