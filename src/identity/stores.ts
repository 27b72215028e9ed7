// What the identity room needs remembered: identities, issued tokens, signing keys. `store` implements these.
// Times are milliseconds since the epoch.

export interface IdentityRecord {
  readonly name: string;
  readonly tenant?: string;
  readonly groups: readonly string[];
  /** Policies bound to this identity by name. */
  readonly policies: readonly string[];
  readonly disabled: boolean;
  readonly createdAt: number;
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
  /** Also revokes its tokens and certificates and forgets its sockets. @throws {GatewayError} `not-found` */
  delete(name: string): void;
}

export interface TokenRecord {
  /** `jti`, UUIDv7. */
  readonly id: string;
  readonly identity: string;
  readonly scope?: readonly string[];
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
  /** Ids of revoked tokens that have not expired at `now`. */
  revoked(now: number): readonly string[];
}

/** A client certificate issued here: what it is known by, never its key. */
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

export interface SigningKeyRecord {
  readonly kid: string;
  readonly algorithm: 'Ed25519';
  readonly privateJwk: string;
  readonly publicJwk: string;
  readonly state: 'next' | 'active' | 'retiring';
  readonly createdAt: number;
}

export interface KeyStore {
  insert(record: SigningKeyRecord): void;
  list(): readonly SigningKeyRecord[];
}
