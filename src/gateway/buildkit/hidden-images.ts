// Images in the engine's store a tenant's build must not start from: what others made or pulled, and what nobody owns and is not
// shared. The gateway does not see a Dockerfile's FROM; the engine refuses these by the policy it is given.
import { Refusal } from '../../buildkit/grpc.ts';
import type { BuildFact } from '../../engine/types.ts';
import { canonicalOf, seesImage, seesName, shownImage, type View } from '../../ledger/views.ts';
import type { EngineClient } from '../../proxy/engine-client.ts';
import { ask, items, MAX_LIST_BYTES } from '../tenancy/engine-state.ts';

export interface HiddenImages {
  /** Canonical references. */
  readonly names: readonly string[];
  readonly ids: readonly string[];
}

const IMAGE = 'docker-image://';

/**
 * Refuses what a build asks for by a name of its own, in the words for an image that is not there.
 *
 * @param sources canonical identifiers
 * @throws {Refusal}
 */
export function refuseHidden(sources: readonly BuildFact[], { names, ids }: HiddenImages): void {
  const isHidden = new Set([...names, ...ids]);
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

export const NONE_HIDDEN: HiddenImages = { names: [], ids: [] };

export async function hiddenImages(view: View, engine: EngineClient): Promise<HiddenImages> {
  const { ledger, tenant } = view;
  const names = new Set<string>();
  const ids = new Set<string>();
  for (const found of items(await ask(engine, '/images/json?all=1&digests=1', MAX_LIST_BYTES))) {
    const image = shownImage(found);
    const isSeen = seesImage(view, image);
    for (const shown of image.tags) {
      const name = canonicalOf(shown);
      if (name !== undefined && !(isSeen && seesName(view, name, image))) names.add(name);
    }
    if (isSeen) continue;
    ids.add(image.id);
    for (const digest of image.digests) ids.add(digest.slice(digest.indexOf('@') + 1));
  }
  // What is on its way in, or gone while somebody still holds its name.
  for (const { kind, id } of ledger.entries()) {
    if (kind !== 'image' || id.startsWith('sha256:')) continue;
    if (!ledger.holders('image', id).some((entry) => entry.tenant === tenant)) names.add(id);
  }
  return { names: [...names], ids: [...ids].filter((id) => id.startsWith('sha256:')) };
}
