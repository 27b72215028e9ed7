// What the names of a call mean, and the version it is sent at: here the engine is asked, for a tenant the ledger. What is judged
// afterwards is what is reached.
import { labelBytes } from '../../engine/label-bytes.ts';
import type { EngineCall } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import type { PrincipalPolicies } from '../../policy/compile.ts';
import { deniedBuilder, deniedByHost } from '../../policy/evaluate.ts';
import { isJudgedAtUse } from '../../policy/host/index.ts';
import { mayHoldDefaults, withDefaults } from '../../proxy/engine-defaults.ts';
import { withImageAnnotations } from '../../proxy/image-annotations.ts';
import { lookUp } from '../../proxy/remake.ts';
import { resolveReferences } from '../../proxy/resolve.ts';
import { distrusted } from '../buildkit/state.ts';
import type { GatewayParts } from '../parts.ts';
import type { Passage } from '../passage.ts';
import { denialOf, refusedAt } from '../refusal.ts';
import { settleNames } from '../settle-names.ts';
import { type AskParts, settleVersion, versionsOf } from '../settle-version.ts';
import { seenTagsOf } from '../tenancy/images.ts';
import type { TenantCall } from '../tenancy/tenant-call.ts';
import { inputOf } from './decide.ts';
import { atMsOf, type Changed, type Known, type Meant, nothingMore } from './values.ts';

/** @throws {GatewayError} `object-not-found`, `tenant-not-served`, `version-unsupported`, `engine-unreachable`; or a denial */
export async function resolve(changed: Changed, passage: Passage, parts: GatewayParts): Promise<Meant> {
  checkLabels(changed.call, parts.limits().labelBytes);
  const tenantCall = changed.principal.tenant === undefined ? undefined : await tenantCallOf(changed, parts);
  if (tenantCall !== undefined) passage.keep(tenantCall);
  const begun = tenantCall === undefined ? nothingMore<Meant>(changed) : Object.freeze({ ...changed, tenantCall });
  try {
    const call = await seenByPlugins(await known(await settled(begun, parts), begun, parts), begun);
    return call === begun.call ? begun : Object.freeze({ ...begun, call });
  } catch (unresolved) {
    throw (await hostDenial(begun, parts)) ?? refusedAt(begun, unresolved);
  }
}

/** Begins the call of a principal that has a tenant. */
export const tenantCallOf = (of: Known, parts: GatewayParts): TenantCall | undefined | Promise<TenantCall> => {
  const { principal, auditId, engine } = of;
  const { tenant } = principal;
  return tenant === undefined ? undefined : parts.tenancy.begin({ ...principal, tenant }, auditId, atMsOf(of), engine);
};

/** Every list shows them: a few objects with large ones would keep every lister, and the gateway's filter, busy. */
export function checkLabels(call: EngineCall, maxBytes: number): void {
  const bytes = call.operation.class === 'read' ? 0 : labelBytes(call);
  if (bytes <= maxBytes) return;
  throw new GatewayError(
    'body-too-large',
    `the labels and driver options of one object may have ${maxBytes} bytes together (limits.labelBytes), these have ${bytes}`,
  );
}

/** What the engine alone can read in one way: its versions, and names; a tenant's part of an id is looked up with its others. */
export async function settled(at: Pick<Meant, 'call' | 'engine' | 'tenantCall'>, parts: AskParts): Promise<EngineCall> {
  const { engine, tenantCall, call } = at;
  const versions = versionsOf(engine, parts);
  return settleNames(
    await settleVersion(call, versions),
    versions,
    tenantCall === undefined ? undefined : (name) => seenTagsOf(name, tenantCall),
  );
}

/** What the names of a call stand for: for a tenant its own objects, and for policy whatever it needs to know of them. */
export async function known(
  call: EngineCall,
  { engine, tenantCall, policies }: Pick<Meant, 'engine' | 'tenantCall'> & { readonly policies: PrincipalPolicies },
  { engineDefaults }: AskParts,
): Promise<EngineCall> {
  const own = tenantCall === undefined ? call : await tenantCall.resolve(tenantCall.filled(call));
  return withImageAnnotations(await lookUp(own, policies, { engine, engineDefaults }), { engine, engineDefaults });
}

/** Plugins that judge objects see those of the call as policy does. */
function seenByPlugins(call: EngineCall, { seenBy, engine }: Meant): EngineCall | Promise<EngineCall> {
  if (seenBy?.plugins.looksUp(call.action) !== true) return call;
  const open = call.resources.filter((ref) => ref.labels === undefined && isJudgedAtUse(call, ref));
  return open.length === 0 ? call : resolveReferences(call, open, engine);
}

/** What no rule lets pass is refused for that, whether or not the objects it names are there. */
async function hostDenial(begun: Meant, parts: GatewayParts): Promise<GatewayError | undefined> {
  const { policies, principal, call, tenantCall } = begun;
  try {
    const builder = deniedBuilder(policies, inputOf(begun, call, parts));
    if (builder !== undefined) {
      // buildx makes a builder of its own where BuildKit's doors are closed: the reason for that is the one to tell.
      if (principal.tenant !== undefined && parts.buildkit.isDistrusting()) return refusedAt(begun, distrusted());
      return denialOf({ ...begun, decision: builder });
    }
    let asked = tenantCall?.filled(call) ?? call;
    const judged = () => {
      const input = inputOf(begun, asked, parts);
      parts.onDecided?.(begun.auditId, policies, input);
      return deniedByHost(policies, input);
    };
    let decision = judged();
    if (decision !== undefined && mayHoldDefaults(asked)) {
      asked = await withDefaults(asked, parts);
      decision = judged();
    }
    return decision && denialOf({ ...begun, decision });
  } catch (unanswered) {
    return refusedAt(begun, unanswered);
  }
}
