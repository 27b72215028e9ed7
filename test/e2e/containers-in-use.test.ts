// A caller uses containers that others made: containers joined, entered, started, read and committed are judged as they are, on
// each engine. What reaches the host is refused to a caller who could not make it; its harmless neighbour goes through.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Answer, Api } from '../support/api.ts';
import { HOST_LINES, type HostRulesGateway, PODMAN_LINE, sleeper, startHostRules } from '../support/host-rules.ts';
import { IS_DENO } from '../support/runtime.ts';

const P = `dg-use-${IS_DENO ? 'd' : 'n'}-`;
/** Containers that no caller under baseline could make, by name. */
const GRAVE: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  host: sleeper({ NetworkMode: 'host', PidMode: 'host', Binds: ['/etc:/hostetc'] }),
  net: sleeper({ NetworkMode: 'host' }),
  pid: sleeper({ PidMode: 'host' }),
  ipc: sleeper({ IpcMode: 'host' }),
  uts: sleeper({ UTSMode: 'host' }),
  bind: sleeper({ Binds: ['/etc:/hostetc:ro'] }),
  mount: sleeper({ Mounts: [{ Type: 'bind', Source: '/etc', Target: '/hostetc', ReadOnly: true }] }),
  priv: sleeper({ Privileged: true }),
  caps: sleeper({ CapAdd: ['SYS_ADMIN'] }),
  device: sleeper({ Devices: [{ PathOnHost: '/dev/full', PathInContainer: '/dev/f', CgroupPermissions: 'rwm' }] }),
  seccomp: sleeper({ SecurityOpt: ['seccomp=unconfined'] }),
  volume: sleeper({ Binds: [`${P}etc:/hostetc`] }),
  from: sleeper({ VolumesFrom: [`${P}bind`] }),
  joined: sleeper({ PidMode: `container:${P}pid` }),
};
/** Every way to use a container, by title. */
const USES: Readonly<Record<string, (api: Api, name: string) => Promise<Answer>>> = {
  'starting it': (api, name) => api('POST', `/v1.41/containers/${name}/start`),
  'restarting it': (api, name) => api('POST', `/v1.41/containers/${name}/restart?t=0`),
  'waking it': (api, name) => api('POST', `/v1.41/containers/${name}/unpause`),
  'attaching to it': (api, name) => api('POST', `/v1.41/containers/${name}/attach?stream=0&logs=1&stdout=1`),
  'an exec in it': (api, name) => api('POST', `/v1.41/containers/${name}/exec`, { body: { Cmd: ['id'] } }),
  'looking at its files': (api, name) => api('HEAD', `/v1.41/containers/${name}/archive?path=/bin`),
  'copying from it': (api, name) => api('GET', `/v1.41/containers/${name}/archive?path=/bin/sh`),
  'copying into it': (api, name) =>
    api('PUT', `/v1.41/containers/${name}/archive?path=/tmp`, { body: new Uint8Array(1024) }),
  'committing it': (api, name) => api('POST', `/v1.41/commit?container=${name}&repo=${name}&tag=1`),
  ...Object.fromEntries(
    (
      [
        ['its volumes', 'VolumesFrom', (name: string) => [name]],
        ['its processes', 'PidMode', (name: string) => `container:${name}`],
        ['its IPC', 'IpcMode', (name: string) => `container:${name}`],
        ['its network', 'NetworkMode', (name: string) => `container:${name}`],
        ['a link to it', 'Links', (name: string) => [`${name}:x`]],
      ] as const
    ).map(([title, field, value]) => [
      title,
      (api: Api, name: string) =>
        api('POST', `/v1.41/containers/create?name=${name}-${field.toLowerCase()}`, {
          body: sleeper({ [field]: value(name) }),
        }),
    ]),
  ),
};

for (const { line, socket, skip } of HOST_LINES) {
  describe(`containers in use on ${line}`, { skip }, () => {
    let gateway: HostRulesGateway;
    const isPodman = line === PODMAN_LINE.line;
    before(async () => {
      gateway = await startHostRules(socket as string, { baseline: '', restricted: '' });
      await gateway.clean(P);
      const make = async (name: string, body: unknown) => {
        const { status, text } = await gateway.engine('POST', `/v1.41/containers/create?name=${P}${name}`, { body });
        assert.equal(status, 201, `${name}: ${text}`);
      };
      const etc = { Name: `${P}etc`, Driver: 'local', DriverOpts: { type: 'none', o: 'bind', device: '/etc' } };
      await gateway.engine('POST', '/v1.41/volumes/create', { body: etc });
      for (const [name, body] of Object.entries(GRAVE)) await make(name, body);
      await make('plain', sleeper({ Binds: [`${P}data:/data`], Tmpfs: { '/scratch': '' } }));
      await make('tight', sleeper({ CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges'] }, { User: '1000:1000' }));
      await make('joins-plain', sleeper({ PidMode: `container:${P}plain` }));
      for (const name of ['plain', 'tight']) await gateway.engine('POST', `/v1.41/containers/${P}${name}/start`);
    });
    after(async () => {
      await gateway?.clean(P);
      await gateway?.remove();
    });

    for (const name of Object.keys(GRAVE)) {
      // Podman 4 shows IpcMode host as shareable, which is what any container has.
      if (isPodman && name === 'ipc') continue;
      it(`${name}: no use of a container that baseline would not make`, async () => {
        for (const [title, use] of Object.entries(USES)) {
          const { status, text } = await use(gateway.as('baseline'), `${P}${name}`);
          assert.equal(status, 403, `${title}: ${status} ${text}`);
          if (text !== '') assert.match(text, /which this rule would not make: /, title);
          assert.doesNotMatch(text, /"\/etc"/, 'where a mount comes from is not told');
        }
      });
    }
    it('a plain container is of every use to baseline', async () => {
      for (const [title, use] of Object.entries(USES)) {
        // What the engine itself says of a container that is not paused, or of links without a network, is its own business.
        const { status, text } = await use(gateway.as('baseline'), `${P}plain`);
        assert.notEqual(status, 403, `${title}: ${text}`);
        assert.ok(status < 500 || /paused|[Ll]ink|unpause|EOF|archive/.test(text), `${title}: ${status} ${text}`);
      }
      const joined = await gateway.as('baseline')('POST', `/v1.41/containers/${P}joins-plain/start`);
      assert.notEqual(joined.status, 403, joined.text);
    });
    it('an exec made with all powers is not started for a caller who could not make it', async () => {
      const made = async (body: unknown) => {
        const { json } = await gateway.engine('POST', `/v1.41/containers/${P}plain/exec`, { body });
        return (json as { Id: string }).Id;
      };
      const start = (id: string, policy = 'baseline') =>
        gateway.as(policy)('POST', `/v1.41/exec/${id}/start`, { body: { Detach: true } });
      const grave = await start(await made({ Cmd: ['true'], Privileged: true }));
      assert.equal(grave.status, 403, grave.text);
      const plain = await start(await made({ Cmd: ['true'] }));
      assert.equal(plain.status, 200, plain.text);
      const root = await start(await made({ Cmd: ['true'], User: '1000:1000' }), 'restricted');
      assert.equal(root.status, 403, 'the container itself runs as root');
    });
    it('nothing of restricted runs as root: an exec takes the user of the container', async () => {
      const exec = (name: string, body: object = {}) =>
        gateway.as('restricted')('POST', `/v1.41/containers/${P}${name}/exec`, { body: { Cmd: ['id'], ...body } });
      const refused = await exec('plain');
      assert.equal(refused.status, 403, refused.text);
      assert.match(refused.text, /User is/);
      assert.equal((await exec('tight', { User: '0' })).status, 403);
      assert.equal((await exec('tight', { User: 'root' })).status, 403);
      for (const body of [{}, { User: '1001:1001' }]) {
        const { status, text } = await exec('tight', body);
        // On some machines Podman's storage is closed to all but root, and no other user's container runs.
        assert.ok(status === 201 || (isPodman && /only .* running containers/.test(text)), `${status} ${text}`);
      }
    });
  });
}
