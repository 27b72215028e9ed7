// Client certificates behind the admin API: issue, list, revoke one or all of an identity.
import { GatewayError } from '../errors.ts';
import type { CertificateIssuer } from '../identity/client-certificates.ts';
import type { CertificateRecord, CertificateStore, IdentityRecord } from '../identity/stores.ts';
import type { PerformChange } from './change.ts';
import type { ChangeContext } from './services.ts';

export interface NewCertificate {
  readonly identity: string;
  readonly ttlMs: number;
  /** PKCS #10 in PEM. */
  readonly request: string;
}

export interface CertificateServices {
  /** `ca` is what the owner must trust to reach the listeners, PEM. */
  issueCertificate(
    input: NewCertificate,
    context: ChangeContext,
  ): Promise<{ certificate: string; ca: string; record: CertificateRecord }>;
  listCertificates(filter: { identity?: string }): readonly CertificateRecord[];
  /** @throws {GatewayError} `not-found` */
  revokeCertificate(serial: string, context: ChangeContext): Promise<CertificateRecord>;
  /** @returns those that were valid until now */
  revokeCertificatesOf(identity: string, context: ChangeContext): Promise<readonly CertificateRecord[]>;
}

export interface CertificateParts {
  readonly store: CertificateStore;
  readonly issuer: CertificateIssuer;
  /** PEM of the CAs of the listeners' own certificates. */
  serverCa(): string;
  /** Something was revoked in the store: make it count at once, on live streams too. */
  onRevoked(): void;
}

export const createCertificateServices = (
  parts: CertificateParts | undefined,
  change: PerformChange,
  showIdentity: (name: string) => IdentityRecord,
  now: () => number,
): CertificateServices => {
  const { store, issuer, serverCa, onRevoked } = parts ?? without();
  const show = (serial: string): CertificateRecord => {
    const found = store.get(serial);
    if (!found) throw new GatewayError('not-found', `there is no certificate ${serial}`);
    return found;
  };
  return {
    issueCertificate: (input, context) =>
      change(context, {
        action: 'certificate.create',
        resource: `identity/${input.identity}`,
        detail: { ttlMs: input.ttlMs },
        check() {
          if (showIdentity(input.identity).disabled) {
            throw new GatewayError('conflict', `identity ${input.identity} is disabled; enable it first`);
          }
        },
        async perform() {
          const { certificate, record } = await issuer.issue({ ...input, by: context.by.subject });
          return { certificate, ca: serverCa(), record };
        },
        outcome: ({ record: { serial } }) => ({ resourceId: serial }),
      }),
    listCertificates: (filter) => store.list(filter),
    revokeCertificate: (serial, context) =>
      change(context, {
        action: 'certificate.revoke',
        resource: `certificate/${serial}`,
        check: () => show(serial),
        perform() {
          store.revoke(serial, now());
          onRevoked();
          return show(serial);
        },
      }),
    revokeCertificatesOf: (identity, context) =>
      change(context, {
        action: 'certificate.revoke',
        resource: `identity/${identity}`,
        check() {
          // One that was deleted may still have left certificates behind.
          if (store.list({ identity }).length === 0) showIdentity(identity);
        },
        perform() {
          const at = now();
          const valid = store.list({ identity }).filter((one) => one.revokedAt === undefined && one.expiresAt > at);
          for (const { serial } of valid) store.revoke(serial, at);
          onRevoked();
          return valid.map(({ serial }) => show(serial));
        },
      }),
  };
};

/** For services over fakes that have no certificates. */
const without = (): CertificateParts => {
  const refuse = (): never => {
    throw new GatewayError('not-found', 'this gateway issues no certificates');
  };
  return {
    store: { insert: refuse, get: refuse, list: refuse, revoke: refuse, revoked: refuse },
    issuer: { issue: refuse },
    serverCa: refuse,
    onRevoked: refuse,
  };
};
