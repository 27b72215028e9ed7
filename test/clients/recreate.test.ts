// Programs that make a container again from what the engine says of it, each in its own order of calls, with a bind mount where the
// policy lists it: Portainer's recreate and duplicate, and a script that clones with docker inspect.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { admin } from '../support/admin.ts';
import { type Api, apiOver, must } from '../support/api.ts';
import { ENGINE, IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { removeAll } from '../support/tenants.ts';

const PREFIX = `dg-recreate-${IS_DENO ? 'deno' : 'node'}`;
const BINDS = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: srv }
rules:
  - name: run
    effect: allow
    actions: [container.create, container.start]
    host: { preset: baseline, binds: [{ path: "/srv/${PREFIX}", readOnly: true }] }
`;

interface Shown {
  readonly Id: string;
  readonly Name: string;
  readonly Image: string;
  readonly Config: Readonly<Record<string, unknown>>;
  readonly HostConfig: Readonly<Record<string, unknown>>;
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, unknown>> };
}

describe('a container is made again', { skip: skipWithoutEngine }, () => {
  let gateway: TestGateway;
  let engine: Api;
  const callers: Record<string, Api> = {};

  before(async () => {
    engine = apiOver(ENGINE as string);
    await removeAll(engine, PREFIX);
    const identities = { plain: undefined, tenant: 'red' };
    gateway = await startGateway({
      engine: ENGINE as string,
      unix: Object.keys(identities).map((name) => ({ name, identity: name })),
    });
    await admin(gateway, 'POST', '/policies', { sources: [{ text: BINDS }] });
    for (const [name, tenant] of Object.entries(identities)) {
      await admin(gateway, 'POST', '/identities', { name, policies: ['baseline', 'srv'], tenant });
      callers[name] = apiOver(join(gateway.dir, `${name}.sock`));
    }
  });
  after(async () => {
    await removeAll(engine, PREFIX);
    await gateway.remove();
  });

  /** As `docker run -d` of a service with a volume, a bind, limits, labels, names in a network and a health check. */
  const make = async (api: Api, name: string): Promise<Shown> => {
    await must(api, 'POST', '/networks/create', { Name: `${name}-net`, Driver: 'bridge', Internal: true });
    await must(api, 'POST', `/containers/create?name=${name}`, {
      Image: IMAGE,
      Cmd: ['sleep', '300'],
      Labels: { app: 'web' },
      Env: ['A=b'],
      ExposedPorts: { '80/tcp': {} },
      Healthcheck: { Test: ['CMD', 'true'] },
      HostConfig: {
        NetworkMode: `${name}-net`,
        Binds: [`/srv/${PREFIX}/data:/srv:ro`, `${name}-data:/data`],
        Memory: 64e6,
        RestartPolicy: { Name: 'unless-stopped' },
        CapDrop: ['NET_RAW'],
      },
      NetworkingConfig: { EndpointsConfig: { [`${name}-net`]: { Aliases: ['web'] } } },
    });
    return must<Shown>(api, 'GET', `/containers/${name}/json`);
  };
  const same = ({ HostConfig: a }: Shown, { HostConfig: b }: Shown): void => {
    for (const field of ['Binds', 'Memory', 'RestartPolicy', 'CapDrop', 'MaskedPaths', 'ReadonlyPaths', 'Runtime']) {
      assert.deepEqual(b[field], a[field], field);
    }
  };

  for (const who of ['plain', 'tenant']) {
    const api: Api = (...call) => (callers[who] as Api)(...call);

    it(`as Portainer recreates it, without changes (${who})`, async () => {
      const name = `${PREFIX}-${who}-p`;
      const old = await make(api, name);
      // The order of its server: stop, rename, leave the networks, create, join, start, remove.
      // It does not run, which the engine tells with another status.
      assert.equal((await api('POST', `/containers/${old.Id}/stop`)).status, 304);
      await must(api, 'POST', `/containers/${old.Id}/rename?name=${name}-old`);
      const { Networks } = old.NetworkSettings;
      for (const network of Object.keys(Networks)) {
        await must(api, 'POST', `/networks/${network}/disconnect`, { Container: old.Id, Force: true });
      }
      const [first = ''] = Object.keys(Networks);
      const made = await must<{ Id: string }>(api, 'POST', `/containers/create?name=${name}`, {
        ...old.Config,
        Hostname: '',
        HostConfig: old.HostConfig,
        NetworkingConfig: { EndpointsConfig: { [first]: Networks[first] } },
      });
      await must(api, 'DELETE', `/containers/${old.Id}?force=1`);
      same(old, await must<Shown>(api, 'GET', `/containers/${made.Id}/json`));
    });

    it(`as Portainer duplicates it from its page (${who})`, async () => {
      const name = `${PREFIX}-${who}-d`;
      const old = await make(api, name);
      // What the page makes of inspect's answer: everything it does not know stays as it was shown.
      const body = {
        ...old.Config,
        Image: IMAGE,
        name: `${name}-copy`,
        MacAddress: '',
        HostConfig: {
          ...old.HostConfig,
          PublishAllPorts: false,
          Privileged: false,
          PortBindings: {},
          AutoRemove: false,
          Devices: [],
          DeviceRequests: [],
          Sysctls: {},
          ExtraHosts: [],
        },
        NetworkingConfig: {
          EndpointsConfig: { [`${name}-net`]: { IPAMConfig: { IPv4Address: '', IPv6Address: '' } } },
        },
      };
      const answer = await api('POST', `/containers/create?name=${name}-copy`, { body });
      assert.equal(answer.status, 201, answer.text);
      same(old, await must<Shown>(api, 'GET', `/containers/${(answer.json as Shown).Id}/json`));
    });

    it(`as a script clones it with docker inspect (${who})`, async () => {
      const name = `${PREFIX}-${who}-s`;
      const old = await make(api, name);
      const body = {
        ...old.Config,
        HostConfig: old.HostConfig,
        NetworkingConfig: { EndpointsConfig: old.NetworkSettings.Networks },
      };
      const answer = await api('POST', `/containers/create?name=${name}-clone`, { body });
      assert.equal(answer.status, 201, answer.text);
      // The same with one folder more than the policy lists stays refused.
      const past = { ...body, HostConfig: { ...old.HostConfig, Binds: ['/srv/other:/srv:ro'] } };
      assert.equal((await api('POST', '/containers/create', { body: past })).status, 403);
    });
  }
});
