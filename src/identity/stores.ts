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
  /** Also revokes its tokens. @throws {GatewayError} `not-found` */
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
