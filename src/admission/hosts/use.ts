// One use of a plugin as the settings say it, with what was granted to it, before it runs anywhere.
import type { Json } from '../../engine/types.ts';
import type { Logger } from '../../log.ts';
import type { Capabilities, Grants } from './capabilities.ts';
import type { HookTimes } from './host.ts';
import type { FromGuest, ToGuest, Wish } from './protocol.ts';

export interface PluginUse {
  /** As denials and the audit name it; undefined until the module said its own name. */
  name: string | undefined;
  readonly use: string;
  /** Address of the entry module, `file:///...`. */
  readonly entry: string;
  readonly sha256: string;
  /** Its modules, and the folders of packages they import: all that a process of its own may read of the plugin. */
  readonly files: readonly string[];
  readonly config: Json | undefined;
  readonly grants: Grants;
  /** Path of the engine's socket, where the engine is on this machine. */
  readonly engineSocket?: string;
  readonly capabilities: Capabilities;
  readonly log: Logger;
  readonly logAllowance: LogAllowance;
  readonly times: HookTimes;
  /** Shipped with this program. */
  readonly isOurs: boolean;
}

/** What tells a plugin of its settings and of what it was granted. */
export const configureOf = (use: PluginUse, config: Json | undefined): Extract<ToGuest, { kind: 'configure' }> => ({
  kind: 'configure',
  config,
  name: use.name ?? use.use,
  env: envOf(use.grants),
  ...(use.engineSocket !== undefined && use.grants.has('sockets') ? { engineSocket: use.engineSocket } : {}),
});

export const envOf = (grants: Grants): Record<string, string> => {
  const env: Record<string, string> = {};
  for (const grant of grants) {
    if (!grant.startsWith('env:')) continue;
    const name = grant.slice(4);
    env[name] = process.env[name] ?? '';
  }
  return env;
};

/** Lines a plugin may write at once, and each second: all plugins share the log. */
const LOG_BURST = 50;
const LOG_PER_S = 5;

/** How much of the log one use of a plugin has left. */
export class LogAllowance {
  #left = LOG_BURST;
  #atMs = performance.now();
  #dropped = 0;

  /** @returns undefined for a line too many, else how many were left out before it */
  take(nowMs = performance.now()): number | undefined {
    this.#left = Math.min(LOG_BURST, this.#left + ((nowMs - this.#atMs) * LOG_PER_S) / 1000);
    this.#atMs = nowMs;
    if (this.#left < 1) {
      this.#dropped++;
      return undefined;
    }
    this.#left--;
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }
}

export function logOf(use: PluginUse, { level, message, data }: Extract<FromGuest, { kind: 'log' }>): void {
  const dropped = use.logAllowance.take();
  if (dropped === undefined) return;
  if (dropped > 0) use.log.warn({ plugin: use.name, lines: dropped }, 'a plugin wrote too much: lines were left out');
  use.log[level]({ plugin: use.name, ...(data === undefined ? {} : { data }) }, message);
}

/** Grants a wish, and says no in words. */
export async function replyTo(
  use: PluginUse,
  id: number,
  wish: Wish,
): Promise<{ kind: 'reply'; id: number; value?: Json; error?: string }> {
  try {
    const value = await use.capabilities.grant(wish);
    return { kind: 'reply', id, ...(value === undefined ? {} : { value }) };
  } catch (error) {
    return { kind: 'reply', id, error: error instanceof Error ? error.message : String(error) };
  }
}
