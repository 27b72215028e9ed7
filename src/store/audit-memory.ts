// The shared memory between the recorder and the audit writer's thread: its layout. Only one question is under way.
import type { SealedCheckpoint } from './audit-sealer.ts';

/** Cells of the shared memory, 32 bits each. */
export const ASKED = 0;
export const ANSWERED = 1;
/** One of the questions below. */
export const QUESTION = 2;
/** Bytes of text: of the question, and of a failure's answer. */
export const LENGTH = 3;
export const FAILED = 4;
/** The answer to the question, where it is a number. */
export const NUMBER = 5;
/** Where the text begins. */
export const TEXT = 64;

export const WRITE = 1;
/** As WRITE, for lines that may already be stored. */
export const WRITE_AGAIN = 2;
export const CLOSE_ORPHANS = 3;
export const CLOSE = 4;
/** Names the file of a thread that was started without one. */
export const OPEN = 5;
/** Signs the log as it is; the answer's text is the checkpoint. */
export const SIGN = 6;
/** Signs an anchor at a row, whose number is the text; the answer's text is the anchor. */
export const ANCHOR = 7;
/** Removes the rows up to one at which an anchor stands, from now on in pauses. */
export const REMOVE = 8;

/** What the thread tells without being asked. */
export type SealMessage =
  | { readonly checkpoint: SealedCheckpoint }
  | { readonly publicKey: string; readonly isFirst: boolean }
  | { readonly failure: string }
  /** The last message of a thread that was closed. */
  | { readonly ended: true };

export interface WriterData {
  /** Undefined: the first question names it. */
  readonly file: string | undefined;
  readonly shared: SharedArrayBuffer;
}
