// The shipped plugins alone, in front of the policy that allows everything: what they refuse does not reach a real engine, by whichever
// name and through whichever object; its harmless neighbour does.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { HOST_LINES, type HostRulesGateway, sleeper, startHostRules } from '../support/host-rules.ts';
import { IS_DENO } from '../support/runtime.ts';

const P = `dg-plug-${IS_DENO ? 'd' : 'n'}-`;
const N = `dg-net-${IS_DENO ? 'd' : 'n'}-`;

for (const { line, socket, skip } of HOST_LINES) {
  describe(`the shipped plugins before ${line}`, { skip }, () => {
    let gateway: HostRulesGateway;
    before(async () => {
      gateway = await startHostRules(
        socket as string,
        { operator: '' },
        {
          plugins: [
            { use: 'no-privileged' },
            { use: 'bind-mounts', config: { roots: [{ path: '/srv/ci', readOnly: true }] } },
          ],
        },
      );
      await gateway.clean(P);
      const make = async (name: string, body: unknown) => {
        const { status, text } = await gateway.engine('POST', `/v1.41/containers/create?name=${P}${name}`, { body });
        assert.equal(status, 201, text);
      };
      await make('agent', sleeper({ PidMode: 'host', Binds: ['/etc:/hostetc'] }));
      await make('plain', sleeper());
      const etc = { Name: `${P}etc`, DriverOpts: { type: 'none', o: 'bind', device: '/etc' } };
      await gateway.engine('POST', '/v1.41/volumes/create', { body: etc });
    });
    after(async () => {
      await gateway?.clean(P);
      await gateway?.remove();
    });
    const create = (name: string, host: Readonly<Record<string, unknown>>) =>
      gateway.as('operator')('POST', `/v1.41/containers/create?name=${P}${name}`, { body: sleeper(host) });
    const volume = (name: string, DriverOpts: object) =>
      gateway.as('operator')('POST', '/v1.41/volumes/create', { body: { Name: `${P}${name}`, DriverOpts } });

    it('a container that shares or holds the host by another name is refused', async () => {
      const grave: Record<string, Readonly<Record<string, unknown>>> = {
        pid: { PidMode: `container:${P}agent` },
        from: { VolumesFrom: [`${P}agent`] },
        caps: { CapAdd: ['ALL'] },
        volume: { Binds: [`${P}etc:/v`] },
      };
      const { json } = await gateway.engine('GET', '/v1.41/networks/host');
      const id = (json as { Id?: string; id?: string }).Id;
      if (typeof id === 'string') grave.network = { NetworkMode: id };
      for (const [name, host] of Object.entries(grave)) {
        const { status, text } = await create(name, host);
        assert.equal(status, 403, `${name}: ${text}`);
        assert.equal((await gateway.engine('GET', `/v1.41/containers/${P}${name}/json`)).status, 404, name);
      }
    });
    it('a volume that reaches the host without a path of it is refused', async () => {
      for (const [name, options] of Object.entries({
        overlay: { type: 'overlay', device: 'overlay', o: 'lowerdir=/etc:/srv/ci' },
        relative: { type: 'none', o: 'bind', device: 'etc' },
        disk: { type: 'ext4', device: '/dev/sda1' },
      })) {
        const { status, text } = await volume(name, options);
        assert.equal(status, 403, `${name}: ${text}`);
        assert.equal((await gateway.engine('GET', `/v1.41/volumes/${P}${name}`)).status, 404, name);
      }
    });
    it('what is plain goes through', async () => {
      for (const [name, host] of Object.entries({
        'ok-pid': { PidMode: `container:${P}plain` },
        'ok-from': { VolumesFrom: [`${P}plain`] },
        'ok-volume': { Binds: [`${P}data:/v`] },
        'ok-plain': { Memory: 33554432 },
      })) {
        const { status, text } = await create(name, host);
        assert.equal(status, 201, `${name}: ${text}`);
      }
      const made = await volume('ok', {});
      assert.equal(made.status, 201, made.text);
    });
  });
}

for (const { line, socket, skip } of HOST_LINES) {
  describe(`network-guard before ${line}`, { skip }, () => {
    let gateway: HostRulesGateway;
    let hostNetwork = '';
    before(async () => {
      const plugins = [{ use: 'network-guard', config: { addresses: ['127.0.0.1'] } }];
      gateway = await startHostRules(socket as string, { operator: '' }, { plugins });
      await gateway.clean(N);
      const make = async (name: string, body: unknown) => {
        const { status, text } = await gateway.engine('POST', `/v1.41/containers/create?name=${N}${name}`, { body });
        assert.equal(status, 201, text);
      };
      await make('host', sleeper({ NetworkMode: 'host' }));
      await make('shares', sleeper({ NetworkMode: `container:${N}host` }));
      await make('plain', sleeper());
      const { json } = await gateway.engine('GET', '/v1.41/networks/host');
      hostNetwork = (json as { Id?: string; id?: string } | undefined)?.Id ?? '';
    });
    after(async () => {
      await gateway?.clean(N);
      await gateway?.remove();
    });

    it('no container gets onto the network of the host, by whichever way; its neighbour of one without gets there', async () => {
      const create = (name: string, body: object) =>
        gateway.as('operator')('POST', `/v1.41/containers/create?name=${N}${name}`, { body });
      const ways: Readonly<Record<string, object>> = {
        host: sleeper({ NetworkMode: 'host' }),
        join: sleeper({ NetworkMode: `container:${N}host` }),
        'join-join': sleeper({ NetworkMode: `container:${N}shares` }),
        ...(hostNetwork === '' ? {} : { id: sleeper({ NetworkMode: hostNetwork }) }),
        publish: sleeper({ NetworkMode: 'default', PortBindings: { '80/tcp': [{ HostPort: '8080' }] } }),
      };
      for (const [name, body] of Object.entries(ways)) {
        const { status, text } = await create(`no-${name}`, body);
        assert.equal(status, 403, `${name}: ${text}`);
        assert.match(text, /denied by plugin network-guard/, name);
      }
      const joined = await create('yes', sleeper({ NetworkMode: `container:${N}plain` }));
      assert.equal(joined.status, 201, joined.text);
      const connect = await gateway.as('operator')('POST', '/v1.41/networks/host/connect', {
        body: { Container: `${N}plain` },
      });
      assert.equal(connect.status, 403, connect.text);
    });
  });
}
