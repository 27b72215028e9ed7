// What the gateway is joined from. main builds these once; tests and embedders may bring their own.
import type { PluginChain } from '../admission/chain.ts';
import type { AuditEvent, Recorder } from '../audit/event.ts';
import type { Masking } from '../audit/masking.ts';
import type { Transcripts } from '../audit/transcript/transcript.ts';
import type { GatewayError } from '../errors.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import type { Logger } from '../log.ts';
import type { PolicySet, PrincipalPolicies } from '../policy/compile.ts';
import type { HostSite } from '../policy/host/index.ts';
import type { DecisionInput, Principal } from '../policy/types.ts';
import type { EngineClient } from '../proxy/engine-client.ts';
import type { EngineDefaults } from '../proxy/engine-defaults.ts';
import type { Lane } from '../proxy/lanes.ts';
import type { BuildKitState } from './buildkit/state.ts';
import type { LargeBodies } from './large-bodies.ts';
import type { LiveCalls } from './live-calls.ts';
import type { OwnSockets } from './own-sockets.ts';
import type { SeenCalls } from './seen-calls.ts';
import type { Strangers } from './strangers.ts';
import type { Tenancy } from './tenancy/tenancy.ts';

export interface GatewayLimits {
  /** Largest JSON body, in bytes. */
  readonly bodyBytes: number;
  /** Labels and driver options of one object together, in bytes. */
  readonly labelBytes: number;
  /** Longest time for a JSON body to arrive, in ms. */
  readonly bodyTimeoutMs: number;
}

/** What the gateway tells the metrics. Each call is cheap and never throws. */
export interface GatewayMeter {
  started(): void;
  finished(call: { action: string; decision: AuditEvent['decision']; status: number; durationUs: number }): void;
  streamOpened(): void;
  streamClosed(): void;
}

export interface GatewayParts {
  readonly authenticator: Authenticator;
  /** Calls under way; `live.review()` ends those whose credentials have ended. */
  readonly live: LiveCalls;
  /** The policy set in force; replaced as a whole on change. */
  policies(): PolicySet;
  /** The plugin chain in force; replaced as a whole on reload. */
  plugins(): PluginChain;
  readonly recorder: Recorder;
  /** A call was refused because its row could not be written. */
  onUnwritable(error: GatewayError): void;
  /** How refusals of unknown callers are recorded. */
  readonly strangers: Strangers;
  readonly engine: EngineClient;
  /** What the engine fills in for a container by itself. */
  readonly engineDefaults: EngineDefaults;
  /** Calls under way, by identity. */
  readonly inFlight: Lane;
  /** Large bodies are read one at a time. */
  readonly largeBodies: LargeBodies;
  /** Serves principals that have a tenant. */
  readonly tenancy: Tenancy;
  /** What mediated connections to BuildKit share. */
  readonly buildkit: BuildKitState;
  limits(): GatewayLimits;
  /** Addresses the gateway listens on, `https://127.0.0.1:2376`: no build has the engine fetch from them. Default: none. */
  listeners?(): readonly string[];
  /** Files of the gateway and networks of its host, as they are now, for a call of this action. Default: none are known. */
  site?(action: string, principal: Principal, source: string): HostSite | undefined;
  /** Keeps the sockets that containers get in the place of the engine's. Default: none are made. */
  readonly ownSockets?: OwnSockets;
  /** Told of each decision, of a dry run: what was judged, and by what. */
  onDecided?(auditId: string, policies: PrincipalPolicies, input: DecisionInput): void;
  /** Served API versions as minor numbers: `1.40` is 40. */
  readonly apiVersions: { readonly minMinor: number; readonly maxMinor: number };
  /** Reads request lines, of those API versions. */
  readonly seen: SeenCalls;
  /** Where sessions are recorded that a rule has recorded; left out, such sessions are refused. */
  readonly transcripts?: Transcripts;
  /** Removes secrets from what the audit keeps. */
  readonly masking: Masking;
  /** Milliseconds since the epoch. */
  now(): number;
  /** UUIDv7. */
  newAuditId(): string;
  readonly log: Logger;
  readonly meter: GatewayMeter;
}
