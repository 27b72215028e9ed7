// Sockets bound to an identity behind the admin API: add, list, remove.
import { isAbsolute, normalize } from 'node:path';
import { GatewayError } from '../errors.ts';
import type { IdentityRecord, SocketRecord, SocketStore } from '../identity/stores.ts';
import type { PerformChange } from './change.ts';
import type { ChangeContext } from './services.ts';

export interface NewSocket {
  readonly path: string;
  readonly identity: string;
  /** Permission bits. */
  readonly mode: number;
  readonly group?: string | undefined;
}

/** A socket on record, and why it does not listen, if it does not. */
export type SocketState = SocketRecord & { readonly fault?: string };

/** What opens and closes sockets. */
export interface SocketHost {
  /** @throws {GatewayError} `input-invalid` when the place cannot be used */
  open(record: SocketRecord): Promise<void>;
  /** Also ends its open connections and removes the file. */
  close(path: string): Promise<void>;
  /** Why it does not listen, undefined when it does. */
  faultOf(path: string): string | undefined;
}

export interface SocketServices {
  addSocket(input: NewSocket, context: ChangeContext): Promise<SocketState>;
  listSockets(): readonly SocketState[];
  /** @throws {GatewayError} `not-found` */
  removeSocket(path: string, context: ChangeContext): Promise<void>;
}

export interface SocketParts {
  readonly store: SocketStore;
  readonly host: SocketHost;
}

export const createSocketServices = (
  parts: SocketParts | undefined,
  change: PerformChange,
  showIdentity: (name: string) => IdentityRecord,
  now: () => number,
): SocketServices => {
  const { store, host } = parts ?? without();
  const stateOf = (record: SocketRecord): SocketState => {
    const fault = host.faultOf(record.path);
    return { ...record, ...(fault === undefined ? {} : { fault }) };
  };
  return {
    addSocket: (input, context) =>
      change(context, {
        action: 'socket.create',
        resource: `socket/${input.path}`.slice(0, 256),
        detail: { identity: input.identity, mode: `0${input.mode.toString(8)}`, group: input.group },
        check() {
          checkPath(input.path);
          showIdentity(input.identity);
          if (store.get(input.path)) throw new GatewayError('conflict', `there already is a socket ${input.path}`);
        },
        async perform() {
          const { path, identity, mode, group } = input;
          const record: SocketRecord = {
            path,
            identity,
            mode,
            ...(group === undefined ? {} : { group }),
            createdAt: now(),
            createdBy: context.by.subject,
          };
          await host.open(record);
          try {
            store.insert(record);
          } catch (error) {
            await host.close(path);
            throw error;
          }
          return stateOf(record);
        },
      }),
    listSockets: () => store.list().map(stateOf),
    removeSocket: (path, context) =>
      change(context, {
        action: 'socket.remove',
        resource: `socket/${path}`.slice(0, 256),
        check() {
          if (!store.get(path)) throw new GatewayError('not-found', `there is no socket ${path}`);
        },
        async perform() {
          store.remove(path);
          await host.close(path);
        },
      }),
  };
};

/** One path, one spelling. @throws {GatewayError} `input-invalid` */
function checkPath(path: string): void {
  if (!isAbsolute(path) || normalize(path) !== path || path.endsWith('/')) {
    throw new GatewayError('input-invalid', `path ${JSON.stringify(path)} must be absolute, without . and ..`);
  }
}

/** For services over fakes that have no sockets. */
const without = (): SocketParts => {
  const refuse = (): never => {
    throw new GatewayError('not-found', 'this gateway makes no sockets');
  };
  return {
    store: { insert: refuse, get: refuse, list: refuse, remove: refuse },
    host: { open: refuse, close: refuse, faultOf: refuse },
  };
};
