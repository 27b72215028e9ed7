// The caller's end over node:http: an answer that comes before the request is whole still reaches the caller.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { nodeCaller } from '../../src/proxy/caller-node.ts';

describe('nodeCaller()', () => {
  const server = http.createServer((_request, response) => {
    const caller = nodeCaller(response);
    caller.head(415, 'Unsupported Media Type', ['Content-Length', '2']);
    caller.write(Buffer.from('no'));
    caller.end();
  });
  before(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
  after(() => server.close());

  /** Sends a head, and the body once the answer is there. @returns what was read, and whether the body could be written */
  async function late(connection: string): Promise<{ text: string; broke: boolean }> {
    const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
    let text = '';
    let broke = false;
    socket.on('error', () => {
      broke = true;
    });
    socket.on('end', () => {
      if (!text.endsWith('body sent')) broke = true;
    });
    socket.write(`POST /x HTTP/1.1\r\nHost: x\r\nConnection: ${connection}\r\nContent-Length: 2\r\n\r\n`);
    const [first] = (await once(socket, 'data')) as [Buffer];
    text += first.toString();
    // As long as a loaded client takes between two writes.
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(socket.readableEnded, false, 'the connection ended before the body was sent');
    text += 'body sent';
    socket.write('{}');
    if (connection === 'close') await once(socket, 'close');
    else socket.destroy();
    return { text, broke };
  }

  for (const connection of ['close', 'keep-alive'])
    it(`nodeCaller() answers before a request is whole, and leaves the caller time to end it (${connection})`, async () => {
      const { text, broke } = await late(connection);
      assert.match(text, /^HTTP\/1.1 415 Unsupported Media Type\r\n.*\r\n\r\nnobody sent$/s);
      assert.equal(broke, false);
    });

  it('nodeCaller() does not wait for a body that never comes', async () => {
    const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.write('POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n');
    socket.resume();
    await once(socket, 'close');
  });
});
