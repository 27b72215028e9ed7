// What is known of one call while it goes through the steps, and the audit events made from it.
// Redaction happens here, once, before anything is handed to the recorder.
import type { PluginChain, PluginChange } from '../admission/chain.ts';
import { maskedChange } from '../admission/request.ts';
import type { ResponseJudge } from '../admission/responses.ts';
import type { StreamWatch } from '../admission/streams.ts';
import type { AuditDecision, AuditEvent, AuditResource, AuditStage } from '../audit/event.ts';
import type { EngineCall, ResourceRef, Target } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import type { ForeignToken } from '../identity/foreign-token.ts';
import type { LedgerEntry } from '../ledger/entry.ts';
import { BUILD_OPAQUE } from '../policy/actions.ts';
import { isBuildKitBuild } from '../policy/buildkit.ts';
import type { Decision, Principal } from '../policy/types.ts';
import type { EngineClient } from '../proxy/engine-client.ts';
import type { Lane, Place } from '../proxy/lanes.ts';
import { type Arrival, headerValue } from './arrival.ts';
import type { GatewayParts } from './parts.ts';
import type { SeenCall } from './seen-calls.ts';
import type { TenantCall } from './tenancy/tenant-call.ts';

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
  /** The plugins that see the call; undefined where none does. */
  plugins: PluginChain | undefined;
  #leavePlugins: (() => void) | undefined;
  /** A token beside the channel's own identity that was not for this gateway: it went no further. */
  foreignToken: ForeignToken | undefined;
  /** Set for principals that have a tenant. */
  tenantCall: TenantCall | undefined;
  /** Changes of the ledger that go with the next event. */
  ledger: readonly LedgerEntry[] | undefined;

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
    if (this.watch === undefined) this.leavePlugins();
    else void this.watch.end().then(() => this.leavePlugins());
    this.tenantCall?.release();
    this.#place?.release();
  }

  durationUs(): number {
    return Math.round((performance.now() - this.#startedMs) * 1000);
  }

  /** Milliseconds since the epoch at which the call arrived. */
  get atMs(): number {
    return this.#startedAt / 1000;
  }

  /** The audit event for a stage. `decision` is what was decided, not how the engine answered. */
  event(
    stage: AuditStage,
    decision: AuditDecision,
    outcome: {
      code?: string | undefined;
      message?: string | undefined;
      field?: string | undefined;
      origin?: Readonly<Record<string, unknown>> | undefined;
      build?: Readonly<Record<string, unknown>>;
      status?: number;
      bytesIn?: number;
      bytesOut?: number;
      end?: string;
    } = {},
  ): AuditEvent {
    const { principal, target, call, arrival } = this;
    const main = call?.resources[0];
    const { ledger } = this;
    this.ledger = undefined;
    const durationUs = stage === 'intent' ? undefined : this.durationUs();
    // The request is kept once: with the intent of a call that was allowed, or with the one row of a refused one.
    const isFirstRow = stage === 'intent' || (stage === 'complete' && decision !== 'allow');
    return {
      at: this.#startedAt + (durationUs ?? 0),
      stage,
      auditId: this.auditId,
      subject: principal?.subject,
      issuer: principal?.issuer,
      tenant: principal?.tenant,
      tokenId: principal?.tokenId,
      source: arrival.source,
      client: this.#clientName(),
      action: target?.action ?? 'unknown',
      operationId: target?.operation.id,
      class: target?.operation.class,
      apiVersion: target?.apiVersion,
      resource: main === undefined ? undefined : main.name === '' ? main.kind : `${main.kind}/${shownName(main)}`,
      resourceId: main?.id ?? ledger?.[0]?.id,
      decision,
      code: outcome.code,
      rule: this.decision?.rule,
      policyRev: this.policyRevision,
      status: outcome.status,
      durationUs,
      bytesIn: outcome.bytesIn,
      bytesOut: outcome.bytesOut,
      detail: this.#detail(decision, outcome, isFirstRow),
      resources: isFirstRow ? otherResources(call) : undefined,
      ledger,
    };
  }

  #clientName(): string | undefined {
    if (!this.#isClientRead) {
      this.#isClientRead = true;
      this.#client = headerValue(this.arrival.rawHeaders, 'user-agent')?.slice(0, MAX_CLIENT);
    }
    return this.#client;
  }

  /** A message quotes names as the caller sent them. */
  #withoutUserInfo(message: string): string {
    let shown = message;
    for (const reference of this.call?.resources ?? []) {
      const name = shownName(reference);
      if (name !== reference.name) shown = shown.replaceAll(reference.name, name);
    }
    return shown;
  }

  #detail(
    decision: AuditDecision,
    outcome: {
      message?: string | undefined;
      field?: string | undefined;
      origin?: Readonly<Record<string, unknown>> | undefined;
      build?: Readonly<Record<string, unknown>>;
      end?: string;
    },
    isFirstRow: boolean,
  ): Readonly<Record<string, unknown>> | undefined {
    const detail: Record<string, unknown> = {};
    if (outcome.message !== undefined) detail.message = this.#withoutUserInfo(outcome.message);
    if (outcome.field !== undefined) detail.field = outcome.field;
    if (outcome.build !== undefined) detail.build = outcome.build;
    if (outcome.end !== undefined && outcome.end !== 'complete') detail.end = outcome.end;
    const { call, target } = this;
    if (this.responses !== undefined || this.watch !== undefined) {
      // Places and not values: what was taken out is in no log either.
      const taken = this.responses?.changes ?? [];
      if (taken.length > 0) detail.answerChanges = taken;
      const told = { ...this.responses?.annotations, ...this.watch?.annotations };
      if (Object.keys(told).length > 0) detail.annotations = told;
    }
    if (isFirstRow) {
      // Whose word it is that the caller is this principal; of a refused one what its issuer said, for operators alone.
      const origin = this.principal?.origin ?? outcome.origin;
      if (origin !== undefined) detail.origin = origin;
      const actor = this.principal?.actor;
      if (actor !== undefined) detail.actor = actor;
      if (call !== undefined && (call.operation.class !== 'read' || decision !== 'allow')) {
        const kept = this.#parts.redact(call);
        if (kept.body !== undefined) detail.body = kept.body;
        if (Object.keys(kept.query).length > 0) detail.query = kept.query;
      }
      const leftOut = call?.leftOut ?? target?.leftOut;
      if (leftOut !== undefined) detail.leftOut = leftOut.map(({ at }) => at);
      if (target === undefined) {
        detail.method = this.arrival.method.slice(0, 32);
        // The path is kept as asked, without the query: that may hold secrets and nothing has read it.
        detail.path = (this.arrival.target.split('?', 1)[0] ?? '').slice(0, 512);
      }
      // What follows was let through unread: whoever reviews the log must see that it cannot tell what was built.
      const isUnread = this.decision?.isUnread === true || (call !== undefined && isBuildKitBuild(call));
      if (isUnread && decision === 'allow') detail.unread = BUILD_OPAQUE;
      if (this.arrival.channel.identity !== undefined) detail.listener = this.arrival.channel.name;
      if (this.foreignToken !== undefined) detail.ignoredToken = this.foreignToken;
      if (this.principal?.certificateSerial !== undefined) detail.certificate = this.principal.certificateSerial;
      if (this.pluginGeneration !== undefined) detail.pluginGeneration = this.pluginGeneration;
      if (this.changes.length > 0)
        detail.changes = this.changes.map((one) => ({ ...one, changes: one.changes.map(maskedChange) }));
      if (Object.keys(this.annotations).length > 0)
        detail.annotations = { ...this.annotations, ...(detail.annotations as object | undefined) };
      if (this.warnings.length > 0) detail.warnings = this.warnings;
    }
    return Object.keys(detail).length === 0 ? undefined : detail;
  }
}

/** Kinds whose names are addresses of registries, where a user and a password may stand in front of the host. */
const ADDRESSED = new Set(['system', 'image', 'distribution', 'plugin']);

/** A name as the audit keeps it: without user and password. The @ of a digest is none of theirs. */
const shownName = ({ kind, name }: Pick<ResourceRef, 'kind' | 'name'>): string =>
  ADDRESSED.has(kind) && name.includes('@')
    ? name.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@(?!sha\d+:)/i, '$1***@')
    : name;

/** The objects of a call beside the main one, each once. */
function otherResources(call: EngineCall | undefined): AuditResource[] | undefined {
  if (call === undefined || call.resources.length < 2) return undefined;
  const seen = new Set<string>();
  const others: AuditResource[] = [];
  for (const ref of call.resources.slice(1)) {
    const { kind, id, at } = ref;
    const key = `${kind}/${ref.name}`;
    if (ref.name === '' || seen.has(key)) continue;
    seen.add(key);
    others.push({ kind, name: shownName(ref), id, at });
  }
  return others.length === 0 ? undefined : others;
}

/** Decision word of a refusal: who is not known, what is not allowed, what could not be done. */
export function decisionOf(error: GatewayError): AuditDecision {
  if (error.status === 401) return 'unauthenticated';
  if (error.status >= 500 || error.code === 'request-malformed' || error.code === 'request-timeout') return 'error';
  return 'deny';
}

/** Anything thrown as a GatewayError; what is not one is our own fault and says nothing about itself to the caller. */
export const asGatewayError = (error: unknown): GatewayError =>
  error instanceof GatewayError
    ? error
    : new GatewayError('internal', 'the gateway failed while judging the call', { cause: error });
