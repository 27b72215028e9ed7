// A request that asks for an upgrade, as it arrives: its connection has left the HTTP server, its body is read off the socket, and the
// connection can be given back where it comes to no upgrade.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { GatewayError } from '../errors.ts';
import { type Arrival, type Channel, headerValues, nodeArrival } from './arrival.ts';
import type { UpgradeSocket } from './ends/upgraded.ts';

/** Reads exactly the announced body of an upgrade request; `rest` are bytes that came behind it. */
export type ReadUpgradeBody = (
  length: number | 'chunked',
  timeoutMs?: number,
) => Promise<{ body: Uint8Array; rest: Uint8Array }>;

/** Largest body of a request that upgrades (exec start's JSON), in bytes. */
const UPGRADE_BODY_BYTES = 64 * 1024;
/** The body of a refused call is not waited for longer than this, in ms; then the answer closes the connection. */
const UNWANTED_BODY_MS = 100;

export function upgradeArrival(
  incoming: IncomingMessage,
  socket: Duplex,
  readBody: ReadUpgradeBody,
  channel: Channel,
  giveBack?: (socket: Duplex) => void,
): { readonly arrival: Arrival; readonly left: UpgradeSocket } {
  let early: Uint8Array | undefined;
  const length = Number(headerValues(incoming.rawHeaders, 'content-length')[0] ?? 0);
  /** Where the next request begins is known. */
  let mayStay = true;
  const wantsToStay =
    incoming.httpVersion === '1.1' &&
    !/\bclose\b/i.test(incoming.headers.connection ?? '') &&
    incoming.headers['transfer-encoding'] === undefined &&
    length <= UPGRADE_BODY_BYTES;
  const body: Arrival['body'] = {
    present: true,
    async readAll(maxBytes) {
      const codings = headerValues(incoming.rawHeaders, 'transfer-encoding');
      const isChunked = codings.length === 1 && /^chunked$/i.test(codings[0] ?? '');
      if (codings.length > 0 && (!isChunked || incoming.headers['content-length'] !== undefined)) {
        const message = 'a request that upgrades announces its body by Content-Length or in chunks, not by both';
        throw new GatewayError('request-malformed', message);
      }
      if (!Number.isSafeInteger(length)) throw new GatewayError('request-malformed', 'Content-Length is no number');
      if (length > Math.min(maxBytes, UPGRADE_BODY_BYTES))
        throw new GatewayError('body-too-large', `the body is larger than ${UPGRADE_BODY_BYTES} bytes`);
      mayStay = false;
      const read = await readBody(isChunked ? 'chunked' : length);
      mayStay = true;
      early = read.rest;
      return read.body;
    },
    stream() {
      throw new GatewayError('upgrade-not-allowed', 'an upload cannot upgrade its connection');
    },
  };
  const left: UpgradeSocket = {
    socket,
    read: () => early,
    async giveBack() {
      if (giveBack === undefined || !mayStay || !wantsToStay) return undefined;
      try {
        early ??= (await readBody(length, UNWANTED_BODY_MS)).rest;
      } catch {
        return undefined;
      }
      const rest = early;
      return () => {
        if (rest.length > 0) socket.unshift(rest);
        giveBack(socket);
      };
    },
  };
  return { arrival: { ...nodeArrival(incoming, channel), body }, left };
}
