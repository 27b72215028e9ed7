// Our own cases: requests with the verdict of the policy baseline and with what real engines did with them.
// The form of a case is that of the shared corpus (its README tells the fields), without those no case here needs.
import { readFileSync } from 'node:fs';
import { exchange, type Header, type RawAnswer, type RawRequest } from './exchange.ts';

interface Step extends RawRequest {
  /** Whose object a setup makes; it then goes through the gateway too. */
  readonly as?: string;
  /** Keeps the id of the answer: `${x}`, and its first digits as `${x1}`, `${x4}`, `${x12}`. */
  readonly save?: string;
  readonly expect?: Readonly<Record<string, unknown>>;
  readonly status?: readonly number[];
}

export interface OwnCase extends RawRequest {
  readonly id: string;
  readonly category: string;
  readonly verdict: 'allow' | 'deny';
  readonly setup?: readonly Step[];
  /** Requests after the case that prove its effect on the engine. */
  readonly probe?: readonly Step[];
  readonly teardown?: readonly Step[];
  /** What the answers must hold. */
  readonly match?: string;
  /** Any answer but a refusal counts as an effect. */
  readonly any_status?: boolean;
  /** Whether the request took effect on Docker 28.5.2 and 20.10.24, and the first status. */
  readonly observed28: Observed;
  readonly observed20: Observed;
}
interface Observed {
  readonly honoured: boolean;
  readonly status: number | readonly number[];
}

export const OWN_CASES: readonly OwnCase[] = readFileSync(new URL('./cases.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as OwnCase);

/** Stands in the cases before every name; each run of a case puts its own in its place. */
const PREFIX = /gcx/g;
const REFUSALS = new Set([0, 301, 400, 401, 403, 404, 405, 411, 413, 414, 415, 417, 426, 429, 431, 501, 505]);

export interface Places {
  readonly engine: string;
  /** Socket of the gateway and the callers' headers; undefined to send straight to the engine. */
  readonly gateway?: { readonly socket: string; readonly callers: Readonly<Record<string, Header>> };
}

export interface Ran {
  readonly honoured: boolean;
  readonly statuses: readonly number[];
  readonly message: string;
}

/** Runs a case under a prefix of its own, and removes what it made. */
export async function runCase(it: OwnCase, prefix: string, { engine, gateway }: Places): Promise<Ran> {
  const own = JSON.parse(JSON.stringify(it).replace(PREFIX, prefix)) as OwnCase;
  const saved: Record<string, string> = {};
  let made: string | undefined;
  const fill = <T>(value: T): T =>
    JSON.parse(JSON.stringify(value).replace(/\$\{(\w+)\}/g, (all, name: string) => saved[name] ?? all)) as T;
  const send = async (step: Step): Promise<RawAnswer | undefined> => {
    const header = step.as === undefined ? undefined : gateway?.callers[step.as];
    const isJson = step.body !== undefined && step.headers === undefined;
    const request = { ...fill(step), ...(isJson ? { headers: [['Content-Type', 'application/json'] as Header] } : {}) };
    const through = gateway !== undefined && header !== undefined;
    const answers = await exchange(through ? gateway.socket : engine, request, through ? [header] : []);
    return answers.at(-1);
  };
  try {
    for (const step of own.setup ?? []) {
      const answer = await send(step);
      const id = (parse(answer?.body) as { Id?: string } | undefined)?.Id ?? '';
      if (step.save === undefined) continue;
      saved[step.save] = id;
      for (const n of [1, 4, 12]) saved[`${step.save}${n}`] = id.slice(0, n);
    }
    const caller = gateway?.callers.alice;
    const answers = await exchange(gateway?.socket ?? engine, fill(own), caller === undefined ? [] : [caller]);
    // A container or network may be named like another's id, which no prefix finds.
    const kind = /\/(containers|networks)\/create/.exec(own.path)?.[1];
    const id = (parse(answers[0]?.body) as { Id?: string } | undefined)?.Id;
    if (kind !== undefined && id !== undefined) made = `/${kind}/${id}`;
    const isProved = (own.probe?.length ?? 0) > 0 || own.match !== undefined;
    const first = answers[0]?.status ?? 0;
    let honoured = true;
    if (own.any_status === true) honoured = isProved || !REFUSALS.has(first);
    else honoured = (first >= 200 && first < 300) || first === 101;
    if (own.match !== undefined) {
      const all = Buffer.concat(answers.map(({ body }) => body)).toString();
      honoured &&= new RegExp(fill(own.match), 's').test(all);
    }
    for (const probe of own.probe ?? []) honoured &&= await proves(probe, send, fill);
    for (const step of own.teardown ?? []) await send(step);
    const message = answers[0]?.body.toString().slice(0, 300) ?? '';
    return { honoured, statuses: answers.map(({ status }) => status), message };
  } finally {
    if (made !== undefined) await ask(engine, 'DELETE', `${made}?force=1&v=1`);
    await removeAll(engine, prefix);
  }
}

async function proves(
  probe: Step,
  send: (step: Step) => Promise<RawAnswer | undefined>,
  fill: <T>(value: T) => T,
): Promise<boolean> {
  const answer = await send(probe);
  if (probe.status !== undefined && !probe.status.includes(answer?.status ?? 0)) return false;
  const value = parse(answer?.body);
  return Object.entries(fill(probe.expect ?? {})).every(([path, wanted]) => isAsWanted(pick(value, path), wanted));
}

function isAsWanted(found: unknown, wanted: unknown): boolean {
  if (typeof wanted === 'object' && wanted !== null) {
    const { contains, set } = wanted as { contains?: string; set?: boolean };
    if (contains !== undefined)
      return found !== undefined && found !== null && JSON.stringify(found).includes(contains);
    if (set === true) return Array.isArray(found) ? found.length > 0 : Boolean(found);
  }
  return JSON.stringify(found ?? null) === JSON.stringify(wanted ?? null);
}

/** `HostConfig/Mounts/0/Type`; `#` is the number of elements. */
function pick(value: unknown, path: string): unknown {
  let at = value;
  for (const part of path.split('/')) {
    if (part === '#') return Array.isArray(at) ? at.length : 0;
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined;
    at = (at as Record<string, unknown>)[part];
  }
  return at;
}

function parse(body: Buffer | undefined): unknown {
  try {
    return JSON.parse(body?.toString() ?? '');
  } catch {
    return undefined;
  }
}

const ask = async (engine: string, method: string, path: string): Promise<unknown> =>
  parse((await exchange(engine, { method, path })).at(-1)?.body);
const filter = (values: Readonly<Record<string, readonly string[]>>): string =>
  `filters=${encodeURIComponent(JSON.stringify(values))}`;

/** Removes every object whose name begins with `d` and the prefix. */
async function removeAll(engine: string, prefix: string): Promise<void> {
  const name = `d${prefix}`;
  const containers = await ask(engine, 'GET', `/containers/json?all=1&${filter({ name: [`^/${name}`] })}`);
  for (const { Id } of (containers as { Id: string }[] | undefined) ?? [])
    await ask(engine, 'DELETE', `/containers/${Id}?force=1&v=1`);
  const networks = await ask(engine, 'GET', `/networks?${filter({ name: [name] })}`);
  for (const { Id } of (networks as { Id: string }[] | undefined) ?? []) await ask(engine, 'DELETE', `/networks/${Id}`);
}

/** Volumes and images are looked for once, at the end. */
export async function removeRest(engine: string, name: string): Promise<void> {
  const volumes = (await ask(engine, 'GET', '/volumes')) as { Volumes?: { Name: string }[] | null } | undefined;
  for (const { Name } of volumes?.Volumes ?? [])
    if (Name.startsWith(name)) await ask(engine, 'DELETE', `/volumes/${Name}?force=1`);
  const images = (await ask(engine, 'GET', '/images/json')) as { RepoTags?: string[] | null }[] | undefined;
  for (const { RepoTags } of images ?? [])
    for (const tag of RepoTags ?? []) if (tag.startsWith(name)) await ask(engine, 'DELETE', `/images/${tag}?force=1`);
}
