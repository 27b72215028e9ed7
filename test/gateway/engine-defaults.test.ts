// What the engine says of a container is accepted back: a container as `inspect` shows it can be made again under every preset that
// could have made it, and one value past the engine's own default is refused.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { admin } from '../support/admin.ts';
import { type Api, apiOver, must } from '../support/api.ts';
import { ENGINE, IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { removeAll } from '../support/tenants.ts';

const PREFIX = `dg-back-${IS_DENO ? 'deno' : 'node'}`;

interface Shown {
  readonly Id: string;
  readonly Config: Record<string, unknown>;
  readonly HostConfig: Record<string, unknown>;
  readonly NetworkSettings: { readonly Networks: Record<string, unknown> };
}

/** What a preset lets pass, so that all an engine may fill in for it is met. */
const SHAPES: Readonly<Record<string, { readonly config?: object; readonly host?: object }>> = {
  'a plain one': {},
  'one with limits': { host: { Memory: 64e6, MemorySwap: 128e6, PidsLimit: 50, NanoCpus: 5e8, CpuShares: 512 } },
  'one that restarts': { host: { RestartPolicy: { Name: 'unless-stopped' } } },
  'one with a log size': { host: { LogConfig: { Type: 'json-file', Config: { 'max-size': '1m' } } } },
  'one without capabilities': { host: { CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges'], ReadonlyRootfs: true } },
  'one with a tmpfs, limits of files and an init': {
    host: { Tmpfs: { '/run': 'size=1m' }, Ulimits: [{ Name: 'nofile', Soft: 100, Hard: 100 }], Init: true },
  },
  'one with a volume': { host: { Binds: [`${PREFIX}-v:/data`] } },
  'one with a mount': { host: { Mounts: [{ Type: 'volume', Source: `${PREFIX}-v`, Target: '/data' }] } },
  'one with shared memory and names': {
    host: { IpcMode: 'shareable', ShmSize: 1e6, ExtraHosts: ['a:192.0.2.1'], Dns: ['192.0.2.53'] },
    config: { Hostname: 'web', Labels: { a: 'b' }, Env: ['A=b'], Healthcheck: { Test: ['CMD', 'true'] } },
  },
  'one with ports': {
    host: { NetworkMode: 'bridge', PortBindings: { '80/tcp': [{ HostPort: '18080' }] } },
    config: { ExposedPorts: { '80/tcp': {} } },
  },
  'one of a docker run --cidfile': { host: { ContainerIDFile: '/tmp/cid' } },
};

describe('what inspect shows of a container', { skip: skipWithoutEngine }, () => {
  let gateway: TestGateway;
  let engine: Api;
  const callers: Record<string, Api> = {};

  before(async () => {
    engine = apiOver(ENGINE as string);
    await removeAll(engine, PREFIX);
    const identities = { watchtower: undefined, compose: undefined, baseline: undefined, tenant: 'red' };
    gateway = await startGateway({
      engine: ENGINE as string,
      unix: Object.keys(identities).map((name) => ({ name, identity: name })),
      settings: { tenants: { sharedImages: ['busybox'] } },
    });
    for (const [name, tenant] of Object.entries(identities)) {
      await admin(gateway, 'POST', '/identities', { name, policies: [tenant ? 'baseline' : name], tenant });
      callers[name] = apiOver(join(gateway.dir, `${name}.sock`));
    }
  });
  after(async () => {
    await removeAll(engine, PREFIX);
    await gateway.remove();
  });

  const as = (name: string): Api => callers[name] as Api;
  const again = ({ Config, HostConfig, NetworkSettings }: Shown, change: object = {}) => ({
    ...Config,
    HostConfig: { ...HostConfig, ...change },
    NetworkingConfig: { EndpointsConfig: NetworkSettings.Networks },
  });
  let count = 0;
  const make = async (api: Api, { config = {}, host = {} }: { config?: object; host?: object } = {}) => {
    const name = `${PREFIX}-${++count}`;
    const body = { Image: IMAGE, Cmd: ['sleep', '9'], ...config, HostConfig: { NetworkMode: 'none', ...host } };
    await must(api, 'POST', `/containers/create?name=${name}`, body);
    return { name, shown: await must<Shown>(engine, 'GET', `/containers/${name}/json`) };
  };

  for (const [title, shape] of Object.entries(SHAPES)) {
    it(`inspect's HostConfig of ${title} is accepted back by every preset`, async () => {
      const { shown } = await make(engine, shape);
      for (const name of ['watchtower', 'compose', 'baseline']) {
        const answer = await as(name)('POST', `/containers/create?name=${PREFIX}-${++count}`, { body: again(shown) });
        assert.equal(answer.status, 201, `${name}: ${answer.text}`);
      }
    });
  }

  it('is accepted back from the tenant that made it, its labels written anew', async () => {
    const { name } = await make(as('tenant'), { host: { Binds: [`${PREFIX}-own:/data`] } });
    const shown = await must<Shown>(as('tenant'), 'GET', `/containers/${name}/json`);
    const answer = await as('tenant')('POST', `/containers/create?name=${PREFIX}-${++count}`, { body: again(shown) });
    assert.equal(answer.status, 201, answer.text);
    const made = await must<Shown>(engine, 'GET', `/containers/${(answer.json as Shown).Id}/json`);
    assert.equal((made.Config.Labels as Record<string, string>)['dockgate.tenant'], 'red');
  });

  it('is refused when it goes one value past the default of the engine', async () => {
    const { shown } = await make(engine);
    const masked = shown.HostConfig.MaskedPaths as string[];
    const readOnly = shown.HostConfig.ReadonlyPaths as string[];
    assert.ok(masked.length > 1 && readOnly.length > 1);
    const past: Readonly<Record<string, object>> = {
      'HostConfig.MaskedPaths': { MaskedPaths: masked.slice(1) },
      'HostConfig.ReadonlyPaths': { ReadonlyPaths: readOnly.slice(0, -1) },
      'HostConfig.Runtime': { Runtime: 'io.containerd.runsc.v1' },
      'HostConfig.Privileged': { Privileged: true },
      'HostConfig.CapAdd': { CapAdd: ['SYS_ADMIN'] },
      'HostConfig.UsernsMode': { UsernsMode: 'host' },
    };
    const others = { MaskedPaths: { MaskedPaths: [] }, ReadonlyPaths: { ReadonlyPaths: [] } };
    for (const name of ['watchtower', 'tenant']) {
      for (const [field, change] of [...Object.entries(past), ...Object.entries(others)]) {
        const body = again({ ...shown, NetworkSettings: { Networks: {} } }, change);
        const { status, text } = await as(name)('POST', '/containers/create', { body });
        assert.equal(status, 403, `${name} ${field}: ${text}`);
        assert.ok(text.includes(field), text);
      }
    }
  });

  it('names the default runtime of the engine and no other', async () => {
    const { DefaultRuntime } = await must<{ DefaultRuntime: string }>(engine, 'GET', '/info');
    const body = (Runtime: string) => ({ Image: IMAGE, HostConfig: { NetworkMode: 'none', Runtime } });
    const ok = await as('compose')('POST', `/containers/create?name=${PREFIX}-rt`, { body: body(DefaultRuntime) });
    assert.equal(ok.status, 201, ok.text);
    const other = await as('compose')('POST', '/containers/create', { body: body(`${DefaultRuntime}-other`) });
    assert.equal(other.status, 403, other.text);
  });

  it('leaves no container of the gateway behind', async () => {
    const list = await must<readonly { Names: string[] }[]>(engine, 'GET', '/containers/json?all=1');
    assert.deepEqual(
      list.flatMap(({ Names }) => Names).filter((name) => name.includes('dockgate-defaults')),
      [],
    );
  });

  describe('the preset watchtower', () => {
    const ends = (name: string): readonly (readonly [string, string])[] => [
      ['POST', `/containers/${name}/stop?t=0`],
      ['POST', `/containers/${name}/kill?signal=SIGTERM`],
      ['POST', `/containers/${name}/rename?name=${name}-old`],
      ['DELETE', `/containers/${name}?force=1`],
    ];

    it('never ends a container that it could not make again', async () => {
      const reaching: Readonly<Record<string, object>> = {
        'HostConfig.Binds[0]': { Binds: ['/etc:/host:ro'] },
        'HostConfig.Privileged': { Privileged: true },
        'HostConfig.NetworkMode': { NetworkMode: 'host' },
        'HostConfig.PidMode': { PidMode: 'host' },
        'HostConfig.CapAdd[0]': { CapAdd: ['NET_ADMIN'] },
        'HostConfig.MaskedPaths': { MaskedPaths: [] },
      };
      for (const [field, host] of Object.entries(reaching)) {
        const { name, shown } = await make(engine, { host });
        for (const target of [name, shown.Id, shown.Id.slice(0, 12)]) {
          for (const [method, path] of ends(target)) {
            const { status, text } = await as('watchtower')(method, path);
            assert.equal(status, 403, `${field} ${method} ${path}: ${text}`);
            assert.ok(text.includes(`which this preset could not make again: ${field}`), text);
          }
        }
        assert.equal((await engine('GET', `/containers/${name}/json`)).status, 200);
      }
    });

    it('the preset watchtower ends what it can make again, and answers for a missing one as the engine does', async () => {
      const { name } = await make(engine, {
        host: { Binds: [`${PREFIX}-v:/data`], RestartPolicy: { Name: 'always' } },
      });
      const w = as('watchtower');
      assert.equal((await w('POST', `/containers/${name}/rename?name=${name}-old`)).status, 204);
      assert.equal((await w('DELETE', `/containers/${name}-old?force=1`)).status, 204);
      const gone = await w('DELETE', `/containers/${name}-old?force=1`);
      assert.equal(gone.status, 404);
      assert.match(gone.text, /No such container/);
    });

    it('the preset watchtower does not run a hook in a container that reaches the host', async () => {
      const { name } = await make(engine, { host: { Binds: ['/etc:/host:ro'] } });
      const { status, text } = await as('watchtower')('POST', `/containers/${name}/exec`, { body: { Cmd: ['true'] } });
      assert.equal(status, 403, text);
    });
  });
});
