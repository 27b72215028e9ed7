// A build as it is asked for: Control.Solve starts one, LLBBridge.Solve is one of its parts. Both are read strictly, told as facts
// for policy, and written anew for the engine with what policy grants.
import type { BuildFact, BuildFacts } from '../engine/types.ts';
import type { BuildGrant } from '../policy/build/index.ts';
import { Collected } from './collected.ts';
import { ownDefinition } from './definition.ts';
import { judgeExporter } from './exporter.ts';
import { judgeCache, judgeFrontend, ownOptions } from './frontend.ts';
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
  /** The engine's request, once it is granted. */
  render(granted: Rendering): Uint8Array;
}

/** What goes into the engine's request beside what the caller asked. */
export interface Rendering {
  readonly grant: BuildGrant;
  readonly policy: Message | undefined;
  /** Labels of the image. */
  readonly labels: Readonly<Record<string, string>>;
}

/** A part of a build, or anything that asks for what a build may fetch. */
export type ReadPart = Pick<ReadSolve, 'facts' | 'pushes' | 'masked' | 'options'>;

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
  for (const [i, exporter] of messagesOf(request, 'Exporters').entries()) {
    judgeExporter(textOf(exporter, 'Type'), textMapOf(exporter, 'Attrs'), `Exporters[${i}]`, collected);
  }
  const deprecated = textOf(request, 'ExporterDeprecated');
  // Engines of before there were several read these.
  if (deprecated !== '')
    judgeExporter(deprecated, textMapOf(request, 'ExporterAttrsDeprecated'), 'Exporter', collected);
  judgeCaches(messageOf(request, 'Cache'), collected);
  return {
    facts: collected.facts,
    pushes: collected.pushes,
    masked: collected.masked,
    ref,
    isProbe: isSet(request, 'Internal') && isEmpty(request, collected),
    frontend,
    options,
    render: ({ grant, policy, labels }) =>
      writeMessage(CONTROL, {
        ...own,
        FrontendAttrs: grantedOptions(own.FrontendAttrs as ReadonlyMap<string, string>, grant, labels),
        ...(policy === undefined ? {} : { SourcePolicy: policy }),
      }),
  };
}

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
  for (const [i, entry] of messagesOf(request, 'CacheImports').entries()) {
    judgeCache(textOf(entry, 'Type'), textMapOf(entry, 'Attrs'), 'import', `CacheImports[${i}]`, collected);
  }
  return {
    facts: collected.facts,
    pushes: collected.pushes,
    masked: collected.masked,
    options,
    render: ({ grant, policy, labels }) =>
      writeMessage(BRIDGE, {
        ...own,
        FrontendOpt: grantedOptions(own.FrontendOpt as ReadonlyMap<string, string>, grant, labels),
        ...(policy === undefined ? {} : { SourcePolicies: [policy] }),
      }),
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

/**
 * Options the rules oblige to. A command line keeps the built-in frontend from looking for a `# syntax=` line; a network for all
 * steps is one no RUN of a Dockerfile can widen but to the host's, which takes an entitlement.
 */
function grantedOptions(
  options: ReadonlyMap<string, string>,
  grant: BuildGrant,
  labels: Readonly<Record<string, string>>,
): Map<string, string> {
  const own = new Map(options);
  for (const [key, value] of Object.entries(labels)) own.set(`label:${key}`, value);
  if ((!grant.syntaxImages || !grant.network) && !own.has('cmdline')) own.set('cmdline', 'dockerfile.v0');
  if (!grant.network && (own.get('force-network-mode') ?? '') === '') own.set('force-network-mode', 'none');
  return own;
}

function judgeCaches(cache: Message | undefined, collected: Collected): void {
  if (cache === undefined) return;
  const exported = textOf(cache, 'ExportRefDeprecated');
  if (exported !== '') {
    const attrs = new Map([...textMapOf(cache, 'ExportAttrsDeprecated'), ['ref', exported]]);
    judgeCache('registry', attrs, 'export', 'Cache.ExportRef', collected);
  }
  for (const [i, ref] of textsOf(cache, 'ImportRefsDeprecated').entries()) {
    judgeCache('registry', new Map([['ref', ref]]), 'import', `Cache.ImportRefs[${i}]`, collected);
  }
  for (const [field, use] of [
    ['Exports', 'export'],
    ['Imports', 'import'],
  ] as const) {
    for (const [i, entry] of messagesOf(cache, field).entries()) {
      judgeCache(textOf(entry, 'Type'), textMapOf(entry, 'Attrs'), use, `Cache.${field}[${i}]`, collected);
    }
  }
}
