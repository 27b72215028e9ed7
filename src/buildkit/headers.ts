// Heads of HTTP/2 streams as they came: repeated fields stay apart. node's own header objects join them, and gRPC metadata that
// has several values (the paths a build follows) would become one wrong value. RFC 9113 section 8.2.
import { decodeMessage, encodeMessage, Refusal, STATUS } from './grpc.ts';
import { readMessage, textOf, writeMessage } from './protobuf.ts';

/** Fields that belong to one connection, or that node writes itself. */
const OWN = new Set(['connection', 'host', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'date']);
/** Fields that may come once: those of gRPC, and those of which HTTP/2 of both runtimes sends no second one. */
const ONCE = new Set(
  `te grpc-timeout grpc-encoding grpc-status grpc-message
  access-control-allow-credentials access-control-max-age access-control-request-method age authorization content-encoding
  content-language content-length content-location content-md5 content-range content-type dnt etag expires from if-match
  if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards proxy-authorization range
  referer retry-after tk upgrade-insecure-requests user-agent x-content-type-options`.split(/\s+/),
);
/** A field of HTTP/1.1 upgrades that no HTTP/2 head may have. */
const NEVER = 'http2-settings';

/** Fields of a head but for the pseudo ones; names in lower case, values in their order. */
export class RawHeaders {
  readonly #fields: ReadonlyMap<string, readonly string[]>;
  /** `:status` of an answer. */
  readonly status: number;

  constructor(fields: ReadonlyMap<string, readonly string[]>, status = 200) {
    this.#fields = fields;
    this.status = status;
  }

  /** Trailers that refuse. */
  static ofRefusal({ word, message }: Refusal): RawHeaders {
    const fields = { 'grpc-status': String(STATUS[word]), 'grpc-message': encodeMessage(message) };
    return new RawHeaders(new Map(Object.entries(fields).map(([name, value]) => [name, [value]] as const)));
  }

  /** The only value of a field. */
  get(name: string): string | undefined {
    const values = this.#fields.get(name);
    return values?.length === 1 ? values[0] : undefined;
  }
  values(name: string): readonly string[] {
    return this.#fields.get(name) ?? [];
  }
  names(): IterableIterator<string> {
    return this.#fields.keys();
  }
  /** The same with one field in another value. */
  with(name: string, values: readonly string[]): RawHeaders {
    return new RawHeaders(new Map([...this.#fields, [name, values]]), this.status);
  }
  /** Only some fields. */
  only(isKept: (name: string) => boolean): RawHeaders {
    return new RawHeaders(new Map([...this.#fields].filter(([name]) => isKept(name))), this.status);
  }
  forSending(): Record<string, string | string[]> {
    const sent: Record<string, string | string[]> = {};
    for (const [name, values] of this.#fields) sent[name] = values.length === 1 ? (values[0] as string) : [...values];
    return sent;
  }
}

/**
 * Reads the flat list of a head.
 *
 * @param door changes what errors say, where it is given
 * @throws {Refusal} for a field twice that may come once, and for one that cannot be sent on
 */
export function headersOf(
  raw: readonly string[],
  door?: { shown(text: string): string },
): { path: string; method: string; headers: RawHeaders } {
  const fields = new Map<string, string[]>();
  const pseudo = new Map<string, string>();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] as string).toLowerCase();
    const value = raw[i + 1] as string;
    if (name.startsWith(':')) {
      pseudo.set(name, value);
      continue;
    }
    if (OWN.has(name)) continue;
    if (name === NEVER) throw new Refusal('invalid-argument', `the field ${name} belongs to HTTP/1.1`);
    const known = fields.get(name);
    if (known !== undefined && ONCE.has(name)) throw new Refusal('invalid-argument', `the field ${name} came twice`);
    const kept = door === undefined ? value : shownError(name, value, door);
    if (known === undefined) fields.set(name, [kept]);
    else known.push(kept);
  }
  const path = pseudo.get(':path') ?? '';
  return {
    path,
    method: pseudo.get(':method') ?? '',
    headers: new RawHeaders(fields, Number(pseudo.get(':status') ?? 200)),
  };
}

/** What an error says stands in two fields: as text, and in a message that clients prefer. */
function shownError(name: string, value: string, door: { shown(text: string): string }): string {
  if (name === 'grpc-message') return encodeMessage(door.shown(decodeMessage(value)));
  if (name !== 'grpc-status-details-bin') return value;
  try {
    const status = readMessage('google.rpc.Status', Buffer.from(value, 'base64'), false);
    const message = textOf(status, 'message');
    const shown = door.shown(message);
    if (shown === message) return value;
    const written = writeMessage('google.rpc.Status', { ...status, message: shown });
    return Buffer.from(written).toString('base64').replace(/=+$/, '');
  } catch {
    return value;
  }
}
