// Judges and rewrites the options of a frontend. The table names every option the Dockerfile frontend and the gateway frontend
// of BuildKit read; an option that is not in it is refused, for a frontend could read it. frontend/dockerui, frontend/gateway.
import { type Collected, canonicalImage } from './collected.ts';
import { Refusal } from './grpc.ts';
import { CACHE_ADDRESS, type Owner } from './owner.ts';

const HOSTS = 'add-hosts';
/** Options that change what is built and reach nothing. */
const FREE: ReadonlySet<string> = new Set([
  ...['target', 'platform', 'no-cache', 'image-resolve-mode', 'shm-size', 'ulimit', HOSTS, 'hostname'],
  ...['multi-platform', 'filename', 'contextsubdir', 'dockerfilekey', 'contextkey', 'requestid', 'frontend.caps'],
  ...['memory', 'memswap', 'cpushares', 'cpuperiod', 'cpuquota', 'cpusetcpus', 'cpusetmems'],
]);
const FREE_PREFIXES: readonly string[] = ['vcs:', 'input-metadata:', 'sharedkey:localdir:', 'attest:', 'label:'];
const NAMESPACE = 'build-arg:BUILDKIT_CACHE_MOUNT_NS';
export const SYNTAX = 'build-arg:BUILDKIT_SYNTAX';

/** The frontend that reads Dockerfiles inside the engine, and the one that runs an image. */
const BUILT_IN = 'dockerfile.v0';
const GATEWAY = 'gateway.v0';

/** @throws {Refusal} for a frontend the gateway does not know */
export function judgeFrontend(
  frontend: string,
  options: ReadonlyMap<string, string>,
  at: string,
  collected: Collected,
): void {
  const syntax = wordOf(options.get(SYNTAX) ?? '');
  if (syntax !== '' && syntax !== BUILT_IN) refuseInItsPlace(syntax, options, at);
  if (frontend === '') return;
  if (frontend === BUILT_IN) collected.add('frontends', at, frontend);
  else if (frontend === GATEWAY) {
    const image = options.get('source') ?? '';
    refuseInItsPlace(image, options, at);
    collected.add('frontends', `${at}Attrs.source`, canonicalImage(image, `${at}Attrs.source`));
    collected.image(`${at}Attrs.source`, image);
  } else
    throw new Refusal(
      'permission-denied',
      `${at} is ${JSON.stringify(frontend.slice(0, 80))} (known: ${BUILT_IN}, ${GATEWAY})`,
    );
}

/** A context the client names stands for every image of that name, for a frontend's too. @throws {Refusal} */
function refuseInItsPlace(image: string, options: ReadonlyMap<string, string>, at: string): void {
  const name = canonicalImage(image, at);
  for (const key of options.keys()) {
    if (!key.startsWith('context:')) continue;
    const stood = key.slice('context:'.length).replace(/::.*$/s, '');
    if (!isImage(stood, name)) continue;
    throw new Refusal(
      'permission-denied',
      `the context ${JSON.stringify(stood.slice(0, 200))} stands in the place of the frontend ${name}; give it another name`,
    );
  }
}

function isImage(text: string, name: string): boolean {
  try {
    return canonicalImage(text, '') === name;
  } catch {
    return false;
  }
}

const wordOf = (text: string): string => text.trim().split(/\s+/)[0] ?? '';

/**
 * Judges options and writes them anew.
 *
 * @param frontend empty where the client itself drives the build
 */
export function ownOptions(
  options: ReadonlyMap<string, string>,
  frontend: string,
  at: string,
  owner: Owner,
  collected: Collected,
): Map<string, string> {
  const own = new Map<string, string>();
  for (const [key, value] of options)
    own.set(key, ownOption(key, value, frontend, `${at}[${JSON.stringify(key.slice(0, 80))}]`, owner, collected));
  own.set(NAMESPACE, `${owner.space}/${options.get(NAMESPACE) ?? ''}`);
  // In front: nothing a caller writes can swallow it.
  const hosts = options.get(HOSTS) ?? '';
  own.set(HOSTS, `${owner.cacheHost}=${CACHE_ADDRESS}${hosts === '' ? '' : `,${hosts}`}`);
  return own;
}

function ownOption(
  key: string,
  value: string,
  frontend: string,
  at: string,
  owner: Owner,
  collected: Collected,
): string {
  if (key.startsWith('build-arg:')) {
    if (key === SYNTAX && value !== '') judgeSyntax(value, at, collected);
    else collected.masked.add(value);
    return value;
  }
  if (key.startsWith('local-sessionid:')) return owner.own(value, at);
  if (key.startsWith('context:') || key === 'context') judgeContext(key, value, at, collected);
  else if (key.startsWith('input:')) {
    if (/:\/\//.test(value)) judgeContext('context', value, at, collected);
  } else if (key === 'cache-imports') return ownImports(value, at, collected);
  else judgeOther(key, value, frontend, at, collected);
  return value;
}

function judgeOther(key: string, value: string, frontend: string, at: string, collected: Collected): void {
  if (FREE.has(key)) return;
  switch (key) {
    case 'force-network-mode':
      collected.add('networks', at, value === '' || value === 'sandbox' ? 'default' : value);
      if (value === 'host') collected.add('entitlements', at, 'network.host');
      return;
    case 'cgroup-parent':
      if (value === '') return;
      throw new Refusal('permission-denied', `${at} is ${JSON.stringify(value.slice(0, 80))} (allowed: empty)`);
    case 'cmdline':
      if (value !== '') judgeSyntax(value, at, collected);
      return;
    case 'source':
      // Read by the gateway frontend alone, whose image is judged with it.
      if (value !== '' && frontend !== GATEWAY) judgeSyntax(value, at, collected);
      return;
    case 'cache-from':
      for (const reference of value.split(',')) {
        if (reference !== '') judgeCache('registry', new Map([['ref', reference]]), 'import', at, collected);
      }
      return;
    case 'override-copy-image':
      if (value !== '') collected.image(at, value);
      return;
  }
  if (key.startsWith('attest:sbom') || key === 'attest:sbom') judgeSbom(value, at, collected);
  if (FREE_PREFIXES.some((prefix) => key.startsWith(prefix))) return;
  throw new Refusal(
    'permission-denied',
    `${at} is an option of a frontend that is not known here; build without it, or ask for a newer gateway`,
  );
}

/** The image of a `# syntax` given from outside, with what may follow it. */
function judgeSyntax(value: string, at: string, collected: Collected): void {
  const image = wordOf(value);
  if (image === BUILT_IN) {
    collected.add('frontends', at, image);
    return;
  }
  collected.add('frontends', at, canonicalImage(image, at));
  collected.image(at, image);
}

/** The scanner of a bill of materials is an image. */
function judgeSbom(value: string, at: string, collected: Collected): void {
  for (const part of value.split(',')) {
    const [name = '', image = ''] = part.trim().split('=', 2);
    if (name === 'generator' && image !== '') collected.image(at, image);
  }
}

/** A context: what the client sends, or an address the engine fetches. */
export function judgeContext(key: string, value: string, at: string, collected: Collected): void {
  if (value === '') return;
  const image = /^docker-image:\/\/(.*)$/s.exec(value);
  if (image !== null) {
    collected.image(at, image[1] ?? '');
    return;
  }
  const local = /^(?:local|input):(?:\/\/)?(.*)$/s.exec(value);
  if (local !== null) {
    if (value.startsWith('local:')) collected.add('contexts', at, local[1] ?? '');
    return;
  }
  const layout = /^oci-layout:\/\/([^@:]*)/.exec(value);
  if (layout !== null) {
    collected.add(
      'contexts',
      at,
      key.startsWith('context:') ? key.slice('context:'.length).replace(/::.*$/s, '') : (layout[1] ?? ''),
    );
    return;
  }
  collected.add('sources', at, fetched(value));
}

/** An address as BuildKit will name it: repositories of git without the protocol they are fetched by. */
function fetched(value: string): string {
  const ssh = /^(?:ssh:\/\/)?(?:[\w.-]+@)([\w.-]+)[:/](.*)$/s.exec(value);
  if (ssh !== null) return `git://${ssh[1]}/${ssh[2]}`;
  const git = /^https?:\/\/(.*\.git(?:[#?].*)?)$/s.exec(value);
  if (git !== null) return `git://${git[1]}`;
  if (/^(github\.com|gitlab\.com|bitbucket\.org)\//.test(value)) return `git://${value}`;
  return value;
}

/** A cache a build reads from, or writes to. */
export function judgeCache(
  type: string,
  attrs: ReadonlyMap<string, string>,
  use: 'import' | 'export',
  at: string,
  collected: Collected,
): void {
  if (type !== 'registry') {
    collected.add('cache', at, type);
    return;
  }
  refuseInsecure(attrs, at);
  const reference = canonicalImage(attrs.get('ref') ?? '', `${at}.ref`);
  collected.add('cache', at, `registry:${reference}`);
  if (use === 'export') collected.pushes.push({ at, value: reference });
}

/** A registry that is spoken to without TLS may be anybody. */
export function refuseInsecure(attrs: ReadonlyMap<string, string>, at: string): void {
  const value = attrs.get('registry.insecure');
  if (value === undefined || /^(0|f|false)$/i.test(value)) return;
  throw new Refusal('permission-denied', `${at} has registry.insecure (allowed: false)`);
}

/** Caches in JSON, written anew: Go reads keys in any case, and joins what comes twice. */
function ownImports(value: string, at: string, collected: Collected): string {
  if (value === '') return '';
  let list: unknown;
  try {
    list = JSON.parse(value);
  } catch {
    list = undefined;
  }
  if (list === null) return '';
  const refused = new Refusal('invalid-argument', `${at} is no list of caches in JSON`);
  if (!Array.isArray(list)) throw refused;
  const own = list.map((item: unknown) => {
    if (typeof item !== 'object' || item === null) throw refused;
    const { Type: type, Attrs: attrs = {}, ...rest } = item as Record<string, unknown>;
    if (typeof type !== 'string' || typeof attrs !== 'object' || Object.keys(rest).length > 0) throw refused;
    const texts = Object.entries(attrs ?? {});
    if (!texts.every((entry): entry is [string, string] => typeof entry[1] === 'string')) throw refused;
    judgeCache(type, new Map(texts), 'import', at, collected);
    return { Type: type, Attrs: Object.fromEntries(texts) };
  });
  return JSON.stringify(own);
}
