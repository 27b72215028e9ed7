// What the admin API offers, as an interface: every change names who asked, and is in the audit before it is acknowledged.
// The routes are in app.ts, the implementation over the stores in create-services.ts.
import type { AuditFilter, AuditRow } from '../audit/event.ts';
import type { AuditScope } from '../audit/filter.ts';
import type { PublicKeyRecord } from '../identity/signing-keys.ts';
import type { CredentialRecord, IdentityChanges, IdentityRecord, TokenRecord, TokenUse } from '../identity/stores.ts';
import type { StoredDocument } from '../policy/store.ts';
import type { Decision, DockerAuthorization } from '../policy/types.ts';
import type { IntegrityServices } from './audit-integrity.ts';
import type { AuditServices } from './audit-services.ts';
import type { CertificateServices } from './certificate-services.ts';
import type { DryRunBasis } from './dry-run.ts';
import type { IssuerServices } from './issuer-services.ts';
import type { LeaseServices } from './lease-services.ts';
import type { OwnershipServices } from './ownership-services.ts';
import type { SocketServices } from './socket-services.ts';
import type { TenantServices } from './tenant-services.ts';

/** Who calls the admin API. The gateway establishes it; the local socket's caller is the operator of the machine. */
export interface AdminCaller {
  readonly subject: string;
  /** Only operators get past the door. */
  readonly operator: boolean;
  /** How much of the audit it may read, where that is more or less than the calls of its identity. */
  readonly audit?: AuditScope | undefined;
  readonly issuer?: string | undefined;
  readonly tenant?: string | undefined;
  readonly tokenId?: string | undefined;
  /** Address without port, `unix:admin` for the local socket. */
  readonly source?: string | undefined;
  /** User-Agent, at most 256 characters. */
  readonly client?: string | undefined;
  /** Aborted when the credentials end; ends a tail. */
  readonly signal?: AbortSignal | undefined;
}

/** The caller on the data folder's unix socket: its file mode has already decided. */
export const LOCAL_OPERATOR: AdminCaller = Object.freeze({ subject: 'local', operator: true, source: 'unix:admin' });

/** A change carries the id it is audited under; the caller receives it. */
export interface ChangeContext {
  readonly by: AdminCaller;
  readonly auditId: string;
}

export interface NewIdentity {
  readonly name: string;
  readonly tenant?: string | undefined;
  readonly groups: readonly string[];
  readonly policies: readonly string[];
  readonly maxTtlMs?: number | undefined;
}

export interface NewToken {
  readonly identity: string;
  /** Default: an hour, or less where the identity allows less. */
  readonly ttlMs?: number | undefined;
  readonly scope?: readonly string[] | undefined;
  /** `x5t#S256` of the client certificate it is bound to. */
  readonly boundTo?: string | undefined;
  readonly authorizationDetails?: readonly DockerAuthorization[] | undefined;
  /** How long what is made with it may stay, in ms. */
  readonly leaseMs?: number | undefined;
}

/** A refresh credential on its way in; without `ttlMs` it lives 90 days. */
export type NewCredentialInput = Omit<NewToken, 'leaseMs' | 'boundTo'>;

/** A token and what became of it. */
export type TokenStatus = TokenRecord & {
  readonly use?: TokenUse;
  /** What it was made from was revoked, and it with that. */
  readonly parentRevoked?: boolean;
};

/** A backup that was written. */
export interface BackupDone {
  /** Folder on the gateway's machine. */
  readonly folder: string;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly files: readonly { readonly name: string; readonly size: number }[];
}

/** One loaded plugin, as `dockgate plugin list` shows it. */
export interface PluginInfo {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly actions: readonly string[];
  /** `mutate`, `validate`, `onResponse`, in this order. */
  readonly phases: readonly string[];
  /** Module as the settings name it. */
  readonly use?: string;
  /** How it is contained: `sandboxed`, `process`, or `trusted`, which is not contained. */
  readonly tier?: string;
  readonly sha256?: string;
  /** The permissions granted to it. */
  readonly needs?: readonly string[];
  readonly figures?: {
    readonly calls: number;
    readonly denials: number;
    readonly faults: number;
    readonly p50Us: number | undefined;
    readonly p99Us: number | undefined;
    readonly breaker: 'closed' | 'some' | 'open';
  };
}

/** A policy document on its way in: its text and where its kind and name were read from. */
export interface NewDocument {
  readonly kind: 'Policy' | 'Binding';
  readonly name: string;
  readonly source: string;
  /** Where the text stood, so that faults can be told by the caller's own lines. */
  readonly origin?: { readonly file: string; readonly line: number };
}

/** An Engine API request to be explained rather than sent. */
/** A policy that holds for an identity. */
export interface EffectivePolicy {
  readonly name: string;
  /** `the identity itself`, `binding NAME`, `its own subjects`. */
  readonly from: string;
  readonly builtIn: boolean;
  /** False for a name that stands for no policy: until that is mended, everything is denied. */
  readonly exists: boolean;
}

export interface ExplainInput {
  /** Identity to judge as. */
  readonly as: IdentityRecord;
  readonly request: {
    readonly method: string;
    readonly target: string;
    readonly body?: unknown;
  };
}

export interface Explanation {
  readonly decision: Decision;
  /** The decision path for people, several lines. */
  readonly text: string;
  /** The decision path as data: each rule, why it did not match, the nearest change that would allow. */
  readonly steps?: unknown;
}

export interface AdminServices
  extends CertificateServices,
    SocketServices,
    IssuerServices,
    TenantServices,
    OwnershipServices,
    AuditServices,
    LeaseServices {
  createIdentity(input: NewIdentity, context: ChangeContext): Promise<IdentityRecord>;
  listIdentities(): readonly IdentityRecord[];
  /** @throws {GatewayError} `not-found` */
  showIdentity(name: string): IdentityRecord;
  setIdentityDisabled(name: string, disabled: boolean, context: ChangeContext): Promise<IdentityRecord>;
  /** Limits the life of the identity's tokens; undefined takes the limit away. Tokens there are keep their end. */
  setMaxTtl(name: string, maxTtlMs: number | undefined, context: ChangeContext): Promise<IdentityRecord>;
  /** A field that is left out stays as it is; `null` takes the tenant away. */
  updateIdentity(name: string, changes: IdentityChanges, context: ChangeContext): Promise<IdentityRecord>;
  /** The policies that hold for an identity, and why. */
  effectivePolicies(name: string): readonly EffectivePolicy[];
  /** Policies in force that no identity, no binding and no issuer's rule is bound to. */
  unboundPolicies(): readonly string[];
  deleteIdentity(name: string, context: ChangeContext): Promise<void>;

  createToken(input: NewToken, context: ChangeContext): Promise<{ token: string; record: TokenRecord }>;
  /** Without `all`, tokens that ended more than a day ago are left out. */
  listTokens(filter: { identity?: string; all?: boolean }): Promise<readonly TokenStatus[]>;
  revokeToken(id: string, context: ChangeContext): Promise<TokenStatus>;
  /** Writes a backup of the data folder into a folder within it; no other change is made meanwhile. */
  backup(context: ChangeContext): Promise<BackupDone>;
  /** Revokes tokens and credentials of an identity that were issued before a moment (ms since the epoch). Default: all. */
  revokeIdentityTokens(
    input: { readonly identity: string; readonly before?: number | undefined },
    context: ChangeContext,
  ): Promise<{ tokens: number; credentials: number }>;

  createCredential(
    input: NewCredentialInput,
    context: ChangeContext,
  ): Promise<{ secret: string; record: CredentialRecord }>;
  listCredentials(filter: { identity?: string }): readonly CredentialRecord[];
  revokeCredential(id: string, context: ChangeContext): Promise<CredentialRecord>;

  listKeys(): readonly PublicKeyRecord[];
  rotateKey(context: ChangeContext): Promise<readonly PublicKeyRecord[]>;

  listPolicies(): { revision: number; documents: readonly (StoredDocument & { builtIn?: boolean })[] };
  /** @throws {GatewayError} `not-found` */
  showPolicy(name: string): StoredDocument & { builtIn?: boolean };
  policyHistory(name: string): readonly StoredDocument[];
  applyPolicies(
    documents: readonly NewDocument[],
    context: ChangeContext,
  ): Promise<{
    revision: number;
    documents: readonly { kind: string; name: string; change: 'created' | 'changed' | 'unchanged' }[];
  }>;
  deletePolicy(name: string, context: ChangeContext): Promise<{ revision: number }>;
  explain(as: string, request: ExplainInput['request']): Promise<Explanation>;
  /** What a dry run of a command as this identity is judged by. @throws {GatewayError} `not-found` */
  dryRun(as: string): Promise<DryRunBasis>;

  listPlugins(): readonly PluginInfo[];
  /** Of a log that signs itself. */
  readonly integrity: IntegrityServices | undefined;
  /** Resolves once calls that ended before are in the audit with their outcome. */
  settleAudit(): Promise<void>;
  listAudit(filter: AuditFilter, by: AdminCaller): Promise<readonly AuditRow[]>;
  showAudit(auditId: string, by: AdminCaller): Promise<readonly AuditRow[]>;
  /** Rows after `afterSeq`, oldest first; reads nothing into the audit. */
  auditAfter(filter: AuditFilter & { afterSeq: number }): Promise<readonly AuditRow[]>;
  /** Sequence number of the newest row, 0 when the log is empty. */
  auditEnd(): Promise<number>;

  status(): Promise<Readonly<Record<string, unknown>>>;
  /** Prometheus text format. */
  metrics(): Promise<string>;
  reload(context: ChangeContext): Promise<Readonly<Record<string, unknown>>>;

  /** Records a call that was turned away or failed before a service could. */
  recordRefusal(
    context: ChangeContext,
    refusal: {
      action: string;
      resource?: string;
      code: string;
      status: number;
      message: string;
      /** What operators may know of a token that was refused. */
      origin?: Readonly<Record<string, unknown>> | undefined;
    },
  ): Promise<void>;
  newAuditId(): string;
  now(): number;
}
