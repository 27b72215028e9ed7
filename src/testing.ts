// Tests of a plugin for node:test, which `deno test` runs too: each case is a test, and runs in the tier that will serve the plugin.
import assert from 'node:assert/strict';
import process from 'node:process';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { casesOf, LoadedCases, readCases } from './admission/cases.ts';
import type { CaseTable } from './admission/plugin.ts';
import type { Json } from './engine/types.ts';

export type { CaseTable, InvalidCase, ValidCase } from './admission/plugin.ts';

export interface PluginTestOptions {
  /** Default: `sandboxed`, or what the settings of the gateway give a plugin of the package. */
  readonly tier?: 'sandboxed' | 'process' | 'trusted';
  /** Settings of cases that name none. */
  readonly config?: Json;
}

/**
 * Declares a suite with a test for each case: first those given here, then those of the `cases.yaml` beside the plugin, and one for
 * the examples in the module. Each also holds the laws of plugins: mutating twice changes nothing more, the request stays as it is, a
 * denial is the same when asked again.
 *
 * ```ts
 * import { pluginTests } from 'dockgate/testing';
 *
 * pluginTests(new URL('./index.ts', import.meta.url), {
 *   valid: [{ name: 'an owner', action: 'container.create', body: { Image: 'busybox', Labels: { owner: 'red' } } }],
 *   invalid: [{ name: 'no owner', action: 'container.create', body: { Image: 'busybox' }, code: 'label-missing' }],
 * });
 * ```
 *
 * @param plugin URL of a module or folder, or a path from the working directory
 * @throws {CasesFault} for a case that is none
 */
export function pluginTests(plugin: string | URL, table: CaseTable = {}, options: PluginTestOptions = {}): void {
  const use = typeof plugin === 'string' ? plugin : fileURLToPath(plugin);
  const baseDir = process.cwd();
  const cases = [...casesOf(table, 'the cases given'), ...readCases(use, baseDir)];
  describe(`the plugin ${use}`, () => {
    const loaded = new LoadedCases(use, { baseDir, ...options });
    after(() => loaded.close());
    const holds = async (one: (typeof cases)[number]): Promise<void> => {
      const { fault } = await loaded.run(one);
      assert.equal(fault, undefined, fault);
    };
    for (const one of cases) it(one.name, () => holds(one));
    it('holds its own examples', async () => {
      const host = await loaded.host(options.config ?? cases[0]?.config);
      for (const one of host.description.examples) await holds(one);
    });
  });
}
