// How the stand-in shows itself, its images and its containers in the Engine API's JSON. It says everywhere that it is a stand-in.
import { type Container, type Containers, type Exec, mountsOf } from './containers.ts';
import { STANDIN_NAME } from './fault.ts';
import type { Image } from './images.ts';

/** Engine API versions served, as minor numbers of 1.x. */
export const MIN_MINOR = 24;
export const MAX_MINOR = 51;
const PLATFORM = 'stand-in of dockgate: nothing it runs is a real container';
const VERSION = `${STANDIN_NAME} (no real engine)`;
const CREATED = '2026-01-01T00:00:00Z';

export const PING_HEADERS = {
  'Api-Version': `1.${MAX_MINOR}`,
  'Docker-Experimental': 'false',
  Ostype: 'linux',
  'Builder-Version': '1',
  Swarm: 'inactive',
  Server: STANDIN_NAME,
};

export const showVersion = () => ({
  Platform: { Name: PLATFORM },
  Components: [
    { Name: 'Engine', Version: VERSION, Details: { ApiVersion: `1.${MAX_MINOR}`, MinAPIVersion: `1.${MIN_MINOR}` } },
  ],
  Version: VERSION,
  ApiVersion: `1.${MAX_MINOR}`,
  MinAPIVersion: `1.${MIN_MINOR}`,
  GitCommit: 'none',
  GoVersion: 'none',
  Os: 'linux',
  Arch: process.arch === 'arm64' ? 'arm64' : 'amd64',
  KernelVersion: 'none',
  BuildTime: CREATED,
});

export function showInfo({ all: containers, images, info }: Containers) {
  const all = [...containers.values()];
  const running = all.filter((container) => container.process.running).length;
  return {
    ID: STANDIN_NAME,
    Name: STANDIN_NAME,
    ServerVersion: STANDIN_NAME,
    Containers: all.length,
    ContainersRunning: running,
    ContainersPaused: 0,
    ContainersStopped: all.length - running,
    Images: images.all.length,
    Driver: 'memory',
    OperatingSystem: PLATFORM,
    OSType: 'linux',
    Architecture: process.arch,
    KernelVersion: 'none',
    NCPU: 1,
    MemTotal: 0,
    DockerRootDir: '/nonexistent',
    SystemTime: new Date().toISOString(),
    LoggingDriver: 'json-file',
    CgroupDriver: 'none',
    DefaultRuntime: 'none',
    Runtimes: {},
    Plugins: { Volume: [], Network: [], Authorization: null, Log: [] },
    RegistryConfig: { IndexConfigs: {}, InsecureRegistryCIDRs: [], Mirrors: [] },
    Swarm: { NodeID: '', LocalNodeState: 'inactive', ControlAvailable: false, RemoteManagers: null },
    SecurityOptions: [],
    ...info,
    Warnings: [`WARNING: this is ${STANDIN_NAME}, not a Docker Engine`],
  };
}

const stateOf = ({ process, isPaused }: Container): string =>
  isPaused ? 'paused' : process.running ? 'running' : process.exitCode === undefined ? 'created' : 'exited';

const ago = (since: Date): string => {
  const seconds = Math.round((Date.now() - since.getTime()) / 1000);
  return seconds < 60 ? `${seconds} seconds` : `${Math.round(seconds / 60)} minutes`;
};

/** A row of `GET /containers/json`. */
export function listContainer(container: Container) {
  const state = stateOf(container);
  const { argv } = container.process.options;
  return {
    Id: container.id,
    Names: [`/${container.name}`],
    Image: container.imageName,
    ImageID: container.image.id,
    Command: argv.join(' '),
    Created: Math.floor(container.createdAt.getTime() / 1000),
    Ports: Object.entries(portsOf(container)).flatMap(([port, bindings]) => {
      const [number, Type = 'tcp'] = port.split('/');
      return bindings.map(({ HostIp, HostPort }) => ({
        IP: HostIp,
        PrivatePort: Number(number),
        PublicPort: Number(HostPort),
        Type,
      }));
    }),
    Labels: container.config.Labels ?? {},
    State: state,
    Status:
      state === 'running'
        ? `Up ${ago(container.startedAt ?? container.createdAt)}`
        : state === 'exited'
          ? `Exited (${container.process.exitCode}) ${ago(container.finishedAt ?? container.createdAt)} ago`
          : 'Created',
    HostConfig: { NetworkMode: container.hostConfig.NetworkMode ?? 'default' },
    NetworkSettings: { Networks: Object.fromEntries(container.endpoints) },
    Mounts: mountsOf(container),
  };
}

interface PortBinding {
  readonly HostIp: string;
  readonly HostPort: string;
}

/** Where published ports are: as asked for, from 32768 on where the engine chooses. */
function portsOf({ hostConfig, process }: Container): Readonly<Record<string, readonly PortBinding[]>> {
  if (!process.running) return {};
  const asked = (hostConfig.PortBindings ?? {}) as Readonly<Record<string, readonly Partial<PortBinding>[] | null>>;
  return Object.fromEntries(
    Object.entries(asked).map(([port, bindings], i) => [
      port,
      (bindings ?? []).map(({ HostIp, HostPort }) => ({
        HostIp: HostIp || '0.0.0.0',
        HostPort: HostPort || String(32_768 + i),
      })),
    ]),
  );
}

/** The engine fills in a driver where none is asked for, and clients read it. */
function logConfigOf({ hostConfig }: Container): object {
  const { Type, Config } = (hostConfig.LogConfig ?? {}) as { Type?: string; Config?: object };
  return { Type: Type || 'json-file', Config: Config ?? {} };
}

const NEVER = '0001-01-01T00:00:00Z';

/** Answer of `GET /containers/{id}/json`. */
export function inspectContainer(container: Container) {
  const { process } = container;
  const [path = '', ...args] = process.options.argv;
  return {
    Id: container.id,
    Created: container.createdAt.toISOString(),
    Path: path,
    Args: args,
    State: {
      Status: stateOf(container),
      Running: process.running,
      Paused: container.isPaused,
      Restarting: false,
      OOMKilled: false,
      Dead: false,
      Pid: process.running ? 1 : 0,
      ExitCode: process.exitCode ?? 0,
      Error: '',
      StartedAt: container.startedAt?.toISOString() ?? NEVER,
      FinishedAt: container.finishedAt?.toISOString() ?? NEVER,
      ...(process.running && container.config.Healthcheck !== undefined
        ? { Health: { Status: 'healthy', FailingStreak: 0, Log: [] } }
        : {}),
    },
    Image: container.image.id,
    Name: `/${container.name}`,
    RestartCount: 0,
    Driver: 'memory',
    Platform: 'linux',
    HostConfig: { ...container.hostConfig, LogConfig: logConfigOf(container) },
    Config: { Env: [], Cmd: null, Labels: {}, ...container.config },
    NetworkSettings: {
      Ports: portsOf(container),
      IPAddress: String(container.endpoints.get('bridge')?.IPAddress ?? ''),
      Networks: Object.fromEntries(container.endpoints),
    },
    Mounts: mountsOf(container),
  };
}

/** Answer of `GET /exec/{id}/json`. */
export const inspectExec = ({ id, container, process, config }: Exec) => ({
  ID: id,
  ContainerID: container.id,
  Running: process.running,
  ExitCode: process.exitCode ?? null,
  ProcessConfig: {
    tty: config.Tty === true,
    entrypoint: process.options.argv[0],
    arguments: process.options.argv.slice(1),
  },
  OpenStdin: config.AttachStdin === true,
  OpenStdout: config.AttachStdout === true,
  OpenStderr: config.AttachStderr === true,
  CanRemove: false,
  Pid: process.running ? 2 : 0,
});

/** A row of `GET /images/json`. */
export const listImage = ({ id, tags, size, config }: Image) => ({
  Id: id,
  ParentId: '',
  RepoTags: tags.filter((tag) => !tag.includes('@')),
  RepoDigests: tags.filter((tag) => tag.includes('@')),
  Created: Date.parse(CREATED) / 1000,
  Size: size,
  SharedSize: -1,
  Containers: -1,
  Labels: config.Labels ?? {},
});

/** Answer of `GET /images/{name}/json`. */
export const inspectImage = ({ id, tags, size, config }: Image) => ({
  Id: id,
  RepoTags: tags.filter((tag) => !tag.includes('@')),
  RepoDigests: tags.filter((tag) => tag.includes('@')),
  Created: CREATED,
  Size: size,
  Os: 'linux',
  Architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
  Config: { Env: [], Labels: {}, ...config },
  RootFS: { Type: 'layers', Layers: [] },
});
