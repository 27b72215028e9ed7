// The seal among the labels of an object: proof that the gateway wrote them for an object of that kind. With it the ledger can be
// made again from the engine's objects: labels alone are no proof, as an operator's container has those of the image it was made
// from, and an image those of the one it was built on. Images carry no seal for that reason.
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { OwnedKind, Owner } from './entry.ts';
import { AUDIT_LABEL, OWNER_LABEL, SEAL_LABEL, TENANT_LABEL } from './labels.ts';

/** Kinds whose objects carry a seal. */
export type SealedKind = Exclude<OwnedKind, 'image' | 'exec'>;

/** What a seal says. */
export type Sealed = Pick<Owner, 'tenant' | 'subject' | 'auditId'>;

/** @param key at least 16 bytes, known to the gateway alone */
export class LedgerSeal {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** 43 characters of base64url. */
  of(kind: SealedKind, { tenant, subject, auditId }: Sealed): string {
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([kind, tenant, subject, auditId]))
      .digest('base64url');
  }

  /** Whose object of a kind its labels prove it to be; undefined where they prove nothing. */
  read(kind: SealedKind, labels: Readonly<Record<string, unknown>> | undefined): Sealed | undefined {
    const text = (key: string): string => {
      const value = labels?.[key];
      return typeof value === 'string' ? value : '';
    };
    const sealed = { tenant: text(TENANT_LABEL), subject: text(OWNER_LABEL), auditId: text(AUDIT_LABEL) };
    if (sealed.tenant === '' || sealed.auditId === '') return undefined;
    const given = Buffer.from(text(SEAL_LABEL));
    const due = Buffer.from(this.of(kind, sealed));
    return given.length === due.length && timingSafeEqual(given, due) ? sealed : undefined;
  }
}
