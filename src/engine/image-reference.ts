// One spelling for each image: registry/repository[:tag][@digest], as Docker normalises it.
// See https://pkg.go.dev/github.com/distribution/reference#ParseNormalizedNamed
import { GatewayError } from '../errors.ts';

const DEFAULT_REGISTRY = 'docker.io';
const ID = /^(sha256:)?[0-9a-f]{64}$/;
const DOMAIN =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/;
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^[a-z][a-z0-9]*(?:[+._-][a-z][a-z0-9]*)*:[0-9a-fA-F]{32,}$/;
const MAX_NAME = 255;

/**
 * `busybox` is `docker.io/library/busybox:latest`; ids stay ids.
 *
 * @throws {GatewayError} `query-ambiguous` for what Docker would not read as a reference
 */
export function canonicalImageReference(name: string): string {
  if (ID.test(name)) return name.startsWith('sha256:') ? name : `sha256:${name}`;
  if (name.trim() === '') throw new GatewayError('query-ambiguous', 'image name cannot be blank');
  const bad = () => {
    const lower = name.toLowerCase();
    const isCase = name !== lower && readsAsReference(lower);
    const why = isCase ? `repository name (${JSON.stringify(name.slice(0, 300))}) must be lowercase` : '';
    const what = why === '' ? `${JSON.stringify(name.slice(0, 300))} is not an image reference` : why;
    // Clients look for the first words: the docker CLI goes on to volumes and networks after them.
    return new GatewayError('query-ambiguous', `invalid reference format: ${what}`);
  };
  let rest = name;
  let digest = '';
  const at = rest.indexOf('@');
  if (at >= 0) {
    digest = rest.slice(at + 1);
    rest = rest.slice(0, at);
    if (!DIGEST.test(digest)) throw bad();
  }
  let tag = '';
  const colon = rest.lastIndexOf(':');
  if (colon > rest.lastIndexOf('/')) {
    tag = rest.slice(colon + 1);
    rest = rest.slice(0, colon);
    if (!TAG.test(tag)) throw bad();
  }
  const slash = rest.indexOf('/');
  const head = slash < 0 ? '' : rest.slice(0, slash);
  const isRegistry =
    slash >= 0 && (head.includes('.') || head.includes(':') || head === 'localhost' || head.toLowerCase() !== head);
  let registry = isRegistry ? head : DEFAULT_REGISTRY;
  let repository = isRegistry ? rest.slice(slash + 1) : rest;
  if (registry === 'index.docker.io') registry = DEFAULT_REGISTRY;
  if (registry === DEFAULT_REGISTRY && !repository.includes('/')) repository = `library/${repository}`;
  if (!DOMAIN.test(registry) || repository.length > MAX_NAME || !repository.split('/').every((c) => COMPONENT.test(c)))
    throw bad();
  if (tag === '' && digest === '') tag = 'latest';
  return `${registry}/${repository}${tag === '' ? '' : `:${tag}`}${digest === '' ? '' : `@${digest}`}`;
}

function readsAsReference(name: string): boolean {
  try {
    canonicalImageReference(name);
    return true;
  } catch {
    return false;
  }
}
