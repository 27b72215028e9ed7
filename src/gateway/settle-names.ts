// Names of images that only the engine can tell the meaning of, put into a form with one meaning before they are judged: part of
// an id that may be a name as well, and a repository that stands for each of its images. The judged names are then the sent ones.
import { toCall } from '../engine/call.ts';
import { canonicalImage, isOne } from '../engine/canonical-names.ts';
import { OPERATIONS } from '../engine/operations.ts';
import type { EngineCall, Operation, ResourceRef } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import { type Named, withId } from '../ledger/rewrite.ts';
import type { EngineClient } from '../proxy/engine-client.ts';
import type { EngineDefaults } from '../proxy/engine-defaults.ts';
import type { Versions } from './settle-version.ts';

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 8 * 1024 * 1024;
/** Most names looked up for one call, as for other references. */
const MAX_NAMES = 64;

const EXPORT_ALL = OPERATIONS.find(({ id }) => id === 'ImageGetAll') as Operation;
const SHORT_ID = /^sha256:([0-9a-f]{1,63})$/;

/** Canonical names of the images a repository has. */
type TagsOf = (repository: string) => Promise<readonly string[]>;

/**
 * @param seen images of a repository the caller may know of, where that is not all; part of an id is then looked up with the
 *   other names of such a caller
 * @throws {GatewayError} `engine-unreachable`, `query-ambiguous` for too many names
 */
export function settleNames(
  call: EngineCall,
  { engine, engineDefaults }: Pick<Versions, 'engine' | 'engineDefaults'>,
  seen?: TagsOf,
): EngineCall | Promise<EngineCall> {
  const { id } = call.operation;
  const isExport = id === 'ImageGet' || id === 'ImageGetAll';
  if (!isExport && !call.resources.some(isImage)) return call;
  return named(call, isExport, { engine, engineDefaults }, seen);
}

const isImage = ({ kind }: ResourceRef): boolean => kind === 'image';

async function named(
  call: EngineCall,
  isExport: boolean,
  { engine, engineDefaults }: Pick<Versions, 'engine' | 'engineDefaults'>,
  seen?: TagsOf,
): Promise<EngineCall> {
  const whole = isExport ? await eachOfRepository(call, seen ?? ((name) => tagsOf(name, engine))) : call;
  const settled = seen === undefined ? await settleIds(whole, engine) : whole;
  const inBody = settled.resources.filter(isImageInBody);
  if (inBody.length === 0 || (await isDocker(engineDefaults))) return settled;
  return inFull(settled, inBody, engine);
}

/** Whether a body names an image here. Docker reads each spelling there in one way, and clients compare it with what they wrote. */
const isImageInBody = ({ kind, name, at, role }: ResourceRef): boolean =>
  kind === 'image' && role === 'uses' && name !== '' && !at.startsWith('path.') && !at.startsWith('query.');

const isDocker = async (engineDefaults: EngineDefaults): Promise<boolean> =>
  (await engineDefaults.kind().catch(() => undefined)) === 'docker';

/**
 * The call with its images by their names in full. To Podman `app` may be `localhost/app`, and `sha256:3f57` is nothing; its inspect
 * always shows names in full.
 */
async function inFull(call: EngineCall, inBody: readonly ResourceRef[], engine: EngineClient): Promise<EngineCall> {
  if (inBody.length > MAX_NAMES) throw tooMany(inBody.length);
  let named: Named = call;
  for (const ref of inBody)
    named = withId(named, ref, SHORT_ID.test(ref.name) ? await wholeId(ref.name, engine) : ref.name);
  return toCall({ ...call, path: named.path, query: named.query }, named.body);
}

/** The id that begins so, or the part where there is none. */
async function wholeId(part: string, engine: EngineClient): Promise<string> {
  const answer = await ask(engine, `/images/${part.replace('sha256:', '')}/json`);
  if (answer.status !== 200) return part;
  const { Id: id } = JSON.parse(Buffer.from(answer.body).toString('utf8')) as { Id?: unknown };
  const whole = `sha256:${String(id).replace('sha256:', '')}`;
  return whole.startsWith(part) && canonicalImage(whole) === whole ? whole : part;
}

/** The engine takes a name before part of an id: `cafe` is an image of that name if there is one. */
function settleIds(call: EngineCall, engine: EngineClient): EngineCall | Promise<EngineCall> {
  const open = call.resources.filter(
    ({ kind, name, role }) => kind === 'image' && role !== 'creates' && SHORT_ID.test(name),
  );
  return open.length === 0 ? call : withWholeIds(call, open, engine);
}

async function withWholeIds(call: EngineCall, open: readonly ResourceRef[], engine: EngineClient): Promise<EngineCall> {
  if (open.length > MAX_NAMES) throw tooMany(open.length);
  let named: Named = call;
  for (const ref of open) {
    const name = `docker.io/library/${SHORT_ID.exec(ref.name)?.[1]}:latest`;
    const status = (await ask(engine, `/images/${name}/json`)).status;
    if (status !== 200 && status !== 404) {
      throw new GatewayError('engine-unreachable', `the engine did not say whether there is an image ${name}`);
    }
    named = withId(named, ref, status === 200 ? name : ref.name);
  }
  return toCall({ ...call, path: named.path, query: named.query }, named.body);
}

/** A save of a repository is one of each image it has, named one by one. */
async function eachOfRepository(call: EngineCall, tags: TagsOf): Promise<EngineCall> {
  if (call.resources.every(({ name }) => name === '' || name.startsWith('sha256:') || isOne(name))) return call;
  const names: string[] = [];
  for (const { name } of call.resources) {
    if (name === '' || name.startsWith('sha256:') || isOne(name)) {
      if (name !== '') names.push(name);
      continue;
    }
    const found = await tags(name);
    // One that has none is missing, by the name the engine gives it.
    names.push(...(found.length === 0 ? [`${name}:latest`] : found));
  }
  const [only] = names;
  if (call.operation.id === 'ImageGet' && names.length === 1 && only !== undefined)
    return toCall({ ...call, path: { ...call.path, name: only } }, call.body);
  return toCall({ ...call, operation: EXPORT_ALL, path: {}, query: { ...call.query, names } }, call.body);
}

async function tagsOf(repository: string, engine: EngineClient): Promise<string[]> {
  const familiar = repository.replace(/^docker\.io\/(library\/)?/, '');
  const filters = encodeURIComponent(JSON.stringify({ reference: { [familiar]: true } }));
  const answer = await ask(engine, `/images/json?filters=${filters}`);
  try {
    if (answer.status !== 200) throw new TypeError('no list');
    const images = JSON.parse(Buffer.from(answer.body).toString('utf8')) as { RepoTags?: readonly unknown[] | null }[];
    const tags = images
      .flatMap(({ RepoTags }) => (RepoTags ?? []).map(String))
      .filter((tag) => tag !== '<none>:<none>');
    return tags.map(canonicalImage).filter((tag) => tag.startsWith(`${repository}:`));
  } catch (cause) {
    throw new GatewayError('engine-unreachable', `the engine did not say what images ${familiar} has`, { cause });
  }
}

const ask = (engine: EngineClient, target: string) =>
  engine.fetchJson(
    { method: 'GET', target, headers: [], body: undefined },
    { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES },
  );

const tooMany = (count: number): GatewayError =>
  new GatewayError(
    'query-ambiguous',
    `the call names ${count} images by part of an id, at most ${MAX_NAMES} are served`,
  );
