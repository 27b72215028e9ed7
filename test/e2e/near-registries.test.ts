// Registries by names that stand for the engine's own machine: with credentials of one's own an engine would speak to them in clear
// and tell what they answer. Names are what the machine's own hosts file gives it.
import assert from 'node:assert/strict';
import { lookup } from 'node:dns/promises';
import http, { type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { createCall } from '../../src/proxy/engine-defaults.ts';
import { nearRegistries } from '../../src/proxy/near-address.ts';
import { type EmbeddedTestGateway, openEmbedded } from '../support/embedded-gateway.ts';
import { ENGINE_LINES } from '../support/engine.ts';

/** Names of this machine in which no reader sees a loopback address. */
const NAMES: readonly string[] = (
  await Promise.all(
    [hostname().toLowerCase(), 'ip6-localhost', 'ip6-loopback'].map(async (name) => {
      const found = await lookup(name, { all: true }).catch(() => []);
      return found.some(({ address }) => address.startsWith('127.') || address === '::1') ? [name] : [];
    }),
  )
).flat();
const CREDENTIALS = Buffer.from(JSON.stringify({ username: 'u', password: 'p' })).toString('base64url');

describe('a registry that is the engine’s own machine', () => {
  it('a registry that is the engine’s own machine is found by every form of its address and by its name', async () => {
    const nearOf = (registry: string) =>
      nearRegistries({ ...createCall({ Image: `${registry}/x:1` }), action: 'image.pull' });
    for (const registry of [
      'localhost:5000',
      '127.0.0.1:5000',
      '127.9.9.9',
      '[::1]:5000',
      '[::ffff:7f00:1]:5000',
      '[0:0:0:0:0:0:0:1]:5000',
      '[64:ff9b::7f00:1]:80',
      '169.254.169.254',
      '0.0.0.0:80',
      ...NAMES.map((name) => `${name}:5000`),
    ])
      assert.deepEqual(await nearOf(registry), [registry]);
    for (const registry of ['192.0.2.1:5000', '[2001:db8::1]:5000', 'docker.io/library'])
      assert.deepEqual(await nearOf(registry), []);
  });

  for (const { line, socket, skip } of ENGINE_LINES.slice(0, 1)) {
    const why = skip === false && NAMES.length === 0 ? 'this machine has no such name' : skip;
    describe(`on ${line}`, { skip: why }, () => {
      let gateway: EmbeddedTestGateway;
      let server: Server;
      let asked = 0;
      before(async () => {
        gateway = await openEmbedded(`unix://${socket}`);
        server = http.createServer((_request, response) => {
          asked += 1;
          response.writeHead(404).end('told');
        });
        server.on('connection', () => {
          asked += 1;
        });
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      });
      after(async () => {
        server?.close();
        server?.closeAllConnections();
        await gateway?.close();
      });

      it('is not asked by a pull, a lookup or a login', async () => {
        const registry = `${NAMES[0]}:${(server.address() as AddressInfo).port}`;
        const authorization = `Bearer ${await gateway.token('near', 'baseline')}`;
        const call = (method: string, path: string, body?: unknown) =>
          fetch(`http://127.0.0.1:${gateway.port}${path}`, {
            method,
            headers: { authorization, 'x-registry-auth': CREDENTIALS, 'content-type': 'application/json' },
            ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          });
        const login = { username: 'u', password: 'p', serveraddress: registry };
        for (const answer of [
          await call('POST', `/images/create?fromImage=${registry}/x/y&tag=1`),
          await call('GET', `/distribution/${registry}/x/y:1/json`),
          await call('POST', '/auth', login),
        ]) {
          const text = await answer.text();
          assert.equal(answer.status, 403, `${answer.url}: ${text}`);
          assert.doesNotMatch(text, /told/);
        }
        assert.equal(asked, 0);
      });
    });
  }
});
