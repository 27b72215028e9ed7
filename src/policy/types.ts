// The words of the decision: the principal, the call, the decision and its reasons.
// Pure data. The document forms (Policy, Binding) live in policy.ts.

import type { EngineCall } from '../engine/types.ts';
import type { ErrorCode } from '../errors.ts';
import type { BuildGrant } from './build/index.ts';
import type { HostSite } from './host/site.ts';
import type { HostPreset } from './host/spec.ts';

/** One RFC 9396 authorization details object of ours. A field that is left out does not narrow. */
export interface DockerAuthorization {
  readonly type: 'docker';
  /** Action patterns, as in a rule. */
  readonly actions?: readonly string[];
  /** Resource patterns, as in a rule: every object a call touches must be covered. */
  readonly resources?: readonly string[];
  readonly host?: { readonly preset: HostPreset };
}

/** What credentials at most allow; a part left out narrows nothing. Of several details one must cover the whole call. */
export interface Ceiling {
  /** Action patterns (`container.list`, `container.*`, `class:read`). */
  readonly scope?: readonly string[];
  readonly authorizationDetails?: readonly DockerAuthorization[];
}

/** The authenticated caller as policy sees it (NIST SP 800-162). */
export interface Principal {
  readonly subject: string;
  readonly issuer: string;
  readonly tenant?: string;
  readonly groups: readonly string[];
  /** Names of policies bound to the identity itself. Bindings may add more. */
  readonly policies: readonly string[];
  /** `jti` of the token, undefined on an identity-bound socket. */
  readonly tokenId?: string;
  /** Serial of the client certificate that named the caller, lower-case hex. */
  readonly certificateSerial?: string;
  /** Token scopes: a ceiling of action patterns (`container.list`, `container.*`, `class:read`); undefined means none set. */
  readonly scope?: readonly string[];
  /** The token's own authorization details: a further ceiling. */
  readonly authorizationDetails?: readonly DockerAuthorization[];
  /** Who acts for the subject with a token made for that (RFC 8693 `act`); left out when it is the subject itself. */
  readonly actor?: string;
  /** Credentials the token was made from, the nearest first: each one's ceiling holds as well, and the end of one ends it. */
  readonly ancestors?: readonly { readonly id: string; readonly ceiling: Ceiling }[];
  /** How long what is made with these credentials may stay, in ms. */
  readonly leaseMs?: number;
  /** Milliseconds since the epoch after which the credentials end; undefined on a bound socket. */
  readonly expiresAt?: number;
  readonly channel: 'bearer' | 'basic' | 'certificate' | 'socket' | 'local';
  readonly claims: Readonly<Record<string, unknown>>;
  /** Set when the token was another issuer's: who vouched for the caller, and why that is this principal. */
  readonly origin?: PrincipalOrigin;
}

/** Where a mapped principal comes from: for the audit, never for a decision. */
export interface PrincipalOrigin {
  /** Name of the issuer in the settings. */
  readonly issuer: string;
  /** `iss` and `sub` of the token. */
  readonly iss: string;
  readonly subject?: string;
  /** The rule of the mapping that matched. */
  readonly rule: string;
  /** The claims the mapping looked at. */
  readonly claims: Readonly<Record<string, unknown>>;
}

export interface DecisionInput {
  readonly principal: Principal;
  readonly call: EngineCall;
  /** Address of the caller, without port; `unix` for unix sockets. */
  readonly source: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Files and networks of this installation; without it none are known. */
  readonly site?: HostSite | undefined;
}

export interface Reason {
  readonly code: ErrorCode;
  readonly policy?: string;
  readonly rule?: string;
  /** Field of the request that decided, `HostConfig.Privileged`. */
  readonly field?: string;
  /** One sentence without final period: field, value, what would be allowed. */
  readonly message: string;
  /** The message without the words that name the policy, where several are told in one sentence. */
  readonly bare?: string;
}

/** How much of a call the audit keeps: who, what and the outcome; also what was asked; also what was answered. */
export const AUDIT_LEVELS = ['metadata', 'request', 'request-response'] as const;
export type AuditLevel = (typeof AUDIT_LEVELS)[number];

/** The parts of a session a transcript keeps: its output; or also its input. */
export const RECORD_LEVELS = ['output', 'all'] as const;
export type RecordLevel = (typeof RECORD_LEVELS)[number];

/** What the gateway must also do when it lets the call pass. */
export interface Obligations {
  /** The fullest that a rule that matches asks for; left out, reads are kept as `metadata` and the rest as `request`. */
  readonly audit?: AuditLevel;
  /** A session is recorded: the fullest that a rule that matches asks for. */
  readonly record?: RecordLevel;
  readonly labels?: Readonly<Record<string, string>>;
  /** Parts to take out of the answer, as `answerRedactor` knows them: those of every rule that matches. */
  readonly redact?: readonly string[];
  /** How long what is made may stay, in ms: the shortest of every rule that matches. */
  readonly leaseMs?: number;
  /** A container that names no cgroup name space gets one of its own: engines on cgroup v1 would give it the host's. */
  readonly ownCgroups?: true;
  /** What a BuildKit build may have while it runs: of every rule that matches. */
  readonly build?: BuildGrant;
}

export interface Decision {
  readonly effect: 'allow' | 'deny';
  /** First reason is the one to show. An allow names its rule. */
  readonly reasons: readonly Reason[];
  readonly policyIds: readonly string[];
  /** `policy/rule` that decided. */
  readonly rule?: string;
  /** A door of BuildKit that passes unread, by build.opaque. */
  readonly isUnread?: boolean;
  readonly obligations: Obligations;
}
