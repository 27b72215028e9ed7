// Bodies of container create, exec, checkpoint and commit. Engine API 1.40 to 1.56; what older engines read at other
// places of a create body is closed here as a trap.

import type { Fields } from '../schema.ts';
import { bool, empty, int, int64, list, map, portMap, strings, struct, text, textMap, texts, uint } from '../schema.ts';
import { hostConfig, hostConfigFields } from './host-config.ts';
import { networkingConfig } from './network.ts';

/** Health check of an image, a container or a service; durations in nanoseconds. */
export const healthcheck = struct('Healthcheck', {
  Test: texts,
  Interval: int64,
  Timeout: int64,
  StartPeriod: int64,
  StartInterval: int64,
  Retries: int,
});

const containerConfigFields: Fields = {
  Hostname: text,
  Domainname: text,
  User: text,
  AttachStdin: bool,
  AttachStdout: bool,
  AttachStderr: bool,
  ExposedPorts: portMap(empty),
  Tty: bool,
  OpenStdin: bool,
  StdinOnce: bool,
  Env: texts,
  Cmd: strings,
  Healthcheck: healthcheck,
  ArgsEscaped: bool,
  Image: text,
  Volumes: map(empty),
  WorkingDir: text,
  Entrypoint: strings,
  NetworkDisabled: bool,
  MacAddress: text,
  OnBuild: texts,
  Labels: textMap,
  StopSignal: text,
  StopTimeout: int,
  Shell: strings,
};

/**
 * Old engines (see `readsHostConfigAtTop`) read every HostConfig field at the top of a create body when HostConfig is missing,
 * and some of them even beside it. Newer ones ignore them there, and so does the gateway: they are left out.
 */
const topLevelTraps = new Map<string, string>();
for (const name of [...Object.keys(hostConfigFields), 'Cpuset']) {
  const place = name === 'Cpuset' ? 'HostConfig.CpusetCpus' : `HostConfig.${name}`;
  topLevelTraps.set(name, `belongs into HostConfig (${place})`);
}

/** Body of POST /containers/create. dockerode repeats the query's name and platform here; no engine reads them. */
export const containerCreateRequest = struct(
  'ContainerCreateRequest',
  { ...containerConfigFields, HostConfig: hostConfig, NetworkingConfig: networkingConfig },
  { ignored: ['name', 'platform'], traps: topLevelTraps },
);

/** Body of POST /commit: the image's configuration. */
export const containerConfig = struct('ContainerConfig', containerConfigFields);

/** Body of POST /containers/{id}/exec. docker-py and docker-java repeat the path's container here; no engine reads it. */
export const execConfig = struct(
  'ExecConfig',
  {
    User: text,
    Privileged: bool,
    Tty: bool,
    ConsoleSize: list(uint, 2),
    AttachStdin: bool,
    AttachStderr: bool,
    AttachStdout: bool,
    Detach: bool,
    DetachKeys: text,
    Env: texts,
    WorkingDir: text,
    Cmd: texts,
  },
  { ignored: ['Container'] },
);

/** Body of POST /exec/{id}/start. */
export const execStartConfig = struct('ExecStartConfig', { Detach: bool, Tty: bool, ConsoleSize: list(uint, 2) });

/** Body of POST /containers/{id}/checkpoints. */
export const checkpointCreateRequest = struct('CheckpointCreateRequest', {
  CheckpointID: text,
  CheckpointDir: text,
  Exit: bool,
});

/** Body of POST /containers/{id}/copy, gone since API 1.24 and never sent on. */
export const copyConfig = struct('CopyConfig', { Resource: text });
