// Memory, processors, processes, shared memory and ulimits of containers and services: what the caller left out gets a default,
// what is above the ceiling is refused. Where there is a ceiling and no default, the ceiling is the default, so that nothing is
// left without a limit. A build is not a container: its limits are none of these.
import {
  type AdmissionRequest,
  type Change,
  definePlugin,
  deny,
  type Json,
  type JsonObject,
  listOf,
  numberOf,
  objectOf,
  PASS,
  textOf,
  type Verdict,
} from '../src/plugin.ts';

type Amount = number | string;
interface Limit {
  readonly default?: Amount;
  readonly max?: Amount;
}
interface Settings {
  readonly memory?: Limit;
  readonly cpus?: Limit;
  readonly pids?: Limit;
  readonly shm?: Limit;
  readonly ulimits?: Readonly<Record<string, Limit>>;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };
const NANO = 1e9;
/** The scheduler's period where none is given, in microseconds. */
const PERIOD = 100_000;

/** `512m` in bytes; a number as it is. */
function amountOf(amount: Amount): number {
  if (typeof amount === 'number') return amount;
  const [, digits = '0', unit = ''] = /^(\d+)([bkmgt]?)$/.exec(amount) ?? [];
  return Number(digits) * (UNITS[unit] ?? 1);
}
const maxOf = (limit: Limit | undefined): number =>
  limit?.max === undefined ? Number.POSITIVE_INFINITY : amountOf(limit.max);
const defaultOf = (limit: Limit | undefined): number | undefined => {
  const given = limit?.default ?? limit?.max;
  return given === undefined ? undefined : amountOf(given);
};

/** Where the limits of one kind of call stand. */
interface Place {
  readonly path: string;
  readonly field: string;
  readonly at: JsonObject;
  readonly ulimits: string;
  readonly listed: JsonObject;
  readonly names: { readonly memory: string; readonly cpus: string; readonly pids: string };
  readonly kind: 'create' | 'update' | 'service';
}

const OF_CONTAINER = { memory: 'Memory', cpus: 'NanoCpus', pids: 'PidsLimit' };
const OF_SERVICE = { memory: 'MemoryBytes', cpus: 'NanoCPUs', pids: 'Pids' };

function placeOf({ operation, body }: AdmissionRequest): Place | undefined {
  const all = objectOf(body);
  if (operation.action === 'container.create') {
    const at = objectOf(all.HostConfig);
    const path = '/body/HostConfig';
    return { path, field: 'HostConfig.', at, ulimits: path, listed: at, names: OF_CONTAINER, kind: 'create' };
  }
  if (operation.action === 'container.update')
    return { path: '/body', field: '', at: all, ulimits: '/body', listed: all, names: OF_CONTAINER, kind: 'update' };
  const task = objectOf(all.TaskTemplate);
  if (task.ContainerSpec === undefined || task.ContainerSpec === null) return undefined;
  return {
    path: '/body/TaskTemplate/Resources/Limits',
    field: 'TaskTemplate.Resources.Limits.',
    at: objectOf(objectOf(task.Resources).Limits),
    ulimits: '/body/TaskTemplate/ContainerSpec',
    listed: objectOf(task.ContainerSpec),
    names: OF_SERVICE,
    kind: 'service',
  };
}

function mutate(request: AdmissionRequest, { config }: { readonly config: Settings }): readonly Change[] {
  const place = placeOf(request);
  // An update leaves as it is what it does not name.
  if (place === undefined || place.kind === 'update') return [];
  const { at, path, names, kind } = place;
  const changes: Change[] = [];
  const fill = (name: string, value: number | undefined): void => {
    if (value !== undefined && numberOf(at[name]) === 0) changes.push({ op: 'add', path: `${path}/${name}`, value });
  };
  fill(names.memory, defaultOf(config.memory));
  fill(names.pids, defaultOf(config.pids));
  const cpus = defaultOf(config.cpus);
  if (cpus !== undefined && kind === 'service') fill(names.cpus, Math.round(cpus * NANO));
  else if (cpus !== undefined && numberOf(at.CpuQuota) === 0 && numberOf(at.NanoCpus) === 0) {
    // The engine takes either a number of processors or a quota with its period.
    const period = numberOf(at.CpuPeriod);
    if (period === 0) fill('NanoCpus', Math.round(cpus * NANO));
    else fill('CpuQuota', Math.round(cpus * period));
  }
  if (kind === 'create') fill('ShmSize', defaultOf(config.shm));
  const given = new Set(listOf(place.listed.Ulimits).map((one) => textOf(objectOf(one).Name)));
  const missing = Object.entries(config.ulimits ?? {}).filter(([name]) => !given.has(name));
  if (missing.length > 0) {
    const added = missing.map(([Name, limit]): Json => {
      const value = defaultOf(limit) ?? 0;
      return { Name, Soft: value, Hard: value };
    });
    changes.push({ op: 'add', path: `${place.ulimits}/Ulimits`, value: [...listOf(place.listed.Ulimits), ...added] });
  }
  return changes;
}

function validate(request: AdmissionRequest, { config }: { readonly config: Settings }): Verdict {
  const place = placeOf(request);
  if (place === undefined) return PASS;
  return (
    memoryFault(place, config) ??
    cpuFault(place, config) ??
    pidsFault(place, config) ??
    (place.kind === 'create' ? above('HostConfig.ShmSize', numberOf(place.at.ShmSize), config.shm) : undefined) ??
    ulimitFault(place, config) ??
    PASS
  );
}

function above(field: string, value: number, limit: Limit | undefined, unit = 1): Verdict | undefined {
  if (value <= maxOf(limit) * unit) return undefined;
  return deny('limit-exceeded', `${field} is ${value} (at most ${maxOf(limit) * unit}, which is ${limit?.max})`);
}

const unlimited = (field: string, value: Json | undefined, max: unknown): Verdict =>
  deny('limit-exceeded', `${field} is ${String(value)}, which is no limit (at most ${String(max)})`);

function memoryFault({ field, at, names, kind }: Place, { memory }: Settings): Verdict | undefined {
  if (memory?.max === undefined) return undefined;
  const value = numberOf(at[names.memory]);
  if (value < 0 || (value === 0 && kind !== 'update')) return unlimited(field + names.memory, value, memory.max);
  const fault = above(field + names.memory, value, memory);
  if (fault !== undefined || kind === 'service') return fault;
  // Memory and swap together; nothing means twice the memory, as the engine does it.
  const swap = numberOf(at.MemorySwap);
  if (swap < 0) return unlimited(`${field}MemorySwap`, swap, `twice ${memory.max}`);
  if (swap <= 2 * maxOf(memory)) return undefined;
  return deny('limit-exceeded', `${field}MemorySwap is ${swap} (at most twice ${memory.max})`);
}

function cpuFault({ field, at, names, kind }: Place, { cpus }: Settings): Verdict | undefined {
  if (cpus?.max === undefined) return undefined;
  const value = numberOf(at[names.cpus]);
  if (value < 0) return unlimited(field + names.cpus, value, cpus.max);
  const fault = above(field + names.cpus, value, cpus, NANO);
  if (fault !== undefined) return fault;
  if (kind === 'service') return value === 0 ? unlimited(field + names.cpus, value, cpus.max) : undefined;
  const quota = numberOf(at.CpuQuota);
  const period = numberOf(at.CpuPeriod);
  if (quota < 0) return unlimited(`${field}CpuQuota`, quota, cpus.max);
  // What an update leaves out stays as it was made, and the two mean something together only.
  if (kind === 'update' && (quota === 0) !== (period === 0))
    return deny('limit-exceeded', `CpuQuota and CpuPeriod are set together, or --cpus (at most ${cpus.max})`);
  if (quota > 0 && quota / (period > 0 ? period : PERIOD) > maxOf(cpus))
    return deny('limit-exceeded', `${field}CpuQuota is ${quota} of ${period || PERIOD} (at most ${cpus.max} cpus)`);
  if (kind === 'create' && value === 0 && quota === 0) return unlimited(`${field}NanoCpus`, value, cpus.max);
  return undefined;
}

function pidsFault({ field, at, names, kind }: Place, { pids }: Settings): Verdict | undefined {
  if (pids?.max === undefined) return undefined;
  const given = at[names.pids];
  if (kind === 'update' && (given === undefined || given === null)) return undefined;
  const value = numberOf(given);
  return value <= 0 ? unlimited(field + names.pids, value, pids.max) : above(field + names.pids, value, pids);
}

function ulimitFault({ listed, kind }: Place, { ulimits = {} }: Settings): Verdict | undefined {
  const field = kind === 'service' ? 'TaskTemplate.ContainerSpec.' : kind === 'create' ? 'HostConfig.' : '';
  for (const [i, one] of listOf(listed.Ulimits).entries()) {
    const { Name, Soft, Hard } = objectOf(one);
    const limit = Object.hasOwn(ulimits, textOf(Name)) ? ulimits[textOf(Name)] : undefined;
    if (limit?.max === undefined) continue;
    for (const [what, value] of Object.entries({ Soft, Hard })) {
      const at = `${field}Ulimits[${i}].${what} (${textOf(Name)})`;
      const fault = numberOf(value) < 0 ? unlimited(at, value, limit.max) : above(at, numberOf(value), limit);
      if (fault !== undefined) return fault;
    }
  }
  return undefined;
}

const amount = { type: ['integer', 'string'], pattern: '^[0-9]+[bkmgt]?$', minimum: 1 };
const count = { type: 'integer', minimum: 1 };
const limit = (value: JsonObject): JsonObject => ({
  type: 'object',
  properties: { default: value, max: value },
  additionalProperties: false,
});

export default definePlugin<Settings>({
  meta: {
    name: 'resource-limits',
    version: '1.0.0',
    apiVersion: 1,
    description:
      'Fills in memory, cpus, pids, shm and ulimits of containers and services, and holds them below ceilings',
  },
  match: { actions: ['container.create', 'container.update', 'service.create', 'service.update'] },
  config: {
    type: 'object',
    properties: {
      memory: limit(amount),
      cpus: limit({ type: 'number', exclusiveMinimum: 0 }),
      pids: limit(count),
      shm: limit(amount),
      ulimits: { type: 'object', additionalProperties: { ...limit(count), minProperties: 1 } },
    },
    additionalProperties: false,
  },
  setup({ config }) {
    const { ulimits = {}, ...others } = config;
    for (const [name, one] of [...Object.entries(others), ...Object.entries(ulimits)]) {
      if ((defaultOf(one) ?? 0) > maxOf(one)) throw new Error(`the default of ${name} is above its max`);
    }
  },
  mutate,
  validate,
  reinvoke: true,
  examples: [
    {
      name: 'a container without a limit gets one',
      action: 'container.create',
      config: { memory: { default: '512m', max: '2g' } },
      body: { Image: 'x' },
      changedBody: { Image: 'x', HostConfig: { Memory: 536870912 } },
      expect: 'pass',
    },
    {
      name: 'a container that asks for too much',
      action: 'container.create',
      config: { memory: { max: '2g' } },
      body: { Image: 'x', HostConfig: { Memory: 4294967296 } },
      expect: { deny: 'limit-exceeded' },
    },
  ],
});
