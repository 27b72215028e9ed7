// Transcripts of exec and attach sessions, where a rule says `record`: what they are to the gateway and to those who review them.
import type { RecordLevel } from '../../policy/types.ts';

/** Whose session it is and where it runs. It stands in the clear in front of the sealed transcript. */
export interface TranscriptOf {
  /** Of the call that opened the session; names the transcript. */
  readonly auditId: string;
  readonly subject: string;
  readonly tenant?: string | undefined;
  /** The engine's id of an exec instance, or the container an attach was asked for, by the name that was used and by its id. */
  readonly session: readonly string[];
  /** The container, by name and id as far as they are known: for holds. */
  readonly container: readonly string[];
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly keeps: RecordLevel;
  /** Whether there is a terminal; undefined where the first bytes have to tell. */
  readonly tty: boolean | undefined;
}

/** What the outcome's row says of a transcript. */
export interface TranscriptFacts {
  /** Of the file as it is stored, in hex: a transcript that was altered has another. */
  readonly sha256: string;
  /** Of the file. */
  readonly bytes: number;
  /** What was typed into the terminal, as it showed it; at most 64 lines of 200 characters. */
  readonly commands: readonly string[];
  /** More was typed than is listed. */
  readonly more: boolean;
}

/** A session while it is recorded. */
export interface Recording {
  /** Whether the engine says that its answer is of a terminal: it is known before the first byte. */
  began(tty: boolean | undefined): void;
  /** Resolves once the bytes are in the transcript, in the kernel at least. @throws {GatewayError} `transcript-unwritable` */
  see(direction: 'in' | 'out', bytes: Uint8Array): Promise<void>;
  /**
   * Ends the transcript, which is on disk then. Without a byte in it, nothing is left of it.
   * @returns undefined where there was nothing to keep
   * @throws {GatewayError} `transcript-unwritable`
   */
  end(): Promise<TranscriptFacts | undefined>;
}

export interface Transcripts {
  /** On disk when this resolves. @throws {GatewayError} `transcript-unwritable` */
  begin(of: TranscriptOf): Promise<Recording>;
  /** A terminal has another size. @param session as in `TranscriptOf` */
  resized(session: readonly string[], columns: number, rows: number): void;
}

export interface TranscriptReader {
  /**
   * An asciicast v2, line by line. `tty` says whether it was a terminal.
   * @throws {GatewayError} `not-found`; `store-corrupt` where it was altered
   */
  cast(auditId: string): Promise<AsyncGenerator<string>>;
}
