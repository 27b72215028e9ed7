// Matches names against patterns: globs in linear time, and `kind/name` resources against what a call touches.
import type { ResourceKind, ResourceRef } from '../engine/types.ts';

export type NameTest = (name: string) => boolean;

/** A pattern in which `*` stands for any run of characters, slashes included. Everything else is literal. */
export function compileGlob(pattern: string): NameTest {
  if (!pattern.includes('*')) return (name) => name === pattern;
  const pieces = pattern.split('*');
  const first = pieces[0] as string;
  const last = pieces[pieces.length - 1] as string;
  const middle = pieces.slice(1, -1).filter((piece) => piece !== '');
  if (middle.length === 0) {
    const least = first.length + last.length;
    return (name) => name.length >= least && name.startsWith(first) && name.endsWith(last);
  }
  return (name) => {
    if (!name.startsWith(first)) return false;
    let from = first.length;
    // The leftmost place of each piece leaves most room for the rest, so no step has to be taken back.
    for (const piece of middle) {
      const found = name.indexOf(piece, from);
      if (found < 0) return false;
      from = found + piece.length;
    }
    return name.length - last.length >= from && name.endsWith(last);
  };
}

/** Kinds a resource pattern may name; exec instances belong to their container. */
export const PATTERN_KINDS: readonly (ResourceKind | '*')[] = [
  'container',
  'image',
  'volume',
  'network',
  'distribution',
  'build',
  'service',
  'task',
  'node',
  'secret',
  'config',
  'plugin',
  'swarm',
  'system',
  '*',
];

/** A resource pattern for one principal: `container/ci-*`, `image/docker.io/library/*`, or `*` for everything. */
export interface ResourcePattern {
  readonly text: string;
  readonly kind: ResourceKind | '*';
  /** Stands for every object of its kind, of any name. */
  readonly any: boolean;
  readonly test: NameTest;
  /** Of an image's pattern with a tag or digest: whether a repository may hold what it stands for. */
  readonly repository?: NameTest;
}

export function compileResource(text: string): ResourcePattern {
  if (text === '*') return { text, kind: '*', any: true, test: () => true };
  const slash = text.indexOf('/');
  const kind = text.slice(0, slash) as ResourceKind | '*';
  const name = text.slice(slash + 1);
  const any = /^\*+$/.test(name);
  const isReference = kind === 'image' || kind === 'distribution';
  const test = any ? () => true : isReference ? compileReference(name) : compileGlob(name);
  if (any || !isReference || !/[:@]/.test(name.slice(name.lastIndexOf('/') + 1))) return { text, kind, any, test };
  return { text, kind, any, test, repository: compileGlob(repositoryOf(name)) };
}

/**
 * Image patterns are canonical: `docker.io/library/busybox:test`. Without a tag or a digest they stand for every tag.
 * A pattern with a tag does not stand for references with a digest, for then the digest alone counts.
 */
function compileReference(pattern: string): NameTest {
  const last = pattern.slice(pattern.lastIndexOf('/') + 1);
  const test = compileGlob(pattern);
  if (last.includes('@')) return test;
  if (last.includes(':')) return (name) => !name.includes('@') && test(name);
  return (name) => test(repositoryOf(name));
}

/** An image reference without its tag and digest. */
export function repositoryOf(reference: string): string {
  const at = reference.indexOf('@');
  const named = at < 0 ? reference : reference.slice(0, at);
  const colon = named.lastIndexOf(':');
  return colon > named.lastIndexOf('/') ? named.slice(0, colon) : named;
}

/** An exec instance is judged as the container it runs in. */
const kindOf = (ref: ResourceRef): ResourceKind => (ref.kind === 'exec' ? 'container' : ref.kind);

/**
 * Whether the name of an image reference is in truth the start of its id, as `docker run 4f2c...` is: such a name says
 * nothing of the repository the image came from.
 */
function isAddressedById(ref: ResourceRef): boolean {
  const name = ref.name.replace(/^docker\.io\/library\//, '');
  if (/^sha256:/.test(name)) return true;
  const digits = name.replace(/:latest$/, '');
  const id = ref.id?.replace(/^sha256:/, '');
  return id !== undefined && /^[0-9a-f]{1,64}$/.test(digits) && id.startsWith(digits);
}

/**
 * Whether an allow rule's pattern covers an object for certain. A resolved object is judged by its real name or by its
 * whole id, never by the words the caller chose; an object yet to be made by the name it is to have.
 */
export function coversSurely(pattern: ResourcePattern, ref: ResourceRef): boolean {
  if (pattern.kind !== '*' && pattern.kind !== kindOf(ref)) return false;
  if (pattern.any) return true;
  const wholeId = pattern.text.slice(pattern.text.indexOf('/') + 1);
  if (ref.role === 'creates') return ref.name !== '' && pattern.test(ref.name);
  if (ref.id !== undefined && ref.id === wholeId) return true;
  if (ref.kind === 'exec') return ref.resolvedName !== undefined && pattern.test(ref.resolvedName);
  const name = ref.resolvedName === undefined || ref.resolvedName === '' ? ref.name : ref.resolvedName;
  if (name === '' || (ref.kind === 'image' && isAddressedById(ref))) return false;
  return pattern.test(name);
}

/**
 * Whether a deny rule's pattern may cover an object: by any of its names, and for calls on a whole kind (`prune`) always.
 * A read of a whole kind (`list`) touches no single object and is covered only by a pattern for all of them.
 */
export function coversPossibly(pattern: ResourcePattern, ref: ResourceRef, isRead: boolean): boolean {
  if (pattern.kind !== '*' && pattern.kind !== kindOf(ref)) return false;
  if (pattern.any) return true;
  if (ref.name === '') return ref.role === 'target' && !isRead;
  if (ref.kind === 'image' && isWholeRepository(ref.name) && pattern.repository?.(ref.name) === true) return true;
  if (pattern.test(ref.name)) return true;
  if (ref.resolvedName !== undefined && ref.resolvedName !== '' && pattern.test(ref.resolvedName)) return true;
  if (ref.id !== undefined && (pattern.test(ref.id) || ref.id === pattern.text.slice(pattern.text.indexOf('/') + 1))) {
    return true;
  }
  // By its id an image tells nothing of its repository, and an exec nothing of its container: doubt closes.
  if (ref.kind === 'image' && isAddressedById(ref)) return true;
  return ref.kind === 'exec' && ref.resolvedName === undefined;
}

/** Kinds whose real name and labels can be looked up. */
const RESOLVABLE: ReadonlySet<ResourceKind> = new Set<ResourceKind>([
  'container',
  'exec',
  'image',
  'volume',
  'network',
  'service',
  'secret',
  'config',
  'node',
]);

/** Whether a pattern needs the object's real name to be judged. */
export const needsRealName = (pattern: ResourcePattern, ref: ResourceRef): boolean =>
  !pattern.any && (pattern.kind === '*' || pattern.kind === kindOf(ref));

export const isResolvable = (ref: ResourceRef): boolean => ref.name !== '' && RESOLVABLE.has(ref.kind);

/** A pull, push or save without a tag is about every image of a repository. */
const isWholeRepository = (name: string): boolean => !/[:@]/.test(name.slice(name.lastIndexOf('/') + 1));
