// Masks what the audit keeps with a key of this data folder that is not in the audit log, so that equal secrets can be recognised
// by an operator and cannot be read back.
import type { AuditEvent } from '../audit/event.ts';
import { Masking } from '../audit/masking.ts';

/** Under this name the key is kept, sealed. */
export const REDACTION_KEY = 'audit.redaction-key';

export const maskingFor = (key: Uint8Array): Masking => new Masking(key);

/** Takes secrets out of rows the gateway makes of its own: of admin calls and token requests, which strangers may send too. */
export const maskRowsWith =
  (masking: Masking) =>
  (event: AuditEvent): AuditEvent => {
    const { client, resource, detail, action } = event;
    const masked: { -readonly [K in keyof AuditEvent]: AuditEvent[K] } = { ...event };
    if (client !== undefined) masked.client = masking.client(client);
    if (action === 'admin.request' && resource !== undefined) {
      const [method = '', path = ''] = resource.split(' ', 2);
      masked.resource = `${masking.text(method)} ${masking.path(path)}`;
    } else if (resource !== undefined) masked.resource = masking.text(resource);
    // What a reader searched for is a word mostly, and may be a secret.
    if (action === 'audit.read' && detail !== undefined) masked.detail = wordsOf(detail, masking);
    if (typeof detail?.message === 'string') masked.detail = { ...detail, message: masking.text(detail.message) };
    return masked;
  };

const wordsOf = (detail: Readonly<Record<string, unknown>>, masking: Masking): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(detail).map(([key, value]) => [
      key,
      typeof value !== 'string'
        ? value
        : key === 'text' || key === 'client'
          ? masking.client(value)
          : masking.text(value),
    ]),
  );
