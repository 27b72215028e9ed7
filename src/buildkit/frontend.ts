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
    if (key === SYNTAX && value !== '') return ownSyntax(value, at, collected);
    collected.masked.add(value);
    return value;
  }
  if (key.startsWith('local-sessionid:')) return owner.own(value, at);
  if (key.startsWith('context:') || key === 'context') return ownContext(key, value, at, collected);
  if (key.startsWith('input:')) return /:\/\//.test(value) ? ownContext('context', value, at, collected) : value;
  if (key === 'cache-imports') return ownImports(value, at, collected);
  return ownOther(key, value, frontend, at, collected);
}

/** Images go to the engine in the form that was judged. */
function ownOther(key: string, value: string, frontend: string, at: string, collected: Collected): string {
  if (FREE.has(key)) return value;
  switch (key) {
    case 'force-network-mode':
      collected.add('networks', at, value === '' || value === 'sandbox' ? 'default' : value);
      if (value === 'host') collected.add('entitlements', at, 'network.host');
      return value;
    case 'cgroup-parent':
      if (value === '') return value;
      throw new Refusal('permission-denied', `${at} is ${JSON.stringify(value.slice(0, 80))} (allowed: empty)`);
    case 'cmdline':
      return value === '' ? value : ownSyntax(value, at, collected);
    case 'source':
      // Read by the gateway frontend alone, whose image is judged with it.
      if (frontend === GATEWAY) return canonicalImage(value, at);
      return value === '' ? value : ownSyntax(value, at, collected);
    case 'cache-from':
      return value
        .split(',')
        .filter((reference) => reference !== '')
        .map((ref) => ownCache('registry', new Map([['ref', ref]]), 'import', at, collected).get('ref') ?? '')
        .join(',');
    case 'override-copy-image':
      return value === '' ? value : nameOf(collected.image(at, value));
  }
  if (key.startsWith('attest:sbom')) return ownSbom(value, at, collected);
  if (FREE_PREFIXES.some((prefix) => key.startsWith(prefix))) return value;
  throw new Refusal(
    'permission-denied',
    `${at} is an option of a frontend that is not known here; build without it, or ask for a newer gateway`,
  );
}

const nameOf = (identifier: string): string => identifier.slice('docker-image://'.length);

/** The image of a `# syntax` given from outside, with what may follow it. */
function ownSyntax(value: string, at: string, collected: Collected): string {
  const image = wordOf(value);
  if (image === BUILT_IN) {
    collected.add('frontends', at, image);
    return value;
  }
  collected.add('frontends', at, canonicalImage(image, at));
  return value.trim().replace(image, () => nameOf(collected.image(at, image)));
}

/** The scanner of a bill of materials is an image. */
function ownSbom(value: string, at: string, collected: Collected): string {
  // The engine reads it as CSV, where quotes would hide a comma or a name.
  if (/["\r\n]/.test(value)) {
    throw new Refusal('permission-denied', `${at} holds a quote or a line end; write it without`);
  }
  const parts = value.split(',').map((part) => {
    const equals = part.indexOf('=');
    if (equals < 0 || part.slice(0, equals).trim().toLowerCase() !== 'generator') return part;
    const image = part.slice(equals + 1).trim();
    return image === '' ? part : `generator=${nameOf(collected.image(at, image))}`;
  });
  return parts.join(',');
}

/** A context: what the client sends, or an address the engine fetches. */
function ownContext(key: string, value: string, at: string, collected: Collected): string {
  if (value === '') return value;
  // The engine reads it without the slashes as well.
  const image = /^docker-image:(?:\/\/)?(.*)$/s.exec(value);
  if (image !== null) {
    const identifier = collected.image(at, image[1] ?? '');
    // The empty image has no other name.
    return image[1] === 'scratch' ? 'docker-image://scratch' : identifier;
  }
  const local = /^(?:local|input):(?:\/\/)?(.*)$/s.exec(value);
  if (local !== null) {
    if (value.startsWith('local:')) collected.add('contexts', at, local[1] ?? '');
    return value;
  }
  const layout = /^oci-layout:\/\/([^@:]*)/.exec(value);
  if (layout !== null) {
    collected.add(
      'contexts',
      at,
      key.startsWith('context:') ? key.slice('context:'.length).replace(/::.*$/s, '') : (layout[1] ?? ''),
    );
    return value;
  }
  collected.add('sources', at, fetched(value));
  return value;
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

/** A cache a build reads from, or writes to. @returns its attributes as the engine gets them */
export function ownCache(
  type: string,
  attrs: ReadonlyMap<string, string>,
  use: 'import' | 'export',
  at: string,
  collected: Collected,
): ReadonlyMap<string, string> {
  if (type !== 'registry') {
    collected.add('cache', at, type);
    return attrs;
  }
  refuseInsecure(attrs, at);
  const reference = canonicalImage(attrs.get('ref') ?? '', `${at}.ref`);
  collected.add('cache', at, `registry:${reference}`);
  if (use === 'export') collected.pushes.push({ at, value: reference });
  return new Map([...attrs, ['ref', reference]]);
}

/** Without TLS any host on the way can answer as the registry. */
export function refuseInsecure(attrs: ReadonlyMap<string, string>, at: string): void {
  const value = attrs.get('registry.insecure');
  if (value === undefined || /^(0|f|false)$/i.test(value)) return;
  throw new Refusal('permission-denied', `${at} has registry.insecure (allowed: false)`);
}

/** Caches in JSON, written anew: Go reads keys in any case, and merges a repeated key. */
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
    return { Type: type, Attrs: Object.fromEntries(ownCache(type, new Map(texts), 'import', at, collected)) };
  });
  return JSON.stringify(own);
}
