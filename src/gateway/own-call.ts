// Calls the gateway makes by itself in an owner's name: along the same chain as the owner's own from `resolve` on, with the ledger, the
// audit's intent and outcome, and a request rebuilt from the judged value. No policy is asked: what is done was decided when the
// lease was given.
import { toCall } from '../engine/call.ts';
import { classify } from '../engine/classify.ts';
import type { Principal } from '../policy/types.ts';
import { Ender } from '../proxy/ending.ts';
import type { CallerEnd } from '../proxy/types.ts';
import { type Arrival, EMPTY_BODY } from './arrival.ts';
import { callEvent } from './call-event.ts';
import { sentOf } from './ends/request.ts';
import type { GatewayParts } from './parts.ts';
import { Passage } from './passage.ts';
import { asGatewayError, RefusedAt } from './refusal.ts';
import { reserve } from './steps/reserve.ts';
import { arrivedOf, atMsOf, type Named, nothingMore, type Recorded, type Vetted } from './steps/values.ts';
import { respondToTenant } from './tenancy/respond.ts';
import type { TenantCall } from './tenancy/tenant-call.ts';

export interface InNameOf {
  readonly tenant: string;
  readonly subject: string;
  readonly tokenId?: string | undefined;
}

export interface Performed {
  readonly status: number;
  /** What the engine said of a failure. */
  readonly message: string;
}

/**
 * Makes one call without a body.
 *
 * @param why `lease/ended`: shown in the audit as the rule
 * @throws {GatewayError} when it could not be sent; it is in the audit then
 */
export async function performFor(
  owner: InNameOf,
  method: string,
  target: string,
  why: string,
  parts: GatewayParts,
): Promise<Performed> {
  const passage = new Passage(arrivedOf(arrivalOf(method, target), parts));
  const principal = principalOf(owner);
  try {
    const atMs = atMsOf(passage.arrived);
    const tenantCall = await parts.tenancy.begin({ ...principal, tenant: owner.tenant }, passage.arrived.auditId, atMs);
    passage.keep(tenantCall);
    const vetted = await vettedOf(passage, principal, tenantCall, why, parts);
    const reserved = passage.to(await reserve(vetted, parts));
    await parts.recorder.record(callEvent(reserved, 'intent', 'allow', { ledger: reserved.reserved }, parts));
    const ending = new Ender();
    const sent = passage.to(sentOf(nothingMore<Recorded>(reserved), ending));
    const request = { ...sent.request, lane: 'stream' as const };
    const memory = new MemoryCaller();
    const { outcome, changes } = await respondToTenant(sent.call, request, memory, tenantCall, parts, { ending });
    parts.recorder.append(callEvent(sent, 'complete', 'allow', { ...outcome, ledger: changes }, parts));
    return { status: outcome.status, message: memory.text() };
  } catch (thrown) {
    const { code, message, status } = asGatewayError(thrown);
    const at = thrown instanceof RefusedAt ? thrown.at : passage.reached;
    parts.recorder.append(callEvent(at, 'complete', 'error', { code, message, status }, parts));
    throw asGatewayError(thrown);
  } finally {
    passage.end();
  }
}

/** The value of such a call, as the steps before `reserve` would have left it. */
async function vettedOf(
  passage: Passage,
  principal: Principal,
  tenantCall: TenantCall,
  why: string,
  parts: GatewayParts,
): Promise<Vetted> {
  const { arrived } = passage;
  const { method, target: line } = arrived.arrival;
  const decision = { effect: 'allow', reasons: [], policyIds: [], rule: why, obligations: {} } as const;
  const known = { ...arrived, principal, engine: parts.engine, foreignToken: undefined, tenantCall, decision };
  passage.to(known);
  const target = classify(method, line, parts.apiVersions);
  const named: Named & Pick<Vetted, 'tenantCall' | 'decision'> = passage.to({ ...known, target, seen: undefined });
  const call = await tenantCall.resolve(toCall(target, undefined));
  return passage.to({
    ...named,
    policies: parts.policies().forPrincipal(principal),
    policyRevision: undefined,
    call,
    bodySha256: undefined,
    ownSocket: undefined,
    seenBy: undefined,
    annotations: undefined,
    warnings: [],
    responses: undefined,
    watch: undefined,
  });
}

const principalOf = ({ tenant, subject, tokenId }: InNameOf): Principal => ({
  subject,
  issuer: 'urn:dockgate:gateway',
  tenant,
  groups: [],
  policies: [],
  channel: 'local',
  claims: {},
  ...(tokenId === undefined ? {} : { tokenId }),
});

const arrivalOf = (method: string, target: string): Arrival => ({
  method,
  target,
  rawHeaders: [],
  channel: { kind: 'unix', name: 'gateway' },
  source: 'gateway',
  body: { present: false, readAll: () => Promise.resolve(EMPTY_BODY), stream: () => emptyStream() },
});

/** Most of an answer kept, in bytes: enough for an error. */
const MAX_KEPT = 4096;

class MemoryCaller implements CallerEnd {
  #kept = '';
  head(): void {}
  write(chunk: Uint8Array): boolean {
    if (this.#kept.length < MAX_KEPT) this.#kept += Buffer.from(chunk).toString('utf8');
    return true;
  }
  onDrain(): void {}
  end(): void {}
  abort(): void {}
  onGone(): void {}
  text(): string {
    return this.#kept.slice(0, MAX_KEPT);
  }
}

async function* emptyStream(): AsyncGenerator<Uint8Array> {}
