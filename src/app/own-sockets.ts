// Sockets in containers: each speaks for the credentials of the call that made its container, and goes with the container. A file
// beside each says whom it speaks for, so that the next start opens it again. The engine is asked which containers are there still.
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Recorder } from '../audit/event.ts';
import type { UnixListener } from '../config/types.ts';
import { GatewayError } from '../errors.ts';
import type { OwnSockets, SocketCaller, SocketOffer } from '../gateway/own-sockets.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import type { Delegation } from '../identity/delegation.ts';
import { covers } from '../identity/delegations.ts';
import { JsonLines } from '../ledger/json-items.ts';
import type { Logger } from '../log.ts';
import type { Principal } from '../policy/types.ts';
import { Ender } from '../proxy/ending.ts';
import type { EngineClient } from '../proxy/engine-client.ts';
import type { CallerEnd } from '../proxy/types.ts';
import type { RunningListener } from '../runtime/listen.ts';
import { checkSocketFolder } from '../runtime/socket-file.ts';

/** Sockets one identity may have in containers, those of a tenant together: each is a file and up to `CONNECTIONS` connections. */
const MAX_OF_HOLDER = 32;
/** Connections of one socket at once. */
export const CONNECTIONS = 32;
/** The folder is the gateway's alone; in the container any user may connect. */
const MODE = 0o666;
/** Between two looks at the engine, in ms; a socket without a container goes at the second. */
const LOOK_MS = 60_000;
/** Between the end of an event stream and the next, in ms. */
const RETRY_MS = 1000;
const LIST_BYTES = 64 * 1024 * 1024;

/** What the file beside a socket says. */
interface Kept {
  readonly delegation: Delegation;
  readonly holder: string;
  readonly auditId: string;
  readonly containerId?: string;
}

interface Held extends Kept {
  readonly id: string;
  readonly path: string;
  containerId?: string;
  running: RunningListener | undefined;
  /** The call that makes the container is under way. */
  isUnderWay: boolean;
  looks: number;
}

export interface OwnSocketsParts {
  /** Absolute; made when it is first needed. */
  readonly folder: string;
  /** The engine shares the gateway's file system. */
  readonly isLocal: boolean;
  readonly authenticator: Authenticator;
  readonly engine: EngineClient;
  readonly recorder: Recorder;
  readonly log: Logger;
  listen(listener: UnixListener): Promise<RunningListener>;
  /** Bound sockets that calls come in by now. */
  boundSockets(): readonly string[];
  now(): number;
  newAuditId(): string;
}

export class KeptOwnSockets implements OwnSockets {
  readonly #parts: OwnSocketsParts;
  readonly #held = new Map<string, Held>();
  readonly #stopping = new Ender();
  #following = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: OwnSocketsParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#held.size;
  }

  offer(caller: SocketCaller): SocketOffer {
    let held: Held | undefined;
    let isOpen = false;
    const close = () => {
      if (held !== undefined) this.#remove(held, 'the container was not made');
      held = undefined;
    };
    return {
      get path() {
        return held?.path;
      },
      take: () => {
        held ??= this.#reserve(caller);
        return held.path;
      },
      open: async () => {
        if (held === undefined) return;
        await this.#open(held);
        isOpen = true;
      },
      abandon: close,
      end: (made) => {
        if (held === undefined) return;
        if (!isOpen || made === 'refused') return close();
        held.isUnderWay = false;
        if (made !== undefined) this.#found(held, made);
        else void this.#look();
        held = undefined;
      },
    };
  }

  mayUse(path: string, principal: Principal, source: string): boolean | undefined {
    const held = this.#held.get(path);
    return held && covers(principal, source, held.delegation);
  }

  #reserve({ principal, source, channel, auditId }: SocketCaller): Held {
    if (!this.#parts.isLocal) {
      throw new GatewayError(
        'host-field-denied',
        "denied: the container asks for the engine's socket, and the engine is on another machine, where the gateway has none of its own",
      );
    }
    const holder =
      principal.tenant === undefined ? `${principal.issuer} ${principal.subject}` : `tenant ${principal.tenant}`;
    const count = [...this.#held.values()].filter((one) => one.holder === holder).length;
    if (count >= MAX_OF_HOLDER) {
      throw new GatewayError(
        'quota-exceeded',
        `denied: ${MAX_OF_HOLDER} containers of yours hold a socket of the gateway already; remove one first`,
      );
    }
    const { delegations } = this.#parts.authenticator;
    const via = channel.identity === undefined || principal.tokenId !== undefined ? undefined : channel.name;
    const id = randomBytes(12).toString('hex');
    const held: Held = {
      id,
      path: join(this.#parts.folder, `${id}.sock`),
      delegation: delegations.make(principal, source, via),
      holder,
      auditId,
      running: undefined,
      isUnderWay: true,
      looks: 0,
    };
    this.#held.set(held.path, held);
    return held;
  }

  async #open(held: Held): Promise<void> {
    try {
      mkdirSync(this.#parts.folder, { recursive: true, mode: 0o700 });
      checkSocketFolder(held.path);
      this.#write(held);
      await this.#listen(held);
      this.#tell(held, 'socket.substitute');
    } catch (cause) {
      this.#remove(held, undefined);
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new GatewayError('internal', `the gateway could not make a socket for the container: ${reason}`, { cause });
    }
    this.#follow();
  }

  async #listen(held: Held): Promise<void> {
    const { delegation, path } = held;
    held.running = await this.#parts.listen({
      kind: 'unix',
      path,
      mode: MODE,
      speaksFor: {
        delegation,
        checkWay: () => {
          const { via } = delegation;
          if (via === undefined || this.#hasWay(via)) return;
          throw new GatewayError('token-revoked', 'the socket that these credentials came by was removed');
        },
      },
    });
  }

  #hasWay = (via: string): boolean => this.#parts.boundSockets().some((path) => via === `unix:${path}`);

  /** Opens the sockets of an earlier run, and removes the remains of others. */
  async openRemembered(): Promise<void> {
    for (const name of this.#files()) {
      const path = join(this.#parts.folder, name);
      if (!name.endsWith('.json')) continue;
      const id = name.slice(0, -'.json'.length);
      try {
        const kept = JSON.parse(readFileSync(path, 'utf8')) as Kept;
        const delegation = this.#parts.authenticator.delegations.restore(kept.delegation);
        const socket = join(this.#parts.folder, `${id}.sock`);
        const held: Held = { ...kept, id, path: socket, delegation, running: undefined, isUnderWay: false, looks: 0 };
        // An engine that starts a container whose socket is gone makes a folder in its place.
        if (lstatSync(socket, { throwIfNoEntry: false })?.isDirectory()) rmdirSync(socket);
        this.#held.set(socket, held);
        await this.#listen(held);
      } catch (error) {
        this.#parts.log.error({ err: error, socket: id }, 'a socket in a container could not be opened again');
      }
    }
    for (const name of this.#files()) {
      const path = join(this.#parts.folder, name);
      if (name.endsWith('.sock') && !this.#held.has(path)) rmSync(path, { force: true, recursive: true });
    }
    if (this.size > 0) this.#follow();
  }

  #files(): readonly string[] {
    try {
      return readdirSync(this.#parts.folder);
    } catch {
      return [];
    }
  }

  /** Removes sockets whose maker called through a bound socket that was removed since. */
  review(): void {
    for (const held of this.#held.values()) {
      const { via } = held.delegation;
      if (via !== undefined && !this.#hasWay(via)) this.#remove(held, 'the socket its maker came by was removed');
    }
  }

  /** Closes all; their files stay for the next start. */
  async close(): Promise<void> {
    this.#stopping.end();
    clearTimeout(this.#timer);
    await Promise.all([...this.#held.values()].map(({ running }) => running?.close()));
  }

  #found(held: Held, containerId: string): void {
    if (held.containerId === containerId) return;
    held.containerId = containerId;
    try {
      this.#write(held);
    } catch (error) {
      this.#parts.log.warn({ err: error }, 'which container holds a socket could not be kept');
    }
  }

  #write({ id, delegation, holder, auditId, containerId }: Held): void {
    const file = join(this.#parts.folder, `${id}.json`);
    const fd = openSync(`${file}.new`, 'w', 0o600);
    try {
      writeSync(fd, JSON.stringify({ delegation, holder, auditId, containerId }));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(`${file}.new`, file);
  }

  /** @param why told in the audit; undefined where nothing was opened */
  #remove(held: Held, why: string | undefined): void {
    if (!this.#held.delete(held.path)) return;
    const wasOpen = held.running !== undefined;
    held.running?.stop();
    void held.running?.close();
    rmSync(held.path, { force: true });
    rmSync(join(this.#parts.folder, `${held.id}.json`), { force: true });
    if (wasOpen && why !== undefined) this.#tell(held, 'socket.end', why);
  }

  #tell({ delegation: { principal }, path, containerId }: Held, action: string, message?: string): void {
    this.#parts.recorder.append({
      at: this.#parts.now() * 1000,
      stage: 'gateway',
      auditId: this.#parts.newAuditId(),
      action,
      subject: principal.subject,
      tenant: principal.tenant,
      tokenId: principal.tokenId,
      resource: `socket/${path}`.slice(0, 256),
      resourceId: containerId,
      decision: 'allow',
      ...(message === undefined ? {} : { detail: { message } }),
    });
  }

  /** Follows the engine's events while there is a socket in a container. */
  #follow(): void {
    if (this.#following) return;
    this.#following = true;
    void this.#followOn().finally(() => {
      this.#following = false;
      if (this.size > 0 && !this.#stopping.ended) this.#follow();
    });
  }

  async #followOn(): Promise<void> {
    const filters = encodeURIComponent(JSON.stringify({ type: ['container'], event: ['destroy', 'remove'] }));
    while (this.size > 0 && !this.#stopping.ended) {
      const ending = new Ender();
      const lines = new JsonLines((event) => {
        const { id, Actor } = event as { id?: unknown; Actor?: { ID?: unknown } };
        this.#ended(String(Actor?.ID ?? id));
        if (this.size === 0) ending.end();
        return false;
      });
      this.#stopping.onEnd(() => ending.end());
      try {
        const request = { method: 'GET', target: `/events?filters=${filters}`, headers: [], body: undefined };
        // What ended before the stream began is seen by a look.
        await this.#parts.engine.forward(
          request,
          sinkOf(lines, () => void this.#look()),
          { ending },
        );
      } catch (error) {
        this.#parts.log.debug({ err: error }, 'the event stream for sockets in containers ended');
      }
      await new Promise<void>((resolve) => setTimeout(resolve, RETRY_MS).unref());
    }
  }

  #ended(containerId: string): void {
    for (const held of this.#held.values())
      if (held.containerId === containerId) this.#remove(held, 'its container was removed');
  }

  /** Compares with the containers the engine has. */
  async #look(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.size === 0 || this.#stopping.ended) return;
    this.#timer = setTimeout(() => void this.#look(), LOOK_MS);
    this.#timer.unref();
    let listed: readonly Listed[];
    try {
      const request = { method: 'GET', target: '/containers/json?all=1', headers: [], body: undefined };
      const { status, body } = await this.#parts.engine.fetchJson(request, { maxBytes: LIST_BYTES });
      if (status !== 200) throw new Error(`the engine answered ${status}`);
      listed = JSON.parse(Buffer.from(body).toString('utf8')) as readonly Listed[];
    } catch (error) {
      this.#parts.log.debug({ err: error }, 'the containers that hold sockets could not be looked at');
      return;
    }
    const ids = new Set(listed.map(({ Id }) => Id));
    for (const { Id, Mounts } of listed) {
      for (const mount of Array.isArray(Mounts) ? Mounts : []) {
        const held = this.#held.get(String(mount?.Source));
        if (held !== undefined) this.#found(held, Id);
      }
    }
    for (const held of [...this.#held.values()]) {
      if (held.isUnderWay) continue;
      if (held.containerId !== undefined) {
        if (!ids.has(held.containerId)) this.#remove(held, 'its container is gone');
      } else if (++held.looks > 1) this.#remove(held, 'no container holds it');
    }
  }
}

interface Listed {
  readonly Id: string;
  readonly Mounts?: readonly ({ readonly Source?: unknown } | null)[];
}

const sinkOf = (lines: JsonLines, onHead: () => void): CallerEnd => ({
  head: onHead,
  write(chunk: Uint8Array) {
    lines.push(chunk);
    return true;
  },
  onDrain() {},
  end() {},
  abort() {},
  onGone() {},
});
