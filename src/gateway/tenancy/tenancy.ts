// Tenancy as the gateway sees it: one call at a time for principals with a tenant, and a ledger that follows the engine. Calls of
// principals without a tenant are judged by policy alone and never come here.

import type { Operation } from '../../engine/types.ts';
import type { LedgerEntry } from '../../ledger/entry.ts';
import type { EngineEvent } from '../../ledger/events.ts';
import { Holds } from '../../ledger/holds.ts';
import { Ledger } from '../../ledger/ledger.ts';
import type { TenantLimits } from '../../ledger/quota.ts';
import type { LedgerSeal } from '../../ledger/seal.ts';
import type { TenantNames } from '../../ledger/shared-images.ts';
import type { IsShared } from '../../ledger/views.ts';
import type { Principal } from '../../policy/types.ts';
import type { EngineClient } from '../../proxy/engine-client.ts';
import { adopt, findAdoptable, releaseImages, type Wanted, withheldImages } from './adopt.ts';
import { createFollower, type FollowParts } from './follow.ts';
import type { Spool } from './load.ts';
import { Rates } from './rates.ts';
import { type TenancyState, TenantCall } from './tenant-call.ts';

export interface Tenancy {
  readonly ledger: Ledger;
  readonly state: TenancyState;
  /** Begins a call of a tenant's; to be released when it is over. */
  begin(
    principal: Principal & { readonly tenant: string },
    auditId: string,
    atMs: number,
    /** Within the identity's share; without it the question is the gateway's own. */
    engine?: EngineClient,
  ): TenantCall | Promise<TenantCall>;
  /** Counts a call of a tenant's. @throws {GatewayError} `rate-limited` */
  admit(principal: Principal & { readonly tenant: string }, operation: Operation, nowMs: number): void;
  /** Compares the ledger with the engine now. */
  reconcile(): Promise<void>;
  /** Ownership for the admin API. */
  readonly ownership: {
    objects(tenant: string): readonly LedgerEntry[];
    find(tenant: string, wanted: Wanted): Promise<readonly LedgerEntry[]>;
    adopt(entries: readonly LedgerEntry[], owner: { subject: string; auditId: string }): Promise<void>;
    withheld(): readonly LedgerEntry[];
    release(
      images: readonly string[] | undefined,
      by: { subject: string; auditId: string },
    ): Promise<readonly LedgerEntry[]>;
  };
  close(): void;
}

export interface TenancyOptions extends FollowParts {
  readonly engine: EngineClient;
  /** The ledger as it was stored. */
  readonly entries: Iterable<LedgerEntry>;
  readonly isShared: IsShared;
  /** Default: a tenant's pull moves no shared name. */
  refreshesShared?(): boolean;
  /** Names tenants may give images. Default: any. */
  names?(): TenantNames | undefined;
  readonly seal: LedgerSeal;
  /** Room for image archives, and the largest one, in bytes. */
  /** Is shown what happens in the engine, while its events are followed. */
  onEngineEvent?(event: EngineEvent): void;
  /** Its events are followed from the start, also without a tenant. */
  readonly followsAlways?: boolean;
  readonly spool: Spool;
  maxLoadBytes(): number;
  /** What a tenant may have. Default: no limits. */
  limitsOf?(tenant: string): TenantLimits | undefined;
}

const madeOrNot = (changes: readonly LedgerEntry[]): string =>
  changes.every(({ state }) => state === 'void') ? 'the call did not get it' : 'the call makes it on its way';

/** Nothing is asked of the engine before the first call of a tenant's, unless the ledger has something to follow. */
export function createTenancy(options: TenancyOptions): Tenancy {
  const state: TenancyState = {
    ledger: new Ledger(options.entries),
    holds: new Holds(),
    engine: options.engine,
    isShared: options.isShared,
    refreshesShared: () => options.refreshesShared?.() ?? false,
    names: () => options.names?.(),
    seal: options.seal,
    lookSoon: () => follower.lookSoon(),
    remember: (changes, { subject, tenant, auditId }) =>
      options.recorder.append({
        at: options.now() * 1000,
        stage: 'gateway',
        auditId,
        subject,
        tenant,
        action: 'ledger.follow',
        decision: 'allow',
        detail: { message: madeOrNot(changes), objects: changes.map(({ kind, id }) => `${kind}/${id}`) },
        ledger: changes,
      }),
    underWay: new Set(),
    builds: new Map(),
    building: new Map(),
    builders: new Map(),
    rates: new Rates(),
    spool: options.spool,
    loading: new Set(),
    maxLoadBytes: () => options.maxLoadBytes(),
    limitsOf: (tenant) => options.limitsOf?.(tenant),
  };
  const follower = createFollower(state, options);
  const start = (): Promise<void> => {
    follower.start();
    return follower.reconcile();
  };
  if (state.ledger.size > 0 || options.doubt !== undefined || options.followsAlways === true) void start();
  return {
    ledger: state.ledger,
    state,
    begin(principal, auditId, atMs, engine) {
      const own = engine === undefined ? state : { ...state, engine };
      const owner = { tenant: principal.tenant, subject: principal.subject, tokenId: principal.tokenId, auditId, atMs };
      if (follower.isCurrent) return new TenantCall(owner, own);
      follower.start();
      return follower.becomeCurrent().then(() => new TenantCall(owner, own));
    },
    admit(principal, operation, nowMs) {
      const limits = state.limitsOf(principal.tenant);
      if (limits !== undefined) state.rates.admit(principal, operation, limits, nowMs);
    },
    reconcile: () => follower.reconcile(),
    ownership: {
      objects: (tenant) => [...state.ledger.objects(tenant)].sort((a, b) => a.createdAt - b.createdAt),
      find: (tenant, wanted) => findAdoptable(state, tenant, wanted, options.now()),
      async adopt(entries, owner) {
        await adopt(state, entries, owner, options.recorder, options.now());
        void start();
      },
      withheld: () => withheldImages(state),
      release: (images, by) => releaseImages(state, images, by, options.recorder, options.now()),
    },
    close: () => follower.stop(),
  };
}
