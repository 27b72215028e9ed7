// Step 9 for the one answer the gateway must change: the API versions an engine offers are narrowed to those that can
// be judged, so that clients negotiate down to them. Engine API: SystemVersion.
import { minorOf } from '../engine/versions.ts';
import { GatewayError } from '../errors.ts';
import type { EngineClient } from '../proxy/engine-client.ts';
import type { CallerEnd, EngineRequest, Outcome } from '../proxy/types.ts';
import type { GatewayParts } from './parts.ts';

/** Largest answer to `GET /version`, in bytes: an engine sends about 1 KB. */
const MAX_VERSION_BYTES = 256 * 1024;

/**
 * Fetches `/version`, narrows ApiVersion and MinAPIVersion and delivers the answer.
 *
 * @param view what the caller may see of it; everything when left out
 */
export async function respondVersion(
  request: EngineRequest,
  caller: CallerEnd,
  engine: EngineClient,
  { minMinor, maxMinor }: GatewayParts['apiVersions'],
  view: (version: Record<string, unknown>) => Record<string, unknown> = (version) => version,
): Promise<Outcome> {
  const answer = await engine.fetchJson(request, { maxBytes: MAX_VERSION_BYTES });
  let body = answer.body;
  if (answer.status === 200) {
    let version: Record<string, unknown>;
    try {
      version = JSON.parse(Buffer.from(body).toString('utf8')) as Record<string, unknown>;
    } catch (cause) {
      throw new GatewayError('engine-answer-malformed', 'the engine sent a version that cannot be read', { cause });
    }
    narrow(version, minMinor, maxMinor);
    for (const component of Array.isArray(version.Components) ? version.Components : []) {
      const details = (component as { Details?: Record<string, unknown> } | null)?.Details;
      if (details !== undefined && details !== null) narrow(details, minMinor, maxMinor);
    }
    body = Buffer.from(`${JSON.stringify(view(version))}\n`);
  }
  const headers: string[] = [];
  for (let i = 0; i + 1 < answer.headers.length; i += 2) {
    if (!/^(content-length|transfer-encoding|connection)$/i.test(answer.headers[i] as string)) {
      headers.push(answer.headers[i] as string, answer.headers[i + 1] as string);
    }
  }
  headers.push('Content-Length', String(body.length));
  caller.head(answer.status, 'OK', narrowHeaders(headers, maxMinor));
  caller.write(body);
  caller.end();
  return { status: answer.status, bytesIn: 0, bytesOut: body.length, end: 'complete' };
}

function narrow(from: Record<string, unknown>, minMinor: number, maxMinor: number): void {
  const newest = minorOf(from.ApiVersion);
  if (newest !== undefined && newest > maxMinor) from.ApiVersion = `1.${maxMinor}`;
  const oldest = minorOf(from.MinAPIVersion);
  if (oldest !== undefined && oldest < minMinor) from.MinAPIVersion = `1.${minMinor}`;
}

/** Lowers an `Api-Version` header to the newest version served. */
export function narrowHeaders(headers: readonly string[], maxMinor: number): readonly string[] {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string;
    if (name.length !== 11 || name.toLowerCase() !== 'api-version') continue;
    const minor = minorOf(headers[i + 1]);
    if (minor !== undefined && minor > maxMinor) {
      const lowered = [...headers];
      lowered[i + 1] = `1.${maxMinor}`;
      return lowered;
    }
  }
  return headers;
}
