// Tables of calls for a shipped plugin: each line goes through the engine's own reading of a request and the plugin's real tier.
import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { applyChanges } from '../../src/admission/changes.ts';
import type { PluginHost } from '../../src/admission/hosts/host.ts';
import { loadPlugins, type PluginSetting } from '../../src/admission/load.ts';
import { isLike } from '../../src/admission/reading.ts';
import { type AdmissionContext, requestJson } from '../../src/admission/request.ts';
import { toCall } from '../../src/engine/call.ts';
import { classify } from '../../src/engine/classify.ts';
import { decodeBody } from '../../src/engine/decode.ts';
import { renderBody } from '../../src/engine/render-body.ts';
import { renderTarget } from '../../src/engine/render-target.ts';
import type { EngineCall } from '../../src/engine/types.ts';
import { silentLogger } from '../../src/log.ts';
import type { Change, Json, Verdict } from '../../src/plugin.ts';

export interface Asked {
  /** `POST /containers/create?name=x`, without the version. */
  readonly call: string;
  readonly body?: unknown;
  readonly config?: unknown;
  readonly principal?: Partial<AdmissionContext['principal']>;
  readonly at?: string;
}

export interface Told {
  /** `pass`, `warn`, or the code of the denial. */
  readonly verdict: string;
  readonly message: string;
  readonly body: Json | undefined;
  readonly query: EngineCall['query'];
}

const CALLER = { subject: 'ann', issuer: 'test', groups: [], claims: {} };

const JSON_TYPE = ['application/json'];
const bytesOf = (body: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(body));

/** The call as the gateway reads it. */
export function callOf(line: string, body: unknown): EngineCall {
  const [method = '', path = ''] = line.split(' ');
  const target = classify(method, `/v1.47${path}`);
  return toCall(target, body === undefined ? undefined : decodeBody(target, JSON_TYPE, bytesOf(body)));
}

/**
 * Asks one plugin, in the tier it is served in, first to change the call, then to judge it. Its hosts end with the test file.
 *
 * @param use name of the shipped plugin
 */
export function pluginTable(use: string, setting: Partial<PluginSetting> = {}): (asked: Asked) => Promise<Told> {
  const hosts = new Map<string, Promise<PluginHost>>();
  after(async () => {
    for (const one of await Promise.allSettled(hosts.values())) if (one.status === 'fulfilled') await one.value.close();
  });
  const hostFor = (config: unknown): Promise<PluginHost> => {
    const key = JSON.stringify(config);
    const known = hosts.get(key) ?? open(use, { ...setting, config });
    hosts.set(key, known);
    return known;
  };
  return async ({ call: line, body, config = {}, principal, at = '2026-06-03T10:00:00Z' }) => {
    const host = await hostFor(config);
    const context: AdmissionContext = {
      auditId: '01900000-0000-7000-8000-00000000000a',
      principal: { ...CALLER, ...principal } as AdmissionContext['principal'],
      source: '127.0.0.1',
      at: Date.parse(at),
    };
    let call = callOf(line, body);
    const { needs, hookActions } = host.description;
    // As the chain asks: hooks whose actions the settings narrow are not asked about others.
    const hooks = host.description.hooks.filter(
      (hook) => hookActions?.[hook]?.some((pattern) => isLike(pattern, call.action)) !== false,
    );
    const bodies = needs.bodies === true;
    if (hooks.includes('mutate')) {
      const mutate = async (): Promise<void> => {
        const { value } = await host.ask('mutate', requestJson(call, context, bodies));
        const changed = applyChanges(
          { body: call.body, query: call.query },
          (value ?? []) as unknown as readonly Change[],
        );
        const target = classify(call.operation.method, renderTarget({ ...call, query: changed.query }));
        const bytes = renderBody({ operation: call.operation, body: changed.body });
        call = toCall(target, bytes === undefined ? undefined : decodeBody(target, JSON_TYPE, bytes));
      };
      await mutate();
      const once = JSON.stringify([call.body, call.query]);
      await mutate();
      assert.equal(JSON.stringify([call.body, call.query]), once, 'a second mutate changes nothing');
    }
    if (!hooks.includes('validate')) return { verdict: 'pass', message: '', body: call.body, query: call.query };
    const verdict = (await host.ask('validate', requestJson(call, context, bodies))).value as unknown as Verdict;
    return {
      verdict: verdict.kind === 'deny' ? verdict.code : verdict.kind,
      message: verdict.kind === 'pass' ? '' : verdict.message,
      body: call.body,
      query: call.query,
    };
  };
}

async function open(use: string, setting: Partial<PluginSetting>): Promise<PluginHost> {
  const options = {
    baseDir: import.meta.dirname,
    log: silentLogger,
    // A busy machine: what is shown is the verdict, not how soon.
    times: { cpuMs: 500, wallMs: 3000 },
  };
  const [host] = await loadPlugins([{ use, ...setting }], options);
  assert.ok(host);
  return host;
}

/** A test for each line: the call, its body, the settings, and `pass` or the code of the denial. */
export function table(
  ask: (asked: Asked) => Promise<Told>,
  lines: readonly (readonly [call: string, body: unknown, config: unknown, verdict: string])[],
): void {
  for (const [call, body, config, verdict] of lines) {
    it(`${verdict}: ${call} ${body === undefined ? '' : JSON.stringify(body)} with ${JSON.stringify(config)}`, async () => {
      const told = await ask({ call, body, config });
      assert.equal(told.verdict, verdict, told.message);
    });
  }
}
