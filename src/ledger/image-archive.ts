// What a tar of images says it holds, as `docker save` writes it: which names its images take, and whether each layer is what its
// configuration says. The engine gets an archive written anew from what was read here, so that it cannot read another meaning out of it.
// https://github.com/moby/docker-image-spec
import { canonicalImageReference } from '../engine/image-reference.ts';
import { readAlong } from '../engine/json.ts';
import { list, map, plainJson, type StructSchema, struct, text, textMap, texts } from '../engine/schema.ts';
import type { Json, JsonObject } from '../engine/types.ts';
import { refuseArchive as refuse } from './tar-reader.ts';
import { TAR_END, tarHeader, tarPadding } from './tar-writer.ts';

/** Bytes of manifest.json, and of one image's configuration. */
const MAX_JSON_BYTES = 4 * 1024 * 1024;
const MAX_IMAGES = 100;
const MAX_NAMES = 100;

/** A file of the archive, as it was kept. */
export interface ArchiveFile {
  readonly size: number;
  /** Of its content, in hexadecimal digits. */
  readonly sha256: string;
  /** Where its content begins in what was kept. */
  readonly offset: number;
}

export interface ArchivedImage {
  /** Id it has in an image store that knows images by their configuration. */
  readonly id: string;
  /** Canonical references it takes. */
  readonly names: readonly string[];
  /** Of all its layers. */
  readonly bytes: number;
  readonly labels: Json | undefined;
}

export interface ImageArchive {
  readonly images: readonly ArchivedImage[];
  /** Files of the archive to send, by name. */
  readonly files: ReadonlyMap<string, ArchiveFile>;
  readonly manifest: Buffer;
}

const manifestSchema = list(struct('Manifest', { Config: text, RepoTags: texts, Layers: texts }));
const configSchema: StructSchema = struct('Image', {
  rootfs: struct('RootFS', { type: text, diff_ids: texts }),
  config: struct('Config', { Labels: textMap, Volumes: map(plainJson), ExposedPorts: map(plainJson) }),
  history: plainJson,
});

/**
 * @param files by path
 * @param read the content of a file
 * @throws {GatewayError} `archive-unreadable`, `body-ambiguous`, `body-malformed`
 */
export async function readImageArchive(
  files: ReadonlyMap<string, ArchiveFile>,
  read: (file: ArchiveFile) => Promise<Buffer>,
): Promise<ImageArchive> {
  const file = (path: string, what: string): ArchiveFile => {
    const found = files.get(path);
    if (found === undefined) throw refuse(`${what} ${JSON.stringify(path.slice(0, 100))} is not in it`);
    return found;
  };
  const json = async (one: ArchiveFile, what: string): Promise<Buffer> => {
    if (one.size > MAX_JSON_BYTES) throw refuse(`${what} is larger than ${MAX_JSON_BYTES} bytes`);
    return read(one);
  };
  if (!files.has('manifest.json')) throw refuse('it has no manifest.json, which docker save writes');
  const items = listOf(readAlong(await json(file('manifest.json', ''), 'manifest.json'), manifestSchema));
  if (items.length === 0 || items.length > MAX_IMAGES)
    throw refuse(`it has ${items.length} images, of 1 to ${MAX_IMAGES}`);
  const names = new Set<string>();
  const images: ArchivedImage[] = [];
  const sent = new Map<string, ArchiveFile>();
  const manifest: { Config: string; RepoTags: string[]; Layers: string[] }[] = [];
  for (const [i, item] of items.entries()) {
    const { Config, RepoTags, Layers } = objectOf(item);
    const config = file(String(Config ?? ''), 'the configuration');
    const image = objectOf(readAlong(await json(config, 'a configuration'), configSchema));
    const tags = listOf(RepoTags).map((tag) => nameOf(String(tag)));
    if (tags.length === 0) throw refuse(`image ${i} of its manifest.json has no name: save it by name, not by id`);
    for (const tag of tags) {
      if (names.has(tag) || names.size >= MAX_NAMES) throw refuse(`${tag} names two images, or it has too many names`);
      names.add(tag);
    }
    const { type, diff_ids: diffIds } = objectOf(image.rootfs);
    const layers = listOf(Layers).map((path) => file(String(path), 'the layer'));
    const ids = listOf(diffIds);
    if (type !== 'layers' || ids.length !== layers.length) throw refuse(`image ${i} does not have the layers it names`);
    for (const [k, layer] of layers.entries()) {
      // Where the engine has a layer of this name it takes its own, unread: the caller must prove to have the content.
      if (ids[k] !== `sha256:${layer.sha256}`)
        throw refuse(
          `layer ${k} of image ${i} is not what its configuration names; layers are sent without compression`,
        );
      sent.set(`${layer.sha256}.tar`, layer);
    }
    sent.set(`${config.sha256}.json`, config);
    images.push({
      id: `sha256:${config.sha256}`,
      names: tags,
      bytes: layers.reduce((sum, { size }) => sum + size, 0),
      labels: objectOf(image.config).Labels,
    });
    manifest.push({
      Config: `${config.sha256}.json`,
      RepoTags: tags,
      Layers: layers.map((layer) => `${layer.sha256}.tar`),
    });
  }
  return { images, files: sent, manifest: Buffer.from(JSON.stringify(manifest)) };
}

/** A name with its tag, `app:1`. */
function nameOf(written: string): string {
  const last = written.slice(written.lastIndexOf('/') + 1);
  if (written.includes('@') || !last.includes(':'))
    throw refuse(`${JSON.stringify(written.slice(0, 200))} is no name with a tag`);
  return canonicalImageReference(written);
}

/** The archive to send, as a stream. */
export async function* imageArchiveTar(
  archive: ImageArchive,
  read: (file: ArchiveFile) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for (const [name, file] of archive.files) {
    yield header(name, file.size);
    yield* read(file);
    yield tarPadding(file.size);
  }
  yield header('manifest.json', archive.manifest.length);
  yield archive.manifest;
  yield Buffer.concat([tarPadding(archive.manifest.length), TAR_END]);
}

const header = (path: string, size: number): Buffer =>
  tarHeader({ type: 'file', path, size, target: '', mode: 0o644, mtime: 0, capability: undefined });

const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? (value as readonly Json[]) : []);
const objectOf = (value: Json | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
