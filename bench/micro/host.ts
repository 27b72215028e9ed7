// Cost of the host checks: a body as the docker CLI sends it with variables and labels, about 3 KB, clean and refused.
// Run: `node bench/micro/host.ts` or `deno run -A --no-check bench/micro/host.ts`. Medians and 99th percentiles in microseconds.
import { compileHostSpec } from '../../src/policy/host/index.ts';
import { alice, callOf, create } from '../../test/policy/host/calls.ts';

const resources = {
  ...{ CpuShares: 0, Memory: 268435456, NanoCpus: 1500000000, CgroupParent: '', BlkioWeight: 0, BlkioWeightDevice: [] },
  ...{ BlkioDeviceReadBps: [], BlkioDeviceWriteBps: [], BlkioDeviceReadIOps: [], BlkioDeviceWriteIOps: [] },
  ...{ CpuPeriod: 0, CpuQuota: 0, CpuRealtimePeriod: 0, CpuRealtimeRuntime: 0, CpusetCpus: '', CpusetMems: '' },
  ...{ Devices: [], DeviceCgroupRules: null, DeviceRequests: null, MemoryReservation: 0, MemorySwap: 0 },
  ...{ MemorySwappiness: -1, OomKillDisable: false, PidsLimit: 512, Ulimits: [], CpuCount: 0, CpuPercent: 0 },
  ...{ IOMaximumIOps: 0, IOMaximumBandwidth: 0 },
};
const host = {
  ...{ Binds: ['data:/var/lib/data:ro'], ContainerIDFile: '', LogConfig: { Type: '', Config: {} }, NetworkMode: 'app' },
  ...{
    PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '18080' }] },
    RestartPolicy: { Name: 'no' },
    AutoRemove: false,
  },
  ...{ VolumeDriver: '', VolumesFrom: null, ConsoleSize: [24, 80], CapAdd: null, CapDrop: ['ALL'], CgroupnsMode: '' },
  ...{ Dns: [], DnsOptions: [], DnsSearch: [], ExtraHosts: null, GroupAdd: null, IpcMode: '', Cgroup: '', Links: null },
  ...{ OomScoreAdj: 0, PidMode: '', Privileged: false, PublishAllPorts: false, ReadonlyRootfs: true, UTSMode: '' },
  ...{ SecurityOpt: ['no-new-privileges'], UsernsMode: '', ShmSize: 0, Isolation: '', ...resources },
  ...{ Mounts: [{ Type: 'volume', Source: 'cache', Target: '/cache' }], MaskedPaths: null, ReadonlyPaths: null },
};
const config = {
  ...{ Hostname: '', Domainname: '', User: '1000', AttachStdin: false, AttachStdout: true, AttachStderr: true },
  ...{ Tty: false, OpenStdin: false, StdinOnce: false, Volumes: {}, WorkingDir: '', Entrypoint: null, OnBuild: null },
  Env: Array.from({ length: 12 }, (_, i) => `SERVICE_SETTING_${i}=postgres://db-${i}.internal.example:5432/app`),
  Labels: Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`com.example.setting-${i}`, `value of ${i}`])),
  NetworkingConfig: { EndpointsConfig: { app: { IPAMConfig: null, Links: null, Aliases: ['app'], MacAddress: '' } } },
};

function measure(name: string, run: () => { readonly length: number }): void {
  const until = performance.now() + 400;
  while (performance.now() < until) run();
  const times: number[] = [];
  const end = performance.now() + 800;
  while (performance.now() < end) {
    const from = performance.now();
    for (let i = 0; i < 16; i += 1) run();
    times.push(((performance.now() - from) * 1000) / 16);
  }
  times.sort((a, b) => a - b);
  const at = (part: number): string => (times[Math.floor(times.length * part)] as number).toFixed(2);
  console.log(
    `${name.padEnd(40)} ${run().length} violations   p50 ${at(0.5).padStart(7)} us   p99 ${at(0.99).padStart(7)} us`,
  );
}

const clean = create(host, config);
console.log(`create body of ${JSON.stringify(clean.body).length} bytes`);
const baseline = compileHostSpec({
  preset: 'baseline',
  binds: ['/srv/ci'],
  limits: { memory: '4GiB', cpus: 2, pids: 512 },
});
const restricted = compileHostSpec({ preset: 'restricted', ports: ['18000-18999'] });
measure('baseline, clean create', () => baseline(clean, alice));
measure('restricted, clean create', () => restricted(clean, alice));
const hostile = create({ ...host, Privileged: true, Binds: ['/:/h'], CapAdd: ['SYS_ADMIN'], PidMode: 'host' }, config);
measure('baseline, hostile create', () => baseline(hostile, alice));
const exec = callOf('container.exec.create', { body: { Cmd: ['id'], Privileged: false, User: '' }, path: { id: 'x' } });
measure('baseline, exec', () => baseline(exec, alice));
const stop = callOf('container.stop', { path: { id: 'x' } });
measure('baseline, an action without a table', () => baseline(stop, alice));
