// What a failed connection means, in the words of the one who has to mend it. Node and Deno name the same fault of a
// certificate differently; here both become one.

/** Why a connection could not be made. */
export type Trouble =
  | 'no-such-socket'
  | 'not-permitted'
  | 'nobody-listens'
  | 'name-unknown'
  | 'no-route'
  | 'timeout'
  | 'ca-unknown'
  | 'name-mismatch'
  | 'certificate-expired'
  | 'certificate-not-yet-valid'
  | 'certificate-unusable'
  | 'client-certificate-refused'
  | 'not-tls'
  | 'closed'
  | 'other';

const CODES: Readonly<Record<string, Trouble>> = {
  ENOENT: 'no-such-socket',
  ENOTSOCK: 'no-such-socket',
  EACCES: 'not-permitted',
  EPERM: 'not-permitted',
  ECONNREFUSED: 'nobody-listens',
  ENOTFOUND: 'name-unknown',
  EAI_AGAIN: 'name-unknown',
  EHOSTUNREACH: 'no-route',
  ENETUNREACH: 'no-route',
  ETIMEDOUT: 'timeout',
  ERR_TLS_CERT_ALTNAME_INVALID: 'name-mismatch',
  CERT_HAS_EXPIRED: 'certificate-expired',
  CERT_NOT_YET_VALID: 'certificate-not-yet-valid',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'ca-unknown',
  SELF_SIGNED_CERT_IN_CHAIN: 'ca-unknown',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'ca-unknown',
  UNABLE_TO_GET_ISSUER_CERT: 'ca-unknown',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'ca-unknown',
  CERT_SIGNATURE_FAILURE: 'ca-unknown',
  ERR_SSL_WRONG_VERSION_NUMBER: 'not-tls',
  ECONNRESET: 'closed',
  EPIPE: 'closed',
};

/** What rustls says (Deno), and OpenSSL where it gives only words. */
const WORDS: readonly [RegExp, Trouble][] = [
  [/UnknownIssuer|BadSignature/, 'ca-unknown'],
  [/NotValidForName|not valid for (any )?name/i, 'name-mismatch'],
  [/NotValidYet|certificate not valid yet/i, 'certificate-not-yet-valid'],
  [/invalid peer certificate:.*expired/i, 'certificate-expired'],
  [/invalid peer certificate/, 'certificate-unusable'],
  [
    /alert.*(certificate|unknown ca|access denied)|received fatal alert: \w*(Certificate|UnknownCA|AccessDenied)/i,
    'client-certificate-refused',
  ],
  [/InvalidContentType|corrupt message|wrong version number|packet length too long/i, 'not-tls'],
  [/lookup address|Name or service not known|nodename nor servname/i, 'name-unknown'],
  [/connection (was )?(reset|closed)|close_notify|unexpected eof|disconnected before/i, 'closed'],
];

/** Names the fault behind an error of the system or the TLS library. */
export function troubleOf(error: unknown): Trouble {
  const { code, message = '' } = (error ?? {}) as { code?: string; message?: string };
  const known = code === undefined ? undefined : CODES[code];
  if (known !== undefined) return known;
  const text = `${code ?? ''} ${message}`;
  return WORDS.find(([pattern]) => pattern.test(text))?.[1] ?? 'other';
}

/**
 * One sentence: why `at` cannot be reached, and what to do.
 *
 * @param at the address as the user wrote it
 */
export function explain(error: unknown, at: string): string {
  const trouble = troubleOf(error);
  switch (trouble) {
    case 'no-such-socket':
      return `there is no socket at ${at}; start what makes it, or correct the path`;
    case 'not-permitted':
      return `${at} may not be opened by this user; ask for its group or mode to be changed`;
    case 'nobody-listens':
      return `nothing listens at ${at}; start the gateway, or correct host and port`;
    case 'name-unknown':
      return `the host name in ${at} cannot be resolved; correct it, or the name service`;
    case 'no-route':
      return `there is no route to ${at}; check network and firewall`;
    case 'timeout':
      return `${at} did not answer in time; check host, port and firewall`;
    case 'ca-unknown':
      return `the certificate of ${at} is signed by an authority that is not trusted here; give its certificate with --ca FILE`;
    case 'name-mismatch':
      return `the certificate of ${at} is for other names; use one of its names, or add this one to hostNames of the gateway`;
    case 'certificate-expired':
      return `the certificate of ${at} has expired; renew it, and check this machine's clock`;
    case 'certificate-not-yet-valid':
      return `the certificate of ${at} is not yet valid; check this machine's clock and the gateway's`;
    case 'certificate-unusable':
      return `the certificate of ${at} cannot be used; it must be a server certificate for that name, signed by the CA`;
    case 'client-certificate-refused':
      return `${at} does not accept the client certificate, or asks for one; check --cert and --key`;
    case 'not-tls':
      return `${at} does not speak TLS; check scheme and port`;
    case 'closed':
      return `${at} closed the connection before it answered; is it a dockgate, and is it stopping?`;
    case 'other': {
      const { code, message } = (error ?? {}) as { code?: string; message?: string };
      return `${at} cannot be reached (${code ?? message ?? 'unknown error'})`;
    }
  }
}
