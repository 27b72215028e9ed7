// Puts names of images and containers in path and query into the one form that is judged and sent: `docker.io/library/app:1`, not
// `app:1`, and no slash before a container. Bodies keep the spelling of a name, which `docker ps` shows and every engine reads
// in one way; only part of an id, which may be a name as well, is settled later (gateway/settle-names.ts).
// See https://pkg.go.dev/github.com/distribution/reference#ParseNormalizedNamed
import { GatewayError } from '../errors.ts';
import { canonicalImageReference } from './image-reference.ts';
import { readJson, stringifyJson } from './json.ts';
import type { Target } from './types.ts';

type Query = Record<string, readonly string[]>;

/** Part of an image id. */
const PART_OF_ID = /^(?:sha256:)?([0-9a-f]{1,63})$/;
const WHOLE_ID = /^(?:sha256:)?[0-9a-f]{64}$/;
const encoder = new TextEncoder();

/** Canonical form of an image reference; part of an id stays one, `sha256:3f57`. */
export function canonicalImage(reference: string): string {
  const part = PART_OF_ID.exec(reference);
  return part === null ? canonicalImageReference(reference) : `sha256:${part[1]}`;
}

/**
 * As `canonicalImage`, where an id is none: a pull, a push and a new name are about a registry's names alone.
 *
 * @throws {GatewayError} `query-ambiguous`
 */
export function namedImage(reference: string): string {
  if (WHOLE_ID.test(reference)) {
    const shown = JSON.stringify(reference.slice(0, 80));
    throw new GatewayError(
      'query-ambiguous',
      `invalid reference format: ${shown}: cannot specify 64-byte hexadecimal strings as a name`,
    );
  }
  return canonicalImageReference(reference);
}

/** Whether a canonical reference says which one of a repository's images it means. */
export const isOne = (canonical: string): boolean => /[:@]/.test(canonical.slice(canonical.lastIndexOf('/') + 1));

/** An image reference without its tag and digest. */
function repositoryOf(canonical: string): string {
  const named = canonical.split('@', 1)[0] as string;
  const colon = named.lastIndexOf(':');
  return colon > named.lastIndexOf('/') ? named.slice(0, colon) : named;
}

/** A pull, push or save without a tag means every tag: the repository's name alone, without `:latest`. */
export function everyTag(reference: string): string {
  const hasTag = reference.includes('@') || reference.lastIndexOf(':') > reference.lastIndexOf('/');
  const canonical = namedImage(reference);
  return hasTag ? canonical : repositoryOf(canonical);
}

/** What an export means by a name: part of an id, one image, or a whole repository. */
export const exported = (reference: string): string =>
  PART_OF_ID.test(reference) || WHOLE_ID.test(reference) ? canonicalImage(reference) : everyTag(reference);

/** A name with its tag beside it, as the engine puts them together; a tag may be a digest. */
function tagged(name: string, tag: string): string {
  if (tag === '') return namedImage(name);
  return namedImage(name.endsWith(`:${tag}`) ? name : `${name}${tag.includes(':') ? '@' : ':'}${tag}`);
}

const withoutSlash = (name: string): string => (name.startsWith('/') ? name.slice(1) : name);

/** Rewriting by operation id: of the name in the path, and of the query. */
const IN_PATH: Readonly<Record<string, (name: string, query: Query) => string>> = {
  ImageInspect: canonicalImage,
  ImageAttestations: canonicalImage,
  ImageHistory: canonicalImage,
  ImageTag: canonicalImage,
  ImageDelete: canonicalImage,
  ImageGet: exported,
  DistributionInspect: namedImage,
  ImagePush: (name, { tag }) =>
    (tag?.[0] ?? '') === '' ? everyTag(name) : repositoryOf(tagged(name, tag?.[0] as string)),
};

const IN_QUERY: Readonly<Record<string, (query: Query) => void>> = {
  ContainerCreate: (query) => each(query, 'name', withoutSlash),
  ContainerRename: (query) => each(query, 'name', withoutSlash),
  ImageCommit(query) {
    each(query, 'container', withoutSlash);
    newImage(query);
  },
  ImageTag: newImage,
  ImageGetAll: (query) => each(query, 'names', exported),
  ImageCreate(query) {
    const from = query.fromImage?.[0] ?? '';
    const tag = query.tag?.[0] ?? '';
    if (from === '') newImage(query);
    else if (tag === '') query.fromImage = [everyTag(from)];
    else query.fromImage = [repositoryOf(tagged(from, tag))];
  },
  ImageBuild(query) {
    each(query, 't', namedImage);
    const from = query.cachefrom?.[0] ?? '';
    if (from !== '') query.cachefrom = [stringifyJson(cacheSources(from).map(canonicalImage))];
  },
};

function each(query: Query, name: string, change: (value: string) => string): void {
  const values = query[name];
  if (values !== undefined) query[name] = values.map((value) => (value === '' ? value : change(value)));
}

/** `repo` and `tag` of an image that is made: always both, so that nothing is left to a default. */
function newImage(query: Query): void {
  const repo = query.repo?.[0] ?? '';
  if (repo === '') return;
  const name = tagged(repo, query.tag?.[0] ?? '');
  // With a digest there is nothing to be made; the engine says so.
  if (name.includes('@')) return;
  query.repo = [repositoryOf(name)];
  query.tag = [name.slice(name.lastIndexOf(':') + 1)];
}

/** @throws {GatewayError} `query-ambiguous` */
export function cacheSources(cacheFrom: string): readonly string[] {
  const list = readJson(encoder.encode(cacheFrom));
  if (!Array.isArray(list)) throw new GatewayError('query-ambiguous', 'query.cachefrom must be a JSON list of images');
  return list.map((name, i) => {
    if (typeof name === 'string') return name;
    throw new GatewayError('query-ambiguous', `query.cachefrom[${i}] must be a string`);
  });
}

/** The same target with its names in canonical form. @throws {GatewayError} `query-ambiguous` for a text that is no reference */
export function canonicalNames<T extends Pick<Target, 'operation' | 'path' | 'query'>>(target: T): T {
  const { id } = target.operation;
  const inPath = Object.hasOwn(IN_PATH, id) ? IN_PATH[id] : undefined;
  const inQuery = Object.hasOwn(IN_QUERY, id) ? IN_QUERY[id] : undefined;
  if (inPath === undefined && inQuery === undefined) return target;
  const query: Query = Object.assign(Object.create(null), target.query);
  const { name } = target.path;
  const path = inPath === undefined || name === undefined ? target.path : { ...target.path, name: inPath(name, query) };
  inQuery?.(query);
  return { ...target, path, query };
}
