// The public contract of a plugin: a module with one default export. Words and phases follow Kubernetes admission control.
// A plugin narrows, never widens: it changes a request before policy judges it, or denies it afterwards.
import type { Json, MadeContainer, OperationClass, ReadOnlyDepth, ResourceRef, StreamKind } from '../engine/types.ts';

/** Who the plugin is. Checked when it is loaded. */
export interface PluginMeta {
  /** kebab-case, at most 63 characters. Two uses of one plugin are told apart by the `name` of the settings. */
  readonly name: string;
  readonly version: string;
  /** Version of this contract. A plugin for another version does not load. */
  readonly apiVersion: 1;
  /** One line, for `dockgate plugin list`. */
  readonly description: string;
}

/**
 * What a plugin wants beyond the request. Nothing is given that the settings do not grant word for word:
 * `needs: [bodies, net:registry.example, engine:image.inspect]`.
 */
export interface PluginNeeds {
  /** Values of environment variables, build arguments and secrets in the body. Without it they read as `***`. */
  readonly bodies?: boolean;
  /** Answers of the engine, for `onResponse`. */
  readonly responses?: boolean;
  /** What flows on long calls, for `onStream`. */
  readonly streams?: boolean;
  /** Environment variables of the gateway, by name, readable at `context.env`. */
  readonly env?: readonly string[];
  /** Hosts, `host` or `host:port`, that `context.fetch` may reach by HTTPS. */
  readonly net?: readonly string[];
  /** Read operations of the engine that `context.engine.get` may call. */
  readonly engineRead?: readonly string[];
  /** The change `own-socket`, and `context.engineSocket`. */
  readonly sockets?: boolean;
}

/** Which calls a plugin is shown. Calls that do not match cost nothing. */
export interface Match {
  /** Exact action, `container.*`, or `*`. */
  readonly actions: readonly string[];
  /** Only calls of these classes. */
  readonly class?: readonly OperationClass[];
  /** Only calls that name at least one resource like these, `image/docker.io/*`; `*` stands for any text. */
  readonly resources?: readonly string[];
  /** For `validate`: the engine is asked about the objects of the call, so that `presetViolations` judges them as well. */
  readonly objects?: boolean;
}

/** What a plugin sees of a call. Deep-frozen; Authorization, Cookie and X-Registry-* headers are never present. */
export interface AdmissionRequest {
  readonly auditId: string;
  /** RFC 3339, UTC. */
  readonly at: string;
  /** True for `policy explain` and `plugin try`: nothing reaches the engine. */
  readonly dryRun: boolean;
  /** `1.43`, or undefined when the caller sent no version. */
  readonly apiVersion?: string;
  readonly principal: {
    readonly subject: string;
    readonly issuer: string;
    readonly tenant?: string;
    readonly groups: readonly string[];
    readonly tokenId?: string;
    readonly claims: Readonly<Record<string, unknown>>;
  };
  readonly operation: {
    /** Docker's own operation id, `ContainerCreate`. */
    readonly id: string;
    readonly action: string;
    readonly class: OperationClass;
    readonly risk: readonly string[];
    readonly stream: StreamKind;
    readonly method: string;
    /** As the engine is asked, without the query: `/v1.43/containers/web/json`. */
    readonly path: string;
  };
  /** Objects the call names. In `mutate` as the caller named them, in `validate` with id and labels where policy looked them up. */
  readonly resources: readonly {
    readonly kind: string;
    readonly name: string;
    /** Where it was named: `path.id`, `HostConfig.NetworkMode`. */
    readonly at: string;
    readonly id?: string;
    readonly labels?: Readonly<Record<string, string>>;
    /** With `match.objects`, of an existing object: its name, its driver, how it was made. */
    readonly resolvedName?: string;
    readonly driver?: ResourceRef['driver'];
    readonly networkDriver?: string;
    readonly made?: MadeContainer;
  }[];
  readonly path: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, readonly string[]>>;
  /** The decoded body in Docker's own spelling; undefined where there is none or where it streams (archives). */
  readonly body?: Json;
  /** Address without port; on a unix socket `unix`, and the path of the socket. */
  readonly source: { readonly address: string; readonly socket?: string };
  /** The path that a plugin's `own-socket` put into this call: no caller chose it. */
  readonly ownSocket?: string;
  /** With `match.objects`, in `validate`: what is the gateway's and its host's own, for `presetViolations`. */
  readonly site?: {
    /** Files and folders no container gets, and sockets of the gateway; absolute paths. */
    readonly protectedPaths: readonly string[];
    readonly sockets: readonly string[];
    /** Ranges the host reaches by itself, `192.168.1.0/24`; known where the call makes a network. */
    readonly networks: readonly string[];
  };
  /** `docker` or `podman`, where a value of the call means something else on each. */
  readonly engineKind?: 'docker' | 'podman';
  /** Where the call has a read-only bind: runtimes under which mounts below it are read-only too. */
  readonly readOnlyDepth?: ReadOnlyDepth;
}

/**
 * An answer of the engine, or one element of a list, or one line of a stream of JSON: as the caller would get it, after the
 * gateway's own redaction. Shown only with `needs.responses`, and with `***` in the place of values of variables without `needs.bodies`.
 */
export interface AdmissionResponse extends Omit<AdmissionRequest, 'body'> {
  /** Below 400: refusals of the engine are not shown. */
  readonly status: number;
  readonly body: Json;
}

/** What `onStream` is told of a long call: that it opens, each piece of it where it is watched, and that it ended. */
export interface StreamPart extends Omit<AdmissionRequest, 'body'> {
  readonly phase: 'open' | 'data' | 'end';
  /** Of `data`: `in` comes from the caller, `out` from the engine. */
  readonly direction?: 'in' | 'out';
  /** Of `data`: at most 32 KiB as UTF-8; bytes that are none read as U+FFFD. */
  readonly text?: string;
  /** Bytes so far, those of this piece included. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** What the hook gave as `state` the last time. */
  readonly state?: Json;
}

/**
 * `pass`: at the opening, the stream is not looked at; later, the piece goes on. `watch`, at the opening alone: pieces of these
 * directions wait for `onStream`. `end`: the call ends before the piece goes on. `state` is JSON of at most 4 KiB.
 */
export type StreamVerdict =
  | { readonly kind: 'pass'; readonly state?: Json }
  | { readonly kind: 'watch'; readonly direction: 'in' | 'out' | 'both'; readonly state?: Json }
  | { readonly kind: 'end'; readonly code: string; readonly message: string };

/** No opinion; a denial with a kebab-case code and one line; or a warning for the audit and a response header. */
export type Verdict =
  | { readonly kind: 'pass' }
  | { readonly kind: 'deny'; readonly code: string; readonly message: string }
  | { readonly kind: 'warn'; readonly message: string };

/**
 * RFC 6902 subset. `path` is a JSON Pointer below `/body` or `/query`. An `add` below a parent that the caller left out
 * (`/body/Labels/team`, `/body/HostConfig/Memory`) makes the parent; the engine's schema must know it.
 *
 * `own-socket`, with `needs.sockets`, stands for no patch: the bind at this place (`/body/HostConfig/Binds/0`,
 * `/body/HostConfig/Mounts/0`) gets a socket of the gateway's as its source, which speaks for this caller only.
 */
export interface Change {
  readonly op: 'add' | 'replace' | 'remove' | 'own-socket';
  readonly path: string;
  readonly value?: Json;
}

/** Answer of `context.fetch`. */
export interface FetchedText {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** UTF-8, at most 1 MiB. */
  readonly body: string;
}

/** What a hook may use. Everything in it ends with the hook. */
export interface PluginContext<C = unknown> {
  /** The settings, after the plugin's own `config` has read them. */
  readonly config: C;
  /** Name of this use of the plugin, as the settings and denials say it. */
  readonly name: string;
  /** Values of the granted environment variables. */
  readonly env: Readonly<Record<string, string>>;
  /** Path of the engine's socket on this machine, with `needs.sockets`; undefined where the engine is elsewhere. */
  readonly engineSocket?: string;
  /** Adds an annotation to the audit event, at most 1 KiB, prefixed with the plugin's name. */
  annotate(key: string, value: string): void;
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, data?: Json): void;
  readonly engine: {
    /**
     * Asks the engine a granted read operation: `engine.get('image.inspect', { name: 'busybox' })`. Parameters of the path
     * by their names, all others are query parameters. Undefined when the engine says 404. Its time counts.
     */
    get(action: string, parameters?: Readonly<Record<string, string>>): Promise<Json | undefined>;
  };
  /** Memory of this use of the plugin, shared by its instances, at most 1 MiB; lost when the gateway stops. */
  readonly store: {
    get(key: string): Promise<Json | undefined>;
    set(key: string, value: Json, ttlMs?: number): Promise<void>;
  };
  /** HTTPS to a granted host. Redirects are not followed. Its time counts. */
  fetch(
    url: string,
    init?: { readonly method?: string; readonly headers?: Readonly<Record<string, string>>; readonly body?: string },
  ): Promise<FetchedText>;
}

/** A case the plugin carries with it: run whenever it is loaded, and by `dockgate plugin test`. */
export interface PluginExample {
  readonly name: string;
  readonly action: string;
  readonly body?: Json;
  readonly query?: Readonly<Record<string, readonly string[]>>;
  readonly principal?: Partial<AdmissionRequest['principal']>;
  readonly resources?: AdmissionRequest['resources'];
  /** RFC 3339; now when left out. */
  readonly at?: string;
  /** `pass`, or the code of the denial. */
  readonly expect: 'pass' | 'warn' | { readonly deny: string };
  /** The body after `mutate`; not looked at when left out. */
  readonly changedBody?: Json;
  /** An answer of the engine, for `onResponse`, and what becomes of it. */
  readonly response?: Json;
  readonly changedResponse?: Json;
  /** Settings for this case; those of the use when left out. Only `plugin test` runs cases with settings of their own. */
  readonly config?: Json;
}

/** A call that a plugin must pass. */
export interface ValidCase extends Omit<PluginExample, 'expect' | 'resources'> {
  /** It must also warn. */
  readonly warns?: boolean;
}

/** A call that a plugin must deny, with this code. */
export interface InvalidCase extends Omit<PluginExample, 'expect' | 'resources'> {
  readonly code: string;
}

/** The table of cases beside a plugin, as cases.yaml holds it. */
export interface CaseTable {
  readonly valid?: readonly ValidCase[];
  readonly invalid?: readonly InvalidCase[];
}

/** JSON Schema of the settings, draft 2020-12. */
export type JsonSchema = { readonly [key: string]: Json | undefined };

/** A Standard Schema validator: zod, valibot, arktype. @see https://standardschema.dev */
export interface StandardSchema<C> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    validate(value: unknown): unknown;
    readonly types?: { readonly input: unknown; readonly output: C } | undefined;
  };
}

/**
 * A plugin. Hooks may be asynchronous. A hook has 50 ms of processor time and 250 ms in all; one that is late, throws, or
 * answers in another shape denies the call with `plugin-failed`.
 *
 * @example
 * export default definePlugin({
 *   meta: { name: 'owner-label', version: '1.0.0', apiVersion: 1, description: 'Every container names its owner' },
 *   match: { actions: ['container.create'] },
 *   validate: ({ body }) =>
 *     body.Labels?.owner
 *       ? { kind: 'pass' }
 *       : { kind: 'deny', code: 'owner-missing', message: 'Labels.owner must be set: add --label owner=TEAM' },
 * });
 */
export interface Plugin<C = unknown> {
  readonly meta: PluginMeta;
  readonly needs?: PluginNeeds;
  readonly match: Match;
  /**
   * Actions for single hooks, by the settings: narrows `match` for the hooks it names. Asked once, when the plugin is loaded.
   *
   * @example
   * matchOf: ({ actions }) => ({ validate: actions })
   */
  matchOf?(config: C): Partial<Record<'mutate' | 'validate' | 'onResponse' | 'onStream', readonly string[]>>;
  /** Reads the settings: JSON Schema, a Standard Schema validator, or any object with zod's `parse`. Without it there are none. */
  readonly config?: JsonSchema | StandardSchema<C> | { parse(input: unknown): C };
  /** Run once in every instance before its first hook. Throws: the plugin does not load. */
  setup?(context: PluginContext<C>): void | Promise<void>;
  /** Changes the request before policy judges it. */
  mutate?(request: AdmissionRequest, context: PluginContext<C>): readonly Change[] | Promise<readonly Change[]>;
  /** Asked again, once, when a later plugin changed the request. */
  readonly reinvoke?: boolean;
  /** Passes or denies what policy allowed and what will be sent. */
  validate?(request: AdmissionRequest, context: PluginContext<C>): Verdict | Promise<Verdict>;
  /**
   * Takes parts out of a JSON answer: `remove`, or `replace` by a part of what stood there. A text becomes pieces of itself in their
   * order with `***` or `<redacted>` between them; null, an empty text, list or object, 0 and false stand for anything. Everything
   * else, and a hook that fails, withholds the whole answer. Lists and streams of JSON are shown one element at a time.
   */
  onResponse?(response: AdmissionResponse, context: PluginContext<C>): readonly Change[] | Promise<readonly Change[]>;
  /** Lets a long call (logs, events, attach, exec, build) pass, watches it, or ends it. Never edits. A hook that fails ends it. */
  onStream?(part: StreamPart, context: PluginContext<C>): StreamVerdict | Promise<StreamVerdict>;
  /** Paired with `setup`: run when the instance ends in good order. */
  teardown?(): void | Promise<void>;
  readonly examples?: readonly PluginExample[];
}

/** Gives a plugin's hooks and settings their types; returns its argument. */
export const definePlugin = <C = unknown>(plugin: Plugin<C>): Plugin<C> => plugin;
