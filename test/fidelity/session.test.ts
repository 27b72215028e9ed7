// Repeated headers: a BuildKit session names each of its services in a header of its own, all of the same name. The real
// engine gets every one of them, in order and as written, by each transport and through `connect`.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { serveSocket } from '../../src/connect/connect.ts';
import { fixedToken } from '../../src/connect/credentials.ts';
import { ENGINE } from '../support/engine.ts';
import { until } from '../support/until.ts';
import { type EngineRelay, startEngineRelay, type Wire } from './engine-relay.ts';
import { RawClient, type RawGateway, startRawGateway, TRANSPORTS } from './raw-client.ts';

describe('headers of a build session', { skip: ENGINE === undefined ? 'no engine' : false }, () => {
  let relay: EngineRelay;
  let raw: RawGateway;
  before(async () => {
    relay = await startEngineRelay(ENGINE as string);
    raw = await startRawGateway({ engine: relay.path, unread: true });
  });
  after(async () => {
    await raw?.gateway.remove();
    relay?.close();
  });

  /** Opens a session; @returns the lines of its head that name the session, as the engine got them */
  const open = async (client: RawClient, head: string, uuid: string): Promise<string[]> => {
    client.send(head);
    // The engine knows the session: it took the protocol over.
    await client.until(/^HTTP\/1\.1 101 [\s\S]*?\r\n\r\n/);
    const wire = await until('the session at the engine', () => relay.wires.find(({ sent }) => sent.includes(uuid)));
    const [seen = ''] = (wire as Wire).sent.slice((wire as Wire).sent.indexOf('POST /session')).split('\r\n\r\n');
    client.destroy();
    return seen.split('\r\n').filter((line) => /^x-docker-expose-session-/i.test(line));
  };
  const linesOf = (uuid: string): string[] => [
    `X-Docker-Expose-Session-Uuid: ${uuid}`,
    'X-Docker-Expose-Session-Grpc-Method: /moby.filesync.v1.FileSync/DiffCopy',
    'X-Docker-Expose-Session-Name: one',
    'X-Docker-Expose-Session-Grpc-Method: /moby.filesync.v1.Auth/Credentials',
    'x-docker-expose-session-grpc-method: /moby.filesync.v1.Auth/FetchToken',
    // Twice the same is twice.
    'X-Docker-Expose-Session-Grpc-Method: /grpc.health.v1.Health/Check',
    'X-Docker-Expose-Session-Grpc-Method: /grpc.health.v1.Health/Check',
    'X-Docker-Expose-Session-Sharedkey: a, b',
  ];
  const UPGRADE = ['Connection: Upgrade', 'Upgrade: h2c'];

  for (const transport of TRANSPORTS) {
    it(`over ${transport} reach the engine each for itself, in their order`, async () => {
      const uuid = randomUUID();
      const lines = linesOf(uuid);
      const head = raw.head(transport, 'POST /session', ...UPGRADE, ...lines, 'Content-Length: 0');
      assert.deepEqual(await open(await raw.connect(transport), head, uuid), lines);
    });
  }

  it('through connect too', async () => {
    const path = join(raw.gateway.dir, 'c.sock');
    const serving = await serveSocket({
      target: {
        text: 'the gateway',
        address: { kind: 'tcp', host: '127.0.0.1', port: raw.gateway.port },
        tls: { ca: join(raw.gateway.dir, 'data', 'ca.pem') },
      },
      credentials: fixedToken(raw.token),
      report() {},
      path,
      mode: 0o600,
    });
    try {
      const uuid = randomUUID();
      const lines = linesOf(uuid);
      const client = await RawClient.on(net.connect({ path, allowHalfOpen: true }), 'connect');
      const head = `POST /session HTTP/1.1\r\n${['Host: x', ...UPGRADE, ...lines].join('\r\n')}\r\n\r\n`;
      assert.deepEqual(await open(client, head, uuid), lines);
    } finally {
      await serving.stop();
    }
  });

  it('headers of a build session do not reach it with any other call', async () => {
    const client = await raw.connect('unix');
    const uuid = randomUUID();
    client.send(raw.head('unix', 'GET /_ping', ...linesOf(uuid)));
    assert.equal((await client.answer()).status, 200);
    assert.ok(relay.wires.every(({ sent }) => !sent.includes(uuid)));
    client.destroy();
  });
});
