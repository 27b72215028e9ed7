// What is known of a call after each step. A step takes the value of the one before and returns a larger one, frozen: the types say
// which step learns what, and the audit's rows are made from the furthest value (call-event.ts).
import type { PluginChain, PluginChange } from '../../admission/chain.ts';
import type { AdmissionContext } from '../../admission/request.ts';
import type { ResponseJudge } from '../../admission/responses.ts';
import type { StreamWatch } from '../../admission/streams.ts';
import type { Recording } from '../../audit/transcript/transcript.ts';
import type { EngineCall, Target } from '../../engine/types.ts';
import type { ForeignToken } from '../../identity/foreign-token.ts';
import type { LedgerEntry } from '../../ledger/entry.ts';
import type { PrincipalPolicies } from '../../policy/compile.ts';
import type { Decision, Principal } from '../../policy/types.ts';
import type { EngineClient } from '../../proxy/engine-client.ts';
import type { EngineRequest } from '../../proxy/types.ts';
import { type Arrival, headerValue } from '../arrival.ts';
import type { BuildJudge } from '../builds/judged-build.ts';
import type { SocketOffer } from '../own-sockets.ts';
import type { GatewayParts } from '../parts.ts';
import type { SeenCall } from '../seen-calls.ts';
import type { TenantCall } from '../tenancy/tenant-call.ts';
import type { UploadDigests } from '../upload-digests.ts';

/** A request, and the id it is recorded under. */
export interface Arrived {
  readonly auditId: string;
  readonly arrival: Arrival;
  /** User-Agent, as far as it is kept. */
  readonly client: string | undefined;
  /** Microseconds since the epoch at which it arrived. */
  readonly startedAtUs: number;
  /** The same on the clock of `performance.now()`, in ms. */
  readonly startedMs: number;
}

/** authenticate: whose call it is. */
export interface Known extends Arrived {
  readonly principal: Principal;
  /** The engine within the identity's share. */
  readonly engine: EngineClient;
  /** A token beside the channel's own identity that was not for this gateway: it goes no further. */
  readonly foreignToken: ForeignToken | undefined;
}

/** classify: what it asks for, by its request line. */
export interface Named extends Known {
  readonly target: Target;
  /** The request line; undefined for a call of the gateway's own. */
  readonly seen: SeenCall | undefined;
}

/** admit: there is a rule for the action. */
export interface Admitted extends Named {
  readonly policies: PrincipalPolicies;
  readonly policyRevision: string | undefined;
}

/** readBody: the call as the engine would read it. */
export interface Read extends Admitted {
  readonly call: EngineCall;
  /** SHA-256 of the body as it was received, in hex; undefined for none and for one that streams through. */
  readonly bodySha256: string | undefined;
}

/** mutate: as plugins changed it. */
export interface Changed extends Read {
  /** The socket a container may get in the place of the engine's. */
  readonly ownSocket: SocketOffer | undefined;
  readonly seenBy: SeenBy | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

/** The plugins that see a call. */
export interface SeenBy {
  readonly plugins: PluginChain;
  readonly admission: AdmissionContext;
  readonly changes: readonly PluginChange[];
}

/** resolve: names stand for the objects they mean, a tenant's for its own. */
export interface Meant extends Changed {
  readonly tenantCall: TenantCall | undefined;
}

/** decide: policy allows it, with what its rules oblige the gateway to add. */
export interface Decided extends Meant {
  readonly decision: Decision;
}

/** validate: no plugin denies it. */
export interface Vetted extends Decided {
  readonly warnings: readonly string[] | undefined;
  /** What shows plugins the answer, and what watches the stream; undefined where no plugin wants to. */
  readonly responses: ResponseJudge | undefined;
  readonly watch: StreamWatch | undefined;
}

/** reserve: the ledger has the names and shares it takes. This call is sent. */
export interface Reserved extends Vetted {
  /** Changes of the ledger, to be written with the intent. */
  readonly reserved: readonly LedgerEntry[] | undefined;
  /** The body as the engine will be sent it, where it is JSON. */
  readonly rendered: Uint8Array | undefined;
  /** What judges the context of a classic build on its way; undefined where nothing limits what it may take from. */
  readonly build: Omit<BuildJudge, 'ending'> | undefined;
}

/** record: its intent is kept. */
export interface Recorded extends Reserved {
  /** The session's transcript, where a rule has it recorded. */
  readonly recording: Recording | undefined;
}

/** send: the engine's request. */
export interface Sent extends Recorded {
  readonly request: EngineRequest;
  /** Digests of a body that streams through, where its level of the audit asks for them. */
  readonly uploads: UploadDigests | undefined;
}

/** A call as far as its steps came. */
export type Reached = Arrived & { readonly [K in Exclude<keyof Sent, keyof Arrived>]?: Sent[K] | undefined };

/** A value with what a later one must have: all that may not be undefined. */
type Enough<Later> = { readonly [K in keyof Later as undefined extends Later[K] ? never : K]: Later[K] };

/** The value of a step that learned nothing: what it would have told reads as undefined. Copying costs more than most steps. */
export const nothingMore = <Later extends Arrived>(value: Enough<Later>): Later => value as Later;

/** Longest User-Agent kept, in characters. */
const MAX_CLIENT = 256;

/** The first value of a call. */
export const arrivedOf = (arrival: Arrival, parts: Pick<GatewayParts, 'newAuditId' | 'now'>): Arrived =>
  Object.freeze({
    auditId: parts.newAuditId(),
    arrival,
    client: headerValue(arrival.rawHeaders, 'user-agent')?.slice(0, MAX_CLIENT),
    startedAtUs: parts.now() * 1000,
    startedMs: performance.now(),
  });

/** Milliseconds since the epoch at which the call arrived. */
export const atMsOf = ({ startedAtUs }: Arrived): number => startedAtUs / 1000;

/** Microseconds since the call arrived. */
export const sinceUs = ({ startedMs }: Arrived): number => Math.round((performance.now() - startedMs) * 1000);
