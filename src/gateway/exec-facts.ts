// What an exec instance was, asked of the engine once its stream is over: where it ran, what, as whom, and how it ended. It is asked
// in the gateway's own name and after the caller has its answer.
import type { EngineCall } from '../engine/types.ts';
import type { EngineClient } from '../proxy/engine-client.ts';
import type { ExecFacts } from './call-event.ts';

const MAX_BYTES = 256 * 1024;
/** Longest wait for the engine, in ms: the outcome is recorded without what it would have told. */
const TIMEOUT_MS = 2000;
/** The stream may end a moment before the engine knows how the process ended, in ms. */
const AGAIN_MS = 50;

/** Undefined where the engine does not tell. Never throws. */
export async function execFacts(call: EngineCall, engine: EngineClient): Promise<ExecFacts | undefined> {
  const { id } = call.path;
  if (id === undefined) return undefined;
  const facts = await ask(id, engine);
  const isDetached = (call.body as { Detach?: unknown } | null | undefined)?.Detach === true;
  if (facts === undefined || facts.exitCode !== undefined || isDetached) return facts;
  await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  return (await ask(id, engine)) ?? facts;
}

async function ask(id: string, engine: EngineClient): Promise<ExecFacts | undefined> {
  try {
    const target = `/exec/${encodeURIComponent(id)}/json`;
    const answer = await engine.fetchJson(
      { method: 'GET', target, headers: [], body: undefined },
      { maxBytes: MAX_BYTES, timeoutMs: TIMEOUT_MS },
    );
    if (answer.status !== 200) return undefined;
    const shown = JSON.parse(Buffer.from(answer.body).toString('utf8')) as Shown;
    const process = shown.ProcessConfig ?? {};
    const words = [process.entrypoint, ...(Array.isArray(process.arguments) ? process.arguments : [])];
    return {
      containerId: text(shown.ContainerID),
      argv: words.filter((word): word is string => typeof word === 'string'),
      user: text(process.user),
      tty: process.tty === true,
      privileged: process.privileged === true,
      ...(shown.Running !== true && typeof shown.ExitCode === 'number' ? { exitCode: shown.ExitCode } : {}),
    };
  } catch {
    return undefined;
  }
}

interface Shown {
  readonly ContainerID?: unknown;
  readonly Running?: unknown;
  readonly ExitCode?: unknown;
  readonly ProcessConfig?: {
    readonly entrypoint?: unknown;
    readonly arguments?: unknown;
    readonly user?: unknown;
    readonly tty?: unknown;
    readonly privileged?: unknown;
  };
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
