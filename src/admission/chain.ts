// Runs the plugins on a judged call: mutators in order, then validators, first denial in configured order wins.
// A plugin that throws, is late or answers in another shape denies the call. Loading modules is load.ts's work.
// Phases and the reinvocation rule follow Kubernetes admission control.
import type { EngineCall, Json, JsonObject } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Principal } from '../policy/types.ts';
import { applyChanges } from './changes.ts';
import { freezeDeep } from './freeze.ts';
import type { AdmissionRequest, Change, Plugin, PluginContext, Verdict } from './plugin.ts';

/** Longest time one hook may take, in ms. A hook that is later denies the call; its late answer is ignored. */
const HOOK_TIMEOUT_MS = 250;
/** Longest annotation a plugin may leave in the audit, in characters. */
const MAX_ANNOTATION = 1024;

/** A plugin with its settings validated. */
export interface LoadedPlugin {
  readonly plugin: Plugin<unknown>;
  readonly config: unknown;
  /** As written in the configuration, for `plugin list`. */
  readonly use: string;
}

/** The body and query of a call: all that a plugin may change. */
export interface Admissible {
  readonly body: Json | undefined;
  readonly query: Readonly<Record<string, readonly string[]>>;
}

export interface PluginChange {
  readonly plugin: string;
  readonly changes: readonly Change[];
}

export interface AdmissionContext {
  readonly auditId: string;
  readonly principal: Principal;
  readonly source: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Judges a changed body and query again: decode, then policy. Throws GatewayError when the change is refused. */
  rejudge(changed: Admissible): EngineCall | Promise<EngineCall>;
}

export interface Admitted {
  readonly call: EngineCall;
  readonly changes: readonly PluginChange[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
}

export interface PluginChain {
  readonly plugins: readonly LoadedPlugin[];
  /** True when at least one plugin wants to see the call. False costs one map lookup. */
  concerns(action: string): boolean;
  /** @throws {GatewayError} `plugin-denied`, `plugin-failed`, `mutation-not-stable`, or what `rejudge` throws */
  admit(call: EngineCall, context: AdmissionContext): Promise<Admitted>;
  close(): Promise<void>;
}

interface Wanted {
  readonly mutators: readonly LoadedPlugin[];
  readonly validators: readonly LoadedPlugin[];
}

/** True when an action is named by a pattern: exact, `container.*` or `*`. */
export function matchesAction(pattern: string, action: string): boolean {
  if (pattern === '*' || pattern === action) return true;
  return pattern.endsWith('.*') && action.startsWith(pattern.slice(0, -1));
}

/** Joins loaded plugins into a chain, in configured order. */
export function createPluginChain(plugins: readonly LoadedPlugin[], log: Logger): PluginChain {
  const wantedByAction = new Map<string, Wanted>();

  const wanted = (action: string): Wanted => {
    let found = wantedByAction.get(action);
    if (found === undefined) {
      const matching = plugins.filter((p) => p.plugin.match.actions.some((a) => matchesAction(a, action)));
      found = {
        mutators: matching.filter((p) => p.plugin.mutate !== undefined),
        validators: matching.filter((p) => p.plugin.validate !== undefined),
      };
      wantedByAction.set(action, found);
    }
    return found;
  };

  const contextFor = (
    loaded: LoadedPlugin,
    annotations: Record<string, string>,
    signal: AbortSignal,
  ): PluginContext => ({
    config: loaded.config,
    signal,
    annotate(key, value) {
      annotations[`${loaded.plugin.meta.name}/${key}`] = String(value).slice(0, MAX_ANNOTATION);
    },
    log(level, message, data) {
      log[level]({ plugin: loaded.plugin.meta.name, data }, message);
    },
  });

  return {
    plugins,
    concerns(action) {
      const w = wanted(action);
      return w.mutators.length > 0 || w.validators.length > 0;
    },
    async admit(call, context) {
      const { mutators, validators } = wanted(call.action);
      const inClass = (p: LoadedPlugin) =>
        p.plugin.match.class === undefined || p.plugin.match.class.includes(call.operation.class);
      const annotations: Record<string, string> = {};
      const warnings: string[] = [];
      const made: PluginChange[] = [];
      let current = call;

      for (const loaded of mutators.filter(inClass)) {
        const request = viewOf(current, context);
        const changes = await runHook(loaded, (signal) =>
          loaded.plugin.mutate?.(request, contextFor(loaded, annotations, signal)),
        );
        if (changes === undefined) continue;
        if (!Array.isArray(changes)) throw failed(loaded, 'mutate did not return a list of changes');
        if (changes.length === 0) continue;
        let changed: Admissible;
        try {
          changed = applyChanges({ body: current.body, query: current.query }, changes as readonly Change[]);
        } catch (cause) {
          throw failed(loaded, cause instanceof Error ? cause.message : 'its change could not be applied', cause);
        }
        current = await context.rejudge(changed);
        made.push({ plugin: loaded.plugin.meta.name, changes: changes as readonly Change[] });
      }

      const final = viewOf(current, context);
      const verdicts = await Promise.all(
        validators.filter(inClass).map(async (loaded) => ({
          loaded,
          verdict: await runHook(loaded, (signal) =>
            loaded.plugin.validate?.(final, contextFor(loaded, annotations, signal)),
          ),
        })),
      );
      for (const { loaded, verdict } of verdicts) {
        if (!isVerdict(verdict)) throw failed(loaded, 'validate did not return a verdict');
        if (verdict.kind === 'deny') {
          annotations[`${loaded.plugin.meta.name}/code`] = String(verdict.code).slice(0, MAX_ANNOTATION);
          throw new GatewayError('plugin-denied', `denied by plugin ${loaded.plugin.meta.name}: ${verdict.message}`);
        }
        if (verdict.kind === 'warn') warnings.push(`${loaded.plugin.meta.name}: ${verdict.message}`);
      }
      return { call: current, changes: made, annotations, warnings };
    },
    async close() {
      for (const { plugin } of plugins) await plugin.teardown?.();
    },
  };
}

const failed = (loaded: LoadedPlugin, what: string, cause?: unknown) =>
  new GatewayError('plugin-failed', `plugin ${loaded.plugin.meta.name} failed, so the call is denied: ${what}`, {
    cause,
  });

async function runHook<T>(loaded: LoadedPlugin, hook: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
  const controller = new AbortController();
  let result: T | Promise<T>;
  try {
    result = hook(controller.signal);
  } catch (cause) {
    throw failed(loaded, 'it threw an error', cause);
  }
  if (!(result instanceof Promise)) return result;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      controller.abort();
      reject(failed(loaded, `no answer within ${HOOK_TIMEOUT_MS} ms`));
    }, HOOK_TIMEOUT_MS);
  });
  try {
    return await Promise.race([result, late]);
  } catch (cause) {
    if (cause instanceof GatewayError) throw cause;
    throw failed(loaded, 'it threw an error', cause);
  } finally {
    clearTimeout(timer);
  }
}

function isVerdict(value: unknown): value is Verdict {
  if (typeof value !== 'object' || value === null) return false;
  const verdict = value as Record<string, unknown>;
  if (verdict.kind === 'pass') return true;
  if (verdict.kind === 'warn') return typeof verdict.message === 'string';
  return verdict.kind === 'deny' && typeof verdict.message === 'string' && typeof verdict.code === 'string';
}

/** What a plugin is shown: frozen through and through, so that it cannot change what was judged behind our back. */
function viewOf(call: EngineCall, context: AdmissionContext): AdmissionRequest {
  const { principal } = context;
  return freezeDeep({
    auditId: context.auditId,
    at: new Date(context.at).toISOString(),
    dryRun: false,
    apiVersion: call.apiVersion,
    principal: {
      subject: principal.subject,
      issuer: principal.issuer,
      ...(principal.tenant === undefined ? {} : { tenant: principal.tenant }),
      groups: [...principal.groups],
      ...(principal.tokenId === undefined ? {} : { tokenId: principal.tokenId }),
      claims: structuredClone(principal.claims),
    },
    operation: {
      id: call.operation.id,
      action: call.action,
      class: call.operation.class,
      risk: [...call.operation.risk],
      stream: call.operation.stream,
    },
    resources: call.resources.map((r) => ({
      kind: r.kind,
      name: r.name,
      at: r.at,
      ...(r.id === undefined ? {} : { id: r.id }),
      ...(r.labels === undefined ? {} : { labels: { ...r.labels } }),
    })),
    path: { ...call.path },
    query: { ...call.query },
    ...(call.body === undefined ? {} : { body: call.body as JsonObject }),
    source: { address: context.source },
  });
}
