// The image a build made, looked at once it is there.
import { Refusal } from '../../buildkit/grpc.ts';
import { mapBytes } from '../../engine/label-bytes.ts';
import type { BuildFacts } from '../../engine/types.ts';
import type { GatewayParts } from '../parts.ts';
import { findImage } from '../tenancy/engine-state.ts';
import type { Build } from './build.ts';

/** The gateway does not see the LABELs of a Dockerfile: an image with more than any may have is removed once it is there. */
export async function removeOverlabelled(
  build: Build,
  facts: BuildFacts,
  { engine, limits }: Pick<GatewayParts, 'engine' | 'limits'>,
): Promise<Refusal | undefined> {
  const made = build.imageId ?? build.imageDigest;
  if (made === undefined || !facts.exporters.some(({ value }) => value === 'image')) return undefined;
  const found = await findImage(engine, made);
  const most = limits().labelBytes;
  const bytes = found === undefined ? 0 : mapBytes(found.labels);
  if (bytes <= most) return undefined;
  const names = facts.tags.length === 0 ? [made] : facts.tags.map(({ value }) => value);
  for (const name of names) {
    const target = `/images/${name.split('/').map(encodeURIComponent).join('/')}`;
    await engine.fetchJson({ method: 'DELETE', target, headers: [], body: undefined });
  }
  const why = `the labels of one image may have ${most} bytes together (limits.labelBytes), these have ${bytes}; the image was removed`;
  return new Refusal('resource-exhausted', `denied: ${why} [audit ${build.auditId}]`, true);
}
