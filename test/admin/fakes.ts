// In-memory stores in the shape of the real ones, and the admin services over them.

import { type AdminParts, createAdminServices } from '../../src/admin/create-services.ts';
import type { AdminServices, NewDocument } from '../../src/admin/services.ts';
import type { AuditEvent, AuditFilter, AuditReader, AuditRow, Recorder } from '../../src/audit/event.ts';
import { type AuditPage, foldRows, type PageQuestion, withinScope } from '../../src/audit/filter.ts';
import { GatewayError } from '../../src/errors.ts';
import type { IdentityRecord, IdentityStore, TokenRecord, TokenStore } from '../../src/identity/stores.ts';
import type { PolicyStore, StoredDocument } from '../../src/policy/store.ts';

export class FakeIdentities implements IdentityStore {
  readonly records = new Map<string, IdentityRecord>();
  insert(record: IdentityRecord): void {
    if (this.records.has(record.name)) throw new GatewayError('conflict', 'taken');
    this.records.set(record.name, record);
  }
  get(name: string): IdentityRecord | undefined {
    return this.records.get(name);
  }
  list(): readonly IdentityRecord[] {
    return [...this.records.values()];
  }
  setDisabled(name: string, disabled: boolean): void {
    const record = this.records.get(name);
    if (!record) throw new GatewayError('not-found', 'none');
    this.records.set(name, { ...record, disabled });
  }
  update(
    name: string,
    changes: { tenant?: string | null; groups?: readonly string[]; policies?: readonly string[] },
  ): void {
    const { tenant, ...rest } = this.records.get(name) as IdentityRecord;
    const { tenant: to, ...more } = changes;
    const now = to === undefined ? tenant : (to ?? undefined);
    this.records.set(name, { ...rest, ...more, ...(now === undefined ? {} : { tenant: now }) });
  }
  setMaxTtl(name: string, maxTtlMs: number | undefined): void {
    const record = this.records.get(name);
    if (!record) throw new GatewayError('not-found', 'none');
    const { maxTtlMs: _, ...rest } = record;
    this.records.set(name, { ...rest, ...(maxTtlMs === undefined ? {} : { maxTtlMs }) });
  }
  delete(name: string): void {
    if (!this.records.delete(name)) throw new GatewayError('not-found', 'none');
  }
}

export class FakeTokens implements TokenStore {
  readonly records = new Map<string, TokenRecord>();
  insert(record: TokenRecord): void {
    this.records.set(record.id, record);
  }
  get(id: string): TokenRecord | undefined {
    return this.records.get(id);
  }
  list(filter?: { identity?: string }): readonly TokenRecord[] {
    return [...this.records.values()].filter(
      (one) => filter?.identity === undefined || one.identity === filter.identity,
    );
  }
  revoke(id: string, at: number): void {
    const record = this.records.get(id);
    if (!record) throw new GatewayError('not-found', 'none');
    this.records.set(id, { ...record, revokedAt: record.revokedAt ?? at });
  }
  revokeIssuedBefore(identity: string, before: number, at: number): number {
    const open = this.list({ identity }).filter((one) => one.revokedAt === undefined && one.issuedAt < before);
    for (const { id } of open) this.revoke(id, at);
    return open.length;
  }
  forget(before: number): void {
    for (const { id, expiresAt } of this.list()) if (expiresAt < before) this.records.delete(id);
  }
  revoked(now: number): readonly string[] {
    return [...this.records.values()]
      .filter((one) => one.revokedAt !== undefined && one.expiresAt > now)
      .map((one) => one.id);
  }
}

export class FakePolicies implements PolicyStore {
  readonly rows: StoredDocument[] = [];
  #revision = 0;
  current(): { revision: number; documents: readonly StoredDocument[] } {
    const newest = new Map(this.rows.map((row) => [row.name, row]));
    return { revision: this.#revision, documents: [...newest.values()].filter((row) => !row.deleted) };
  }
  apply(documents: readonly NewDocument[], by: string, at: number): number {
    this.#revision += 1;
    for (const document of documents) this.rows.push({ ...document, revision: this.#revision, deleted: false, at, by });
    return this.#revision;
  }
  remove(name: string, by: string, at: number): number {
    const row = this.current().documents.find((one) => one.name === name);
    if (!row) throw new GatewayError('not-found', 'none');
    this.#revision += 1;
    this.rows.push({ ...row, revision: this.#revision, deleted: true, at, by });
    return this.#revision;
  }
  history(name: string): readonly StoredDocument[] {
    return this.rows.filter((row) => row.name === name).reverse();
  }
}

/** Recorder and reader over one array. `broken` makes every write fail, as a full disk would. */
export class FakeAudit implements Recorder, AuditReader {
  readonly rows: AuditRow[] = [];
  broken = false;
  /** What waits for better times. */
  readonly appended: AuditEvent[] = [];
  get healthy(): boolean {
    return !this.broken;
  }
  append(event: AuditEvent): void {
    if (this.broken) this.appended.push(event);
    else this.rows.push({ ...event, seq: this.rows.length + 1, prev: '', hash: '' });
  }
  async record(event: AuditEvent): Promise<void> {
    if (this.broken) throw new GatewayError('audit-unwritable', 'the audit log cannot be written');
    this.append(event);
  }
  async list(filter: AuditFilter): Promise<readonly AuditRow[]> {
    const family = filter.action?.endsWith('.*') ? filter.action.slice(0, -1) : undefined;
    const matching = this.rows.filter(
      (row) =>
        (filter.subject === undefined || row.subject === filter.subject) &&
        (filter.decision === undefined || row.decision === filter.decision) &&
        (filter.since === undefined || row.at >= filter.since) &&
        (filter.afterSeq === undefined || row.seq > filter.afterSeq) &&
        (filter.action === undefined || (family ? row.action.startsWith(family) : row.action === filter.action)),
    );
    if (filter.oldestFirst !== true) matching.reverse();
    return matching.slice(0, filter.limit);
  }
  async byAuditId(auditId: string): Promise<readonly AuditRow[]> {
    return this.rows.filter((row) => row.auditId === auditId);
  }
  async startingWith(start: string): Promise<readonly string[]> {
    return [...new Set(this.rows.map(({ auditId }) => auditId).filter((id) => id.startsWith(start)))].slice(0, 6);
  }
  async page({ conditions, scope, before, limit, calls }: PageQuestion): Promise<AuditPage> {
    const within = withinScope(conditions, scope);
    const rows = within === undefined ? [] : await this.list({ ...within, limit: Number.POSITIVE_INFINITY });
    const entries = new Map<string, AuditRow>();
    for (const row of rows) {
      if (before !== undefined && row.seq >= before) continue;
      const id = calls ? row.auditId : String(row.seq);
      if (!entries.has(id)) entries.set(id, calls ? foldRows(await this.byAuditId(row.auditId)) : row);
    }
    const page = [...entries.values()].slice(0, limit);
    const last = page.at(-1);
    return { entries: page, ...(entries.size > limit && last !== undefined ? { next: last.seq } : {}) };
  }
  async atRest<T>(work: () => T): Promise<T> {
    return work();
  }
  async settle(): Promise<void> {}
  async close(): Promise<void> {}
}

export interface Fakes {
  readonly identities: FakeIdentities;
  readonly tokens: FakeTokens;
  readonly policies: FakePolicies;
  readonly audit: FakeAudit;
  /** What was called in order: `revoke t1`, `policies-changed`. */
  readonly calls: string[];
  readonly services: AdminServices;
}

export const NOW = Date.parse('2030-01-31T12:00:00Z');

export const createFakes = (overrides: Partial<AdminParts> = {}): Fakes => {
  const identities = new FakeIdentities();
  const tokens = new FakeTokens();
  const policies = new FakePolicies();
  const audit = new FakeAudit();
  const calls: string[] = [];
  let ids = 0;
  const newId = () => `00000000-0000-7000-8000-${String(++ids).padStart(12, '0')}`;
  const services = createAdminServices({
    identities,
    tokens,
    issuer: {
      issue({ identity, ttlMs = 3_600_000, scope, issuedBy }) {
        const record: TokenRecord = {
          id: newId(),
          identity: identity.name,
          issuedAt: NOW,
          expiresAt: NOW + ttlMs,
          issuedBy,
          ...(scope ? { scope } : {}),
        };
        tokens.insert(record);
        return { token: `head.${identity.name}.sign`, record };
      },
    },
    revocations: {
      isRevoked: (id) => tokens.get(id)?.revokedAt !== undefined,
      revoke(id, at) {
        calls.push(`revoke ${id}`);
        if (tokens.get(id) !== undefined) tokens.revoke(id, at);
      },
      revokeIssuedBefore(identity, before, at) {
        calls.push(`revoke before ${before} of ${identity}`);
        return { tokens: tokens.revokeIssuedBefore(identity, before, at), credentials: 0 };
      },
    },
    policies,
    compile(documents) {
      const bad = documents.find((document) => document.source.includes('broken'));
      if (bad) throw new GatewayError('input-invalid', `${bad.name}: rules[0]: unknown key`);
    },
    builtIn: () => [
      { kind: 'Policy', name: 'operator', source: 'kind: Policy\n' },
      { kind: 'Policy', name: 'baseline', source: 'kind: Policy\n' },
    ],
    explain: ({ as, request }) => ({
      decision: { effect: 'deny', reasons: [], policyIds: [], obligations: {} },
      text: `${as.name} may not ${request.method} ${request.target}`,
    }),
    onPoliciesChanged: () => void calls.push('policies-changed'),
    onIdentityChanged: (name) => void calls.push(`identity-changed ${name}`),
    reader: audit,
    recorder: audit,
    plugins: () => [
      {
        name: 'no-privileged',
        version: '1.0.0',
        description: 'refuses privileged',
        actions: ['container.create'],
        phases: ['validate'],
      },
    ],
    metrics: async () => 'dockgate_up 1\n',
    status: () => ({ version: '0.0.0' }),
    reload: async () => ({ reloaded: ['config'] }),
    now: () => NOW,
    newAuditId: newId,
    ...overrides,
  });
  return { identities, tokens, policies, audit, calls, services };
};

export const POLICY = (name: string, extra = ''): string =>
  `apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: ${name} }\nrules: []\n${extra}`;
