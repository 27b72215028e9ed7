// Every code this program answers with, its HTTP status and its title; and the one error class that carries one.
// Rooms throw a code; only this table knows the status. Codes are shared by denials, admin problems and the audit.

/** Code to HTTP status and human title (RFC 9457 `title`). Codes are stable: scripts may rely on them. */
export const ERROR_CODES = {
  // listen
  'request-malformed': { status: 400, title: 'The request could not be read' },
  'header-too-large': { status: 431, title: 'The request head is too large' },
  'request-timeout': { status: 408, title: 'The request was not sent in time' },
  'upgrade-not-allowed': { status: 400, title: 'This operation does not upgrade' },
  'too-many-connections': { status: 503, title: 'The gateway has no free connection' },
  // authenticate
  'token-missing': { status: 401, title: 'No credentials were presented' },
  'token-malformed': { status: 401, title: 'The token could not be read' },
  'token-ambiguous': { status: 401, title: 'More than one credential was presented' },
  'token-invalid': { status: 401, title: 'The token is not valid here' },
  'token-expired': { status: 401, title: 'The token has expired' },
  'token-not-yet-valid': { status: 401, title: 'The token is not yet valid' },
  'token-revoked': { status: 401, title: 'The token was revoked' },
  'token-key-unknown': { status: 401, title: 'The key of the token is not known' },
  'token-replayed': { status: 401, title: 'The token was used from elsewhere' },
  'issuer-unavailable': { status: 503, title: 'The keys of the issuer cannot be had' },
  'identity-unknown': { status: 401, title: 'The token names no known identity' },
  'identity-disabled': { status: 401, title: 'The identity is disabled' },
  'certificate-untrusted': { status: 401, title: 'The client certificate is of no CA known here' },
  'certificate-unknown': { status: 401, title: 'The client certificate was not issued here' },
  'certificate-unsuitable': { status: 401, title: 'The certificate is not one for clients' },
  'certificate-expired': { status: 401, title: 'The client certificate has expired' },
  'certificate-not-yet-valid': { status: 401, title: 'The client certificate is not yet valid' },
  'certificate-revoked': { status: 401, title: 'The client certificate was revoked' },
  'certificate-mismatch': { status: 401, title: 'The token is bound to another certificate' },
  'identity-not-mapped': { status: 401, title: 'The credentials are mapped to no identity' },
  'identity-ambiguous': { status: 401, title: 'The credentials are mapped to more than one identity' },
  'credentials-conflict': { status: 401, title: 'Token and certificate name two identities' },
  // token endpoint (RFC 6749 section 5.2)
  'client-invalid': { status: 401, title: 'The credential is not valid' },
  'grant-invalid': { status: 400, title: 'The grant is not valid' },
  'grant-too-wide': { status: 400, title: 'More was asked for than there is to give' },
  'grant-type-unsupported': { status: 400, title: 'The grant type is not served' },
  'details-invalid': { status: 400, title: 'The authorization details are not valid' },
  'too-many-attempts': { status: 429, title: 'Too many attempts failed' },
  'too-many-calls': { status: 429, title: 'Too many calls at once' },
  // classify and decode
  'path-not-canonical': { status: 400, title: 'The path is not in its canonical form' },
  'version-unsupported': { status: 400, title: 'The API version is not served' },
  'operation-unknown': { status: 404, title: 'No such operation' },
  'query-ambiguous': { status: 400, title: 'The query can be read in more than one way' },
  'query-unknown': { status: 400, title: 'A query parameter is not known' },
  'body-ambiguous': { status: 400, title: 'The body can be read in more than one way' },
  'body-malformed': { status: 400, title: 'The body could not be read' },
  'body-too-large': { status: 413, title: 'The body is too large' },
  'body-not-allowed': { status: 400, title: 'This operation takes no body' },
  'content-type-unsupported': { status: 400, title: 'The content type is not served' },
  // decide
  'operation-not-allowed': { status: 403, title: 'No policy allows the operation' },
  'denied-by-policy': { status: 403, title: 'A policy denies the operation' },
  'host-field-denied': { status: 403, title: 'A host setting is not allowed' },
  'build-denied': { status: 403, title: 'A build asks for what is not allowed' },
  'build-opaque-needed': { status: 403, title: 'BuildKit passes through unread' },
  'scope-exceeded': { status: 403, title: 'The token is not valid for the operation' },
  'rule-error': { status: 403, title: 'A rule could not be evaluated' },
  'archive-unreadable': { status: 400, title: 'The archive cannot be judged' },
  'label-reserved': { status: 403, title: 'The label is written by the gateway' },
  'storage-full': { status: 507, title: 'There is no space for the upload' },
  'tenant-not-served': { status: 403, title: 'The operation is not served to tenants' },
  'quota-exceeded': { status: 403, title: 'The share is used up' },
  'rate-limited': { status: 429, title: 'Too many requests at once' },
  'ledger-unsettled': { status: 503, title: 'Who owns what is not certain' },
  'object-not-found': { status: 404, title: 'No such object' },
  // admit
  'plugin-denied': { status: 403, title: 'A plugin denies the operation' },
  'plugin-failed': { status: 403, title: 'A plugin failed, so the operation is denied' },
  'mutation-not-stable': { status: 403, title: 'Plugins keep changing the request' },
  // record
  'audit-unwritable': { status: 503, title: 'The audit log cannot be written' },
  'transcript-unwritable': { status: 503, title: 'The session cannot be recorded' },
  'shutting-down': { status: 503, title: 'The gateway is stopping' },
  // send
  'engine-busy': { status: 503, title: 'There is no free connection to the engine' },
  'engine-unreachable': { status: 502, title: 'The engine cannot be reached' },
  'response-withheld': { status: 502, title: 'A plugin could not judge the answer' },
  'engine-answer-malformed': { status: 502, title: 'The engine gave an answer that cannot be read' },
  'engine-timeout': { status: 504, title: 'The engine did not answer in time' },
  // connect: the local process in front of a client
  'gateway-unreachable': { status: 502, title: 'The gateway cannot be reached' },
  'credential-unavailable': { status: 502, title: 'There is no credential to present' },
  // admin, configuration and store
  'admin-forbidden': { status: 403, title: 'Only an operator may do this' },
  'not-found': { status: 404, title: 'Not found' },
  conflict: { status: 409, title: 'It already exists' },
  'input-invalid': { status: 422, title: 'The input is not valid' },
  'config-invalid': { status: 500, title: 'The configuration is not valid' },
  'media-type-unsupported': { status: 415, title: 'The media type is not served' },
  'store-newer': { status: 500, title: 'The database belongs to a newer version' },
  'store-corrupt': { status: 500, title: 'The database is damaged' },
  'store-locked': { status: 500, title: 'Another process holds the data folder' },
  internal: { status: 500, title: 'The gateway failed' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** HTTP status that belongs to a code. */
export const statusOf = (code: ErrorCode): number => ERROR_CODES[code].status;

/** Short human title of a code, without a final period. */
export const titleOf = (code: ErrorCode): string => ERROR_CODES[code].title;

/** A question that could not be answered, or input that is refused. Its message is shown to the caller: no secrets. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  /** What operators may know beyond the message: kept in the audit, never shown to the caller. */
  readonly audit: Readonly<Record<string, unknown>> | undefined;
  /** Seconds after which the same call may succeed: `Retry-After` (RFC 9110 section 10.2.3). */
  readonly retryAfterS: number | undefined;
  constructor(
    code: ErrorCode,
    message: string,
    options?: { cause?: unknown; audit?: Readonly<Record<string, unknown>> | undefined; retryAfterS?: number },
  ) {
    super(message, options);
    this.name = 'GatewayError';
    this.code = code;
    this.audit = options?.audit;
    this.retryAfterS = options?.retryAfterS;
  }
  get status(): number {
    return statusOf(this.code);
  }
}
