// Images in the engine's store a tenant's build must not start from: images others made or pulled, and images without an owner that are
// not shared. The gateway does not see a Dockerfile's FROM; the engine refuses these by the policy it is given.
import { Refusal } from '../../buildkit/grpc.ts';
import type { StoredImages } from '../../buildkit/source-policy.ts';
import type { BuildFact } from '../../engine/types.ts';
import { canonicalOf, seesImage, seesName, shownImage, type View } from '../../ledger/views.ts';
import type { EngineClient } from '../../proxy/engine-client.ts';
import { ask, items, MAX_LIST_BYTES } from '../tenancy/engine-state.ts';

const IMAGE = 'docker-image://';

/**
 * Refuses what a build asks for by a name of its own, in the words for an image that is not there.
 *
 * @param sources canonical identifiers
 * @throws {Refusal}
 */
export function refuseHidden(sources: readonly BuildFact[], stored: StoredImages | undefined): void {
  if (stored === undefined) return;
  const isHidden = new Set([...stored.hidden, ...stored.hiddenIds]);
  for (const { value } of sources) {
    if (!value.startsWith(IMAGE)) continue;
    const reference = value.slice(IMAGE.length);
    const [name = '', digest = ''] = reference.split('@');
    if (!isHidden.has(name) && !isHidden.has(digest)) continue;
    throw new Refusal(
      'permission-denied',
      `pull access denied for ${reference}, repository does not exist or may require 'docker login'`,
    );
  }
}

/** The engine's store as a tenant sees it now. */
export async function storedImages(view: View, engine: EngineClient): Promise<StoredImages> {
  const { ledger, tenant } = view;
  const hidden = new Set<string>();
  const hiddenIds = new Set<string>();
  const own = new Set<string>();
  const made = new Set<string>();
  for (const found of items(await ask(engine, '/images/json?all=1&digests=1', MAX_LIST_BYTES))) {
    const image = shownImage(found);
    const isSeen = seesImage(view, image);
    const digests = image.digests.map(canonicalOf).filter((name) => name !== undefined);
    for (const shown of image.tags) {
      const name = canonicalOf(shown);
      if (name === undefined) continue;
      if (!isSeen || !seesName(view, name, image)) {
        hidden.add(name);
        continue;
      }
      // BuildKit itself adds a digest to the name it was given.
      for (const digest of ['', ...digestsOf(image, digests)]) own.add(`${name}${digest}`);
      const entry = ledger.owned(tenant, 'image', name);
      if (entry !== undefined && entry.isPulled !== true) made.add(name);
    }
    for (const name of digests) if (isSeen && seesName(view, name, image)) own.add(name);
    if (isSeen) continue;
    hiddenIds.add(image.id);
    for (const digest of image.digests) hiddenIds.add(digest.slice(digest.indexOf('@') + 1));
  }
  // An image on its way in, or gone while its name is still held.
  for (const { kind, id } of ledger.entries()) {
    // An image that is being made without a name has no id yet.
    if (kind !== 'image' || id === '' || id.startsWith('sha256:')) continue;
    if (!ledger.holders('image', id).some((entry) => entry.tenant === tenant)) hidden.add(id);
  }
  return {
    hidden: [...hidden],
    hiddenIds: [...hiddenIds].filter((id) => id.startsWith('sha256:')),
    own: [...own].sort(),
    made: [...made],
  };
}

const digestsOf = (image: { readonly id: string }, names: readonly string[]): ReadonlySet<string> =>
  new Set([`@${image.id}`, ...names.map((name) => name.slice(name.indexOf('@')))]);
