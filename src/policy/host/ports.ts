// Checks ports of the host: PortBindings and PublishAllPorts of a container, EndpointSpec of a service.
import type { Json } from '../../engine/types.ts';
import type { Check, Report, Rows } from './report.ts';
import { each, entry, listOf, objectOf, quote, show, walk } from './report.ts';
import type { HostRules } from './rules.ts';

const covers = (rules: HostRules, from: number, to: number): boolean =>
  rules.ports.some((range) => range.from <= from && to <= range.to);

function portsText(rules: HostRules): string {
  const ranges = rules.ports.map(({ from, to }) => (from === to ? String(from) : `${from}-${to}`));
  if (rules.ephemeralPorts) ranges.push('ports the engine picks');
  return ranges.length === 0 ? 'none' : ranges.join(', ');
}

/** HostPort as Go's ParseUint reads it: digits only, leading zeros count; `8000-8010` lets the engine pick one. */
const HOST_PORT = /^(\d{1,20})(?:-(\d{1,20}))?$/;

const isAllowed = (rules: HostRules, text: Json): boolean => {
  const match = typeof text === 'string' ? HOST_PORT.exec(text) : null;
  if (match === null) return text === '' && rules.ephemeralPorts;
  const from = Number(match[1]);
  const to = match[2] === undefined ? from : Number(match[2]);
  return to === 0 ? rules.ephemeralPorts : covers(rules, from, to);
};

function denyPort(rules: HostRules, value: Json, at: string, report: Report): void {
  const asked = value === '' ? "a host port of the engine's choice" : `host port ${quote(value)}`;
  report.deny(at, value, `publishes ${asked} (allowed: ${portsText(rules)})`);
}

export const portBindingsCheck =
  (rules: HostRules): Check =>
  (value, at, report) => {
    const ports = objectOf(value, at, report);
    for (const port in ports) {
      const list = listOf(ports[port], at, report);
      for (let i = 0; i < list.length; i += 1) {
        const binding = objectOf(list[i], at, report);
        const hostPort = binding?.HostPort ?? '';
        if (!isAllowed(rules, hostPort)) denyPort(rules, hostPort, `${entry(at, port)}[${i}].HostPort`, report);
        for (const key in binding) {
          if (key !== 'HostIp' && key !== 'HostPort') report.unknown(`${entry(at, port)}[${i}].${key}`, binding[key]);
        }
      }
    }
  };

export const publishAllCheck =
  (rules: HostRules): Check =>
  (value, at, report) => {
    if (!rules.ephemeralPorts) report.deny(at, value, `is ${show(value)} (allowed: ${portsText(rules)})`);
  };

const SERVICE_PORT: Rows = new Map([
  ['Name', null],
  ['Protocol', null],
  ['TargetPort', null],
  ['PublishedPort', null],
  ['PublishMode', null],
]);

/** A published port of a service takes that port on every node, or on the node of a task: both are host ports. */
export const endpointSpecCheck = (rules: HostRules): Check => {
  const ports = each((value, at, report) => {
    walk(SERVICE_PORT, value, at, report);
    const published = objectOf(value, at, report)?.PublishedPort ?? 0;
    const text = published === 0 ? '' : String(published);
    if (!isAllowed(rules, text)) denyPort(rules, text, `${at}.PublishedPort`, report);
  });
  const rows: Rows = new Map<string, Check | null>([
    ['Mode', null],
    ['Ports', ports],
  ]);
  return (value, at, report) => walk(rows, value, at, report);
};
