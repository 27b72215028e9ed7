// What every tier of isolation offers the chain: a plugin that was loaded, described and set up, and whose hooks can be asked.
// How hooks are kept from hurting the gateway is the business of each host.
import type { Json } from '../../engine/types.ts';
import type { Match, PluginExample, PluginMeta, PluginNeeds } from '../plugin.ts';

/** `sandboxed`: QuickJS in WebAssembly; `process`: a Deno child; `trusted`: a thread, fault isolation only. */
export type Tier = 'sandboxed' | 'process' | 'trusted';
export type Hook = 'mutate' | 'validate' | 'onResponse' | 'onStream';
export const HOOKS: readonly Hook[] = ['mutate', 'validate', 'onResponse', 'onStream'];

/** What a module says of itself, checked. */
export interface PluginDescription {
  readonly meta: PluginMeta;
  readonly match: Match;
  readonly needs: PluginNeeds;
  readonly hooks: readonly Hook[];
  /** Actions of single hooks as the settings narrow them. */
  readonly hookActions?: Partial<Record<Hook, readonly string[]>>;
  readonly reinvoke: boolean;
  readonly examples: readonly PluginExample[];
}

/** What one hook answered. `value` is JSON as the plugin gave it, not checked yet. */
export interface HookAnswer {
  readonly value: Json | undefined;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Why a hook gave no answer. */
export class HookFault extends Error {
  /** The plugin was ended for it: counts towards the breaker. */
  readonly killed: boolean;
  /** The plugin's own words, which may hold what it was shown: not for callers. */
  readonly isQuoted: boolean;
  constructor(message: string, killed: boolean, isQuoted = false) {
    super(message);
    this.name = 'HookFault';
    this.killed = killed;
    this.isQuoted = isQuoted;
  }
}

/** One use of a plugin, ready to be asked. */
export interface PluginHost {
  readonly name: string;
  readonly use: string;
  readonly tier: Tier;
  /** SHA-256 of what was loaded, hexadecimal. */
  readonly sha256: string;
  readonly description: PluginDescription;
  /** Longest time of one hook, in ms. Default: that of `HOOK_TIMES`. */
  readonly wallMs?: number;
  /**
   * Asks a hook. The host keeps its own time; the answer or the fault comes within the limits.
   *
   * @param input the request or the part of a stream as JSON; for `onResponse` with a list `items` in place of a body, answered item by item
   * @param holder whose call it is: what it does to the plugin is counted against it alone
   * @throws {HookFault}
   */
  ask(hook: Hook, input: string, holder?: string): Promise<HookAnswer>;
  /** Called for a kill whose call had its answer or its fault already, with whose call it was. Set by the counter of kills. */
  onKilled?: (holder: string) => void;
  /** Ends the instances in good order. Never throws. */
  close(): Promise<void>;
}

/** Time of one hook, the same in every tier. */
export interface HookTimes {
  /** Processor time, in ms. */
  readonly cpuMs: number;
  /** Time in all, look-ups included, in ms. */
  readonly wallMs: number;
}

export const HOOK_TIMES: HookTimes = { cpuMs: 50, wallMs: 250 };

/** Further limits of one plugin, the same in every tier. */
export const HOOK_LIMITS = {
  /** Memory of one instance, in bytes. */
  memoryBytes: 16 * 1024 * 1024,
  /** Largest answer, in characters of JSON. */
  answerChars: 256 * 1024,
  /** Calls that wait for one plugin. Beyond, calls are denied. */
  queue: 64,
  /** Longest time for a module to load and set up, in ms. */
  loadMs: 10_000,
} as const;
