// Answers whose end is the end of the connection, as rootless engines give for /version: whole where their framing says so. The
// engine is a scripted stand-in, which writes such answers on request; the other end is the client, and doctor's question.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ask } from '../../src/connect/ask.ts';
import { Upstreams } from '../../src/connect/upstream.ts';
import { createEngineClient, type EngineClient } from '../../src/proxy/engine-client.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';

const BODY = '{"ApiVersion":"1.47"}';
const HEAD = 'Content-Type: application/json\r\n';
const chunked = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;

describe('an answer that ends with its connection', () => {
  let engine: ScriptedEngine;
  let client: EngineClient;
  let bytes = '';
  before(async () => {
    engine = await startScriptedEngine(({ socket }) => socket.end(bytes));
    client = createEngineClient(engine.address);
  });
  after(async () => {
    await client.close();
    await engine.close();
  });

  for (const [name, answer, isWhole] of [
    [
      'neither length nor chunks, Connection: close',
      `HTTP/1.1 200 OK\r\n${HEAD}Connection: close\r\n\r\n${BODY}`,
      true,
    ],
    ['neither length nor chunks', `HTTP/1.1 200 OK\r\n${HEAD}\r\n${BODY}`, true],
    ['HTTP/1.0', `HTTP/1.0 200 OK\r\n${HEAD}\r\n${BODY}`, true],
    ['HTTP/1.0 with a length', `HTTP/1.0 200 OK\r\n${HEAD}Content-Length: ${BODY.length}\r\n\r\n${BODY}`, true],
    [
      'a length and Connection: close',
      `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
      true,
    ],
    [
      'chunks and Connection: close',
      `HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(BODY)}0\r\n\r\n`,
      true,
    ],
    [
      'a length that is not reached',
      `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${BODY.length + 1}\r\n\r\n${BODY}`,
      false,
    ],
    [
      'chunks without their end',
      `HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(BODY)}`,
      false,
    ],
    [
      'an HTTP/1.0 length that is not reached',
      `HTTP/1.0 200 OK\r\nContent-Length: ${BODY.length + 1}\r\n\r\n${BODY}`,
      false,
    ],
    ['a head without its end', `HTTP/1.1 200 OK\r\nConnection: close\r\n`, false],
  ] as const) {
    it(`${isWhole ? 'is whole' : 'is broken'}: ${name}`, async () => {
      bytes = answer;
      const fetched = client.fetchJson({ method: 'GET', target: '/version', headers: [], body: undefined });
      if (isWhole) assert.equal(Buffer.from((await fetched).body).toString(), BODY);
      else await assert.rejects(fetched, /the engine (closed|broke)/);
      const upstreams = new Upstreams({ text: engine.url, address: engine.address });
      try {
        const asked = ask(upstreams, { path: '/version', authorization: undefined, userAgent: 'test' });
        if (isWhole) assert.equal(Buffer.from((await asked).body).toString(), BODY);
        else await assert.rejects(asked);
      } finally {
        upstreams.close();
      }
    });
  }
});
