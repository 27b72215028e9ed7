// The tables of a ServiceSpec: containers the swarm runs, judged by the same rules as those made directly.
import type { JsonObject } from '../../engine/types.ts';
import { nanoCpus, sysctlsCheck, ulimits } from './amounts.ts';
import type { CallCheck } from './container.ts';
import { bodyOf, objectIn } from './container.ts';
import { checkImage, checkPinned } from './images.ts';
import {
  capabilitiesCheck,
  checkUser,
  dropsAll,
  groupsCheck,
  isolation,
  logCheck,
  oomScoreAdj,
  privilegesCheck,
} from './isolation.ts';
import { ceilingsOf, checkTaskLimits } from './limits.ts';
import { mountsCheck, volumesInUseCheck } from './mounts.ts';
import { networksInUseCheck, serviceNetworksCheck } from './networks.ts';
import { endpointSpecCheck } from './ports.ts';
import type { Check, Report, Rows } from './report.ts';
import { each, empty, nested, quote, walk } from './report.ts';
import type { HostRules } from './rules.ts';

type Row = readonly [string, Check | null];
const free = (...fields: string[]): Row[] => fields.map((field) => [field, null] as const);

const FILE: Rows = new Map(free('Name', 'UID', 'GID', 'Mode'));
const SECRETS = each(nested(new Map([['File', nested(FILE)], ...free('SecretID', 'SecretName')])));
const CONFIGS = each(nested(new Map([['File', nested(FILE)], ...free('Runtime', 'ConfigID', 'ConfigName')])));

function containerSpecRows(rules: HostRules): Rows {
  return new Map<string, Check | null>([
    // Nodes fetch the image themselves, so the service decides where they connect.
    ['Image', (value, at, report) => checkImage(rules.registries, value, at, report)],
    ['Privileges', privilegesCheck(rules)],
    ['Mounts', mountsCheck(rules)],
    ['CapabilityAdd', capabilitiesCheck(rules)],
    ['Sysctls', sysctlsCheck(rules.sysctls, 'namespaced ones, and those listed in the policy')],
    ['Isolation', isolation],
    ['OomScoreAdj', oomScoreAdj],
    ['Groups', rules.values.needsNonRoot ? groupsCheck : null],
    ['Secrets', SECRETS],
    ['Configs', CONFIGS],
    ['Ulimits', ulimits],
    ...free('Labels', 'Command', 'Args', 'Hostname', 'Env', 'Dir', 'User', 'Init', 'StopSignal', 'TTY', 'OpenStdin'),
    ...free('ReadOnly', 'StopGracePeriod', 'Healthcheck', 'Hosts', 'DNSConfig', 'CapabilityDrop'),
  ]);
}

function resourceRows(): Rows {
  return new Map<string, Check | null>([
    ['Limits', nested(new Map<string, Check | null>([['NanoCPUs', nanoCpus], ...free('MemoryBytes', 'Pids')]))],
    [
      'Reservations',
      nested(new Map<string, Check | null>([['GenericResources', empty('none')], ...free('NanoCPUs', 'MemoryBytes')])),
    ],
    ...free('SwapBytes', 'MemorySwappiness'),
  ]);
}

const taskRuntime: Check = (value, at, report) => {
  if (value !== 'container') report.deny(at, value, `is ${quote(value)} (allowed: container)`);
};

/** Body and query of a service create or update. */
export function serviceSpec(rules: HostRules): CallCheck {
  const networks = serviceNetworksCheck(rules);
  const task: Rows = new Map<string, Check | null>([
    ['ContainerSpec', nested(containerSpecRows(rules))],
    ['PluginSpec', empty('none')],
    ['NetworkAttachmentSpec', empty('none')],
    ['Resources', nested(resourceRows())],
    ['Networks', networks],
    ['LogDriver', logCheck(rules, 'Name', 'Options')],
    ['Runtime', taskRuntime],
    ...free('RestartPolicy', 'Placement', 'ForceUpdate'),
  ]);
  const rows: Rows = new Map<string, Check | null>([
    ['TaskTemplate', nested(task)],
    ['Networks', networks],
    ['EndpointSpec', endpointSpecCheck(rules)],
    ...free('Name', 'Labels', 'Mode', 'UpdateConfig', 'RollbackConfig'),
  ]);
  const ceilings = ceilingsOf(rules.limits, rules.values);
  const checkVolumes = volumesInUseCheck(rules);
  // A service can be in no other network than one of the swarm's.
  const checkNetworks = networksInUseCheck(rules, ['overlay']);
  return (call, report) => {
    const body = bodyOf(call);
    walk(rows, body, '', report);
    checkNetworks(call, report);
    checkVolumes(call, report);
    checkRollback(call.query.rollback?.[0], report);
    const template = objectIn(body.TaskTemplate);
    if (ceilings !== undefined) {
      checkTaskLimits(ceilings, objectIn(objectIn(template.Resources).Limits), 'TaskTemplate.Resources.Limits', report);
    }
    if (rules.preset !== 'baseline') checkRestricted(rules, objectIn(template.ContainerSpec), report);
  };
}

/** The engine then ignores the body for an older spec, which this call's policy has not judged. */
function checkRollback(value: string | undefined, report: Report): void {
  if (value === undefined || value === '' || report.isLetThrough('query.rollback')) return;
  report.deny('query.rollback', value, `is ${quote(value)}, which restores a spec unseen (allowed: none)`);
}

function checkRestricted(rules: HostRules, spec: JsonObject, report: Report): void {
  const { values } = rules;
  const at = 'TaskTemplate.ContainerSpec';
  if (values.needsNonRoot) checkUser(spec.User, `${at}.User`, report);
  if (values.needsDropAll && !dropsAll(spec.CapabilityDrop)) {
    report.deny(`${at}.CapabilityDrop`, spec.CapabilityDrop ?? null, 'does not contain ALL (allowed: ["ALL"])');
  }
  if (values.needsNoNewPrivileges && objectIn(spec.Privileges).NoNewPrivileges !== true) {
    report.deny(`${at}.Privileges.NoNewPrivileges`, false, 'is false (allowed: true)');
  }
  if (values.needsReadonlyRootfs && spec.ReadOnly !== true)
    report.deny(`${at}.ReadOnly`, false, 'is false (allowed: true)');
  if (values.needsDigest) checkPinned(spec.Image, `${at}.Image`, report);
}
