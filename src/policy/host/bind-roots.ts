// Which host paths a policy lets a container mount, and which none may. Paths are judged as text in their clean form:
// what the path of a folder says is all that is known here. A symbolic link below an allowed folder leads the engine
// wherever it points, so what lies below a writable folder is mounted only where the rule takes that upon itself.
import { cleanPath, isAbsolutePath } from '../../engine/mounts.ts';
import type { Principal } from '../types.ts';
import { SOCKET_FOLDERS, SOCKET_NAMES } from './presets.ts';
import type { BindRule } from './spec.ts';

/** A folder that may be mounted. */
export interface BindRoot {
  /** For messages, as written. */
  readonly text: string;
  readonly readOnly: boolean;
  /** All below it may be mounted too: it is read-only, or the rule says so. */
  readonly subpaths: boolean;
  /** The folder in clean form for this caller, undefined when the caller has no such attribute or a harmful one. */
  readonly pathFor: (principal: Principal) => string | undefined;
}

const PLACEHOLDER = /\$\{([^}]*)\}/g;
const ATTRIBUTE = /^principal\.(?:subject|tenant|claims\.([A-Za-z0-9_-]+))$/;
/** What may take a placeholder's place: one path segment that is no dot segment. */
const SEGMENT = /^(?!\.{1,2}$)[A-Za-z0-9._@+=-]{1,128}$/;

/** @returns undefined for a path that is not absolute, is the root or holds an unknown placeholder */
export function bindRootOf(rule: BindRule): BindRoot | undefined {
  const {
    path,
    readOnly = false,
    subpaths = readOnly,
  }: Exclude<BindRule, string> = typeof rule === 'string' ? { path: rule } : rule;
  if (typeof path !== 'string' || !isAbsolutePath(path) || path.includes('\0') || path.includes(':')) return undefined;
  const clean = cleanPath(path);
  if (clean === '/') return undefined;
  const text = readOnly ? `${clean} (read-only)` : subpaths ? clean : `${clean} itself`;
  const names = [...clean.matchAll(PLACEHOLDER)].map((match) => match[1] as string);
  if (clean.replaceAll(PLACEHOLDER, '').includes('${') || !names.every((name) => ATTRIBUTE.test(name)))
    return undefined;
  if (names.length === 0) return { text, readOnly, subpaths, pathFor: () => clean };
  return { text, readOnly, subpaths, pathFor: (principal) => fill(clean, principal) };
}

/** Kept out of the pattern: a value with `/` or `..` would widen the path, an empty one would name the parent. */
function fill(path: string, principal: Principal): string | undefined {
  let complete = true;
  const filled = path.replaceAll(PLACEHOLDER, (_all, name: string) => {
    const value = attributeOf(principal, name);
    if (typeof value === 'string' && SEGMENT.test(value)) return value;
    complete = false;
    return '';
  });
  return complete ? filled : undefined;
}

function attributeOf(principal: Principal, name: string): unknown {
  if (name === 'principal.subject') return principal.subject;
  if (name === 'principal.tenant') return principal.tenant;
  const claim = name.slice('principal.claims.'.length);
  return Object.hasOwn(principal.claims, claim) ? principal.claims[claim] : undefined;
}

/** Whether a clean path is a folder or below it, on segment borders: `/srv/ci2` is not below `/srv/ci`. */
export const isBelow = (path: string, folder: string): boolean =>
  folder === '/' || path === folder || (path.startsWith(folder) && path.charAt(folder.length) === '/');

/** /var/run is a link to /run on every system an engine runs on. */
export const throughRun = (path: string): string => (isBelow(path, '/var/run') ? path.slice('/var'.length) : path);

const NAMES: ReadonlySet<string> = new Set(SOCKET_NAMES);
/** A rootless engine keeps its socket in the user's runtime folder, or below the home folder. */
const ROOTLESS =
  /^\/run\/user(?:\/[^/]+(?:\/(?:docker|podman|containerd|containerd-rootless|dockerd-rootless|buildkit)(?:\/.*)?)?)?$/;
const HOME = /\/\.docker(?:\/(?:run|desktop)(?:\/.*)?)?$/;

/**
 * Whether a mount of this path would hand over an engine's socket: it is one, holds one, or lies in a folder of them.
 *
 * @param path absolute and clean
 */
export function reachesSocket(path: string): boolean {
  const real = throughRun(path);
  if (real === '/' || real === '/var') return true;
  if (NAMES.has(real.slice(real.lastIndexOf('/') + 1)) || ROOTLESS.test(real) || HOME.test(real)) return true;
  for (const { path: folder, whole } of SOCKET_FOLDERS) {
    if (isBelow(folder, real) || (whole && isBelow(real, folder))) return true;
  }
  return false;
}
