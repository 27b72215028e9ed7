// Request heads as real clients write them, and the answers they rely on, byte for byte against a real engine.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type AuditView, admin } from '../support/admin.ts';
import { dockerDirect, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { type RawGateway, startRawGateway, TRANSPORTS } from './raw-client.ts';

const PREFIX = `dg-heads-${IS_DENO ? 'deno' : 'node'}`;

describe('request heads and plain answers', { skip: skipWithoutCli }, () => {
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

  for (const transport of TRANSPORTS) {
    describe(`over ${transport}`, () => {
      it('a ping carries what clients negotiate by, unversioned and versioned, GET and HEAD', async () => {
        const client = await raw.connect(transport);
        for (const line of ['HEAD /_ping', 'GET /_ping', 'GET /v1.44/_ping']) {
          const isHead = line.startsWith('HEAD');
          client.send(raw.head(transport, line));
          const { status, headers, body } = await client.answer({ bodiless: isHead });
          assert.equal(status, 200, line);
          assert.equal(body, isHead ? '' : 'OK');
          assert.match(headers['api-version'] ?? '', /^1\.\d+$/);
          assert.equal(headers.ostype, 'linux');
          assert.equal(headers['docker-experimental'], 'false');
          assert.equal(headers['builder-version'], '2');
          assert.equal(headers.swarm, 'inactive');
          assert.match(headers.server ?? '', /^Docker\//);
        }
        client.destroy();
      });

      it('an empty Host, an odd one and none at all are taken', async () => {
        const client = await raw.connect(transport);
        for (const host of ['Host:', 'Host: ', 'Host: docker.sock', 'Host: api.moby.localhost', 'X-None: 1']) {
          const text = raw.head(transport, 'GET /version', host);
          client.send(host.startsWith('X') ? text.replace('Host: docker\r\n', '') : text);
          const { status, body } = await client.answer();
          assert.equal(status, 200, host);
          assert.match(body, /"ApiVersion"/);
        }
        client.destroy();
      });

      it('names with slashes, colons and dots reach the engine as written', async () => {
        const client = await raw.connect(transport);
        for (const [path, message] of [
          ['/images/localhost:5999/x/y/json', /No such image: localhost:5999\/x\/y/],
          ['/v1.44/images/sha256:ffff/json', /No such image: sha256:ffff|no such image/i],
          ['/containers/a.b-c_d/json', /No such container: a\.b-c_d/],
        ] as const) {
          client.send(raw.head(transport, `GET ${path}`));
          const { status, headers, body } = await client.answer();
          assert.equal(status, 404, path);
          assert.equal(headers['content-type'], 'application/json');
          assert.match(JSON.parse(body).message, message);
        }
        client.destroy();
      });

      it('304 and 204 have no body and the connection goes on', async () => {
        const client = await raw.connect(transport);
        const at = `/containers/${PREFIX}-box`;
        client.send(raw.head(transport, `POST ${at}/start`, 'Content-Length: 0'));
        const again = await client.answer();
        assert.equal(again.status, 304);
        assert.equal(again.headers['transfer-encoding'], undefined);
        client.send(raw.head(transport, `POST ${at}/kill?signal=CONT`, 'Content-Length: 0'));
        const killed = await client.answer();
        assert.equal(killed.status, 204);
        assert.equal(killed.headers['content-length'], undefined);
        assert.equal(killed.headers['transfer-encoding'], undefined);
        client.send(raw.head(transport, `POST ${at}/resize?h=20&w=80`, 'Content-Length: 0'));
        assert.ok([200, 500].includes((await client.answer()).status));
        client.send(raw.head(transport, 'GET /_ping'));
        assert.equal((await client.answer()).body, 'OK');
        client.destroy();
      });

      it('HEAD archive carries the stat of the path, and no body when it fails', async () => {
        const client = await raw.connect(transport);
        client.send(raw.head(transport, `HEAD /containers/${PREFIX}-box/archive?path=/etc/passwd`));
        const { status, headers } = await client.answer({ bodiless: true });
        assert.equal(status, 200);
        const stat = JSON.parse(Buffer.from(headers['x-docker-container-path-stat'] ?? '', 'base64').toString());
        assert.equal(stat.name, 'passwd');
        client.send(raw.head(transport, `HEAD /containers/${PREFIX}-box/archive?path=/absent`));
        assert.equal((await client.answer({ bodiless: true })).status, 404);
        client.send(raw.head(transport, 'GET /_ping'));
        assert.equal((await client.answer()).body, 'OK');
        client.destroy();
      });

      it('an Upgrade on a call that does not upgrade is passed over', async () => {
        const client = await raw.connect(transport);
        client.send(raw.head(transport, 'GET /version', 'Connection: Upgrade', 'Upgrade: h2c'));
        assert.equal((await client.answer()).status, 200);
        client.send(raw.head(transport, 'GET /_ping'));
        assert.equal((await client.answer()).body, 'OK');
        client.destroy();
      });

      it('requests sent at once are answered in turn', async () => {
        const client = await raw.connect(transport);
        client.send(
          raw.head(transport, 'GET /_ping') +
            raw.head(transport, `GET /containers/${PREFIX}-absent/json`) +
            raw.head(transport, 'GET /version'),
        );
        assert.equal((await client.answer()).body, 'OK');
        assert.equal((await client.answer()).status, 404);
        assert.equal((await client.answer()).status, 200);
        client.destroy();
      });

      for (const [title, text, reason] of [
        ['bare line feeds', (at: string) => at.replaceAll('\r\n', '\n'), /bare line feed; send CRLF/],
        ['no HTTP at all', () => 'hello there\r\n\r\n', /not well-formed/],
        [
          'two lengths',
          (at: string) => at.replace('\r\n\r\n', '\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'),
          /not well-formed/,
        ],
        [
          'a length and chunks',
          (at: string) => at.replace('\r\n\r\n', '\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'),
          /not well-formed/,
        ],
      ] as const) {
        it(`a head with ${title} is refused with a reason, audited, and its connection ends`, async () => {
          const client = await raw.connect(transport);
          client.send(text(raw.head(transport, 'POST /containers/x/start')));
          const { status, headers, body } = await client.answer();
          assert.equal(status, 400, body);
          assert.equal(headers['content-type'], 'application/json');
          const { message } = JSON.parse(body) as { message: string };
          assert.match(message, reason);
          const id = /\[audit ([0-9a-f-]{36})\]$/.exec(message)?.[1];
          assert.ok(id !== undefined, message);
          const { events } = await admin<{ events: AuditView[] }>(raw.gateway, 'GET', `/audit/${id}`);
          assert.deepEqual(
            events.map((row) => [row.stage, row.decision, row.code]),
            [['complete', 'error', 'request-malformed']],
          );
          await client.toEnd();
        });
      }
    });
  }

  it('every refusal is JSON with exactly one message, its type without parameters', async () => {
    const client = await raw.connect('tcp');
    for (const [request, status] of [
      ['GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n', 401],
      [raw.head('tcp', 'GET /no/such/thing'), 404],
      [raw.head('tcp', 'GET /v1.20/info'), 400],
      [raw.head('tcp', 'GET /v1.99/info'), 400],
      [raw.head('tcp', 'GET /debug/vars'), 404],
      [raw.head('tcp', 'POST /grpc', 'Content-Length: 0'), 400],
      [`${raw.head('tcp', 'POST /containers/create', 'Content-Length: 2', 'Content-Type: text/plain')}{}`, 400],
    ] as const) {
      client.send(request);
      const { status: got, headers, body } = await client.answer();
      assert.equal(got, status, request);
      assert.equal(headers['content-type'], 'application/json');
      assert.deepEqual(Object.keys(JSON.parse(body)), ['message']);
    }
    client.destroy();
  });
});
