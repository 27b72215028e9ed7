// The three texts the log signs about itself or hands out: checkpoints (c2sp.org/tlog-checkpoint), anchors of a removed beginning, and
// inclusion proofs (c2sp.org/tlog-proof). Reading any of them never throws.
import type { KeyObject } from 'node:crypto';
import { HASH_BYTES, leafHash, rootFromProof, subtreesOf } from './merkle.ts';
import { decodeBase64, decodeKey, type NoteKey, readNote, signerOf, signNote } from './note.ts';

/** The log's name in what it signs, and the name of its key. @param logId the random id at the start of its chain */
export const originOf = (logId: string): string => `dockgate/audit/${logId}`;

/** A log of so many rows had this root. */
export interface Checkpoint {
  readonly origin: string;
  /** Rows, which is the `seq` of the last one. */
  readonly size: number;
  readonly root: Buffer;
}

export const signCheckpoint = ({ origin, size, root }: Checkpoint, key: KeyObject): string =>
  signNote(`${origin}\n${size}\n${root.toString('base64')}\n`, origin, key);

const MAX_DIGITS = 15;
const readSize = (text: string | undefined): number | undefined =>
  text !== undefined && text.length <= MAX_DIGITS && /^(?:0|[1-9][0-9]*)$/.test(text) ? Number(text) : undefined;

const readHash = (text: string | undefined): Buffer | undefined => {
  const bytes = text === undefined ? undefined : decodeBase64(text);
  return bytes?.length === HASH_BYTES ? bytes : undefined;
};

/** Body of a checkpoint; its signatures are not checked. Undefined for other texts. */
export function readCheckpoint(note: string): Checkpoint | undefined {
  const text = readNote(note)?.text;
  if (text === undefined) return undefined;
  const [origin, sizeText, rootText, ...rest] = text.slice(0, -1).split('\n');
  const size = readSize(sizeText);
  const root = readHash(rootText);
  if (!origin || size === undefined || root === undefined || rest.includes('')) return undefined;
  return { origin, size, root };
}

/** In the first line of a history of keys, behind the origin. */
const KEYS = ' keys';

/**
 * The public keys a log was signed with before its key was lost, vouched for by its successor: a reader who trusts the successor can
 * verify what the earlier keys signed. Made once, when a key is made for a log that has checkpoints already.
 */
export const signKeyHistory = (origin: string, lines: readonly string[], key: KeyObject): string =>
  signNote(`${[`${origin}${KEYS}`, ...lines].join('\n')}\n`, origin, key);

/** Earlier keys, where one of these keys vouches for them; none otherwise. */
export function readKeyHistory(note: string, origin: string, keys: readonly NoteKey[]): readonly NoteKey[] {
  const text = signatureOf(note, keys) === 'signed' ? readNote(note)?.text : undefined;
  const [first, ...lines] = (text ?? '').slice(0, -1).split('\n');
  if (first !== `${origin}${KEYS}`) return [];
  return lines.map(decodeKey).filter((key) => key !== undefined && key.name === origin) as NoteKey[];
}

/** Ids of the keys a note names as its signers. */
export const signersNamed = (note: string): string[] =>
  (readNote(note)?.signatures ?? []).map(({ bytes }) => bytes.subarray(0, 4).toString('hex'));

export type SignatureState = 'signed' | 'unknown-key' | 'forged';

/** Whether one of these keys signed a note. `unknown-key`: another key did, or says so. */
export function signatureOf(note: string, keys: readonly NoteKey[]): SignatureState {
  const read = readNote(note);
  if (read === undefined) return 'forged';
  if (signerOf(read, keys) !== undefined) return 'signed';
  const names = (key: NoteKey): boolean =>
    read.signatures.some(({ name, bytes }) => name === key.name && bytes.subarray(0, 4).toString('hex') === key.id);
  return keys.some(names) ? 'forged' : 'unknown-key';
}

/**
 * Where verification begins once the rows before were exported and removed: the last removed row, its link of the chain, and the
 * tree up to it. Signed with the key of the checkpoints, so that only the gateway can cut the beginning off.
 */
export interface Anchor {
  readonly origin: string;
  /** Last row that was removed. */
  readonly seq: number;
  /** Its hash: the `prev` of the row after it. */
  readonly hash: Buffer;
  /** Roots of the complete subtrees over rows 1 to `seq`, largest first. */
  readonly roots: readonly Buffer[];
}

/** In the first line of an anchor, behind the origin: an anchor is never read as a checkpoint of the log. */
const ANCHOR = ' anchor';

export const signAnchor = ({ origin, seq, hash, roots }: Anchor, key: KeyObject): string =>
  signNote(
    `${[`${origin}${ANCHOR}`, seq, ...[hash, ...roots].map((one) => one.toString('base64'))].join('\n')}\n`,
    origin,
    key,
  );

/** Body of an anchor; undefined for other texts. */
export function readAnchor(note: string): Anchor | undefined {
  const text = readNote(note)?.text;
  if (text === undefined) return undefined;
  const [first, seqText, ...hashTexts] = text.slice(0, -1).split('\n');
  const seq = readSize(seqText);
  if (first === undefined || !first.endsWith(ANCHOR) || seq === undefined || seq === 0) return undefined;
  const [hash, ...roots] = hashTexts.map(readHash);
  if (hash === undefined || roots.length !== subtreesOf(seq).length) return undefined;
  if (!roots.every((root) => root !== undefined)) return undefined;
  return { origin: first.slice(0, -ANCHOR.length), seq, hash, roots: roots as Buffer[] };
}

/** One row with its way to the root of a checkpoint. */
export interface InclusionProof {
  /** The row's canonical line. */
  readonly line: string;
  readonly seq: number;
  readonly path: readonly Buffer[];
  /** The checkpoint as it was signed. */
  readonly checkpoint: string;
}

const PROOF = 'c2sp.org/tlog-proof@v1';
/** Longest file of proofs read, in characters: those of one call stay below. */
export const MAX_PROOF = 4 * 1024 * 1024;
const MAX_PROOFS = 1000;

/** The file: one proof for each row of a call, each in the form of c2sp.org/tlog-proof with the row's line as its extra data. */
export const writeProofs = (proofs: readonly InclusionProof[]): string =>
  proofs
    .map(({ line, seq, path, checkpoint }) =>
      [
        PROOF,
        `extra ${Buffer.from(line).toString('base64')}`,
        `index ${seq - 1}`,
        ...path.map((one) => one.toString('base64')),
        '',
        checkpoint,
      ].join('\n'),
    )
    .join('\n');

/** Reads such a file; undefined for other contents. */
export function readProofs(file: string): InclusionProof[] | undefined {
  if (file.length > MAX_PROOF || !file.startsWith(`${PROOF}\n`)) return undefined;
  const parts = file.slice(PROOF.length + 1).split(`\n${PROOF}\n`);
  if (parts.length > MAX_PROOFS) return undefined;
  const proofs = parts.map((part) => readProof(part));
  return proofs.every((one) => one !== undefined) ? (proofs as InclusionProof[]) : undefined;
}

function readProof(text: string): InclusionProof | undefined {
  const end = text.indexOf('\n\n');
  if (end < 0) return undefined;
  const [extra = '', index = '', ...hashes] = text.slice(0, end).split('\n');
  const line = extra.startsWith('extra ') ? decodeBase64(extra.slice(6)) : undefined;
  const at = index.startsWith('index ') ? readSize(index.slice(6)) : undefined;
  const path = hashes.map(readHash);
  if (line === undefined || at === undefined || path.length > 64 || !path.every((one) => one !== undefined))
    return undefined;
  const textOfLine = utf8Of(line);
  if (textOfLine === undefined) return undefined;
  return { line: textOfLine, seq: at + 1, path: path as Buffer[], checkpoint: text.slice(end + 2) };
}

/** The bytes as text, where the text is those bytes again. */
function utf8Of(bytes: Buffer): string | undefined {
  const text = bytes.toString('utf8');
  return Buffer.from(text).equals(bytes) ? text : undefined;
}

/** What a proof shows to a reader who trusts these keys, or why it shows nothing. */
export type ProofVerdict =
  | { readonly holds: true; readonly checkpoint: Checkpoint; readonly signer: string }
  | { readonly holds: false; readonly why: string };

export function verifyProof(proof: InclusionProof, keys: readonly NoteKey[]): ProofVerdict {
  const checkpoint = readCheckpoint(proof.checkpoint);
  const note = readNote(proof.checkpoint);
  if (checkpoint === undefined || note === undefined) return { holds: false, why: 'its checkpoint cannot be read' };
  const state = signatureOf(proof.checkpoint, keys);
  if (state === 'forged') return { holds: false, why: 'the signature of its checkpoint is not valid' };
  const signer = signerOf(note, keys);
  if (state === 'unknown-key' || signer === undefined)
    return { holds: false, why: `its checkpoint of ${checkpoint.origin} is not signed with a key that was given` };
  if (signer.name !== checkpoint.origin)
    return { holds: false, why: 'its checkpoint is signed with the key of another log' };
  const root = rootFromProof(leafHash(proof.line), proof.seq - 1, checkpoint.size, proof.path);
  if (root === undefined || !root.equals(checkpoint.root))
    return { holds: false, why: `the row is not number ${proof.seq} of the log that was signed` };
  return { holds: true, checkpoint, signer: `${signer.name}+${signer.id}` };
}
