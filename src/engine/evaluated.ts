// Values of a body that an engine does not take as they stand: it expands templates in them, joins them with others into one text
// and takes that apart again, or reads its own environment. What such a value may look like is a form; policy judges by it.
// Found by sending markers through real engines (test/engine/evaluated.test.ts, test/e2e/evaluated.test.ts).

/** What a value must look like for every engine to read it as itself. */
export type ValueForm =
  /** An absolute path without dot segments, and without what joins or splits a mount. */
  | 'path'
  /** A path, or the name of a volume. */
  | 'place'
  /** A name that no list, option or second half can hide in. */
  | 'word'
  /** The same, or `container:` before it. */
  | 'mode'
  /** Text without a template and without a line break. */
  | 'plain'
  /** Text in which a template may name one value and compute nothing. */
  | 'template'
  /** The same for the tag of a log driver, whose templates speak of other things. */
  | 'tag'
  /** `NAME=value`, or a NAME alone on an engine that takes nothing from its own environment for it. */
  | 'variable'
  /** A group, and no word that stands for the groups of the engine's own process. */
  | 'group';

/** Words that are names of networks to Docker, and to Podman ways of its own to the network of the host. */
export const PODMAN_NETWORK_MODES: ReadonlySet<string> = new Set(['pasta', 'slirp4netns']);

export interface EvaluatedValue {
  /** Name of the body in the table of operations. */
  readonly body: string;
  /** Path of the value: `[]` every element, `{}` every value of a map, `{key}` its keys. */
  readonly path: string;
  readonly form: ValueForm;
  /** Who makes something else of it. */
  readonly by: 'swarm' | 'podman' | 'engine';
}

const rows = (body: string, by: EvaluatedValue['by'], table: readonly (readonly [string, ValueForm])[]) =>
  table.map(([path, form]): EvaluatedValue => ({ body, path, form, by }));

const TASK = 'TaskTemplate.ContainerSpec';

export const EVALUATED: readonly EvaluatedValue[] = [
  // Podman writes these into the words of its own command line, with commas, colons and equals signs between them.
  ...rows('ContainerCreateRequest', 'podman', [
    ['Env[]', 'variable'],
    ['Labels{key}', 'word'],
    ['HostConfig.NetworkMode', 'mode'],
    ['NetworkingConfig.EndpointsConfig{key}', 'word'],
    ['HostConfig.Mounts[].Source', 'place'],
    ['HostConfig.Mounts[].Target', 'path'],
    ['HostConfig.Mounts[].VolumeOptions.Subpath', 'word'],
    ['HostConfig.Mounts[].VolumeOptions.Labels{key}', 'word'],
    ['HostConfig.Mounts[].VolumeOptions.Labels{}', 'plain'],
    ['HostConfig.Mounts[].VolumeOptions.DriverConfig.Options{}', 'plain'],
    ['HostConfig.Mounts[].ImageOptions.Subpath', 'word'],
    ['HostConfig.Tmpfs{key}', 'path'],
    ['HostConfig.Devices[].PathOnHost', 'word'],
    ['HostConfig.Devices[].PathInContainer', 'word'],
    ['HostConfig.BlkioWeightDevice[].Path', 'path'],
    ['HostConfig.BlkioDeviceReadBps[].Path', 'path'],
    ['HostConfig.BlkioDeviceWriteBps[].Path', 'path'],
    ['HostConfig.BlkioDeviceReadIOps[].Path', 'path'],
    ['HostConfig.BlkioDeviceWriteIOps[].Path', 'path'],
    ['HostConfig.Ulimits[].Name', 'word'],
    ['HostConfig.Sysctls{}', 'plain'],
    ['HostConfig.Annotations{key}', 'word'],
    ['HostConfig.GroupAdd[]', 'group'],
  ]),
  ...rows('ExecConfig', 'podman', [['Env[]', 'variable']]),
  ...rows('VolumeCreateRequest', 'podman', [
    ['Name', 'word'],
    ['DriverOpts{}', 'plain'],
  ]),
  ...rows('NetworkCreateRequest', 'podman', [['Name', 'word']]),
  ...rows('NetworkConnectRequest', 'podman', [['EndpointConfig.NetworkID', 'word']]),
  // Text templates of Go: unbounded in what they may build up.
  ...rows('ContainerCreateRequest', 'engine', [['HostConfig.LogConfig.Config.tag', 'tag']]),
  ...rows('ServiceSpec', 'engine', [['TaskTemplate.LogDriver.Options.tag', 'tag']]),
  // The swarm expands these for every task, after the spec was taken.
  ...rows('ServiceSpec', 'swarm', [
    [`${TASK}.Env[]`, 'template'],
    [`${TASK}.Hostname`, 'template'],
    [`${TASK}.Mounts[].Source`, 'place'],
    [`${TASK}.Mounts[].Target`, 'path'],
    [`${TASK}.Mounts[].VolumeOptions.Subpath`, 'word'],
    [`${TASK}.Mounts[].VolumeOptions.Labels{}`, 'plain'],
    [`${TASK}.Mounts[].VolumeOptions.DriverConfig.Options{}`, 'plain'],
    [`${TASK}.Sysctls{}`, 'plain'],
    [`${TASK}.Ulimits[].Name`, 'word'],
    ['TaskTemplate.Networks[].Target', 'word'],
    ['Networks[].Target', 'word'],
  ]),
  // Secrets and configs may be templates as a whole; whatever driver fills them in is the engine's.
  ...rows('SecretSpec', 'swarm', [['Templating.Name', 'word']]),
  ...rows('ConfigSpec', 'swarm', [['Templating.Name', 'word']]),
];
