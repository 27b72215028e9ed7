// Arbitrary bodies a real engine accepts, in spellings no client of ours would choose: keys folded, escaped and shuffled,
// white space anywhere, one string for a list. For comparing what was judged with what the engine then holds.
import fc from 'fast-check';
import { quoted, space, spelled } from '../engine/body-texts.ts';

/** Values a field may take; the engine must accept each. */
export type FieldValues = Readonly<Record<string, readonly unknown[]>>;

/** Keys of structs are spelled oddly, those of maps are only escaped: the engine keeps them as they are. */
type Shape = 'struct' | 'map';

const MAPS = new Set([
  ...['Labels', 'Sysctls', 'Tmpfs', 'Volumes', 'ExposedPorts', 'PortBindings', 'Annotations', 'Config', 'DriverOpts'],
  ...['Options', 'EndpointsConfig', 'StorageOpt'],
]);

/** JSON text of a value, oddly spelled. */
function textOf(value: unknown, shape: Shape): fc.Arbitrary<string> {
  if (typeof value === 'string') return quoted(value);
  if (Array.isArray(value)) {
    const items = value.map((item) => textOf(item, 'struct'));
    return fc.tuple(space, ...items).map(([a, ...texts]) => `[${a}${texts.join(`${a},`)}${a}]`);
  }
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(([key, item]) => {
      const name = shape === 'map' ? fc.constant(key) : spelled(key);
      return fc.tuple(name.chain(quoted), textOf(item, MAPS.has(key) && shape === 'struct' ? 'map' : 'struct'));
    });
    return fc
      .tuple(
        space,
        fc.shuffledSubarray(members, { minLength: members.length }).chain((all) => fc.tuple(...all)),
      )
      .map(([a, pairs]) => `${a}{${a}${pairs.map(([key, text]) => `${key}${a}:${text}`).join(`,${a}`)}}${a}`);
  }
  return fc.constant(JSON.stringify(value));
}

/** Some of the fields, each with one of its values. */
const some = (fields: FieldValues): fc.Arbitrary<Record<string, unknown>> =>
  fc
    .tuple(
      ...Object.entries(fields).map(([name, values]) =>
        fc.tuple(fc.constant(name), fc.constantFrom(...values), fc.integer({ min: 0, max: 3 })),
      ),
    )
    .map((chosen) => Object.fromEntries(chosen.filter(([, , n]) => n < 2).map(([name, value]) => [name, value])));

/** A body's text from the fields it must hold and some of those it may hold. */
export const oddBody = (
  always: Readonly<Record<string, unknown>>,
  may: FieldValues,
  inside: Readonly<Record<string, FieldValues>> = {},
): fc.Arbitrary<string> =>
  fc.tuple(some(may), ...Object.values(inside).map(some)).chain(([fields, ...structs]) => {
    const body: Record<string, unknown> = { ...fields, ...always };
    for (const [i, name] of Object.keys(inside).entries())
      body[name] = { ...(structs[i] ?? {}), ...(always[name] as object | undefined) };
    return textOf(body, 'struct');
  });

const MIB = 1024 * 1024;

export const CONFIG: FieldValues = {
  Hostname: ['', 'web', 'HOST'],
  User: ['', '1000', 'root:root'],
  Env: [null, [], ['A=1', 'HostConfig={"Privileged":true}'], ['ü=\u2028']],
  Cmd: [null, ['sleep', '60'], 'true', ['sh', '-c', 'echo "x"\n']],
  Entrypoint: [null, '/bin/sh', ['/bin/echo', '']],
  WorkingDir: ['', '/tmp'],
  Labels: [null, {}, { a: '1', A: '2' }, { Privileged: 'true', '': 'x', __proto__x: 'y' }],
  Tty: [true, false],
  OpenStdin: [true, false],
  StopSignal: ['', 'SIGINT'],
  StopTimeout: [3, 0, null],
  ExposedPorts: [null, { '80/tcp': {} }],
  Volumes: [null, {}, { '/data': {} }],
  Healthcheck: [null, { Test: ['CMD', 'true'], Interval: 1_000_000_000, Retries: 2 }],
};

export const HOST: FieldValues = {
  Privileged: [true, false, null],
  CapAdd: [null, [], ['SYS_ADMIN'], 'NET_ADMIN', ['CHOWN', 'KILL']],
  CapDrop: [null, ['ALL'], 'MKNOD'],
  Binds: [null, [], ['/tmp:/host:ro'], ['dgx-volume:/data']],
  Tmpfs: [null, {}, { '/run': 'rw,noexec,size=64k' }],
  PidMode: ['', 'host'],
  IpcMode: ['', 'none', 'private', 'shareable', 'host'],
  UTSMode: ['', 'host'],
  CgroupnsMode: ['', 'private', 'host'],
  SecurityOpt: [null, [], ['no-new-privileges'], ['seccomp=unconfined', 'label=disable']],
  Sysctls: [null, {}, { 'net.ipv4.ip_unprivileged_port_start': '0' }],
  Memory: [0, 64 * MIB],
  NanoCpus: [0, 500_000_000],
  CpuShares: [0, 512],
  PidsLimit: [0, 100, -1, null],
  OomScoreAdj: [0, 500, -5],
  ShmSize: [0, 4 * MIB],
  ReadonlyRootfs: [true, false],
  AutoRemove: [true, false],
  Init: [true, false, null],
  GroupAdd: [null, ['0', 'audio']],
  ExtraHosts: [null, ['a:192.0.2.1']],
  Dns: [null, [], ['192.0.2.53']],
  Devices: [null, [], [{ PathOnHost: '/dev/null', PathInContainer: '/dev/n', CgroupPermissions: 'rwm' }]],
  Ulimits: [null, [{ Name: 'nofile', Soft: 64, Hard: 128 }]],
  LogConfig: [
    { Type: '', Config: {} },
    { Type: 'json-file', Config: { 'max-size': '1m' } },
    { Type: 'none', Config: {} },
  ],
  MaskedPaths: [null, [], ['/proc/acpi']],
  Mounts: [
    null,
    [],
    [{ Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: 65536, Mode: 448 } }],
    [{ Type: 'bind', Source: '/tmp', Target: '/m', ReadOnly: true, BindOptions: { Propagation: 'rprivate' } }],
  ],
};

export const UPDATE: FieldValues = {
  CpuShares: [256, 1024],
  PidsLimit: [50, -1],
  Memory: [32 * MIB],
  MemorySwap: [-1],
  CpusetCpus: ['0'],
  RestartPolicy: [
    { Name: 'always', MaximumRetryCount: 0 },
    { Name: 'on-failure', MaximumRetryCount: 3 },
  ],
};

export const EXEC: FieldValues = {
  Privileged: [true, false],
  Tty: [true, false],
  User: ['', 'root', '1000'],
  AttachStdout: [true, false],
  AttachStderr: [true, false],
  WorkingDir: ['', '/tmp'],
  Env: [null, ['A=1']],
};

export const VOLUME: FieldValues = {
  Driver: ['', 'local'],
  DriverOpts: [null, {}, { type: 'tmpfs', device: 'tmpfs', o: 'size=1m' }, { type: 'none', o: 'bind', device: '/tmp' }],
  Labels: [null, {}, { o: 'bind', device: '/' }],
};

export const NETWORK: FieldValues = {
  Driver: ['', 'bridge'],
  Attachable: [true, false],
  EnableIPv6: [false],
  Options: [null, {}, { 'com.docker.network.driver.mtu': '1400' }, { 'com.docker.network.bridge.enable_icc': 'false' }],
  Labels: [null, { driver: 'macvlan' }],
};
