// What `dockgate plugin try` shows: the calls a docker command makes, as one plugin changes and judges them. No policy, no engine.
import { createPluginChain } from '../admission/chain.ts';
import { loadPlugins, type PluginSetting } from '../admission/load.ts';
import type { Change } from '../admission/plugin.ts';
import { toCall } from '../engine/call.ts';
import { classify } from '../engine/classify.ts';
import { bodyKindOfTarget, decodeBody } from '../engine/decode.ts';
import { renderBody } from '../engine/render-body.ts';
import type { EngineCall } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import { silentLogger } from '../log.ts';
import { parseDockerCommand } from './docker-command.ts';
import { usageError } from './output.ts';

export interface Tried {
  /** `container.create POST /containers/create` */
  readonly request: string;
  /** Why it is denied; undefined where it passes. */
  readonly verdict: string | undefined;
  readonly changes: readonly Change[];
  readonly warnings: readonly string[];
}

/** @throws {GatewayError} `config-invalid` when the plugin does not load */
export async function tryPlugin(setting: PluginSetting, words: readonly string[]): Promise<readonly Tried[]> {
  const requests = parseDockerCommand(words);
  if (typeof requests === 'string') throw usageError(requests);
  const chain = createPluginChain(
    await loadPlugins([setting], { baseDir: process.cwd(), log: silentLogger, times: { cpuMs: 50, wallMs: 2000 } }),
    silentLogger,
  );
  const context = {
    auditId: '00000000-0000-7000-8000-000000000000',
    principal: { subject: 'you', issuer: 'dockgate', groups: [], policies: [], channel: 'bearer', claims: {} } as const,
    source: '127.0.0.1',
    at: Date.now(),
    dryRun: true,
  };
  try {
    const tried: Tried[] = [];
    for (const { method, target: asked, body } of requests) {
      const target = classify(method, asked);
      const bytes = body === undefined ? new Uint8Array(0) : Buffer.from(JSON.stringify(body));
      const decoded =
        bodyKindOfTarget(target) === 'opaque'
          ? undefined
          : decodeBody(target, bytes.length === 0 ? [] : ['application/json'], bytes);
      tried.push(await tryCall(toCall(target, decoded)));
    }
    return tried;
  } finally {
    await chain.close();
  }

  async function tryCall(call: EngineCall): Promise<Tried> {
    const request = `${call.action} ${call.operation.method} ${call.operation.path}`;
    let changes: readonly Change[] = [];
    try {
      const mutated = await chain.mutate(call, context, reread);
      changes = mutated.changes.flatMap((one) => one.changes);
      const { warnings } = await chain.validate(mutated.call, context);
      return { request, verdict: undefined, changes, warnings };
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      return { request, verdict: error.message, changes, warnings: [] };
    }
  }
}

/** The changed call, read as the engine would. */
function reread(call: EngineCall, changed: Pick<EngineCall, 'body' | 'query'>): EngineCall {
  const bytes = renderBody({ operation: call.operation, body: changed.body });
  const target = { ...call, query: changed.query };
  return toCall(target, bytes === undefined ? undefined : decodeBody(target, ['application/json'], bytes));
}
