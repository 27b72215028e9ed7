// The Merkle tree against values of its own specification and against a tree that is computed the slow way.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  GrowingTree,
  inclusionProof,
  leafHash,
  nodeHash,
  type ReadTiles,
  rootFromProof,
  rootOf,
  TILE,
} from '../../../src/audit/seal/merkle.ts';

/** RFC 6962 section 2.1, word by word. */
function slowRoot(leaves: readonly Buffer[]): Buffer {
  const [first] = leaves;
  if (first === undefined) return createHash('sha256').digest();
  if (leaves.length === 1) return first;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(slowRoot(leaves.slice(0, split)), slowRoot(leaves.slice(split)));
}

const leavesOf = (count: number): Buffer[] => Array.from({ length: count }, (_, i) => leafHash(`row ${i}`));

/** Tiles in memory. */
const tilesOf = (leaves: readonly Buffer[]): ReadTiles => {
  const levels: Buffer[][] = [[...leaves]];
  for (let below = leaves; below.length >= TILE; below = levels.at(-1) as Buffer[]) {
    const level: Buffer[] = [];
    for (let i = 0; i + TILE <= below.length; i += TILE) level.push(rootOf(below.slice(i, i + TILE)));
    levels.push(level);
  }
  return (level, from, to) => {
    const found = (levels[level] ?? []).slice(from, to);
    assert.equal(found.length, to - from, `level ${level} has ${from} to ${to}`);
    return found;
  };
};

describe('the Merkle tree', () => {
  it('hashes leaves and nodes as RFC 6962 does', () => {
    // Known from Certificate Transparency's reference tests: the tree of one empty leaf.
    assert.equal(leafHash('').toString('hex'), '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d');
    assert.equal(
      new GrowingTree().root().toString('hex'),
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    );
    const inputs = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
    const tree = new GrowingTree();
    for (const hex of inputs) tree.add(leafHash(Buffer.from(hex, 'hex')));
    assert.equal(tree.root().toString('hex'), '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328');
  });

  it('grows to the root of the slow way at every size, from any size on', () => {
    const leaves = leavesOf(300);
    const tree = new GrowingTree();
    for (let size = 0; size <= leaves.length; size++) {
      assert.deepEqual(tree.root(), slowRoot(leaves.slice(0, size)), `size ${size}`);
      assert.deepEqual(new GrowingTree(size, tree.roots).root(), tree.root());
      if (size < leaves.length) tree.add(leaves[size] as Buffer);
    }
    assert.throws(() => new GrowingTree(3, [leaves[0] as Buffer]), RangeError);
  });

  it('proves each leaf of each size, and nothing else', () => {
    const leaves = leavesOf(70_000);
    for (const size of [1, 2, 3, 7, 8, 255, 256, 257, 1000, 65_536, 66_001, 70_000]) {
      const some = leaves.slice(0, size);
      const read = tilesOf(some);
      const tree = new GrowingTree();
      for (const leaf of some) tree.add(leaf);
      const root = tree.root();
      const places = size < 300 ? some.keys() : [0, 1, 255, 256, size >> 1, size - 2, size - 1];
      for (const index of places) {
        const path = inclusionProof(read, index, size);
        const leaf = leaves[index] as Buffer;
        assert.deepEqual(rootFromProof(leaf, index, size, path), root, `${index} of ${size}`);
        const others = [
          rootFromProof(leaf, index + 1, size, path),
          rootFromProof(leaf, index, size, size === 1 ? [leaf] : path.slice(1)),
          rootFromProof(leaf, index, size, [...path, leaf]),
          rootFromProof(leafHash('another'), index, size, path),
        ];
        for (const other of others) assert.notDeepEqual(other, root);
      }
    }
  });

  it('the Merkle tree takes any proof without throwing', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 70 }),
        fc.oneof(fc.double(), fc.integer()),
        fc.oneof(fc.double(), fc.integer()),
        (path, index, size) => {
          rootFromProof(leafHash('x'), index, size, path);
        },
      ),
    );
  });
});
