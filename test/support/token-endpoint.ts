// The token endpoint of a test's gateway, asked as an OAuth client would: a form over HTTPS.
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import type { TestGateway } from './gateway.ts';

export const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

export interface TokenAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: {
    readonly access_token?: string;
    readonly issued_token_type?: string;
    readonly token_type?: string;
    readonly expires_in?: number;
    readonly scope?: string;
    readonly authorization_details?: unknown;
    readonly error?: string;
    readonly error_description?: string;
    readonly audit_id?: string;
  };
}

/** Posts a form, or text as it is. */
export function askToken(
  gateway: TestGateway,
  form: Readonly<Record<string, string>> | string,
  headers: Readonly<Record<string, string>> = {},
  /** Folder with cert.pem and key.pem of the client. */
  certificate?: string,
): Promise<TokenAnswer> {
  const text = typeof form === 'string' ? form : new URLSearchParams(form).toString();
  return new Promise((resolve, reject) => {
    const request = https.request(
      {
        host: '127.0.0.1',
        port: gateway.port,
        method: 'POST',
        path: '/token',
        ca: readFileSync(join(gateway.dir, 'data', 'ca.pem')),
        agent: false,
        ...(certificate === undefined
          ? {}
          : { cert: readFileSync(join(certificate, 'cert.pem')), key: readFileSync(join(certificate, 'key.pem')) }),
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          'content-length': Buffer.byteLength(text),
          ...headers,
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: JSON.parse(Buffer.concat(chunks).toString()) as TokenAnswer['body'],
          }),
        );
      },
    );
    request.on('error', reject);
    // Who asks for leave to send waits for it.
    if (headers.expect === undefined) request.end(text);
    else request.on('continue', () => request.end(text)).flushHeaders();
  });
}

/** Exchanges a token; `more` are further parameters. */
export const exchange = (
  gateway: TestGateway,
  subjectToken: string,
  more: Readonly<Record<string, string>> = {},
  certificate?: string,
): Promise<TokenAnswer> =>
  askToken(
    gateway,
    { grant_type: EXCHANGE, subject_token: subjectToken, subject_token_type: ACCESS_TOKEN, ...more },
    {},
    certificate,
  );
