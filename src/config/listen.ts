// The `listen` list: short and long forms of HTTPS, unix and plain HTTP listeners, and that no two of them collide.
import { isLoopback, MAX_SOCKET_PATH_BYTES, parseHostPort } from './address.ts';
import type { Fault, Path } from './document.ts';
import { nearest } from './nearest.ts';
import { faultsOf, httpEntry, httpsEntry, unixEntry } from './schema.ts';
import type { HttpListener, HttpsListener, Listener, TlsFiles, UnixListener } from './types.ts';

interface ListenContext {
  /** Certificate for HTTPS listeners that name none of their own. */
  readonly tls: TlsFiles | undefined;
  /** Socket paths that are taken already, each with its owner. */
  readonly reserved: ReadonlyMap<string, string>;
  readonly resolve: (path: string) => string;
  readonly existing: (path: string, at: Path) => string;
}

/** Only its owner may connect until the settings say otherwise. */
const DEFAULT_SOCKET_MODE = 0o600;
const MAX_LISTENERS = 64;

const FORMS =
  'https://127.0.0.1:2376, { https: "127.0.0.1:2376", tls: { cert, key } } or { unix: ./dockgate.sock, mode: "0660", identity: name }';

/** The long form of a short one: `https://h:p` is `{ https: h:p }`. */
const expanded = (value: string): Record<string, unknown> | string => {
  const match = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(value);
  const scheme = match?.[1]?.toLowerCase();
  const rest = match?.[2] ?? '';
  if (scheme === 'https' || scheme === 'http') return { [scheme]: rest.replace(/\/$/, '') };
  if (scheme === 'unix') return { unix: rest };
  if (scheme === 'tcp') return `tcp:// does not say whether TLS is meant; write https://${rest}`;
  if (scheme !== undefined) return `${scheme}:// is not served; write ${FORMS}`;
  return `must be a listener such as ${FORMS}, not ${JSON.stringify(value)}`;
};

const stripScheme = (address: string, scheme: string): string =>
  address.toLowerCase().startsWith(`${scheme}://`) ? address.slice(scheme.length + 3).replace(/\/$/, '') : address;

const readListener = (value: unknown, at: Path, context: ListenContext, faults: Fault[]): Listener | undefined => {
  const entry = typeof value === 'string' ? expanded(value) : value;
  const short = typeof value === 'string';
  if (typeof entry === 'string') {
    faults.push({ path: at, message: entry });
    return undefined;
  }
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    faults.push({ path: at, message: `must be a listener such as ${FORMS}` });
    return undefined;
  }
  const kinds = (['https', 'unix', 'http'] as const).filter((kind) => Object.hasOwn(entry, kind));
  const [kind] = kinds;
  if (kind === undefined) {
    const [first] = Object.keys(entry);
    const meant = first === undefined ? undefined : nearest(first, ['https', 'unix', 'http']);
    faults.push({
      path: at,
      message: `needs one of https, unix or http${meant ? `; did you mean ${meant}?` : `; write ${FORMS}`}`,
    });
    return undefined;
  }
  if (kinds.length > 1) {
    faults.push({ path: at, message: `is ${kinds.join(' and ')} at once; write one entry for each` });
    return undefined;
  }
  if (kind !== 'unix' && Object.hasOwn(entry, 'identity')) {
    faults.push({
      path: [...at, 'identity'],
      key: true,
      message: 'belongs to unix listeners; on TCP the token says who calls',
    });
    return undefined;
  }
  if (kind === 'http' && Object.hasOwn(entry, 'tls')) {
    faults.push({
      path: [...at, 'tls'],
      key: true,
      message: 'belongs to https listeners; write https instead of http',
    });
    return undefined;
  }
  const where = short ? at : [...at, kind];
  if (kind === 'unix') return readUnix(entry, at, where, context, faults);
  return readTcp(kind, entry, at, where, context, faults);
};

const readUnix = (
  entry: object,
  at: Path,
  where: Path,
  context: ListenContext,
  faults: Fault[],
): UnixListener | undefined => {
  const result = unixEntry.safeParse(entry);
  if (!result.success) {
    faults.push(...faultsOf(result.error, at));
    return undefined;
  }
  const { unix, mode, group, identity } = result.data;
  const path = context.resolve(unix);
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    faults.push({ path: where, message: `the socket path is longer than ${MAX_SOCKET_PATH_BYTES} bytes` });
    return undefined;
  }
  const owner = context.reserved.get(path);
  if (owner !== undefined) {
    faults.push({ path: where, message: `${unix} ${owner}; give the listener another path` });
    return undefined;
  }
  return {
    kind: 'unix',
    path,
    mode: mode === undefined ? DEFAULT_SOCKET_MODE : Number.parseInt(mode, 8),
    ...(group === undefined ? {} : { group }),
    ...(identity === undefined ? {} : { identity }),
  };
};

const readTcp = (
  kind: 'https' | 'http',
  entry: object,
  at: Path,
  where: Path,
  context: ListenContext,
  faults: Fault[],
): HttpsListener | HttpListener | undefined => {
  const result = kind === 'https' ? httpsEntry.safeParse(entry) : httpEntry.safeParse(entry);
  if (!result.success) {
    faults.push(...faultsOf(result.error, at));
    return undefined;
  }
  const data: { https?: string; http?: string; tls?: TlsFiles | undefined } = result.data;
  const address = parseHostPort(stripScheme(data[kind] ?? '', kind));
  if (typeof address === 'string') {
    faults.push({ path: where, message: address });
    return undefined;
  }
  if (kind === 'http') {
    if (isLoopback(address.host)) return { kind, ...address };
    faults.push({
      path: where,
      message: `plain HTTP would show tokens to the network; write https://, or http://127.0.0.1:${address.port} for this machine only`,
    });
    return undefined;
  }
  const tls = data.tls
    ? {
        cert: context.existing(data.tls.cert, [...at, 'tls', 'cert']),
        key: context.existing(data.tls.key, [...at, 'tls', 'key']),
      }
    : context.tls;
  return { kind, ...address, ...(tls ? { tls } : {}) };
};

const isWildcard = (host: string): boolean => host === '0.0.0.0' || host === '::';

/** True when both cannot listen: one address twice, or a wildcard beside any address. */
const collide = (a: Listener, b: Listener): boolean => {
  if (a.kind === 'unix' || b.kind === 'unix') return a.kind === 'unix' && b.kind === 'unix' && a.path === b.path;
  if (a.port !== b.port || a.port === 0) return false;
  if (a.host === b.host || isWildcard(a.host) || isWildcard(b.host)) return true;
  return (a.host === 'localhost' && isLoopback(b.host)) || (b.host === 'localhost' && isLoopback(a.host));
};

/** Reads the list and the listener for metrics; faults of every entry are added to `faults`. */
export const readListeners = (
  value: unknown,
  metricsValue: unknown,
  context: ListenContext,
  faults: Fault[],
): { listen: Listener[]; metrics: HttpListener | HttpsListener | undefined } => {
  const taken: { listener: Listener; at: Path }[] = [];
  const add = (entry: unknown, at: Path): Listener | undefined => {
    const listener = readListener(entry, at, context, faults);
    if (listener === undefined) return undefined;
    const other = taken.find((earlier) => collide(earlier.listener, listener));
    if (other) {
      const what = listener.kind === 'unix' ? 'socket' : `port ${listener.port}`;
      faults.push({
        path: at,
        message: `uses the ${what} of ${other.at.map((step) => (typeof step === 'number' ? `[${step}]` : step)).join('')}; give each listener its own`,
      });
    }
    taken.push({ listener, at });
    return listener;
  };
  const listen: Listener[] = [];
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_LISTENERS) {
    faults.push({
      path: ['listen'],
      message: `must be a list of 1 to ${MAX_LISTENERS} listeners, for example - https://127.0.0.1:2376`,
    });
  } else {
    for (const [index, entry] of value.entries()) {
      const listener = add(entry, ['listen', index]);
      if (listener) listen.push(listener);
    }
  }
  if (metricsValue === undefined) return { listen, metrics: undefined };
  const metrics = add(metricsValue, ['metrics', 'listen']);
  if (metrics?.kind !== 'unix') return { listen, metrics };
  faults.push({
    path: ['metrics', 'listen'],
    message: 'must be an https or loopback http address; over the admin socket metrics are always there',
  });
  return { listen, metrics: undefined };
};
