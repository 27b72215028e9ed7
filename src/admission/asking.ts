// How every phase asks a plugin: one way to ask, to fail, to gather what hooks left to be told, and the inputs of a call.
import type { EngineCall } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import type { GuardedHost } from './hosts/guarded.ts';
import { type Hook, type HookAnswer, HookFault, type PluginHost } from './hosts/host.ts';
import { isLongerThan, largeJson } from './large-json.ts';
import { isLike } from './reading.ts';
import { type AdmissionContext, requestJson, requestJsonWith } from './request.ts';

/**
 * Longest request a plugin is shown, in characters of JSON: a larger one would cost a sandboxed plugin the time and memory it is ended
 * for, and the gateway the time to write it down.
 */
export const MAX_INPUT = 256 * 1024;
const MAX_NATIVE_INPUT = 2 * 1024 * 1024;
/** A body beyond this is written in slices, in characters. */
const LARGE_BODY = 64 * 1024;

/** The identity whose calls the plugin's kills are counted for: a tenant's identities count as one. */
export const holderOf = ({ principal }: AdmissionContext): string =>
  principal.tenant === undefined ? `${principal.issuer} ${principal.subject}` : `tenant ${principal.tenant}`;

/** @throws {GatewayError} `plugin-failed` */
export async function askHook(one: GuardedHost, hook: Hook, input: string, holder: string): Promise<HookAnswer> {
  checkLength(one.host, input.length);
  try {
    return await one.ask(hook, input, holder);
  } catch (cause) {
    // What a plugin throws may hold what it was shown: the log has it, the caller has not.
    const why = cause instanceof HookFault && !cause.isQuoted ? cause.message : `its ${hook} hook threw an error`;
    throw failed(one.host, why, cause);
  }
}

function checkLength(host: PluginHost, length: number): void {
  const isSandboxed = host.tier === 'sandboxed';
  const limit = isSandboxed ? MAX_INPUT : MAX_NATIVE_INPUT;
  if (length <= limit) return;
  const who = isSandboxed ? 'a sandboxed plugin' : 'a plugin';
  throw failed(host, `the request has more than ${limit} characters, which is the most ${who} judges`);
}

export const failed = (host: PluginHost, why: string, cause?: unknown): GatewayError =>
  new GatewayError('plugin-failed', `plugin ${host.name} failed, so the call is denied: ${why}`, { cause });

export function annotate(into: Record<string, string>, plugin: string, left: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(left)) into[`${plugin}/${key}`] = value;
}

/** Whether a plugin that wants calls of this action wants this one. */
export function matches({ host }: GuardedHost, call: EngineCall): boolean {
  const { class: classes, resources } = host.description.match;
  if (classes !== undefined && !classes.includes(call.operation.class)) return false;
  return (
    resources === undefined ||
    call.resources.some(({ kind, name }) => resources.some((pattern) => isLike(pattern, `${kind}/${name}`)))
  );
}

export const oneLine = (text: string): string => text.replace(/\p{Cc}+/gu, ' ').slice(0, 1000);

/** The requests of one call, each made once. */
export class Inputs {
  readonly #call: EngineCall;
  readonly #context: AdmissionContext;
  #open: string | Promise<string> | undefined;
  #masked: string | Promise<string> | undefined;

  constructor(call: EngineCall, context: AdmissionContext) {
    this.#call = call;
    this.#context = context;
  }

  /** @throws {GatewayError} `plugin-failed` for a body no plugin of its tier is shown, before anything was written */
  async of({ host }: GuardedHost): Promise<string> {
    const limit = host.tier === 'sandboxed' ? MAX_INPUT : MAX_NATIVE_INPUT;
    if (isLongerThan(this.#call.body, limit)) checkLength(host, limit + 1);
    if (host.description.needs.bodies === true) {
      this.#open ??= this.#json(true);
      return this.#open;
    }
    this.#masked ??= this.#json(false);
    return this.#masked;
  }

  #json(bodies: boolean): string | Promise<string> {
    const { body } = this.#call;
    if (body === undefined || !isLongerThan(body, LARGE_BODY)) return requestJson(this.#call, this.#context, bodies);
    return largeJson(body, bodies).then((text) => requestJsonWith(this.#call, this.#context, bodies, text));
  }
}
