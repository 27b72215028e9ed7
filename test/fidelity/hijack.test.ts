// Hijacked connections against a real engine: who may end which side when, where the body of exec start may lie, answers
// without an upgrade, and attach over WebSocket.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { dockerDirect, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { type RawClient, type RawGateway, startRawGateway, TRANSPORTS, type Transport } from './raw-client.ts';

const PREFIX = `dg-hijack-${IS_DENO ? 'deno' : 'node'}`;
const UPGRADE = ['Connection: Upgrade', 'Upgrade: tcp'];
const RAW_STREAM = /application\/vnd\.docker\.(raw|multiplexed)-stream/;

describe('hijacked connections', { skip: skipWithoutCli }, () => {
  let raw: RawGateway;
  before(async () => {
    removeContainers(PREFIX);
    raw = await startRawGateway();
    dockerDirect('run', '-d', '--network', 'none', '--name', `${PREFIX}-box`, IMAGE, 'sleep', '300');
  });
  after(async () => {
    removeContainers(PREFIX);
    await raw?.gateway.remove();
  });

  /** Asks for an answer on a connection of its own. */
  async function post(transport: Transport, path: string, body?: unknown): Promise<{ status: number; body: string }> {
    const client = await raw.connect(transport);
    const text = body === undefined ? '' : JSON.stringify(body);
    const type = body === undefined ? [] : ['Content-Type: application/json'];
    client.send(raw.head(transport, `POST ${path}`, `Content-Length: ${text.length}`, ...type) + text);
    const answer = await client.answer();
    client.destroy();
    return answer;
  }
  const execOf = async (transport: Transport, cmd: readonly string[], more: object = {}): Promise<string> => {
    const wanted = { AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: true, Cmd: cmd, ...more };
    return JSON.parse((await post(transport, `/containers/${PREFIX}-box/exec`, wanted)).body).Id as string;
  };
  const startHead = (transport: Transport, id: string, body: string, ...more: string[]): string =>
    raw.head(
      transport,
      `POST /exec/${id}/start`,
      ...UPGRADE,
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
      ...more,
    );
  const upgraded = async (client: RawClient): Promise<void> => {
    const [head] = await client.until(/^HTTP\/1\.1 [\s\S]*?\r\n\r\n/);
    assert.match(head, /^HTTP\/1\.1 101 UPGRADED\r\n/);
    assert.match(head, RAW_STREAM);
    assert.match(head, /\r\nConnection: Upgrade\r\n/);
    assert.match(head, /\r\nUpgrade: tcp\r\n/);
  };

  for (const transport of TRANSPORTS) {
    describe(`over ${transport}`, () => {
      const BODY = '{"Detach":false,"Tty":true}';
      for (const [title, parts] of [
        ['in one packet with the head', (head: string) => [head + BODY]],
        ['in a packet of its own', (head: string) => [head, BODY]],
        ['byte by byte', (head: string) => [head, ...BODY]],
        ['with the stream’s first bytes behind it', (head: string) => [`${head}${BODY}early\n`]],
        ['half with the head', (head: string) => [head + BODY.slice(0, 9), `${BODY.slice(9)}early\n`]],
      ] as const) {
        it(`exec start takes its body ${title}`, async () => {
          const id = await execOf(transport, ['sh', '-c', 'read x; echo got-$x']);
          const client = await raw.connect(transport);
          const sent = parts(startHead(transport, id, BODY));
          for (const part of sent) {
            client.send(part);
            // Each part shall be a packet of its own.
            await new Promise((resolve) => setTimeout(resolve, 2));
          }
          await upgraded(client);
          if (!sent.join('').includes('early')) client.send('early\n');
          assert.match(await client.toEnd(), /got-early/);
          client.destroy();
        });
      }

      // Deno's parser accepts no upgrade here: there the engine's stream is an ordinary answer.
      it('an Upgrade without Connection: Upgrade is one, as to the engine', { skip: IS_DENO }, async () => {
        const id = await execOf(transport, ['sh', '-c', 'read x; echo got-$x']);
        for (const [line, length, body] of [
          [`POST /exec/${id}/start`, BODY.length, BODY],
          [`POST /containers/${PREFIX}-box/attach?stream=true&stdin=true&stdout=true&hijack=true`, 0, ''],
        ] as const) {
          const client = await raw.connect(transport);
          const type = body === '' ? [] : ['Content-Type: application/json'];
          client.send(raw.head(transport, line, 'Upgrade: tcp', ...type, `Content-Length: ${length}`) + body);
          await upgraded(client);
          if (body !== '') {
            client.send('late\n');
            assert.match(await client.toEnd(), /got-late/);
          }
          client.destroy();
        }
        // On a route that hijacks nothing it is a request like any other.
        const client = await raw.connect(transport);
        client.send(raw.head(transport, 'POST /containers/nosuch/stop', 'Upgrade: tcp', 'Content-Length: 0'));
        assert.equal((await client.answer()).status, 404);
        client.destroy();
      });

      it('output that comes after the caller’s end is delivered to the last byte', async () => {
        const id = await execOf(transport, ['sh', '-c', 'cat; sleep 1; echo after'], { Tty: false });
        const client = await raw.connect(transport);
        const body = '{"Detach":false,"Tty":false}';
        client.send(startHead(transport, id, body) + body);
        await upgraded(client);
        client.send('before\n');
        client.halfClose();
        const text = await client.toEnd();
        assert.match(text, /before\n[\s\S]*after\n$/);
      });

      it('an end at once, as without standard input, loses nothing', async () => {
        const made = JSON.parse(
          (
            await post(transport, `/containers/create?name=${PREFIX}-${transport}-once`, {
              Image: IMAGE,
              Cmd: ['sh', '-c', 'sleep 1; seq 1 2000'],
              HostConfig: { NetworkMode: 'none' },
            })
          ).body,
        ) as { Id: string };
        const client = await raw.connect(transport);
        const at = `/containers/${made.Id}`;
        client.send(
          raw.head(transport, `POST ${at}/attach?stdout=1&stderr=1&stream=1`, ...UPGRADE, 'Content-Length: 0'),
        );
        await upgraded(client);
        client.halfClose();
        assert.equal((await post(transport, `${at}/start`)).status, 204);
        const text = await client.toEnd();
        assert.match(text, /\n2000\n$/);
      });

      it('without an upgrade the engine’s stream of a 200 passes until it closes', async () => {
        const id = await execOf(transport, ['sh', '-c', 'echo one; sleep 1; echo two']);
        const client = await raw.connect(transport);
        const head = raw.head(
          transport,
          `POST /exec/${id}/start`,
          'Content-Type: application/json',
          `Content-Length: ${BODY.length}`,
        );
        client.send(head + BODY);
        await client.until(/^HTTP\/1\.1 200 OK\r\n[\s\S]*application\/vnd\.docker\.raw-stream[\s\S]*one/);
        const text = await client.toEnd();
        assert.match(text, /\r\n\r\none\r\ntwo\r\n$/);
        assert.doesNotMatch(text, /transfer-encoding/i);
      });

      it('exec start detached is an ordinary answer', async () => {
        const id = await execOf(transport, ['true']);
        assert.equal((await post(transport, `/exec/${id}/start`, { Detach: true })).status, 200);
      });

      it('the upgrade of an exec that is absent gets a plain answer', async () => {
        const client = await raw.connect(transport);
        client.send(startHead(transport, 'f'.repeat(64), BODY) + BODY);
        const absent = await client.answer();
        assert.equal(absent.status, 404);
        assert.equal(absent.headers['content-type'], 'application/json');
        client.destroy();
      });

      it('resize of a running exec passes', async () => {
        const id = await execOf(transport, ['sh', '-c', 'read x; stty size']);
        const client = await raw.connect(transport);
        client.send(startHead(transport, id, BODY) + BODY);
        await upgraded(client);
        assert.equal((await post(transport, `/exec/${id}/resize?h=31&w=97`)).status, 200);
        client.send('go\n');
        assert.match(await client.toEnd(), /31 97/);
      });

      it('attach over WebSocket is carried both ways', async () => {
        const name = `${PREFIX}-${transport}-ws`;
        const made = JSON.parse(
          (
            await post(transport, `/containers/create?name=${name}`, {
              Image: IMAGE,
              Cmd: ['cat'],
              OpenStdin: true,
              HostConfig: { NetworkMode: 'none' },
            })
          ).body,
        ) as { Id: string };
        assert.equal((await post(transport, `/containers/${made.Id}/start`)).status, 204);
        const client = await raw.connect(transport);
        client.send(
          raw.head(
            transport,
            `GET /containers/${made.Id}/attach/ws?stream=1&stdin=1&stdout=1`,
            'Connection: Upgrade',
            'Upgrade: websocket',
            'Sec-WebSocket-Version: 13',
            'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
            'Origin: http://docker',
          ),
        );
        // RFC 6455 section 1.3: the answer to this key.
        await client.until(
          /^HTTP\/1\.1 101 [\s\S]*Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n[\s\S]*\r\n\r\n/i,
        );
        const text = Buffer.from('through the socket\n');
        // A text frame with a mask of zeros (section 5.2).
        client.send(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), text]));
        await client.until(/through the socket/);
        client.destroy();
      });
    });
  }
});
