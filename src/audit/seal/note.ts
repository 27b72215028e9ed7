// Signed notes: text with Ed25519 signatures below it, as c2sp.org/signed-note writes them, and keys as lines of text. Notes come from
// outside: for any content, reading ends with a note or with undefined.
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

/** Longest note read, in characters: a checkpoint with the signatures of sixteen witnesses stays far below. */
export const MAX_NOTE = 64 * 1024;
/** Signatures read of one note. */
const MAX_SIGNATURES = 64;
/** Signature type of Ed25519. */
const ED25519 = 0x01;
const SIGNATURE_BYTES = 64;
const KEY_BYTES = 32;
/** What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export interface NoteSignature {
  readonly name: string;
  /** Key id and signature. */
  readonly bytes: Buffer;
}

export interface SignedNote {
  /** With its final newline: what is signed. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** A public key with the name it signs under. */
export interface NoteKey {
  readonly name: string;
  /** First bytes of the hash over name and key, as a number of 8 hex digits. */
  readonly id: string;
  readonly key: KeyObject;
}

/** Base64 with its padding and nothing else; undefined for other text. */
export function decodeBase64(text: string): Buffer | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

const isKeyName = (name: string): boolean => name !== '' && !/[\s+\p{Z}]/u.test(name);

/** A public key under a name. @param key an Ed25519 key, private or public */
export function noteKeyOf(name: string, key: KeyObject): NoteKey {
  const open = key.type === 'private' ? createPublicKey(key) : key;
  const id = createHash('sha256')
    .update(Buffer.concat([Buffer.from(`${name}\n`), Buffer.from([ED25519]), rawKey(open)]))
    .digest('hex')
    .slice(0, 8);
  return { name, id, key: open };
}

const rawKey = (key: KeyObject): Buffer => {
  if (key.asymmetricKeyType !== 'ed25519') throw new TypeError('the key is no Ed25519 key');
  return key.export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length);
};

/** `NAME+ID+KEY`: one line, as other readers of signed notes take it. */
export const encodeKey = ({ name, id, key }: NoteKey): string =>
  `${name}+${id}+${Buffer.concat([Buffer.from([ED25519]), rawKey(key)]).toString('base64')}`;

/** The key of such a line; undefined for other text. */
export function decodeKey(line: string): NoteKey | undefined {
  const [, name, id, text] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(line.trim()) ?? [];
  if (name === undefined || id === undefined || text === undefined || !isKeyName(name)) return undefined;
  const bytes = decodeBase64(text);
  if (bytes === undefined || bytes.length !== 1 + KEY_BYTES || bytes[0] !== ED25519) return undefined;
  try {
    const key = createPublicKey({
      key: Buffer.concat([SPKI_PREFIX, bytes.subarray(1)]),
      format: 'der',
      type: 'spki',
    });
    const known = noteKeyOf(name, key);
    return known.id === id ? known : undefined;
  } catch {
    return undefined;
  }
}

/** Signs a text. @param text ends with a newline @param key the private key */
export function signNote(text: string, name: string, key: KeyObject): string {
  const { id } = noteKeyOf(name, key);
  const bytes = Buffer.concat([Buffer.from(id, 'hex'), sign(null, Buffer.from(text), key)]);
  return `${text}\n— ${name} ${bytes.toString('base64')}\n`;
}

/** Reads a note; its signatures are not checked yet. Undefined for other texts. */
export function readNote(note: string): SignedNote | undefined {
  if (note.length > MAX_NOTE || !note.endsWith('\n') || !note.isWellFormed()) return undefined;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a note has none but newlines
  if (/[\x00-\x09\x0b-\x1f]/.test(note)) return undefined;
  const end = note.lastIndexOf('\n\n');
  if (end < 0) return undefined;
  const lines = note.slice(end + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) return undefined;
  const signatures: NoteSignature[] = [];
  for (const line of lines) {
    const [, name, text] = /^— (\S+) ([A-Za-z0-9+/=]+)$/u.exec(line) ?? [];
    const bytes = text === undefined ? undefined : decodeBase64(text);
    if (name === undefined || bytes === undefined || bytes.length < 5 || !isKeyName(name)) return undefined;
    signatures.push({ name, bytes });
  }
  return { text: note.slice(0, end + 1), signatures };
}

/**
 * The first of these keys that signed the note. A signature that names one of them and does not hold spoils the note; those of other
 * keys are ignored.
 */
export function signerOf({ text, signatures }: SignedNote, keys: readonly NoteKey[]): NoteKey | undefined {
  let signer: NoteKey | undefined;
  for (const { name, bytes } of signatures) {
    const id = bytes.subarray(0, 4).toString('hex');
    const key = keys.find((one) => one.name === name && one.id === id);
    if (key === undefined) continue;
    if (bytes.length !== 4 + SIGNATURE_BYTES) return undefined;
    if (!verify(null, Buffer.from(text), key.key, bytes.subarray(4))) return undefined;
    signer ??= key;
  }
  return signer;
}
