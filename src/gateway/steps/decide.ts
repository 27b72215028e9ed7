// Policy's decision on exactly what will be sent, and what the deciding rules oblige the gateway to add to it.
import { toCall } from '../../engine/call.ts';
import { RECURSIVE_READ_ONLY_MINOR } from '../../engine/field-versions.ts';
import type { EngineCall, JsonObject } from '../../engine/types.ts';
import { decide as decisionOfRules } from '../../policy/evaluate.ts';
import type { Decision, DecisionInput } from '../../policy/types.ts';
import { mayHoldDefaults, withDefaults } from '../../proxy/engine-defaults.ts';
import type { GatewayParts } from '../parts.ts';
import { denialOf } from '../refusal.ts';
import { raisedTo, type Versions, versionsOf } from '../settle-version.ts';
import { type Admitted, atMsOf, type Changed, type Decided, type Meant } from './values.ts';

/** @throws {GatewayError} the denial */
export function decide(meant: Meant, parts: GatewayParts): Decided | Promise<Decided> {
  const first = decisionOn(meant.call, meant, parts);
  return first.effect === 'deny'
    ? decideOnceMore(meant, first, parts)
    : Object.freeze({ ...meant, call: withObligations(meant.call, first), decision: first });
}

async function decideOnceMore(meant: Meant, first: Decision, parts: GatewayParts): Promise<Decided> {
  const judged = (call: EngineCall) => decisionOn(call, meant, parts);
  const { call, decision } = await onceMore(meant.call, first, judged, versionsOf(meant.engine, parts));
  if (decision.effect === 'deny') throw denialOf({ ...meant, decision });
  return Object.freeze({ ...meant, call: withObligations(call, decision), decision });
}

/** The decision on a form of a call. */
export function decisionOn(call: EngineCall, at: Judgeable, parts: Parts): Decision {
  const input = inputOf(at, call, parts);
  parts.onDecided?.(at.auditId, at.policies, input);
  return decisionOfRules(at.policies, input);
}

type Judgeable = Admitted & Partial<Pick<Changed, 'ownSocket'>>;
type Parts = Pick<GatewayParts, 'site' | 'onDecided'>;

export const inputOf = (at: Judgeable, call: EngineCall, parts: Parts): DecisionInput => ({
  principal: at.principal,
  call,
  source: at.arrival.source,
  at: atMsOf(at),
  site: siteOf(at, call, parts),
});

/** The installation as this call may see it: what the gateway put in itself is no path the caller named. */
export function siteOf({ ownSocket, principal, arrival }: Judgeable, call: EngineCall, parts: Parts) {
  const site = parts.site?.(call.action, principal, arrival.source);
  const path = ownSocket?.path;
  return site === undefined || path === undefined ? site : { ...site, granted: path };
}

/**
 * A denied call, judged once more with what the engine fills in by itself, and at the version that means what an old client's call
 * may have been denied for.
 */
export async function onceMore(
  denied: EngineCall,
  denial: Decision,
  judged: (call: EngineCall) => Decision,
  versions: Versions,
): Promise<{ readonly call: EngineCall; readonly decision: Decision }> {
  let call = denied;
  let decision = denial;
  if (mayHoldDefaults(call)) {
    call = await withDefaults(call, versions);
    if (call.defaults !== undefined) decision = judged(call);
    if (decision.effect !== 'deny') return { call, decision };
  }
  const raised = await raisedTo(RECURSIVE_READ_ONLY_MINOR, call, versions);
  const again = raised && judged(raised);
  return raised === undefined || again === undefined || again.effect === 'deny'
    ? { call, decision }
    : { call: raised, decision: again };
}

/** Stamps what the deciding rules oblige the gateway to add. */
function withObligations(call: EngineCall, { obligations }: Decision): EngineCall {
  const { labels, ownCgroups } = obligations;
  if (labels === undefined && ownCgroups !== true) return call;
  if (typeof call.body !== 'object' || call.body === null || Array.isArray(call.body)) return call;
  const body = call.body as JsonObject;
  const host = (body.HostConfig ?? {}) as JsonObject;
  const names = ownCgroups === true && (host.CgroupnsMode ?? '') === '';
  if (labels === undefined && !names) return call;
  const stamped: Record<string, unknown> = Object.create(null);
  Object.assign(stamped, body);
  if (labels !== undefined) {
    stamped.Labels = Object.freeze(Object.assign(Object.create(null), body.Labels ?? {}, labels));
  }
  if (names) stamped.HostConfig = Object.freeze(Object.assign(Object.create(null), host, { CgroupnsMode: 'private' }));
  return toCall(call, Object.freeze(stamped) as JsonObject);
}
