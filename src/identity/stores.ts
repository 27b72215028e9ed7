// What the identity room needs remembered: identities, issued tokens, signing keys. `store` implements these.
// Times are milliseconds since the epoch.
import type { DockerAuthorization } from '../policy/types.ts';

export interface IdentityRecord {
  readonly name: string;
  readonly tenant?: string;
  readonly groups: readonly string[];
  /** Policies bound to this identity by name. */
  readonly policies: readonly string[];
  readonly disabled: boolean;
  readonly createdAt: number;
  /** Longest life of a token issued to it, in ms; the gateway's own limit holds as well. */
  readonly maxTtlMs?: number;
}

/** What of an identity may be changed; `null` takes its tenant away. */
export interface IdentityChanges {
  readonly tenant?: string | null;
  readonly groups?: readonly string[];
  readonly policies?: readonly string[];
}

export interface IdentityStore {
  /**
   * Rises with every change made through this object, so that readers may keep what they read.
   * A store without it is asked anew on every request.
   */
  readonly generation?: number;
  /** @throws {GatewayError} `conflict` when the name is taken */
  insert(record: IdentityRecord): void;
  get(name: string): IdentityRecord | undefined;
  list(): readonly IdentityRecord[];
  /** @throws {GatewayError} `not-found` */
  setDisabled(name: string, disabled: boolean): void;
  /** Undefined takes the limit away. @throws {GatewayError} `not-found` */
  setMaxTtl(name: string, maxTtlMs: number | undefined): void;
  /** A field that is left out stays as it is. @throws {GatewayError} `not-found` */
  update(name: string, changes: IdentityChanges): void;
  /** Also revokes its tokens, credentials and certificates, and forgets its sockets. @throws {GatewayError} `not-found` */
  delete(name: string): void;
}

export interface TokenRecord {
  /** `jti`, UUIDv7. */
  readonly id: string;
  readonly identity: string;
  readonly scope?: readonly string[];
  readonly authorizationDetails?: readonly DockerAuthorization[];
  /** Ids of the tokens and the credential it was made from, the nearest first. Revoking one of them ends it too. */
  readonly ancestors?: readonly string[];
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly revokedAt?: number;
  readonly issuedBy: string;
}

export interface TokenStore {
  insert(record: TokenRecord): void;
  get(id: string): TokenRecord | undefined;
  list(filter?: { identity?: string }): readonly TokenRecord[];
  /** Idempotent. @throws {GatewayError} `not-found` */
  revoke(id: string, at: number): void;
  /** Revokes what was issued to an identity before a moment and is not revoked yet. @returns how many tokens that were */
  revokeIssuedBefore(identity: string, before: number, at: number): number;
  /** Ids of revoked tokens that have not expired at `now`. */
  revoked(now: number): readonly string[];
  /** Removes what ended before a moment; the audit still knows of it. */
  forget(before: number): void;
}

/** A client certificate issued here: its identifying fields, never its key. */
export interface CertificateRecord {
  /** Lower-case hex, as in the certificate. */
  readonly serial: string;
  readonly identity: string;
  /** SHA-256 of the DER certificate in base64url: `x5t#S256` of RFC 8705. */
  readonly thumbprint: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly revokedAt?: number;
  readonly issuedBy: string;
}

export interface CertificateStore {
  /** @throws {GatewayError} `conflict` when the serial is taken */
  insert(record: CertificateRecord): void;
  get(serial: string): CertificateRecord | undefined;
  /** Newest first. */
  list(filter?: { identity?: string }): readonly CertificateRecord[];
  /** Idempotent. @throws {GatewayError} `not-found` */
  revoke(serial: string, at: number): void;
  /** Serials of revoked certificates that have not expired at `now`. */
  revoked(now: number): readonly string[];
}

/** A unix socket bound to an identity, made while the gateway ran. */
export interface SocketRecord {
  /** Absolute path of the socket file. */
  readonly path: string;
  readonly identity: string;
  /** Permission bits of the socket file. */
  readonly mode: number;
  /** Group of the socket file, by name or number; left out for the gateway's own. */
  readonly group?: string;
  readonly createdAt: number;
  readonly createdBy: string;
}

export interface SocketStore {
  /** @throws {GatewayError} `conflict` when the path is taken */
  insert(record: SocketRecord): void;
  get(path: string): SocketRecord | undefined;
  list(): readonly SocketRecord[];
  /** @throws {GatewayError} `not-found` */
  remove(path: string): void;
}

/** A long-lived secret of a bot, good for short tokens only. The secret itself is not kept. */
export interface CredentialRecord {
  /** UUIDv7. */
  readonly id: string;
  readonly identity: string;
  /** SHA-256 of the secret in hex: it has 256 random bits, so nothing slower is needed. */
  readonly hash: string;
  readonly scope?: readonly string[];
  readonly authorizationDetails?: readonly DockerAuthorization[];
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly revokedAt?: number;
  readonly createdBy: string;
  readonly lastUsedAt?: number;
  /** Tokens issued for it. */
  readonly uses: number;
}

export interface CredentialStore {
  insert(record: CredentialRecord): void;
  get(id: string): CredentialRecord | undefined;
  byHash(hash: string): CredentialRecord | undefined;
  list(filter?: { identity?: string }): readonly CredentialRecord[];
  /** Idempotent. @throws {GatewayError} `not-found` */
  revoke(id: string, at: number): void;
  /** As for tokens. */
  revokeIssuedBefore(identity: string, before: number, at: number): number;
  /** Ids of revoked credentials that have not expired at `now`. */
  revoked(now: number): readonly string[];
  /** Removes what ended before a moment; the audit still knows of it. */
  forget(before: number): void;
  /** Counts one use. */
  used(id: string, at: number): void;
}

/** What became of a token since it was issued. */
export interface TokenUse {
  readonly lastUsedAt: number;
  readonly calls: number;
  readonly denials: number;
}

export interface TokenUseStore {
  get(tokenId: string): TokenUse | undefined;
  /** Sequence number of the last audit row that is counted. */
  countedTo(): number;
  /** Adds to the stored uses, all or none, and moves `countedTo`. */
  add(uses: ReadonlyMap<string, TokenUse>, countedTo: number): void;
  /** Removes the uses of tokens that were last used before a moment. */
  forget(before: number): void;
}

export interface SigningKeyRecord {
  readonly kid: string;
  readonly algorithm: 'Ed25519';
  /** JSON of the private JWK, sealed (a compact JWE) once a seal key is there; empty when the key signs no more. */
  readonly privateJwk: string;
  readonly publicJwk: string;
  readonly state: 'next' | 'active' | 'retiring';
  readonly createdAt: number;
  /** Since when it is in its state. */
  readonly stateAt: number;
}

export interface KeyStore {
  list(): readonly SigningKeyRecord[];
  /** Inserts or replaces keys by `kid` and removes others, all or nothing. */
  apply(change: { readonly put?: readonly SigningKeyRecord[]; readonly remove?: readonly string[] }): void;
}
