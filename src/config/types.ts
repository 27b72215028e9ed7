// The settings as the rest of the program sees them: complete, absolute, frozen.

import type { RetentionSetting } from '../audit/retention.ts';
import type { SinkSetting } from '../audit/sinks/setting.ts';
import type { SpeaksFor } from '../gateway/channel.ts';
import type { ClientCa } from '../identity/client-ca.ts';
import type { IssuerSetting } from '../identity/external/setting.ts';
import type { EngineAddress } from '../proxy/types.ts';

/** PEM files of a certificate chain and its key, absolute paths. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** HTTPS on TCP. Without `tls` the certificate of the private CA is used. Port 0 asks the system for a free one. */
export interface HttpsListener {
  readonly kind: 'https';
  readonly host: string;
  readonly port: number;
  readonly tls?: TlsFiles;
}

/** A unix socket. With `identity` every caller on it is that identity and needs no token. */
export interface UnixListener {
  readonly kind: 'unix';
  readonly path: string;
  /** Permission bits of the socket file. */
  readonly mode: number;
  /** Group of the socket file, by name or number. Default: the gateway's own. */
  readonly group?: string;
  readonly identity?: string;
  /** Set by the gateway alone: the socket stands in a container. */
  readonly speaksFor?: SpeaksFor;
}

/** Plain HTTP, loopback only. */
export interface HttpListener {
  readonly kind: 'http';
  readonly host: string;
  readonly port: number;
}

export type Listener = HttpsListener | UnixListener | HttpListener;

export interface PluginSetting {
  /** Absolute path of the module, or a bare name as written (a shipped plugin or a package). */
  readonly use: string;
  /** Tells two uses of one module apart in reasons and the audit. */
  readonly name?: string;
  /** How it is contained. Default: sandboxed, but for shipped plugins that need the host's tree. */
  readonly tier?: 'sandboxed' | 'process' | 'trusted';
  /** SHA-256 the module must have, hexadecimal. */
  readonly sha256?: string;
  /** What it is granted: bodies, responses, streams, sockets, env:NAME, net:HOST, engine:ACTION; for process also read:, write:, run:. */
  readonly needs?: readonly string[];
  /** Longest time of one hook, look-ups included, for tiers process and trusted. Default 250. */
  readonly timeoutMs?: number;
  /** Handed to the plugin's own schema. */
  readonly config: unknown;
}

/** Every bound a caller can run into. Bytes and milliseconds, as the names say. */
export interface Limits {
  readonly headBytes: number;
  readonly bodyBytes: number;
  readonly headTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly drainTimeoutMs: number;
  /** Calls under way at once. */
  readonly calls: number;
  /** Open at once on one listener. */
  readonly connections: number;
  /** Of one address. Default: a quarter of `connections`. */
  readonly connectionsPerIp: number;
  /** Of one address and without credentials so far; the oldest silent one goes first. Default: a quarter of `connectionsPerIp`. */
  readonly connectionsUnproven: number;
  /** Ordinary calls at the engine at once. */
  readonly engineConnections: number;
  /** Streams, upgrades and calls that wait for something to happen in the engine (`docker stop`), at once. */
  readonly engineStreams: number;
  /** Longest wait of a call for its turn at the engine. */
  readonly engineQueueMs: number;
  /** Most of what is free to all that one identity may hold of each of these, in percent. */
  readonly sharePercent: number;
  /** Labels and driver options of one object together. */
  readonly labelBytes: number;
  /** Largest image archive a tenant loads; up to four are on disk at once. 0 loads none. */
  readonly loadBytes: number;
  /** Audit rows for refusals of one address without credentials, per minute and five minutes' worth at once; further ones are counted. */
  readonly strangerRows: number;
  readonly auditQueue: number;
}

/** When what happens in the engine without a call of the gateway's has rows in the audit. */
export type AuditOutside = 'tenants' | 'always' | 'never';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Files of the TLS client side towards a `tcp` engine, absolute paths. */
export interface EngineTlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

export interface Config {
  /** Where the engine is. Its `tls` holds file contents once `readEngineAddress` has read them. */
  readonly engine: EngineAddress;
  readonly engineTls?: EngineTlsFiles;
  /** Data folder, absolute. */
  readonly data: string;
  readonly listen: readonly Listener[];
  /** Outside CAs whose client certificates name identities. */
  readonly clientCas: readonly ClientCa[];
  readonly plugins: readonly PluginSetting[];
  /** Folder of the sockets that containers get in the place of the engine's, absolute; the engine mounts from it. */
  readonly ownSockets: { readonly folder: string };
  readonly limits: Limits;
  readonly log: { readonly level: LogLevel };
  readonly audit: {
    /** Whether the row of a call that only reads is on disk before the call goes on (`durable`), or within 50 ms (`written`). */
    readonly reads: 'written' | 'durable';
    /** Where the audit is shipped to. */
    readonly sinks: readonly SinkSetting[];
    /** How long it is kept. Without it: for ever. */
    readonly retention?: RetentionSetting;
    /** What happens in the engine without a call of the gateway's is recorded: where there are tenants, always, or never. */
    readonly outside: AuditOutside;
    /** Sessions that are recorded: how long they are kept, how much all of them and one of them may take. */
    readonly transcripts: { readonly ageMs: number; readonly bytes: number; readonly sessionBytes: number };
  };
  /** File with the key that seals the private signing keys, absolute. Without it: the environment, or the data folder. */
  readonly keySeal?: { readonly file: string };
  /** `iss` of the tokens this gateway issues. */
  readonly issuer: string;
  /** `aud` a token must name. */
  readonly audience: string;
  /** Other issuers whose tokens are taken. */
  readonly issuers: readonly IssuerSetting[];
  /** Further names and addresses for the private CA's server certificate. */
  readonly hostNames: readonly string[];
  /** Engine API versions served, `1.N`. Without `max`: the newest one the operation table knows. */
  readonly apiVersions: { readonly min: string; readonly max?: string };
  readonly tenants: {
    /** Images without an owner that every tenant may use: references, in which `*` stands for anything. */
    readonly sharedImages: readonly string[];
    /** Names that tenants may give images: references, in which `*` stands for anything and `${tenant}` for the tenant. Default: any. */
    readonly names?: readonly string[] | undefined;
    /** A tenant's pull may move such a name to what its registry has now. */
    readonly refreshShared: boolean;
    /** The tenants must not meet: BuildKit, whose cache all builds share, is not served to them. Default false. */
    readonly distrust: boolean;
  };
  /** A listener of its own for `/metrics`, open to every client that reaches it; without it only operators can read them. */
  readonly metrics?: { readonly listen: HttpListener | HttpsListener };
}

/** One fault, where it stands and what would be right. */
export interface ConfigProblem {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** `listen[0].unix`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
}
