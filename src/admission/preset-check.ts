// The host presets' own checks for plugins: one list of what reaches the host, judged on what a plugin is shown of a call.
import { OPERATIONS } from '../engine/operations.ts';
import { referencesOf } from '../engine/references.ts';
import type { EngineCall, Operation, ResourceRef } from '../engine/types.ts';
import {
  compileHostSpec,
  type HostCheck,
  type HostSite,
  type HostSpec,
  type HostViolation,
  parseSubnet,
} from '../policy/host/index.ts';
import type { AdmissionRequest } from './plugin.ts';

/** A plugin has few different rules; more are forgotten and made anew. */
const MAX_KEPT = 64;
const kept = new Map<string, HostCheck>();

function checkOf(spec: HostSpec): HostCheck {
  const key = JSON.stringify(spec);
  let known = kept.get(key);
  if (known === undefined) {
    known = compileHostSpec(spec);
    if (kept.size >= MAX_KEPT) kept.clear();
    kept.set(key, known);
  }
  return known;
}

const NOTHING_KNOWN = { protectedPaths: [], sockets: [], networks: [] };

const siteOf = ({ protectedPaths, sockets, networks }: NonNullable<AdmissionRequest['site']>): HostSite => ({
  protectedPaths,
  sockets,
  networks: networks.map(parseSubnet).filter((range) => range !== undefined),
});

const BY_ID: ReadonlyMap<string, Operation> = new Map(OPERATIONS.map((operation) => [operation.id, operation]));
const BY_ACTION: ReadonlyMap<string, Operation> = new Map(OPERATIONS.map((operation) => [operation.action, operation]));

/**
 * What a policy rule with this host block would refuse of the call, field by field, each with what is allowed. Objects the call
 * names are judged where the plugin's match says `objects: true`, which has them looked up.
 *
 * @throws {GatewayError} `input-invalid` for a spec that no policy could have
 */
export function presetViolations(request: AdmissionRequest, spec: HostSpec): readonly HostViolation[] {
  const operation = BY_ID.get(request.operation.id) ?? BY_ACTION.get(request.operation.action);
  if (operation === undefined) return [];
  const { path, query, body, principal, apiVersion, ownSocket } = request;
  const target = { operation, action: request.operation.action, apiVersion, path, query };
  // The places are named anew, as their roles are not shown; what was looked up comes from the request.
  const resources = referencesOf(target, body).map((ref): ResourceRef => {
    const shown = request.resources.find(
      ({ kind, at, name }) => kind === ref.kind && at === ref.at && name === ref.name,
    );
    const { id, resolvedName, driver, networkDriver, made } = shown ?? {};
    return {
      ...ref,
      ...(id === undefined ? {} : { id }),
      ...(resolvedName === undefined ? {} : { resolvedName }),
      ...(driver === undefined ? {} : { driver }),
      ...(networkDriver === undefined ? {} : { networkDriver }),
      ...(made === undefined ? {} : { made }),
    };
  });
  const { engineKind, readOnlyDepth } = request;
  const call: EngineCall = {
    ...target,
    ...{ body, opaque: false, resources },
    ...(engineKind === undefined ? {} : { engineKind }),
    ...(readOnlyDepth === undefined ? {} : { readOnlyDepth }),
  };
  const known = request.site === undefined ? undefined : siteOf(request.site);
  const site = ownSocket === undefined ? known : { ...(known ?? NOTHING_KNOWN), granted: ownSocket };
  return checkOf(spec)(call, { ...principal, policies: [], channel: 'bearer' }, site);
}
