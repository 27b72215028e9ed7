// Runs the plugins on a call: mutators in order before policy, validators in parallel after it, the first denial in configured
// order wins. A plugin that throws, is late or answers in another shape denies the call. Where and how a plugin runs is its
// host's work. Phases and the reinvocation rule follow Kubernetes admission control.
import type { EngineCall, Json } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { annotate, askHook, failed, holderOf, Inputs, matches, oneLine } from './asking.ts';
import { applyChanges, valueAt } from './changes.ts';
import { grantsNeeded } from './hosts/describe.ts';
import { GuardedHost, type PluginFigures } from './hosts/guarded.ts';
import { HOOK_TIMES, type Hook, type HookAnswer, type PluginHost, type Tier } from './hosts/host.ts';
import { EXAMPLE_SOCKET, socketChange } from './own-socket.ts';
import type { Change, PluginMeta, Verdict } from './plugin.ts';
import { isLike } from './reading.ts';
import type { AdmissionContext } from './request.ts';
import { type ResponseJudge, Responses } from './responses.ts';
import { openStream, type StreamWatch } from './streams.ts';

/** All hooks of one call together may take this long, in ms. */
const CALL_BUDGET_MS = 1000;

/** The body and query of a call: all that a plugin may change. */
export interface Admissible {
  readonly body: Json | undefined;
  readonly query: Readonly<Record<string, readonly string[]>>;
}

/** A change, and what stood in its place when the plugin saw the call. */
export interface MadeChange extends Change {
  readonly before?: Json;
}

export interface PluginChange {
  readonly plugin: string;
  readonly changes: readonly MadeChange[];
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
   * @param reread reads the changed body and query as the engine would; throws GatewayError when they no longer make a valid call
   * @throws {GatewayError} `plugin-failed`, `mutation-not-stable`, or what `reread` throws
   */
  mutate(
    call: EngineCall,
    context: AdmissionContext,
    reread: (call: EngineCall, changed: Admissible) => EngineCall,
  ): Promise<Mutated>;
  /** Asks plugins about the call that will be sent. @throws {GatewayError} `plugin-denied`, `plugin-failed` */
  validate(call: EngineCall, context: AdmissionContext): Promise<Remarks>;
  /** What shows plugins the answer to a call; undefined where none of them wants to see it. */
  responses(call: EngineCall, context: AdmissionContext): ResponseJudge | undefined;
  /**
   * Tells plugins that a long call opens, and gives what watches it, if any of them does.
   *
   * @throws {GatewayError} `plugin-denied`, `plugin-failed`
   */
  stream(call: EngineCall, context: AdmissionContext): Promise<StreamWatch | undefined>;
  /** A call begins that these plugins see to its end. @returns what ends it, to be called once */
  enter(): () => void;
  /** Ends the plugins in good order, once the calls they see are over, or `now`. Never throws. */
  close(when?: 'now'): Promise<void>;
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
  readonly responders: readonly GuardedHost[];
  readonly streamers: readonly GuardedHost[];
}
const NOTHING_WANTED: Wanted = {
  mutators: NO_PLUGINS,
  validators: NO_PLUGINS,
  responders: NO_PLUGINS,
  streamers: NO_PLUGINS,
};

/** Joins loaded plugins into a chain, in configured order. */
export function createPluginChain(hosts: readonly PluginHost[], log: Logger, generation = 1): PluginChain {
  const guarded = hosts.map(
    (host) =>
      new GuardedHost(host, ({ name }, holder) =>
        log.error(
          { plugin: name, ...(holder === undefined ? {} : { holder }) },
          holder === undefined
            ? 'a plugin was ended again and again: its calls are denied for a while'
            : "one caller's calls ended a plugin again and again: this caller's calls are denied for a while",
        ),
      ),
  );
  const wantedByAction = new Map<string, Wanted>();
  let inside = 0;
  let onEmpty: (() => void) | undefined;
  let closing: Promise<unknown> | undefined;

  const wanted = (action: string): Wanted => {
    let found = wantedByAction.get(action);
    if (found === undefined) {
      const matching = guarded.filter(({ host }) =>
        host.description.match.actions.some((a) => matchesAction(a, action)),
      );
      const having = (hook: Hook) =>
        matching.filter(({ host: { description } }) => {
          const actions = description.hookActions?.[hook] ?? ['*'];
          return description.hooks.includes(hook) && actions.some((pattern) => isLike(pattern, action));
        });
      const all = {
        mutators: having('mutate'),
        validators: having('validate'),
        responders: having('onResponse'),
        streamers: having('onStream'),
      };
      found = Object.values(all).every((plugins) => plugins.length === 0) ? NOTHING_WANTED : all;
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
      return wanted(action) !== NOTHING_WANTED;
    },
    looksUp(action) {
      return wanted(action).validators.some(({ host }) => host.description.match.objects === true);
    },
    async mutate(call, context, reread) {
      const { mutators } = wanted(call.action);
      if (mutators.length === 0) return { call, changes: [], ...NONE };
      const round = new MutatingRound(call, context, reread);
      let changedAt = -1;
      // What a plugin matches is asked of the call as it stands when its turn comes: one before it may have put another image in.
      for (const [index, one] of mutators.entries()) if (await round.ask(one)) changedAt = index;
      // A later plugin's change is shown once more to those that asked; then the request must rest. One whose resources a later
      // change brought in was not asked at all, and is.
      const again = mutators.filter(
        (one, index) => (index < changedAt && one.host.description.reinvoke) || !round.hasAsked(one),
      );
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
          answer: await inputs
            .of(one)
            .then((input) => askHook(one, 'validate', input, holderOf(context)))
            .catch((error: unknown) => error),
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
    responses(call, context) {
      const { responders } = wanted(call.action);
      if (responders.length === 0) return undefined;
      const matching = responders.filter((one) => matches(one, call));
      return matching.length === 0 ? undefined : new Responses(matching, call, context);
    },
    async stream(call, context) {
      const { streamers } = wanted(call.action);
      if (streamers.length === 0) return undefined;
      return openStream(
        streamers.filter((one) => matches(one, call)),
        call,
        context,
      );
    },
    enter() {
      inside++;
      return () => {
        if (--inside === 0) onEmpty?.();
      };
    },
    async close(when) {
      if (when === 'now') onEmpty?.();
      else if (inside > 0)
        await new Promise<void>((resolve) => {
          onEmpty = resolve;
        });
      closing ??= Promise.all(hosts.map((host) => host.close().catch(() => undefined)));
      await closing;
    },
  };
}

/** The call as the mutators leave it, one after the other. */
class MutatingRound {
  readonly #context: AdmissionContext;
  readonly #reread: (call: EngineCall, changed: Admissible) => EngineCall;
  readonly #changes: PluginChange[] = [];
  readonly #annotations: Record<string, string> = {};
  readonly #asked = new Set<GuardedHost>();
  #endMs = performance.now() + CALL_BUDGET_MS;
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

  hasAsked(one: GuardedHost): boolean {
    return this.#asked.has(one);
  }

  /** @returns whether the plugin changed anything; one that does not match the call as it stands is not asked */
  async ask(one: GuardedHost): Promise<boolean> {
    const { host } = one;
    if (!matches(one, this.#call)) return false;
    this.#asked.add(one);
    // A plugin that was given more time takes none of the others'.
    this.#endMs += Math.max(0, (host.wallMs ?? 0) - HOOK_TIMES.wallMs);
    if (performance.now() > this.#endMs)
      throw failed(host, `the plugins of this call took more than ${CALL_BUDGET_MS} ms`);
    const { value: changes, annotations } = await askHook(
      one,
      'mutate',
      await this.#inputs.of(one),
      holderOf(this.#context),
    );
    annotate(this.#annotations, host.name, annotations);
    if (changes === undefined || changes === null) return false;
    if (!Array.isArray(changes)) throw failed(host, 'mutate did not return a list of changes');
    if (changes.length === 0) return false;
    const seen: Admissible = { body: this.#call.body, query: this.#call.query };
    let asked: readonly Change[];
    let changed: Admissible;
    try {
      asked = this.#patches(host, changes as unknown as readonly Change[], seen);
      changed = applyChanges(seen, asked);
    } catch (cause) {
      if (cause instanceof GatewayError) throw cause;
      throw failed(host, cause instanceof Error ? cause.message : 'its change could not be applied', cause);
    }
    this.#call = this.#reread(this.#call, changed);
    this.#inputs = new Inputs(this.#call, this.#context);
    this.#changes.push({
      plugin: host.name,
      changes: asked.map((change) => {
        const before = valueAt(seen, change.path);
        return before === undefined ? change : { ...change, before };
      }),
    });
    return true;
  }

  /** What a plugin asked for, as patches alone. @throws {Error} @throws {GatewayError} where there can be no socket */
  #patches({ description }: PluginHost, changes: readonly Change[], seen: Admissible): readonly Change[] {
    return changes.map((change) => {
      if (change?.op !== 'own-socket') return change;
      if (description.needs.sockets !== true) throw new Error('it changes a bind to own-socket, which needs sockets');
      const { dryRun, ownSocket } = this.#context;
      if (ownSocket === undefined && dryRun !== true) throw new Error('this gateway makes no sockets for containers');
      return socketChange(change, seen, () => ownSocket?.() ?? EXAMPLE_SOCKET);
    });
  }

  get result(): Mutated {
    return { call: this.#call, changes: this.#changes, annotations: this.#annotations, warnings: [] };
  }
}

function isVerdict(value: unknown): value is Verdict {
  if (typeof value !== 'object' || value === null) return false;
  const verdict = value as Record<string, unknown>;
  if (verdict.kind === 'pass') return true;
  if (verdict.kind === 'warn') return typeof verdict.message === 'string';
  return verdict.kind === 'deny' && typeof verdict.message === 'string' && typeof verdict.code === 'string';
}
