// The words for objects that are not there, which are also the words for objects of others: the engine's own, per kind.
import type { ResourceKind } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';

/** An image as the engine names it in its answers: without the default registry, with its tag. */
export function familiarImage(reference: string): string {
  if (reference.startsWith('docker.io/library/')) return reference.slice('docker.io/library/'.length);
  return reference.startsWith('docker.io/') ? reference.slice('docker.io/'.length) : reference;
}

/** @param name as the caller named it, without a leading slash; an image in its canonical form */
export function missing(kind: ResourceKind, name: string): GatewayError {
  return new GatewayError('object-not-found', wordsFor(kind, name.slice(0, 512)));
}

function wordsFor(kind: ResourceKind, name: string): string {
  switch (kind) {
    case 'container':
      return `No such container: ${name}`;
    case 'exec':
      return `No such exec instance: ${name}`;
    case 'image':
      return `No such image: ${familiarImage(name)}`;
    case 'volume':
      return `get ${name}: no such volume`;
    case 'network':
      return `network ${name} not found`;
    default:
      return `${kind} ${name} not found`;
  }
}

/** The answer for a name that is taken; it does not tell by which tenant. */
export function taken(kind: ResourceKind, name: string): GatewayError {
  return new GatewayError('conflict', takenWords(kind, name.slice(0, 512)));
}

function takenWords(kind: ResourceKind, name: string): string {
  switch (kind) {
    case 'container':
      return `Conflict. The container name "/${name}" is already in use. You have to remove (or rename) that container to be able to reuse that name.`;
    case 'volume':
      return `create ${name}: conflict: volume name must be unique`;
    case 'network':
      return `network with name ${name} already exists`;
    case 'image':
      return `conflict: the image name ${familiarImage(name)} is in use and not yours to change; choose another name`;
    default:
      return `name conflicts with an existing object: ${kind} ${name} already exists`;
  }
}

/** The answer for an image that others use as well. */
export const inUse = (reference: string): GatewayError =>
  new GatewayError(
    'conflict',
    `conflict: unable to delete ${familiarImage(reference)} (cannot be forced) - the image is not yours alone`,
  );
