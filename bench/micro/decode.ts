// Cost of decoding and rendering container create bodies, beside JSON.parse of the same bytes in the same run.
// Run: `node bench/micro/decode.ts` or `deno run -A --no-check bench/micro/decode.ts`. Medians and 99th percentiles in microseconds.

import { toCall } from '../../src/engine/call.ts';
import { decodeBody } from '../../src/engine/decode.ts';
import { readJson } from '../../src/engine/json.ts';
import { renderBody } from '../../src/engine/render-body.ts';
import type { Operation, Target } from '../../src/engine/types.ts';

const operation: Operation = {
  id: 'ContainerCreate',
  method: 'POST',
  path: '/containers/create',
  action: 'container.create',
  resource: 'container',
  class: 'write',
  stream: 'none',
  waits: false,
  body: 'ContainerCreateRequest',
  risk: ['escalates'],
  served: true,
  firstMinor: 2,
};
const target: Target = {
  operation,
  action: operation.action,
  apiVersion: '1.51',
  path: {},
  query: { name: ['bench'] },
};
const type = ['application/json'];
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What the docker CLI sends for a plain run, every key with its zero value, plus a few variables and labels. */
function createBody(variables: number): Uint8Array {
  const env: string[] = [];
  for (let i = 0; i < variables; i += 1) env.push(`SERVICE_SETTING_${i}=postgres://db-${i}.internal.example:5432/app`);
  const labels: Record<string, string> = {};
  for (let i = 0; i < variables / 2; i += 1) labels[`com.example.compose.setting-${i}`] = `value of the setting ${i}`;
  return encoder.encode(
    JSON.stringify({
      Hostname: '',
      Domainname: '',
      User: '',
      AttachStdin: false,
      AttachStdout: true,
      AttachStderr: true,
      Tty: false,
      OpenStdin: false,
      StdinOnce: false,
      Env: env,
      Cmd: ['sh', '-c', 'echo "hello"\nsleep 60'],
      Image: 'registry.example.test:5000/team/app:1.4.2',
      Volumes: {},
      WorkingDir: '',
      Entrypoint: null,
      OnBuild: null,
      Labels: labels,
      HostConfig: {
        Binds: ['data:/var/lib/data:ro'],
        ContainerIDFile: '',
        LogConfig: { Type: '', Config: {} },
        NetworkMode: 'app-net',
        PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '18080' }] },
        RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
        AutoRemove: false,
        VolumeDriver: '',
        VolumesFrom: null,
        ConsoleSize: [24, 80],
        CapAdd: null,
        CapDrop: ['ALL'],
        CgroupnsMode: '',
        Dns: [],
        DnsOptions: [],
        DnsSearch: [],
        ExtraHosts: null,
        GroupAdd: null,
        IpcMode: '',
        Cgroup: '',
        Links: null,
        OomScoreAdj: 0,
        PidMode: '',
        Privileged: false,
        PublishAllPorts: false,
        ReadonlyRootfs: true,
        SecurityOpt: ['no-new-privileges'],
        UTSMode: '',
        UsernsMode: '',
        ShmSize: 0,
        Isolation: '',
        CpuShares: 0,
        Memory: 268435456,
        NanoCpus: 1500000000,
        CgroupParent: '',
        BlkioWeight: 0,
        BlkioWeightDevice: [],
        BlkioDeviceReadBps: [],
        BlkioDeviceWriteBps: [],
        BlkioDeviceReadIOps: [],
        BlkioDeviceWriteIOps: [],
        CpuPeriod: 0,
        CpuQuota: 0,
        CpuRealtimePeriod: 0,
        CpuRealtimeRuntime: 0,
        CpusetCpus: '',
        CpusetMems: '',
        Devices: [],
        DeviceCgroupRules: null,
        DeviceRequests: null,
        MemoryReservation: 0,
        MemorySwap: 0,
        MemorySwappiness: null,
        OomKillDisable: false,
        PidsLimit: 512,
        Ulimits: [],
        CpuCount: 0,
        CpuPercent: 0,
        IOMaximumIOps: 0,
        IOMaximumBandwidth: 0,
        Mounts: [{ Type: 'volume', Source: 'cache', Target: '/cache' }],
        MaskedPaths: null,
        ReadonlyPaths: null,
      },
      NetworkingConfig: {
        EndpointsConfig: { 'app-net': { IPAMConfig: null, Links: null, Aliases: ['app'], MacAddress: '' } },
      },
    }),
  );
}

function measure(name: string, bytes: number, run: () => unknown): void {
  const until = performance.now() + 400;
  while (performance.now() < until) run();
  const times: number[] = [];
  const end = performance.now() + 800;
  while (performance.now() < end) {
    const from = performance.now();
    for (let i = 0; i < 8; i += 1) run();
    times.push(((performance.now() - from) * 1000) / 8);
  }
  times.sort((a, b) => a - b);
  const at = (part: number): string => (times[Math.floor(times.length * part)] as number).toFixed(1);
  console.log(
    `${name.padEnd(28)} ${String(bytes).padStart(8)} B   p50 ${at(0.5).padStart(9)} us   p99 ${at(0.99).padStart(9)} us`,
  );
}

for (const variables of [12, 1050]) {
  const body = createBody(variables);
  measure('JSON.parse', body.length, () => JSON.parse(decoder.decode(body)));
  measure('decodeBody', body.length, () => decodeBody(target, type, body));
  measure('readJson', body.length, () => readJson(body));
  const value = decodeBody(target, type, body);
  measure('renderBody', body.length, () => renderBody({ operation, body: value }));
  measure('JSON.stringify', body.length, () => encoder.encode(JSON.stringify(value)));
  measure('decodeBody and toCall', body.length, () => toCall(target, decodeBody(target, type, body)));
}

const wide = { maxBytes: 64 << 20, maxDepth: 20_000, maxElements: 1_000_000, maxKeys: 1_000_000 };
const text = (value: string): Uint8Array => encoder.encode(value);
const keys = text(`{"Labels":{${Array.from({ length: 100_000 }, (_, i) => `"k${i}":"v"`).join(',')}}}`);
const unknownKeys = text(`{${Array.from({ length: 100_000 }, (_, i) => `"k${i}":1`).join(',')}}`);
const big = text(`{"Env":["${'x'.repeat(10 << 20)}"]}`);
const escaped = text(`{"Env":["${'\\n'.repeat(5 << 20)}"]}`);
const deep = text(`{"z":${'['.repeat(10_000)}${']'.repeat(10_000)}}`);
measure('100 000 map keys', keys.length, () => decodeBody(target, type, keys, wide));
measure('100 000 unknown keys', unknownKeys.length, () => decodeBody(target, type, unknownKeys, wide));
measure('one string of 10 MiB', big.length, () => decodeBody(target, type, big, wide));
measure('10 MiB of escapes', escaped.length, () => decodeBody(target, type, escaped, wide));
measure('depth 10 000', deep.length, () => decodeBody(target, type, deep, wide));
