// API versions of the Engine: which are served, and what a client is told of the others.
import { GatewayError } from '../errors.ts';

/** Newest version the operation table and the schemas know, as a minor number: 1.56. */
export const NEWEST_MINOR = 56;
/**
 * Oldest version served unless configured otherwise. Below it, engines of old read a HostConfig from the body of a start. What
 * changes something is sent at a newer one (gateway/settle-version.ts).
 */
export const OLDEST_MINOR = 24;

export interface VersionLimits {
  readonly minMinor?: number;
  readonly maxMinor?: number;
}

/** The minor number of `1.43`; undefined for a text that is no version of the Engine API. */
export function minorOf(version: unknown): number | undefined {
  const found = typeof version === 'string' ? /^1\.(\d{1,4})$/.exec(version) : null;
  return found === null ? undefined : Number(found[1]);
}

/** The way out for a client that pins its version; Go clients read it, and most others that take any. */
const wayOut = (minor: number): string => `(or have it speak that version: DOCKER_API_VERSION=1.${minor})`;

/**
 * Reads a version prefix. The engine accepts `[0-9.]+`, compared number by number; only the one spelling `v1.N` is served,
 * so that engine and gateway read the same version.
 *
 * @param segment first path segment, `v1.43`
 * @throws {GatewayError} `version-unsupported`, in words Docker clients know
 */
export function readVersion(segment: string, limits: VersionLimits = {}): string {
  const found = /^v1\.(0|[1-9]\d{0,3})$/.exec(segment);
  if (found === null)
    throw new GatewayError(
      'version-unsupported',
      `the API version ${JSON.stringify(segment)} must be written as v1.43`,
    );
  const minor = Number(found[1]);
  const min = limits.minMinor ?? OLDEST_MINOR;
  const max = limits.maxMinor ?? NEWEST_MINOR;
  if (minor < min) {
    throw new GatewayError(
      'version-unsupported',
      `client version 1.${minor} is too old. Minimum supported API version is 1.${min}, please upgrade your client to a newer version ${wayOut(min)}; the gateway's setting is apiVersions.min`,
    );
  }
  if (minor > max) {
    throw new GatewayError(
      'version-unsupported',
      `client version 1.${minor} is too new. Maximum supported API version is 1.${max} ${wayOut(max)}; the gateway's setting is apiVersions.max`,
    );
  }
  return `1.${minor}`;
}
