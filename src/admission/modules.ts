// Finds the modules a plugin consists of, without running any of them: the entry, what it imports by a relative path, and
// the packages it brings. Types are taken out as Node itself does it. Their bytes give the plugin's SHA-256.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'amaro';
import { init, parse } from 'es-module-lexer';

/** Most modules, and most bytes of them together, of one plugin. */
const MAX_MODULES = 500;
const MAX_BYTES = 8 * 1024 * 1024;

/** What cannot be loaded, in words with file and line. */
export class ModuleFault extends Error {}

export interface Modules {
  /** Path of the entry. */
  readonly entry: string;
  /** Path to JavaScript. */
  readonly sources: Readonly<Record<string, string>>;
  /** Path and specifier, joined by a newline, to the path that is meant. */
  readonly links: Readonly<Record<string, string>>;
  /** Folders of packages it imports by name and that were not read, `.../node_modules`. */
  readonly packages: readonly string[];
  /** Hexadecimal. Of the file's bytes where there is one file, else of the sorted list of `PATH SHA-256` lines. */
  readonly sha256: string;
}

/** @throws {ModuleFault} with file and line, where TypeScript cannot be read */
export function javascriptOf(path: string, source: string): string {
  if (!/\.[mc]?ts$/.test(path)) return source;
  try {
    return transformSync(source, { mode: 'strip-only' }).code;
  } catch (error) {
    const { message, startLine, startColumn } = error as { message?: string; startLine?: number; startColumn?: number };
    const at = startLine === undefined ? '' : `:${startLine}:${(startColumn ?? 0) + 1}`;
    throw new ModuleFault(`${path}${at}: ${message ?? String(error)}`);
  }
}

/** The module that answers `import ... from 'dockgate/plugin'` in the sandbox, and the folder of all that this program gives. */
function face(): { readonly path: string; readonly root: string } {
  for (const [name, root] of [
    ['./sandbox-face.ts', '..'],
    ['./sandbox-face.js', '.'],
  ] as const) {
    const path = fileURLToPath(new URL(name, import.meta.url));
    if (existsSync(path)) {
      const real = realpathSync(path);
      return { path: real, root: resolve(dirname(real), root) };
    }
  }
  throw new ModuleFault('the module dockgate/plugin of this program is missing: install it again');
}

/**
 * Reads the entry and everything it imports.
 *
 * @param entry absolute path of a file, or of a folder with a package.json or an index.ts
 * @param reach `own`: every import must be a module that can be read here; `system`: modules of the runtime, packages and
 *   `import()` are left to the runtime, and only what is imported by a path is read
 * @throws {ModuleFault}
 */
export async function collectModules(entry: string, reach: 'own' | 'system' = 'own'): Promise<Modules> {
  await init;
  const start = entryOf(entry);
  const ours = face();
  const root = rootOf(entry, start);
  const sources: Record<string, string> = Object.create(null);
  const links: Record<string, string> = Object.create(null);
  const hashes: [string, string][] = [];
  const packages = new Set<string>();
  const open = [start];
  let bytes = 0;
  while (open.length > 0) {
    const path = open.pop() as string;
    if (path in sources) continue;
    const raw = readFileSync(path);
    bytes += raw.length;
    if (hashes.length >= MAX_MODULES || bytes > MAX_BYTES)
      throw new ModuleFault(`the plugin has more than ${MAX_MODULES} modules or ${MAX_BYTES} bytes`);
    // What this program gives is pinned with the program.
    if (!isBelow(path, ours.root))
      hashes.push([
        relative(dirname(start), path).split(sep).join('/'),
        createHash('sha256').update(raw).digest('hex'),
      ]);
    const source = javascriptOf(path, raw.toString('utf8'));
    sources[path] = source;
    for (const specifier of importsOf(path, source, reach)) {
      if (reach === 'system' && !specifier.startsWith('.') && !isAbsolute(specifier)) {
        for (const folder of packageFolders(path, specifier)) packages.add(folder);
        continue;
      }
      const found =
        specifier === 'dockgate/plugin' ? ours.path : servedFor(resolveImport(path, specifier), ours, reach);
      if (reach === 'own' && !isInside(found, root, ours.root)) {
        throw new ModuleFault(`${path} imports ${specifier}, which lies outside the plugin or is no JavaScript`);
      }
      links[`${path}\n${specifier}`] = found;
      open.push(found);
    }
  }
  const own = hashes.length === 1 ? hashes[0]?.[1] : undefined;
  const lines = hashes.map(([path, hash]) => `${path} ${hash}\n`).sort();
  const found = { entry: start, sources, links, packages: [...packages] };
  return { ...found, sha256: own ?? createHash('sha256').update(lines.join('')).digest('hex') };
}

/** Shipped plugins of a checkout name the package's face by its path: the sandbox has its own in place of it. */
const servedFor = (path: string, ours: ReturnType<typeof face>, reach: 'own' | 'system'): string =>
  reach === 'own' && path === join(ours.root, 'plugin.ts') ? ours.path : path;

const isBelow = (path: string, folder: string): boolean => path.startsWith(folder + sep);

/** The folder a plugin's modules lie in: the one that was named, or the one of the file that was. */
const rootOf = (entry: string, start: string): string =>
  statSync(entry).isDirectory() ? realpathSync(entry) : dirname(start);

/** A module of the plugin's own, of the packages installed beside it, or of this program; and code, whatever else lies there. */
const isInside = (path: string, root: string, ours: string): boolean =>
  /\.[mc]?[jt]s$/.test(path) && (isBelow(path, root) || isBelow(path, ours) || /[\\/]node_modules[\\/]/.test(path));

function entryOf(path: string): string {
  if (!existsSync(path)) throw new ModuleFault(`${path} does not exist`);
  const real = realpathSync(path);
  if (!statSync(real).isDirectory()) return real;
  const manifest = join(real, 'package.json');
  if (existsSync(manifest)) {
    const { exports, main } = JSON.parse(readFileSync(manifest, 'utf8')) as { exports?: unknown; main?: unknown };
    const root =
      typeof exports === 'object' && exports !== null && '.' in exports
        ? (exports as Record<string, unknown>)['.']
        : exports;
    const named =
      typeof root === 'string'
        ? root
        : typeof root === 'object' && root !== null
          ? ((root as Record<string, unknown>).import ?? (root as Record<string, unknown>).default)
          : main;
    if (typeof named === 'string') {
      const file = resolve(real, named);
      if (existsSync(file)) return realpathSync(file);
      throw new ModuleFault(`${manifest} names ${named}, which does not exist`);
    }
  }
  for (const name of ['index.ts', 'index.js', 'index.mjs', 'plugin.ts', 'plugin.js']) {
    if (existsSync(join(real, name))) return realpathSync(join(real, name));
  }
  throw new ModuleFault(`${path} is a folder without a package.json that names a module, index.ts or plugin.ts`);
}

function importsOf(path: string, source: string, reach: 'own' | 'system'): readonly string[] {
  let found: ReturnType<typeof parse>;
  try {
    found = parse(source, path);
  } catch (error) {
    const at = (error as { idx?: number }).idx;
    const line = at === undefined ? '' : `:${source.slice(0, at).split('\n').length}`;
    throw new ModuleFault(`${path}${line}: it cannot be read as an ES module`);
  }
  const specifiers: string[] = [];
  for (const { specifier, type, importStart } of found[0]) {
    if (type === 'dynamic') {
      if (reach === 'system') continue;
      throw new ModuleFault(
        `${path}:${source.slice(0, importStart).split('\n').length}: import() is not served to sandboxed plugins; import at the top`,
      );
    } else if (typeof specifier === 'string') specifiers.push(specifier);
  }
  return specifiers;
}

/** Where the runtime looks for a package: every `node_modules` above the module. */
function packageFolders(from: string, specifier: string): readonly string[] {
  if (specifier.startsWith('node:') || specifier === 'dockgate/plugin' || isBuiltin(specifier)) return [];
  const folders: string[] = [];
  for (let folder = dirname(from); folder !== dirname(folder); folder = dirname(folder)) {
    const inside = join(folder, 'node_modules');
    if (existsSync(inside)) folders.push(realpathSync(inside));
  }
  return folders;
}

function packagePath(from: string, specifier: string): string {
  try {
    return createRequire(from).resolve(specifier);
  } catch {
    // A package of ES modules alone is not found by `require`.
    for (let folder = dirname(from); ; folder = dirname(folder)) {
      const inside = join(folder, 'node_modules', specifier);
      if (existsSync(inside)) return entryOf(inside);
      if (folder === dirname(folder)) break;
    }
    throw new ModuleFault(`${from} imports ${specifier}, which is not installed beside it`);
  }
}

function resolveImport(from: string, specifier: string): string {
  if (specifier.startsWith('node:')) {
    throw new ModuleFault(
      `${from} imports ${specifier}, and a sandboxed plugin has no modules of the system: use tier process or trusted for it`,
    );
  }
  let path: string;
  if (specifier.startsWith('.') || isAbsolute(specifier)) path = resolve(dirname(from), specifier);
  else {
    path = packagePath(from, specifier);
    if (!isAbsolute(path))
      throw new ModuleFault(`${from} imports ${specifier}, and a sandboxed plugin has no modules of the system`);
  }
  for (const candidate of [path, `${path}.ts`, `${path}.js`, join(path, 'index.ts'), join(path, 'index.js')]) {
    if (existsSync(candidate) && statSync(candidate).isFile()) return realpathSync(candidate);
  }
  throw new ModuleFault(`${from} imports ${specifier}, which does not exist`);
}
