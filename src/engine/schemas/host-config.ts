// HostConfig and its parts: how a container reaches its host. Also the body of a container update.
// Field names and types follow the Engine API 1.40 to 1.51, and 1.56 where it adds one.
// See https://docs.docker.com/reference/api/engine/

import type { Fields } from '../schema.ts';
import {
  bool,
  boundPorts,
  int,
  int64,
  list,
  strings,
  struct,
  text,
  textMap,
  texts,
  uint,
  uint16,
  uint32,
  uint64,
} from '../schema.ts';
import { mountSchema } from './mount.ts';

const throttleDevice = struct('ThrottleDevice', { Path: text, Rate: uint64 }, { secure: true });
const weightDevice = struct('WeightDevice', { Path: text, Weight: uint16 }, { secure: true });
const deviceMapping = struct(
  'DeviceMapping',
  { PathOnHost: text, PathInContainer: text, CgroupPermissions: text },
  { secure: true },
);
const deviceRequest = struct(
  'DeviceRequest',
  { Driver: text, Count: int, DeviceIDs: texts, Capabilities: list(texts), Options: textMap },
  { secure: true },
);

/** Ulimit of a container or a service. */
export const ulimit = struct('Ulimit', { Name: text, Hard: int64, Soft: int64 }, { secure: true });

export const restartPolicy = struct('RestartPolicy', { Name: text, MaximumRetryCount: int });
export const logConfig = struct('LogConfig', { Type: text, Config: textMap }, { secure: true });
const portBinding = struct('PortBinding', { HostIp: text, HostPort: text }, { secure: true });

/** Fields of the Go struct Resources, which HostConfig and an update embed. */
export const resourcesFields: Fields = {
  CpuShares: int64,
  Memory: int64,
  NanoCpus: int64,
  CgroupParent: text,
  BlkioWeight: uint16,
  BlkioWeightDevice: list(weightDevice),
  BlkioDeviceReadBps: list(throttleDevice),
  BlkioDeviceWriteBps: list(throttleDevice),
  BlkioDeviceReadIOps: list(throttleDevice),
  BlkioDeviceWriteIOps: list(throttleDevice),
  CpuPeriod: int64,
  CpuQuota: int64,
  CpuRealtimePeriod: int64,
  CpuRealtimeRuntime: int64,
  CpusetCpus: text,
  CpusetMems: text,
  Devices: list(deviceMapping),
  DeviceCgroupRules: texts,
  DeviceRequests: list(deviceRequest),
  KernelMemory: int64,
  KernelMemoryTCP: int64,
  MemoryReservation: int64,
  MemorySwap: int64,
  MemorySwappiness: int64,
  OomKillDisable: bool,
  PidsLimit: int64,
  Ulimits: list(ulimit),
  CpuCount: int64,
  CpuPercent: int64,
  IOMaximumIOps: uint64,
  IOMaximumBandwidth: uint64,
};

export const hostConfigFields: Fields = {
  Binds: texts,
  ContainerIDFile: text,
  LogConfig: logConfig,
  NetworkMode: text,
  PortBindings: boundPorts(list(portBinding)),
  RestartPolicy: restartPolicy,
  AutoRemove: bool,
  VolumeDriver: text,
  VolumesFrom: texts,
  ConsoleSize: list(uint, 2),
  Annotations: textMap,
  CapAdd: strings,
  CapDrop: strings,
  CgroupnsMode: text,
  Dns: texts,
  DnsOptions: texts,
  DnsSearch: texts,
  ExtraHosts: texts,
  GroupAdd: texts,
  IpcMode: text,
  Cgroup: text,
  Links: texts,
  OomScoreAdj: int,
  PidMode: text,
  Privileged: bool,
  PublishAllPorts: bool,
  ReadonlyRootfs: bool,
  SecurityOpt: texts,
  StorageOpt: textMap,
  Tmpfs: textMap,
  UTSMode: text,
  UsernsMode: text,
  ShmSize: int64,
  Sysctls: textMap,
  Runtime: text,
  Isolation: text,
  ...resourcesFields,
  Mounts: list(mountSchema),
  MaskedPaths: texts,
  ReadonlyPaths: texts,
  Init: bool,
  Umask: uint32,
};

export const hostConfig = struct('HostConfig', hostConfigFields, { secure: true });

/** Body of POST /containers/{id}/update. */
export const containerUpdateRequest = struct(
  'ContainerUpdateRequest',
  { ...resourcesFields, RestartPolicy: restartPolicy },
  { secure: true },
);
