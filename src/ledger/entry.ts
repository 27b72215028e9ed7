// One object of one tenant, as the ledger keeps it. A change of the ledger is the whole entry as it is afterwards, so that
// writing it twice is writing it once.
import type { ResourceKind } from '../engine/types.ts';
import type { Share } from './share.ts';

/** Kinds of objects that can belong to a tenant. */
export type OwnedKind = Extract<
  ResourceKind,
  'container' | 'exec' | 'volume' | 'network' | 'image' | 'service' | 'secret' | 'config'
>;

/**
 * - `pending`: the call that makes it is under way; its name is taken, its id not known
 * - `live`: the engine has it
 * - `removed`: the engine had it
 * - `void`: it never came to be
 */
export type EntryState = 'pending' | 'live' | 'removed' | 'void';

export interface LedgerEntry {
  /** The ledger's own key: audit id of the call that made it, and a number within that call. */
  readonly key: string;
  readonly kind: OwnedKind;
  /**
   * Full id as the engine has it; empty while pending where the engine chooses it. Volumes are known by their name, images by
   * canonical reference, `docker.io/library/app:1`, or by id where they have no name.
   */
  readonly id: string;
  /** Name without leading slash; empty where it has none. */
  readonly name: string;
  readonly tenant: string;
  /** Subject that made or adopted it. */
  readonly owner: string;
  readonly tokenId?: string | undefined;
  /** Audit id of the call that made or adopted it. */
  readonly auditId: string;
  readonly state: EntryState;
  /** Milliseconds since the epoch, UTC: when the call that made it was let through. */
  readonly createdAt: number;
  readonly removedAt?: number | undefined;
  /** Key of the entry that took its name. */
  readonly replacedBy?: string | undefined;
  /** Container of an exec instance, full id; image id behind an image reference. */
  readonly parent?: string | undefined;
  /** When the engine says a volume was made, as text: another value is another volume of the same name. */
  readonly engineCreatedAt?: string | undefined;
  /** A reference pulled from its registry: other tenants may pull it as well. */
  readonly isPulled?: boolean | undefined;
  /** All tenants could use the image when this name of it was given or pulled: they still can. */
  readonly isCommon?: boolean | undefined;
  /** What a container takes of its tenant's share. */
  readonly share?: Share | undefined;
  /** When the lease of an object ends and it is removed, in milliseconds since the epoch. */
  readonly leaseUntil?: number | undefined;
  /** The container runs, or is about to. */
  readonly isRunning?: boolean | undefined;
}

/** Who makes an object. */
export interface Owner {
  readonly tenant: string;
  readonly subject: string;
  readonly tokenId?: string | undefined;
  readonly auditId: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** When what is made is to be removed, in milliseconds since the epoch. */
  readonly leaseUntil?: number | undefined;
}

/** A new entry of an owner's. `number` tells objects of one call apart. */
export const newEntry = (
  owner: Owner,
  number: number,
  what: Pick<LedgerEntry, 'kind' | 'id' | 'name' | 'state'> & Partial<LedgerEntry>,
): LedgerEntry => ({
  key: `${owner.auditId}/${number}`,
  tenant: owner.tenant,
  owner: owner.subject,
  tokenId: owner.tokenId,
  auditId: owner.auditId,
  createdAt: owner.atMs,
  leaseUntil: owner.leaseUntil,
  ...what,
});

/**
 * Key of an entry that follows from another one: of each object one key, however often it is found out, and no other object's.
 *
 * @param from the other's key, or the audit id of its call
 */
export const derivedKey = (from: string, kind: OwnedKind, id: string): string => `${from}/${kind}/${id}`;
