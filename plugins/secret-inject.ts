// Puts secrets in where a caller wrote `secret://NAME` as the value of a variable: for containers, execs and services. A caller names a
// secret and never sees it: every JSON answer that holds a value shows `***` in its place, and the audit has it masked. What a
// program writes to its own output is its own affair.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import {
  type AdmissionRequest,
  type AdmissionResponse,
  type Change,
  definePlugin,
  deny,
  isLike,
  type Json,
  type JsonObject,
  listOf,
  objectOf,
  PASS,
  textOf,
  type Verdict,
} from '../src/plugin.ts';

interface Source {
  /** A file of the gateway's machine; one line break at its end is none of the secret's. */
  readonly file?: string;
  /** A program and its words; what it writes to its output is the secret. */
  readonly command?: readonly string[];
  /** Who may have it put in: patterns of subjects, and of tenants as `tenant/NAME`. Left out: every caller. */
  readonly for?: readonly string[];
}
interface Settings {
  readonly secrets: Readonly<Record<string, Source>>;
  /** A value older than this is read again, in seconds. */
  readonly maxAgeS: number;
}

const SCHEME = 'secret://';
/** Names, with commas, of the variables that hold secrets: masked whatever the value is by now. */
const LABEL = 'io.dockgate.secret-env';
/** A shorter value stands in too many texts by chance: it is masked in variables alone. */
const MIN_TEXT = 6;
/** Earlier values kept for masking, for each secret. */
const MAX_FORMER = 8;
const COMMAND_MS = 5000;

interface Held {
  value: string;
  former: string[];
  readMs: number;
}
const held = new Map<string, Held>();

function fetchValue({ file, command }: Source): Promise<string> {
  if (file !== undefined) return Promise.resolve(readFileSync(file, 'utf8').replace(/\r?\n$/, ''));
  const [program = '', ...words] = command ?? [];
  return new Promise((resolve, reject) =>
    execFile(program, words, { timeout: COMMAND_MS, maxBuffer: 1024 * 1024 }, (error, stdout) => {
      // What a program says of itself may hold the secret.
      if (error !== null) reject(new Error(`the command ${program} failed`));
      else resolve(stdout.replace(/\r?\n$/, ''));
    }),
  );
}

async function read(name: string, source: Source): Promise<void> {
  const value = await fetchValue(source);
  if (value === '' || value.includes('\0')) throw new Error(`the secret ${name} is empty or no text`);
  const known = held.get(name);
  const former = known === undefined || known.value === value ? (known?.former ?? []) : [known.value, ...known.former];
  held.set(name, { value, former: former.slice(0, MAX_FORMER), readMs: performance.now() });
}

/** The value, read again where it is old: a file at once, a command while the old value still serves. */
async function currentOf(name: string, { secrets, maxAgeS }: Settings): Promise<string> {
  const source = secrets[name] as Source;
  const known = held.get(name);
  if (known === undefined || (performance.now() - known.readMs > maxAgeS * 1000 && source.file !== undefined))
    await read(name, source);
  else if (performance.now() - known.readMs > maxAgeS * 1000) {
    known.readMs = performance.now();
    read(name, source).catch(() => undefined);
  }
  return (held.get(name) as Held).value;
}

function mayHave({ for: patterns }: Source, { subject, tenant }: AdmissionRequest['principal']): boolean {
  if (patterns === undefined) return true;
  return patterns.some((one) => isLike(one, subject) || (tenant !== undefined && isLike(one, `tenant/${tenant}`)));
}

/** Calls that set variables. */
const SETS = ['container.create', 'container.exec.create', 'service.create', 'service.update'];

/** Where a call has variables, and where the labels of what it makes. */
function placesOf({ operation, body }: AdmissionRequest): {
  env: Json | undefined;
  at: string;
  labels?: JsonObject;
  labelsAt?: string;
} {
  const all = objectOf(body);
  if (operation.action === 'container.exec.create') return { env: all.Env, at: '/body/Env' };
  if (operation.action === 'container.create')
    return { env: all.Env, at: '/body/Env', labels: objectOf(all.Labels), labelsAt: '/body/Labels' };
  const spec = objectOf(objectOf(all.TaskTemplate).ContainerSpec);
  const at = '/body/TaskTemplate/ContainerSpec';
  return { env: spec.Env, at: `${at}/Env`, labels: objectOf(spec.Labels), labelsAt: `${at}/Labels` };
}

/** `DB=secret://db` as name of the variable and of the secret. */
function wishOf(variable: Json): { variable: string; secret: string } | undefined {
  const text = textOf(variable);
  const equals = text.indexOf('=');
  if (equals < 0 || !text.startsWith(SCHEME, equals + 1)) return undefined;
  return { variable: text.slice(0, equals), secret: text.slice(equals + 1 + SCHEME.length) };
}

async function mutate(
  request: AdmissionRequest,
  { config }: { readonly config: Settings },
): Promise<readonly Change[]> {
  const { env, at, labels, labelsAt } = placesOf(request);
  const changes: Change[] = [];
  const named = new Set(textOf(labels?.[LABEL]).split(',').filter(Boolean));
  for (const [i, variable] of listOf(env).entries()) {
    const wish = wishOf(variable);
    const source =
      wish === undefined || !Object.hasOwn(config.secrets, wish.secret) ? undefined : config.secrets[wish.secret];
    if (wish === undefined || source === undefined || !mayHave(source, request.principal)) continue;
    const value = request.dryRun ? '***' : await currentOf(wish.secret, config);
    changes.push({ op: 'replace', path: `${at}/${i}`, value: `${wish.variable}=${value}` });
    named.add(wish.variable);
  }
  if (changes.length > 0 && labelsAt !== undefined)
    changes.push({ op: 'add', path: `${labelsAt}/${LABEL}`, value: [...named].sort().join(',') });
  return changes;
}

/** What was not put in is not sent either: a program would take the reference for the secret. */
function validate(request: AdmissionRequest, { config }: { readonly config: Settings }): Verdict {
  const { env, at } = placesOf(request);
  for (const [i, variable] of listOf(env).entries()) {
    const wish = wishOf(variable);
    if (wish === undefined) continue;
    const field = `${at.slice('/body/'.length).replaceAll('/', '.')}[${i}]`;
    const mine = Object.entries(config.secrets).flatMap(([name, source]) =>
      mayHave(source, request.principal) ? [name] : [],
    );
    return deny(
      'secret-unknown',
      `${field} sets ${wish.variable} by the name ${JSON.stringify(wish.secret.slice(0, 64))}, which is none of those you may have (${mine.join(', ') || 'none'})`,
    );
  }
  return PASS;
}

function onResponse({ body }: AdmissionResponse): readonly Change[] {
  const values = [...held.values()]
    .flatMap(({ value, former }) => [value, ...former])
    .sort((a, b) => b.length - a.length);
  const texts = values.filter((value) => value.length >= MIN_TEXT);
  const changes: Change[] = [];
  const hidden = namesIn(body);
  const visit = (value: Json, path: string, inEnv: boolean): void => {
    if (typeof value === 'string') {
      const equals = inEnv ? value.indexOf('=') : -1;
      const own = value.slice(equals + 1);
      if (equals >= 0 && own !== '***' && (hidden.has(value.slice(0, equals)) || values.includes(own)))
        changes.push({ op: 'replace', path, value: `${value.slice(0, equals)}=***` });
      else {
        const masked = texts.reduce((text, secret) => text.replaceAll(secret, '***'), value);
        if (masked !== value) changes.push({ op: 'replace', path, value: masked });
      }
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value) as [string, Json][]) {
        const at = `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
        if (!Array.isArray(value) && texts.some((secret) => key.includes(secret)))
          changes.push({ op: 'remove', path: at });
        else visit(inner, at, Array.isArray(value) ? inEnv : key === 'Env');
      }
    }
  };
  visit(body, '/body', false);
  // Elements go from the last to the first, so that places stay what they were.
  return changes.reverse();
}

/** Variables a label names as secrets, wherever in the answer it stands. */
function namesIn(value: Json, found = new Set<string>()): Set<string> {
  if (typeof value !== 'object' || value === null) return found;
  for (const [key, inner] of Object.entries(value) as [string, Json][]) {
    if (key === LABEL && typeof inner === 'string') for (const name of inner.split(',')) found.add(name);
    else namesIn(inner, found);
  }
  return found;
}

export default definePlugin<Settings>({
  meta: {
    name: 'secret-inject',
    version: '1.0.0',
    apiVersion: 1,
    description: 'Puts secrets of files and commands in for secret://NAME in variables, and masks them in every answer',
  },
  needs: { bodies: true, responses: true },
  match: { actions: ['*'] },
  config: {
    type: 'object',
    properties: {
      secrets: {
        type: 'object',
        minProperties: 1,
        additionalProperties: {
          type: 'object',
          properties: {
            file: { type: 'string' },
            command: { type: 'array', items: { type: 'string' }, minItems: 1 },
            for: { type: 'array', items: { type: 'string' } },
          },
          oneOf: [{ required: ['file'] }, { required: ['command'] }],
          additionalProperties: false,
        },
      },
      maxAgeS: { type: 'number', minimum: 1, default: 60 },
    },
    required: ['secrets'],
    additionalProperties: false,
  },
  async setup({ config }) {
    await Promise.all(Object.entries(config.secrets).map(([name, source]) => read(name, source)));
  },
  matchOf: () => ({ mutate: SETS, validate: SETS }),
  mutate,
  validate,
  onResponse,
});
