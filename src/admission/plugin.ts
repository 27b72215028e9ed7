// The public types of a plugin: a module with one default export. Words and phases follow Kubernetes admission.
// A plugin narrows, never widens: it may deny or change a request, which is then judged again.
import type { Json, OperationClass, StreamKind } from '../engine/types.ts';

export interface PluginMeta {
  /** kebab-case, unique among the loaded plugins. */
  readonly name: string;
  readonly version: string;
  readonly apiVersion: 1;
  readonly description: string;
}

/** Which calls a plugin is shown. Unmatched calls cost nothing. */
export interface Match {
  /** Exact action, `container.*`, or `*`. */
  readonly actions: readonly string[];
  readonly class?: readonly OperationClass[];
}

/** What a plugin sees. Deep-frozen; Authorization and X-Registry-* are never present. */
export interface AdmissionRequest {
  readonly auditId: string;
  /** RFC 3339, UTC. */
  readonly at: string;
  readonly dryRun: boolean;
  readonly apiVersion: string | undefined;
  readonly principal: {
    readonly subject: string;
    readonly issuer: string;
    readonly tenant?: string;
    readonly groups: readonly string[];
    readonly tokenId?: string;
    readonly claims: Readonly<Record<string, unknown>>;
  };
  readonly operation: {
    readonly id: string;
    readonly action: string;
    readonly class: OperationClass;
    readonly risk: readonly string[];
    readonly stream: StreamKind;
  };
  readonly resources: readonly {
    readonly kind: string;
    readonly name: string;
    readonly at: string;
    readonly id?: string;
    readonly labels?: Readonly<Record<string, string>>;
  }[];
  readonly path: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, readonly string[]>>;
  readonly body?: Json;
  readonly source: { readonly address: string };
}

/** No opinion; a denial with a kebab-case code and one line; or a warning for the audit and a response header. */
export type Verdict =
  | { readonly kind: 'pass' }
  | { readonly kind: 'deny'; readonly code: string; readonly message: string }
  | { readonly kind: 'warn'; readonly message: string };

/** RFC 6902 subset. `path` is a JSON Pointer below `/body` or `/query`. */
export interface Change {
  readonly op: 'add' | 'replace' | 'remove';
  readonly path: string;
  readonly value?: Json;
}

export interface PluginContext<C = unknown> {
  readonly config: C;
  readonly signal: AbortSignal;
  /** Adds an annotation to the audit event, at most 1 KiB, prefixed with the plugin's name. */
  annotate(key: string, value: string): void;
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, data?: Json): void;
}

export interface Plugin<C = unknown> {
  readonly meta: PluginMeta;
  readonly match: Match;
  /** Validates the settings from the configuration file; any object with zod's `parse` fits. */
  readonly config?: { parse(input: unknown): C };
  setup?(context: PluginContext<C>): void | Promise<void>;
  mutate?(request: AdmissionRequest, context: PluginContext<C>): readonly Change[] | Promise<readonly Change[]>;
  validate?(request: AdmissionRequest, context: PluginContext<C>): Verdict | Promise<Verdict>;
  teardown?(): void | Promise<void>;
}

/** Identity function that gives a plugin's settings their type. */
export const definePlugin = <C>(plugin: Plugin<C>): Plugin<C> => plugin;
