// What is the host's own stays so whatever a policy lists: networks the host reaches by itself, and files of the gateway. Real engine.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { hostNetworks } from '../../src/runtime/host-networks.ts';
import { admin } from '../support/admin.ts';
import { type Api, apiOver } from '../support/api.ts';
import { ENGINE, IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';

describe('the host of the engine', { skip: skipWithoutEngine }, () => {
  let gateway: TestGateway;
  let alice: Api;
  const own = hostNetworks().find((range) => /^\d+\.\d+\.\d+\.\d+\/(?:[89]|1\d|2\d)$/.test(range));

  before(async () => {
    gateway = await startGateway({ engine: ENGINE as string, unix: [{ name: 'alice', identity: 'alice' }] });
    const source = `
apiVersion: dockgate/v1
kind: Policy
metadata: { name: wide }
rules:
  - name: all
    effect: allow
    actions: [container.create, container.remove, network.create, network.remove]
    host:
      network: { subnets: [0.0.0.0/0] }
      binds: [{ path: ${gateway.dir}, readOnly: true }, { path: ${join(gateway.dir, 'alice.sock')} }]
`;
    await admin(gateway, 'POST', '/policies', { sources: [{ text: source }] });
    await admin(gateway, 'POST', '/identities', { name: 'alice', policies: ['wide'], tenant: 'red' });
    alice = apiOver(join(gateway.dir, 'alice.sock'));
  });
  after(async () => gateway?.remove());

  it('the host of the engine keeps its networks from a subnet of a caller’s, and leaves the others to the rule', {
    skip: own === undefined ? 'no network here' : false,
  }, async () => {
    const make = (Subnet: string) =>
      alice('POST', '/networks/create', {
        body: { Name: 'dg-site', Driver: 'bridge', IPAM: { Config: [{ Subnet }] } },
      });
    const { status, text } = await make(own as string);
    assert.equal(status, 403, text);
    assert.match(
      text,
      /IPAM\.Config\[0\]\.Subnet is .* overlaps a network the host has already \(allowed: no Subnet, so that/,
    );
    const free = ['203.0.113.0/24', '198.51.100.0/24'].find((range) => range !== own) as string;
    const other = await make(free);
    // An engine without bridges refuses it by itself.
    assert.notEqual(other.status, 403, other.text);
    if (other.status === 201) await alice('DELETE', '/networks/dg-site');
  });

  it('the host of the engine keeps the data folder from every mount, and gives the socket that is listed', async () => {
    const bind = (source: string) =>
      alice('POST', '/containers/create', {
        body: { Image: IMAGE, HostConfig: { NetworkMode: 'none', Binds: [`${source}:/x:ro`] } },
      });
    for (const path of [gateway.dir, join(gateway.dir, 'data'), join(gateway.dir, 'data/audit.db')]) {
      const { status, text } = await bind(path);
      assert.equal(status, 403, `${path}: ${text}`);
      assert.match(text, /reaches files of the gateway \(allowed: never\)/);
    }
    const listed = await bind(join(gateway.dir, 'alice.sock'));
    assert.equal(listed.status, 201, listed.text);
    await alice('DELETE', `/containers/${(listed.json as { Id: string }).Id}`);
  });

  it('the host of the engine is known to an explanation as it is to a call', async () => {
    const explained = async (target: string, body: unknown) =>
      (
        await admin<{ text: string }>(gateway, 'POST', '/explain', {
          as: 'alice',
          request: { method: 'POST', target, body },
        })
      ).text;
    const bind = (source: string) =>
      explained('/containers/create', { Image: IMAGE, HostConfig: { Binds: [`${source}:/x:ro`] } });
    assert.match(await bind(join(gateway.dir, 'data')), /^DENY.*reaches files of the gateway/s);
    assert.match(await bind(join(gateway.dir, 'alice.sock')), /^ALLOW/);
    if (own === undefined) return;
    const net = { Name: 'dg-site', Driver: 'bridge', IPAM: { Config: [{ Subnet: own }] } };
    assert.match(await explained('/networks/create', net), /^DENY.*overlaps a network the host has already/s);
  });

  it('the host of the engine is known to the plugin that judges mounts alone', async () => {
    const plain = await startGateway({
      engine: ENGINE as string,
      unix: [{ name: 'op', identity: 'op' }],
      settings: { plugins: [{ use: 'bind-mounts', config: { roots: ['/tmp'] } }] },
    });
    try {
      await admin(plain, 'POST', '/identities', { name: 'op', policies: ['operator'] });
      const create = (source: string) =>
        apiOver(join(plain.dir, 'op.sock'))('POST', '/containers/create', {
          body: { Image: IMAGE, HostConfig: { NetworkMode: 'none', Binds: [`${source}:/x`] } },
        });
      const taken = await create('/tmp');
      assert.equal(taken.status, 403, taken.text);
      assert.match(taken.text, /reaches files of the gateway/);
    } finally {
      await plain.remove();
    }
  });
});
