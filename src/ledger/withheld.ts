// Images without a known owner, after the ledger was lost: they are withheld from every tenant until an operator gives them to one or
// to all. In the ledger they have an owner whose name no tenant can have.
import type { LedgerEntry } from './entry.ts';

/** No tenant's name begins with a bracket. */
export const NO_OWNER = '(nobody)';

export const isWithheld = ({ tenant }: Pick<LedgerEntry, 'tenant'>): boolean => tenant === NO_OWNER;

/** The entry that withholds an image under one of its names, or under its id. */
export const withheldEntry = (
  auditId: string,
  number: number,
  id: string,
  imageId: string,
  atMs: number,
): LedgerEntry => ({
  key: `${auditId}/${number}`,
  kind: 'image',
  id,
  name: id,
  tenant: NO_OWNER,
  owner: '',
  auditId,
  state: 'live',
  createdAt: atMs,
  parent: imageId,
});
