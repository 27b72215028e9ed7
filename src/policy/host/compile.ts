// Joins the tables into one check per action. Actions that are in no table (plugins, swarm, prunes) touch the host as a
// whole: only unknown fields are refused here, and `unjudged.ts` keeps grave ones from passing unnamed.
import { unknownFieldsOf } from '../../engine/decode.ts';
import { processListFault } from '../../engine/process-list.ts';
import { isCredential } from '../../engine/registry-credentials.ts';
import type { EngineCall } from '../../engine/types.ts';
import { minorOf } from '../../engine/versions.ts';
import { build } from './build.ts';
import type { CallCheck } from './container.ts';
import { bodyOf, containerCreate, containerUpdate, execCreate, objectIn } from './container.ts';
import { checkEvaluated } from './evaluated.ts';
import { addressHost, checkAddress, checkImage, isFarRegistry, repositoryOf } from './images.ts';
import { containersInUseCheck } from './in-use.ts';
import { mustBeFalse } from './isolation.ts';
import { ceilingsOf, checkCreated, checkTaskLimits, checkUpdated } from './limits.ts';
import { driverOptsCheck, volumeDriver } from './mounts.ts';
import { connectRows, networkCreateRows, networksInUseCheck } from './networks.ts';
import { REMAKE_ACTIONS, remakable } from './remake.ts';
import type { Check, Rows } from './report.ts';
import { empty, nested, oneOf, quote, Report, walk } from './report.ts';
import type { HostRules } from './rules.ts';
import { hostRules, limitRules } from './rules.ts';
import { serviceSpec } from './service.ts';
import type { HostCheck, HostSpec, HostViolation } from './spec.ts';

const NONE: readonly HostViolation[] = Object.freeze([]);

/**
 * Makes the check of a host block, once per policy revision.
 *
 * @throws {GatewayError} `input-invalid` for a value that `parseHostSpec` reports as a problem
 */
export function compileHostSpec(spec: HostSpec): HostCheck {
  const preset = spec.preset ?? 'baseline';
  const fields = new Set((spec.fields ?? []).map((field) => field.replaceAll(/\[[^\]]*\]/g, '')));
  const checks =
    preset === 'privileged' ? privilegedChecks(spec) : presetChecks(hostRules(spec, preset), spec.remakes === true);
  return (call, principal, site) => {
    const check = checks.get(call.action) ?? (preset === 'privileged' ? undefined : otherwise);
    if (check === undefined) return NONE;
    const report = new Report(principal, fields, call.defaults, site);
    report.minor = minorOf(call.apiVersion);
    // What only reads writes to nothing below a read-only folder.
    if (call.operation.class !== 'read') report.depth = call.readOnlyDepth;
    check(call, report);
    if (preset !== 'privileged') checkEvaluated(call, report);
    return report.violations;
  };
}

/** Fields no schema knows, in bodies that have no table here. */
const otherwise: CallCheck = (call, report) => {
  for (const { path, secure } of unknownFieldsOf(call)) if (secure) report.unknown(path, '?');
};

function presetChecks(rules: HostRules, remakes: boolean): ReadonlyMap<string, CallCheck> {
  const checks = new Map(checksOf(rules));
  if (!remakes) return checks;
  for (const action of REMAKE_ACTIONS) checks.set(action, remakable(rules, checks.get(action)));
  return checks;
}

function checksOf(rules: HostRules): ReadonlyMap<string, CallCheck> {
  const service = serviceSpec(rules);
  const containers = containersInUseCheck(rules);
  const distribution: CallCheck = (call, report) => checkImage(rules.registries, call.path.name, 'path.name', report);
  return new Map<string, CallCheck>([
    ['container.create', containerCreate(rules)],
    ['container.update', containerUpdate(rules)],
    ['container.top', processList],
    ['container.start', bothOf(containerStart, containers)],
    ['container.restart', bothOf(otherwise, containers)],
    ['container.unpause', bothOf(otherwise, containers)],
    ['container.attach', bothOf(otherwise, containers)],
    ['container.archive.stat', bothOf(otherwise, containers)],
    ['container.archive.read', bothOf(otherwise, containers)],
    ['container.archive.write', bothOf(otherwise, containers)],
    ['container.exec.start', bothOf(otherwise, containers)],
    ['image.commit', bothOf(otherwise, containers)],
    ['container.exec.create', bothOf(execCreate(rules), containers)],
    ['container.checkpoint.create', bothOf(checkpoint, containers)],
    ['container.checkpoint.list', checkpoint],
    ['container.checkpoint.remove', checkpoint],
    ['service.create', service],
    ['service.update', service],
    ['volume.create', volumeCreate(rules)],
    ['build.run', build(rules)],
    ['network.create', bodyRows(networkCreateRows(rules))],
    ['network.connect', networkConnect(rules)],
    ['secret.create', bodyRows(SECRET)],
    ['config.create', bodyRows(SECRET)],
    ['image.pull', imageCreate(rules)],
    ['image.import', imageCreate(rules)],
    ['image.push', distribution],
    [
      'image.distribution',
      (call, report) => {
        if (!mayFetchAsOwn(rules, call, call.path.name ?? '')) distribution(call, report);
      },
    ],
    ['image.search', (call, report) => checkImage(rules.registries, searchTerm(call), 'query.term', report)],
    ['system.auth', login(rules)],
  ]);
}

/** Privileged checks only the limits the policy spells out. */
function privilegedChecks(spec: HostSpec): ReadonlyMap<string, CallCheck> {
  const checks = new Map<string, CallCheck>();
  if (spec.exec?.privileged === false) {
    const check: CallCheck = (call, report) => {
      const { Privileged: privileged } = bodyOf(call);
      if (privileged !== undefined && privileged !== null && privileged !== false) {
        mustBeFalse(privileged, 'Privileged', report);
      }
    };
    checks.set('container.exec.create', check);
  }
  const ceilings = ceilingsOf(limitRules(spec), undefined);
  if (ceilings === undefined) return checks;
  checks.set('container.create', (call, report) => {
    checkCreated(ceilings, objectIn(bodyOf(call).HostConfig), 'HostConfig.', report);
  });
  checks.set('container.update', (call, report) => checkUpdated(ceilings, bodyOf(call), report));
  const service: CallCheck = (call, report) => {
    const limits = objectIn(objectIn(objectIn(bodyOf(call).TaskTemplate).Resources).Limits);
    checkTaskLimits(ceilings, limits, 'TaskTemplate.Resources.Limits', report);
  };
  checks.set('service.create', service);
  checks.set('service.update', service);
  return checks;
}

const bothOf =
  (first: CallCheck, second: CallCheck): CallCheck =>
  (call, report) => {
    first(call, report);
    second(call, report);
  };

const bodyRows =
  (rows: Rows): CallCheck =>
  (call, report) =>
    walk(rows, bodyOf(call), '', report);

/** The engine runs `ps` on the host, as root. */
const processList: CallCheck = (call, report) => {
  otherwise(call, report);
  for (const args of call.query.ps_args ?? []) {
    const fault = processListFault(args);
    if (fault !== undefined) report.deny('query.ps_args', args, `is ${quote(args)}, which ${fault}`);
  }
};

/** A checkpoint is a folder of the host's, and brings back a process that was not judged. */
const containerStart: CallCheck = (call, report) => {
  for (const name of ['checkpoint', 'checkpoint-dir']) {
    const value = call.query[name]?.find((item) => item !== '');
    if (value !== undefined) report.deny(`query.${name}`, value, `is ${quote(value)} (allowed: empty)`);
  }
};

const checkpoint: CallCheck = (call, report) => {
  const value = call.query.dir?.find((item) => item !== '') ?? bodyOf(call).CheckpointDir;
  if (value === undefined || value === null || value === '') return;
  const at = call.query.dir === undefined ? 'CheckpointDir' : 'query.dir';
  report.deny(at, value, `is the host path ${quote(value)} (allowed: empty)`);
};

function volumeCreate(rules: HostRules): CallCheck {
  const rows: Rows = new Map<string, Check | null>([
    ['Name', null],
    ['Driver', volumeDriver],
    ['DriverOpts', driverOptsCheck(rules)],
    ['Labels', null],
    // Even an empty one makes a volume of the cluster.
    ['ClusterVolumeSpec', (value, at, report) => report.deny(at, value, 'makes a cluster volume (allowed: null)')],
  ]);
  return bodyRows(rows);
}

function networkConnect(rules: HostRules): CallCheck {
  const rows = connectRows(rules);
  const checkNetworks = networksInUseCheck(rules);
  const checkContainers = containersInUseCheck(rules);
  return (call, report) => {
    walk(rows, bodyOf(call), '', report);
    checkNetworks(call, report);
    checkContainers(call, report);
    if (call.path.id?.toLowerCase() === 'host') {
      report.deny('path.id', call.path.id, 'joins the network of the host (allowed: a network of your own)');
    }
  };
}

/** Where the policy lists no registries, callers with credentials of their own may fetch from the far registry they are for. */
const mayFetchAsOwn = (rules: HostRules, call: EngineCall, image: string): boolean =>
  !rules.registriesListed &&
  call.credentials === true &&
  isFarRegistry(repositoryOf(image).registry, call.nearRegistries);

/** Words for the registries a caller's own credentials do not open. */
const NOT_NEAR = " but those of the engine's own machine or link";
const isNearIn = (call: EngineCall, image: string): boolean =>
  !isFarRegistry(repositoryOf(image).registry, call.nearRegistries);

/** A login consists of the caller's own credentials. */
function login(rules: HostRules): CallCheck {
  return (call, report) => {
    const body = bodyOf(call);
    const address = typeof body.serveraddress === 'string' ? addressHost(body.serveraddress) : undefined;
    const isFar =
      body.serveraddress === undefined || (address !== undefined && isFarRegistry(address, call.nearRegistries));
    if (!rules.registriesListed && isCredential(body) && isFar) return;
    checkAddress(rules.registries, body.serveraddress, 'serveraddress', report);
  };
}

/** Secrets and configs. A driver fetches the value from elsewhere, and only one kind of template is known. */
const SECRET: Rows = new Map<string, Check | null>([
  ['Name', null],
  ['Labels', null],
  ['Data', null],
  ['Driver', empty('none')],
  [
    'Templating',
    nested(
      new Map<string, Check | null>([
        ['Name', oneOf(new Set(['golang']), 'empty or golang')],
        ['Options', empty('none')],
      ]),
    ),
  ],
]);

/** Pull and import share one endpoint. `fromSrc=-` is an upload, any other source an address the engine calls. */
function imageCreate(rules: HostRules): CallCheck {
  const orOwn = rules.registriesListed ? '' : ', or any with credentials of your own';
  return (call, report) => {
    for (const source of call.query.fromSrc ?? []) {
      if (source === '' || source === '-') continue;
      report.deny('query.fromSrc', source, `makes the engine fetch ${quote(source)} (allowed: -, an upload)`);
    }
    for (const image of call.query.fromImage ?? []) {
      const not = isNearIn(call, image) ? NOT_NEAR : '';
      if (!mayFetchAsOwn(rules, call, image))
        checkImage(rules.registries, image, 'query.fromImage', report, orOwn === '' ? '' : `${orOwn}${not}`);
    }
  };
}

/** The part before the first slash may name a registry, exactly as in an image reference. */
const searchTerm = (call: EngineCall): string => call.query.term?.[0] ?? '';

/** Actions whose calls the presets judge. All others are a matter of the policy's actions alone. */
export const JUDGED_ACTIONS: ReadonlySet<string> = new Set(checksOf(hostRules({}, 'baseline')).keys());
