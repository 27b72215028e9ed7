// Asks the engine a read operation for a plugin: the request is rendered from the table of operations, never from text.
import { classify } from '../engine/classify.ts';
import { OPERATIONS } from '../engine/operations.ts';
import { renderTarget } from '../engine/render-target.ts';
import type { Json } from '../engine/types.ts';
import type { EngineClient } from './engine-client.ts';

const TIMEOUT_MS = 5000;
const MAX_BYTES = 1024 * 1024;

/** Parameters of the path by their names, all others are query parameters. Undefined for 404; throws in words for the plugin. */
export const engineReadFor =
  (engine: EngineClient) =>
  async (action: string, parameters: Readonly<Record<string, string>>): Promise<Json | undefined> => {
    const operation = OPERATIONS.find(
      (one) =>
        one.action === action && one.method === 'GET' && one.class === 'read' && one.stream === 'none' && one.served,
    );
    if (operation === undefined)
      throw new Error(`engine.get serves read operations with a JSON answer, and ${action} is none`);
    const path: Record<string, string> = {};
    const query: Record<string, readonly string[]> = {};
    for (const [name, value] of Object.entries(parameters)) {
      if (operation.path.includes(`{${name}}`)) path[name] = String(value);
      else query[name] = [String(value)];
    }
    for (const [, name] of operation.path.matchAll(/\{(\w+)\}/g)) {
      const given = path[name as string] ?? '';
      if (given === '' || /^\.{1,2}$|\/\.{0,2}(\/|$)|\p{Cc}/u.test(given))
        throw new Error(`engine.get ${action} needs the parameter ${name}`);
    }
    const target = renderTarget({ operation, apiVersion: undefined, path, query });
    // A slash in a parameter may name another operation.
    if (classify('GET', target).operation !== operation)
      throw new Error(`engine.get ${action}: a parameter names something else`);
    const { status, body } = await engine.fetchJson(
      { method: 'GET', target, headers: [], body: undefined },
      { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES },
    );
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`the engine answered ${action} with ${status}`);
    try {
      return JSON.parse(Buffer.from(body).toString('utf8')) as Json;
    } catch {
      throw new Error(`the engine's answer to ${action} is no JSON`);
    }
  };
