// Leases behind the admin API: what ends when, and ending it later or now.
import { GatewayError } from '../errors.ts';
import type { LedgerEntry } from '../ledger/entry.ts';
import type { PerformChange } from './change.ts';
import type { ChangeContext } from './services.ts';

export interface LeaseServices {
  /** Live objects with a lease, the one that ends first in front. */
  listLeases(filter: { tenant?: string }): readonly LedgerEntry[];
  /** @throws {GatewayError} `not-found`, `conflict` when several objects have the name */
  extendLease(object: string, byMs: number, tenant: string | undefined, context: ChangeContext): Promise<LedgerEntry>;
  /** The object is removed within seconds. */
  endLease(object: string, tenant: string | undefined, context: ChangeContext): Promise<LedgerEntry>;
}

export interface LeaseParts {
  leased(): readonly LedgerEntry[];
  /** Applies and stores a changed entry; resolves once it is on disk. */
  change(entry: LedgerEntry, action: string, by: string): Promise<void>;
  /** Leases changed: look at them now. */
  look(): void;
}

export const createLeaseServices = (
  parts: LeaseParts | undefined,
  change: PerformChange,
  now: () => number,
): LeaseServices => {
  const { leased, change: store, look } = parts ?? without();
  const find = (object: string, tenant: string | undefined): LedgerEntry => {
    const slash = object.indexOf('/');
    const [kind, name] = [object.slice(0, slash), object.slice(slash + 1)];
    const found = leased().filter(
      (entry) =>
        entry.kind === kind &&
        (tenant === undefined || entry.tenant === tenant) &&
        (entry.name === name || entry.id === name || (name.length >= 12 && entry.id.startsWith(name))),
    );
    if (found.length > 1) throw new GatewayError('conflict', `${object} is the name of several objects; say --tenant`);
    const [entry] = found;
    if (entry === undefined) throw new GatewayError('not-found', `there is no lease on ${object}`);
    return entry;
  };
  const set = (
    action: string,
    object: string,
    tenant: string | undefined,
    context: ChangeContext,
    until: (entry: LedgerEntry) => number,
  ): Promise<LedgerEntry> =>
    change(context, {
      action,
      resource: object,
      check: () => find(object, tenant),
      async perform() {
        const entry = find(object, tenant);
        const changed = { ...entry, leaseUntil: until(entry) };
        await store(changed, action, context.by.subject);
        look();
        return changed;
      },
      outcome: ({ id }) => ({ resourceId: id }),
    });
  return {
    listLeases: ({ tenant }) =>
      leased()
        .filter((entry) => tenant === undefined || entry.tenant === tenant)
        .sort((a, b) => (a.leaseUntil ?? 0) - (b.leaseUntil ?? 0)),
    extendLease: (object, byMs, tenant, context) =>
      set('lease.extend', object, tenant, context, ({ leaseUntil = 0 }) => Math.max(leaseUntil, now()) + byMs),
    endLease: (object, tenant, context) => set('lease.end', object, tenant, context, () => now()),
  };
};

/** For services over fakes that have no ledger. */
const without = (): LeaseParts => ({
  leased: () => [],
  change: () => Promise.reject(new GatewayError('not-found', 'this gateway keeps no ledger')),
  look() {},
});
