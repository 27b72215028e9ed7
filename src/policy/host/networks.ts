// Checks networks and the end points of containers in them.
import { isEmptyValue } from '../../engine/json.ts';
import type { Json } from '../../engine/types.ts';
import type { CallCheck } from './container.ts';
import { isHostNetwork } from './isolation.ts';
import type { Check, Report, Rows } from './report.ts';
import { each, empty, entry, objectOf, oneOfWords, quote, walk } from './report.ts';
import type { HostRules } from './rules.ts';
import { shadowsHost } from './site.ts';
import { isWithin, parseSubnet } from './subnets.ts';

const HOST_NETWORK = 'joins the network of the host (allowed: a network of your own)';

const optionsIn =
  (names: ReadonlySet<string>): Check =>
  (value, at, report) => {
    const options = objectOf(value, at, report);
    for (const key in options) {
      if (names.has(key)) continue;
      report.deny(at, key, `sets ${quote(key)} (allowed: ${oneOfWords(names)})`);
    }
  };

const ENDPOINT_IPAM: Rows = new Map([
  ['IPv4Address', null],
  ['IPv6Address', null],
  ['LinkLocalIPs', null],
]);

const notHost: Check = (value, at, report) => {
  if (isHostNetwork(value)) report.deny(at, value, HOST_NETWORK);
};

/** EndpointSettings. Inspect's answers come back in them, so what only the engine fills is free. */
function endpointCheck(rules: HostRules): Check {
  const rows: Rows = new Map<string, Check | null>([
    ['IPAMConfig', (value, at, report) => walk(ENDPOINT_IPAM, value, at, report)],
    ['Links', rules.values.otherContainers ? null : empty('none')],
    ['Aliases', null],
    ['MacAddress', null],
    ['DriverOpts', optionsIn(rules.endpointOptions)],
    ['GwPriority', null],
    ['NetworkID', notHost],
    ['EndpointID', null],
    ['Gateway', null],
    ['IPAddress', null],
    ['IPPrefixLen', null],
    ['IPv6Gateway', null],
    ['GlobalIPv6Address', null],
    ['GlobalIPv6PrefixLen', null],
    ['DNSNames', null],
  ]);
  return (value, at, report) => walk(rows, value, at, report);
}

/** NetworkingConfig of a create body. */
export function networkingConfigCheck(rules: HostRules): Check {
  const endpoint = endpointCheck(rules);
  const endpoints: Check = (value, at, report) => {
    const byName = objectOf(value, at, report);
    for (const name in byName) {
      const field = entry(at, name);
      if (isHostNetwork(name)) report.deny(field, name, HOST_NETWORK);
      endpoint(byName[name] ?? null, field, report);
    }
  };
  const rows: Rows = new Map([['EndpointsConfig', endpoints]]);
  return (value, at, report) => walk(rows, value, at, report);
}

/** Body of a network connect. */
export const connectRows = (rules: HostRules): Rows =>
  new Map<string, Check | null>([
    ['Container', null],
    ['EndpointConfig', endpointCheck(rules)],
  ]);

/** The network of the host by any of its names, and networks of drivers the rule would not make one of. */
export function networksInUseCheck(rules: HostRules, more: readonly string[] = []): CallCheck {
  const drivers = new Set([...rules.networkDrivers, ...more]);
  return ({ resources }, report) => {
    for (let i = 0; i < resources.length; i += 1) {
      const ref = resources[i];
      if (ref?.kind !== 'network' || ref.role === 'creates') continue;
      const { name, resolvedName, networkDriver: driver = '', at } = ref;
      if (isHostNetwork(resolvedName)) {
        if (!isHostNetwork(name)) report.deny(at, name, HOST_NETWORK);
      } else if (driver !== '' && driver !== 'null' && !drivers.has(driver)) {
        const allowed = oneOfWords(drivers);
        report.deny(at, name, `joins a network of the driver ${quote(driver)} (allowed: ${allowed})`);
      }
    }
  };
}

const targets = (rules: HostRules): Rows =>
  new Map<string, Check | null>([
    ['Target', notHost],
    ['Aliases', null],
    ['DriverOpts', optionsIn(rules.endpointOptions)],
  ]);

/** Networks of a service. */
export const serviceNetworksCheck = (rules: HostRules): Check => {
  const rows = targets(rules);
  return each((value, at, report) => walk(rows, value, at, report));
};

const word =
  (words: readonly string[], allowed: string): Check =>
  (value, at, report) => {
    if (typeof value !== 'string' || !words.includes(value)) {
      report.deny(at, value, `is ${quote(value)} (allowed: ${allowed})`);
    }
  };

const mustBeUnset: Check = (value, at, report) => report.deny(at, value, `is ${quote(value)} (allowed: false)`);

/** Body of a network create. */
export function networkCreateRows(rules: HostRules): Rows {
  const routed =
    (suffix: (address: string) => string): Check =>
    (value, at, report) => {
      const parsed = typeof value === 'string' ? parseSubnet(suffix(value)) : undefined;
      if (parsed !== undefined && rules.subnets.some((range) => isWithin(parsed, range))) {
        if (!shadowsHost(parsed, report.site, rules.listedSubnets)) return;
        const why = 'which overlaps a network the host has already';
        const allowed =
          'no Subnet, so that the engine picks a free one, or one listed in network.subnets within that network';
        report.deny(at, value, `is ${quote(value)}, ${why} (allowed: ${allowed})`);
        return;
      }
      const allowed =
        "the engine's own ranges, 172.17.0.0 to 172.31.255.255 and 192.168.0.0/16, or those listed in network.subnets";
      report.deny(at, value, `is ${quote(value)}, which the host would take for its own (allowed: ${allowed})`);
    };
  const config: Rows = new Map<string, Check | null>([
    ['Subnet', routed((range) => range)],
    ['IPRange', null],
    // The bridge takes it as its own address on the host.
    ['Gateway', routed((address) => `${address}/${address.includes(':') ? 128 : 32}`)],
    ['AuxiliaryAddresses', null],
  ]);
  const ipam: Rows = new Map<string, Check | null>([
    ['Driver', word(['default'], 'default')],
    ['Options', optionsIn(new Set())],
    ['Config', each((value, at, report) => walk(config, value, at, report))],
  ]);
  return new Map<string, Check | null>([
    ['Name', null],
    ['CheckDuplicate', null],
    ['Driver', word([...rules.networkDrivers], oneOfWords(rules.networkDrivers))],
    ['Scope', word(['local'], 'local')],
    ['EnableIPv4', null],
    ['EnableIPv6', null],
    ['IPAM', (value, at, report) => walk(ipam, value, at, report)],
    ['Internal', null],
    ['Attachable', null],
    ['Ingress', mustBeUnset],
    ['ConfigOnly', mustBeUnset],
    ['ConfigFrom', configFrom],
    ['Options', optionsIn(rules.networkOptions)],
    ['Labels', null],
  ]);
}

/** Another network's options would come along unseen. */
function configFrom(value: Json, at: string, report: Report): void {
  if (!isEmptyValue(value)) report.deny(at, value, `is ${quote(value)} (allowed: none)`);
}
