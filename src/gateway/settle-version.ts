// The API version a call is sent at: the one asked for, unless the engine would drop or read otherwise what was judged. A client
// hears of another version only by the answer, so versions change where the answer has the same form in both.
import { toCall } from '../engine/call.ts';
import {
  hasIgnorable,
  isVersioned,
  newestField,
  WRITES_MINOR,
  withoutAutoRemove,
  withoutIgnored,
} from '../engine/field-versions.ts';
import type { EngineCall } from '../engine/types.ts';
import { minorOf } from '../engine/versions.ts';
import { GatewayError } from '../errors.ts';
import type { EngineClient } from '../proxy/engine-client.ts';
import type { EngineDefaults } from '../proxy/engine-defaults.ts';
import type { GatewayParts } from './parts.ts';

export interface Versions {
  readonly engine: EngineClient;
  readonly engineDefaults: EngineDefaults;
  /** Newest minor version served. */
  readonly maxMinor: number;
}

/** What of the gateway's parts tells an engine's versions. */
export type AskParts = Pick<GatewayParts, 'engineDefaults' | 'apiVersions'>;

export const versionsOf = (engine: EngineClient, { engineDefaults, apiVersions }: AskParts): Versions => ({
  engine,
  engineDefaults,
  maxMinor: apiVersions.maxMinor,
});

/**
 * Raises the version of a call that changes something to one that honours all of it.
 *
 * @throws {GatewayError} `version-unsupported` when the engine has none that does, or does not serve the version asked for, then
 *   in its own words
 */
export function settleVersion(given: EngineCall, versions: Versions): EngineCall | Promise<EngineCall> {
  return given.operation.class === 'read' ? given : settled(given, versions);
}

async function settled(given: EngineCall, versions: Versions): Promise<EngineCall> {
  const call = hasIgnorable(given) ? await asItsVersionReads(given, versions) : given;
  const asked = minorOf(call.apiVersion);
  const field = newestField(call);
  const needed = Math.max(WRITES_MINOR, field?.minor ?? 0);
  if (asked === undefined ? !isVersioned(call) : asked >= needed) return call;
  const told = await versions.engineDefaults.versions();
  // An engine that names no versions gives one and the same body one meaning.
  if (told === undefined) return call;
  const { oldest, newest } = told;
  const most = Math.min(newest, versions.maxMinor);
  if (asked !== undefined && asked < oldest) await refuseAsEngineDoes(call, versions.engine);
  if (field !== undefined && field.minor > most) {
    throw new GatewayError(
      'version-unsupported',
      `${field.path.replaceAll('.*', '[]')} needs API 1.${field.minor}, and this engine serves up to 1.${most}: it would drop the field; leave it out or update the engine`,
    );
  }
  const sent = asked === undefined ? most : Math.min(needed, most);
  if (asked !== undefined && sent <= asked) return call;
  const body =
    asked !== undefined && asked < 25 && call.operation.id === 'ContainerCreate'
      ? withoutAutoRemove(call.body)
      : call.body;
  const raised = { ...call, apiVersion: `1.${sent}` };
  return body === call.body ? Object.freeze(raised) : toCall(raised, body);
}

/** The call without what its version, or the engine where it names none, does not read. */
async function asItsVersionReads(call: EngineCall, { engineDefaults, maxMinor }: Versions): Promise<EngineCall> {
  const told = await engineDefaults.versions();
  // An engine that names no versions gives one and the same body one meaning.
  if (told === undefined) return call;
  const minor = Math.min(minorOf(call.apiVersion) ?? told.newest, told.newest, maxMinor);
  const { body, places } = withoutIgnored(call, minor);
  if (body === call.body) return call;
  return toCall(
    call,
    body,
    places.map((at) => ({ at })),
  );
}

/** The same call at another version, where the engine serves it; undefined where it does not, or the call asks for as much. */
export async function raisedTo(minor: number, call: EngineCall, versions: Versions): Promise<EngineCall | undefined> {
  const asked = minorOf(call.apiVersion);
  if (!isVersioned(call) || asked === undefined || asked >= minor || minor > versions.maxMinor) return undefined;
  const told = await versions.engineDefaults.versions();
  return told === undefined || told.newest < minor ? undefined : Object.freeze({ ...call, apiVersion: `1.${minor}` });
}

async function refuseAsEngineDoes({ apiVersion }: EngineCall, engine: EngineClient): Promise<void> {
  const answer = await engine.fetchJson({
    method: 'GET',
    target: `/v${apiVersion}/_ping`,
    headers: [],
    body: undefined,
  });
  if (answer.status !== 400) return;
  let message = `client version ${apiVersion} is too old`;
  try {
    const told = JSON.parse(Buffer.from(answer.body).toString('utf8')) as { message?: unknown };
    if (typeof told.message === 'string') message = told.message;
  } catch {
    // The sentence of our own does.
  }
  throw new GatewayError('version-unsupported', message);
}
