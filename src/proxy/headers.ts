// Which headers cross the gateway: an allow list towards the engine, everything but hop-by-hop ones back.
// RFC 9110 section 7.6.1 (Connection), Engine API: X-Registry-Auth, X-Registry-Config, X-Docker-Expose-Session-*.
import type { EngineCall } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';

/** Sent on for every call: they describe the client and change nothing. */
const ALWAYS = new Set(['user-agent', 'accept', 'traceparent', 'tracestate', 'baggage']);
/** Registry credentials go to the engine only on the operations that use them. */
const REGISTRY_AUTH = new Set([
  'image.pull',
  'image.import',
  'image.push',
  'image.distribution',
  'plugin.install',
  'plugin.upgrade',
  'plugin.push',
  'plugin.privileges',
  'service.create',
  'service.update',
  'container.create',
]);
const WEBSOCKET = new Set(['sec-websocket-key', 'sec-websocket-version', 'sec-websocket-protocol', 'origin']);
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Most names are told apart by their length, before anything is lowered. */
const lengthsOf = (...names: Iterable<string>[]): readonly boolean[] => {
  const lengths: boolean[] = new Array<boolean>(64).fill(false);
  for (const group of names) for (const name of group) lengths[name.length] = true;
  return lengths;
};
const EXPOSE_SESSION = 'x-docker-expose-session-';
const KEPT_LENGTHS = lengthsOf(ALWAYS, WEBSOCKET, ['x-registry-auth', 'x-registry-config']);
const HOP_LENGTHS = lengthsOf(HOP_BY_HOP);

/**
 * The caller's headers that go to the engine, as a flat list.
 *
 * @throws {GatewayError} `request-malformed` when a header that may come once comes twice
 */
export function forwardedRequestHeaders(
  raw: readonly string[],
  call: Pick<EngineCall, 'operation' | 'action'>,
): string[] {
  const kept: string[] = [];
  let seen: Set<string> | undefined;
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    if (name.length < EXPOSE_SESSION.length && KEPT_LENGTHS[name.length] !== true) continue;
    const lower = name.toLowerCase();
    const repeatable = lower.startsWith(EXPOSE_SESSION);
    if (repeatable ? call.action !== 'build.session' : !isKept(lower, call)) continue;
    if (!repeatable && lower.startsWith('x-registry-')) {
      seen ??= new Set();
      if (seen.has(lower)) throw new GatewayError('request-malformed', `the header ${lower} was sent more than once`);
      seen.add(lower);
    }
    kept.push(name, raw[i + 1] as string);
  }
  return kept;
}

function isKept(lower: string, { action, operation }: Pick<EngineCall, 'operation' | 'action'>): boolean {
  if (ALWAYS.has(lower)) return true;
  if (lower === 'x-registry-auth') return REGISTRY_AUTH.has(action);
  if (lower === 'x-registry-config') return action === 'build.run';
  return operation.stream === 'hijack' && operation.method === 'GET' && WEBSOCKET.has(lower);
}

/** The engine's headers without those that belong to its own connection; spelling, order and duplicates kept. */
export function answerHeaders(raw: readonly string[], untilClose = false): string[] {
  // A raw stream ends with its connection: a client that reads it as such must not find chunks in it.
  const kept: string[] = untilClose ? ['Connection', 'close'] : [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    if (HOP_LENGTHS[name.length] === true && HOP_BY_HOP.has(name.toLowerCase())) continue;
    kept.push(name, raw[i + 1] as string);
  }
  return kept;
}
