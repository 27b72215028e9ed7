// Entries for tests of the ledger: a tenant's objects in few words.
import type { LedgerEntry } from '../../src/ledger/entry.ts';

let count = 0;

/** A live entry; `more` changes anything of it. */
export function entry(
  tenant: string,
  kind: LedgerEntry['kind'],
  id: string,
  more: Partial<LedgerEntry> = {},
): LedgerEntry {
  const auditId = `audit-${++count}`;
  return {
    key: `${auditId}/0`,
    kind,
    id,
    name: kind === 'volume' || kind === 'image' ? id : '',
    tenant,
    owner: `${tenant}-user`,
    auditId,
    state: 'live',
    createdAt: 1000,
    ...more,
  };
}

/** 64 digits that begin with these. */
export const idOf = (digits: string): string => digits.padEnd(64, '0');
