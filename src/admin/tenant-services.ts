// Tenants behind the admin API: what each may have, what it has in use now and had before.
import { GatewayError } from '../errors.ts';
import type { Quota, TenantRecord, TenantStore } from '../ledger/quota.ts';
import type { Usage } from '../ledger/usage.ts';
import type { PerformChange } from './change.ts';
import type { ChangeContext } from './services.ts';

/** `null` takes a limit away; a limit that is left out stays. */
type Amounts = Readonly<Record<string, number | null>>;

export interface TenantInput {
  readonly description?: string;
  readonly quota?: Amounts;
  readonly identityQuota?: Amounts;
  readonly defaults?: Amounts;
}

export interface TenantOverview {
  readonly name: string;
  /** Absent for a tenant that has identities or objects and no limits. */
  readonly record?: TenantRecord;
  readonly usage: Usage;
  readonly identities: readonly { readonly name: string; readonly usage: Usage }[];
}

export interface TenantServices {
  createTenant(name: string, input: TenantInput, context: ChangeContext): Promise<TenantOverview>;
  changeTenant(name: string, input: TenantInput, context: ChangeContext): Promise<TenantOverview>;
  listTenants(): readonly TenantOverview[];
  /** @throws {GatewayError} `not-found` */
  showTenant(name: string): TenantOverview;
  /** @throws {GatewayError} `not-found`, `conflict` while it has objects */
  deleteTenant(name: string, context: ChangeContext): Promise<void>;
  tenantHistory(
    name: string,
    fromMs: number,
    toMs: number,
    stepMs: number,
  ): Promise<readonly { readonly at: number; readonly usage: Usage }[]>;
}

export interface TenantParts {
  readonly store: TenantStore;
  usage(tenant: string): Usage;
  usageOfIdentity(tenant: string, subject: string): Usage;
  /** Tenants that own something. */
  owning(): readonly string[];
  history: TenantServices['tenantHistory'];
}

export const createTenantServices = (
  parts: TenantParts | undefined,
  change: PerformChange,
  identities: () => readonly { readonly name: string; readonly tenant?: string }[],
  now: () => number,
): TenantServices => {
  const { store, usage, usageOfIdentity, owning, history } = parts ?? without();
  const names = (): readonly string[] => {
    const all = new Set([...store.list().map(({ name }) => name), ...owning()]);
    for (const { tenant } of identities()) if (tenant !== undefined) all.add(tenant);
    return [...all].sort();
  };
  const overview = (name: string): TenantOverview => {
    const record = store.get(name);
    return {
      name,
      ...(record === undefined ? {} : { record }),
      usage: usage(name),
      identities: identities()
        .filter(({ tenant }) => tenant === name)
        .map((one) => ({ name: one.name, usage: usageOfIdentity(name, one.name) })),
    };
  };
  const show = (name: string): TenantOverview => {
    if (!names().includes(name)) throw new GatewayError('not-found', `there is no tenant ${name}`);
    return overview(name);
  };
  const recordOf = (name: string, before: TenantRecord | undefined, input: TenantInput): TenantRecord => {
    const description = input.description ?? before?.description;
    return {
      name,
      ...(description === undefined ? {} : { description }),
      quota: merged(before?.quota, input.quota),
      identityQuota: merged(before?.identityQuota, input.identityQuota),
      defaults: merged(before?.defaults, input.defaults),
      createdAt: before?.createdAt ?? now(),
    };
  };
  return {
    createTenant: (name, input, context) =>
      change(context, {
        action: 'tenant.create',
        resource: `tenant/${name}`,
        detail: { ...input },
        check() {
          if (store.get(name) !== undefined) throw new GatewayError('conflict', `the tenant ${name} already exists`);
        },
        perform() {
          store.insert(recordOf(name, undefined, input));
          return overview(name);
        },
      }),
    changeTenant: (name, input, context) =>
      change(context, {
        action: 'tenant.change',
        resource: `tenant/${name}`,
        detail: { ...input },
        check: () => show(name),
        perform() {
          const before = store.get(name);
          const record = recordOf(name, before, input);
          if (before === undefined) store.insert(record);
          else store.update(record);
          return overview(name);
        },
      }),
    listTenants: () => names().map(overview),
    showTenant: show,
    deleteTenant: (name, context) =>
      change(context, {
        action: 'tenant.delete',
        resource: `tenant/${name}`,
        check() {
          show(name);
          if (owning().includes(name)) {
            throw new GatewayError('conflict', `the tenant ${name} still has objects; remove them first`);
          }
          const [one] = identities().filter(({ tenant }) => tenant === name);
          if (one !== undefined) {
            throw new GatewayError(
              'conflict',
              `identity ${one.name} still belongs to the tenant ${name}; delete it first`,
            );
          }
        },
        perform() {
          store.delete(name);
        },
      }),
    async tenantHistory(name, fromMs, toMs, stepMs) {
      show(name);
      return history(name, fromMs, toMs, stepMs);
    },
  };
};

function merged(before: Quota | undefined, changes: Amounts | undefined): Record<string, number> {
  const result: Record<string, number> = { ...before };
  for (const [key, amount] of Object.entries(changes ?? {})) {
    if (amount === null) delete result[key];
    else result[key] = amount;
  }
  return result;
}

/** For services over fakes that have no tenants. */
const without = (): TenantParts => {
  const refuse = (): never => {
    throw new GatewayError('not-found', 'this gateway keeps no tenants');
  };
  return {
    store: { insert: refuse, update: refuse, get: () => undefined, list: () => [], delete: refuse },
    usage: refuse,
    usageOfIdentity: refuse,
    owning: () => [],
    history: refuse,
  };
};
