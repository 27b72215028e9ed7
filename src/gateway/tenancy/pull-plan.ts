// What a tenant's pull may do to a name that is there already. The engine has one tag for all tenants, so a pull by tag would replace
// the image others know under it with content the puller may have put into the registry itself:
//  - a name that was made here (built, tagged, loaded) is not touched. The registry is asked what it has under the name, with the
//    caller's own credentials, and that is pulled by its digest, which moves no tag. The ledger then knows the name for this tenant as
//    that digest (an alias): calls of the tenant's that name it are sent the digest, while the tag, and what it means to its maker,
//    stay. Neither reads or replaces the other's image, and neither can keep the other from the registry's.
//  - a shared name without an owner stands as it is, unless the settings let tenants refresh it: a pull passes when the
//    registry has the same digest, which again is what is pulled, so that nothing moves in between.
//  - a name that only pulls gave is the registry's: the last pull wins, as it would without tenants.
import { GatewayError } from '../../errors.ts';
import { familiarImage } from '../../ledger/missing.ts';
import { isFreeImage, seesName } from '../../ledger/views.ts';
import { findImage } from './engine-state.ts';
import { isFromRegistry, isMadeByOthers, repositoryOf, takePull } from './images.ts';
import type { TenantCall } from './tenant-call.ts';

/** A registry may be slow, ms. */
const REGISTRY_MS = 30_000;
const MAX_BYTES = 1024 * 1024;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

export type PullPlan =
  | { readonly kind: 'by-name'; readonly claims: boolean }
  | { readonly kind: 'by-digest'; readonly digest: string; readonly isAlias: boolean };

/** @throws {GatewayError} `conflict` for a name the tenant may not change, `object-not-found` for one the registry does not give */
export async function planPull(
  reference: string,
  tenantCall: TenantCall,
  registryAuth: string | undefined = tenantCall.registryAuth,
): Promise<PullPlan> {
  const { ledger, tenant, state } = tenantCall;
  const isOneTag = !reference.includes('@') && reference.lastIndexOf(':') > reference.lastIndexOf('/');
  if (!isOneTag) {
    // From here on, until the pull is over, no other call makes a name that it may give.
    if (!reference.includes('@')) tenantCall.hold('repository', reference);
    const claims = await takePull(reference, tenantCall);
    if (claims || reference.includes('@') || state.refreshesShared()) return { kind: 'by-name', claims };
    throw new GatewayError(
      'conflict',
      `conflict: a tag of ${familiarImage(reference)} is shared here and stands as it is; pull the tags you need one by one`,
    );
  }
  const entries = ledger.holders('image', reference);
  if (isMadeByOthers(reference, tenant, ledger)) {
    return { kind: 'by-digest', digest: await digestAtRegistry(reference, tenantCall, registryAuth), isAlias: true };
  }
  if (entries.length > 0) return { kind: 'by-name', claims: await takePull(reference, tenantCall) };
  const found = await findImage(state.engine, reference);
  if (found === undefined) return { kind: 'by-name', claims: true };
  const isForAll = isFreeImage(tenantCall, found) && seesName(tenantCall, reference, found);
  if (!isForAll) {
    if (isFromRegistry(found, reference)) return { kind: 'by-name', claims: true };
    return { kind: 'by-digest', digest: await digestAtRegistry(reference, tenantCall, registryAuth), isAlias: true };
  }
  if (state.refreshesShared() && isFromRegistry(found, reference)) return { kind: 'by-name', claims: false };
  const name = familiarImage(reference);
  const stands = `conflict: the image name ${name} is shared here and stands as it is`;
  const who = `an operator can change it (docker pull without a tenant), or let tenants do so (tenants.refreshShared); to use what is here, run it without --pull always`;
  let digest: string;
  try {
    digest = await digestAtRegistry(reference, tenantCall, registryAuth);
  } catch (error) {
    const why = error instanceof GatewayError ? error.message : 'no answer';
    throw new GatewayError('conflict', `${stands}: whether its registry has the same is not known (${why}); ${who}`);
  }
  const canonical = `${repositoryOf(reference)}@${digest}`;
  const isSame = found.digests.some((shown) => shown === canonical || shown === familiarImage(canonical));
  if (isSame) return { kind: 'by-digest', digest, isAlias: false };
  throw new GatewayError('conflict', `${stands}: its registry has another one (${digest.slice(0, 19)}); ${who}`);
}

/** The digest a registry has under a name, as the engine is told with the caller's credentials. */
async function digestAtRegistry(
  reference: string,
  { state }: TenantCall,
  registryAuth: string | undefined,
): Promise<string> {
  const { status, body } = await state.engine.fetchJson(
    {
      method: 'GET',
      target: `/distribution/${familiarImage(reference)}/json`,
      headers: registryAuth === undefined ? [] : ['X-Registry-Auth', registryAuth],
      body: undefined,
    },
    { timeoutMs: REGISTRY_MS, maxBytes: MAX_BYTES },
  );
  let told: { readonly message?: unknown; readonly Descriptor?: { readonly digest?: unknown } } = {};
  try {
    told = JSON.parse(Buffer.from(body).toString('utf8')) as typeof told;
  } catch {
    // told below
  }
  const digest = told.Descriptor?.digest;
  if (status === 200 && typeof digest === 'string' && DIGEST.test(digest)) return digest;
  const message = typeof told.message === 'string' ? told.message : `the registry was not reached (${status})`;
  throw new GatewayError('object-not-found', message.slice(0, 400));
}
