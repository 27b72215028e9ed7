// Checks where images come from and go to: the engine connects to the registry a reference names, on the caller's word.
import type { Json } from '../../engine/types.ts';
import type { Report } from './report.ts';
import { oneOfWords, quote } from './report.ts';

const DOCKER_HUB = 'docker.io';

/**
 * Registry and repository of an image reference, split as the engine does: the part before the first slash is a
 * registry if it holds a dot or a colon, is `localhost` or has an upper-case letter. The case is kept, since the engine
 * would connect to exactly that name.
 */
export function repositoryOf(reference: string): { registry: string; path: string } {
  const bare = reference.replace(/@.*$/s, '');
  const slash = bare.indexOf('/');
  const first = slash < 0 ? '' : bare.slice(0, slash);
  const isRegistry = slash >= 0 && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase());
  const registry = isRegistry ? (first === 'index.docker.io' ? DOCKER_HUB : first) : DOCKER_HUB;
  const rest = (isRegistry ? bare.slice(slash + 1) : bare).replace(/:[^/]*$/s, '');
  return { registry, path: registry === DOCKER_HUB && !rest.includes('/') ? `library/${rest}` : rest };
}

/** Whether a listed registry, or a listed start of a repository on segment borders, covers the reference. */
export function isListedRegistry(registries: readonly string[], reference: string): boolean {
  const { registry, path } = repositoryOf(reference);
  const full = `${registry}/${path}`;
  return registries.some(
    (listed) => listed === '*' || listed === registry || full === listed || full.startsWith(`${listed}/`),
  );
}

/** An image the engine would fetch or send. */
export function checkImage(
  registries: readonly string[],
  reference: Json | undefined,
  at: string,
  report: Report,
  also = '',
): void {
  if (reference === undefined || reference === null || reference === '') return;
  if (typeof reference === 'string' && isListedRegistry(registries, reference)) return;
  const { registry } = repositoryOf(String(reference));
  report.deny(
    at,
    reference,
    `is ${quote(reference)} of the registry ${quote(registry)} (allowed: ${oneOfWords(registries)}${also})`,
  );
}

/** Addresses that mean the engine's own machine or its link, as a registry's host with or without a port. */
const NEAR =
  /^(?:(?:.*\.)?localhost\.?|127(?:\.\d+){1,3}|0(?:\.\d+){0,3}|169\.254\.\d+\.\d+|\[(?:::1?|::ffff:.*|fe[89ab].*)\])(?::\d+)?$/i;

/**
 * Whether credentials of the caller's own may take the engine to this registry where the policy lists none. Not to the engine's own
 * machine: what listens there trusts its neighbours, and engines speak to it in clear.
 *
 * @param near registries whose names were found to stand for it
 */
export const isFarRegistry = (registry: string, near: readonly string[] = []): boolean =>
  !NEAR.test(registry) && !near.includes(registry);

/** The host of a login address as Go's url.Parse sees it; undefined where readers could disagree. */
export function addressHost(address: string): string | undefined {
  const bare = address.replace(/^https?:\/\//, '');
  const host = /^[^/?#]*/.exec(bare)?.[0] ?? '';
  if (!/^[A-Za-z0-9._-]+(?::\d{1,5})?$/.test(host)) return undefined;
  return host === 'index.docker.io' || host === 'registry-1.docker.io' ? DOCKER_HUB : host;
}

/** `serveraddress` of a login; empty means Docker Hub. */
export function checkAddress(registries: readonly string[], value: Json | undefined, at: string, report: Report): void {
  const address = value === undefined || value === null || value === '' ? DOCKER_HUB : value;
  const host = typeof address === 'string' ? addressHost(address) : undefined;
  const isListed = host !== undefined && registries.some((r) => r === '*' || r === host || r.startsWith(`${host}/`));
  if (!isListed) report.deny(at, value, `is ${quote(value)} (allowed: ${oneOfWords(registries)})`);
}

const DIGEST = /@sha256:[0-9a-f]{64}$/;
const IMAGE_ID = /^(?:sha256:)?[0-9a-f]{64}$/;

/** Hardened: a name that may mean another image tomorrow is refused. */
export function checkPinned(image: Json | undefined, at: string, report: Report): void {
  if (typeof image === 'string' && (DIGEST.test(image) || IMAGE_ID.test(image))) return;
  report.deny(at, image ?? '', `is ${quote(image ?? '')} (allowed: a name with its digest, name@sha256:...)`);
}
