// A build as it is asked for: Control.Solve starts one, LLBBridge.Solve is one of its parts. Both are read strictly, told as facts
// for policy, and written anew for the engine with what policy grants.
import type { BuildFact, BuildFacts } from '../engine/types.ts';
import type { BuildGrant } from '../policy/build/index.ts';
import { Collected } from './collected.ts';
import { ownDefinition } from './definition.ts';
import { ownExporter } from './exporter.ts';
import { judgeFrontend, ownCache, ownOptions, SYNTAX } from './frontend.ts';
import { Refusal } from './grpc.ts';
import { TABLE_VERSION } from './messages.ts';
import type { Owner } from './owner.ts';
import {
  isSet,
  type Message,
  messageMapOf,
  messageOf,
  messagesOf,
  textMapOf,
  textOf,
  textsOf,
  writeMessage,
} from './protobuf.ts';

/** A build, read. */
export interface ReadSolve {
  readonly facts: BuildFacts;
  readonly pushes: readonly BuildFact[];
  /** The caller's own id of the build. */
  readonly ref: string;
  /** The client asks in this way what the engine can do, and builds nothing. */
  readonly isProbe: boolean;
  readonly frontend: string;
  readonly options: ReadonlyMap<string, string>;
  /** Values of build arguments, for masking. */
  readonly masked: ReadonlySet<string>;
  /** Sessions of the client it takes folders from, under the owner's mark. */
  readonly sessions: readonly string[];
  /** It names caches to read. */
  readonly hasCaches: boolean;
  /** The engine's request, once it is granted. */
  render(granted: Rendering): Uint8Array;
}

/** What goes into the engine's request beside what the caller asked. */
export interface Rendering {
  readonly grant: BuildGrant;
  readonly policy: Message | undefined;
  /** Labels of the image. */
  readonly labels: Readonly<Record<string, string>>;
  /** Caches the client names are read. They may claim any key of the cache that all builds share, so a tenant's are left out. */
  readonly readsCaches: boolean;
}

/** A part of a build, or anything that asks for what a build may fetch. */
export type ReadPart = Pick<ReadSolve, 'facts' | 'pushes' | 'masked' | 'options' | 'sessions' | 'hasCaches'>;

const CONTROL = 'moby.buildkit.v1.SolveRequest';
const BRIDGE = 'moby.buildkit.v1.frontend.SolveRequest';

/** What a client may not give along, for it would decide in the gateway's place. */
function refuseOwnPolicy(isGiven: boolean, field: string): void {
  if (!isGiven) return;
  throw new Refusal(
    'permission-denied',
    `${field} is the gateway's to give; build without a source policy of your own`,
  );
}

/** Reads Control.Solve. @throws {Refusal} */
export function readControlSolve(request: Message, owner: Owner): ReadSolve {
  const collected = new Collected();
  refuseOwnPolicy(request.SourcePolicy !== undefined, 'SourcePolicy');
  refuseOwnPolicy(textOf(request, 'SourcePolicySession') !== '', 'SourcePolicySession');
  if (isSet(request, 'EnableSessionExporter')) {
    throw new Refusal(
      'permission-denied',
      'EnableSessionExporter lets the client choose where the result goes after it was judged; name the exporters',
    );
  }
  if (isSet(request, 'ProxyNetwork'))
    throw new Refusal('permission-denied', 'ProxyNetwork is not known here; build without it');
  for (const [i, value] of textsOf(request, 'Entitlements').entries())
    collected.add('entitlements', `Entitlements[${i}]`, value);
  const ref = textOf(request, 'Ref');
  const frontend = textOf(request, 'Frontend');
  const options = textMapOf(request, 'FrontendAttrs');
  judgeFrontend(frontend, options, 'Frontend', collected);
  const own: Record<string, Message[string]> = {
    ...request,
    Ref: owner.own(ref, 'Ref'),
    FrontendAttrs: ownOptions(options, frontend, 'FrontendAttrs', owner, collected),
  };
  const session = textOf(request, 'Session');
  if (session !== '') own.Session = owner.own(session, 'Session');
  const definition = messageOf(request, 'Definition');
  if (definition !== undefined) own.Definition = ownDefinition(definition, 'Definition', owner, collected);
  if (request.FrontendInputs !== undefined) own.FrontendInputs = ownInputs(request, owner, collected);
  if (request.Exporters !== undefined) {
    own.Exporters = messagesOf(request, 'Exporters').map((exporter, i) => ({
      ...exporter,
      Attrs: ownExporter(textOf(exporter, 'Type'), textMapOf(exporter, 'Attrs'), `Exporters[${i}]`, collected),
    }));
  }
  const deprecated = textOf(request, 'ExporterDeprecated');
  // Engines of before there were several read these.
  if (deprecated !== '') {
    const attrs = textMapOf(request, 'ExporterAttrsDeprecated');
    own.ExporterAttrsDeprecated = ownExporter(deprecated, attrs, 'Exporter', collected);
  }
  const cache = ownCaches(messageOf(request, 'Cache'), collected);
  if (cache !== undefined) own.Cache = cache;
  return {
    facts: collected.facts,
    pushes: collected.pushes,
    masked: collected.masked,
    ref,
    isProbe: isSet(request, 'Internal') && isEmpty(request, collected),
    frontend,
    options,
    sessions: [...(session === '' ? [] : [owner.own(session, 'Session')]), ...sessionsIn(own.FrontendAttrs)],
    hasCaches: hasCaches(options) || IMPORTS.some((field) => cache?.[field] !== undefined),
    render: (granted) =>
      writeMessage(CONTROL, {
        ...own,
        ...(cache === undefined || granted.readsCaches ? {} : { Cache: withoutImports(cache) }),
        FrontendAttrs: grantedOptions(own.FrontendAttrs as ReadonlyMap<string, string>, granted),
        ...(granted.policy === undefined ? {} : { SourcePolicy: granted.policy }),
      }),
  };
}

const sessionsIn = (options: Message[string] | undefined): readonly string[] =>
  options instanceof Map
    ? [...(options as Map<string, string>)].filter(([key]) => key.startsWith('local-sessionid:')).map(([, id]) => id)
    : [];

/** Fields of a cache that name the content to read. */
const IMPORTS: readonly string[] = ['Imports', 'ImportRefsDeprecated'];
const CACHE_OPTIONS: readonly string[] = ['cache-from', 'cache-imports'];

const hasCaches = (options: ReadonlyMap<string, string>): boolean =>
  CACHE_OPTIONS.some((key) => (options.get(key) ?? '') !== '');

const withoutImports = (cache: Message): Message =>
  Object.fromEntries(Object.entries(cache).filter(([field]) => !IMPORTS.includes(field)));

/** Whether a request asks for nothing, and so builds nothing by itself. */
function isEmpty(request: Message, { facts }: Collected): boolean {
  const asked = ['Definition', 'FrontendInputs'].some((field) => request[field] !== undefined);
  return !asked && textOf(request, 'Frontend') === '' && Object.values(facts).every((list) => list.length === 0);
}

/** Reads LLBBridge.Solve. @throws {Refusal} */
export function readBridgeSolve(request: Message, owner: Owner): ReadPart & Pick<ReadSolve, 'render'> {
  const collected = new Collected();
  refuseOwnPolicy(messagesOf(request, 'SourcePolicies').length > 0, 'SourcePolicies');
  if (request.ExporterAttr !== undefined) {
    throw new Refusal(
      'permission-denied',
      `ExporterAttr is of clients before BuildKit 0.4; use a client of this decade (table of BuildKit ${TABLE_VERSION})`,
    );
  }
  const frontend = textOf(request, 'Frontend');
  const options = textMapOf(request, 'FrontendOpt');
  judgeFrontend(frontend, options, 'Frontend', collected);
  const own: Record<string, Message[string]> = {
    ...request,
    FrontendOpt: ownOptions(options, frontend, 'FrontendOpt', owner, collected),
  };
  const definition = messageOf(request, 'Definition');
  if (definition !== undefined) own.Definition = ownDefinition(definition, 'Definition', owner, collected);
  if (request.FrontendInputs !== undefined) own.FrontendInputs = ownInputs(request, owner, collected);
  if (request.CacheImports !== undefined)
    own.CacheImports = ownEntries(request, 'CacheImports', '', 'import', collected);
  return {
    facts: collected.facts,
    pushes: collected.pushes,
    masked: collected.masked,
    options,
    sessions: sessionsIn(own.FrontendOpt),
    hasCaches: hasCaches(options) || request.CacheImports !== undefined,
    render(granted) {
      const { CacheImports: imports, ...rest } = own;
      return writeMessage(BRIDGE, {
        ...rest,
        ...(imports !== undefined && granted.readsCaches ? { CacheImports: imports } : {}),
        FrontendOpt: grantedOptions(own.FrontendOpt as ReadonlyMap<string, string>, granted),
        ...(granted.policy === undefined ? {} : { SourcePolicies: [granted.policy] }),
      });
    },
  };
}

function ownInputs(request: Message, owner: Owner, collected: Collected): Map<string, Message> {
  const inputs = [...messageMapOf(request, 'FrontendInputs')];
  return new Map(
    inputs.map(([key, value]) => [
      key,
      ownDefinition(value, `FrontendInputs[${JSON.stringify(key.slice(0, 80))}]`, owner, collected),
    ]),
  );
}

const CONTEXT = 'context:';

/**
 * Whether a `# syntax=` line may be followed: where any image may be the frontend, or where the engine itself looks at which it is.
 * A context the client names stands for any image of that name, for the frontend's too, and BuildKit does not look at that.
 */
function followsSyntax(options: ReadonlyMap<string, string>, { grant, policy }: Rendering): boolean {
  if (grant.frontends.includes('*')) return true;
  if (grant.frontends.length === 0 || policy === undefined) return false;
  return options.has(SYNTAX) || ![...options.keys()].some((key) => key.startsWith(CONTEXT));
}

/**
 * Options the rules oblige to. A command line keeps the built-in frontend from looking for a `# syntax=` line; a network for all
 * steps is one no RUN of a Dockerfile can widen but to the host's, which takes an entitlement.
 */
function grantedOptions(options: ReadonlyMap<string, string>, granted: Rendering): Map<string, string> {
  const { grant, labels, readsCaches } = granted;
  const own = new Map(options);
  if (!readsCaches) for (const key of CACHE_OPTIONS) own.delete(key);
  for (const [key, value] of Object.entries(labels)) own.set(`label:${key}`, value);
  if ((!followsSyntax(own, granted) || !grant.network) && !own.has('cmdline')) own.set('cmdline', 'dockerfile.v0');
  if (!grant.network && (own.get('force-network-mode') ?? '') === '') own.set('force-network-mode', 'none');
  return own;
}

/** Caches with their images in the form that was judged. */
function ownCaches(cache: Message | undefined, collected: Collected): Message | undefined {
  if (cache === undefined) return undefined;
  const own: Record<string, Message[string]> = { ...cache };
  const exported = textOf(cache, 'ExportRefDeprecated');
  if (exported !== '') {
    const attrs = new Map([...textMapOf(cache, 'ExportAttrsDeprecated'), ['ref', exported]]);
    own.ExportRefDeprecated = ownCache('registry', attrs, 'export', 'Cache.ExportRef', collected).get('ref') ?? '';
  }
  if (cache.ImportRefsDeprecated !== undefined) {
    own.ImportRefsDeprecated = textsOf(cache, 'ImportRefsDeprecated').map((ref, i) => {
      const at = `Cache.ImportRefs[${i}]`;
      return ownCache('registry', new Map([['ref', ref]]), 'import', at, collected).get('ref') ?? '';
    });
  }
  if (cache.Exports !== undefined) own.Exports = ownEntries(cache, 'Exports', 'Cache.', 'export', collected);
  if (cache.Imports !== undefined) own.Imports = ownEntries(cache, 'Imports', 'Cache.', 'import', collected);
  return own;
}

function ownEntries(
  message: Message,
  field: string,
  before: string,
  use: 'import' | 'export',
  collected: Collected,
): Message[] {
  return messagesOf(message, field).map((entry, i) => ({
    ...entry,
    Attrs: ownCache(textOf(entry, 'Type'), textMapOf(entry, 'Attrs'), use, `${before}${field}[${i}]`, collected),
  }));
}
