// Sinks of the audit as the settings name them: complete, with absolute paths. Secrets are named by their files and read from them at
// each delivery, so that a rotated one needs no reload.

/** `native`: the row as `dockgate audit ls --json` shows it. `ocsf`: OCSF API Activity (6003). `ecs`: Elastic Common Schema. */
export const SINK_FORMATS = ['native', 'ocsf', 'ecs'] as const;
export type SinkFormat = (typeof SINK_FORMATS)[number];

interface Common {
  /** Names the sink in metrics and the log, and its cursor. */
  readonly name: string;
  readonly format: SinkFormat;
  /** Where a sink without a cursor begins: with the oldest row that is kept, or with the next one. */
  readonly from: 'oldest' | 'now';
  /** Most rows delivered at once. */
  readonly batchRows: number;
  /** How long one delivery may take, in ms. */
  readonly timeoutMs: number;
}

/** PEM files of the TLS client side, absolute paths. Without `ca`: the system's roots. */
export interface SinkTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

/** NDJSON in a file that is appended to and rotated by size. */
export interface FileSinkSetting extends Common {
  readonly kind: 'file';
  readonly path: string;
  /** The file is put aside before it grows past this. */
  readonly maxBytes: number;
  /** Files put aside that are kept; the oldest one goes first. */
  readonly keep: number;
}

interface Http extends Common {
  readonly url: string;
  /** File with the token of `Authorization: Bearer`. */
  readonly bearer?: string;
  /** Further headers, each value in a file. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: SinkTls;
}

/** Batches by POST; any answer of 2xx takes a batch. */
export interface WebhookSinkSetting extends Http {
  readonly kind: 'webhook';
  /** File with the key that signs each delivery, as Standard Webhooks describes it. */
  readonly hmac?: string;
  readonly encoding: 'ndjson' | 'json';
}

/** OTLP/HTTP logs in JSON. */
export interface OtlpSinkSetting extends Http {
  readonly kind: 'otlp';
}

/** RFC 5424 over TCP or TLS, octets counted (RFC 6587, RFC 5425). */
export interface SyslogSinkSetting extends Common {
  readonly kind: 'syslog';
  readonly host: string;
  readonly port: number;
  /** Undefined: plain TCP. */
  readonly tls?: SinkTls;
  /** Number of the facility, 0 to 23. */
  readonly facility: number;
  /** `close`: a batch counts once the receiver read to its end and closed too. `none`: once the system took it. */
  readonly confirm: 'close' | 'none';
  /** Longest message; of a longer row the detail is left out. */
  readonly maxBytes: number;
}

export type SinkSetting = FileSinkSetting | WebhookSinkSetting | OtlpSinkSetting | SyslogSinkSetting;
