// The two ends of a call: the engine's answer as it comes, and the caller who takes it.
// Both runtimes implement the caller's end over node:http; the fetch handler implements it over web streams.

/** `unix:///path`, `tcp://host:port`, with TLS material for `tcp` where the engine asks for it. */
export interface EngineAddress {
  readonly kind: 'unix' | 'tcp' | 'ssh';
  /** The socket's; through ssh the one over there, by default what docker uses there. */
  readonly path?: string;
  /** Through ssh: who to be there, by default what ssh's own settings say. */
  readonly user?: string;
  readonly host?: string;
  readonly port?: number;
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string; readonly servername?: string };
}

/** A request to the engine, rendered from the judged value. Header names in their usual case. */
export interface EngineRequest {
  readonly method: string;
  /** Path and query as sent on the request line. */
  readonly target: string;
  /** Flat list name, value, name, value. Never Host, Connection, Content-Length or Transfer-Encoding: the client writes those. */
  readonly headers: readonly string[];
  /** Whole body, or a source of chunks that is sent chunked; undefined for none. */
  readonly body: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  /** A caller's call: short, or one that takes as long as it takes. Left out for what the gateway itself asks. */
  readonly lane?: 'call' | 'stream';
  /** The chunks of `body` have no other user: their memory is given back as each of them is sent. */
  readonly givesUpChunks?: boolean;
}

/** The caller's end. Backpressure: `write` returns false when full, then `onDrain` is called once. */
export interface CallerEnd {
  /** Called once; must reach the wire at once, before any body byte exists. Flat header list, engine's spelling and duplicates kept. */
  head(status: number, reason: string, headers: readonly string[]): void;
  write(chunk: Uint8Array): boolean;
  /**
   * Whether nothing written so far is referred to any more. A caller's end that has this may be given views of memory that is
   * used again once it says true; all others are given chunks of their own.
   */
  readonly isClear?: (() => boolean) | undefined;
  onDrain(resume: () => void): void;
  end(): void;
  /** The engine's answer broke off: the caller must see a truncated response, not a complete one. */
  abort(): void;
  /** Called once when the caller goes away before the answer was complete. */
  onGone(gone: () => void): void;
}

export interface Outcome {
  readonly status: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** How it ended. */
  readonly end: 'complete' | 'caller-gone' | 'engine-gone';
}
