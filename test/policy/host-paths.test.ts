// What conditions are told of host paths and of the caller's address: parsed as the engine reads them, and in one form.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EngineCall, MadeMount, ResourceRef } from '../../src/engine/types.ts';
import { decide } from '../../src/policy/evaluate.ts';
import { hostPathsOf } from '../../src/policy/host-paths.ts';
import { normalSource } from '../../src/policy/windows.ts';
import { callOf, NOW, policyOf, principal, setOf } from './support.ts';

const create = (HostConfig: object) => callOf('POST /containers/create', { Image: 'busybox', HostConfig });
const known = (call: EngineCall, over: Partial<ResourceRef>): EngineCall => ({
  ...call,
  resources: call.resources.map((ref) =>
    ref.kind === 'image' || ref.role === 'creates' ? ref : { ...ref, id: 'x', ...over },
  ),
});
const local = (options: Record<string, string>) => ({ driver: { name: 'local', options } });
const made = (...mounts: Partial<MadeMount>[]) => ({
  made: {
    user: '',
    host: {},
    networks: [],
    joins: [],
    mounts: mounts.map((mount) => ({
      type: 'bind',
      source: '',
      target: '/t',
      readOnly: false,
      propagation: '',
      ...mount,
    })),
  },
});
const BIND = { type: 'none', o: 'bind', device: '/etc' };
const volumeMount = (Options: object, Name = 'local') => ({
  Mounts: [{ Type: 'volume', Source: 'v', Target: '/v', VolumeOptions: { DriverConfig: { Name, Options } } }],
});
const service = (mount: object) =>
  callOf('POST /services/create', { Name: 's', TaskTemplate: { ContainerSpec: { Image: 'x', Mounts: [mount] } } });

const ROWS: readonly [title: string, call: EngineCall, sources: readonly string[]][] = [
  ['a bind', create({ Binds: ['/srv/ci/a:/h'] }), ['/srv/ci/a']],
  ['a bind whose target climbs', create({ Binds: ['/:/../srv/ci/h'] }), ['/']],
  ['a bind that climbs', create({ Binds: ['/srv/ci/../../etc:/h:ro'] }), ['/etc']],
  ['a named volume yet to be made', create({ Binds: ['v:/h'] }), []],
  ['a mount', create({ Mounts: [{ Type: 'bind', Source: '/srv//ci/', Target: '/h' }] }), ['/srv/ci']],
  ['a tmpfs', create({ Mounts: [{ Type: 'tmpfs', Target: '/h' }] }), []],
  ['a volume with a folder', create(volumeMount(BIND)), ['/etc']],
  ['a volume with a disk', create(volumeMount({ type: 'ext4', device: '/dev/sda' })), ['ext4:/dev/sda']],
  ['a volume of a relative folder', create(volumeMount({ type: 'none', o: 'bind', device: 'etc' })), ['none:etc']],
  [
    'a volume with an overlay',
    create(volumeMount({ type: 'overlay', device: 'x', o: 'lowerdir=/etc' })),
    ['overlay:x'],
  ],
  ['a volume of a plugin', create(volumeMount({}, 'sshfs')), ['sshfs:']],
  ['a tmpfs as a volume', create(volumeMount({ type: 'tmpfs', device: 'tmpfs', o: 'size=1m' })), []],
  ['a tmpfs that is a bind', create(volumeMount({ type: 'tmpfs', device: '/', o: 'bind' })), ['/']],
  ['a new volume', callOf('POST /volumes/create', { Name: 'v', DriverOpts: BIND }), ['/etc']],
  ['an existing volume', known(create({ Binds: ['v:/h'] }), local(BIND)), ['/etc']],
  ['a plain existing volume', known(create({ Binds: ['v:/h'] }), local({})), []],
  ['the volumes of another container', known(create({ VolumesFrom: ['agent'] }), made({ source: '/etc' })), ['/etc']],
  [
    'volumes with folders in another container',
    known(
      create({ VolumesFrom: ['agent'] }),
      made({ type: 'volume', ...local(BIND) }, { type: 'volume', ...local({}) }),
    ),
    ['/etc'],
  ],
  [
    'an exec in a container with a bind',
    known(callOf('POST /containers/c/exec', { Cmd: ['x'] }), made({ source: '/etc' })),
    ['/etc'],
  ],
  ['a mount of a service', service({ Type: 'bind', Source: '/srv/ci', Target: '/h' }), ['/srv/ci']],
  [
    'commas in the target of a mount',
    create({ Mounts: [{ Type: 'bind', Source: '/srv/ci', Target: '/h,src=/etc' }] }),
    ['bind:/srv/ci'],
  ],
  [
    'commas in the target of a volume',
    create({ Mounts: [{ Type: 'volume', Source: 'v', Target: '/h,volume-opt=o=bind' }] }),
    ['volume:v'],
  ],
];

describe('hostPathsOf()', () => {
  for (const [title, call, sources] of ROWS) {
    it(`${title}: ${sources.join(', ') || 'none'}`, () => {
      assert.deepEqual(
        hostPathsOf(call).map(({ source }) => source),
        sources,
      );
    });
  }
});

describe('conditions', () => {
  const judged = (when: string, call: EngineCall, source = 'unix') => {
    const rule = `- { name: a, effect: allow, actions: ["*"], host: { preset: privileged }, when: ['${when}'] }`;
    const who = principal();
    return decide(setOf(policyOf(rule)).forPrincipal(who), { principal: who, call, source, at: NOW });
  };
  it('host.binds is what the engine mounts, whatever the call looks like', () => {
    const below = 'host.binds.all(b, under(b.source, "/srv/ci"))';
    for (const [title, call, sources] of ROWS) {
      const isFine = sources.every((source) => source === '/srv/ci' || source.startsWith('/srv/ci/'));
      assert.equal(judged(below, call).effect, isFine ? 'allow' : 'deny', title);
    }
    const readOnly = 'host.binds.all(b, b.readOnly && b.target != "/etc")';
    assert.equal(judged(readOnly, create({ Binds: ['/srv/ci:/h:ro'] })).effect, 'allow');
    assert.equal(judged(readOnly, create({ Binds: ['/srv/ci:/h'] })).effect, 'deny');
  });
  it('under() refuses what is no path', () => {
    for (const source of ['/:/../srv/ci/h', '/srv/ci:/h', 'v:/h']) {
      const { effect, reasons } = judged('host.Binds.all(b, under(b, "/srv/ci"))', create({ Binds: [source] }));
      assert.equal(effect, 'deny', source);
      assert.match(reasons[0]?.message ?? '', /under\(\) takes absolute paths.*host\.binds/);
    }
    const mounts = 'body.TaskTemplate.ContainerSpec.Mounts.all(m, under(m.Source, "/srv/ci"))';
    for (const [Source, effect] of [
      ['/srv/ci/{{index .Service.Labels "x"}}', 'deny'],
      ['/srv/ci/a,src=/etc', 'deny'],
      ['/srv/ci/a', 'allow'],
      ['/srv/ci2', 'deny'],
    ] as const) {
      const rule = `- { name: a, effect: allow, actions: [service.create], host: { preset: privileged }, when: ['${mounts}'] }`;
      const who = principal();
      const call = service({ Type: 'bind', Source, Target: '/h' });
      const decision = decide(setOf(policyOf(rule)).forPrincipal(who), {
        principal: who,
        call,
        source: 'unix',
        at: NOW,
      });
      assert.equal(decision.effect, effect, Source);
    }
  });
  it('volumes and containers are looked up where host.binds is read', () => {
    const call = create({ Binds: ['v:/h'], VolumesFrom: ['c'] });
    const needed = (when: string) => {
      const rule = `- { name: a, effect: allow, actions: ["*"], when: ['${when}'] }`;
      return setOf(policyOf(rule))
        .forPrincipal(principal())
        .needsResolution(call)
        .map(({ name }) => name);
    };
    assert.deepEqual(
      needed('host.binds.all(b, b.readOnly)').filter((name) => ['v', 'c'].includes(name)),
      ['v', 'c'],
    );
    assert.deepEqual(needed('!host.Privileged'), []);
  });
  it('source is one address, however the listener tells it', () => {
    for (const [told, one] of [
      ['::ffff:127.0.0.1', '127.0.0.1'],
      ['::FFFF:7f00:1', '127.0.0.1'],
      ['0:0:0:0:0:ffff:127.0.0.1', '127.0.0.1'],
      ['127.0.0.1', '127.0.0.1'],
      ['fe80::1%eth0', 'fe80::1'],
      ['FE80:0:0:0::1%25eth0', 'fe80::1'],
      ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
      ['::1', '::1'],
      ['unix', 'unix'],
      ['unix:/run/x.sock', 'unix:/run/x.sock'],
      ['unknown', 'unknown'],
    ] as const) {
      assert.equal(normalSource(told), one);
      assert.equal(judged(`source == "${one}"`, create({}), told).effect, 'allow', told);
    }
  });
});
