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

/** The cases of a plugin's folder, in order; none where it has no cases.yaml. @throws {CasesFault} */
export function readCases(folder: string): readonly PluginExample[] {
  const path = join(folder, 'cases.yaml');
  if (!existsSync(path)) return [];
  let text: unknown;
  try {
    text = parseYaml(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new CasesFault(`${path}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`);
  }
  const read = file.safeParse(text ?? {});
  if (!read.success) {
    const [issue] = read.error.issues;
    throw new CasesFault(`${path}: ${issue?.path.join('.')}: ${issue?.message}`);
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

/**
 * Runs the plugin's examples and the cases beside it.
 *
 * @throws {GatewayError} `config-invalid` when the plugin does not load; {CasesFault}
 */
export async function testPlugin(
  use: string,
  options: { readonly baseDir: string; readonly tier?: Tier; readonly config?: Json },
): Promise<CasesReport> {
  const { path } = pathOf(use, options.baseDir);
  const cases = readCases(/\.[mc]?[jt]s$/.test(path) ? dirname(path) : path);
  const hosts = new Map<string, PluginHost>();
  const hostFor = async (config: Json | undefined): Promise<PluginHost> => {
    const key = JSON.stringify(config ?? null);
    let host = hosts.get(key);
    if (host === undefined) {
      [host] = (await loadPlugins(
        [{ use, ...(options.tier === undefined ? {} : { tier: options.tier }), needs: ['*'], config }],
        {
          baseDir: options.baseDir,
          log: silentLogger,
          times: TEST_TIMES,
          examples: false,
        },
      )) as [PluginHost];
      hosts.set(key, host);
    }
    return host;
  };
  try {
    const first = await hostFor(options.config ?? cases[0]?.config);
    const results: ExampleResult[] = [];
    for (const one of [...first.description.examples, ...cases]) {
      results.push(await runExample(await hostFor(one.config ?? options.config), one));
    }
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
    await Promise.all([...hosts.values()].map((host) => host.close()));
  }
}
