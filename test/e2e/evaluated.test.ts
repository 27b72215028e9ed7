// What engines really make of the values in the table beside the schemas: markers sent straight to them, and what passes the gateway
// read back from them. A field that a swarm expands and the table does not know fails here.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { EVALUATED } from '../../src/engine/evaluated.ts';
import { type Answer, apiOver } from '../support/api.ts';
import { HOST_LINES, type HostRulesGateway, PODMAN_LINE, sleeper, startHostRules } from '../support/host-rules.ts';
import { pathWithEngine, startPrivateEngine } from '../support/private-engine.ts';
import { IS_DENO } from '../support/runtime.ts';

const P = `dg-eval-${IS_DENO ? 'd' : 'n'}-`;
/** Pieces of sources and targets, plain ones and those with which one mount becomes another. */
const PIECES = [
  'a',
  'b1',
  '/',
  '.',
  '..',
  '_',
  '-',
  '@',
  ' ',
  'é',
  ',',
  '=',
  ':',
  '"',
  "'",
  '\\',
  '{{',
  '}}',
  '\n',
  '%',
  '$',
  ';',
];
const RUNS = Number(process.env.DOCKGATE_TEST_FUZZ_RUNS ?? 60);

interface Inspected {
  readonly Mounts: readonly { readonly Type: string; readonly Destination: string; readonly Name?: string }[];
  readonly Config: { readonly Env: readonly string[] | null };
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, unknown>> };
}

for (const { line, socket, skip } of HOST_LINES) {
  describe(`values the engine evaluates, on ${line}`, { skip }, () => {
    let gateway: HostRulesGateway;
    const isPodman = line === PODMAN_LINE.line;
    before(async () => {
      const named = `
- { name: run, effect: allow, actions: [container.create], resources: ["container/${P}*", "network/${P}ci-*", "image/*"] }`;
      gateway = await startHostRules(socket as string, { baseline: '', restricted: '', named });
      await gateway.clean(P);
    });
    after(async () => {
      await gateway?.clean(P);
      await gateway?.remove();
    });
    const create = (policy: string, name: string, body: unknown): Promise<Answer> =>
      gateway.as(policy)('POST', `/v1.41/containers/create?name=${P}${name}`, { body });
    const inspect = async (name: string): Promise<Inspected> =>
      (await gateway.engine('GET', `/v1.41/containers/${P}${name}/json`)).json as Inspected;

    it('a mount has the source and target that were judged, whatever passes', async () => {
      const text = fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 6 }).map((parts) => parts.join(''));
      let n = 0;
      let passed = 0;
      await fc.assert(
        fc.asyncProperty(text, text, fc.constantFrom('volume', 'tmpfs'), async (source, target, Type) => {
          const name = `m${n}`;
          n += 1;
          const Source = Type === 'volume' ? `${P}${source}` : '';
          const answer = await create('baseline', name, sleeper({ Mounts: [{ Type, Source, Target: `/${target}` }] }));
          if (answer.status !== 201) return;
          passed += 1;
          const { Mounts } = await inspect(name);
          const clean = `/${target}`.replaceAll(/\/+/g, '/').replace(/(?<=.)\/$/, '');
          await gateway.engine('DELETE', `/v1.41/containers/${P}${name}?force=1`);
          // Podman lists no tmpfs among its mounts.
          if (isPodman && Type === 'tmpfs') return assert.equal(Mounts.length, 0);
          assert.deepEqual(
            Mounts.map((mount) => [mount.Type, mount.Destination, mount.Name ?? '']),
            [[Type, clean, Source]],
          );
          if (Type === 'volume') {
            const { json } = await gateway.engine('GET', `/v1.41/volumes/${Source}`);
            assert.deepEqual({ ...(json as { Options: object | null }).Options }, {});
          }
        }),
        { numRuns: RUNS, seed: 5 },
      );
      assert.ok(passed > 0, 'nothing passed, so nothing was shown');
    });
    it('commas in a mount make no other mount', async () => {
      const Target = '/x,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/etc';
      for (const policy of ['baseline', 'restricted']) {
        const body = sleeper({ Mounts: [{ Type: 'volume', Source: `${P}inj`, Target }] });
        const { status, text } = await create(policy, 'inj', body);
        assert.equal(status, 403, text);
      }
      assert.equal((await gateway.engine('GET', `/v1.41/volumes/${P}inj`)).status, 404);
      const source = sleeper({ Mounts: [{ Type: 'tmpfs', Source: '/tmp/dg-eval/new', Target: '/x' }] });
      assert.equal((await create('baseline', 'tmpfs', source)).status, 403);
    });
    it('a variable without a value is refused on Podman, which looks it up in its own environment', async () => {
      const Env = ['A=1', '*', 'PATH*', 'HOME'];
      const { status, text } = await create('baseline', 'env', { ...sleeper(), Env });
      assert.equal(status, isPodman ? 403 : 201, text);
      if (isPodman) assert.match(text, /Env\[1\] is \\"\*\\", which Podman fills in from its own environment/);
      const good = await create('baseline', 'env2', { ...sleeper(), Env: ['A=1', 'B='] });
      assert.equal(good.status, 201, good.text);
      assert.ok((await inspect('env2')).Config.Env?.includes('A=1'));
      await gateway.engine('POST', `/v1.41/containers/${P}env2/start`);
      const exec = await gateway.as('baseline')('POST', `/v1.41/containers/${P}env2/exec`, {
        body: { Cmd: ['env'], Env: ['PATH*'] },
      });
      assert.equal(exec.status, isPodman ? 403 : 201, exec.text);
    });
    it('a list of networks names each of them', async () => {
      const made = sleeper({ NetworkMode: `${P}ci-a,${P}prod` });
      for (const policy of ['baseline', 'named']) {
        const { status, text } = await create(policy, 'nets', made);
        assert.equal(status, 403, text);
      }
      // Where the engine has no bridges it says so itself.
      assert.notEqual((await create('named', 'net', sleeper({ NetworkMode: `${P}ci-a` }))).status, 403);
      for (const mode of ['pasta', 'slirp4netns']) {
        const { status, text } = await create('baseline', `net-${mode}`, sleeper({ NetworkMode: mode }));
        assert.equal(status === 403, isPodman, text);
      }
    });
  });
}

const own = pathWithEngine();
describe('templates in a service, on a swarm of one', { skip: 'why' in own ? own.why : false }, () => {
  it('the swarm expands what the table says and nothing else', async () => {
    const marker = '{{.Service.Name}}';
    const spec = {
      Name: `${P}svc`,
      Labels: { x: '../../etc' },
      TaskTemplate: {
        ContainerSpec: {
          Image: 'busybox:test',
          Command: ['sleep', marker],
          Args: [marker],
          Dir: `/${marker}`,
          Hostname: `h-${marker}`,
          Env: [`A=${marker}`],
          Labels: { l: marker },
          Hosts: [`192.0.2.1 ${marker}`],
          DNSConfig: { Search: [marker], Options: [marker] },
          Mounts: [
            {
              Type: 'volume',
              Source: `v-${marker}`,
              Target: `/t-${marker}`,
              VolumeOptions: {
                Labels: { l: marker },
                DriverConfig: { Options: { type: 'tmpfs', device: 'tmpfs', o: `size=1m,uid=${'{{.Task.Slot}}'}` } },
              },
            },
          ],
        },
        RestartPolicy: { Condition: 'none' },
      },
    };
    const engine = await startPrivateEngine({ ...('path' in own ? own : {}), isAlone: true });
    let gateway: HostRulesGateway | undefined;
    try {
      const api = apiOver(engine.socket);
      const swarm = { ListenAddr: '127.0.0.1:24311', AdvertiseAddr: '127.0.0.1' };
      assert.equal((await api('POST', '/swarm/init', { body: swarm })).status, 200);
      const made = await api('POST', '/services/create', { body: spec });
      assert.equal(made.status, 201, made.text);
      const filters = encodeURIComponent(JSON.stringify({ label: [`com.docker.swarm.service.name=${P}svc`] }));
      let container: { Id: string } | undefined;
      for (let i = 0; i < 60 && container === undefined; i += 1) {
        await new Promise((resolve) => setTimeout(resolve, 250));
        [container] = (await api('GET', `/containers/json?all=1&filters=${filters}`)).json as { Id: string }[];
      }
      assert.ok(container !== undefined, 'no task was made');
      const { text } = await api('GET', `/containers/${container.Id}/json`);
      const left = text.match(/\{\{\.Service\.Name\}\}/g)?.length ?? 0;
      // Command, Args, Dir, Labels, Hosts, DNS twice; Path and Args of the container show the command once more.
      const expanded = ['Env', 'Hostname', 'Source', 'Target', 'Labels', 'DriverConfig.Options'];
      const known = EVALUATED.filter(({ by }) => by === 'swarm').map(({ path }) => path);
      for (const field of expanded)
        assert.ok(
          known.some((path) => path.includes(field)),
          field,
        );
      const { Config, HostConfig, Mounts } = JSON.parse(text) as {
        Config: Record<string, unknown>;
        HostConfig: Record<string, unknown>;
        Mounts: { Name: string; Destination: string }[];
      };
      assert.equal(Mounts[0]?.Name, `v-${P}svc`);
      assert.equal(Mounts[0]?.Destination, `/t-${P}svc`);
      const plain = { Config: [Config.Entrypoint, Config.Cmd, Config.WorkingDir], HostConfig };
      for (const field of ['ExtraHosts', 'DnsSearch', 'DnsOptions']) {
        assert.match(JSON.stringify(plain.HostConfig[field]), /\{\{/, `${field} is expanded: the table must say so`);
      }
      assert.doesNotMatch(JSON.stringify(plain.Config).replaceAll(marker, ''), /dg-eval/, 'a command is expanded');
      assert.ok(left > 0);

      gateway = await startHostRules(engine.socket, {
        services:
          '- { name: run, effect: allow, actions: [service.create], host: { preset: baseline, binds: [{ path: /srv/ci, readOnly: true }] } }',
      });
      const through = (name: string, ContainerSpec: object) =>
        (gateway as HostRulesGateway).as('services')('POST', '/v1.43/services/create', {
          body: { ...spec, Name: name, TaskTemplate: { ContainerSpec: { Image: 'busybox:test', ...ContainerSpec } } },
        });
      const mount = (Source: string) => ({ Mounts: [{ Type: 'bind', Source, Target: '/h', ReadOnly: true }] });
      const grave = await through('grave', mount('/srv/ci/{{index .Service.Labels "x"}}'));
      assert.equal(grave.status, 403, grave.text);
      assert.equal((await api('GET', '/services/grave')).status, 404);
      const fine = await through('fine', { ...mount('/srv/ci/x'), Env: ['NODE={{.Node.Hostname}}'] });
      assert.equal(fine.status, 201, fine.text);
    } finally {
      await gateway?.remove();
      await engine.stop();
    }
  });
});
