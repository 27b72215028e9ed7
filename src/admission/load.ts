// Loads the configured plugins: finds their modules, checks pins and grants, opens each in its tier, and runs the examples
// they carry. All or none: a fault closes what was opened and names the plugin, the file and the line.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Json } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { runExample } from './examples.ts';
import { Capabilities, type EngineRead } from './hosts/capabilities.ts';
import { HOOK_TIMES, type HookTimes, type PluginHost, type Tier } from './hosts/host.ts';
import { openNative } from './hosts/native.ts';
import type { SandboxedUse } from './hosts/pool.ts';
import { LogAllowance, type PluginUse } from './hosts/use.ts';
import { SHIPPED_TRUSTED } from './shipped.ts';

export interface PluginSetting {
  /** Path (absolute or relative to `baseDir`) of a file or folder, the name of a shipped plugin, or of an npm package. */
  readonly use: string;
  /** Tells two uses of one plugin apart; the plugin's own name when left out. */
  readonly name?: string;
  /** `sandboxed` when left out, but for shipped plugins. */
  readonly tier?: Tier;
  /** Hexadecimal SHA-256 the module must have. */
  readonly sha256?: string;
  /** The permissions granted: `bodies`, `responses`, `streams`, `env:NAME`, `net:HOST`, `engine:ACTION`; for `process` also `read:`, `write:`, `run:`. */
  readonly needs?: readonly string[];
  /** Longest time of one hook, look-ups included, in ms: for tiers `process` and `trusted`. Default 250. */
  readonly timeoutMs?: number;
  readonly config?: unknown;
}

export interface LoadOptions {
  readonly baseDir: string;
  readonly log: Logger;
  /** Asks the engine for plugins that may. Default: nothing can be asked. */
  readonly engineRead?: EngineRead;
  /** Path of the engine's socket, where the engine is on this machine. */
  readonly engineSocket?: string;
  /** Time of one hook. Default 50 ms of processor time, 250 ms in all. */
  readonly times?: HookTimes;
  /** Runs the plugins' own examples. Default true. */
  readonly examples?: boolean;
}

interface FoundUse {
  readonly setting: PluginSetting;
  readonly use: PluginUse | SandboxedUse;
  readonly tier: Tier;
  readonly isShipped: boolean;
}

const NO_ENGINE: EngineRead = () => Promise.reject(new Error('the engine cannot be asked here'));

/**
 * Loads every configured plugin, in order.
 *
 * @throws {GatewayError} `config-invalid` naming the plugin and what is wrong with it
 */
export async function loadPlugins(
  settings: readonly PluginSetting[],
  options: LoadOptions,
): Promise<readonly PluginHost[]> {
  if (settings.length === 0) return [];
  const uses: FoundUse[] = [];
  for (const setting of settings) uses.push(await findUse(setting, options));
  const sandboxed = uses.filter(({ tier }) => tier === 'sandboxed').map(({ use }) => use as SandboxedUse);
  const opened = await Promise.allSettled([
    openPool(sandboxed, options.log),
    ...uses.map(({ use, tier, setting, isShipped }) =>
      tier === 'sandboxed'
        ? undefined
        : openNative(use, tier, isShipped).then(
            (host) => [host],
            (cause: unknown) => Promise.reject(invalid(setting.use, told(cause), cause)),
          ),
    ),
  ]);
  const all = opened.flatMap((one) => (one.status === 'fulfilled' ? (one.value ?? []) : []));
  try {
    for (const one of opened) if (one.status === 'rejected') throw one.reason;
    const [pooled, ...native] = opened.map((one) => (one.status === 'fulfilled' ? (one.value ?? []) : []));
    const inPool = [...(pooled ?? [])];
    const hosts = uses.map(({ tier }, i) => (tier === 'sandboxed' ? inPool.shift() : native[i]?.[0]) as PluginHost);
    checkNames(hosts);
    if (options.examples !== false) await runExamples(hosts);
    return hosts;
  } catch (error) {
    await Promise.all(all.map((host) => host.close()));
    throw error;
  }
}

const invalid = (use: string, what: string, cause?: unknown) =>
  new GatewayError('config-invalid', `plugin ${use}: ${what}`, { cause });
const told = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

async function openPool(uses: readonly SandboxedUse[], log: Logger): Promise<readonly PluginHost[]> {
  if (uses.length === 0) return [];
  const { SandboxPool } = await import('./hosts/pool.ts');
  try {
    return await SandboxPool.open(uses, log);
  } catch (cause) {
    throw new GatewayError('config-invalid', told(cause), { cause });
  }
}

async function findUse(setting: PluginSetting, options: LoadOptions): Promise<FoundUse> {
  const { path, isShipped } = pathOf(setting.use, options.baseDir);
  const tier = setting.tier ?? (isShipped && SHIPPED_TRUSTED.has(setting.use) ? 'trusted' : 'sandboxed');
  const grants: ReadonlySet<string> = new Set(setting.needs ?? []);
  const outside = [...grants].find((grant) => /^(read|write|run):/.test(grant));
  if (outside !== undefined && tier !== 'process')
    throw invalid(setting.use, `${outside} can be granted to tier process alone`);
  if (setting.timeoutMs !== undefined && tier === 'sandboxed')
    throw invalid(setting.use, 'timeoutMs is for tiers process and trusted: a thread of the sandbox serves others too');
  let use: PluginUse = {
    name: setting.name,
    use: setting.use,
    entry: pathToFileURL(path).href,
    sha256: '',
    files: [],
    config: setting.config as Json | undefined,
    grants,
    ...(options.engineSocket === undefined ? {} : { engineSocket: options.engineSocket }),
    capabilities: new Capabilities(grants, options.engineRead ?? NO_ENGINE),
    log: options.log,
    logAllowance: new LogAllowance(),
    times:
      setting.timeoutMs === undefined ? (options.times ?? HOOK_TIMES) : { ...HOOK_TIMES, wallMs: setting.timeoutMs },
    isOurs: isShipped,
  };
  // A shipped plugin that runs as it is belongs to this program, and is pinned with it.
  if (isShipped && tier === 'trusted' && setting.sha256 === undefined) return { setting, use, tier, isShipped };
  const { collectModules } = await import('./modules.ts');
  let modules: Awaited<ReturnType<typeof collectModules>>;
  try {
    modules = await collectModules(path, tier === 'sandboxed' ? 'own' : 'system');
  } catch (cause) {
    throw invalid(setting.use, told(cause), cause);
  }
  if (setting.sha256 !== undefined && setting.sha256.toLowerCase() !== modules.sha256) {
    throw invalid(
      setting.use,
      `its SHA-256 is ${modules.sha256}, and the settings pin ${setting.sha256}: read what changed, then pin it anew`,
    );
  }
  if (setting.sha256 === undefined && !isShipped) {
    options.log.warn(
      { plugin: setting.use, sha256: modules.sha256 },
      'a plugin is not pinned: write sha256 beside it, or use dockgate plugin add',
    );
  }
  const files = [...Object.keys(modules.sources), ...modules.packages];
  use = { ...use, entry: pathToFileURL(modules.entry).href, sha256: modules.sha256, files };
  return {
    setting,
    tier,
    isShipped,
    use: tier === 'sandboxed' ? ({ ...use, module: modules } satisfies SandboxedUse) : use,
  };
}

/** A bare name is a plugin shipped with this program, or else a package installed beside the settings. */
export function pathOf(use: string, baseDir: string): { readonly path: string; readonly isShipped: boolean } {
  if (use.startsWith('.') || isAbsolute(use)) {
    const path = resolve(baseDir, use);
    if (!existsSync(path)) throw invalid(use, `${path} does not exist`);
    return { path, isShipped: false };
  }
  if (/^[a-z][a-z0-9-]*$/.test(use)) {
    for (const name of [`../../plugins/${use}.ts`, `./plugins/${use}.js`]) {
      const path = fileURLToPath(new URL(name, import.meta.url));
      if (existsSync(path)) return { path, isShipped: true };
    }
  }
  for (let folder = resolve(baseDir); ; folder = dirname(folder)) {
    const inside = join(folder, 'node_modules', use);
    if (existsSync(inside)) return { path: inside, isShipped: false };
    if (folder === dirname(folder)) break;
  }
  try {
    return { path: createRequire(join(resolve(baseDir), 'index.js')).resolve(use), isShipped: false };
  } catch {
    throw invalid(
      use,
      'there is no such plugin: neither one that dockgate ships nor a package installed beside the settings; a path begins with ./ or /',
    );
  }
}

function checkNames(hosts: readonly PluginHost[]): void {
  const seen = new Map<string, string>();
  for (const { name, use } of hosts) {
    const other = seen.get(name);
    if (other !== undefined)
      throw invalid(use, `another plugin (${other}) is named ${name} already: give one of them another \`name\``);
    seen.set(name, use);
  }
}

async function runExamples(hosts: readonly PluginHost[]): Promise<void> {
  await Promise.all(
    hosts.map(async (host) => {
      for (const example of host.description.examples) {
        // An example with settings of its own speaks of another use.
        if (example.config !== undefined) continue;
        const { fault } = await runExample(host, example);
        if (fault !== undefined) throw invalid(host.use, `its example ${JSON.stringify(example.name)} fails: ${fault}`);
      }
    }),
  );
}
