// Unix sockets bound to an identity that operators make and remove while the gateway runs. Their records are in the store,
// so that the next start opens them again; a socket that cannot be opened is logged and does not delay the others.
import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { SocketHost } from '../admin/socket-services.ts';
import type { UnixListener } from '../config/types.ts';
import { GatewayError } from '../errors.ts';
import type { SocketRecord, SocketStore } from '../identity/stores.ts';
import type { Logger } from '../log.ts';
import type { RunningListener } from '../runtime/listen.ts';
import { checkSocketFolder } from '../runtime/socket-file.ts';

export interface BoundSocketsParts {
  readonly store: SocketStore;
  listen(listener: UnixListener): Promise<RunningListener>;
  /** Socket paths of the settings, and whose they are. */
  reserved(): ReadonlyMap<string, string>;
  readonly log: Logger;
}

export class BoundSockets implements SocketHost {
  readonly #parts: BoundSocketsParts;
  readonly #running = new Map<string, RunningListener>();
  readonly #faults = new Map<string, string>();

  constructor(parts: BoundSocketsParts) {
    this.#parts = parts;
  }

  /** Opens every socket on record that is not open. */
  async openRemembered(): Promise<void> {
    for (const record of this.#parts.store.list()) {
      if (this.#running.has(record.path)) continue;
      try {
        await this.open(record);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.#faults.set(record.path, reason);
        this.#parts.log.error({ socket: record.path, reason }, 'a socket on record could not be opened');
      }
    }
  }

  async open(record: SocketRecord): Promise<void> {
    const { path, mode, group, identity } = record;
    const owner = [...this.#parts.reserved()].find(([taken]) => realPath(taken) === realPath(path))?.[1];
    if (owner !== undefined) throw new GatewayError('input-invalid', `${path} ${owner}; give the socket another path`);
    try {
      checkSocketFolder(path);
      const listener = { kind: 'unix', path, mode, identity, ...(group === undefined ? {} : { group }) } as const;
      const running = await this.#parts.listen(listener);
      this.#running.set(path, running);
      this.#faults.delete(path);
      this.#parts.log.info({ listener: running.channel.name, identity }, 'listening');
    } catch (error) {
      if (!(error instanceof GatewayError) || error.code !== 'config-invalid') throw error;
      // Here it is what an operator asked for, not what the settings say.
      throw new GatewayError('input-invalid', error.message, { cause: error });
    }
  }

  async close(path: string): Promise<void> {
    const running = this.#running.get(path);
    this.#running.delete(path);
    this.#faults.delete(path);
    running?.stop();
    await running?.close();
  }

  faultOf(path: string): string | undefined {
    return this.#running.has(path) ? undefined : (this.#faults.get(path) ?? 'it is not open');
  }

  /** Closes those whose records are gone: an identity takes its sockets with it. */
  async closeForgotten(): Promise<void> {
    const known = new Set(this.#parts.store.list().map(({ path }) => path));
    await Promise.all([...this.#running.keys()].filter((path) => !known.has(path)).map((path) => this.close(path)));
  }

  /** Stops accepting. */
  stop(): void {
    for (const running of this.#running.values()) running.stop();
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#running.values()].map((running) => running.close()));
    this.#running.clear();
  }
}

/** One file, one name: /var/run is /run on most machines. */
function realPath(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch {
    return path;
  }
}
