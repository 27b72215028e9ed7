// Fetches an image a build starts from before the engine does: what it brings along, its triggers above all, has to be known
// when the Dockerfile is judged. Credentials are those that came with the build.
import { GatewayError } from '../../errors.ts';
import type { Ending } from '../../proxy/ending.ts';
import type { EngineClient } from '../../proxy/engine-client.ts';
import type { CallerEnd } from '../../proxy/types.ts';

const DOCKER_HUB = 'docker.io';
/** Last bytes of the answer that are kept: the error is in its last line. */
const TAIL_BYTES = 16 * 1024;

export interface PullOptions {
  /** `X-Registry-Config` of the build. */
  readonly registryConfig: string | undefined;
  readonly platform: string | undefined;
  readonly ending: Ending | undefined;
}

/**
 * @param name canonical reference with a tag or a digest
 * @throws {GatewayError} `object-not-found` with the engine's own words, `engine-unreachable`
 */
export async function pullImage(engine: EngineClient, name: string, options: PullOptions): Promise<void> {
  const auth = authHeader(name, options.registryConfig);
  const query = new URLSearchParams({ fromImage: name });
  if (options.platform !== undefined) query.set('platform', options.platform);
  const answer = new Answer();
  const target = `/images/create?${query.toString()}`;
  const headers = auth === undefined ? [] : ['X-Registry-Auth', auth];
  const ending = options.ending;
  await engine.forward(
    { method: 'POST', target, headers, body: undefined, lane: 'stream' },
    answer,
    ending === undefined ? {} : { ending },
  );
  const error = answer.error();
  if (error !== undefined) throw new GatewayError('object-not-found', error);
}

/** `X-Registry-Auth` for an image, from the credentials of a build. */
export function authHeader(name: string, config: string | undefined): string | undefined {
  const auth = authFor(name.slice(0, name.indexOf('/')), config);
  if (auth === undefined) return undefined;
  // With padding: engines take anything else for no credentials.
  return Buffer.from(JSON.stringify(auth)).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

/** The entry of a registry in the credentials of a build, for a pull. */
export function authFor(registry: string, config: string | undefined): unknown {
  if (config === undefined || config === '') return undefined;
  let entries: unknown;
  try {
    entries = JSON.parse(Buffer.from(config, 'base64').toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof entries !== 'object' || entries === null) return undefined;
  const wanted = registry === DOCKER_HUB ? ['index.docker.io', DOCKER_HUB] : [registry];
  for (const [key, entry] of Object.entries(entries)) {
    const host = key.replace(/^https?:\/\//, '').replace(/\/.*$/s, '');
    if (wanted.includes(host) && typeof entry === 'object' && entry !== null) return entry;
  }
  return undefined;
}

/** Reads the progress of a pull for what went wrong. */
class Answer implements CallerEnd {
  #status = 0;
  #tail = '';
  #isWhole = false;
  head(status: number): void {
    this.#status = status;
  }
  write(chunk: Uint8Array): boolean {
    this.#tail = (this.#tail + Buffer.from(chunk).toString('utf8')).slice(-TAIL_BYTES);
    return true;
  }
  onDrain(): void {}
  end(): void {
    this.#isWhole = true;
  }
  abort(): void {}
  onGone(): void {}

  error(): string | undefined {
    if (!this.#isWhole) throw new GatewayError('engine-unreachable', 'the engine ended a pull before it was complete');
    for (const line of this.#tail.split('\n').reverse()) {
      try {
        const { error, message } = JSON.parse(line) as { error?: unknown; message?: unknown };
        const text = error ?? (this.#status >= 400 ? message : undefined);
        if (typeof text === 'string') return text;
      } catch {
        // The first line kept may be cut off.
      }
    }
    return this.#status >= 400 ? `the engine did not pull the image (${this.#status})` : undefined;
  }
}
