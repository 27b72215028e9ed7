// Runs the plugins on a call: mutators in order before policy, validators in parallel after it, the first denial in configured
// order wins. A plugin that throws, is late or answers in another shape denies the call. Where and how a plugin runs is its
// host's work. Phases and the reinvocation rule follow Kubernetes admission control.
import type { EngineCall, Json } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { applyChanges } from './changes.ts';
import { grantsNeeded } from './hosts/describe.ts';
import { GuardedHost, type PluginFigures } from './hosts/guarded.ts';
import { type Hook, type HookAnswer, HookFault, type PluginHost, type Tier } from './hosts/host.ts';
import type { Change, PluginMeta, Verdict } from './plugin.ts';
import { isLike } from './reading.ts';
import { type AdmissionContext, requestJson } from './request.ts';

/** All hooks of one call together may take this long, in ms. */
const CALL_BUDGET_MS = 1000;

/** The body and query of a call: all that a plugin may change. */
export interface Admissible {
  readonly body: Json | undefined;
  readonly query: Readonly<Record<string, readonly string[]>>;
}

export interface PluginChange {
  readonly plugin: string;
  readonly changes: readonly Change[];
}

/** What plugins left to be told: beside the call, not in it. */
export interface Remarks {
  readonly annotations: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
}

export interface Mutated extends Remarks {
  readonly call: EngineCall;
  readonly changes: readonly PluginChange[];
}

export interface LoadedPlugin {
  readonly name: string;
  readonly use: string;
  readonly tier: Tier;
  readonly sha256: string;
  readonly meta: PluginMeta;
  readonly actions: readonly string[];
  readonly hooks: readonly Hook[];
  readonly needs: readonly string[];
  readonly figures: PluginFigures;
}

export interface PluginChain {
  /** Counts the loads of this process: the audit names it with each call that plugins saw. */
  readonly generation: number;
  plugins(): readonly LoadedPlugin[];
  /** True when at least one plugin wants to see the call. False costs one map lookup. */
  concerns(action: string): boolean;
  /** True when one of them judges the objects of such calls, which then have to be looked up. */
  looksUp(action: string): boolean;
  /**
   * Lets plugins change the call, before anything was decided about it.
   *
   * @param reread reads the changed body and query as the engine would; throws GatewayError for what is no call any more
   * @throws {GatewayError} `plugin-failed`, `mutation-not-stable`, or what `reread` throws
   */
  mutate(
    call: EngineCall,
    context: AdmissionContext,
    reread: (call: EngineCall, changed: Admissible) => EngineCall,
  ): Promise<Mutated>;
  /** Asks plugins about the call that will be sent. @throws {GatewayError} `plugin-denied`, `plugin-failed` */
  validate(call: EngineCall, context: AdmissionContext): Promise<Remarks>;
  /** Ends the plugins in good order. Never throws. */
  close(): Promise<void>;
}

/** True when an action is named by a pattern: exact, `container.*` or `*`. */
export function matchesAction(pattern: string, action: string): boolean {
  if (pattern === '*' || pattern === action) return true;
  return pattern.endsWith('.*') && action.startsWith(pattern.slice(0, -1));
}

const NONE: Remarks = Object.freeze({ annotations: Object.freeze({}), warnings: Object.freeze([]) });
const NO_PLUGINS: readonly GuardedHost[] = [];

interface Wanted {
  readonly mutators: readonly GuardedHost[];
  readonly validators: readonly GuardedHost[];
}
const NOTHING_WANTED: Wanted = { mutators: NO_PLUGINS, validators: NO_PLUGINS };

/** Joins loaded plugins into a chain, in configured order. */
export function createPluginChain(hosts: readonly PluginHost[], log: Logger, generation = 1): PluginChain {
  const guarded = hosts.map(
    (host) =>
      new GuardedHost(host, ({ name }) =>
        log.error({ plugin: name }, 'a plugin was ended again and again: its calls are denied for a while'),
      ),
  );
  const wantedByAction = new Map<string, Wanted>();

  const wanted = (action: string): Wanted => {
    let found = wantedByAction.get(action);
    if (found === undefined) {
      const matching = guarded.filter(({ host }) =>
        host.description.match.actions.some((a) => matchesAction(a, action)),
      );
      const having = (hook: Hook) => matching.filter(({ host }) => host.description.hooks.includes(hook));
      found = matching.length === 0 ? NOTHING_WANTED : { mutators: having('mutate'), validators: having('validate') };
      wantedByAction.set(action, found);
    }
    return found;
  };

  return {
    generation,
    plugins: () =>
      guarded.map(({ host, figures }) => ({
        name: host.name,
        use: host.use,
        tier: host.tier,
        sha256: host.sha256,
        meta: host.description.meta,
        actions: host.description.match.actions,
        hooks: host.description.hooks,
        needs: grantsNeeded(host.description),
        figures,
      })),
    concerns(action) {
      const { mutators, validators } = wanted(action);
      return mutators.length > 0 || validators.length > 0;
    },
    looksUp(action) {
      return wanted(action).validators.some(({ host }) => host.description.match.objects === true);
    },
    async mutate(call, context, reread) {
      const mutators = wanted(call.action).mutators.filter((one) => matches(one, call));
      if (mutators.length === 0) return { call, changes: [], ...NONE };
      const round = new MutatingRound(call, context, reread);
      let changedAt = -1;
      for (const [index, one] of mutators.entries()) if (await round.ask(one)) changedAt = index;
      // A later plugin's change is shown once more to those that asked; then the request must rest.
      const again = mutators.filter(({ host }, index) => host.description.reinvoke && index < changedAt);
      let isMoving = false;
      for (const one of again) isMoving = (await round.ask(one)) || isMoving;
      if (isMoving) {
        for (const one of again) {
          if (await round.ask(one)) {
            throw new GatewayError(
              'mutation-not-stable',
              `plugin ${one.host.name} keeps changing the request, so it is denied`,
            );
          }
        }
      }
      return round.result;
    },
    async validate(call, context) {
      const validators = wanted(call.action).validators.filter((one) => matches(one, call));
      if (validators.length === 0) return NONE;
      const inputs = new Inputs(call, context);
      const annotations: Record<string, string> = {};
      const warnings: string[] = [];
      const answers = await Promise.all(
        validators.map(async (one) => ({
          one,
          answer: await askHook(one, 'validate', inputs.of(one)).catch((error: unknown) => error),
        })),
      );
      for (const { one, answer } of answers) {
        if (answer instanceof Error) throw answer;
        const { value: verdict, annotations: left } = answer as HookAnswer;
        const { name } = one.host;
        annotate(annotations, name, left);
        if (!isVerdict(verdict)) throw failed(one.host, 'validate did not return a verdict');
        if (verdict.kind === 'deny') {
          one.denied();
          throw new GatewayError(
            'plugin-denied',
            `denied by plugin ${name}: ${oneLine(verdict.message)} (${oneLine(verdict.code)})`,
          );
        }
        if (verdict.kind === 'warn') warnings.push(`${name}: ${oneLine(verdict.message)}`);
      }
      return { annotations, warnings };
    },
    async close() {
      await Promise.all(hosts.map((host) => host.close().catch(() => undefined)));
    },
  };
}

/** The requests of one call, each made once. */
class Inputs {
  readonly #call: EngineCall;
  readonly #context: AdmissionContext;
  #open: string | undefined;
  #masked: string | undefined;

  constructor(call: EngineCall, context: AdmissionContext) {
    this.#call = call;
    this.#context = context;
  }

  of({ host }: GuardedHost): string {
    if (host.description.needs.bodies === true) {
      this.#open ??= requestJson(this.#call, this.#context, true);
      return this.#open;
    }
    this.#masked ??= requestJson(this.#call, this.#context, false);
    return this.#masked;
  }
}

/** The call as the mutators leave it, one after the other. */
class MutatingRound {
  readonly #context: AdmissionContext;
  readonly #reread: (call: EngineCall, changed: Admissible) => EngineCall;
  readonly #changes: PluginChange[] = [];
  readonly #annotations: Record<string, string> = {};
  readonly #endMs = performance.now() + CALL_BUDGET_MS;
  #call: EngineCall;
  #inputs: Inputs;

  constructor(
    call: EngineCall,
    context: AdmissionContext,
    reread: (call: EngineCall, changed: Admissible) => EngineCall,
  ) {
    this.#call = call;
    this.#context = context;
    this.#reread = reread;
    this.#inputs = new Inputs(call, context);
  }

  /** @returns whether the plugin changed anything */
  async ask(one: GuardedHost): Promise<boolean> {
    const { host } = one;
    if (performance.now() > this.#endMs)
      throw failed(host, `the plugins of this call took more than ${CALL_BUDGET_MS} ms`);
    const { value: changes, annotations } = await askHook(one, 'mutate', this.#inputs.of(one));
    annotate(this.#annotations, host.name, annotations);
    if (changes === undefined || changes === null) return false;
    if (!Array.isArray(changes)) throw failed(host, 'mutate did not return a list of changes');
    if (changes.length === 0) return false;
    let changed: Admissible;
    try {
      changed = applyChanges(
        { body: this.#call.body, query: this.#call.query },
        changes as unknown as readonly Change[],
      );
    } catch (cause) {
      throw failed(host, cause instanceof Error ? cause.message : 'its change could not be applied', cause);
    }
    this.#call = this.#reread(this.#call, changed);
    this.#inputs = new Inputs(this.#call, this.#context);
    this.#changes.push({ plugin: host.name, changes: changes as unknown as readonly Change[] });
    return true;
  }

  get result(): Mutated {
    return { call: this.#call, changes: this.#changes, annotations: this.#annotations, warnings: [] };
  }
}

/** Longest request a plugin is shown, in characters of JSON: a larger one would cost it the time and memory it is ended for. */
const MAX_INPUT = 256 * 1024;

async function askHook(one: GuardedHost, hook: Hook, input: string): Promise<HookAnswer> {
  if (input.length > MAX_INPUT && one.host.tier === 'sandboxed') {
    throw failed(
      one.host,
      `the request has ${input.length} characters, and a sandboxed plugin judges at most ${MAX_INPUT}`,
    );
  }
  try {
    return await one.ask(hook, input);
  } catch (cause) {
    // What a plugin throws may hold what it was shown: the log has it, the caller has not.
    const why = cause instanceof HookFault && !cause.isQuoted ? cause.message : `its ${hook} hook threw an error`;
    throw failed(one.host, why, cause);
  }
}

const failed = (host: PluginHost, why: string, cause?: unknown): GatewayError =>
  new GatewayError('plugin-failed', `plugin ${host.name} failed, so the call is denied: ${why}`, { cause });

function annotate(into: Record<string, string>, plugin: string, left: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(left)) into[`${plugin}/${key}`] = value;
}

function matches({ host }: GuardedHost, call: EngineCall): boolean {
  const { class: classes, resources } = host.description.match;
  if (classes !== undefined && !classes.includes(call.operation.class)) return false;
  return (
    resources === undefined ||
    call.resources.some(({ kind, name }) => resources.some((pattern) => isLike(pattern, `${kind}/${name}`)))
  );
}

const oneLine = (text: string): string => text.replace(/\p{Cc}+/gu, ' ').slice(0, 1000);

function isVerdict(value: unknown): value is Verdict {
  if (typeof value !== 'object' || value === null) return false;
  const verdict = value as Record<string, unknown>;
  if (verdict.kind === 'pass') return true;
  if (verdict.kind === 'warn') return typeof verdict.message === 'string';
  return verdict.kind === 'deny' && typeof verdict.message === 'string' && typeof verdict.code === 'string';
}
