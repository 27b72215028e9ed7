// The reader of BuildKit's messages: what it takes it writes again byte by byte, and what two readers could read in two ways
// it refuses.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TABLE_VERSION } from '../../src/buildkit/messages.ts';
import { type Message, ProtobufError, readMessage, writeMessage } from '../../src/buildkit/protobuf.ts';

const SOLVE = 'moby.buildkit.v1.SolveRequest';
const OP = 'pb.Op';
const bytes = (hex: string): Uint8Array => Buffer.from(hex.replaceAll(' ', ''), 'hex');

describe('readMessage()', () => {
  for (const [title, name, hex, message] of [
    ['an unknown field of a newer BuildKit', SOLVE, '92 03 01 61', /SolveRequest has a field 50 that BuildKit/],
    ['a text given twice', SOLVE, '0a 01 61 0a 01 62', /SolveRequest\.Ref is given twice/],
    ['a message given twice', SOLVE, '12 00 12 00', /SolveRequest\.Definition is given twice/],
    ['a key of a map given twice', SOLVE, '3a 06 0a 01 61 12 01 62 3a 06 0a 01 61 12 01 63', /key "a" twice/],
    ['two members of a oneof', OP, '12 00 1a 00', /Op\.source and exec exclude each other/],
    ['a group', SOLVE, '0b 0c', /another kind/],
    ['text that is no UTF-8', SOLVE, '0a 01 ff', /SolveRequest\.Ref is no UTF-8 text/],
    ['a number where text is declared', SOLVE, '08 01', /SolveRequest\.Ref is of another kind/],
    ['a number longer than 64 bits', SOLVE, '58 ff ff ff ff ff ff ff ff ff 7f', /more than 64 bits/],
    ['a flag that is neither true nor false', SOLVE, '58 02', /SolveRequest\.Internal is neither/],
    ['a message that ends in a field', SOLVE, '0a 05 61', /ends in the middle/],
    ['an entry of a map with a third field', SOLVE, '3a 03 1a 01 61', /odd entry/],
    ['an enum of more than 32 bits', 'pb.ExecOp', '18 80 80 80 80 10', /more than 32 bits/],
  ] as const) {
    it(`readMessage() refuses ${title}`, () => {
      assert.throws(() => readMessage(name, bytes(hex)), { name: 'Error', message });
    });
  }

  it('readMessage() names the BuildKit its table was made from', () => {
    assert.throws(() => readMessage(SOLVE, bytes('92 03 01 61')), { message: new RegExp(TABLE_VERSION) });
  });

  it('readMessage() reads the neighbours of what it refuses', () => {
    const message = readMessage(SOLVE, bytes('0a 01 61 12 00 3a 06 0a 01 61 12 01 62 58 01 3a 00'));
    assert.deepEqual(
      { ...message, Definition: { ...(message.Definition as Message) } },
      {
        Ref: 'a',
        Definition: {},
        FrontendAttrs: new Map([
          ['a', 'b'],
          ['', ''],
        ]),
        Internal: true,
      },
    );
  });

  it('readMessage() refuses messages nested without end, and reads a few levels of them', () => {
    const nested = (levels: number): Uint8Array => {
      let inner: Uint8Array = new Uint8Array(0);
      const wrap = (tag: number, of: Uint8Array) => {
        const length = of.length < 128 ? [of.length] : [(of.length & 0x7f) | 0x80, of.length >> 7];
        return Buffer.concat([Uint8Array.of(tag, ...length), of]);
      };
      // Definition.Source.infos[].definition
      for (let i = 0; i < levels; i++) inner = wrap(0x1a, wrap(0x12, wrap(0x1a, inner)));
      return inner;
    };
    assert.throws(() => readMessage('pb.Definition', nested(20)), /nested deeper/);
    readMessage('pb.Definition', nested(5));
  });

  it('readMessage() reads what the engine answers leniently and writes unknown fields again', () => {
    const event = bytes('0a 00 12 03 0a 01 61 7a 02 68 69');
    const read = readMessage('moby.buildkit.v1.BuildHistoryEvent', bytes('12 03 0a 01 61 7a 02 68 69'), false);
    assert.deepEqual(Buffer.from(writeMessage('moby.buildkit.v1.BuildHistoryEvent', read)), event.subarray(2));
  });

  it('readMessage() gives a message or a ProtobufError for any bytes, and reads again what it wrote', () => {
    for (const name of [
      SOLVE,
      OP,
      'pb.Definition',
      'moby.buildkit.v1.frontend.SolveRequest',
      'moby.buildkit.v1.frontend.ReturnRequest',
    ]) {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 64 }), (input) => {
          let message: Message;
          try {
            message = readMessage(name, input);
          } catch (error) {
            assert.ok(error instanceof ProtobufError, String(error));
            return;
          }
          const written = writeMessage(name, message);
          assert.deepEqual(readMessage(name, written), message);
          assert.deepEqual(writeMessage(name, readMessage(name, written)), written);
        }),
        { numRuns: 3000 },
      );
    }
  });
});
