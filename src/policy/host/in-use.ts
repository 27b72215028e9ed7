// Containers a call uses that exist already: joined, entered, started again, read or committed. What they reach was said when they
// were made, perhaps not under this rule, so they are judged by it as they are. What only costs (limits, ports, logs) stays
// a matter of creation.
import { isUsedAsMade } from '../../engine/container-use.ts';
import type { EngineCall, Json, MadeContainer, MadeMount, ResourceRef } from '../../engine/types.ts';
import { sysctlsCheck } from './amounts.ts';
import type { CallCheck } from './container.ts';
import { deviceCgroupRules, deviceRequestsCheck, devicesCheck } from './devices.ts';
import {
  capabilitiesCheck,
  checkUser,
  dropsAll,
  ipcMode,
  isHostNetwork,
  isNoNewPrivileges,
  mustBeFalse,
  pidMode,
  privateMode,
  securityOptCheck,
} from './isolation.ts';
import { madeMountCheck } from './mounts.ts';
import { DEFAULT_CAPABILITIES } from './presets.ts';
import type { Check, Report, Rows } from './report.ts';
import { checkedRows, empty, look, oneOfWords, quote } from './report.ts';
import type { HostRules } from './rules.ts';
import { canonicalCapability } from './rules.ts';

/** Whether a host preset must look up the object behind a name: the object's settings decide what it reaches. */
export const isJudgedAtUse = (call: EngineCall, ref: ResourceRef): boolean =>
  (ref.kind === 'volume' && ref.role === 'uses') ||
  // The network of the host also has an id, and any network a driver.
  (ref.kind === 'network' && ref.role !== 'creates' && isJoin(call)) ||
  isUsedAsMade(call, ref);

/** Whether the call joins the network it names; a call that inspects, leaves or removes one does not. */
const isJoin = ({ action }: EngineCall): boolean =>
  action === 'container.create' ||
  action === 'network.connect' ||
  action === 'build.run' ||
  action.startsWith('service.');

/** What inspect shows of every plain container, by the least engine that is served. */
const MASKED = ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'];
const READ_ONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];
/** Names of the usual runtimes, which engines fill in where none was asked for. */
const USUAL_RUNTIMES: ReadonlySet<string> = new Set(['runc', 'crun', 'oci', 'io.containerd.runc.v2']);

/** Lists the engine fills in: longer ones differ by version, shorter ones unmask. */
const holdsAll =
  (paths: readonly string[]): Check =>
  (value, at, report) => {
    if (Array.isArray(value) && paths.every((path) => value.includes(path))) return;
    report.deny(at, value, "is not the engine's own list (allowed: that one)");
  };

/** As `check`, with the word engines show for an empty mode. */
const orPrivate =
  (check: Check): Check =>
  (value, at, report) => {
    if (value !== 'private') check(value, at, report);
  };

const network: Check = (value, at, report) => {
  const isPath = typeof value === 'string' && value.startsWith('ns:');
  if (isPath || isHostNetwork(value)) report.deny(at, value, `is ${quote(value)} (allowed: anything but host)`);
};

/** HostConfig as inspect shows it. CgroupnsMode is left out: with cgroup v1 engines fill in host for every container. */
function rowsAtUse(rules: HostRules): Rows {
  const others = oneOfWords(rules.runtimes);
  return new Map<string, Check | null>([
    ['Privileged', mustBeFalse],
    ['NetworkMode', network],
    ['PidMode', orPrivate(pidMode)],
    ['IpcMode', ipcMode],
    ['UTSMode', orPrivate(privateMode)],
    ['UsernsMode', orPrivate(privateMode)],
    ['CapAdd', capabilitiesCheck(rules)],
    ['SecurityOpt', securityOptCheck(rules)],
    ['MaskedPaths', holdsAll(MASKED)],
    ['ReadonlyPaths', holdsAll(READ_ONLY)],
    ['Devices', devicesCheck(rules)],
    ['DeviceCgroupRules', deviceCgroupRules],
    ['DeviceRequests', deviceRequestsCheck(rules)],
    ['CgroupParent', empty('empty')],
    ['Sysctls', sysctlsCheck(rules.sysctls, 'namespaced ones, and those listed in the policy')],
    [
      'Runtime',
      (value, at, report) => {
        if (typeof value === 'string' && (USUAL_RUNTIMES.has(value) || rules.runtimes.has(value))) return;
        report.deny(
          at,
          value,
          `is ${quote(value)} (allowed: the engine's default${others === 'none' ? '' : `, ${others}`})`,
        );
      },
    ],
  ]);
}

/** Containers named in a call that uses them as they were made. */
export function containersInUseCheck(rules: HostRules): CallCheck {
  const rows = rowsAtUse(rules);
  const host = checkedRows(rows, rows.keys());
  const checkMount = madeMountCheck(rules);

  const judge = (made: MadeContainer, prefix: string, report: Report): void => {
    look(host, made.host, `${prefix}HostConfig`, report);
    if (made.networks.some(isHostNetwork)) {
      report.deny(`${prefix}Networks`, 'host', 'holds the network of the host (allowed: a network of your own)');
    }
    for (const [i, mount] of made.mounts.entries()) {
      const own = report.ofMade(String(made.host.Runtime ?? ''));
      checkMount(mount, '', own);
      // Where the mount comes from may be hidden from the caller, so its place in the container stands for it.
      if (own.violations.length > 0) {
        const what = whatIs(mount, report);
        report.deny(
          `${prefix}Mounts[${i}]`,
          mount.target,
          `has ${what} at ${quote(mount.target)} (allowed: ${rootsText(rules)})`,
        );
      }
    }
    if (rules.preset !== 'baseline') judgeRestricted(rules, made, prefix, report);
    for (const { at, made: other } of made.joins) {
      if (other === undefined)
        report.deny(
          `${prefix}HostConfig.${at}`,
          '',
          'is that of a container that cannot be looked up (allowed: an existing one)',
        );
      else judge(other, `${prefix}${at} `, report);
    }
  };

  return (call, report) => {
    for (const { made, name, at, kind } of call.resources) {
      if (made === undefined) continue;
      const own = report.ofMade('');
      judge(made, '', own);
      if (made.exec !== undefined) judgeExec(rules, made.exec, own);
      for (const { message, value } of own.violations) {
        report.deny(at, value, `names the ${kind} ${quote(name)}, which this rule would not make: ${message}`);
      }
    }
  };
}

const rootsText = (rules: HostRules): string =>
  rules.binds.length === 0 ? 'local volumes' : `local volumes, and ${oneOfWords(rules.binds.map(({ text }) => text))}`;

function whatIs(mount: MadeMount, { site }: Report): string {
  if (mount.type !== 'bind') return 'what the rule would not mount';
  return site?.isWithinReach?.(mount.source) === false
    ? 'a socket that speaks for other credentials than yours'
    : 'a path of the host';
}

function judgeRestricted(rules: HostRules, { user, host }: MadeContainer, prefix: string, report: Report): void {
  const { values } = rules;
  if (values.needsNonRoot) checkUser(user, `${prefix}User`, report);
  if (values.needsDropAll && !dropsDefaults(rules, host.CapDrop)) {
    report.deny(`${prefix}HostConfig.CapDrop`, host.CapDrop ?? null, 'does not contain ALL (allowed: ["ALL"])');
  }
  const options: readonly Json[] = Array.isArray(host.SecurityOpt) ? (host.SecurityOpt as readonly Json[]) : [];
  if (values.needsNoNewPrivileges && !options.some(isNoNewPrivileges)) {
    report.deny(`${prefix}HostConfig.SecurityOpt`, null, 'lacks no-new-privileges (allowed: ["no-new-privileges"])');
  }
  if (values.needsReadonlyRootfs && host.ReadonlyRootfs !== true) {
    report.deny(`${prefix}HostConfig.ReadonlyRootfs`, false, 'is false (allowed: true)');
  }
}

/** Podman shows ALL as the list of what it meant. */
function dropsDefaults(rules: HostRules, value: Json | undefined): boolean {
  if (dropsAll(value)) return true;
  const dropped = new Set(
    (Array.isArray(value) ? (value as readonly Json[]) : []).map((name) => canonicalCapability(String(name))),
  );
  return DEFAULT_CAPABILITIES.every((name) => dropped.has(name) || rules.capabilities.has(name));
}

/** An exec instance runs as its own user, and with all powers where it was made so. */
function judgeExec(rules: HostRules, exec: NonNullable<MadeContainer['exec']>, report: Report): void {
  if (exec.privileged && !rules.execPrivileged) report.deny('Privileged', true, 'is true (allowed: false)');
  if (rules.values.needsNonRoot && exec.user !== '') checkUser(exec.user, 'User', report);
}
