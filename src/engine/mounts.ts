// Reads short mount specifications (`src:dst[:options]`) as the engine's parser for Linux does, and cleans paths as Go does.
// Which paths may be mounted is policy's business.
// See https://docs.docker.com/reference/api/engine/ (HostConfig.Binds) and https://pkg.go.dev/path#Clean
import { GatewayError } from '../errors.ts';

export interface ParsedBind {
  /** A host path, a named volume, or a new volume without a name. */
  readonly kind: 'bind' | 'volume' | 'anonymous';
  /** Host path in its clean form, or the volume's name; empty for an anonymous volume. */
  readonly source: string;
  /** Path in the container, in its clean form. */
  readonly target: string;
  /** As given, in order. */
  readonly options: readonly string[];
  readonly readOnly: boolean;
}

const READ_WRITE = ['rw', 'ro'];
const LABEL = ['z', 'Z'];
const PROPAGATION = ['private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared'];
const COPY = ['nocopy'];
const CONSISTENCY = ['consistent', 'cached', 'delegated'];
const OPTION_GROUPS: readonly (readonly string[])[] = [READ_WRITE, LABEL, PROPAGATION, COPY, CONSISTENCY];

/** Whether a path is absolute; as for the engine, only a leading slash counts. */
export const isAbsolutePath = (path: string): boolean => path.startsWith('/');

/** Shortest form of a path that names the same place, without looking at the file system: Go's path.Clean. */
export function cleanPath(path: string): string {
  if (path === '') return '.';
  const rooted = path.startsWith('/');
  const kept: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') kept.push(part);
    else if (kept.length > 0 && kept[kept.length - 1] !== '..') kept.pop();
    else if (!rooted) kept.push('..');
  }
  const joined = kept.join('/');
  if (rooted) return `/${joined}`;
  return joined === '' ? '.' : joined;
}

/** Whether text is a list of mount options of which no two are of one group. */
export function isMountMode(mode: string): boolean {
  if (mode === '') return true;
  const used = new Set<readonly string[]>();
  for (const option of mode.split(',')) {
    const group = OPTION_GROUPS.find((names) => names.includes(option));
    if (group === undefined || used.has(group)) return false;
    used.add(group);
  }
  return true;
}

/**
 * Reads one entry of HostConfig.Binds.
 *
 * @throws {GatewayError} `body-malformed` where the engine refuses the entry too
 */
export function parseBind(spec: string): ParsedBind {
  const refuse = (why: string): never => {
    throw new GatewayError('body-malformed', `the bind ${JSON.stringify(spec)} is not valid: ${why}`);
  };
  // A fourth part may hold colons, but the engine takes three parts at most.
  const parts = spec.split(':');
  const [first = '', second = '', mode = ''] = parts;
  if (first === '') refuse('it has no source');
  if (parts.length > 3) refuse('it has more than three parts');
  if (parts.length === 2 && isMountMode(second)) refuse('options without a source and a target');
  if (!isMountMode(mode)) refuse(`the options ${JSON.stringify(mode)} are unknown or contradict each other`);
  const source = parts.length === 1 ? '' : first;
  const target = parts.length === 1 ? first : second;
  if (!isAbsolutePath(target)) refuse('the target is not an absolute path');
  // The engine takes backslashes for slashes in its check of the target, but not where it cleans it.
  if (cleanPath(target) === '/' || cleanPath(target.replaceAll('\\', '/')) === '/') refuse('the target is /');
  const options = mode === '' ? [] : mode.split(',');
  const kind = source === '' ? 'anonymous' : isAbsolutePath(source) ? 'bind' : 'volume';
  if (kind === 'bind' && options.some((o) => COPY.includes(o))) refuse('nocopy is for volumes');
  if (kind === 'volume') {
    if (options.some((o) => PROPAGATION.includes(o))) refuse('propagation is for host paths');
    // Every volume driver refuses such names, and `../x` is a path some client forgot to resolve.
    if (/[/\\\0]/.test(source)) refuse('the source is neither an absolute path nor the name of a volume');
  }
  return {
    kind,
    source: kind === 'bind' ? cleanPath(source) : source,
    target: cleanPath(target),
    options,
    readOnly: options.includes('ro'),
  };
}

/** A VolumesFrom entry `container[:options]`: the container it names. */
export function volumesFromContainer(spec: string): string {
  const colon = spec.indexOf(':');
  const name = colon < 0 ? spec : spec.slice(0, colon);
  const mode = colon < 0 ? '' : spec.slice(colon + 1);
  const options = mode.split(',');
  const forbidden = options.some((o) => PROPAGATION.includes(o) || COPY.includes(o));
  if (name === '' || !isMountMode(mode) || forbidden) {
    throw new GatewayError('body-malformed', `the VolumesFrom entry ${JSON.stringify(spec)} is not valid`);
  }
  return name;
}
