// Checks devices of the host: nodes, cgroup rules, graphics cards and devices of the Container Device Interface.
import { cleanPath } from '../../engine/mounts.ts';
import type { Json } from '../../engine/types.ts';
import { isOneCard } from './amounts.ts';
import type { Check, Report } from './report.ts';
import { listOf, objectOf, quote } from './report.ts';
import type { HostRules } from './rules.ts';
import type { DeviceRule } from './spec.ts';

const GPU_CAPABILITIES: ReadonlySet<unknown> = new Set([
  'gpu',
  'nvidia',
  'compute',
  'compat32',
  'graphics',
  'utility',
  'video',
  'display',
]);

/** Devices: node by node, by exact path; a folder stands for all nodes in it. */
export const devicesCheck =
  (rules: HostRules): Check =>
  (value, at, report) => {
    const list = listOf(value, at, report);
    for (let i = 0; i < list.length; i += 1) {
      const device = objectOf(list[i], `${at}[${i}]`, report) ?? {};
      const path = device.PathOnHost;
      if (!isListedNode(rules, path, device.CgroupPermissions)) {
        report.deny(`${at}[${i}]`, path, `passes the device ${quote(path ?? '')} (allowed: ${nodesText(rules)})`);
      }
      for (const key in device) {
        if (key !== 'PathOnHost' && key !== 'PathInContainer' && key !== 'CgroupPermissions') {
          report.unknown(`${at}[${i}].${key}`, device[key]);
        }
      }
    }
  };

function isListedNode(rules: HostRules, path: Json | undefined, permissions: Json | undefined): boolean {
  if (typeof path !== 'string') return false;
  // The engine reads no permissions as none at all, but not every version does.
  const asked = typeof permissions === 'string' && permissions !== '' ? permissions : 'rwm';
  return rules.devices.some((rule) => {
    const node = nodeOf(rule);
    return node !== undefined && node.path === cleanPath(path) && [...asked].every((p) => node.permissions.includes(p));
  });
}

function nodeOf(rule: DeviceRule): { path: string; permissions: string } | undefined {
  if (typeof rule === 'string') return { path: cleanPath(rule), permissions: 'rwm' };
  return 'path' in rule ? { path: cleanPath(rule.path), permissions: rule.permissions ?? 'rwm' } : undefined;
}

function nodesText(rules: HostRules): string {
  const nodes = rules.devices.map(nodeOf).filter((node) => node !== undefined);
  if (nodes.length === 0) return 'none';
  return nodes.map(({ path, permissions }) => (permissions === 'rwm' ? path : `${path}:${permissions}`)).join(', ');
}

/** DeviceCgroupRules: they open classes of devices, nothing narrower can be said in advance. */
export const deviceCgroupRules: Check = (value, at, report) => {
  if (listOf(value, at, report).length > 0) report.deny(at, value, `is ${quote(value)} (allowed: none)`);
};

/** DeviceRequests: `--gpus`, and `--device vendor/class=name`. */
export const deviceRequestsCheck =
  (rules: HostRules): Check =>
  (value, at, report) => {
    const list = listOf(value, at, report);
    let cards = 0;
    for (let i = 0; i < list.length; i += 1) cards += checkRequest(rules, list[i], `${at}[${i}]`, report);
    const most = gpusOf(rules);
    if (cards > most) {
      report.deny(at, value, `asks for ${cardsText(cards)} (allowed: ${most === 0 ? 'none' : cardsText(most)})`);
    }
  };

const cardsText = (count: number): string =>
  count === Number.POSITIVE_INFINITY ? 'all GPUs' : `${count} GPU${count === 1 ? '' : 's'}`;

function gpusOf(rules: HostRules): number {
  let most = 0;
  for (const rule of rules.devices) {
    if (typeof rule === 'object' && 'gpu' in rule) {
      most = Math.max(most, rule.gpu === 'all' ? Number.POSITIVE_INFINITY : rule.gpu);
    }
  }
  return most;
}

/** @returns how many graphics cards the request asks for; 0 when it is no such request and was judged here */
function checkRequest(rules: HostRules, value: Json | undefined, at: string, report: Report): number {
  const request = objectOf(value, at, report) ?? {};
  const { Driver: driver = '', Count: count = 0, DeviceIDs: ids, Capabilities: sets, Options: options } = request;
  for (const key in request) {
    if (!['Driver', 'Count', 'DeviceIDs', 'Capabilities', 'Options'].includes(key))
      report.unknown(`${at}.${key}`, request[key]);
  }
  const names = listOf(ids, `${at}.DeviceIDs`, report);
  if (driver === 'cdi') {
    for (let i = 0; i < names.length; i += 1) {
      const isListed = rules.devices.some((rule) => typeof rule === 'object' && 'cdi' in rule && rule.cdi === names[i]);
      if (!isListed)
        report.deny(`${at}.DeviceIDs[${i}]`, names[i], `asks for ${quote(names[i])} (allowed: listed devices)`);
    }
    return 0;
  }
  if (driver !== '' && driver !== null && driver !== 'nvidia') {
    report.deny(`${at}.Driver`, driver, `is ${quote(driver)} (allowed: empty, nvidia or cdi)`);
  }
  for (const set of listOf(sets, `${at}.Capabilities`, report)) {
    for (const capability of listOf(set, `${at}.Capabilities`, report)) {
      if (!GPU_CAPABILITIES.has(capability)) {
        report.deny(`${at}.Capabilities`, capability, `asks for ${quote(capability)} (allowed: those of GPUs)`);
      }
    }
  }
  for (const key in objectOf(options, `${at}.Options`, report)) {
    report.deny(`${at}.Options`, key, `sets ${quote(key)} (allowed: none)`);
  }
  // With every card allowed it does not matter which; else each name must be one card.
  if (gpusOf(rules) !== Number.POSITIVE_INFINITY) {
    for (let i = 0; i < names.length; i += 1) {
      if (!isOneCard(names[i])) {
        report.deny(
          `${at}.DeviceIDs[${i}]`,
          names[i],
          `asks for ${quote(names[i])} (allowed: one card each, by number or by its whole UUID)`,
        );
      }
    }
  }
  if (typeof count !== 'number' && count !== null) return Number.POSITIVE_INFINITY;
  // -1 asks for all; neither count nor names is left to the driver and counts as one.
  return (count ?? 0) < 0 ? Number.POSITIVE_INFINITY : Math.max(count ?? 0, names.length, 1);
}
