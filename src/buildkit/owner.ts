// Whose a build, a session or a cache is, written into its name: BuildKit knows no owners, so the gateway puts a mark in front of
// every id a caller names, and takes it away from what the caller sees. An id of another's can then not even be spelt. The marks
// are made with a secret of the installation: a frontend image that runs inside the engine cannot compute another's. Pure.
import { createHmac } from 'node:crypto';
import { Refusal } from './grpc.ts';

/** Characters of a mark: 80 bits. */
const MARK_LENGTH = 16;
/** Address of the host that marks steps: nothing answers there (RFC 5737). */
export const CACHE_ADDRESS = '192.0.2.1';
const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

export class Owner {
  /** In front of ids of builds and sessions. */
  readonly mark: string;
  /** Name space of cache mounts: the tenant's, or the identity's where it has none. */
  readonly space: string;
  /**
   * Name of a host every step of the same name space knows. BuildKit's key of a step holds the names of its extra hosts, but not
   * their addresses, proxies or secrets: so a build of another name space neither finds a step nor joins it while it runs.
   */
  readonly cacheHost: string;

  constructor(
    secret: Uint8Array,
    who: { readonly issuer: string; readonly subject: string; readonly tenant?: string },
  ) {
    const { issuer, subject, tenant } = who;
    this.mark = markOf(secret, ['owner', issuer, subject, tenant ?? '']);
    const holder = tenant === undefined ? ['identity', issuer, subject] : ['tenant', tenant];
    this.space = markOf(secret, ['space', ...holder]);
    // Not the name space itself: a published record of a build may show this name.
    this.cacheHost = `${markOf(secret, ['cache', ...holder])}.cache.dockgate.internal`;
  }

  /**
   * The id the engine hears in place of a caller's.
   *
   * @throws {Refusal} for a text that is no id
   */
  own(id: string, what: string): string {
    if (!ID.test(id)) {
      throw new Refusal(
        'invalid-argument',
        `${what} is ${JSON.stringify(id.slice(0, 80))}, which is no id of a build or a session`,
      );
    }
    return this.mark + id;
  }

  /** The caller's own id behind one of the engine's; undefined when it is another's. */
  original(id: string): string | undefined {
    return id.startsWith(this.mark) ? id.slice(MARK_LENGTH) : undefined;
  }

  /** A text as the caller sees it: without marks. */
  shown(text: string): string {
    return text
      .replaceAll(this.mark, '')
      .replaceAll(`${this.space}/`, '')
      .replaceAll(this.space, '')
      .replaceAll(`${this.cacheHost}=${CACHE_ADDRESS},`, '');
  }
}

/** Letters and digits of base 32, in lower case: fit for every place an id is used in. */
function markOf(secret: Uint8Array, parts: readonly string[]): string {
  const digest = createHmac('sha256', secret).update(JSON.stringify(parts)).digest();
  let bits = 0n;
  for (const byte of digest.subarray(0, 10)) bits = (bits << 8n) | BigInt(byte);
  let mark = '';
  for (let i = 0; i < MARK_LENGTH; i++) {
    mark += 'abcdefghijklmnopqrstuvwxyz234567'[Number(bits & 31n)];
    bits >>= 5n;
  }
  return mark;
}
