// Tiles of the log's Merkle tree as the database keeps them, and the tree at a size made from them again.
import type Database from 'better-sqlite3';
import {
  GrowingTree,
  HASH_BYTES,
  type ReadTiles,
  rootOf,
  subtreeRoot,
  subtreesOf,
  TILE,
} from '../audit/seal/merkle.ts';

/** Tiles of one level in front of those of the next. */
const LEVEL = 2 ** 40;

const tileId = (level: number, index: number): number => level * LEVEL + index;

/** Reads hashes of tiles. @throws {Error} where they are missing or cut short */
export function tileReader(sqlite: Database.Database): ReadTiles {
  const one = sqlite.prepare('SELECT hashes FROM audit_tile WHERE id = ?').pluck();
  return (level, from, to) => {
    const found: Buffer[] = [];
    for (let tile = Math.floor(from / TILE); tile * TILE < to; tile++) {
      const hashes = one.get(tileId(level, tile));
      if (!Buffer.isBuffer(hashes)) throw new Error(`tile ${tile} of level ${level} is missing`);
      const [begin, end] = [Math.max(0, from - tile * TILE), Math.min(TILE, to - tile * TILE)];
      if (hashes.length < end * HASH_BYTES) throw new Error(`tile ${tile} of level ${level} is cut short`);
      for (let i = begin; i < end; i++) found.push(hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
    }
    return found;
  };
}

/** The tree at a size as the tiles say. Compare its root with a signed one before you believe it. @throws as `tileReader` */
export function treeFromTiles(read: ReadTiles, size: number): GrowingTree {
  return new GrowingTree(
    size,
    subtreesOf(size).map((subtree) => subtreeRoot(read, subtree)),
  );
}

interface DirtyTile {
  readonly id: number;
  readonly hashes: Buffer;
}

/** The last tile of each level while the tree grows, and the complete ones that are still to be stored. */
export class TileEdge {
  /** By level: number of the open tile, and the hashes in it. */
  readonly #open: { index: number; hashes: Buffer[] }[] = [];
  #complete: DirtyTile[] = [];

  /** @param size of the tree so far @param read its tiles */
  constructor(size: number, read: ReadTiles) {
    for (let level = 0, entries = size; entries > 0; level++, entries = Math.floor(entries / TILE)) {
      const index = Math.floor(entries / TILE);
      const from = index * TILE;
      this.#open.push({ index, hashes: [...read(level, from, entries)].map((one) => Buffer.from(one)) });
    }
  }

  add(leaf: Buffer): void {
    let entry = leaf;
    for (let level = 0; ; level++) {
      let open = this.#open[level];
      if (open === undefined) {
        open = { index: 0, hashes: [] };
        this.#open.push(open);
      }
      open.hashes.push(entry);
      if (open.hashes.length < TILE) return;
      this.#complete.push({ id: tileId(level, open.index), hashes: Buffer.concat(open.hashes) });
      entry = rootOf(open.hashes);
      open.index++;
      open.hashes = [];
    }
  }

  /** Tiles that are not stored as they are now. Complete ones are given once. */
  take(): readonly DirtyTile[] {
    const complete = this.#complete;
    this.#complete = [];
    const partial = this.#open.flatMap(({ index, hashes }, level) =>
      hashes.length === 0 ? [] : [{ id: tileId(level, index), hashes: Buffer.concat(hashes) }],
    );
    return [...complete, ...partial];
  }
}
