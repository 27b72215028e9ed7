// What is known of one call while it goes through the steps. The audit events made from it are in call-event.ts.
import { hash } from 'node:crypto';
import type { PluginChain, PluginChange } from '../admission/chain.ts';
import type { ResponseJudge } from '../admission/responses.ts';
import type { StreamWatch } from '../admission/streams.ts';
import type { AuditDecision, AuditEvent, AuditStage } from '../audit/event.ts';
import type { Recording } from '../audit/transcript/transcript.ts';
import { renderBody } from '../engine/render-body.ts';
import type { EngineCall, Target } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import type { ForeignToken } from '../identity/foreign-token.ts';
import type { LedgerEntry } from '../ledger/entry.ts';
import type { Decision, Principal } from '../policy/types.ts';
import type { EngineClient } from '../proxy/engine-client.ts';
import type { Lane, Place } from '../proxy/lanes.ts';
import { type Arrival, headerValue } from './arrival.ts';
import { callEvent, type EventOutcome } from './call-event.ts';
import type { SocketOffer } from './own-sockets.ts';
import type { GatewayParts } from './parts.ts';
import type { SeenCall } from './seen-calls.ts';
import type { TenantCall } from './tenancy/tenant-call.ts';
import type { Told } from './told.ts';
import type { UploadDigests } from './upload-digests.ts';

/** Longest User-Agent kept, in characters. */
const MAX_CLIENT = 256;

export class Trace {
  readonly auditId: string;
  readonly arrival: Arrival;
  readonly #parts: GatewayParts;
  readonly #startedAt: number;
  readonly #startedMs: number;
  #client: string | undefined;
  #isClientRead = false;
  #place: Place | undefined;
  principal: Principal | undefined;
  /** The engine as the caller reaches it: within its identity's share once that is known. */
  engine: EngineClient;
  target: Target | undefined;
  /** The request line, when it could be read. */
  seen: SeenCall | undefined;
  call: EngineCall | undefined;
  decision: Decision | undefined;
  policyRevision: string | undefined;
  /** Load of the plugins that saw the call; undefined for a call that none of them matches. */
  pluginGeneration: number | undefined;
  changes: readonly PluginChange[] = [];
  annotations: Readonly<Record<string, string>> = {};
  warnings: readonly string[] = [];
  /** What shows plugins the answer, and what watches the stream; undefined where no plugin wants to. */
  responses: ResponseJudge | undefined;
  watch: StreamWatch | undefined;
  /** The session's transcript, where a rule has it recorded. */
  recording: Recording | undefined;
  /** The plugins that see the call; undefined where none does. */
  plugins: PluginChain | undefined;
  #leavePlugins: (() => void) | undefined;
  /** A token beside the channel's own identity that was not for this gateway: it went no further. */
  foreignToken: ForeignToken | undefined;
  /** The socket a container may get in the place of the engine's. */
  ownSocket: SocketOffer | undefined;
  /** Set for principals that have a tenant. */
  tenantCall: TenantCall | undefined;
  /** Changes of the ledger that go with the next event. */
  ledger: readonly LedgerEntry[] | undefined;
  /** The engine's answer, where the audit needs something of it. */
  told: Told | undefined;
  /** SHA-256 of the body as it was received, in hex; undefined for none and for one that streams through. */
  bodySha256: string | undefined;
  /** Digests of a body that streams through, where its level of the audit asks for them. */
  uploads: UploadDigests | undefined;
  #rendered: { readonly of: EngineCall; readonly body: Uint8Array | undefined } | undefined;

  constructor(arrival: Arrival, parts: GatewayParts) {
    this.arrival = arrival;
    this.#parts = parts;
    this.engine = parts.engine;
    this.auditId = parts.newAuditId();
    this.#startedAt = parts.now() * 1000;
    this.#startedMs = performance.now();
  }

  /** Counts the call for its identity. @throws {GatewayError} `too-many-calls` */
  begin(holder: string, inFlight: Lane): void {
    const place = inFlight.tryTake(holder);
    if (place === undefined)
      throw new GatewayError('too-many-calls', `too many calls at once: ${inFlight.why(holder)}`, { retryAfterS: 1 });
    this.#place = place;
  }

  /** From here on the call is seen by plugins of this load, which stay until it is over, also when others are loaded. */
  enterPlugins(plugins: PluginChain): void {
    this.plugins = plugins;
    this.pluginGeneration = plugins.generation;
    this.#leavePlugins = plugins.enter();
  }

  /** No plugin sees more of the call. */
  leavePlugins(): void {
    this.#leavePlugins?.();
    this.#leavePlugins = undefined;
  }

  /** The call is over. */
  end(): void {
    void this.recording?.end().catch(() => undefined);
    if (this.watch === undefined) this.leavePlugins();
    else void this.watch.end().then(() => this.leavePlugins());
    this.tenantCall?.release();
    if (this.ownSocket?.path !== undefined)
      this.ownSocket.end(this.told?.isRefusal === true ? 'refused' : this.told?.facts().madeId);
    this.#place?.release();
  }

  durationUs(): number {
    return Math.round((performance.now() - this.#startedMs) * 1000);
  }

  /** Milliseconds since the epoch at which the call arrived. */
  get atMs(): number {
    return this.#startedAt / 1000;
  }

  /** Microseconds since the epoch at which the call arrived. */
  get startedAtUs(): number {
    return this.#startedAt;
  }

  /** The body the engine will be sent, rendered once. */
  rendered(call: EngineCall): Uint8Array | undefined {
    if (this.#rendered?.of !== call) this.#rendered = { of: call, body: renderBody(call) };
    return this.#rendered.body;
  }

  /** SHA-256 of that body, in hex. */
  sentSha256(): string | undefined {
    const { call } = this;
    const body = call === undefined || call.body === undefined || call.opaque ? undefined : this.rendered(call);
    return body === undefined ? undefined : sha256Hex(body);
  }

  /** The audit event for a stage. `decision` is what was decided, not how the engine answered. */
  event(stage: AuditStage, decision: AuditDecision, outcome: EventOutcome = {}): AuditEvent {
    const event = callEvent(this, stage, decision, outcome, this.#parts);
    this.ledger = undefined;
    return event;
  }

  /** User-Agent, as far as it is kept. */
  clientName(): string | undefined {
    if (!this.#isClientRead) {
      this.#isClientRead = true;
      this.#client = headerValue(this.arrival.rawHeaders, 'user-agent')?.slice(0, MAX_CLIENT);
    }
    return this.#client;
  }
}

export const sha256Hex = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex');
