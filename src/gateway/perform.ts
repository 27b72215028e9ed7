// Calls the gateway makes by itself in an owner's name: along the same path as the owner's own, with the ledger, the audit's intent
// and outcome, and a request rebuilt from the judged value. No policy is asked: what is done was decided when the lease was given.
import { toCall } from '../engine/call.ts';
import { classify } from '../engine/classify.ts';
import { renderTarget } from '../engine/render-target.ts';
import { Ender } from '../proxy/ending.ts';
import type { CallerEnd } from '../proxy/types.ts';
import { EMPTY_BODY } from './arrival.ts';
import type { GatewayParts } from './parts.ts';
import { asGatewayError } from './refusal.ts';
import { respondToTenant } from './tenancy/respond.ts';
import { Trace } from './trace.ts';

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
  const trace = new Trace(
    {
      method,
      target,
      rawHeaders: [],
      channel: { kind: 'unix', name: 'gateway' },
      source: 'gateway',
      body: { present: false, readAll: () => Promise.resolve(EMPTY_BODY), stream: () => emptyStream() },
    },
    parts,
  );
  const principal = {
    subject: owner.subject,
    issuer: 'urn:dockgate:gateway',
    tenant: owner.tenant,
    groups: [],
    policies: [],
    channel: 'local',
    claims: {},
    ...(owner.tokenId === undefined ? {} : { tokenId: owner.tokenId }),
  } as const;
  trace.principal = principal;
  trace.decision = { effect: 'allow', reasons: [], policyIds: [], rule: why, obligations: {} };
  const tenantCall = await parts.tenancy.begin(principal, trace.auditId, trace.atMs);
  try {
    trace.target = classify(method, target, parts.apiVersions);
    const call = await tenantCall.reserve(await tenantCall.resolve(toCall(trace.target, undefined)));
    trace.call = call;
    trace.ledger = tenantCall.reserved;
    await parts.recorder.record(trace.event('intent', 'allow'));
    const memory = new MemoryCaller();
    const request = { method, target: renderTarget(call), headers: [], body: undefined, lane: 'stream' as const };
    const { outcome, changes } = await respondToTenant(call, request, memory, tenantCall, parts, {
      ending: new Ender(),
    });
    trace.ledger = changes;
    parts.recorder.append(trace.event('complete', 'allow', outcome));
    return { status: outcome.status, message: memory.text() };
  } catch (thrown) {
    const error = asGatewayError(thrown);
    parts.recorder.append(
      trace.event('complete', 'error', { code: error.code, message: error.message, status: error.status }),
    );
    throw error;
  } finally {
    tenantCall.release();
  }
}

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
