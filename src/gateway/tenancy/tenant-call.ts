// One call of a tenant's: which serving it gets, whose objects it may name, what it reserves in the ledger before the engine
// hears of it, and what the ledger learns from the outcome.
import type { EngineCall } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import { type Serving, servingOf } from '../../ledger/actions.ts';
import { type LedgerEntry, newEntry, type Owner } from '../../ledger/entry.ts';
import type { Holds } from '../../ledger/holds.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { missing, taken } from '../../ledger/missing.ts';
import type { TenantLimits } from '../../ledger/quota.ts';
import type { LedgerSeal } from '../../ledger/seal.ts';
import type { TenantNames } from '../../ledger/shared-images.ts';
import type { IsShared, View } from '../../ledger/views.ts';
import type { EngineClient } from '../../proxy/engine-client.ts';
import { withDefaults, withPairs } from './fill-share.ts';
import { givesOthersName, isTakenByCalls } from './images.ts';
import type { LoadedArchive, Spool } from './load.ts';
import type { Rates } from './rates.ts';
import { reserve } from './reserve.ts';
import { resolveOwn } from './resolve-own.ts';
import { type ShareChange, takeShare } from './take-share.ts';

/** What the calls of all tenants share. */
export interface TenancyState {
  readonly ledger: Ledger;
  readonly holds: Holds;
  readonly engine: EngineClient;
  readonly isShared: IsShared;
  /** Whether a tenant's pull may move a shared name to the image its registry has. */
  refreshesShared(): boolean;
  /** Names tenants may give images; undefined for any. */
  names(): TenantNames | undefined;
  /** Proves labels to be the gateway's own. */
  readonly seal: LedgerSeal;
  /** What a call left open is looked for at the engine in a moment. */
  lookSoon(): void;
  /** Writes down what the ledger learned in the middle of a call. */
  remember(changes: readonly LedgerEntry[], owner: Owner): void;
  /** Audit ids of calls under way: their pending entries are theirs to settle. */
  readonly underWay: Set<string>;
  /** Classic builds under way by build id, for `build.cancel`. */
  readonly builds: Map<string, string>;
  /** Classic builds under way by tenant, and who built last in each. */
  readonly building: Map<string, number>;
  readonly builders: Map<string, Owner>;
  readonly rates: Rates;
  readonly spool: Spool;
  /** Tenants with an image archive on its way. */
  readonly loading: Set<string>;
  /** Largest image archive, in bytes; 0 loads none. */
  maxLoadBytes(): number;
  /** What a tenant may have; undefined for one without limits. */
  limitsOf(tenant: string): TenantLimits | undefined;
}

export class TenantCall implements View {
  owner: Owner;
  readonly state: TenancyState;
  serving: Serving = 'plain';
  /** Most elements of a list, set where the caller limited it: other tenants' objects must not count. */
  limit: number | undefined;
  /** The caller asked `system/df` for the objects themselves; the gateway always does, to leave out other tenants' objects. */
  isVerbose = true;
  /** Names of images and volumes this call makes that had no owner before; see reserve.ts. */
  pending: LedgerEntry[] = [];
  /** A pull of a shared image that was there before gives no claim. */
  claimsPull = false;
  /** What a pull moves: a name, or every tag of a repository. */
  pulls: string | undefined;
  /** References a build brings that were not there before, as they are pending in the ledger. */
  readonly broughtByBuild = new Map<string, LedgerEntry>();
  #made = 0;
  /** The caller's X-Registry-Auth, for what the gateway asks of a registry in its name. */
  registryAuth: string | undefined;
  /** What `docker load` brought, once it was read. */
  archive: LoadedArchive | undefined;
  /** The upload did not reach the engine whole: the engine did nothing with it. */
  isUploadBroken = false;
  /** What the tenant may have. */
  readonly limits: TenantLimits | undefined;
  /** A container that is to start or to change, with what it takes. */
  #change: ShareChange | undefined;
  #release: (() => void)[] = [];
  readonly #leave: (() => void)[] = [];

  constructor(owner: Owner, state: TenancyState) {
    this.owner = owner;
    this.state = state;
    this.limits = state.limitsOf(owner.tenant);
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

  /** The call with the tenant's defaults where it says nothing: before it is judged, so that the judged call is the sent one. */
  filled(call: EngineCall): EngineCall {
    return withDefaults(call, this.limits);
  }

  /**
   * The call with every reference replaced by the full id of the tenant's own object.
   *
   * @throws {GatewayError} `object-not-found` for an object that is missing or not the tenant's, `tenant-not-served`, `label-reserved`
   */
  async resolve(call: EngineCall): Promise<EngineCall> {
    this.#letGo();
    const serving = servingOf(call.action);
    if (serving === undefined) {
      const why = `denied: ${call.action} concerns the whole engine, and tenant ${this.tenant} has only its own objects; ask an operator`;
      // `docker inspect` asks kind after kind and ends its search with any other answer.
      const name = call.path.id ?? call.path.name;
      if (name !== undefined && call.action.endsWith('.inspect'))
        throw new GatewayError('object-not-found', `${missing(call.operation.resource, name).message} (${why})`);
      throw new GatewayError('tenant-not-served', why);
    }
    this.serving = serving;
    const own = await resolveOwn(call, this);
    return withPairs(own, this.limits, this.ledger.owned(this.tenant, 'container', own.path.id ?? ''));
  }

  /**
   * Takes the names the call will make and stamps its labels, once all has been decided.
   *
   * @throws {GatewayError} `conflict` for a name that is not the tenant's to take, `quota-exceeded`, `rate-limited`
   */
  async reserve(call: EngineCall): Promise<EngineCall> {
    this.#enter(call);
    const { call: stamped, pending } = await reserve(call, this);
    // Between the questions to the engine and this line another call may have taken a name; from here on none can.
    if (this.pulls !== undefined && givesOthersName(this.pulls, this.tenant, this.ledger))
      throw taken('image', this.pulls);
    for (const { kind, id, isPulled } of pending) {
      // What a registry has under a name several tenants may pull.
      if (id === '' || isPulled === true) continue;
      const isTaken = this.ledger.holders(kind, id).some(({ tenant }) => tenant !== this.tenant);
      const isHeld =
        kind === 'image' ? isTakenByCalls(id, this) : this.state.holds.isHeldByOthers(kind, id, this.tenant);
      if (isTaken || isHeld) throw taken(kind, id);
    }
    const share = takeShare(stamped, pending, this);
    this.pending = [...share.pending];
    this.#change = share.change;
    for (const entry of this.reserved) this.ledger.apply(entry);
    return stamped;
  }

  /** The reserved entries: to be written with the intent. */
  get reserved(): readonly LedgerEntry[] {
    return this.#change === undefined ? this.pending : [...this.pending, this.#change.reserved];
  }

  /** A container was started or changed, or was not, or the outcome is unknown: gives the entries that hold now, applied already. */
  settleShare(end: 'done' | 'undone' | 'unknown'): readonly LedgerEntry[] {
    const change = this.#change;
    if (change === undefined) return [];
    this.#change = undefined;
    // A change that may have been made stays reserved.
    if (end === 'unknown') return [];
    // More may be known of it by now: that it ended, say.
    if (this.ledger.byKey(change.reserved.key) !== change.reserved) return [];
    const entry = end === 'done' ? change.done : change.undone;
    this.ledger.apply(entry);
    return [entry];
  }

  #enter(call: EngineCall): void {
    if (this.limits === undefined) return;
    const leave = this.state.rates.enter(this.owner, countedAs(call, this.isUnread), this.limits);
    if (leave !== undefined) this.#leave.push(leave);
  }

  /** A door of BuildKit that passes unread: every build behind it is one with its connection. */
  isUnread = false;

  /** What this call makes is removed after this time, in ms. */
  lease(ms: number): void {
    this.owner = { ...this.owner, leaseUntil: this.owner.atMs + ms };
  }

  /** A new entry of this call's: each has a key of its own, the first ends in 0. */
  make(what: Parameters<typeof newEntry>[2]): LedgerEntry {
    return newEntry(this.owner, this.#made++, what);
  }

  /** A build is about to fetch an image: its name is the tenant's from now on, even if the call fails. */
  bring(name: string, now: string | undefined): void {
    if (this.broughtByBuild.has(name) || this.ledger.owned(this.tenant, 'image', name) !== undefined) return;
    const entry = this.make({ kind: 'image', id: name, name, state: 'pending', isPulled: true, parent: now });
    this.broughtByBuild.set(name, entry);
    this.ledger.apply(entry);
    this.state.remember([entry], this.owner);
  }

  /** A build did not get an image after all: it is certain that it is no claim, or what became of the name is looked at later. */
  failed(name: string, isCertain: boolean): void {
    const entry = this.broughtByBuild.get(name);
    if (entry === undefined) return;
    this.broughtByBuild.delete(name);
    if (!isCertain) {
      this.onRelease(() => this.state.lookSoon());
      return;
    }
    const voided: LedgerEntry = { ...entry, state: 'void' };
    this.ledger.apply(voided);
    this.state.remember([voided], this.owner);
  }

  /** Holds a name until the call is over. */
  hold(kind: string, name: string): void {
    this.#release.push(this.state.holds.hold(kind, name, this.tenant));
  }

  /** Does something when the call is over. */
  onRelease(work: () => void): void {
    this.#leave.push(work);
  }

  /** Nothing was sent: what was reserved is free again. */
  abandon(): void {
    for (const entry of this.pending) this.ledger.apply({ ...entry, state: 'void' });
    this.pending = [];
    this.settleShare('undone');
  }

  /** The call failed on its way: names that surely do not exist are free again. Gives the entries that hold now, applied already. */
  withdraw(): readonly LedgerEntry[] | undefined {
    if (!this.isUploadBroken || this.pending.length === 0) return undefined;
    const voided = this.pending.map((entry): LedgerEntry => ({ ...entry, state: 'void' }));
    for (const entry of voided) this.ledger.apply(entry);
    this.pending = [];
    return voided;
  }

  /** The call is over, however it ended. */
  release(): void {
    this.#letGo();
    this.state.underWay.delete(this.owner.auditId);
    for (const leave of this.#leave.splice(0)) leave();
  }

  #letGo(): void {
    for (const release of this.#release) release();
    this.#release = [];
  }
}

/** What a call counts as while it lasts. A build with BuildKit is a call of its own on connections that are streams. */
function countedAs({ operation, build }: EngineCall, isUnread: boolean): readonly ('builds' | 'streams')[] {
  if (build !== undefined) return ['builds'];
  if (operation.stream === 'none') return [];
  if (operation.resource !== 'build' || (operation.stream === 'h2c' && !isUnread)) return ['streams'];
  return ['builds', 'streams'];
}
