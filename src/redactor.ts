// Masks what the audit keeps with a key of this data folder that is not in the audit log, so that equal secrets can be recognised
// by an operator and read by nobody.
import { randomBytes } from 'node:crypto';
import { Masking } from './audit/masking.ts';
import type { Store } from './store/open.ts';

const SETTING = 'audit.redaction-key';

export function maskingFor(store: Pick<Store, 'settings'>): Masking {
  let stored = store.settings.get(SETTING);
  if (stored === undefined) {
    stored = randomBytes(32).toString('base64url');
    store.settings.set(SETTING, stored);
  }
  return new Masking(Buffer.from(stored, 'base64url'));
}
