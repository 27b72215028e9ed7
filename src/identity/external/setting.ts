// What the settings say of one external issuer: everything a token of it is held against comes from here, nothing from the
// token. RFC 8725 (JWT best practice), OpenID Connect Discovery 1.0.

/** Signature algorithms an external issuer may be pinned to: public keys only, never `none`, never HMAC. */
export const EXTERNAL_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'Ed25519',
  'EdDSA',
] as const;
export type ExternalAlgorithm = (typeof EXTERNAL_ALGORITHMS)[number];

/** `EdDSA` (RFC 8037) is the older name of `Ed25519` (RFC 9864): one algorithm, pinned by either name. */
export const canonicalAlgorithm = (algorithm: string): string => (algorithm === 'EdDSA' ? 'Ed25519' : algorithm);

/** Where the issuer's public keys are read from. */
export type KeySource =
  | { readonly kind: 'discovery' }
  | { readonly kind: 'url'; readonly url: string }
  /** A JWKS document on disk, absolute path. */
  | { readonly kind: 'file'; readonly path: string };

/**
 * A condition on one claim. `claim` is a name, or a JSON pointer (RFC 6901) when it begins with a slash:
 * `repository_id`, `/kubernetes.io/namespace`. Numbers and booleans compare as their text.
 */
export interface ClaimCondition {
  readonly claim: string;
  /**
   * - `equals`: a single value that is one of `values`
   * - `glob`: a single value that one of the patterns matches; `*` stands for any run of characters
   * - `contains`: a list that holds one of `values`
   */
  readonly kind: 'equals' | 'glob' | 'contains';
  readonly values: readonly string[];
}

/** Groups read from a list claim: only those named, so that no group of the issuer becomes one of ours by accident. */
export interface GroupsFrom {
  readonly claim: string;
  /** Names or globs of the groups that are taken over. */
  readonly only: readonly string[];
  readonly prefix: string;
}

/** One rule of the mapping: who a token with these claims is. */
export interface MappingRule {
  readonly name: string;
  /** All must hold. Empty: every token of the issuer, which the settings must say outright. */
  readonly when: readonly ClaimCondition[];
  /** Name of an existing identity: its tenant, groups and policies apply, and nothing else of the rule. */
  readonly identity?: string;
  /** Template of the subject, `github:${repository}`. */
  readonly subject?: string;
  readonly tenant?: string;
  readonly owner?: string;
  readonly groups: readonly string[];
  readonly groupsFrom?: GroupsFrom;
  readonly policies: readonly string[];
}

export interface IssuerSetting {
  /** Our short name for it, part of token ids and the audit. */
  readonly name: string;
  readonly preset?: string;
  /** `iss`, compared character by character. */
  readonly issuer: string;
  /** `aud` must hold it. */
  readonly audience: string;
  readonly algorithms: readonly ExternalAlgorithm[];
  /** Header `typ`, in lower case. Absent: none, `JWT` or `at+jwt`, so that no token made for another purpose passes. */
  readonly typ?: string;
  readonly keys: KeySource;
  /** Hosts beside the issuer's own that a discovery document may name for its keys. */
  readonly jwksHosts: readonly string[];
  /** PEM file of the CA the issuer's certificate is checked against, absolute path. Default: the system's. */
  readonly ca?: string;
  /** File with a bearer token sent when keys are fetched, read each time; absolute path. */
  readonly bearerFile?: string;
  /** Plain HTTP on loopback, for tests and development. */
  readonly insecureHttp: boolean;
  /** Longest life of a token, in ms. */
  readonly maxLifetimeMs: number;
  /** `one-source`: all uses of one `jti` must come from the address that used it first. */
  readonly replay: 'any' | 'one-source';
  /** Conditions every token must meet before any rule is looked at. */
  readonly require: readonly ClaimCondition[];
  readonly rules: readonly MappingRule[];
}
