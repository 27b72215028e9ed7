// Whether a call brings its caller's own credentials for a registry: X-Registry-Auth, as the Engine API reference describes it.
// The docker CLI always sends the header, empty where its user has not logged in.

/** Fields of AuthConfig that are a credential. */
const SECRETS = ['password', 'auth', 'identitytoken', 'registrytoken'];
/** Headers are limited anyway; a longer value is no credential. */
const MAX_LENGTH = 64 * 1024;
/** The alphabet for addresses, padded: the engine reads no other and takes the rest for no credentials (RFC 4648 section 5). */
const BASE64URL = /^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?$/;

/** @param values every X-Registry-Auth line of the request */
export function hasRegistryCredentials(values: readonly string[]): boolean {
  const [value] = values;
  if (value === undefined || values.length !== 1 || value.length > MAX_LENGTH || !BASE64URL.test(value)) return false;
  try {
    return isCredential(JSON.parse(Buffer.from(value, 'base64url').toString('utf8')));
  } catch {
    return false;
  }
}

/** Whether an AuthConfig holds a credential. */
export function isCredential(config: unknown): boolean {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) return false;
  return SECRETS.some((name) => {
    const value = (config as Record<string, unknown>)[name];
    return typeof value === 'string' && value !== '';
  });
}
