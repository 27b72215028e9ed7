// Checks ports of the host: PortBindings and PublishAllPorts of a container, EndpointSpec of a service.
import type { Json } from '../../engine/types.ts';
import { each, listOf, objectOf, quote, show, walk } from './report.ts';
import type { Check, Report, Rows } from './report.ts';
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

function checkHostPort(rules: HostRules, value: Json | undefined, at: string, report: Report): void {
  const text = value === undefined || value === null ? '' : value;
  const match = typeof text === 'string' ? HOST_PORT.exec(text) : null;
  const from = match === null ? 0 : Number(match[1]);
  const to = match?.[2] === undefined ? from : Number(match[2]);
  const isEphemeral = text === '' || (match !== null && from === 0 && to === 0);
  if (isEphemeral ? rules.ephemeralPorts : match !== null && covers(rules, from, to)) return;
  const asked = isEphemeral ? "a host port of the engine's choice" : `host port ${quote(text)}`;
  report.deny(at, text, `publishes ${asked} (allowed: ${portsText(rules)})`);
}

const BINDING: Rows = new Map([
  ['HostIp', null],
  ['HostPort', null],
]);

export const portBindingsCheck =
  (rules: HostRules): Check =>
  (value, at, report) => {
    const ports = objectOf(value, at, report);
    for (const port in ports) {
      const list = listOf(ports[port], `${at}[${JSON.stringify(port)}]`, report);
      for (let i = 0; i < list.length; i += 1) {
        const field = `${at}[${JSON.stringify(port)}][${i}]`;
        walk(BINDING, list[i], field, report);
        checkHostPort(rules, objectOf(list[i], field, report)?.HostPort, `${field}.HostPort`, report);
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
    checkHostPort(rules, String(published), `${at}.PublishedPort`, report);
  });
  const rows: Rows = new Map<string, Check | null>([
    ['Mode', null],
    ['Ports', ports],
  ]);
  return (value, at, report) => walk(rows, value, at, report);
};
