// Loads plugin modules: imports the file or package, checks the default export and its settings.
// Importing starts nothing; `setup` runs once per load. Running the hooks is chain.ts's work.
import { existsSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { LoadedPlugin } from './chain.ts';
import type { Plugin } from './plugin.ts';

export interface PluginSetting {
  /** Path (absolute or relative to `baseDir`) or package name of the module. */
  readonly use: string;
  readonly config?: unknown;
}

/**
 * Loads every configured plugin, in order.
 *
 * @throws {GatewayError} `config-invalid` naming the plugin and everything that is wrong with it
 */
export async function loadPlugins(
  settings: readonly PluginSetting[],
  baseDir: string,
  log: Logger,
): Promise<readonly LoadedPlugin[]> {
  const loaded: LoadedPlugin[] = [];
  const names = new Set<string>();
  for (const { use, config } of settings) {
    const plugin = checkPlugin(use, await importModule(use, baseDir));
    if (names.has(plugin.meta.name)) throw invalid(use, `another plugin is already named ${plugin.meta.name}`);
    names.add(plugin.meta.name);
    let parsed: unknown = config;
    if (plugin.config !== undefined) {
      try {
        parsed = plugin.config.parse(config ?? {});
      } catch (cause) {
        throw invalid(use, `its config is not valid: ${settingsProblem(cause)}`, cause);
      }
    } else if (config !== undefined && Object.keys(config as object).length > 0) {
      throw invalid(use, 'it takes no config');
    }
    try {
      await plugin.setup?.({
        config: parsed,
        signal: new AbortController().signal,
        annotate() {},
        log: (level, message, data) => log[level]({ plugin: plugin.meta.name, data }, message),
      });
    } catch (cause) {
      throw invalid(use, `setup failed: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
    }
    loaded.push({ plugin, config: parsed, use });
  }
  return loaded;
}

const invalid = (use: string, what: string, cause?: unknown) =>
  new GatewayError('config-invalid', `plugin ${use}: ${what}`, { cause });

/** A bare name is a plugin shipped with this program (beside the sources, or beside the bundle), or else a package. */
function specifierOf(use: string, baseDir: string): string {
  if (use.startsWith('.') || isAbsolute(use)) return pathToFileURL(resolve(baseDir, use)).href;
  if (/^[a-z][a-z0-9-]*$/.test(use)) {
    for (const path of [`../../plugins/${use}.ts`, `./plugins/${use}.js`]) {
      const url = new URL(path, import.meta.url);
      if (existsSync(fileURLToPath(url))) return url.href;
    }
  }
  return use;
}

async function importModule(use: string, baseDir: string): Promise<unknown> {
  const specifier = specifierOf(use, baseDir);
  try {
    return ((await import(specifier)) as { default?: unknown }).default;
  } catch (cause) {
    throw invalid(use, `it cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

function checkPlugin(use: string, value: unknown): Plugin<unknown> {
  if (typeof value !== 'object' || value === null) throw invalid(use, 'it has no default export that is a plugin');
  const plugin = value as Partial<Plugin<unknown>>;
  const { meta, match } = plugin;
  if (typeof meta?.name !== 'string' || !/^[a-z][a-z0-9-]{0,62}$/.test(meta.name))
    throw invalid(use, 'meta.name must be kebab-case');
  if (meta.apiVersion !== 1) throw invalid(use, 'meta.apiVersion must be 1');
  if (typeof meta.version !== 'string' || typeof meta.description !== 'string') {
    throw invalid(use, 'meta.version and meta.description must be texts');
  }
  if (
    !Array.isArray(match?.actions) ||
    match.actions.length === 0 ||
    !match.actions.every((a) => typeof a === 'string')
  ) {
    throw invalid(use, 'match.actions must be a list of actions, such as container.create');
  }
  for (const hook of ['setup', 'mutate', 'validate', 'teardown'] as const) {
    if (plugin[hook] !== undefined && typeof plugin[hook] !== 'function')
      throw invalid(use, `${hook} must be a function`);
  }
  if (plugin.config !== undefined && typeof plugin.config.parse !== 'function')
    throw invalid(use, 'config must have a parse function');
  if (plugin.mutate === undefined && plugin.validate === undefined)
    throw invalid(use, 'it has neither mutate nor validate');
  return plugin as Plugin<unknown>;
}

function settingsProblem(cause: unknown): string {
  const issues = (cause as { issues?: { path?: PropertyKey[]; message?: string }[] } | undefined)?.issues;
  if (Array.isArray(issues)) {
    return issues
      .map((i) => `${(i.path ?? []).map(String).join('.') || 'config'}: ${i.message ?? 'not valid'}`)
      .join('; ');
  }
  return cause instanceof Error ? cause.message : String(cause);
}
