// Turns a policy's host block into the form the checks read: sets, ranges and numbers, made once per policy revision.
import { createHash } from 'node:crypto';
import { GatewayError } from '../../errors.ts';
import type { BindRoot } from './bind-roots.ts';
import { bindRootOf } from './bind-roots.ts';
import type { PresetValues } from './presets.ts';
import {
  PRESET_VALUES,
  SAFE_APPARMOR_PROFILES,
  SAFE_ENDPOINT_OPTIONS,
  SAFE_LOG_DRIVERS,
  SAFE_NETWORK_DRIVERS,
  SAFE_NETWORK_OPTIONS,
  SAFE_SUBNETS,
  SAFE_SYSCTLS,
} from './presets.ts';
import { byteSize } from './sizes.ts';
import type { DeviceRule, HostSpec } from './spec.ts';
import type { Subnet } from './subnets.ts';
import { parseSubnet } from './subnets.ts';

/** Inclusive. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

/** Ceilings in the units of the Engine API. */
export interface LimitRules {
  readonly memory: number | undefined;
  readonly nanoCpus: number | undefined;
  readonly pids: number | undefined;
}

export interface HostRules {
  /** Name for messages. */
  readonly preset: 'baseline' | 'restricted' | 'hardened';
  readonly values: PresetValues;
  readonly capabilities: ReadonlySet<string>;
  readonly sysctls: NameSet;
  readonly annotations: NameSet;
  readonly runtimes: ReadonlySet<string>;
  readonly safeLogDrivers: ReadonlySet<string>;
  readonly logDrivers: ReadonlySet<string>;
  readonly seccompProfiles: ReadonlySet<string>;
  readonly apparmorProfiles: ReadonlySet<string>;
  readonly ports: readonly PortRange[];
  readonly ephemeralPorts: boolean;
  readonly binds: readonly BindRoot[];
  readonly devices: readonly DeviceRule[];
  readonly imageMounts: boolean;
  readonly networkDrivers: ReadonlySet<string>;
  readonly networkOptions: ReadonlySet<string>;
  readonly endpointOptions: ReadonlySet<string>;
  readonly subnets: readonly Subnet[];
  /** Those of them that the policy lists. */
  readonly listedSubnets: readonly Subnet[];
  readonly registries: readonly string[];
  /** The policy lists them. Where it does not, a caller with credentials of its own may pull from any. */
  readonly registriesListed: boolean;
  /** Hosts files come from, some as `*.example.com`. */
  readonly sources: readonly string[];
  readonly limits: LimitRules;
  readonly execPrivileged: boolean;
}

/** Names, some of which end in `*`. */
export interface NameSet {
  readonly exact: ReadonlySet<string>;
  readonly prefixes: readonly string[];
}

export const nameSet = (names: readonly string[]): NameSet => ({
  exact: new Set(names.filter((name) => !name.endsWith('*'))),
  prefixes: names.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1)),
});

export function isNamed(set: NameSet, name: string): boolean {
  return set.exact.has(name) || set.prefixes.some((prefix) => name.startsWith(prefix));
}

/** A capability without CAP_ and in upper case; the engine takes any spelling. */
export function canonicalCapability(name: string): string {
  const upper = name.toUpperCase();
  return upper.startsWith('CAP_') ? upper.slice(4) : upper;
}

/** Parses `8080` or `30000-30999`. */
export function parsePortRange(text: string | number): PortRange | undefined {
  const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(String(text));
  if (match === null) return undefined;
  const from = Number(match[1]);
  const to = match[2] === undefined ? from : Number(match[2]);
  return from <= to && to <= 65535 ? { from, to } : undefined;
}

/** Joins overlapping and touching ranges, so that a range asked for lies within one of them or is not covered. */
function mergeRanges(ranges: readonly PortRange[]): readonly PortRange[] {
  const merged: { from: number; to: number }[] = [];
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = merged[merged.length - 1];
    if (last !== undefined && from <= last.to + 1) last.to = Math.max(last.to, to);
    else merged.push({ from, to });
  }
  return merged;
}

/** Hash under which an inline seccomp profile is listed. */
export const seccompHash = (profile: string): string => createHash('sha256').update(profile, 'utf8').digest('hex');

export function limitRules(spec: HostSpec): LimitRules {
  const { memory, cpus, pids } = spec.limits ?? {};
  return {
    memory: memory === undefined ? undefined : need(byteSize(memory), 'limits.memory', memory),
    nanoCpus: cpus === undefined ? undefined : need(cpus > 0 ? Math.floor(cpus * 1e9) : undefined, 'limits.cpus', cpus),
    pids: pids === undefined ? undefined : need(pids > 0 ? pids : undefined, 'limits.pids', pids),
  };
}

/** A value that could not be read must not read as "no limit". */
function need<T>(value: T | undefined, name: string, given: unknown): T {
  if (value === undefined)
    throw new GatewayError('input-invalid', `host.${name} is not valid: ${JSON.stringify(given)}`);
  return value;
}

/**
 * @param preset any but privileged, which has no rules
 * @throws {GatewayError} `input-invalid` for a spec that `parseHostSpec` would have complained about
 */
export function hostRules(spec: HostSpec, preset: 'baseline' | 'restricted' | 'hardened'): HostRules {
  const values = PRESET_VALUES[preset];
  const ranges = (spec.ports ?? values.ports).map((text) => need(parsePortRange(text), 'ports', text));
  const seccompProfiles = (spec.seccompProfiles ?? []).map((hash) => hash.toLowerCase());
  const networkDrivers = [...SAFE_NETWORK_DRIVERS, ...(spec.networkDrivers ?? []), ...(spec.network?.drivers ?? [])];
  const networkOptions = spec.network?.options ?? [];
  const subnetsOf = (texts: readonly string[]) => texts.map((text) => need(parseSubnet(text), 'network.subnets', text));
  const listedSubnets = subnetsOf(spec.network?.subnets ?? []);
  return {
    preset,
    values,
    capabilities: new Set([...values.capabilities, ...(spec.capabilities ?? []).map(canonicalCapability)]),
    sysctls: nameSet([...SAFE_SYSCTLS, ...(spec.sysctls ?? [])]),
    annotations: nameSet(spec.annotations ?? []),
    runtimes: new Set(spec.runtimes),
    safeLogDrivers: new Set(SAFE_LOG_DRIVERS),
    logDrivers: new Set(spec.logDrivers),
    seccompProfiles: new Set(seccompProfiles),
    apparmorProfiles: new Set([...SAFE_APPARMOR_PROFILES, ...(spec.apparmorProfiles ?? [])]),
    ports: mergeRanges(ranges.filter(({ to }) => to > 0)),
    ephemeralPorts: values.ephemeralPorts || ranges.some(({ from }) => from === 0),
    binds: (spec.binds ?? []).map((rule) => need(bindRootOf(rule), 'binds', rule)),
    devices: spec.devices ?? [],
    imageMounts: (spec.mountTypes ?? []).includes('image'),
    networkDrivers: new Set(networkDrivers),
    networkOptions: new Set([...SAFE_NETWORK_OPTIONS, ...networkOptions]),
    endpointOptions: new Set([...SAFE_ENDPOINT_OPTIONS, ...networkOptions]),
    subnets: [...subnetsOf(SAFE_SUBNETS), ...listedSubnets],
    listedSubnets,
    registries: spec.registries ?? values.registries,
    registriesListed: spec.registries !== undefined,
    sources: (spec.sources ?? []).map((host) => host.toLowerCase()),
    limits: limitRules(spec),
    execPrivileged: spec.exec?.privileged ?? false,
  };
}
