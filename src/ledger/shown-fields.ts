// The fields of the engine's answers a tenant sees, by name: a field of a newer engine stays hidden until it is named here, since
// it may tell of other tenants. Engine API 1.24 to 1.56: the schemas of list and inspect.
type Fields = Record<string, unknown>;

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

const SHOWN = {
  'container.list':
    words(`Id Names Image ImageID ImageManifestDescriptor Command Created Ports SizeRw SizeRootFs Labels State Status
    HostConfig NetworkSettings Health Mounts`),
  'container.inspect':
    words(`Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath Node Name RestartCount Driver
    Platform MountLabel ProcessLabel AppArmorProfile ExecIDs HostConfig GraphDriver Storage SizeRw SizeRootFs Mounts Config
    NetworkSettings ImageManifestDescriptor`),
  'container.exec.inspect': words(
    `ID Running ExitCode ProcessConfig OpenStdin OpenStderr OpenStdout CanRemove ContainerID DetachKeys Pid`,
  ),
  image:
    words(`Id ParentId Parent RepoTags RepoDigests Created Size VirtualSize SharedSize Labels Containers Descriptor Manifests Comment
    Container ContainerConfig DockerVersion Author Config Architecture Variant Os OsVersion GraphDriver RootFS Metadata`),
  'image.history': words('Id Created CreatedBy Tags Size Comment'),
  network:
    words(`Name Id Created Scope Driver EnableIPv4 EnableIPv6 IPAM Internal Attachable Ingress ConfigFrom ConfigOnly Containers
    Options Labels Services Status`),
  volume: words('CreatedAt Driver Labels Mountpoint Name Options Scope Status UsageData ClusterVolume'),
  service: words('ID Version CreatedAt UpdatedAt Spec PreviousSpec Endpoint UpdateStatus ServiceStatus JobStatus'),
  secret: words('ID Version CreatedAt UpdatedAt Spec'),
  config: words('ID Version CreatedAt UpdatedAt Spec'),
  task: words(`ID Version CreatedAt UpdatedAt Name Labels Spec ServiceID Slot NodeID AssignedGenericResources Status DesiredState
    NetworksAttachments GenericResources JobIteration Volumes`),
} as const;

export type ShownKind = keyof typeof SHOWN;

/** The value without fields that are not named; the same value where all are. */
export function onlyShown(kind: ShownKind, value: unknown): Fields {
  const from = (typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}) as Fields;
  const shown: ReadonlySet<string> = SHOWN[kind];
  for (const key in from) {
    if (!shown.has(key)) return Object.fromEntries(Object.entries(from).filter(([name]) => shown.has(name)));
  }
  return from;
}
