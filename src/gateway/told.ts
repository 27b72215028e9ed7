// What the engine's answer to a call tells the audit: the object that was made, those that were removed, the words of a failure,
// an exit code. Answers of reads that went well are not looked at; of a stream that reports a failure within itself (pull, push,
// build, load) the end is kept.
import type { AuditResource } from '../audit/event.ts';
import type { EngineCall, Json, ResourceKind } from '../engine/types.ts';
import type { AuditLevel } from '../policy/types.ts';

/** Answers of one JSON value are kept up to this size, in bytes: a prune names what it removed. */
const MAX_ANSWER = 256 * 1024;
/** Words of a failure, in bytes. */
const MAX_FAILURE = 8 * 1024;
/** Of a stream the last bytes are kept: its last line is the one that tells. */
const MAX_TAIL = 8 * 1024;
/** Longest message that is kept, in characters. */
const MAX_MESSAGE = 1000;

export interface ToldFacts {
  /** The engine's words of a failure. */
  readonly message?: string;
  /** A failure that was told within a stream that began with 200. */
  readonly isFailure?: boolean;
  readonly resources?: readonly AuditResource[];
  /** Id of the one object that was made. */
  readonly madeId?: string;
  readonly exitCode?: number;
  /** The JSON answer, where its level of the audit asks for it. */
  readonly answer?: Json;
}

type Read = (answer: unknown, call: EngineCall) => ToldFacts;

const made =
  (kind: ResourceKind, member: string): Read =>
  (answer, call) => {
    const id = textAt(answer, member);
    if (id === '') return {};
    const name = call.resources.find((one) => one.kind === kind && one.role === 'creates')?.name ?? '';
    const isName = member === 'Name';
    return {
      madeId: id,
      resources: [{ kind, name: isName ? id : name, id: isName ? undefined : id, at: 'answer' }],
    };
  };

const removed =
  (kind: ResourceKind, member: string): Read =>
  (answer) => ({ resources: textsAt(answer, member).map((name) => ({ kind, name, at: `answer.${member}` })) });

/** `[{"Untagged":"app:1"},{"Deleted":"sha256:..."}]` */
const removedImages = (list: unknown): ToldFacts => {
  if (!Array.isArray(list)) return {};
  const resources: AuditResource[] = [];
  for (const one of list) {
    for (const member of ['Untagged', 'Deleted']) {
      const name = textAt(one, member);
      if (name !== '') resources.push({ kind: 'image', name, at: `answer.${member}` });
    }
  }
  return { resources };
};

/** Answers that are one JSON value, by operation id. */
const ANSWERS: Readonly<Record<string, Read>> = {
  ContainerCreate: made('container', 'Id'),
  ContainerExec: made('exec', 'Id'),
  NetworkCreate: made('network', 'Id'),
  VolumeCreate: made('volume', 'Name'),
  ImageCommit: made('image', 'Id'),
  ServiceCreate: made('service', 'ID'),
  SecretCreate: made('secret', 'ID'),
  ConfigCreate: made('config', 'ID'),
  ContainerPrune: removed('container', 'ContainersDeleted'),
  VolumePrune: removed('volume', 'VolumesDeleted'),
  NetworkPrune: removed('network', 'NetworksDeleted'),
  ImagePrune: (answer) => removedImages((answer as { ImagesDeleted?: unknown } | null)?.ImagesDeleted),
  ImageDelete: removedImages,
  ContainerWait: (answer) => {
    const code = (answer as { StatusCode?: unknown } | null)?.StatusCode;
    return typeof code === 'number' ? { exitCode: code } : {};
  },
};

/** Answers whose lines tell how it went. */
const STREAMS: ReadonlySet<string> = new Set([
  'ImageCreate',
  'ImagePush',
  'ImageBuild',
  'ImageLoad',
  'PluginPull',
  'PluginPush',
  'PluginUpgrade',
]);

/** One answer on its way to the caller. */
export class Told {
  readonly #call: EngineCall;
  readonly #kind: 'failure' | 'answer' | 'whole' | 'stream';
  readonly #max: number;
  #kept: Buffer[] = [];
  #size = 0;
  #isTooLong = false;
  #facts: ToldFacts | undefined;

  /** @returns undefined where the audit needs nothing of the answer */
  static of(call: EngineCall, status: number, level?: AuditLevel): Told | undefined {
    const { id } = call.operation;
    if (status >= 400) return new Told(call, 'failure', MAX_FAILURE);
    if (level === 'request-response' && call.operation.stream === 'none') return new Told(call, 'whole', MAX_ANSWER);
    if (call.operation.class === 'read' && id !== 'ContainerWait') return undefined;
    if (Object.hasOwn(ANSWERS, id)) return new Told(call, 'answer', MAX_ANSWER);
    return STREAMS.has(id) ? new Told(call, 'stream', MAX_TAIL) : undefined;
  }

  private constructor(call: EngineCall, kind: 'failure' | 'answer' | 'whole' | 'stream', max: number) {
    this.#call = call;
    this.#kind = kind;
    this.#max = max;
  }

  /** Who gives the chunk may use it again. */
  take(chunk: Uint8Array): void {
    if (this.#isTooLong) return;
    const isStream = this.#kind === 'stream';
    const part = isStream && chunk.length > this.#max ? chunk.subarray(chunk.length - this.#max) : chunk;
    this.#kept.push(Buffer.from(part));
    this.#size += part.length;
    if (this.#size <= (isStream ? 2 * this.#max : this.#max)) return;
    if (isStream) {
      const tail = Buffer.concat(this.#kept).subarray(-this.#max);
      this.#kept = [tail];
      this.#size = tail.length;
    } else if (this.#kind !== 'failure') {
      this.#isTooLong = true;
      this.#kept = [];
    } else {
      this.#isTooLong = true;
    }
  }

  /** The engine refused. */
  get isRefusal(): boolean {
    return this.#kind === 'failure';
  }

  /** What it tells, once it is over or broke off. */
  facts(): ToldFacts {
    this.#facts ??= this.#read();
    return this.#facts;
  }

  #read(): ToldFacts {
    const text = Buffer.concat(this.#kept).toString('utf8');
    this.#kept = [];
    if (text === '') return {};
    if (this.#kind === 'failure') return { message: failureIn(text) };
    if (this.#kind === 'stream') return streamFacts(text, this.#call);
    try {
      const answer: unknown = JSON.parse(text);
      const facts = ANSWERS[this.#call.operation.id]?.(answer, this.#call) ?? {};
      return this.#kind === 'whole' ? { ...facts, answer: answer as Json } : facts;
    } catch {
      return {};
    }
  }
}

function failureIn(text: string): string {
  try {
    const message = textAt(JSON.parse(text), 'message');
    if (message !== '') return message.slice(0, MAX_MESSAGE);
  } catch {
    // some answers are plain text
  }
  return text.trim().slice(0, MAX_MESSAGE);
}

function streamFacts(text: string, call: EngineCall): ToldFacts {
  let message: string | undefined;
  let imageId = '';
  // The first line may be cut; it is then no JSON.
  for (const line of text.split('\n')) {
    let one: unknown;
    try {
      one = JSON.parse(line);
    } catch {
      continue;
    }
    const error = textAt(one, 'error');
    if (error !== '') message = error.slice(0, MAX_MESSAGE);
    const aux = (one as { aux?: unknown } | null)?.aux;
    imageId = textAt(aux, 'ID') || textAt(aux, 'Digest') || digestIn(textAt(one, 'status')) || imageId;
  }
  if (message !== undefined) return { message, isFailure: true };
  if (imageId === '') return {};
  const image = call.resources.find(({ kind }) => kind === 'image');
  return { madeId: imageId, resources: [{ kind: 'image', name: image?.name ?? '', id: imageId, at: 'answer' }] };
}

const digestIn = (status: string): string => /^Digest: (sha256:[0-9a-f]{64})$/.exec(status)?.[1] ?? '';

const textAt = (value: unknown, member: string): string => {
  const found = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[member] : undefined;
  return typeof found === 'string' ? found : '';
};

const textsAt = (value: unknown, member: string): readonly string[] => {
  const found = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[member] : undefined;
  return Array.isArray(found) ? found.filter((one): one is string => typeof one === 'string') : [];
};
