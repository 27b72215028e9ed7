// The admin services over the stores: check, record in the audit, change, acknowledge - in this order.
// A change whose audit row cannot be written does not happen.

import { hash } from 'node:crypto';
import type { AuditReader, Recorder } from '../audit/event.ts';
import type { AuditExporter } from '../audit/export.ts';
import type { AuditReports } from '../audit/reports.ts';
import type { TranscriptReader } from '../audit/transcript/transcript.ts';
import { nearest } from '../config/nearest.ts';
import { GatewayError } from '../errors.ts';
import { MAX_OPERATOR_TTL_MS, MAX_TTL_MS } from '../identity/issue-token.ts';
import type { RefreshCredentials } from '../identity/refresh-credentials.ts';
import type { Revocations } from '../identity/revocation.ts';
import type { PublicKeyRecord } from '../identity/signing-keys.ts';
import type { CredentialStore, IdentityRecord, IdentityStore, TokenRecord, TokenStore } from '../identity/stores.ts';
import { parseDocuments } from '../policy/policy.ts';
import type { PolicyStore, StoredDocument } from '../policy/store.ts';
import type { DockerAuthorization } from '../policy/types.ts';
import type { IntegrityServices } from './audit-integrity.ts';
import { createAuditServices } from './audit-services.ts';
import { type CertificateParts, createCertificateServices } from './certificate-services.ts';
import { createChanges } from './change.ts';
import type { DryRunBasis } from './dry-run.ts';
import { createIssuerServices, type IssuerParts } from './issuer-services.ts';
import { createLeaseServices, type LeaseParts } from './lease-services.ts';
import { createOwnershipServices, type OwnershipLedger } from './ownership-services.ts';
import { InputError } from './problems.ts';
import type {
  AdminServices,
  BackupDone,
  EffectivePolicy,
  ExplainInput,
  Explanation,
  NewDocument,
  PluginInfo,
} from './services.ts';
import { createSocketServices, type SocketParts } from './socket-services.ts';
import { createTenantServices, type TenantParts } from './tenant-services.ts';
import { createTokenServices } from './token-services.ts';
import type { TokenUseCounter } from './token-use.ts';

/** What the services are joined from. */
export interface AdminParts {
  /** Questions to the audit beside lists; left out, none are answered. */
  readonly reports?: AuditReports;
  /** Left out, nothing of the audit is exported. */
  readonly exporter?: AuditExporter;
  readonly transcripts?: TranscriptReader;
  /** Signs the audit as it is now. */
  sign?(): Promise<unknown>;
  /** Takes work that is to be done before the recorder closes. */
  atStop?(work: () => void): void;
  readonly identities: IdentityStore;
  readonly tokens: TokenStore;
  /** Signs a token and stores its record in `tokens`. */
  readonly issuer: {
    issue(request: {
      identity: IdentityRecord;
      ttlMs?: number;
      scope?: readonly string[];
      boundTo?: string;
      authorizationDetails?: readonly DockerAuthorization[];
      leaseMs?: number;
      issuedBy: string;
    }): Promise<{ token: string; record: TokenRecord }> | { token: string; record: TokenRecord };
  };
  /** Makes a revocation effective in this process at once. */
  /** Client certificates; left out, none are issued. */
  readonly certificates?: CertificateParts;
  readonly tenants?: TenantParts;
  readonly leases?: LeaseParts;
  /** Sockets made while running; left out, none are made. */
  readonly sockets?: SocketParts;
  /** Who owns what; left out, nothing is known of it. */
  readonly ledger?: OwnershipLedger;
  readonly revocations: Pick<Revocations, 'revoke' | 'revokeIssuedBefore' | 'isRevoked'>;
  readonly credentials?: CredentialStore;
  readonly refreshCredentials?: RefreshCredentials;
  readonly tokenUse?: TokenUseCounter;
  readonly signingKeys?: { list(): readonly PublicKeyRecord[]; rotate(): Promise<string> };
  readonly policies: PolicyStore;
  /**
   * Judges a whole set as it would be in force.
   * @param fresh names of documents that are to come into force: their tests must pass
   * @throws {GatewayError} `input-invalid` when any document is at fault
   */
  compile(documents: readonly NewDocument[], fresh?: ReadonlySet<string>): unknown;
  /** Policies the program brings along; their names cannot be taken. */
  builtIn?(): readonly NewDocument[];
  /** The policies that hold for an identity, and what binds each. */
  effectivePolicies?(identity: IdentityRecord): readonly EffectivePolicy[];
  /** Names of policies that rules of external issuers give. */
  issuerPolicies?(): readonly string[];
  explain?(input: ExplainInput): Explanation | Promise<Explanation>;
  dryRun?(identity: IdentityRecord): Promise<DryRunBasis>;
  /** The set has changed: put the new one in force. Called before the change is acknowledged. */
  onPoliciesChanged(): void | Promise<void>;
  /** An identity was changed or deleted: forget what was cached of it. */
  onIdentityChanged?(name: string): void;
  readonly reader: AuditReader;
  /** What the audit keeps of a secret. */
  hashSecret?(secret: string): string;
  readonly integrity?: IntegrityServices;
  readonly recorder: Recorder;
  /** Room set aside for changes that end rights. */
  readonly reserve?: { spend(): boolean };
  /** A change could not be recorded. */
  onUnwritable?(error: GatewayError): void;
  plugins(): readonly PluginInfo[];
  /** External issuers. Default: there are none. */
  readonly issuers?: IssuerParts;
  metrics(): Promise<string>;
  /** Begins a backup; left out, none can be made. */
  readonly backups?: { begin(): Promise<{ finish(): Promise<BackupDone> }> };
  /** Further facts for `status`: version, engine, listeners. */
  status?(): Readonly<Record<string, unknown>> | Promise<Readonly<Record<string, unknown>>>;
  reload(): Promise<Readonly<Record<string, unknown>> | undefined>;
  /** Longest life of a token, in ms. Default: 7 days. */
  readonly maxTtlMs?: number;
  /** Milliseconds since the epoch. */
  now(): number;
  /** UUIDv7. */
  newAuditId(): string;
}

/** No token lives longer than the gateway's own limit: a longer one would be an empty promise. @throws {GatewayError} `input-invalid` */
function checkMaxTtl(maxTtlMs: number, policies: readonly string[]): void {
  const longest = policies.includes('operator') ? MAX_OPERATOR_TTL_MS : MAX_TTL_MS;
  if (maxTtlMs <= longest) return;
  throw new GatewayError(
    'input-invalid',
    `maxTtl: tokens live at most ${longest / 3_600_000}h${policies.includes('operator') ? '' : ' (7d for operators)'}; for a service that runs on, bind a socket to it (dockgate socket add), let it renew tokens (dockgate credential create, dockgate connect --credential-file), or give it a client certificate (dockgate cert issue)`,
  );
}

/** Faults named by document and line (`ci:4:7: ...`) in the lines of the files they came from. */
const inCallersLines = (error: unknown, documents: readonly NewDocument[]): unknown => {
  if (!(error instanceof GatewayError) || error.code !== 'input-invalid') return error;
  return new InputError(
    error.message.split('\n').map((text) => {
      const [, name, line, column, message] = /^([^:\s]+):([0-9]+):([0-9]+): (.*)$/s.exec(text) ?? [];
      const origin = documents.find((document) => document.name === name)?.origin;
      if (!origin || message === undefined) return { path: '', message: text };
      return { path: `${origin.file}:${origin.line - 1 + Number(line)}:${column}`, message };
    }),
  );
};

/** Joins stores, issuer, recorder and reader into the services behind the admin API. */
export const createAdminServices = (parts: AdminParts): AdminServices => {
  const { identities, tokens, policies, recorder, reader } = parts;
  const startedAt = parts.now();

  const { record, change } = createChanges(parts);

  /** Policies without a bound caller: they are in force and seem to do nothing. */
  function unboundPolicies(): readonly string[] {
    const bound = new Set(parts.issuerPolicies?.() ?? []);
    for (const identity of identities.list()) for (const name of identity.policies) bound.add(name);
    const given: string[] = [];
    for (const { source } of policies.current().documents) {
      for (const { document } of parseDocuments(source).documents) {
        if (document.kind === 'Binding') for (const name of document.policies) bound.add(name);
        else if (document.subjects.length === 0) given.push(document.name);
      }
    }
    return given.filter((name) => !bound.has(name));
  }

  const showIdentity = (name: string): IdentityRecord => {
    const found = identities.get(name);
    if (found) return found;
    const meant = nearest(
      name,
      identities.list().map((identity) => identity.name),
    );
    throw new GatewayError('not-found', `there is no identity ${name}${meant ? `; did you mean ${meant}?` : ''}`);
  };

  const builtIn = (): (StoredDocument & { builtIn: boolean })[] =>
    (parts.builtIn?.() ?? []).map((document) => ({
      ...document,
      revision: 0,
      deleted: false,
      at: 0,
      by: 'dockgate',
      builtIn: true,
    }));

  const listPolicies = (): { revision: number; documents: (StoredDocument & { builtIn?: boolean })[] } => {
    const { revision, documents } = policies.current();
    return { revision, documents: [...builtIn(), ...documents] };
  };

  const showPolicy = (name: string) => {
    const { documents } = listPolicies();
    const found = documents.find((document) => document.name === name);
    if (found) return found;
    const meant = nearest(
      name,
      documents.map((document) => document.name),
    );
    throw new GatewayError('not-found', `there is no policy ${name}${meant ? `; did you mean ${meant}?` : ''}`);
  };

  const checkPolicyNames = (names: readonly string[]): void => {
    const known = listPolicies()
      .documents.filter((document) => document.kind === 'Policy')
      .map((document) => document.name);
    for (const name of names) {
      if (known.includes(name)) continue;
      const meant = nearest(name, known);
      throw new GatewayError(
        'input-invalid',
        `there is no policy ${name}${meant ? `; did you mean ${meant}?` : `; known: ${known.join(', ') || 'none'}`}`,
      );
    }
  };

  const auditEnd = async (): Promise<number> => (await reader.list({ limit: 1 }))[0]?.seq ?? 0;
  const auditing = createAuditServices(parts);
  return {
    ...auditing,
    integrity: parts.integrity,
    createIdentity: (input, context) =>
      change(context, {
        action: 'identity.create',
        resource: `identity/${input.name}`,
        detail: { tenant: input.tenant, groups: input.groups, policies: input.policies, maxTtlMs: input.maxTtlMs },
        check() {
          if (identities.get(input.name))
            throw new GatewayError('conflict', `there already is an identity ${input.name}`);
          checkPolicyNames(input.policies);
          if (input.maxTtlMs !== undefined) checkMaxTtl(input.maxTtlMs, input.policies);
        },
        perform() {
          const { tenant, maxTtlMs } = input;
          identities.insert({
            name: input.name,
            ...(tenant === undefined ? {} : { tenant }),
            groups: input.groups,
            policies: input.policies,
            disabled: false,
            createdAt: parts.now(),
            ...(maxTtlMs === undefined ? {} : { maxTtlMs }),
          });
          parts.onIdentityChanged?.(input.name);
          return showIdentity(input.name);
        },
      }),
    listIdentities: () => identities.list(),
    showIdentity,
    setIdentityDisabled: (name, disabled, context) =>
      change(context, {
        action: disabled ? 'identity.disable' : 'identity.enable',
        resource: `identity/${name}`,
        check: () => showIdentity(name),
        perform() {
          identities.setDisabled(name, disabled);
          parts.onIdentityChanged?.(name);
          return showIdentity(name);
        },
      }),
    setMaxTtl: (name, maxTtlMs, context) =>
      change(context, {
        action: 'identity.update',
        resource: `identity/${name}`,
        detail: { maxTtlMs: maxTtlMs ?? null },
        check() {
          const { policies: bound } = showIdentity(name);
          if (maxTtlMs !== undefined) checkMaxTtl(maxTtlMs, bound);
        },
        perform() {
          identities.setMaxTtl(name, maxTtlMs);
          parts.onIdentityChanged?.(name);
          return showIdentity(name);
        },
      }),
    updateIdentity: (name, changes, context) =>
      change(context, {
        action: 'identity.update',
        resource: `identity/${name}`,
        detail: { ...changes },
        check() {
          const { maxTtlMs } = showIdentity(name);
          checkPolicyNames(changes.policies ?? []);
          if (changes.policies !== undefined && maxTtlMs !== undefined) checkMaxTtl(maxTtlMs, changes.policies);
        },
        perform() {
          identities.update(name, changes);
          parts.onIdentityChanged?.(name);
          return showIdentity(name);
        },
      }),
    effectivePolicies: (name) => parts.effectivePolicies?.(showIdentity(name)) ?? [],
    deleteIdentity: (name, context) =>
      change(context, {
        action: 'identity.delete',
        resource: `identity/${name}`,
        check: () => showIdentity(name),
        perform() {
          const now = parts.now();
          const live = tokens
            .list({ identity: name })
            .filter((token) => token.revokedAt === undefined && token.expiresAt > now);
          identities.delete(name);
          // The store revokes the rows; this process must forget them too.
          for (const token of live) parts.revocations.revoke(token.id, now);
          parts.onIdentityChanged?.(name);
        },
      }),

    ...createTokenServices(parts, change, showIdentity),

    ...createLeaseServices(parts.leases, change, () => parts.now()),
    ...createTenantServices(
      parts.tenants,
      change,
      () => identities.list(),
      () => parts.now(),
    ),
    ...createCertificateServices(parts.certificates, change, showIdentity, () => parts.now()),
    ...createIssuerServices(parts.issuers, change, () => parts.now()),
    ...createSocketServices(parts.sockets, change, showIdentity, () => parts.now()),
    ...createOwnershipServices(parts.ledger, change),

    listPolicies,
    unboundPolicies,
    showPolicy,
    policyHistory(name) {
      const history = policies.history(name);
      return history.length > 0 ? history : [showPolicy(name)];
    },
    applyPolicies(documents, context) {
      const changed: { kind: string; name: string; change: 'created' | 'changed' | 'unchanged' }[] = [];
      return change(context, {
        action: 'policy.apply',
        resource: `policy/${documents.map((document) => document.name).join(',')}`.slice(0, 256),
        detail: {
          documents: documents.map(({ kind, name }) => `${kind}/${name}`),
          sha256: Object.fromEntries(documents.map(({ name, source }) => [name, hash('sha256', source, 'hex')])),
        },
        check() {
          const reserved = new Set(builtIn().map((document) => document.name));
          const current = policies.current().documents;
          for (const { kind, name, source } of documents) {
            if (reserved.has(name))
              throw new GatewayError('conflict', `${name} is a built-in policy; give yours another name`);
            const before = current.find((document) => document.name === name);
            if (before && before.kind !== kind) {
              throw new GatewayError('conflict', `${name} is a ${before.kind}; delete it first or choose another name`);
            }
            changed.push({
              kind,
              name,
              change: !before ? 'created' : before.source === source ? 'unchanged' : 'changed',
            });
          }
          const given = new Set(documents.map((document) => document.name));
          try {
            parts.compile([...current.filter((document) => !given.has(document.name)), ...documents], given);
          } catch (error) {
            throw inCallersLines(error, documents);
          }
        },
        async perform() {
          const fresh = documents.filter((_, index) => changed[index]?.change !== 'unchanged');
          if (fresh.length === 0) return { revision: policies.current().revision, documents: changed };
          const revision = policies.apply(
            fresh.map(({ kind, name, source }) => ({ kind, name, source })),
            context.by.subject,
            parts.now(),
          );
          await parts.onPoliciesChanged();
          return { revision, documents: changed };
        },
      });
    },
    deletePolicy: (name, context) =>
      change(context, {
        action: 'policy.delete',
        resource: `policy/${name}`,
        check() {
          if (showPolicy(name).builtIn) throw new GatewayError('conflict', `${name} is built in and cannot be deleted`);
          const users = identities.list().filter((identity) => identity.policies.includes(name));
          if (users.length > 0) {
            const some = users
              .slice(0, 5)
              .map((identity) => identity.name)
              .join(', ');
            throw new GatewayError(
              'conflict',
              `${name} is bound to ${some}${users.length > 5 ? ` and ${users.length - 5} more` : ''}; change them first`,
            );
          }
          parts.compile(policies.current().documents.filter((document) => document.name !== name));
        },
        async perform() {
          const revision = policies.remove(name, context.by.subject, parts.now());
          await parts.onPoliciesChanged();
          return { revision };
        },
      }),
    async explain(as, request) {
      const identity = showIdentity(as);
      if (!parts.explain) throw new GatewayError('not-found', 'this gateway cannot explain decisions');
      return parts.explain({ as: identity, request });
    },
    async dryRun(as) {
      const identity = showIdentity(as);
      if (!parts.dryRun) throw new GatewayError('not-found', 'this gateway tells nothing for a dry run');
      return parts.dryRun(identity);
    },

    listPlugins: () => parts.plugins(),
    settleAudit: () => recorder.settle(),
    async listAudit(filter, by) {
      const rows = await reader.list(filter);
      auditing.auditRead(by, { read: 'list', ...filter });
      return rows;
    },
    async showAudit(auditId, by) {
      const rows = await reader.byAuditId(auditId);
      auditing.auditRead(by, { read: 'show', auditId });
      if (rows.length === 0) throw new GatewayError('not-found', `the audit has no call ${auditId}`);
      return rows;
    },
    auditAfter: (filter) => reader.list({ ...filter, oldestFirst: true }),
    auditEnd,

    async status() {
      const { revision, documents } = policies.current();
      return {
        ...(await parts.status?.()),
        startedAt: new Date(startedAt).toISOString(),
        policyRevision: revision,
        policies: documents.length,
        identities: identities.list().length,
        plugins: parts.plugins().length,
        auditHealthy: recorder.healthy,
        auditSeq: await auditEnd(),
      };
    },
    metrics: () => parts.metrics(),
    async backup(context) {
      const { begin } = parts.backups ?? noBackups();
      // Only the moment it is of keeps other changes waiting: copying takes as long as the log is large.
      const begun = await change(context, {
        action: 'gateway.backup',
        resource: 'gateway/data',
        check() {},
        perform: begin,
      });
      return begun.finish();
    },
    reload: (context) =>
      change(context, {
        action: 'gateway.reload',
        resource: 'gateway/config',
        check() {},
        perform: async () => (await parts.reload()) ?? {},
      }),
    recordRefusal: (context, { action, resource, code, status, message, origin }) =>
      record(context, {
        action,
        resource,
        decision: code === 'admin-forbidden' ? 'deny' : 'error',
        code,
        status,
        detail: { message, ...(origin === undefined ? {} : { origin }) },
      }),
    newAuditId: () => parts.newAuditId(),
    now: () => parts.now(),
  };
};

const noBackups = (): never => {
  throw new GatewayError('not-found', 'this gateway keeps its data elsewhere and makes no backups of it');
};
