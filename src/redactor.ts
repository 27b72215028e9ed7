// The redactor the gateway hands its calls to: keyed with a key of this data folder that is not in the audit log,
// so that equal secrets can be recognised by an operator and read by nobody.
import { randomBytes } from 'node:crypto';
import { redactBody, redactQuery } from './audit/redact.ts';
import type { GatewayParts } from './gateway/parts.ts';
import type { Store } from './store/open.ts';

const SETTING = 'audit.redaction-key';

export function redactorFor(store: Store): GatewayParts['redact'] {
  let stored = store.settings.get(SETTING);
  if (stored === undefined) {
    stored = randomBytes(32).toString('base64url');
    store.settings.set(SETTING, stored);
  }
  const key = Buffer.from(stored, 'base64url');
  return (call) => ({
    body: call.body === undefined ? undefined : redactBody(call.action, call.body, key),
    query: redactQuery(call.action, call.query, key),
  });
}
