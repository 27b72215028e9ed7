// Amounts and texts by what engine and kernel make of them: what rounds, wraps or lists is refused, its nearest neighbour is not.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EngineCall } from '../../../src/engine/types.ts';
import { NO_SHARE, shareAfterUpdate, shareOfCreate } from '../../../src/ledger/share.ts';
import { compileHostSpec, type HostSpec } from '../../../src/policy/host/index.ts';
import { alice, callOf, create } from './calls.ts';

const baseline: HostSpec = { preset: 'baseline', sysctls: ['net.ipv4.conf.*'] };
const cards: HostSpec = { preset: 'baseline', devices: [{ gpu: 1 }] };
const service = (task: object) =>
  callOf('service.create', { body: { Name: 's', TaskTemplate: { ContainerSpec: { Image: 'busybox' }, ...task } } });
const log = (Config: object, Type = 'json-file') => create({ LogConfig: { Type, Config } });
const gpus = (...DeviceIDs: string[]) => create({ DeviceRequests: [{ DeviceIDs, Capabilities: [['gpu']] }] });
const sysctl = (name: string, value: string) => create({ Sysctls: { [name]: value } });
const UUID = 'GPU-3faec1b0-2b7c-4e0a-9f53-0123456789ab';
const tmpfs = (options: string) => create({ Tmpfs: { '/t': options } });
const volume = (DriverOpts: object) => callOf('volume.create', { body: { Name: 'v', DriverOpts } });
const blkio = (Path: string) => create({ BlkioDeviceReadBps: [{ Path, Rate: 1 }] });

const ROWS: readonly [title: string, call: EngineCall, isRefused: boolean, spec?: HostSpec][] = [
  ['a billionth of a processor', create({ NanoCpus: 1 }), true],
  ['a millionth of a processor, a quota of one microsecond', create({ NanoCpus: 10_000 }), true],
  ['just below a hundredth', create({ NanoCpus: 9_999_999 }), true],
  ['a hundredth of a processor', create({ NanoCpus: 10_000_000 }), false],
  ['no word of processors', create({ NanoCpus: 0 }), false],
  ['fewer than none', create({ NanoCpus: -1 }), true],
  ['a billionth by an update', callOf('container.update', { body: { NanoCpus: 1 } }), true],
  ['a hundredth by an update', callOf('container.update', { body: { NanoCpus: 10_000_000 } }), false],
  ['a billionth of a service', service({ Resources: { Limits: { NanoCPUs: 1 } } }), true],
  ['a tenth for a service', service({ Resources: { Limits: { NanoCPUs: 100_000_000 } } }), false],

  ['cards in one name', gpus('0,1,2,3'), true, cards],
  ['every card by a word', gpus('all'), true, cards],
  ['the start of a UUID, which may be any card', gpus('GPU-'), true, cards],
  ['two cards where one is allowed', gpus('0', '1'), true, cards],
  ['one card by its number', gpus('1'), false, cards],
  ['one card by its UUID', gpus(UUID), false, cards],
  ['an instance of a card', gpus('0:1'), false, cards],
  ['any name where every card is allowed', gpus('0,1'), false, { preset: 'baseline', devices: [{ gpu: 'all' }] }],

  [
    'a setting after a comma',
    sysctl('net.ipv4.conf.eth0.log_martians', '1,net.ipv4.conf.IFNAME.route_localnet=1'),
    true,
  ],
  ['a listed setting', sysctl('net.ipv4.conf.eth0.log_martians', '1'), false],
  ['a setting over two lines', sysctl('net.ipv4.conf.eth0.log_martians', '1\n2'), true],
  ['text in a setting that holds a number', sysctl('net.ipv4.ip_unprivileged_port_start', '0 x'), true],
  ['an empty number', sysctl('net.ipv4.tcp_keepalive_time', ''), true],
  ['a number', sysctl('net.ipv4.ip_unprivileged_port_start', '0'), false],
  ['one number for a range', sysctl('net.ipv4.ip_local_port_range', '1024'), true],
  ['a range', sysctl('net.ipv4.ip_local_port_range', '1024 65000'), false],
  ['a range with a tab', sysctl('net.ipv4.ping_group_range', '0\t2147483647'), false],
  ['a list of ports', sysctl('net.ipv4.ip_local_reserved_ports', '8080,9000-9010'), false],
  ['something else in a list of ports', sysctl('net.ipv4.ip_local_reserved_ports', '8080,net.ipv4.x=1'), true],
  ['a flag that is none', sysctl('kernel.shm_rmid_forced', '2'), true],
  ['a flag', sysctl('kernel.shm_rmid_forced', '1'), false],
  [
    'a setting of a service after a comma',
    service({ ContainerSpec: { Image: 'x', Sysctls: { 'net.ipv4.conf.eth0.x': '1,y=2' } } }),
    true,
  ],

  ['fifty gigabytes of log in the engine', log({ mode: 'non-blocking', 'max-buffer-size': '50g' }), true],
  [
    'the same under another driver the policy lists',
    log({ mode: 'non-blocking', 'max-buffer-size': '50g' }, 'syslog'),
    true,
    { preset: 'baseline', logDrivers: ['syslog'] },
  ],
  [
    'the same for a service',
    service({ LogDriver: { Name: 'local', Options: { mode: 'non-blocking', 'max-buffer-size': '1g' } } }),
    true,
  ],
  ['the buffer of the examples', log({ mode: 'non-blocking', 'max-buffer-size': '4m' }), false],
  ['a log without end', log({ 'max-size': '-1' }), true],
  ['a log of nothing', log({ 'max-size': '0' }), true],
  ['a log of ten megabytes in three files', log({ 'max-size': '10m', 'max-file': '3' }), false],
  ['a log in a million files', log({ 'max-size': '10m', 'max-file': '1000000' }), true],
  ['an unknown mode', log({ mode: 'x' }), true],

  ['a tmpfs of size 0', tmpfs('size=0'), true],
  ['a tmpfs of size 00k', tmpfs('size=00k'), true],
  ['a tmpfs whose size wraps around', tmpfs('size=16e'), true],
  ['a tmpfs of more than there is', tmpfs('size=99999999999999999999'), true],
  ['a tmpfs of no per cent', tmpfs('size=0%'), true],
  ['a tmpfs without a limit of files', tmpfs('nr_inodes=0'), true],
  ['a tmpfs without a limit of blocks', tmpfs('nr_blocks=0k'), true],
  ['a tmpfs of a size', tmpfs('rw,noexec,nosuid,size=65536k,nr_inodes=1k,mode=1777,uid=0'), false],
  ['a tmpfs of half the memory', tmpfs('size=50%'), false],
  [
    'a mount of a tmpfs below zero',
    create({ Mounts: [{ Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: -1 } }] }),
    true,
  ],
  [
    'a mount of a tmpfs',
    create({ Mounts: [{ Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: 65536 } }] }),
    false,
  ],
  ['a volume of a tmpfs of size 0', volume({ type: 'tmpfs', device: 'tmpfs', o: 'size=0' }), true],
  ['a volume of a tmpfs', volume({ type: 'tmpfs', device: 'tmpfs', o: 'size=1m' }), false],
  ['a volume with a quota of 0', volume({ size: '0' }), true],
  ['a volume with a quota', volume({ size: '10G' }), false],

  ['a path of the host as a block device', blkio('/root/.ssh'), true],
  ['a path that leaves /dev', blkio('/dev/../root'), true],
  ['a path beside /dev', blkio('/device'), true],
  ['the folder /dev', blkio('/dev/'), true],
  ['a block device', blkio('/dev/sda'), false],
  ['a block device by its id', blkio('/dev/disk/by-id/x.y-1'), false],
  ['the weight of a path of the host', create({ BlkioWeightDevice: [{ Path: '/etc/x', Weight: 10 }] }), true],
  [
    'writes to a path by an update',
    callOf('container.update', { body: { BlkioDeviceWriteIOps: [{ Path: '/etc/x', Rate: 1 }] } }),
    true,
  ],

  ['a priority in real time', create({ Ulimits: [{ Name: 'rtprio', Soft: 99, Hard: 99 }] }), true],
  ['a priority before others', create({ Ulimits: [{ Name: 'NICE', Soft: 40, Hard: 40 }] }), true],
  [
    'a priority of a service',
    service({ ContainerSpec: { Image: 'x', Ulimits: [{ Name: 'rtprio', Soft: 9, Hard: 9 }] } }),
    true,
  ],
  ['locked memory without end', create({ Ulimits: [{ Name: 'memlock', Soft: -1, Hard: -1 }] }), false],
];

describe('amounts', () => {
  for (const [title, call, isRefused, spec = baseline] of ROWS) {
    it(`${title}: ${isRefused ? 'refused' : 'let through'}`, () => {
      const found = compileHostSpec(spec)(call, alice);
      assert.equal(found.length > 0, isRefused, found[0]?.message ?? 'let through');
      if (isRefused) assert.match(found[0]?.message ?? '', /allowed: /);
    });
  }
  it('count in the ledger as what the engine makes of them', () => {
    const share = (NanoCpus: number) => shareOfCreate({ HostConfig: { NanoCpus } }).nanoCpus;
    assert.deepEqual([share(1), share(9_999_999), share(10_000_000), share(0)], [0, 0, 10_000_000, 0]);
    assert.equal(shareAfterUpdate({ ...NO_SHARE, nanoCpus: 1e9 }, { NanoCpus: 1 }).nanoCpus, 0);
    assert.equal(shareAfterUpdate({ ...NO_SHARE, nanoCpus: 1e9 }, { NanoCpus: 0 }).nanoCpus, 1e9);
  });
});
