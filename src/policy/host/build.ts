// Checks a build: what it may reach while it runs, where its context and result lie, and, once its Dockerfile was read, where
// images and files come from.
import { readAddress } from '../../engine/dockerfile/address.ts';
import type { EngineCall } from '../../engine/types.ts';
import type { CallCheck } from './container.ts';
import { checkImage, isFarRegistry, isListedRegistry, repositoryOf } from './images.ts';
import { isHostNetwork } from './isolation.ts';
import { networksInUseCheck } from './networks.ts';
import type { Report } from './report.ts';
import { oneOfWords, quote } from './report.ts';
import type { HostRules } from './rules.ts';

type QueryCheck = (rules: HostRules, value: string, at: string, report: Report) => void;

const mustBeEmpty: QueryCheck = (_rules, value, at, report) =>
  report.deny(at, value, `is ${quote(value)} (allowed: empty)`);

/** These two words stand for the context the client itself sends, over its session or in a second call. */
const OWN_CONTEXT: ReadonlySet<string> = new Set(['client-session', 'upload-request']);

const remote: QueryCheck = (_rules, value, at, report) => {
  if (OWN_CONTEXT.has(value)) return;
  report.deny(at, value, `makes the engine fetch ${quote(value)} (allowed: a context sent by the client)`);
};

const networkMode: QueryCheck = (_rules, value, at, report) => {
  if (!value.includes(':') && !isHostNetwork(value)) return;
  report.deny(at, value, `is ${quote(value)} (allowed: default, none, bridge or a network of your own)`);
};

/** Exporters write files or push images; only what `t` names is judged. */
const outputs: QueryCheck = (_rules, value, at, report) => {
  if (/^\s*(?:null|\[\s*\])\s*$/.test(value)) return;
  report.deny(at, value, `is ${quote(value)} (allowed: empty, the image named by t)`);
};

const isolation: QueryCheck = (_rules, value, at, report) => {
  if (value !== 'default') report.deny(at, value, `is ${quote(value)} (allowed: empty or default)`);
};

/** BuildKit keeps cache mounts that every caller's builds can write to. */
const version: QueryCheck = (_rules, value, at, report) => {
  if (value !== '1') report.deny(at, value, `is ${quote(value)}, BuildKit (allowed: 1, the classic builder)`);
};

/** A session is opened under build.opaque; its id in a build gives the build what its owner serves there. */
const session: QueryCheck = (_rules, value, at, report) =>
  report.deny(at, value, 'names a BuildKit session (allowed: empty, a context sent with the build)');

/** BuildKit looks these up at their registries. */
const cacheFrom: QueryCheck = (rules, value, at, report) => {
  let list: unknown;
  try {
    list = JSON.parse(value);
  } catch {
    list = undefined;
  }
  if (list === null) return;
  if (!Array.isArray(list)) {
    report.deny(at, value, `is ${quote(value)} (allowed: a JSON list of images)`);
    return;
  }
  for (const [i, image] of list.entries()) {
    if (typeof image === 'string' && (image === '' || isListedRegistry(rules.registries, image))) continue;
    report.deny(`${at}[${i}]`, String(image), `is ${quote(String(image))} (allowed: ${oneOfWords(rules.registries)})`);
  }
};

/** A file of the context: Podman takes a list in JSON, and addresses. */
const dockerfile: QueryCheck = (_rules, value, at, report) => {
  if (/^\s*\[|:\/\/|\0/.test(value) || value.split('/').includes('..'))
    report.deny(at, value, `is ${quote(value)} (allowed: a file of the context)`);
};

/** Lines of the build's own hosts file. */
const extraHosts: QueryCheck = (_rules, value, at, report) => {
  if (!/^[\w.-]+[:=][\w.:[\]-]+$/.test(value)) report.deny(at, value, `is ${quote(value)} (allowed: NAME:ADDRESS)`);
};

/** Every parameter of POST /build; null is free. */
const PARAMETERS: ReadonlyMap<string, QueryCheck | null> = new Map<string, QueryCheck | null>([
  ['remote', remote],
  ['networkmode', networkMode],
  ['cgroupparent', mustBeEmpty],
  ['securityopt', mustBeEmpty],
  ['outputs', outputs],
  ['isolation', isolation],
  ['version', version],
  ['session', session],
  ['cachefrom', cacheFrom],
  ['dockerfile', dockerfile],
  ['extrahosts', extraHosts],
  ...[
    ...['t', 'q', 'nocache', 'pull', 'rm', 'forcerm', 'memory', 'memswap', 'cpushares'],
    ...['cpusetcpus', 'cpusetmems', 'cpuperiod', 'cpuquota', 'buildargs', 'shmsize', 'squash', 'labels', 'platform'],
    ...['target', 'buildid', 'ulimits'],
  ].map((name): [string, null] => [name, null]),
]);

/** What a Dockerfile takes from elsewhere: the engine connects there by itself. */
function checkDockerfile(rules: HostRules, call: EngineCall, report: Report): void {
  const orOwn = rules.registriesListed ? '' : ', or any with credentials of your own';
  for (const { kind, name, at } of call.resources) {
    // An image by its id is there already.
    if (kind !== 'image' || at.startsWith('query.') || name.startsWith('sha256:')) continue;
    const { registry } = repositoryOf(name);
    const asOwn = !rules.registriesListed && call.credentials === true && isFarRegistry(registry, call.nearRegistries);
    if (!asOwn) checkImage(rules.registries, name, at, report, orOwn);
  }
  for (const { url, at } of call.fetches ?? []) {
    const host = readAddress(url)?.host;
    if (host !== undefined && isListedHost(rules.sources, host)) continue;
    const allowed =
      rules.sources.length === 0 ? 'none; list hosts under sources, or RUN wget' : oneOfWords(rules.sources);
    report.deny(at, url, `makes the engine fetch ${quote(url)} (allowed: ${allowed})`);
  }
}

/** Podman's own network for builds is the host's, and `networkmode` does not change it. */
function checkEngine({ engineKind, query }: EngineCall, report: Report): void {
  if (engineKind !== 'podman') return;
  const given = query.networkmode?.[0] ?? '';
  const why =
    'has no say on Podman, whose builds are on the network of the host (allowed: none; build elsewhere, or let the rule name no preset)';
  report.deny('query.networkmode', given, why);
}

/** `*` is any host, `*.example.com` any below it. */
const isListedHost = (listed: readonly string[], host: string): boolean =>
  listed.some((one) => one === '*' || one === host || (one.startsWith('*.') && host.endsWith(one.slice(1))));

export function build(rules: HostRules): CallCheck {
  const checkNetworks = networksInUseCheck(rules);
  return (call: EngineCall, report: Report) => {
    checkNetworks(call, report);
    checkDockerfile(rules, call, report);
    checkEngine(call, report);
    for (const name in call.query) {
      const check = PARAMETERS.get(name);
      if (check === null) continue;
      const at = `query.${name}`;
      for (const value of call.query[name] ?? []) {
        if (value === '') continue;
        if (check === undefined) report.unknown(at, value);
        else check(rules, value, at, report);
      }
    }
  };
}
