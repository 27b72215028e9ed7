// An OpenID Connect issuer for tests: a real HTTP or HTTPS server on loopback with jose keys, a discovery document and a
// JWKS. It can rotate, go away, and misbehave in every way a client of it has to survive.
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, SignJWT } from 'jose';

type Answer = (response: http.ServerResponse, request: http.IncomingMessage) => void;

export interface TestIssuer {
  /** `iss` and address of the server. */
  readonly url: string;
  /** Requests so far, by path. */
  readonly requests: Map<string, number>;
  /** Members of the JWKS; tests may put anything there. */
  jwks: unknown[];
  /** Replaces the answer for a path. */
  readonly answers: Map<string, Answer>;
  /** Makes a key pair and publishes its public half unless told otherwise. */
  addKey(kid: string, algorithm?: string, options?: { publish?: boolean; jwk?: Partial<JWK> }): Promise<CryptoKey>;
  removeKey(kid: string): void;
  /** Signs claims with a key of `addKey`; `alg` of the header is that of the key. */
  sign(kid: string, claims: Record<string, unknown>, header?: Partial<JWTHeaderParameters>): Promise<string>;
  /** Stops answering, so that connections are refused; `resume` listens on the same port again. */
  stop(): Promise<void>;
  resume(): Promise<void>;
}

export const DISCOVERY = '/.well-known/openid-configuration';
export const JWKS = '/jwks';

/** Starts an issuer. With `tls` it speaks HTTPS. */
export async function startIssuer(options: { tls?: { cert: string; key: string } } = {}): Promise<TestIssuer> {
  const keys = new Map<string, { key: CryptoKey; algorithm: string }>();
  const requests = new Map<string, number>();
  const answers = new Map<string, Answer>();
  const scheme = options.tls === undefined ? 'http' : 'https';
  let server: http.Server;
  let port = 0;

  const onRequest = (request: http.IncomingMessage, response: http.ServerResponse) => {
    const path = request.url ?? '';
    requests.set(path, (requests.get(path) ?? 0) + 1);
    const answer = answers.get(path);
    if (answer !== undefined) {
      answer(response, request);
      return;
    }
    const body =
      path === DISCOVERY
        ? { issuer: issuer.url, jwks_uri: `${issuer.url}${JWKS}`, id_token_signing_alg_values_supported: ['RS256'] }
        : path === JWKS
          ? { keys: issuer.jwks }
          : undefined;
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body ?? {}));
  };
  const open = async () => {
    server = options.tls === undefined ? http.createServer(onRequest) : https.createServer(options.tls, onRequest);
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  };
  await open();

  const issuer: TestIssuer = {
    url: `${scheme}://127.0.0.1:${port}`,
    requests,
    jwks: [],
    answers,
    async addKey(kid, algorithm = 'RS256', { publish = true, jwk = {} } = {}) {
      const pair = await generateKeyPair(algorithm, { extractable: true });
      keys.set(kid, { key: pair.privateKey, algorithm });
      const published = { ...(await exportJWK(pair.publicKey)), kid, alg: algorithm, use: 'sig', ...jwk };
      if (publish) issuer.jwks.push(published);
      return pair.publicKey;
    },
    removeKey(kid) {
      issuer.jwks = issuer.jwks.filter((jwk) => (jwk as JWK).kid !== kid);
    },
    async sign(kid, claims, header = {}) {
      const found = keys.get(kid);
      if (found === undefined) throw new Error(`there is no key ${kid}`);
      return new SignJWT(claims)
        .setProtectedHeader({ typ: 'JWT', kid, ...header, alg: header.alg ?? found.algorithm })
        .sign(found.key);
    },
    async stop() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
    resume: open,
  };
  return issuer;
}
