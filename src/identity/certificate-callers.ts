// Callers known by their client certificate: judged once for each connection, then asked again on every request only for
// what may have changed - time, revocation, the identity. A verdict is kept for as long as the trust it rests on.
import { GatewayError } from '../errors.ts';
import type { Principal } from '../policy/types.ts';
import type { Principals } from './principal.ts';
import { thumbprintOf } from './read-certificate.ts';
import type { CertificateStore } from './stores.ts';
import { judgeCertificate, judgeNow, type Presented, revoked, type Trust } from './trust.ts';
import { loadedX509 } from './x509.ts';

/** Believed certificates kept in memory, so that the next connection with one is not judged anew. */
const MAX_KNOWN = 1000;
/** Clocks may differ by this much at the beginning of a life, in ms; its end is exact. */
const EARLY_MS = 30_000;

/** The other end of a TLS connection: the same object for all requests on it. */
export interface Peer {
  /** DER of the certificate whose key the caller has proved to hold; undefined when it sent none. */
  readonly certificate: Uint8Array | undefined;
}

/** What the callers' certificates rest on; each is asked when needed. */
export interface CertificateTrust {
  readonly certificates: CertificateStore;
  /** By which revoked certificates are forgotten, never early, see steady-clock.ts. Default: none is forgotten. */
  readonly steadyNow?: () => number;
  /** PEM of the private CA; undefined when there is none yet. */
  ownAuthority(): string | undefined;
  /** The outside CAs in force; another object means that everything is judged anew. */
  outside(): Trust;
}

export interface CertificateCallers {
  /** The verdict on a peer's certificate; undefined when it sent none. At once for one seen before. */
  presented(peer: Peer): Presented | undefined | Promise<Presented>;
  /**
   * The principal a certificate names, now.
   * @throws {GatewayError} one of the 401 codes
   */
  principalOf(presented: Presented): Principal;
  /** Is the certificate of a principal still good? For live streams. @throws {GatewayError} the 401 code that ended it */
  recheck(principal: Principal): void;
  /** Reads what is revoked again: after certificates were revoked in the store by another way. */
  refresh(): void;
}

interface Verdict {
  readonly trust: Trust;
  readonly answer: Presented | Promise<Presented>;
}

/** Creates the callers over their trust. */
export function createCertificateCallers(
  parts: CertificateTrust,
  principals: Principals,
  now: () => number,
): CertificateCallers {
  const byPeer = new WeakMap<Peer, Verdict>();
  const known = new Map<string, Presented>();
  let knownBy = parts.outside();
  const readRevoked = () => new Set(parts.certificates.revoked(parts.steadyNow?.() ?? 0));
  let ended = readRevoked();
  /** What the principals of outside CAs rest on. */
  const restsOn = new WeakMap<Principal, NonNullable<Presented['outside']>>();
  const partsUnder = (trust: Trust) => ({
    trust,
    ownAuthority: parts.ownAuthority(),
    certificates: parts.certificates,
    at: now(),
  });

  /** Do the settings still say whom the certificate names? */
  function checkStillNamed(principal: Principal): void {
    const before = restsOn.get(principal);
    const trust = parts.outside();
    if (before === undefined || before.under === trust) return;
    const x509 = loadedX509();
    if (x509 === undefined) throw new GatewayError('internal', 'a certificate cannot be judged anew');
    const { refusal, identity } = judgeNow(before.der, partsUnder(trust), x509);
    if (refusal !== undefined) throw new GatewayError(refusal.code, refusal.message);
    if (identity !== principal.subject) {
      throw new GatewayError('identity-not-mapped', 'the settings no longer say who the caller is');
    }
    restsOn.set(principal, { der: before.der, under: trust });
  }

  async function judge(peer: Peer, der: Uint8Array, trust: Trust): Promise<Presented> {
    const fresh = await judgeCertificate(der, partsUnder(trust));
    if (trust !== knownBy) {
      known.clear();
      knownBy = trust;
    }
    // One object for one certificate, shared by its connections: policy is compiled once for it.
    const answer = known.get(fresh.thumbprint) ?? fresh;
    if (answer === fresh && fresh.refusal === undefined) {
      if (known.size >= MAX_KNOWN) known.delete(known.keys().next().value as string);
      known.set(fresh.thumbprint, fresh);
    }
    byPeer.set(peer, { trust, answer });
    return answer;
  }

  return {
    presented(peer) {
      const der = peer.certificate;
      if (der === undefined) return undefined;
      const trust = parts.outside();
      const verdict = byPeer.get(peer);
      if (verdict !== undefined && verdict.trust === trust) return verdict.answer;
      const before = trust === knownBy ? known.get(thumbprintOf(der)) : undefined;
      if (before !== undefined) {
        byPeer.set(peer, { trust, answer: before });
        return before;
      }
      const answer = judge(peer, der, trust);
      // A fault of ours is told to this request; the next one asks anew.
      answer.catch(() => byPeer.delete(peer));
      byPeer.set(peer, { trust, answer });
      return answer;
    },
    principalOf(presented) {
      const { serial, refusal, identity } = presented;
      if (refusal !== undefined) throw new GatewayError(refusal.code, refusal.message);
      const at = now();
      if (at >= presented.notAfter) throw expired(serial);
      if (at + EARLY_MS < presented.notBefore) {
        throw new GatewayError(
          'certificate-not-yet-valid',
          `the client certificate ${serial} is not valid yet; compare the clocks`,
        );
      }
      if (presented.knownUntil !== undefined && at > presented.knownUntil) {
        throw new GatewayError(
          'certificate-untrusted',
          `what is known of the CA of the client certificate ${serial} is out of date; ask an operator for its new revocation list`,
        );
      }
      if (presented.issuedAt !== undefined && ended.has(serial)) throw revoked(serial);
      const principal = principals.ofCertificate(presented, {
        name: identity as string,
        serial,
        expiresAt: presented.notAfter,
        issuedAt: presented.issuedAt,
      });
      if (presented.outside !== undefined && !restsOn.has(principal)) restsOn.set(principal, presented.outside);
      return principal;
    },
    recheck(principal) {
      const { certificateSerial: serial = '', channel, expiresAt = 0 } = principal;
      if (ended.has(serial)) throw revoked(serial);
      if (channel === 'certificate' && now() >= expiresAt) throw expired(serial);
      checkStillNamed(principal);
    },
    refresh() {
      ended = readRevoked();
    },
  };
}

const expired = (serial: string): GatewayError =>
  new GatewayError(
    'certificate-expired',
    `the client certificate ${serial} has expired; ask an operator for a new one`,
  );
