// What a tenant's call takes: names and shares in the ledger, in one step, and the labels of what it makes. Here an archive of images
// is read in, and the judge of a classic build's context is made.
import { renderBody } from '../../engine/render-body.ts';
import type { EngineCall } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import { isBuildKitBuild } from '../../policy/buildkit.ts';
import type { Decision } from '../../policy/types.ts';
import { lookUp } from '../../proxy/remake.ts';
import { headerValue } from '../arrival.ts';
import type { GatewayParts } from '../parts.ts';
import { denialOf, refusedAt } from '../refusal.ts';
import { keepArchive, withNames } from '../tenancy/load.ts';
import type { TenantCall } from '../tenancy/tenant-call.ts';
import { decisionOn } from './decide.ts';
import { nothingMore, type Reserved, type Vetted } from './values.ts';

/** @throws {GatewayError} `conflict`, `quota-exceeded`, `rate-limited`, `archive-unreadable`, `host-field-denied`; or a denial */
export function reserve(vetted: Vetted, parts: GatewayParts): Reserved | Promise<Reserved> {
  const { tenantCall, call, ownSocket } = vetted;
  return tenantCall === undefined && ownSocket === undefined && call.action !== 'build.run'
    ? sendable(vetted, call)
    : taking(vetted, tenantCall, parts);
}

async function taking(vetted: Vetted, tenantCall: TenantCall | undefined, parts: GatewayParts): Promise<Reserved> {
  const taken = tenantCall === undefined ? sendable(vetted, vetted.call) : await ofTenant(vetted, tenantCall, parts);
  try {
    await taken.ownSocket?.open();
    if (!isJudgedOnItsWay(taken)) return taken;
    return Object.freeze({ ...taken, build: await buildJudge(taken, parts) });
  } catch (refused) {
    throw refusedAt(taken, refused);
  }
}

function sendable(vetted: Vetted, call: EngineCall, tenantCall?: TenantCall): Reserved {
  const rendered = call.body === undefined || call.opaque ? undefined : renderBody(call);
  return rendered === undefined && tenantCall === undefined
    ? nothingMore<Reserved>(vetted)
    : Object.freeze({ ...vetted, call, reserved: tenantCall?.reserved, rendered, build: undefined });
}

async function ofTenant(vetted: Vetted, tenantCall: TenantCall, parts: GatewayParts): Promise<Reserved> {
  const { arrival, principal, decision } = vetted;
  const leases = [principal.leaseMs, decision.obligations.leaseMs].filter((ms) => ms !== undefined);
  if (leases.length > 0) tenantCall.lease(Math.min(...leases));
  const named = vetted.call.action === 'image.load' ? await withArchive(vetted, tenantCall, parts) : vetted;
  tenantCall.registryAuth = headerValue(arrival.rawHeaders, 'x-registry-auth');
  tenantCall.isUnread = named.decision.isUnread === true;
  try {
    return sendable(named, await tenantCall.reserve(named.call), tenantCall);
  } catch (refused) {
    throw refusedAt(named, refused);
  }
}

/** Takes an archive of images in, and judges the call once more by the names they take. */
async function withArchive(vetted: Vetted, tenantCall: TenantCall, parts: GatewayParts): Promise<Vetted> {
  const { body } = vetted.arrival;
  if (!body.present) throw new GatewayError('body-malformed', 'there is no archive to load');
  tenantCall.archive = await keepArchive(body.stream(), tenantCall);
  const call = withNames(vetted.call, tenantCall.archive.references);
  return permitted(Object.freeze({ ...vetted, call, decision: decisionOn(call, vetted, parts) }));
}

function permitted<Value extends Vetted & { readonly decision: Decision }>(value: Value): Value {
  if (value.decision.effect === 'deny') throw denialOf(value);
  return value;
}

/** A classic build, for tenants and wherever a rule says what a build may take from. */
const isJudgedOnItsWay = ({ call, tenantCall, policies }: Reserved): boolean =>
  call.action === 'build.run' &&
  !isBuildKitBuild(call) &&
  (tenantCall !== undefined || policies.limitsImages(call.action));

/** The judge of a classic build's Dockerfile. */
async function buildJudge(taken: Reserved, parts: GatewayParts): Promise<NonNullable<Reserved['build']>> {
  const { call, engine, policies, tenantCall, arrival } = taken;
  const { engineDefaults } = parts;
  if ((call.query.remote?.[0] ?? '') !== '') throw remoteContext();
  // Podman has the C preprocessor read such a file first, which takes in others of the host's.
  if ((call.query.dockerfile?.[0] ?? '').endsWith('.in') && (await engineDefaults.kind()) === 'podman')
    throw new GatewayError(
      'host-field-denied',
      'denied: query.dockerfile ends in .in, which Podman preprocesses; name it otherwise',
    );
  return {
    async decide(asked) {
      const resolved = await lookUp(asked, policies, { engine, engineDefaults });
      permitted({ ...taken, decision: decisionOn(resolved, taken, parts) });
    },
    engine,
    listeners: parts.listeners ?? (() => []),
    tenantCall,
    registryConfig: headerValue(arrival.rawHeaders, 'x-registry-config'),
    maxLabelBytes: parts.limits().labelBytes,
  };
}

const remoteContext = (): GatewayError =>
  new GatewayError(
    'host-field-denied',
    'denied: query.remote names a context whose Dockerfile cannot be judged; fetch it and send it as an archive',
  );
