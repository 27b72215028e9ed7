// One build as the audit keeps it: its request, its steps and its outcome. Values of build arguments and
// secrets are never among it.

import { Refusal } from '../../buildkit/grpc.ts';
import { isSet, type Message, messageOf, messagesOf, textOf } from '../../buildkit/protobuf.ts';
import type { StoredImages } from '../../buildkit/source-policy.ts';
import type { BuildFact, BuildFacts } from '../../engine/types.ts';
import type { BuildGrant } from '../../policy/build/index.ts';

/** Most of each kept of one build. */
const MAX_STEPS = 200;
const MAX_VALUES = 100;
const MAX_NAME = 300;
/** Most values of build arguments of one build that are kept for masking, and their bytes together. */
const MAX_MASKED = 1000;
const MAX_MASKED_BYTES = 512 * 1024;
/** Shorter values of build arguments are in too many other words to be masked there. */
const SHORTEST_MASKED = 4;

interface Step {
  readonly digest: string;
  readonly name: string;
  readonly startedMs?: number;
  readonly completedMs?: number;
  readonly cached?: true;
  readonly failed?: true;
}

export class Build {
  readonly auditId: string;
  /** Policy that let it through, for words of denials. */
  readonly policy: string;
  readonly #facts: BuildFacts;
  readonly #steps = new Map<string, Step>();
  readonly #more = new Map<keyof BuildFacts, Set<string>>();
  readonly #masked = new Set<string>();
  #maskedBytes = 0;
  /** When it began, and folders its Dockerfile may come in, by which sessions. */
  readonly atMs: number;
  readonly sessions = new Set<string>();
  readonly dockerfileFolders = new Set<string>();
  #result: ReadonlyMap<string, string> = new Map();
  /** Grants of its parts, the latest last: what an error of the engine is about. */
  grant: BuildGrant;
  stored: StoredImages | undefined;
  /** What its maker is to be told while it runs. */
  readonly notes = new Set<string>();
  labels: Readonly<Record<string, string>> = {};
  /** Its intent is not on disk yet: it is a probe that has built nothing so far. */
  onFirstPart: (() => Promise<void>) | undefined;

  constructor(about: {
    auditId: string;
    policy: string;
    facts: BuildFacts;
    masked: ReadonlySet<string>;
    grant: BuildGrant;
    atMs: number;
  }) {
    this.atMs = about.atMs;
    this.auditId = about.auditId;
    this.policy = about.policy;
    this.#facts = about.facts;
    this.grant = about.grant;
    this.#mask(about.masked);
  }

  /** @throws {Refusal} for more than can be kept out of the audit */
  #mask(values: ReadonlySet<string>): void {
    for (const value of values) {
      if (value.length < SHORTEST_MASKED || this.#masked.has(value)) continue;
      this.#maskedBytes += Buffer.byteLength(value);
      if (this.#masked.size >= MAX_MASKED || this.#maskedBytes > MAX_MASKED_BYTES) {
        throw new Refusal(
          'resource-exhausted',
          `a build may have ${MAX_MASKED} values of build arguments of ${MAX_MASKED_BYTES} bytes together, which are masked in the audit; this one has more`,
        );
      }
      this.#masked.add(value);
    }
  }

  /** What a part of it asks for besides. */
  add(facts: BuildFacts, masked: ReadonlySet<string>): void {
    this.#mask(masked);
    for (const kind of Object.keys(facts) as (keyof BuildFacts)[]) {
      const kept = this.#more.get(kind) ?? new Set();
      for (const { value } of facts[kind]) if (kept.size < MAX_VALUES) kept.add(value.slice(0, MAX_NAME));
      this.#more.set(kind, kept);
    }
  }

  progress(status: Message): void {
    for (const vertex of messagesOf(status, 'vertexes')) {
      const digest = textOf(vertex, 'digest');
      if (this.#steps.size >= MAX_STEPS && !this.#steps.has(digest)) continue;
      const started = momentOf(vertex, 'started');
      const completed = momentOf(vertex, 'completed');
      this.#steps.set(digest, {
        digest,
        name: this.#shown(textOf(vertex, 'name')),
        ...(started === undefined ? {} : { startedMs: started }),
        ...(completed === undefined ? {} : { completedMs: completed }),
        ...(isSet(vertex, 'cached') ? { cached: true } : {}),
        ...(textOf(vertex, 'error') === '' ? {} : { failed: true }),
      });
    }
  }

  result(response: ReadonlyMap<string, string>): void {
    this.#result = response;
  }

  /** Id of the image that was made. */
  get imageId(): string | undefined {
    const id = this.#result.get('containerimage.config.digest') ?? this.#result.get('containerimage.digest');
    return id?.startsWith('sha256:') === true ? id : undefined;
  }
  /** Digest of its manifest, by which engines with containerd's store know it. */
  get imageDigest(): string | undefined {
    return this.#result.get('containerimage.digest');
  }

  /** The facts when it begins. */
  asked(): Record<string, unknown> {
    return this.#told(this.#facts);
  }

  /** The facts at its end. */
  done(): Record<string, unknown> {
    const steps = [...this.#steps.values()].filter(({ name }) => !name.startsWith('[internal]'));
    const fetched = new Set<string>();
    for (const { name } of this.#steps.values()) {
      const source =
        /^(?:\[[^\]]*\] )?FROM (\S+@sha256:[0-9a-f]{64})/.exec(name)?.[1] ??
        /^(?:\[[^\]]*\] )?(https?:\/\/\S+|git:\/\/\S+)/.exec(name)?.[1];
      if (source !== undefined) fetched.add(source);
    }
    const parts = Object.fromEntries(
      [...this.#more].filter(([, values]) => values.size > 0).map(([kind, values]) => [kind, [...values]]),
    );
    return {
      ...(fetched.size === 0 ? {} : { fetched: [...fetched].slice(0, MAX_VALUES) }),
      ...(Object.keys(parts).length === 0 ? {} : { parts }),
      ...(this.imageId === undefined ? {} : { image: this.imageId }),
      ...(this.imageDigest === undefined ? {} : { digest: this.imageDigest }),
      ...(steps.length === 0 ? {} : { steps }),
    };
  }

  #told(facts: BuildFacts): Record<string, unknown> {
    const told: Record<string, unknown> = {};
    for (const [kind, values] of Object.entries(facts) as [string, readonly BuildFact[]][]) {
      if (values.length > 0) told[kind] = values.slice(0, MAX_VALUES).map(({ value }) => value.slice(0, MAX_NAME));
    }
    return told;
  }

  /** Names of steps hold values of arguments where a Dockerfile uses them. */
  #shown(name: string): string {
    let shown = name.slice(0, 4 * MAX_NAME);
    for (const value of this.#masked) shown = shown.replaceAll(value, '***');
    return shown.slice(0, MAX_NAME);
  }
}

function momentOf(vertex: Message, field: string): number | undefined {
  const moment = messageOf(vertex, field);
  if (moment === undefined) return undefined;
  return Number(moment.seconds ?? 0n) * 1000 + Math.floor(Number(moment.nanos ?? 0) / 1e6);
}
