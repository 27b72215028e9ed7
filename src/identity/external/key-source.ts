// Where the keys of an issuer come from: discovery (OpenID Connect Discovery 1.0 section 4), a fixed address, or a file.
import { readFileSync, statSync } from 'node:fs';
import { GatewayError } from '../../errors.ts';
import { type FetchJson, isFetchable, MAX_DOCUMENT_BYTES } from './fetch-json.ts';
import type { IssuerSetting } from './setting.ts';

/** A discovered address of keys is asked for again after this long, in ms. */
const DISCOVERY_MEMORY_MS = 3_600_000;

export interface KeySourceParts {
  readonly setting: Pick<IssuerSetting, 'issuer' | 'keys' | 'jwksHosts' | 'bearerFile' | 'insecureHttp'>;
  /** PEM text of the CA. */
  readonly ca?: string;
  readonly fetchJson: FetchJson;
  now(): number;
}

/** Reads the key set document. @throws {GatewayError} `issuer-unavailable` with the reason for operators */
export type LoadKeys = () => Promise<unknown>;

const failed = (message: string, cause?: unknown) => new GatewayError('issuer-unavailable', message, { cause });

/** `https://issuer/.well-known/openid-configuration`, appended to the issuer's path without its last slash. */
export const discoveryUrl = (issuer: string): string => `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;

export function createKeySource(parts: KeySourceParts): LoadKeys {
  const { setting, fetchJson } = parts;
  const { keys, issuer, insecureHttp } = setting;
  let discovered: { url: string; until: number } | undefined;

  const options = () => ({
    insecureHttp,
    ...(parts.ca === undefined ? {} : { ca: parts.ca }),
    ...(setting.bearerFile === undefined ? {} : { bearer: readSmall(setting.bearerFile).trim() }),
  });

  async function discover(): Promise<string> {
    const address = discoveryUrl(issuer);
    const document = await fetchJson(address, options());
    if (typeof document !== 'object' || document === null) throw failed(`${address} is no discovery document`);
    const { issuer: named, jwks_uri: jwksUri } = document as { issuer?: unknown; jwks_uri?: unknown };
    if (named !== issuer) throw failed(`${address} speaks for another issuer than ${issuer}`);
    const url = typeof jwksUri === 'string' && URL.canParse(jwksUri) ? new URL(jwksUri) : undefined;
    if (url === undefined || !isFetchable(url, insecureHttp)) throw failed(`${address} names no https jwks_uri`);
    if (url.host !== new URL(issuer).host && !setting.jwksHosts.includes(url.host)) {
      throw failed(`${address} names keys on ${url.host}; if that is right, add it to jwksHosts`);
    }
    return url.href;
  }

  return async () => {
    if (keys.kind === 'file') return parse(readSmall(keys.path), keys.path);
    if (keys.kind === 'url') return fetchJson(keys.url, options());
    if (discovered === undefined || parts.now() >= discovered.until) {
      discovered = { url: await discover(), until: parts.now() + DISCOVERY_MEMORY_MS };
    }
    try {
      return await fetchJson(discovered.url, options());
    } catch (error) {
      // The keys may have moved: the next attempt asks where they are.
      discovered = undefined;
      throw error;
    }
  };
}

function readSmall(path: string): string {
  try {
    if (statSync(path).size > MAX_DOCUMENT_BYTES) throw failed(`${path} is larger than ${MAX_DOCUMENT_BYTES} bytes`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    throw failed(`${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`, error);
  }
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw failed(`${path} is not JSON`, cause);
  }
}
