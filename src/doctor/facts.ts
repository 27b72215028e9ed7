// What a look at an endpoint found: plain facts, without a judgement. probe.ts gathers them, findings.ts judges them.
import type { Trouble } from '../connect/trouble.ts';

export interface Facts {
  readonly here: Here;
  readonly targets: readonly TargetFacts[];
}

/** This process and its machine. Times are ms since 1970. */
export interface Here {
  readonly now: number;
  /** Whether this runs in a container. */
  readonly inContainer: boolean;
  /** Whether SELinux enforces. */
  readonly selinux: boolean;
  readonly userId?: number;
  readonly groupIds?: readonly number[];
  /** `DOCKER_API_VERSION`, where it is set. */
  readonly dockerApiVersion?: string;
}

export interface TargetFacts {
  /** As the user wrote it. */
  readonly address: string;
  /** What it is meant to be; an `endpoint` may be either. */
  readonly role: 'engine' | 'listener' | 'endpoint';
  readonly transport: 'unix' | 'tls' | 'tcp' | 'ssh';
  /** Whether only this machine can reach it. */
  readonly isLocal: boolean;
  readonly file?: SocketFile;
  /** Why there was no connection. */
  readonly trouble?: { readonly kind: Trouble; readonly text: string };
  /** The server's certificate. */
  readonly certificate?: CertificateFacts;
  /** The client certificate that was presented. */
  readonly clientCertificate?: CertificateFacts & { readonly file: string; readonly fitsKey: boolean };
  readonly token?: TokenFacts;
  readonly ping?: PingFacts;
  readonly engine?: EngineFacts;
  /** API versions the gateway's settings allow, as minor numbers. */
  readonly served?: { readonly min: number; readonly max: number };
}

/** What stands at the path of a unix socket. */
export interface SocketFile {
  readonly path: string;
  readonly kind: 'socket' | 'folder' | 'file' | 'none' | 'unreachable';
  /** Permission bits. */
  readonly mode?: number;
  readonly userId?: number;
  readonly groupId?: number;
  /** Name of the group, where it is known. */
  readonly group?: string;
}

export interface CertificateFacts {
  readonly names: readonly string[];
  readonly validFrom: number;
  readonly validTo: number;
}

export interface TokenFacts {
  /** Where it comes from, for the message. */
  readonly source: string;
  readonly fault?: string;
  readonly expiresAt?: number;
  readonly notBefore?: number;
}

export interface PingFacts {
  readonly status: number;
  /** `message` of an answer that is an error. */
  readonly message?: string;
  readonly apiVersion?: string;
  /** The server's clock less ours, in ms. */
  readonly skewMs?: number;
  readonly isGateway: boolean;
}

/** From `GET /version`, `GET /info` and the bridge network; facts that were not told are left out. */
export interface EngineFacts {
  readonly engineVersion?: string;
  readonly apiVersion?: string;
  readonly minApiVersion?: string;
  readonly securityOptions?: readonly string[];
  readonly debug?: boolean;
  readonly experimental?: boolean;
  /** Registries spoken to without a verified certificate, loopback left out. */
  readonly insecureRegistries?: readonly string[];
  readonly warnings?: readonly string[];
  /** Runtimes under which a read-only bind is so for mounts below it too, and the one of a container that names none. */
  readonly readOnlyDepth?: { readonly byDefault: string; readonly runtimes: readonly string[] };
  /** Whether containers on the default bridge reach each other. */
  readonly icc?: boolean;
}
