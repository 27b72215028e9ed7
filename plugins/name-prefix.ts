// Names of what a caller makes begin with the caller's prefix: added to the name, or asked for. Volumes that a container would make by
// naming them in a mount are named the same way. What exists already is called by its whole name.
import {
  type AdmissionRequest,
  type Change,
  definePlugin,
  deny,
  listOf,
  objectOf,
  PASS,
  textOf,
  type Verdict,
} from '../src/plugin.ts';

interface Settings {
  /** `{tenant}` and `{subject}` stand for the caller's. */
  readonly prefix: string;
  readonly mode: 'add' | 'require';
  readonly kinds: readonly string[];
}
interface Context {
  readonly config: Settings;
}

/** A name that a call gives: where it stands, and where a changed one goes. */
interface Given {
  readonly kind: string;
  readonly field: string;
  readonly name: string;
  readonly change: (name: string) => Change;
}

/** What the engine takes as a name. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** The caller's prefix; undefined where the caller has none, or one that no name can begin with. */
function prefixOf({ principal }: AdmissionRequest, { prefix }: Settings): string | undefined {
  const filled = prefix
    .replaceAll('{tenant}', () => principal.tenant ?? '/')
    .replaceAll('{subject}', () => principal.subject);
  return NAME.test(filled) ? filled : undefined;
}

function namesOf({ operation, body, query }: AdmissionRequest): readonly Given[] {
  const kind = operation.action.split('.')[0] as string;
  const all = objectOf(body);
  if (operation.action === 'container.rename' || operation.action === 'container.create') {
    const change = (name: string): Change => ({ op: 'add', path: '/query/name', value: [name] });
    const own = { kind, field: 'query.name', name: query.name?.[0] ?? '', change };
    return [own, ...mountsOf('HostConfig', objectOf(all.HostConfig))];
  }
  const change = (name: string): Change => ({ op: 'add', path: '/body/Name', value: name });
  const own = { kind, field: 'Name', name: textOf(all.Name), change };
  if (kind !== 'service') return [own];
  return [own, ...mountsOf('TaskTemplate.ContainerSpec', objectOf(objectOf(all.TaskTemplate).ContainerSpec))];
}

/** Volumes with a name; those without one are the engine's to name, and go with their container. */
function mountsOf(field: string, of: ReturnType<typeof objectOf>): readonly Given[] {
  const found: Given[] = [];
  const pointer = `/body/${field.replaceAll('.', '/')}`;
  for (const [i, value] of listOf(of.Binds).entries()) {
    const [name = '', ...rest] = textOf(value).split(':');
    if (rest.length === 0 || name.startsWith('/')) continue;
    const changed = (to: string): Change => {
      return { op: 'replace', path: `${pointer}/Binds/${i}`, value: [to, ...rest].join(':') };
    };
    found.push({ kind: 'volume', field: `${field}.Binds[${i}]`, name, change: changed });
  }
  for (const [i, value] of listOf(of.Mounts).entries()) {
    const { Type, Source } = objectOf(value);
    if (Type !== 'volume' || textOf(Source) === '') continue;
    const change = (to: string): Change => ({ op: 'replace', path: `${pointer}/Mounts/${i}/Source`, value: to });
    found.push({ kind: 'volume', field: `${field}.Mounts[${i}].Source`, name: textOf(Source), change });
  }
  return found;
}

function mutate(request: AdmissionRequest, { config }: Context): readonly Change[] {
  const prefix = prefixOf(request, config);
  if (config.mode === 'require' || prefix === undefined || request.operation.action === 'service.update') return [];
  return namesOf(request)
    .filter(({ kind, name }) => config.kinds.includes(kind) && !name.startsWith(prefix))
    .map(({ name, change }) => change(prefix + (name === '' ? request.auditId.slice(-12) : name)));
}

function validate(request: AdmissionRequest, { config }: Context): Verdict {
  const prefix = prefixOf(request, config);
  const names = namesOf(request).filter(({ kind }) => config.kinds.includes(kind));
  if (names.length > 0 && prefix === undefined) {
    const what = `the prefix "${config.prefix}" gives no name for the caller ${request.principal.subject}`;
    return deny('name-prefix-unknown', `${what}: names need a tenant or subject of letters, digits, dots and dashes`);
  }
  const wrong = names.find(({ name }) => !name.startsWith(prefix as string));
  if (wrong === undefined) return PASS;
  return deny('name-prefix-missing', `${wrong.field} is "${wrong.name}" (allowed: ${prefix}NAME)`);
}

const KINDS = ['container', 'volume', 'network', 'service', 'secret', 'config'];

export default definePlugin<Settings>({
  meta: {
    name: 'name-prefix',
    version: '1.0.0',
    apiVersion: 1,
    description: 'Keeps names of new things below a prefix of the caller, added or asked for',
  },
  match: {
    actions: [
      ...['container.create', 'container.rename', 'volume.create', 'network.create', 'service.create'],
      ...['service.update', 'secret.create', 'config.create'],
    ],
  },
  config: {
    type: 'object',
    properties: {
      prefix: { type: 'string', minLength: 1 },
      mode: { enum: ['add', 'require'], default: 'require' },
      kinds: { type: 'array', items: { enum: KINDS }, default: KINDS },
    },
    required: ['prefix'],
    additionalProperties: false,
  },
  reinvoke: true,
  mutate,
  validate,
  examples: [
    {
      name: 'a name with the prefix',
      action: 'container.create',
      config: { prefix: '{tenant}-' },
      principal: { tenant: 'red' },
      query: { name: ['red-web'] },
      body: { Image: 'x' },
      expect: 'pass',
    },
    {
      name: 'a name without it',
      action: 'container.create',
      config: { prefix: '{tenant}-' },
      principal: { tenant: 'red' },
      query: { name: ['web'] },
      body: { Image: 'x' },
      expect: { deny: 'name-prefix-missing' },
    },
  ],
});
