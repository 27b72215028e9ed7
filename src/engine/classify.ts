// Names the operation a request line addresses. The path is decoded once and matched exactly; what the engine would clean,
// redirect or read in a second way is refused. Pure. Engine API reference; daemon/server/router.
import { GatewayError } from '../errors.ts';
import { OPERATIONS } from './operations.ts';
import { judgeQuery } from './query.ts';
import type { LeftOut, Operation, Target } from './types.ts';
import { readVersion, type VersionLimits } from './versions.ts';

export { canonicalImageReference } from './image-reference.ts';
export { knownActions, OPERATIONS } from './operations.ts';
export { NEWEST_MINOR, OLDEST_MINOR } from './versions.ts';

/** Longest request target, in characters. A query may hold a whole create body (dockerode sends it there too). */
const MAX_TARGET = 64 * 1024;
/** Names that may hold slashes: images, plugins and what names an image of a registry. */
const SLASHED = new Set(['image', 'plugin', 'distribution']);

interface Route {
  readonly operation: Operation;
  /** Literal segments before, the parameter's name, and literals after; no parameter: all in `before`. */
  readonly before: readonly string[];
  readonly parameters: readonly string[];
  readonly segments: readonly string[];
  readonly slashed: boolean;
}

const ROUTES = new Map<string, Route[]>();
for (const operation of OPERATIONS) {
  const segments = operation.path.split('/').slice(1);
  const first = segments.findIndex((s) => s.startsWith('{'));
  const route: Route = {
    operation,
    segments,
    before: first < 0 ? segments : segments.slice(0, first),
    parameters: segments.filter((s) => s.startsWith('{')).map((s) => s.slice(1, -1)),
    slashed: SLASHED.has(operation.resource) && first >= 0,
  };
  const key = segments[0] as string;
  ROUTES.set(key, [...(ROUTES.get(key) ?? []), route]);
}
const OPTIONS = OPERATIONS.find(({ method }) => method === 'OPTIONS') as Operation;
// Exact routes before those with a parameter, so that /images/get is not an image named get.
for (const routes of ROUTES.values()) routes.sort((a, b) => a.parameters.length - b.parameters.length);

/**
 * @param method as on the request line; case counts
 * @param rawTarget request target in origin form, as on the wire, query included
 * @throws {GatewayError} `path-not-canonical`, `version-unsupported`, `operation-unknown`, `query-*`
 */
export function classify(method: string, rawTarget: string, limits: VersionLimits = {}): Target {
  if (rawTarget.length > MAX_TARGET)
    throw new GatewayError('path-not-canonical', `the request target is longer than ${MAX_TARGET} characters`);
  const mark = rawTarget.indexOf('?');
  const rawPath = mark < 0 ? rawTarget : rawTarget.slice(0, mark);
  let segments = readSegments(rawPath);
  const hasEncodedSlash = segments.some((segment) => segment.includes('/'));
  if (segments[0]?.includes('/') === true)
    throw new GatewayError('path-not-canonical', 'the path has an encoded slash before the name of what it is about');
  let apiVersion: string | undefined;
  const first = segments[0] as string;
  if (/^v[\d.]*\d/.test(first)) {
    if (segments[1] === 'libpod')
      throw new GatewayError('operation-unknown', "Podman's own API is not served, only the Docker-compatible one");
    apiVersion = readVersion(first, limits);
    segments = segments.slice(1);
    if (segments.length === 0 && method !== 'OPTIONS') throw unknown(method, rawPath);
  }
  if (hasEncodedSlash) segments = splitName(segments);
  // The engine serves the list of networks with a slash behind it too; it is sent on without.
  if (segments.length === 2 && segments[0] === 'networks' && segments[1] === '' && method === 'GET')
    segments = ['networks'];
  if (segments.includes('') && rawPath !== '/')
    throw new GatewayError('path-not-canonical', 'the path has an empty segment');
  if (method === 'OPTIONS')
    return { operation: OPTIONS, action: OPTIONS.action, apiVersion: undefined, path: {}, query: {} };
  for (const route of ROUTES.get(segments[0] as string) ?? []) {
    if (route.operation.method !== method && route.operation.method !== '*') continue;
    const path = match(route, segments);
    if (path === undefined) continue;
    const { operation } = route;
    if (!operation.served) throw refused(operation, rawPath);
    const leftOut: LeftOut[] = [];
    const query = judgeQuery(operation, mark < 0 ? '' : rawTarget.slice(mark + 1), leftOut);
    const action = operation.id === 'ImageCreate' ? pullOrImport(query) : operation.action;
    const target = { operation, action, apiVersion, path, query };
    return leftOut.length === 0 ? target : { ...target, leftOut: Object.freeze(leftOut) };
  }
  throw unknown(method, rawPath);
}

/** Two handlers stand behind one path: the engine pulls where there is an image to pull, and imports otherwise. */
function pullOrImport(query: Target['query']): string {
  const [image, source] = [query.fromImage?.[0] ?? '', query.fromSrc?.[0] ?? ''];
  if (image !== '' && source !== '')
    throw new GatewayError('query-ambiguous', 'fromImage pulls and fromSrc imports: send one of them');
  return image === '' ? 'image.import' : 'image.pull';
}

/** Whether a judged operation takes its connection out of HTTP. */
export function upgradesOn(target: Pick<Target, 'operation'>): 'hijack' | 'h2c' | 'none' {
  const { stream } = target.operation;
  return stream === 'hijack' || stream === 'h2c' ? stream : 'none';
}

const unknown = (method: string, rawPath: string) =>
  new GatewayError(
    'operation-unknown',
    `page not found: ${method.slice(0, 16)} ${rawPath.slice(0, 200)} is no operation of the Engine API that is served here`,
  );

const refused = (operation: Operation, rawPath: string) =>
  new GatewayError(
    'operation-unknown',
    `page not found: ${rawPath.slice(0, 200)} (${operation.action}) is never served through the gateway`,
  );

function match(route: Route, segments: readonly string[]): Readonly<Record<string, string>> | undefined {
  const { segments: template } = route;
  if (route.operation.resource === 'podman' && template.length <= segments.length && template[0] === segments[0])
    return {};
  if (template.length === segments.length) {
    const path: Record<string, string> = Object.create(null);
    for (let i = 0; i < template.length; i++) {
      const part = template[i] as string;
      const given = segments[i] as string;
      if (part.charCodeAt(0) === 123) path[part.slice(1, -1)] = given;
      else if (part !== given) return undefined;
    }
    return path;
  }
  if (!route.slashed || segments.length < template.length) return undefined;
  // One parameter that may hold slashes: literals before and after it are fixed.
  const { before } = route;
  const after = template.slice(before.length + 1);
  for (let i = 0; i < before.length; i++) if (before[i] !== segments[i]) return undefined;
  const end = segments.length - after.length;
  for (let i = 0; i < after.length; i++) if (after[i] !== segments[end + i]) return undefined;
  const path: Record<string, string> = Object.create(null);
  path[route.parameters[0] as string] = segments.slice(before.length, end).join('/');
  return path;
}

/**
 * The engine decodes a path before it looks for the operation, so a slash in a name that may hold some is a slash however it
 * is written: docker-java writes `/images/team%2Fapp/json`. Such a name is sent on with plain ones. Ids and names of other
 * kinds hold none.
 */
function splitName(segments: readonly string[]): string[] {
  const [first, ...rest] = segments as [string, ...string[]];
  if (first !== 'images' && first !== 'distribution' && first !== 'plugins')
    throw new GatewayError('path-not-canonical', 'the path has an encoded slash where no name may hold one');
  const split = rest.flatMap((segment) => segment.split('/'));
  if (split.some((part) => part === '.' || part === '..'))
    throw new GatewayError('path-not-canonical', 'the path has a dot segment');
  return [first, ...split];
}

/** Splits a path and decodes each segment once. */
function readSegments(rawPath: string): string[] {
  if (!rawPath.startsWith('/'))
    throw new GatewayError('path-not-canonical', 'the request target must begin with a slash');
  const segments = rawPath.slice(1).split('/');
  return segments.map((raw) => {
    let text = raw;
    if (/[%\x80-\xff]/.test(raw)) {
      if (/[\x80-\xff]/.test(raw))
        throw new GatewayError('path-not-canonical', 'the path has bytes that must be percent-encoded');
      try {
        text = decodeURIComponent(raw);
      } catch {
        throw new GatewayError('path-not-canonical', 'the path has a percent escape that cannot be read');
      }
    }
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    if (/[\x00-\x1f\x7f]/.test(text)) throw new GatewayError('path-not-canonical', 'the path has a control character');
    if (/%2f/i.test(text))
      throw new GatewayError(
        'path-not-canonical',
        'the path has a slash that is encoded twice, which can be read in two ways',
      );
    if (text === '.' || text === '..') throw new GatewayError('path-not-canonical', 'the path has a dot segment');
    return text;
  });
}
