// The Merkle tree over the lines of the log, hashed as RFC 6962 section 2.1 says. Pure: rows and stored nodes come in, hashes go out.
// A tree is carried as the roots of its complete subtrees, largest first, so that it grows by a row in constant memory; its leaves
// are kept in tiles of 256 (c2sp.org/tlog-tiles), from which every inner node is computed again.
import { hash } from 'node:crypto';

/** Bytes of a hash. */
export const HASH_BYTES = 32;
/** Entries of a tile. */
export const TILE = 256;
/** Levels of a tile: 2^8 entries. */
const TILE_HEIGHT = 8;

const scratch = Buffer.alloc(1 + 2 * HASH_BYTES);
let leafScratch = Buffer.alloc(64 * 1024);

/** By way of hexadecimal, which both runtimes hand over several times as fast as a buffer of their own. */
const sha256 = (bytes: Uint8Array): Buffer => Buffer.from(hash('sha256', bytes, 'hex'), 'hex');

/** Hash of a leaf. @param line the row's canonical line */
export function leafHash(line: string | Uint8Array): Buffer {
  const most = 1 + (typeof line === 'string' ? line.length * 3 : line.length);
  if (leafScratch.length < most) leafScratch = Buffer.alloc(most);
  leafScratch[0] = 0;
  let end = 1;
  if (typeof line === 'string') end += leafScratch.write(line, 1);
  else {
    leafScratch.set(line, 1);
    end += line.length;
  }
  return sha256(leafScratch.subarray(0, end));
}

/** Hash of an inner node. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  scratch[0] = 1;
  scratch.set(left, 1);
  scratch.set(right, 1 + HASH_BYTES);
  return sha256(scratch);
}

/** Root of a tree without leaves: the hash of nothing. */
const EMPTY_ROOT = sha256(new Uint8Array(0));

/** The tree at one size, which can grow. */
export class GrowingTree {
  #size: number;
  /** Roots of complete subtrees, largest first: one for each bit of the size that is set. In hexadecimal, which costs least. */
  readonly #roots: string[];

  /**
   * @param roots of the complete subtrees of a tree of this size, largest first
   * @throws {RangeError} when there are not as many as the size has
   */
  constructor(size = 0, roots: readonly Uint8Array[] = []) {
    if (roots.length !== subtreesOf(size).length || roots.some((root) => root.length !== HASH_BYTES))
      throw new RangeError(`a tree of ${size} leaves has ${subtreesOf(size).length} complete subtrees`);
    this.#size = size;
    this.#roots = roots.map((root) => Buffer.from(root).toString('hex'));
  }

  get size(): number {
    return this.#size;
  }

  /** Roots of the complete subtrees, largest first: with the size, all that is needed to go on. */
  get roots(): readonly Buffer[] {
    return this.#roots.map((root) => Buffer.from(root, 'hex'));
  }

  /** @param leaf its hash, as bytes or in hexadecimal */
  add(leaf: Buffer | string): void {
    let node = typeof leaf === 'string' ? leaf : leaf.toString('hex');
    // A subtree is complete for each bit that is set at the end of the size.
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2)
      node = hexNode(this.#roots.pop() as string, node);
    this.#roots.push(node);
    this.#size++;
  }

  root(): Buffer {
    let node = this.#roots.at(-1);
    if (node === undefined) return EMPTY_ROOT;
    for (let i = this.#roots.length - 2; i >= 0; i--) node = hexNode(this.#roots[i] as string, node);
    return Buffer.from(node, 'hex');
  }
}

/** Hash of an inner node, all in hexadecimal. */
function hexNode(left: string, right: string): string {
  scratch[0] = 1;
  scratch.write(left, 1, 'hex');
  scratch.write(right, 1 + HASH_BYTES, 'hex');
  return hash('sha256', scratch, 'hex');
}

/** A complete subtree: its height, and which one of that height it is, from the left. */
export interface Subtree {
  readonly height: number;
  readonly index: number;
}

/** The complete subtrees a tree of this size is made of, largest first. */
export function subtreesOf(size: number): Subtree[] {
  const found: Subtree[] = [];
  let from = 0;
  for (let height = 52; height >= 0; height--) {
    const width = 2 ** height;
    if (from + width > size) continue;
    found.push({ height, index: from / width });
    from += width;
  }
  return found;
}

/**
 * Reads hashes `from` to `to` (exclusive) of the tiles of a level: level 0 are the leaves, level 1 the roots of complete tiles of level
 * 0, and so on. @throws when they are not there
 */
export type ReadTiles = (level: number, from: number, to: number) => readonly Uint8Array[];

/** Root of a complete subtree, from the tiles. */
export function subtreeRoot(read: ReadTiles, { height, index }: Subtree): Buffer {
  const level = Math.floor(height / TILE_HEIGHT);
  const width = 2 ** (height % TILE_HEIGHT);
  return rootOf(read(level, index * width, (index + 1) * width));
}

/** Root over a power of two of hashes. */
export function rootOf(hashes: readonly Uint8Array[]): Buffer {
  let row = hashes;
  while (row.length > 1) {
    const next: Buffer[] = [];
    for (let i = 0; i + 1 < row.length; i += 2) next.push(nodeHash(row[i] as Uint8Array, row[i + 1] as Uint8Array));
    row = next;
  }
  return Buffer.from(row[0] ?? EMPTY_ROOT);
}

/**
 * Inclusion proof of a leaf in the tree of a size (RFC 6962 section 2.1.1): siblings from the leaf's to the root's child.
 *
 * @param index from 0, below `size`
 */
export function inclusionProof(read: ReadTiles, index: number, size: number): Buffer[] {
  const path: Buffer[] = [];
  let [from, to] = [0, size];
  while (to - from > 1) {
    const middle = from + splitOf(to - from);
    if (index < middle) {
      path.push(rangeRoot(read, middle, to));
      to = middle;
    } else {
      path.push(rangeRoot(read, from, middle));
      from = middle;
    }
  }
  return path.reverse();
}

/** Root over leaves `from` to `to`, where `from` is the begin of a subtree at least as wide. */
function rangeRoot(read: ReadTiles, from: number, to: number): Buffer {
  const parts = subtreesOf(to - from).map(({ height, index }) =>
    subtreeRoot(read, { height, index: from / 2 ** height + index }),
  );
  return parts.reduceRight((right, left) => nodeHash(left, right));
}

/** The largest power of two below a size of at least 2. */
function splitOf(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

/**
 * Root that a leaf and its proof lead to; undefined when the proof has not as many hashes as one of this place has.
 *
 * @param index from 0, below `size`; both safe integers
 */
export function rootFromProof(
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
): Buffer | undefined {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return undefined;
  let node: Uint8Array = leaf;
  let at = index;
  let last = size - 1;
  for (const sibling of path) {
    if (last === 0 || sibling.length !== HASH_BYTES) return undefined;
    if (at % 2 === 1 || at === last) {
      node = nodeHash(sibling, node);
      // A node without a sibling stands for its parents up to the first that has one.
      while (at % 2 === 0 && at !== 0) {
        at /= 2;
        last = Math.floor(last / 2);
      }
    } else node = nodeHash(node, sibling);
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? Buffer.from(node) : undefined;
}
