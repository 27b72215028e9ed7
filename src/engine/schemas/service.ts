// ServiceSpec: containers run by the swarm, judged like containers. Engine API 1.40 to 1.56.
import {
  bool,
  bytes,
  choice,
  empty,
  float32,
  int64,
  list,
  struct,
  text,
  textMap,
  texts,
  uint32,
  uint64,
} from '../schema.ts';
import { healthcheck } from './container.ts';
import { ulimit } from './host-config.ts';
import { serviceMountSchema } from './mount.ts';

const secure = { secure: true };

/** A driver with options: log drivers, secret drivers, templating. */
export const driver = struct('Driver', { Name: text, Options: textMap }, secure);

const privileges = struct(
  'Privileges',
  {
    CredentialSpec: struct('CredentialSpec', { Config: text, File: text, Registry: text }, secure),
    SELinuxContext: struct(
      'SELinuxContext',
      { Disable: bool, User: text, Role: text, Type: text, Level: text },
      secure,
    ),
    Seccomp: struct('SeccompOpts', { Mode: text, Profile: bytes }, secure),
    AppArmor: struct('AppArmorOpts', { Mode: text }, secure),
    NoNewPrivileges: bool,
  },
  secure,
);

const fileTarget = struct('FileTarget', { Name: text, UID: text, GID: text, Mode: uint32 }, secure);

const containerSpec = struct(
  'ContainerSpec',
  {
    Image: text,
    Labels: textMap,
    Command: texts,
    Args: texts,
    Hostname: text,
    Env: texts,
    Dir: text,
    User: text,
    Groups: texts,
    Privileges: privileges,
    Init: bool,
    StopSignal: text,
    TTY: bool,
    OpenStdin: bool,
    ReadOnly: bool,
    Mounts: list(serviceMountSchema),
    StopGracePeriod: int64,
    Healthcheck: healthcheck,
    Hosts: texts,
    DNSConfig: struct('DNSConfig', { Nameservers: texts, Search: texts, Options: texts }),
    Secrets: list(struct('SecretReference', { File: fileTarget, SecretID: text, SecretName: text }, secure)),
    Configs: list(
      struct('ConfigReference', { File: fileTarget, Runtime: empty, ConfigID: text, ConfigName: text }, secure),
    ),
    Isolation: text,
    Sysctls: textMap,
    CapabilityAdd: texts,
    CapabilityDrop: texts,
    Ulimits: list(ulimit),
    OomScoreAdj: int64,
  },
  secure,
);

/** Plugins are described in lower case. */
const pluginSpec = struct(
  'PluginSpec',
  {
    name: text,
    remote: text,
    privileges: list(struct('RuntimePrivilege', { name: text, description: text, value: texts }, secure)),
    disabled: bool,
    env: texts,
  },
  secure,
);

const networks = list(struct('NetworkAttachmentConfig', { Target: text, Aliases: texts, DriverOpts: textMap }, secure));

const genericResources = list(
  struct(
    'GenericResource',
    {
      NamedResourceSpec: struct('NamedGenericResource', { Kind: text, Value: text }, secure),
      DiscreteResourceSpec: struct('DiscreteGenericResource', { Kind: text, Value: int64 }, secure),
    },
    secure,
  ),
);

const taskSpec = struct(
  'TaskSpec',
  {
    ContainerSpec: containerSpec,
    PluginSpec: pluginSpec,
    NetworkAttachmentSpec: struct('NetworkAttachmentSpec', { ContainerID: text }, secure),
    Resources: struct(
      'ResourceRequirements',
      {
        Limits: struct('Limit', { NanoCPUs: int64, MemoryBytes: int64, Pids: int64 }, secure),
        Reservations: struct(
          'Resources',
          { NanoCPUs: int64, MemoryBytes: int64, GenericResources: genericResources },
          secure,
        ),
        SwapBytes: int64,
        MemorySwappiness: int64,
      },
      secure,
    ),
    RestartPolicy: struct('TaskRestartPolicy', { Condition: text, Delay: int64, MaxAttempts: uint64, Window: int64 }),
    Placement: struct('Placement', {
      Constraints: texts,
      Preferences: list(struct('PlacementPreference', { Spread: struct('SpreadOver', { SpreadDescriptor: text }) })),
      MaxReplicas: uint64,
      Platforms: list(struct('Platform', { Architecture: text, OS: text })),
    }),
    Networks: networks,
    LogDriver: driver,
    ForceUpdate: uint64,
    Runtime: text,
  },
  secure,
);

const updateConfig = struct('UpdateConfig', {
  Parallelism: uint64,
  Delay: int64,
  FailureAction: text,
  Monitor: int64,
  MaxFailureRatio: float32,
  Order: text,
});

/** Body of POST /services/create and /services/{id}/update. */
export const serviceSpec = struct('ServiceSpec', {
  Name: text,
  Labels: textMap,
  TaskTemplate: taskSpec,
  Mode: struct('ServiceMode', {
    Replicated: struct('ReplicatedService', { Replicas: uint64 }),
    Global: empty,
    ReplicatedJob: struct('ReplicatedJob', { MaxConcurrent: uint64, TotalCompletions: uint64 }),
    GlobalJob: empty,
  }),
  UpdateConfig: updateConfig,
  RollbackConfig: updateConfig,
  Networks: networks,
  EndpointSpec: struct(
    'EndpointSpec',
    {
      Mode: choice('vip', 'dnsrr'),
      Ports: list(
        struct(
          'PortConfig',
          {
            Name: text,
            Protocol: choice('tcp', 'udp', 'sctp'),
            TargetPort: uint32,
            PublishedPort: uint32,
            PublishMode: choice('ingress', 'host'),
          },
          secure,
        ),
      ),
    },
    secure,
  ),
});
