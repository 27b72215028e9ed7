// What each preset allows, as data: Pod Security Standards carried over to the Engine API. Nothing here decides.
// See https://kubernetes.io/docs/concepts/security/pod-security-standards/

export interface PresetValues {
  /** Capabilities that may be added, without CAP_. */
  readonly capabilities: readonly string[];
  /** Host ports that may be asked for by number. */
  readonly ports: readonly string[];
  /** Host ports the engine picks: PublishAllPorts, and bindings without a number. */
  readonly ephemeralPorts: boolean;
  readonly registries: readonly string[];
  /** VolumesFrom, Links: other containers of the caller. */
  readonly otherContainers: boolean;
  /** Options of the local volume driver that make a tmpfs. */
  readonly volumeOptions: boolean;
  readonly needsDropAll: boolean;
  readonly needsNoNewPrivileges: boolean;
  readonly needsNonRoot: boolean;
  readonly needsMemoryAndPids: boolean;
  readonly needsReadonlyRootfs: boolean;
  readonly needsDigest: boolean;
}

/**
 * What every plain container holds anyway. Kubernetes leaves NET_RAW out of its list; here adding it gives nothing
 * that leaving CapAdd empty does not give.
 */
export const DEFAULT_CAPABILITIES: readonly string[] = [
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'NET_RAW',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
];

const BASELINE: PresetValues = {
  capabilities: DEFAULT_CAPABILITIES,
  ports: ['1024-65535'],
  ephemeralPorts: true,
  registries: ['docker.io'],
  otherContainers: true,
  volumeOptions: true,
  needsDropAll: false,
  needsNoNewPrivileges: false,
  needsNonRoot: false,
  needsMemoryAndPids: false,
  needsReadonlyRootfs: false,
  needsDigest: false,
};

const RESTRICTED: PresetValues = {
  ...BASELINE,
  capabilities: ['NET_BIND_SERVICE'],
  ports: [],
  ephemeralPorts: false,
  otherContainers: false,
  volumeOptions: false,
  needsDropAll: true,
  needsNoNewPrivileges: true,
  needsNonRoot: true,
  needsMemoryAndPids: true,
};

/** `privileged` has no values: it checks only the limits of the policy itself. */
export const PRESET_VALUES: Readonly<Record<'baseline' | 'restricted' | 'hardened', PresetValues>> = {
  baseline: BASELINE,
  restricted: RESTRICTED,
  hardened: { ...RESTRICTED, needsReadonlyRootfs: true, needsDigest: true },
};

/** Sysctls that act inside the container only (baseline, "Sysctls"). */
export const SAFE_SYSCTLS: readonly string[] = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_syncookies',
];

/** Log drivers that stay on the machine and in the container's own files; all others connect out or share a journal. */
export const SAFE_LOG_DRIVERS: readonly string[] = ['json-file', 'local', 'none'];

/** Options of those drivers. Others are refused even where no driver is named: the engine's default may be a remote one. */
export const SAFE_LOG_OPTIONS: readonly string[] = [
  'cache-compress',
  'cache-disabled',
  'cache-max-file',
  'cache-max-size',
  'compress',
  'env',
  'env-regex',
  'labels',
  'labels-regex',
  'max-buffer-size',
  'max-file',
  'max-size',
  'mode',
  'tag',
];

export const SAFE_SELINUX_TYPES: readonly string[] = ['container_t', 'container_init_t', 'container_kvm_t'];
export const SAFE_APPARMOR_PROFILES: readonly string[] = ['docker-default'];
export const SAFE_NETWORK_DRIVERS: readonly string[] = ['bridge'];

/** Driver options of networks and end points that reach no further than the network itself. */
export const SAFE_NETWORK_OPTIONS: readonly string[] = ['com.docker.network.driver.mtu'];
export const SAFE_ENDPOINT_OPTIONS: readonly string[] = ['com.docker.network.endpoint.ifname'];

/**
 * Ranges a new bridge may use. The host gets a route for it, so any other range would draw the host's own traffic to those
 * addresses into a container: public ones, and private ones the host reaches elsewhere. These are the ranges the engine itself picks
 * from, and the ranges reserved for documentation.
 */
export const SAFE_SUBNETS: readonly string[] = [
  '172.17.0.0/16',
  '172.18.0.0/15',
  '172.20.0.0/14',
  '172.24.0.0/13',
  '192.168.0.0/16',
  '192.0.2.0/24',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '2001:db8::/32',
];

/** Options for `o` of a local volume of type tmpfs. Anything else (bind, lowerdir, addr) can name the host. */
export const SAFE_TMPFS_FLAGS: readonly string[] = [
  'async',
  'atime',
  'diratime',
  'exec',
  'noatime',
  'nodev',
  'nodiratime',
  'noexec',
  'nosuid',
  'relatime',
  'ro',
  'rw',
  'strictatime',
  'sync',
];
/** Further ones for a tmpfs that is part of the container itself. */
export const SAFE_OWN_TMPFS_FLAGS: readonly string[] = [
  ...SAFE_TMPFS_FLAGS,
  ...['defaults', 'dev', 'dirsync', 'private', 'rprivate', 'suid'],
];
export const SAFE_TMPFS_VALUES: readonly string[] = ['gid', 'mode', 'nr_blocks', 'nr_inodes', 'size', 'uid'];

/** Sockets that hand over the machine, wherever they lie. A mount of one, or of a folder that holds one, is never allowed. */
export const SOCKET_NAMES: readonly string[] = [
  'docker.sock',
  'docker-raw.sock',
  'containerd.sock',
  'containerd.sock.ttrpc',
  'podman.sock',
  'buildkitd.sock',
  'crio.sock',
];

/** Folders that are known to hold such sockets; they, the folders above them and, where marked, all below them are out of reach. */
export const SOCKET_FOLDERS: readonly { readonly path: string; readonly whole: boolean }[] = [
  { path: '/run', whole: false },
  { path: '/run/docker', whole: true },
  { path: '/run/containerd', whole: true },
  { path: '/run/podman', whole: true },
  { path: '/run/buildkit', whole: true },
  { path: '/run/crio', whole: true },
];
