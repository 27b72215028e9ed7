// Runs the cases a plugin carries with it, through the very host that will serve calls. Pure but for the host.
import { OPERATIONS } from '../engine/operations.ts';
import type { Json } from '../engine/types.ts';
import { applyChanges } from './changes.ts';
import type { PluginHost } from './hosts/host.ts';
import { GONE, narrowed } from './narrow.ts';
import { EXAMPLE_SOCKET, socketChange } from './own-socket.ts';
import type { AdmissionRequest, Change, PluginExample, Verdict } from './plugin.ts';
import { masked, toJson } from './request.ts';

export interface ExampleResult {
  readonly name: string;
  /** Undefined when the case went as expected. */
  readonly fault: string | undefined;
  readonly durationMs: number;
}

/** The request an example stands for. @throws {Error} for an action that no operation has */
export function exampleRequest(example: PluginExample, bodies: boolean): AdmissionRequest {
  const operation = OPERATIONS.find((one) => one.action === example.action);
  if (operation === undefined) throw new Error(`there is no action ${example.action}`);
  const { id, action, class: class_, risk, stream, method, path } = operation;
  const body = bodies ? example.body : masked(example.body);
  return {
    auditId: '00000000-0000-7000-8000-000000000000',
    at: example.at ?? new Date().toISOString(),
    dryRun: true,
    apiVersion: '1.47',
    principal: { subject: 'example', issuer: 'example', groups: [], claims: {}, ...example.principal },
    operation: { id, action, class: class_, risk, stream, method, path: `/v1.47${path}` },
    resources: example.resources ?? [],
    path: {},
    query: example.query ?? {},
    ...(body === undefined ? {} : { body }),
    source: { address: '127.0.0.1' },
  };
}

/** Runs one example: `mutate`, then `validate` on the changed request, and the laws: a second `mutate` changes nothing, a verdict repeats. */
export async function runExample(host: PluginHost, example: PluginExample): Promise<ExampleResult> {
  const startedMs = performance.now();
  const result = (fault?: string): ExampleResult => ({
    name: example.name,
    fault,
    durationMs: performance.now() - startedMs,
  });
  const { hooks, needs } = host.description;
  try {
    let request = exampleRequest(example, needs.bodies === true);
    if (hooks.includes('mutate')) {
      const changed = await mutated(host, request);
      if (example.changedBody !== undefined && canonical(changed.body) !== canonical(example.changedBody)) {
        return result(`the body became ${toJson(changed.body)}`);
      }
      const again = await mutated(host, changed);
      if (
        canonical(again.body) !== canonical(changed.body) ||
        canonical(again.query as Json) !== canonical(changed.query as Json)
      ) {
        return result('a second mutate changes the request again');
      }
      request = changed;
    }
    if (hooks.includes('onResponse') && example.response !== undefined) {
      const once = await answered(host, request, example.response);
      if (example.changedResponse !== undefined && canonical(once) !== canonical(example.changedResponse))
        return result(`the answer became ${toJson(once)}`);
      if (canonical(await answered(host, request, once)) !== canonical(once))
        return result('a second onResponse changes the answer again');
    }
    if (hooks.includes('validate')) {
      const verdict = await judged(host, request);
      const { expect } = example;
      const told = verdict.kind === 'deny' ? `a denial ${verdict.code}: ${verdict.message}` : verdict.kind;
      if (
        typeof expect === 'object' ? verdict.kind !== 'deny' || verdict.code !== expect.deny : verdict.kind !== expect
      ) {
        return result(`expected ${typeof expect === 'object' ? `a denial ${expect.deny}` : expect}, and got ${told}`);
      }
      if (canonical((await judged(host, request)) as unknown as Json) !== canonical(verdict as unknown as Json))
        return result('the same request was judged in two ways');
    }
    return result();
  } catch (error) {
    return result(error instanceof Error ? error.message : String(error));
  }
}

async function mutated(host: PluginHost, request: AdmissionRequest): Promise<AdmissionRequest> {
  const { value } = await host.ask('mutate', toJson(request));
  if (value === undefined || value === null) return request;
  if (!Array.isArray(value)) throw new Error('mutate did not return a list of changes');
  const seen = { body: request.body, query: request.query };
  const changes = (value as unknown as readonly Change[]).map((change) =>
    change?.op === 'own-socket' ? socketChange(change, seen, () => EXAMPLE_SOCKET) : change,
  );
  const { body, query } = applyChanges(seen, changes);
  return { ...request, query, ...(body === undefined ? {} : { body }) };
}

async function answered(host: PluginHost, request: AdmissionRequest, response: Json): Promise<Json> {
  const { body: _, ...rest } = request;
  const bodies = host.description.needs.bodies === true;
  const input = toJson({ ...rest, status: 200, items: [bodies ? response : (masked(response) as Json)] });
  const { value } = await host.ask('onResponse', input);
  if (!Array.isArray(value) || !Array.isArray(value[0])) throw new Error('onResponse did not return a list of changes');
  const left = narrowed(JSON.parse(toJson(response)), value[0] as unknown as readonly Change[]);
  return left === GONE ? null : (left as Json);
}

async function judged(host: PluginHost, request: AdmissionRequest): Promise<Verdict> {
  const { value } = await host.ask('validate', toJson(request));
  if (typeof value !== 'object' || value === null || !('kind' in value))
    throw new Error('validate did not return a verdict');
  return value as unknown as Verdict;
}

/** JSON with sorted keys. */
function canonical(value: Json | undefined): string {
  if (Array.isArray(value)) return `[${value.map((one) => canonical(one as Json)).join(',')}]`;
  if (typeof value !== 'object' || value === null) return toJson(value) ?? 'undefined';
  return `{${Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonical(member as Json)}`)
    .join(',')}}`;
}
