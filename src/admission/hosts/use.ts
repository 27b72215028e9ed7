// One use of a plugin as the settings say it, with what was granted to it, before it runs anywhere.
import type { Json } from '../../engine/types.ts';
import type { Logger } from '../../log.ts';
import type { Capabilities, Grants } from './capabilities.ts';
import type { HookTimes } from './host.ts';
import type { FromGuest, Wish } from './protocol.ts';

export interface PluginUse {
  /** As denials and the audit name it; undefined until the module said its own name. */
  name: string | undefined;
  readonly use: string;
  /** Address of the entry module, `file:///...`. */
  readonly entry: string;
  readonly sha256: string;
  readonly config: Json | undefined;
  readonly grants: Grants;
  readonly capabilities: Capabilities;
  readonly log: Logger;
  readonly times: HookTimes;
  /** Shipped with this program. */
  readonly isOurs: boolean;
}

export const envOf = (grants: Grants): Record<string, string> => {
  const env: Record<string, string> = {};
  for (const grant of grants) {
    if (!grant.startsWith('env:')) continue;
    const name = grant.slice(4);
    env[name] = process.env[name] ?? '';
  }
  return env;
};

export function logOf(use: PluginUse, { level, message, data }: Extract<FromGuest, { kind: 'log' }>): void {
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
