// Values an engine makes something else of: each row of the table beside the schemas refuses what could become another value, and
// lets its nearest neighbour through.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { cleanPath } from '../../../src/engine/mounts.ts';
import type { EngineCall } from '../../../src/engine/types.ts';
import { compileHostSpec } from '../../../src/policy/host/index.ts';
import { callOf as requestOf } from '../support.ts';
import { alice, callOf, create } from './calls.ts';

const baseline = compileHostSpec({
  preset: 'baseline',
  binds: [{ path: '/srv/ci', readOnly: true }],
  sysctls: ['net.ipv4.conf.*'],
});
const refused = (call: EngineCall): boolean => baseline(call, alice).length > 0;
const podman = (call: EngineCall): EngineCall => ({ ...call, engineKind: 'podman' });
const mount = (over: object) => create({ Mounts: [{ Type: 'volume', Source: 'v', Target: '/v', ...over }] });
const service = (spec: object, task: object = {}) =>
  callOf('service.create', {
    body: { Name: 's', TaskTemplate: { ContainerSpec: { Image: 'busybox', ...spec }, ...task } },
  });
const serviceMount = (over: object) => service({ Mounts: [{ Type: 'volume', Source: 'v', Target: '/v', ...over }] });
const bind = (Source: string) => ({ Type: 'bind', Source, ReadOnly: true });
const tag = (text: string) => create({ LogConfig: { Type: 'json-file', Config: { tag: text } } });

/** Refused, here or where the call is read. */
function isTurnedAway(over: object): boolean {
  try {
    return refused(mount(over));
  } catch {
    return true;
  }
}

const ROWS: readonly [title: string, call: EngineCall, isRefused: boolean][] = [
  ['a template in the source of a mount', serviceMount(bind('/srv/ci/{{index .Service.Labels "x"}}')), true],
  ['a path in the source of a mount', serviceMount(bind('/srv/ci/x')), false],
  ['a template in the name of a volume', serviceMount({ Source: 'v-{{.Task.Slot}}' }), true],
  ['a template in the target of a mount', serviceMount({ Target: '/v/{{.Service.Labels.x}}' }), true],
  [
    'a template in a driver option',
    serviceMount({
      VolumeOptions: { DriverConfig: { Options: { type: 'tmpfs', device: 'tmpfs', o: 'size={{.Task.Slot}}m' } } },
    }),
    true,
  ],
  [
    'a driver option',
    serviceMount({ VolumeOptions: { DriverConfig: { Options: { type: 'tmpfs', device: 'tmpfs', o: 'size=1m' } } } }),
    false,
  ],
  ['a template in the label of a volume', serviceMount({ VolumeOptions: { Labels: { a: '{{.Node.ID}}' } } }), true],
  ['a label of a volume', serviceMount({ VolumeOptions: { Labels: { a: 'x=1, y' } } }), false],
  ['a template in a variable', service({ Env: ['NODE={{.Node.Hostname}}', 'X={{ .Task.Slot }}'] }), false],
  ['a label by index in a variable', service({ Env: ['X={{index .Service.Labels "a.b"}}'] }), false],
  ['a template that computes', service({ Env: ['X={{printf "%999999d" 1}}'] }), true],
  ['a template with variables', service({ Env: ['X={{$x := "aa"}}{{$x := print $x $x}}{{$x}}'] }), true],
  ['a template in a host name', service({ Hostname: '{{.Node.Hostname}}-{{.Task.Slot}}' }), false],
  ['a template with a pipe in a host name', service({ Hostname: '{{.Node.Hostname | printf "%s"}}' }), true],
  ['a template that does not end', service({ Hostname: '{{.Node.Hostname' }), true],
  ['a template in the network of a service', service({}, { Networks: [{ Target: '{{.Service.Name}}' }] }), true],
  ['a tag of a log', tag('{{.ImageName}}/{{.Name}}/{{.ID}}'), false],
  ['an attribute in a tag', tag('{{ (.ExtraAttributes nil).SWARM_TASK }}'), false],
  ['a tag that computes', tag('{{range .}}{{.}}{{end}}'), true],
  [
    'a tag of a service that computes',
    service({}, { LogDriver: { Name: 'local', Options: { tag: '{{print .}}' } } }),
    true,
  ],

  ['a comma in the target of a mount', mount({ Target: '/x,volume-opt=type=none' }), true],
  ['an equals sign in the target', mount({ Target: '/x=y' }), true],
  ['a colon in the target', mount({ Target: '/x:ro' }), true],
  ['a quote in the target', mount({ Target: '/x"y' }), true],
  ['a line break in the target', mount({ Target: '/x\ny' }), true],
  ['a target that climbs', mount({ Target: '/x/../y' }), true],
  ['a relative target', mount({ Target: 'x' }), true],
  ['a plain target', mount({ Target: '/var/lib/data-1.0_x@2/' }), false],
  ['a comma in the name of a volume', mount({ Source: 'v,volume-opt=o=bind' }), true],
  ['a comma in the source of a bind', mount(bind('/srv/ci/a,b')), true],
  ['a source that climbs and comes back', mount(bind('/srv/ci/a/../b')), true],
  ['a plain source', mount(bind('/srv/ci/a-b')), false],
  ['a source of a tmpfs', mount({ Type: 'tmpfs', Source: '/etc/new' }), true],
  ['a name as the source of a tmpfs', mount({ Type: 'tmpfs', Source: 'x' }), true],
  ['a tmpfs', mount({ Type: 'tmpfs', Source: '' }), false],
  ['a comma in the subpath of a volume', mount({ VolumeOptions: { Subpath: 'a,b' } }), true],
  ['a subpath of a volume', mount({ VolumeOptions: { Subpath: 'a/b' } }), false],
  ['a path of HostConfig.Tmpfs with a colon', create({ Tmpfs: { '/x:/y': '' } }), true],
  ['a path of HostConfig.Tmpfs', create({ Tmpfs: { '/x': 'size=1m' } }), false],
  ['a list of networks', create({ NetworkMode: 'ci-a,prod-net' }), true],
  ['a network with options', create({ NetworkMode: 'ci-a:ip=10.0.0.1' }), true],
  ['a network', create({ NetworkMode: 'ci-a' }), false],
  ['a network of another container', create({ NetworkMode: 'container:ci-a' }), false],
  ['a list of networks of another container', create({ NetworkMode: 'container:ci-a,host' }), true],
  ['an end point in a list of networks', create({}, { NetworkingConfig: { EndpointsConfig: { 'a,host': {} } } }), true],
  ['a colon in the place of a device', create({ Devices: [{ PathOnHost: '/dev/null:/dev/sda' }] }), true],
  [
    'an equals sign in the name of a ulimit',
    create({ Ulimits: [{ Name: 'nofile=1:1,core', Soft: 1, Hard: 1 }] }),
    true,
  ],
  ['a ulimit', create({ Ulimits: [{ Name: 'nofile', Soft: 1, Hard: 1 }] }), false],
  ['an equals sign in a label', create({}, { Labels: { 'a=b': 'c' } }), true],
  ['a label', create({}, { Labels: { 'a.b/c': 'd=e,f' } }), false],
  ['the groups of the engine', create({ GroupAdd: ['keep-groups'] }), true],
  ['a group', create({ GroupAdd: ['video'] }), false],
  ['a variable without a value on Podman', podman(create({}, { Env: ['A=1', 'PATH'] })), true],
  ['every variable of the engine on Podman', podman(create({}, { Env: ['*'] })), true],
  ['the host’s network in user mode on Podman', podman(create({ NetworkMode: 'pasta' })), true],
  ['an older one of its kind on Podman', podman(create({ NetworkMode: 'slirp4netns' })), true],
  ['a network of such a name on Docker', create({ NetworkMode: 'pasta' }), false],
  ['another network on Podman', podman(create({ NetworkMode: 'pastas' })), false],
  ['a variable with a value on Podman', podman(create({}, { Env: ['A=*', 'B='] })), false],
  ['a variable without a value on Docker', create({}, { Env: ['A'] }), false],
  [
    'a variable of an exec without a value on Podman',
    podman(callOf('container.exec.create', { body: { Cmd: ['x'], Env: ['A*'] } })),
    true,
  ],
  [
    'a variable of an exec without a value on Docker',
    callOf('container.exec.create', { body: { Cmd: ['x'], Env: ['A'] } }),
    false,
  ],
  ['a secret of a driver', callOf('secret.create', { body: { Name: 's', Data: 'eA==', Driver: { Name: 'x' } } }), true],
  [
    'a secret as a template of another kind',
    callOf('secret.create', { body: { Name: 's', Data: 'eA==', Templating: { Name: 'x' } } }),
    true,
  ],
  [
    'a secret as a template',
    callOf('secret.create', { body: { Name: 's', Data: 'eA==', Templating: { Name: 'golang' } } }),
    false,
  ],
  [
    'a config of a driver',
    requestOf('POST /configs/create', { Name: 's', Data: 'eA==', Templating: { Name: 'golang', Options: { a: 'b' } } }),
    true,
  ],
];

describe('values the engine evaluates', () => {
  for (const [title, call, isRefused] of ROWS) {
    it(`${title} is ${isRefused ? 'refused' : 'let through'}`, () => {
      const found = baseline(call, alice);
      assert.equal(found.length > 0, isRefused, found[0]?.message ?? 'let through');
      if (isRefused) assert.match(found[0]?.message ?? '', /allowed: /);
    });
  }
  it('whatever passes as source and target of a mount has one reading', () => {
    const piece = fc.constantFrom(
      'a',
      '/',
      '.',
      '..',
      ',',
      '=',
      ':',
      '"',
      '{{',
      '}}',
      '\n',
      '\\',
      ' ',
      'source',
      'é',
      '-',
      '\0',
    );
    const text = fc.array(piece, { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, text, (source, target) => {
        if (isTurnedAway({ Source: source, Target: `/${target}` })) return;
        assert.equal(cleanPath(`/${target}`), `/${target}`.replaceAll(/\/+/g, '/').replace(/(?<=.)\/$/, ''));
        // As Podman writes and reads it: key=value with commas between.
        const line = `type=volume,source=${source},target=/${target}`;
        assert.equal(line.split(',').length, 3);
        for (const field of line.split(',')) assert.equal(field.split('=').length, 2);
      }),
      { numRuns: 2000, seed: 11 },
    );
  });
});
