// A server of HTTP/2 frames written by hand: it answers each stream with any head, also those node refuses to send. RFC 9113, RFC 7541.
import type { Socket } from 'node:net';

type Fields = readonly (readonly [string, string])[];

const DATA = 0;
const HEADERS = 1;
const SETTINGS = 4;
const PING = 6;
const END_STREAM = 1;
const END_HEADERS = 4;
const ACK = 1;
const PREFACE_BYTES = 24;

function frame(type: number, flags: number, id: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, payload]);
}

/** Literal fields without indexing; names and values are shorter than 127 bytes. */
function block(fields: Fields): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

/** Answers every stream once its request is complete: head, an empty message, trailers where there are any. */
export function rawAnswer(socket: Socket, head: Fields, trailers: Fields | undefined): void {
  let held = Buffer.alloc(0);
  let isGreeted = false;
  socket.on('data', (piece: Buffer) => {
    held = Buffer.concat([held, piece]);
    if (!isGreeted) {
      if (held.length < PREFACE_BYTES) return;
      held = held.subarray(PREFACE_BYTES);
      isGreeted = true;
      socket.write(frame(SETTINGS, 0, 0, Buffer.alloc(0)));
    }
    while (held.length >= 9 && held.length >= 9 + held.readUIntBE(0, 3)) {
      const length = held.readUIntBE(0, 3);
      const [type, flags, id] = [held.readUInt8(3), held.readUInt8(4), held.readUInt32BE(5)];
      const payload = Buffer.from(held.subarray(9, 9 + length));
      held = held.subarray(9 + length);
      if (type === SETTINGS && (flags & ACK) === 0) socket.write(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
      if (type === PING && (flags & ACK) === 0) socket.write(frame(PING, ACK, 0, payload));
      if ((type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0) {
        socket.write(frame(HEADERS, END_HEADERS | (trailers === undefined ? END_STREAM : 0), id, block(head)));
        if (trailers === undefined) continue;
        socket.write(frame(DATA, 0, id, Buffer.alloc(5)));
        socket.write(frame(HEADERS, END_HEADERS | END_STREAM, id, block(trailers)));
      }
    }
  });
}
