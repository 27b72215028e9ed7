// An outside CA and the names its certificates may stand for, as the settings have them.

export const MAPPED_BY = ['spiffe', 'dns', 'email', 'cn'] as const;
export type MappedBy = (typeof MAPPED_BY)[number];

/** `{ by: 'dns', pattern: '*.bots.example', identity: '*' }` makes ci.bots.example identity ci. */
export interface CertificateMapping {
  readonly by: MappedBy;
  readonly pattern: string;
  /** Name of the identity, or `*` in it for what the pattern's `*` stood for. */
  readonly identity: string;
}

/** An outside CA as the settings name it. */
export interface ClientCa {
  /** PEM file: certificates that sign client certificates themselves; each one is believed. */
  readonly ca: string;
  /** PEM or DER file of a certificate revocation list. Past its next update nothing of this CA is accepted. */
  readonly crl?: string;
  readonly map: readonly CertificateMapping[];
}
