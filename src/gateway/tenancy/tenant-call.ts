// One call of a tenant's: which serving it gets, whose objects it may name, what it reserves in the ledger before the engine
// hears of it, and what the ledger learns from the outcome.
import type { EngineCall } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import { type Serving, servingOf } from '../../ledger/actions.ts';
import type { LedgerEntry, Owner } from '../../ledger/entry.ts';
import type { Holds } from '../../ledger/holds.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { taken } from '../../ledger/missing.ts';
import type { IsShared, View } from '../../ledger/views.ts';
import type { EngineClient } from '../../proxy/engine-client.ts';
import { reserve } from './reserve.ts';
import { resolveOwn } from './resolve-own.ts';

/** What the calls of all tenants share. */
export interface TenancyState {
  readonly ledger: Ledger;
  readonly holds: Holds;
  readonly engine: EngineClient;
  readonly isShared: IsShared;
  /** Audit ids of calls under way: their pending entries are theirs to settle. */
  readonly underWay: Set<string>;
  /** Classic builds under way by build id, for `build.cancel`. */
  readonly builds: Map<string, string>;
}

export class TenantCall implements View {
  readonly owner: Owner;
  readonly state: TenancyState;
  serving: Serving = 'plain';
  /** Most elements of a list, set where the caller limited it: what others have must not count. */
  limit: number | undefined;
  /** Names of images and volumes this call makes that were nobody's before; see reserve.ts. */
  pending: LedgerEntry[] = [];
  /** A pull of what was there before and is everybody's gives no claim. */
  claimsPull = false;
  #release: (() => void)[] = [];

  constructor(owner: Owner, state: TenancyState) {
    this.owner = owner;
    this.state = state;
    state.underWay.add(owner.auditId);
  }

  get tenant(): string {
    return this.owner.tenant;
  }
  get ledger(): Ledger {
    return this.state.ledger;
  }
  get isShared(): IsShared {
    return this.state.isShared;
  }

  /**
   * The call with every reference replaced by the full id of the tenant's own object.
   *
   * @throws {GatewayError} `object-not-found` for what is not there or not the tenant's, `tenant-not-served`, `label-reserved`
   */
  resolve(call: EngineCall): Promise<EngineCall> {
    this.#letGo();
    const serving = servingOf(call.action);
    if (serving === undefined) {
      throw new GatewayError(
        'tenant-not-served',
        `denied: ${call.action} concerns the whole engine, and tenant ${this.tenant} has only its own objects; ask an operator`,
      );
    }
    this.serving = serving;
    return resolveOwn(call, this);
  }

  /**
   * Takes the names the call will make and stamps its labels, once all has been decided.
   *
   * @throws {GatewayError} `conflict` for a name that is not the tenant's to take
   */
  async reserve(call: EngineCall): Promise<EngineCall> {
    const { call: stamped, pending } = await reserve(call, this);
    // Between the questions to the engine and this line another call may have taken a name; from here on nobody can.
    for (const { kind, id } of pending) {
      if (id === '') continue;
      const isTaken = this.ledger.holders(kind, id).some(({ tenant }) => tenant !== this.tenant);
      if (isTaken || this.state.holds.isHeldByOthers(kind, id, this.tenant)) throw taken(kind, id);
    }
    this.pending = [...pending];
    for (const entry of pending) this.ledger.apply(entry);
    return stamped;
  }

  /** Holds a name until the call is over. */
  hold(kind: string, name: string): void {
    this.#release.push(this.state.holds.hold(kind, name, this.tenant));
  }

  /** Nothing was sent: what was reserved is free again. */
  abandon(): void {
    for (const entry of this.pending) this.ledger.apply({ ...entry, state: 'void' });
    this.pending = [];
  }

  /** The call is over, however it ended. */
  release(): void {
    this.#letGo();
    this.state.underWay.delete(this.owner.auditId);
  }

  #letGo(): void {
    for (const release of this.#release) release();
    this.#release = [];
  }
}
