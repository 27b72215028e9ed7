// What a `host:` block of a policy says, and what its check answers. Types only.
import type { EngineCall } from '../../engine/types.ts';
import type { Principal } from '../types.ts';
import type { HostSite } from './site.ts';

/** From strictest to none: `hardened` is `restricted` and more, `restricted` is `baseline` and more. */
export type HostPreset = 'baseline' | 'restricted' | 'hardened' | 'privileged';
export const HOST_PRESETS: readonly HostPreset[] = ['baseline', 'restricted', 'hardened', 'privileged'];

/**
 * A folder of the host that may be mounted. May hold `${principal.tenant}` and the like. A read-only one with everything below it; a
 * writable one as itself alone, since what is below it may be a link to anywhere that a container made, which the engine follows.
 * `subpaths: true` lets everything below a writable one be mounted all the same: for callers that are trusted with the host.
 */
export type BindRule = string | { readonly path: string; readonly readOnly?: boolean; readonly subpaths?: boolean };

/** A device node by path, graphics cards by number, or a device of the Container Device Interface by name. */
export type DeviceRule =
  | string
  | { readonly path: string; readonly permissions?: string }
  | { readonly gpu: number | 'all' }
  | { readonly cdi: string };

/** Ceilings of one container. A call that creates one must then set each of them. */
export interface HostLimits {
  /** Bytes, or `512MiB`, `4GiB`. */
  readonly memory?: number | string;
  /** Processors, fractions allowed. */
  readonly cpus?: number;
  /** Processes and threads. */
  readonly pids?: number;
}

/**
 * A preset and its overrides. Every list adds to the values the preset allows, except `ports` and `registries`,
 * which replace it. Names in `sysctls` and `annotations` may end in `*`.
 */
export interface HostSpec {
  /** Default `baseline`. */
  readonly preset?: HostPreset;
  readonly binds?: readonly BindRule[];
  /**
   * Fixed host ports, single or `30000-30999`. Default: from 1024 on in baseline, none in the others. 0 stands for ports
   * the engine picks, which are free in baseline anyway.
   */
  readonly ports?: readonly (number | string)[];
  readonly devices?: readonly DeviceRule[];
  readonly capabilities?: readonly string[];
  readonly sysctls?: readonly string[];
  readonly runtimes?: readonly string[];
  /** Log drivers beyond json-file, local and none; the options of a listed driver are free, its address included. */
  readonly logDrivers?: readonly string[];
  readonly annotations?: readonly string[];
  /**
   * SHA-256 in hex of the profile's JSON exactly as sent (the docker CLI removes white space first), `builtin`, or
   * `unconfined` where the policy acknowledges `seccomp-unconfined`.
   */
  readonly seccompProfiles?: readonly string[];
  readonly apparmorProfiles?: readonly string[];
  /** Mount types beyond bind, volume and tmpfs: only `image`. */
  readonly mountTypes?: readonly string[];
  /** Same as `network.drivers`. */
  readonly networkDrivers?: readonly string[];
  readonly network?: {
    /** Drivers beyond bridge. */
    readonly drivers?: readonly string[];
    /** Keys of driver options of networks and end points. */
    readonly options?: readonly string[];
    /** Address ranges beyond the private and documentation ones that a new network may use, `198.18.0.0/15`. */
    readonly subnets?: readonly string[];
  };
  /**
   * Registries images come from and go to: `ghcr.io`, `ghcr.io/acme`, or `*`. Default `docker.io`, and any for a pull or a
   * login with credentials of the caller's own.
   */
  readonly registries?: readonly string[];
  /**
   * Hosts the engine may fetch files of a build from (ADD of an address): `github.com`, `*.example.com`, or `*`. Default none. The
   * engine follows what such a host redirects to.
   */
  readonly sources?: readonly string[];
  readonly limits?: HostLimits;
  readonly exec?: { readonly privileged?: boolean };
  /**
   * Calls that end, rename or change an existing container, or run something in it, are allowed only where this block would
   * let the container be made again as it is: for tools that replace containers, which must not end what they cannot remake.
   */
  readonly remakes?: boolean;
  /** Fields no table knows, and otherwise unjudgeable ones, let through: `HostConfig.NewField`, `query.rollback`. */
  readonly fields?: readonly string[];
}

/** One reason to refuse. */
export interface HostViolation {
  /** `HostConfig.Binds[0]`, `query.networkmode` */
  readonly field: string;
  /** The refused value as text, shortened; never a secret. */
  readonly value: string;
  /** One sentence that starts with the field and ends with what would be allowed. */
  readonly message: string;
  /** The block speaks of the value and allows it in another way, as a folder that may be mounted read-only. */
  readonly near?: boolean;
}

/** Judges one call; empty means allowed. Pure, and quick enough to run for every candidate rule. */
export type HostCheck = (call: EngineCall, principal: Principal, site?: HostSite) => readonly HostViolation[];
