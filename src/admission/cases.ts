// The table of cases beside a plugin, cases.yaml: calls it must pass and calls it must deny, run under the tier that will serve
// them. In the manner of a linter's rule tests.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import type { Json } from '../engine/types.ts';
import { silentLogger } from '../log.ts';
import { type ExampleResult, runExample } from './examples.ts';
import type { HookTimes, PluginHost, Tier } from './hosts/host.ts';
import { loadPlugins, pathOf } from './load.ts';
import type { PluginExample } from './plugin.ts';

const json = z.json() as z.ZodType<Json>;
const common = {
  name: z.string(),
  action: z.string(),
  body: json.optional(),
  query: z.record(z.string(), z.array(z.string())).optional(),
  principal: z
    .strictObject({
      subject: z.string().optional(),
      issuer: z.string().optional(),
      tenant: z.string().optional(),
      groups: z.array(z.string()).optional(),
      claims: z.record(z.string(), json).optional(),
    })
    .optional(),
  at: z.string().optional(),
  config: json.optional(),
  changedBody: json.optional(),
  response: json.optional(),
  changedResponse: json.optional(),
};
const valid = z.strictObject({ ...common, warns: z.boolean().optional() });
const invalid = z.strictObject({ ...common, code: z.string() });
const file = z.strictObject({ valid: z.array(valid).optional(), invalid: z.array(invalid).optional() });

/** A fault of the file of cases, with its path. */
export class CasesFault extends Error {}

/** The cases beside a plugin, in order; none where it has no cases.yaml. @throws {CasesFault} */
export function readCases(use: string, baseDir: string): readonly PluginExample[] {
  const { path: at } = pathOf(use, baseDir);
  const path = join(/\.[mc]?[jt]s$/.test(at) ? dirname(at) : at, 'cases.yaml');
  if (!existsSync(path)) return [];
  let text: unknown;
  try {
    text = parseYaml(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new CasesFault(`${path}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`);
  }
  return casesOf(text ?? {}, path);
}

/** The cases of a table. @param where named in the fault @throws {CasesFault} */
export function casesOf(table: unknown, where: string): readonly PluginExample[] {
  const read = file.safeParse(table);
  if (!read.success) {
    const [issue] = read.error.issues;
    throw new CasesFault(`${where}: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  return [
    ...(read.data.valid ?? []).map(({ warns, ...one }) => ({ ...one, expect: warns === true ? 'warn' : 'pass' })),
    ...(read.data.invalid ?? []).map(({ code, ...one }) => ({ ...one, expect: { deny: code } })),
  ] as readonly PluginExample[];
}

export interface CasesReport {
  readonly plugin: { readonly name: string; readonly version: string; readonly tier: Tier; readonly sha256: string };
  /** What it asks for, and a gateway must grant. */
  readonly needs: readonly string[];
  readonly results: readonly ExampleResult[];
  /** In ms, of all cases. */
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
}

/** Longer than in a gateway: a test machine may be busy. */
const TEST_TIMES: HookTimes = { cpuMs: 50, wallMs: 2000 };

export interface CasesOptions {
  /** Paths are relative to it. */
  readonly baseDir: string;
  /** Default: the one a gateway would give it. */
  readonly tier?: Tier;
  /** Settings of cases that name none. */
  readonly config?: Json;
}

/** A plugin loaded for its cases, once for each of the settings they name. */
export class LoadedCases {
  readonly #use: string;
  readonly #options: CasesOptions;
  readonly #hosts = new Map<string, Promise<PluginHost>>();

  constructor(use: string, options: CasesOptions) {
    this.#use = use;
    this.#options = options;
  }

  /** The plugin with these settings. @throws {GatewayError} `config-invalid` when it does not load */
  host(config = this.#options.config): Promise<PluginHost> {
    const key = JSON.stringify(config ?? null);
    let host = this.#hosts.get(key);
    if (host === undefined) {
      host = this.#load(config);
      this.#hosts.set(key, host);
    }
    return host;
  }

  async #load(config: Json | undefined): Promise<PluginHost> {
    const { tier, baseDir } = this.#options;
    const [host] = await loadPlugins(
      [{ use: this.#use, ...(tier === undefined ? {} : { tier }), needs: ['*'], config }],
      { baseDir, log: silentLogger, times: TEST_TIMES, examples: false },
    );
    return host as PluginHost;
  }

  async run(one: PluginExample): Promise<ExampleResult> {
    return runExample(await this.host(one.config), one);
  }

  async close(): Promise<void> {
    const hosts = await Promise.allSettled(this.#hosts.values());
    await Promise.all(hosts.map((host) => (host.status === 'fulfilled' ? host.value.close() : undefined)));
  }
}

/**
 * Runs the plugin's examples and the cases beside it.
 *
 * @throws {GatewayError} `config-invalid` when the plugin does not load; {CasesFault}
 */
export async function testPlugin(use: string, options: CasesOptions): Promise<CasesReport> {
  const cases = readCases(use, options.baseDir);
  const loaded = new LoadedCases(use, options);
  try {
    const first = await loaded.host(options.config ?? cases[0]?.config);
    const results: ExampleResult[] = [];
    for (const one of [...first.description.examples, ...cases]) results.push(await loaded.run(one));
    const sorted = results.map(({ durationMs }) => durationMs).sort((a, b) => a - b);
    const { meta } = first.description;
    const { grantsNeeded } = await import('./hosts/describe.ts');
    return {
      plugin: { name: meta.name, version: meta.version, tier: first.tier, sha256: first.sha256 },
      needs: grantsNeeded(first.description),
      results,
      p50Ms: sorted[Math.floor(sorted.length / 2)],
      p99Ms: sorted[Math.floor(sorted.length * 0.99)],
    };
  } finally {
    await loaded.close();
  }
}
