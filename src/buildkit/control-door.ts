// The door of /grpc: what a client may ask of BuildKit, method by method. A method that is not named here is refused, so that one
// added to BuildKit stays closed until it is listed here. Ids of builds become the caller's own on the way in and lose
// their mark on the way out. api/services/control, frontend/gateway/pb.
import { randomUUID } from 'node:crypto';
import type { BuildGrant } from '../policy/build/index.ts';
import { Collected } from './collected.ts';
import type { OwnContent } from './content.ts';
import { ownSourceOp } from './definition.ts';
import { Refusal } from './grpc.ts';
import type { RawHeaders } from './headers.ts';
import type { Owner } from './owner.ts';
import {
  type Message,
  messageMapOf,
  messageOf,
  messagesOf,
  numberIn,
  ProtobufError,
  readMessage,
  textOf,
  writeMessage,
} from './protobuf.ts';
import type { Door, Judged, Plan } from './relay.ts';
import { type ReadPart, type ReadSolve, readBridgeSolve, readControlSolve } from './solve.ts';
import { type StoredImages, sourcePolicy } from './source-policy.ts';

/** What a build may have, as policy and ledger say it now. */
export interface Granted {
  readonly grant: BuildGrant;
  /** The engine's store as the tenant sees it; undefined where there is none. */
  readonly stored: StoredImages | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly readsCaches: boolean;
}

/** A build that was let through. */
export interface RunningBuild extends Granted {
  /** The engine's answer: names of the objects that were made. */
  result(response: ReadonlyMap<string, string>): void;
  /** It is over; resolves once ledger and audit know it, to the error that takes the place of a good end, if any. */
  end(status: string | undefined): Promise<Refusal | undefined>;
}

/** What the gateway lends: policy, ledger, audit, the engine. */
export interface Desk {
  readonly owner: Owner;
  readonly content: OwnContent;
  /** Lets a build through, or a probe of one. @throws {Refusal} with the words of policy */
  start(solve: ReadSolve, ended: AbortSignal): Promise<RunningBuild>;
  /**
   * Judges a part of a build: what it asks for beyond what the build itself asked.
   *
   * @param id of the build, with the owner's mark
   * @throws {Refusal}
   */
  part(part: ReadPart, id: string, ended: AbortSignal): Promise<Granted>;
  /** Whether the caller may see, or prune, the cache of the whole engine. */
  mayUse(action: 'system.df' | 'build.prune'): boolean;
  /** Whether the engine holds a build to a source policy. */
  enforcesSources(): Promise<boolean>;
  /** Steps of a build, as its status tells them; `id` with the owner's mark. */
  progress(id: string, status: Message): void;
  /** What people are to be told of a build, once for each who looks on; `id` with the owner's mark. */
  notes(id: string): readonly string[];
  /** Records a refusal; gives it with its audit id. */
  refused(path: string, refusal: Refusal): Promise<Refusal>;
  /** Changes what an error of the engine says. */
  explain(text: string): string;
}

const CONTROL = '/moby.buildkit.v1.Control/';
const BRIDGE = '/moby.buildkit.v1.frontend.LLBBridge/';
const BUILD_ID = 'buildkit-controlapi-buildid';

/** Fields of a head that reach the engine. */
const FORWARDED: ReadonlySet<string> = new Set([
  ...[
    'content-type',
    'te',
    'user-agent',
    'grpc-timeout',
    'traceparent',
    'tracestate',
    'baggage',
    'containerd-namespace',
  ],
  BUILD_ID,
]);

type Judge = (request: Message, headers: RawHeaders, desk: Desk, ended: AbortSignal) => Promise<Judged> | Judged;

const send = (name: string, message: Message, headers: RawHeaders): Judged => ({
  kind: 'send',
  headers,
  message: writeMessage(name, message),
});

/** Passes as it was read. */
const asRead =
  (name: string): Judge =>
  (request, headers) =>
    send(name, request, headers);

interface Method {
  readonly request: string;
  readonly judge: Judge;
}

const control = (request: string, judge?: Judge): Method => {
  const name = `moby.buildkit.v1.${request}`;
  return { request: name, judge: judge ?? asRead(name) };
};
const bridge = (request: string, judge?: Judge): Method => {
  const name = `moby.buildkit.v1.frontend.${request}`;
  return { request: name, judge: judge ?? asRead(name) };
};

const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  [`${CONTROL}Solve`, control('SolveRequest', solve)],
  [`${CONTROL}Status`, control('StatusRequest', status)],
  [`${CONTROL}ListWorkers`, control('ListWorkersRequest')],
  [`${CONTROL}Info`, control('InfoRequest')],
  [`${CONTROL}ListenBuildHistory`, control('BuildHistoryRequest', history)],
  [`${CONTROL}UpdateBuildHistory`, control('UpdateBuildHistoryRequest', updateHistory)],
  [
    `${CONTROL}DiskUsage`,
    control('DiskUsageRequest', ofWholeEngine('system.df', 'DiskUsageRequest', [new Uint8Array(0)])),
  ],
  [`${CONTROL}Prune`, control('PruneRequest', ofWholeEngine('build.prune', 'PruneRequest', []))],
  [`${BRIDGE}Ping`, bridge('PingRequest')],
  [`${BRIDGE}Solve`, bridge('SolveRequest', solvePart)],
  [`${BRIDGE}ResolveImageConfig`, bridge('ResolveImageConfigRequest', resolveImage)],
  [`${BRIDGE}ResolveSourceMeta`, bridge('ResolveSourceMetaRequest', resolveSource)],
  [`${BRIDGE}ReadFile`, bridge('ReadFileRequest')],
  [`${BRIDGE}ReadDir`, bridge('ReadDirRequest')],
  [`${BRIDGE}StatFile`, bridge('StatFileRequest')],
  [`${BRIDGE}Evaluate`, bridge('EvaluateRequest')],
  [`${BRIDGE}Inputs`, bridge('InputsRequest')],
  [`${BRIDGE}Return`, bridge('ReturnRequest', returned)],
  [`${BRIDGE}Warn`, bridge('WarnRequest', warn)],
  ['/containerd.services.content.v1.Content/Info', contentOf('InfoRequest')],
  ['/containerd.services.content.v1.Content/Read', contentOf('ReadContentRequest')],
]);

/** Traces are the engine's own business: the client's are taken and dropped. */
const TRACES = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

/** Why a method that is known is closed. */
const CLOSED: Readonly<Record<string, string>> = {
  [`${CONTROL}Session`]: 'a session is opened by POST /session, where it is judged',
  [`${BRIDGE}NewContainer`]: 'containers beside the steps of a build are not served; use docker run',
  [`${BRIDGE}ReleaseContainer`]: 'containers beside the steps of a build are not served; use docker run',
  [`${BRIDGE}ExecProcess`]: 'containers beside the steps of a build are not served; use docker run',
};

export class ControlDoor implements Door {
  readonly #desk: Desk;

  constructor(desk: Desk) {
    this.#desk = desk;
  }

  plan(path: string, headers: RawHeaders): Plan {
    if (path === TRACES) {
      return { kind: 'judge', judge: async () => ({ kind: 'answer', messages: [new Uint8Array(0)] }) };
    }
    const method = METHODS.get(path);
    if (method === undefined) {
      const why = CLOSED[path];
      throw new Refusal(
        'unimplemented',
        `denied: ${path.slice(0, 200)} is not served here${why === undefined ? '' : `, ${why}`}`,
      );
    }
    const kept = headers.only((name) => FORWARDED.has(name));
    const own = path.startsWith(BRIDGE)
      ? kept.with(BUILD_ID, [this.#desk.owner.own(headers.get(BUILD_ID) ?? '', BUILD_ID)])
      : kept.only((name) => name !== BUILD_ID);
    return {
      kind: 'judge',
      judge: async (bytes, ended) => method.judge(readRequest(method.request, bytes), own, this.#desk, ended),
    };
  }

  refused(path: string, refusal: Refusal): Promise<Refusal> {
    return this.#desk.refused(path, refusal);
  }

  shown(text: string): string {
    return this.#desk.explain(this.#desk.owner.shown(text));
  }
}

/** @throws {Refusal} in place of what the reader says */
export function readRequest(name: string, bytes: Uint8Array): Message {
  try {
    return readMessage(name, bytes);
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error;
    throw new Refusal('invalid-argument', `denied: the request cannot be judged: ${error.message}`);
  }
}

/** The policy of sources, where the engine holds a build to one. */
async function policyFor({ grant, stored }: Granted, desk: Desk): Promise<Message | undefined> {
  const { sources, frontends } = grant;
  const { message, isNeeded } = sourcePolicy(
    { allowed: sources, frontends, stored, mark: desk.owner.cacheHost },
    randomUUID(),
  );
  if (await desk.enforcesSources()) return message;
  // Without one no frontend's image is run, so the rest of the rules holds.
  if (!isNeeded || (sources.includes('*') && stored === undefined)) return undefined;
  throw new Refusal(
    'failed-precondition',
    'denied: the BuildKit of this engine cannot be held to a list of sources (it takes Docker 25.0 or newer); build with DOCKER_BUILDKIT=0',
  );
}

async function solve(request: Message, headers: RawHeaders, desk: Desk, ended: AbortSignal): Promise<Judged> {
  const read = readControlSolve(request, desk.owner);
  const build = await desk.start(read, ended);
  try {
    const policy = await policyFor(build, desk);
    return {
      kind: 'send',
      headers,
      message: read.render({ ...build, policy }),
      onAnswer(message) {
        const { ExporterResponse: response } = readMessage('moby.buildkit.v1.SolveResponse', message, false);
        if (response instanceof Map) build.result(response as ReadonlyMap<string, string>);
        return message;
      },
      onEnd: (status) => build.end(status),
    };
  } catch (error) {
    await build.end(undefined);
    throw error;
  }
}

async function solvePart(request: Message, headers: RawHeaders, desk: Desk, ended: AbortSignal): Promise<Judged> {
  const read = readBridgeSolve(request, desk.owner);
  const granted = await desk.part(read, headers.get(BUILD_ID) ?? '', ended);
  return { kind: 'send', headers, message: read.render({ ...granted, policy: await policyFor(granted, desk) }) };
}

async function resolveImage(request: Message, headers: RawHeaders, desk: Desk, ended: AbortSignal): Promise<Judged> {
  const collected = new Collected();
  refusePolicies(request);
  let ref = textOf(request, 'Ref');
  if (numberIn(request, 'ResolverType') === 0) ref = collected.image('Ref', ref).slice('docker-image://'.length);
  else collected.add('contexts', 'Ref', textOf(request, 'StoreID'));
  const granted = await desk.part(partOf(collected), headers.get(BUILD_ID) ?? '', ended);
  const policy = await policyFor(granted, desk);
  const session = textOf(request, 'SessionID');
  return send(
    'moby.buildkit.v1.frontend.ResolveImageConfigRequest',
    {
      ...request,
      Ref: ref,
      ...(session === '' ? {} : { SessionID: desk.owner.own(session, 'SessionID') }),
      ...(policy === undefined ? {} : { SourcePolicies: [policy] }),
    },
    headers,
  );
}

async function resolveSource(request: Message, headers: RawHeaders, desk: Desk, ended: AbortSignal): Promise<Judged> {
  const collected = new Collected();
  refusePolicies(request);
  const source = messageOf(request, 'Source');
  if (source === undefined) throw new Refusal('invalid-argument', 'ResolveSourceMeta names no source');
  const own = ownSourceOp(source, 'Source', desk.owner, collected);
  const granted = await desk.part(partOf(collected), headers.get(BUILD_ID) ?? '', ended);
  const policy = await policyFor(granted, desk);
  return send(
    'moby.buildkit.v1.frontend.ResolveSourceMetaRequest',
    { ...request, Source: own, ...(policy === undefined ? {} : { SourcePolicies: [policy] }) },
    headers,
  );
}

const partOf = ({ facts, pushes, masked }: Collected): ReadPart => ({
  facts,
  pushes,
  masked,
  options: new Map(),
  sessions: [],
  hasCaches: false,
});

function refusePolicies(request: Message): void {
  if (messagesOf(request, 'SourcePolicies').length === 0) return;
  throw new Refusal(
    'permission-denied',
    "SourcePolicies is the gateway's to give; build without a source policy of your own",
  );
}

/** A definition in what a step says of itself, or in a result, is read by nothing on the engine's side: it is left out. */
function warn(request: Message, headers: RawHeaders): Judged {
  const info = messageOf(request, 'info');
  const { definition: _, ...shown } = info ?? {};
  return send(
    'moby.buildkit.v1.frontend.WarnRequest',
    { ...request, ...(info === undefined ? {} : { info: shown }) },
    headers,
  );
}

/** An engine reads a result that is not there, and ends: it must have one, or an error. */
function returned(request: Message, headers: RawHeaders): Judged {
  const result = messageOf(request, 'result');
  if (result === undefined && messageOf(request, 'error') === undefined) {
    throw new Refusal('invalid-argument', 'denied: a build returns a result or an error; this one returns neither');
  }
  const withoutDefinition = (ref: Message): Message => {
    const { def: _, ...rest } = ref;
    return rest;
  };
  const own: Record<string, Message[string]> = { ...result };
  const ref = result === undefined ? undefined : messageOf(result, 'ref');
  if (ref !== undefined) own.ref = withoutDefinition(ref);
  const refs = result === undefined ? undefined : messageOf(result, 'refs');
  if (refs !== undefined) {
    own.refs = {
      refs: new Map([...messageMapOf(refs, 'refs')].map(([key, one]) => [key, withoutDefinition(one)] as const)),
    };
  }
  return send(
    'moby.buildkit.v1.frontend.ReturnRequest',
    { ...request, ...(result === undefined ? {} : { result: own }) },
    headers,
  );
}

function status(request: Message, headers: RawHeaders, desk: Desk): Judged {
  const ref = desk.owner.own(textOf(request, 'Ref'), 'Ref');
  const said = new Set<string>();
  return {
    kind: 'send',
    headers,
    message: writeMessage('moby.buildkit.v1.StatusRequest', { ...request, Ref: ref }),
    onAnswer(message) {
      const told = readMessage(STATUS_RESPONSE, message, false);
      desk.progress(ref, told);
      const [step] = messagesOf(told, 'vertexes');
      const news = step === undefined ? [] : desk.notes(ref).filter((note) => !said.has(note));
      for (const note of news) said.add(note);
      const warnings = news.map((note) => ({
        vertex: textOf(step ?? {}, 'digest'),
        level: 1n,
        short: Buffer.from(note),
      }));
      const shown = explained(told, desk);
      if (warnings.length === 0) return shown === undefined ? message : writeMessage(STATUS_RESPONSE, shown);
      const all = [...messagesOf(told, 'warnings'), ...warnings];
      return writeMessage(STATUS_RESPONSE, { ...(shown ?? told), warnings: all });
    },
  };
}

const STATUS_RESPONSE = 'moby.buildkit.v1.StatusResponse';

/** Errors of steps in the words of policy; undefined when there are none to change. */
function explained(status: Message, desk: Desk): Message | undefined {
  let isChanged = false;
  const vertexes = messagesOf(status, 'vertexes').map((vertex) => {
    const error = textOf(vertex, 'error');
    const shown = error === '' ? '' : desk.explain(desk.owner.shown(error));
    if (shown === error) return vertex;
    isChanged = true;
    return { ...vertex, error: shown };
  });
  return isChanged ? { ...status, vertexes } : undefined;
}

const EVENT = 'moby.buildkit.v1.BuildHistoryEvent';

/** The caller's own builds alone, under the ids it gave them. */
function history(request: Message, headers: RawHeaders, { owner, content }: Desk): Judged {
  const ref = textOf(request, 'Ref');
  // A limit would count others' builds, and the engine's count would tell of them.
  const { Limit: _, ...asked } = request;
  return {
    kind: 'send',
    headers,
    message: writeMessage('moby.buildkit.v1.BuildHistoryRequest', {
      ...asked,
      ...(ref === '' ? {} : { Ref: owner.own(ref, 'Ref') }),
    }),
    onAnswer(message) {
      const event = readMessage(EVENT, message, false);
      const record = messageOf(event, 'record');
      // The word that all events of before were sent has no record.
      if (record === undefined) return message;
      const own = owner.original(textOf(record, 'Ref'));
      if (own === undefined) return undefined;
      for (const digest of digestsOf(record)) content.add(owner.mark, digest);
      return writeMessage(EVENT, { ...event, record: { ...record, Ref: own } });
    },
  };
}

/** Content the engine itself made for a record of a build. What a client wrote into it names nothing here. */
function digestsOf(record: Message): readonly string[] {
  const found: Message[] = [];
  const add = (descriptor: Message | undefined) => {
    if (descriptor !== undefined) found.push(descriptor);
  };
  for (const field of ['logs', 'trace', 'externalError']) add(messageOf(record, field));
  const results = [messageOf(record, 'Result'), ...messageMapOf(record, 'Results').values()];
  for (const result of results) {
    if (result === undefined) continue;
    add(messageOf(result, 'ResultDeprecated'));
    found.push(...messagesOf(result, 'Attestations'), ...messageMapOf(result, 'Results').values());
  }
  return found
    .map((descriptor) => textOf(descriptor, 'digest'))
    .filter((digest) => /^sha256:[0-9a-f]{64}$/.test(digest));
}

function updateHistory(request: Message, headers: RawHeaders, { owner }: Desk): Judged {
  const own = { ...request, Ref: owner.own(textOf(request, 'Ref'), 'Ref') };
  return send('moby.buildkit.v1.UpdateBuildHistoryRequest', own, headers);
}

/** All builds share the cache and its records have no owner: a caller who may not see all of it sees none of it. */
function ofWholeEngine(action: 'system.df' | 'build.prune', request: string, none: readonly Uint8Array[]): Judge {
  const name = `moby.buildkit.v1.${request}`;
  return (message, headers, desk) =>
    desk.mayUse(action) ? send(name, message, headers) : { kind: 'answer', messages: none };
}

function contentOf(request: 'InfoRequest' | 'ReadContentRequest'): Method {
  const name = `containerd.services.content.v1.${request}`;
  return {
    request: name,
    judge(message, headers, { owner, content }) {
      const digest = textOf(message, 'digest');
      if (!content.has(owner.mark, digest)) throw new Refusal('not-found', `content ${digest.slice(0, 80)}: not found`);
      return send(name, message, headers);
    },
  };
}
