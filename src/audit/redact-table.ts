// What the audit keeps of each field of a body, by the field's name in lower case. A field that is in no table is masked.
// A test walks every schema of the engine room and fails for a field that stands in no table.

/**
 * - `keep`: names, paths, words of the Engine; patterns that look like secrets are masked in it all the same
 * - `argv`: a command line, kept except for the values after a telling word
 * - `assign`: `NAME=value` texts, the name is kept
 * - `values`: a map of the caller's own keys: values of telling keys are masked
 * - `map`: keys the caller chose, each with an object of known fields
 * - `profile`: texts that may hold a whole document, `seccomp={...}`: kept but for that
 * - `mask`: a keyed hash
 * - `remove`: never kept in any form
 */
export type FieldRule = 'keep' | 'argv' | 'assign' | 'values' | 'map' | 'profile' | 'mask' | 'remove';

const of = (rule: FieldRule, names: string): [string, FieldRule][] =>
  names
    .trim()
    .split(/\s+/)
    .map((name) => [name.toLowerCase(), rule]);

export const FIELD_RULES: ReadonlyMap<string, FieldRule> = new Map([
  ...of('remove', 'Data JoinToken UnlockKey SigningCAKey password auth identitytoken registrytoken'),
  ...of('assign', 'Env'),
  ...of('argv', 'Cmd Entrypoint Shell OnBuild Test Command Args'),
  ...of('values', 'Labels Annotations DriverOpts Options Config StorageOpt Sysctls Tmpfs AuxiliaryAddresses Segments'),
  ...of('profile', 'SecurityOpt'),
  ...of('map', 'ExposedPorts Volumes PortBindings EndpointsConfig'),
  // Profiles are too long to read in a log; the hash tells which one it was.
  ...of('mask', 'Profile'),
  // Containers and what they are made of.
  ...of(
    'keep',
    'Hostname Domainname User Image WorkingDir MacAddress StopSignal Isolation Runtime Platform Name Driver',
  ),
  ...of(
    'keep',
    'Binds ContainerIDFile Type NetworkMode VolumeDriver VolumesFrom CapAdd CapDrop CgroupnsMode Dns DnsOptions',
  ),
  ...of('keep', 'DnsSearch ExtraHosts GroupAdd IpcMode Cgroup Links PidMode UTSMode UsernsMode CgroupParent'),
  ...of(
    'keep',
    'Path PathOnHost PathInContainer CgroupPermissions DeviceCgroupRules DeviceIDs Capabilities CpusetCpus',
  ),
  ...of('keep', 'CpusetMems MaskedPaths ReadonlyPaths HostIp HostPort Source Target Consistency Propagation Subpath'),
  ...of('keep', 'DetachKeys CheckpointID CheckpointDir Resource Container ContainerID'),
  // Networks and volumes.
  ...of('keep', 'IPv4Address IPv6Address LinkLocalIPs Aliases NetworkID EndpointID Gateway IPAddress IPv6Gateway'),
  ...of(
    'keep',
    'GlobalIPv6Address DNSNames Scope Network Subnet IPRange Group Sharing FsType MountFlags Availability Key Secret',
  ),
  // Services, nodes and the swarm. Secrets and configs are named here, not shown.
  ...of(
    'keep',
    'SecretID SecretName ConfigID ConfigName Registry File Role Level Mode UID GID Dir Groups Hosts Nameservers',
  ),
  ...of(
    'keep',
    'Search CapabilityAdd CapabilityDrop Value Kind Condition Constraints SpreadDescriptor Architecture OS',
  ),
  ...of(
    'keep',
    'FailureAction Order Protocol PublishMode URL CACert SigningCACert ListenAddr AdvertiseAddr DataPathAddr',
  ),
  ...of('keep', 'DefaultAddrPool RemoteAddrs'),
  // Answers.
  ...of(
    'keep',
    'Id ID Created CreatedAt StartedAt FinishedAt State Status Warnings Warning message Names ImageID Digest',
  ),
  ...of('keep', 'Mountpoint Untagged Deleted ContainersDeleted VolumesDeleted NetworksDeleted Version ApiVersion'),
  // Plugins and the credentials that are not secret.
  ...of('keep', 'Description remote username email serveraddress'),
]);

/** Actions whose body is a secret as a whole. */
export const SECRET_BODIES: ReadonlySet<string> = new Set(['system.auth', 'swarm.unlock']);

/** Query parameters that hold a JSON map whose values are all masked. */
export const MASKED_QUERY_MAPS: ReadonlySet<string> = new Set(['buildargs']);
/** Query parameters that hold a JSON map of labels. */
export const LABEL_QUERY_MAPS: ReadonlySet<string> = new Set(['labels']);
/** Query parameters that hold an address, perhaps with credentials in it. */
export const URL_PARAMETERS: ReadonlySet<string> = new Set(['remote', 'fromsrc']);
/** Query parameters of the caller's own words, of which a reader learns only whether two are equal. */
export const MASKED_PARAMETERS: ReadonlySet<string> = new Set(['comment', 'message']);
/** Query parameters that hold names, images, paths and words of the engine; of all others numbers and short words are kept. */
export const NAME_PARAMETERS: ReadonlySet<string> = new Set(
  'name names container repo tag fromimage t platform dockerfile networkmode term signal condition path target author extrahosts cachefrom cgroupparent cpusetcpus detachkeys checkpoint filters outputs type driver'.split(
    ' ',
  ),
);
/** Query parameters that are a command line. */
export const ARGUMENT_PARAMETERS: ReadonlySet<string> = new Set(['ps_args']);
/** Query parameters that hold lines of a Dockerfile. */
export const INSTRUCTION_PARAMETERS: ReadonlySet<string> = new Set(['changes']);
