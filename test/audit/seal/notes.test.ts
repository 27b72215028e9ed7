// Signed notes, checkpoints, anchors and proofs: what one writes another reads, and nothing from outside breaks a reader.
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  readAnchor,
  readCheckpoint,
  readProofs,
  signAnchor,
  signatureOf,
  signCheckpoint,
  verifyProof,
  writeProofs,
} from '../../../src/audit/seal/checkpoint.ts';
import { GrowingTree, leafHash } from '../../../src/audit/seal/merkle.ts';
import { decodeKey, encodeKey, noteKeyOf, readNote, signerOf, signNote } from '../../../src/audit/seal/note.ts';

const ORIGIN = 'dockgate/audit/0b57e2a4-0000-4000-8000-000000000001';
const newKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey;
const key = newKey();
const ours = noteKeyOf(ORIGIN, key);

const tree = new GrowingTree();
const lines = ['["a"]', '["b"]', '["ü"]'];
for (const line of lines) tree.add(leafHash(line));
const checkpoint = { origin: ORIGIN, size: 3, root: tree.root() };
const note = signCheckpoint(checkpoint, key);
const leaves = lines.map((line) => leafHash(line));
const proof = { line: '["ü"]', seq: 3, path: [new GrowingTree(2, [tree.roots[0] as Buffer]).root()], checkpoint: note };

describe('signed notes', () => {
  it('reads the key and the note of the Go checksum database', () => {
    // The public key of sum.golang.org, as Go has it built in.
    const known = decodeKey('sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8');
    assert.equal(known?.name, 'sum.golang.org');
    assert.equal(known?.id, '033de0ae');
    assert.equal(
      known === undefined ? '' : encodeKey(known),
      'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8',
    );
  });

  it('gives back what was signed, and says who signed it', () => {
    const read = readNote(note);
    assert.ok(read);
    assert.equal(signerOf(read, [noteKeyOf(ORIGIN, newKey()), ours]), ours);
    assert.equal(signerOf(read, [noteKeyOf('another/name', key)]), undefined, 'the name is part of the key');
    assert.deepEqual(decodeKey(encodeKey(ours))?.id, ours.id);
    assert.ok(createPublicKey(key).equals(decodeKey(encodeKey(ours))?.key as KeyObject));
  });

  it('ignores signatures of witnesses it does not know, and not one that is forged', () => {
    const witness = note.split('\n').at(-2)?.replace(ORIGIN, 'witness.example/w1') ?? '';
    assert.equal(signatureOf(`${note}${witness}\n`, [ours]), 'signed');
    assert.equal(signatureOf(note.replace('\n3\n', '\n4\n'), [ours]), 'forged');
    assert.equal(signatureOf(signCheckpoint(checkpoint, newKey()), [ours]), 'unknown-key');
    assert.equal(signatureOf(`${note}${note.split('\n').at(-2)?.replace(/.{8}$/, 'AAAAAA==')}\n`, [ours]), 'forged');
  });

  const texts: readonly [string, string][] = [
    ['nothing', ''],
    ['no signature', `${ORIGIN}\n3\n${tree.root().toString('base64')}\n`],
    ['no newline at the end', note.slice(0, -1)],
    ['a carriage return', note.replace('\n3\n', '\r\n3\r\n')],
    ['a control character', note.replace('\n3\n', '\n3\x07\n')],
    ['a lone surrogate', note.replace('\n3\n', '\n3\ud800\n')],
    ['another dash', note.replace('—', '-')],
    ['base64 with a stray bit', note.replace(/.=\n$/, 'B=\n')],
    ['more than any note has', `${'x'.repeat(70_000)}${note}`],
  ];
  for (const [what, text] of texts) {
    it(`is no note with ${what}`, () => assert.notEqual(signatureOf(text, [ours]), 'signed'));
  }
});

describe('checkpoints', () => {
  it('reads what it signs', () => assert.deepEqual(readCheckpoint(note), checkpoint));

  const bodies: readonly [string, string, boolean][] = [
    ['an extension line', `${ORIGIN}\n3\n${tree.root().toString('base64')}\nmore\n`, true],
    ['an empty line', `${ORIGIN}\n3\n${tree.root().toString('base64')}\n\nmore\n`, false],
    ['a leading zero', `${ORIGIN}\n03\n${tree.root().toString('base64')}\n`, false],
    ['a size beyond whole numbers', `${ORIGIN}\n90071992547409920\n${tree.root().toString('base64')}\n`, false],
    ['a negative size', `${ORIGIN}\n-3\n${tree.root().toString('base64')}\n`, false],
    ['a root of 31 bytes', `${ORIGIN}\n3\n${Buffer.alloc(31).toString('base64')}\n`, false],
    ['no origin', `\n3\n${tree.root().toString('base64')}\n`, false],
    ['two lines', `${ORIGIN}\n3\n`, false],
    ['an anchor', `${ORIGIN} anchor\n3\n${tree.root().toString('base64')}\n`, true],
  ];
  for (const [what, body, isRead] of bodies) {
    it(`${isRead ? 'reads' : 'refuses'} one with ${what}`, () => {
      assert.equal(readCheckpoint(signNote(body, ORIGIN, key)) !== undefined, isRead);
    });
  }

  it('an anchor is no checkpoint of the log, and no checkpoint an anchor', () => {
    const anchor = { origin: ORIGIN, seq: 3, hash: leafHash('h'), roots: [...tree.roots] };
    const signed = signAnchor(anchor, key);
    assert.deepEqual(readAnchor(signed), anchor);
    assert.notEqual(readCheckpoint(signed)?.origin, ORIGIN);
    assert.equal(readAnchor(note), undefined);
    assert.equal(readAnchor(signed.replace('\n3\n', '\n4\n')), undefined, 'four rows have one subtree');
  });
});

describe('inclusion proofs', () => {
  it('inclusion proofs of all rows of a call are one file', () => {
    const file = writeProofs([
      proof,
      { ...proof, line: '["b"]', seq: 2, path: [leaves[0] as Buffer, leaves[2] as Buffer] },
    ]);
    const read = readProofs(file);
    assert.equal(read?.length, 2);
    for (const one of read ?? []) assert.deepEqual(verifyProof(one, [ours]).holds, true);
    assert.deepEqual(read?.[0], proof);
  });

  const altered: readonly [string, object][] = [
    ['another line', { line: '["x"]' }],
    ['another place', { seq: 2 }],
    ['a place beyond the log', { seq: 4 }],
    ['no path', { path: [] }],
    ['a path that is too long', { path: [...proof.path, ...proof.path] }],
    ['a checkpoint of another size', { checkpoint: note.replace('\n3\n', '\n4\n') }],
    ['a checkpoint of another key', { checkpoint: signCheckpoint(checkpoint, newKey()) }],
    ['no checkpoint', { checkpoint: '' }],
  ];
  for (const [what, change] of altered) {
    it(`inclusion proofs do not hold with ${what}`, () =>
      assert.equal(verifyProof({ ...proof, ...change }, [ours]).holds, false));
  }

  it('inclusion proofs do not hold for a checkpoint of one log signed with the key of another', () => {
    const other = noteKeyOf('dockgate/audit/other', key);
    const foreign = signNote(note.slice(0, note.indexOf('\n\n') + 1), other.name, key);
    const verdict = verifyProof({ ...proof, checkpoint: foreign }, [other]);
    assert.deepEqual(verdict, { holds: false, why: 'its checkpoint is signed with the key of another log' });
  });
});

describe('what comes from outside', () => {
  const readers: readonly [string, (text: string) => unknown][] = [
    ['readNote', readNote],
    ['readCheckpoint', readCheckpoint],
    ['readAnchor', readAnchor],
    ['readProofs', readProofs],
    ['decodeKey', decodeKey],
    ['signatureOf', (text) => signatureOf(text, [ours])],
    ['verifyProof', (text) => (readProofs(text) ?? []).map((one) => verifyProof(one, [ours]))],
  ];
  const seeds = [
    note,
    writeProofs([proof]),
    encodeKey(ours),
    signAnchor({ origin: ORIGIN, seq: 3, hash: leafHash('h'), roots: [...tree.roots] }, key),
  ];
  /** A good text with pieces cut out, put in or doubled. */
  const mutated = fc
    .tuple(
      fc.constantFrom(...seeds),
      fc.array(
        fc.tuple(
          fc.nat(1200),
          fc.nat(40),
          fc.oneof(
            fc.string({ unit: 'binary', maxLength: 12 }),
            fc.constantFrom('\n', '\n\n', '— ', '=', '0', ...seeds),
          ),
        ),
        {
          maxLength: 6,
        },
      ),
    )
    .map(([seed, cuts]) =>
      cuts.reduce((text, [at, length, put]) => `${text.slice(0, at)}${put}${text.slice(at + length)}`, seed),
    );
  for (const [name, read] of readers) {
    it(`${name}() ends with a value for any text`, () => {
      fc.assert(
        fc.property(fc.oneof(mutated, fc.string({ unit: 'binary', maxLength: 300 })), (text) => {
          read(text);
        }),
        { numRuns: 2000 },
      );
    });
  }

  it('nothing but what was signed counts as signed', () => {
    fc.assert(
      fc.property(mutated, (text) => {
        if (signatureOf(text, [ours]) !== 'signed') return;
        const signed = [seeds[0], seeds[3]].map((seed) => readNote(seed ?? '')?.text);
        assert.ok(signed.includes(readNote(text)?.text));
      }),
      { numRuns: 5000 },
    );
  });
});
