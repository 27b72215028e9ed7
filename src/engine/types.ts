// The words other rooms use for a call to the Engine API once it has been classified and decoded.
// Pure data: no I/O, no clock. Names follow the Engine API reference.

/** JSON as the gateway holds it. Integers beyond 2^53 are bigint, so that numbers stay exact. Objects have no prototype. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json | undefined;
}

export type OperationClass = 'read' | 'write' | 'admin';
export type StreamKind = 'none' | 'response' | 'upload' | 'upload+response' | 'hijack' | 'h2c';
export type Risk = 'leaks' | 'egress' | 'escalates' | 'global';
export type ResourceKind =
  | 'system'
  | 'container'
  | 'exec'
  | 'image'
  | 'distribution'
  | 'build'
  | 'volume'
  | 'network'
  | 'plugin'
  | 'swarm'
  | 'node'
  | 'service'
  | 'task'
  | 'secret'
  | 'config'
  | 'debug'
  | 'podman';

/** One row of the table of Engine API operations. */
export interface Operation {
  /** Docker's own operation id (`ContainerCreate`), or our name where Docker has none. */
  readonly id: string;
  readonly method: string;
  /** Path template without the version, e.g. `/containers/{id}/json`. */
  readonly path: string;
  readonly action: string;
  readonly resource: ResourceKind;
  readonly class: OperationClass;
  readonly stream: StreamKind;
  /** The engine answers when something has happened, not at once: a stream, a process that ends, files that are walked. */
  readonly waits: boolean;
  /** Name of the body's schema, `tar` for an opaque upload, undefined where no body belongs. */
  readonly body: string | undefined;
  readonly risk: readonly Risk[];
  /** False for rows that are known but never sent on (removed, debug, podman). */
  readonly served: boolean;
  /** First API version with this operation, minor number (`1.40` is 40). */
  readonly firstMinor: number;
}

/** What a caller sent and the engine is not sent, because no engine served reads it there. */
export interface LeftOut {
  /** `containerId`, `Healthcheck.Future`, `query.hijack` */
  readonly at: string;
  /** Old engines do read it: what to tell the caller whose engine is one. */
  readonly trap?: string;
}

/** What a request line addresses: the result of `classify`. */
export interface Target {
  readonly operation: Operation;
  /** The operation's action; `image.import` where `POST /images/create` imports. */
  readonly action: string;
  /** `1.43`, or undefined when the caller sent no version prefix. */
  readonly apiVersion: string | undefined;
  /** Path parameters, percent-decoded once. */
  readonly path: Readonly<Record<string, string>>;
  /** Query parameters in their canonical spelling, in the order received; single-valued ones have one element. */
  readonly query: Readonly<Record<string, readonly string[]>>;
  /** The caller sent credentials of its own for a registry along. */
  readonly credentials?: boolean;
  /** Missing where nothing was left out of path, query and, once decoded, body. */
  readonly leftOut?: readonly LeftOut[];
}

/** One object a call touches, by the name the caller used. */
export interface ResourceRef {
  readonly kind: ResourceKind;
  /** As asked: a name, an id or id prefix, an image reference in its canonical form. Empty for the whole kind (lists). */
  readonly name: string;
  /** Where it was named: `path.id`, `query.container`, `HostConfig.NetworkMode`, `HostConfig.Binds[0]`. */
  readonly at: string;
  /** The main object of the call, one it creates, or another it uses. */
  readonly role: 'target' | 'creates' | 'uses';
  /** Full id as the engine knows it, once resolved; undefined if not resolved or not existing. */
  readonly id?: string;
  /** Name as the engine knows it, once resolved. */
  readonly resolvedName?: string;
  /** Labels of the existing object, once resolved. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Driver of an existing volume, once resolved, and the options it was made with. */
  readonly driver?: { readonly name: string; readonly options: Readonly<Record<string, string>> };
  /** The call that would make an existing container again as it is, its own objects resolved; where a rule asks for it. */
  readonly remake?: EngineCall;
  /** Driver of an existing network, once resolved. */
  readonly networkDriver?: string;
  /** How an existing container, or the one of an exec instance, was made, once resolved. */
  readonly made?: MadeContainer;
}

/** How an existing container was made, as `inspect` tells it. */
export interface MadeContainer {
  /** User of its processes, the image's where none was given. */
  readonly user: string;
  /** HostConfig. */
  readonly host: JsonObject;
  readonly mounts: readonly MadeMount[];
  /** Names of the networks it is in. */
  readonly networks: readonly string[];
  /** Containers whose namespaces it shares, by field; undefined for one that cannot be found, or is too far down. */
  readonly joins: readonly { readonly at: string; readonly made: MadeContainer | undefined }[];
  /** For an exec instance in it: whether that is privileged, and its own user, empty for the container's. */
  readonly exec?: { readonly privileged: boolean; readonly user: string };
}

/** A mount a container has, those of its VolumesFrom included. */
export interface MadeMount {
  readonly type: string;
  /** Path on the host. */
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
  /** Read-only for itself alone: mounts below it stay writable. */
  readonly isShallow?: boolean;
  readonly propagation: string;
  /** Of a volume: its driver and the options it was made with. */
  readonly driver?: NonNullable<ResourceRef['driver']>;
}

/** A judged call: everything that will be rendered to the engine, and nothing else. */
export interface EngineCall extends Target {
  /** Decoded JSON body in canonical spelling; undefined when there is none or when it streams through unread. */
  readonly body: Json | undefined;
  /** The body is a tar stream that passes through unread. */
  readonly opaque: boolean;
  readonly resources: readonly ResourceRef[];
  /** Whose engine it is, where a value of the call means something else on each. */
  readonly engineKind?: 'docker' | 'podman';
  /**
   * HostConfig as this engine fills it in for a container that asks for nothing, where it was asked: a field equal to it
   * means what leaving it out means.
   */
  readonly defaults?: JsonObject;
  /** Registries of the call whose names stand for the engine's own machine or link; missing where nothing was looked up. */
  readonly nearRegistries?: readonly string[];
  /** How far read-only binds of this engine reach, where the call has one or uses a container that has. */
  readonly readOnlyDepth?: ReadOnlyDepth;
  /** Annotations of the image of a new container, where the engine gives them to the container. */
  readonly imageAnnotations?: readonly string[];
  /** Addresses the Dockerfile of a build has the engine fetch, once it was read. */
  readonly fetches?: readonly { readonly url: string; readonly at: string }[];
  /** What a BuildKit build asks for, where the call stands for one: read from the protocol, not from the query. */
  readonly build?: BuildFacts;
}

/** Under which runtimes a read-only bind is read-only for mounts below it as well. */
export interface ReadOnlyDepth {
  /** Runtime of a container that names none. */
  readonly byDefault: string;
  /** Names of the runtimes; none where the engine or its kernel cannot, or the engine does not say. */
  readonly runtimes: readonly string[];
}

/** One thing a build asks for, and where its request says so. */
export interface BuildFact {
  /** `Entitlements[0]`, `Exporters[0].name`. */
  readonly at: string;
  readonly value: string;
}

/** What a BuildKit build asks for, as far as its requests tell; images by their names in full. */
export interface BuildFacts {
  readonly entitlements: readonly BuildFact[];
  /** `default`, `none`, `host`. */
  readonly networks: readonly BuildFact[];
  /** Identifiers as BuildKit writes them: `docker-image://docker.io/library/busybox:test`. */
  readonly sources: readonly BuildFact[];
  /** `dockerfile.v0`, or the image of a frontend. */
  readonly frontends: readonly BuildFact[];
  readonly exporters: readonly BuildFact[];
  readonly tags: readonly BuildFact[];
  readonly secrets: readonly BuildFact[];
  readonly ssh: readonly BuildFact[];
  /** `inline`, `local`, `registry:docker.io/acme/cache:latest`. */
  readonly cache: readonly BuildFact[];
  readonly contexts: readonly BuildFact[];
}
