// Build contexts on their way to the engine: read entry by entry, written anew in one form, with the Dockerfile judged, and with no
// end before it was.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judgedContext } from '../../src/ledger/build-context.ts';
import { type TarEntry, TarReader } from '../../src/ledger/tar-reader.ts';
import { TAR_END, tarHeader, tarPadding } from '../../src/ledger/tar-writer.ts';
import { tarEntry } from '../support/tar.ts';

const END = Buffer.alloc(1024);
const pax = (...records: string[]): Buffer =>
  tarEntry(
    'h',
    records
      .map((record) => {
        const rest = Buffer.byteLength(record) + 2;
        const length = rest + String(rest + String(rest).length).length;
        return `${length} ${record}\n`;
      })
      .join(''),
    'x',
  );
/** An entry with another field written into its header. */
const withField = (entry: Buffer, at: number, text: string): Buffer => {
  const header = Buffer.from(entry);
  header.write(text, at, 'latin1');
  header.write('        ', 148);
  let sum = 0;
  for (const byte of header.subarray(0, 512)) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
};

async function* inPieces(archive: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < archive.length; at += size) yield archive.subarray(at, at + size);
}

/** @returns what the engine gets, and the Dockerfiles that were judged */
async function rewritten(archive: Buffer, path = 'Dockerfile', size = 700): Promise<{ out: Buffer; judged: string[] }> {
  const judged: string[] = [];
  const out: Uint8Array[] = [];
  const judge = (content: Buffer) => {
    judged.push(content.toString());
    return Promise.resolve(Buffer.from(`judged ${content}`));
  };
  for await (const piece of judgedContext(inPieces(archive, size), { dockerfile: path, judge }))
    out.push(Buffer.from(piece));
  return { out: Buffer.concat(out), judged };
}

/** Entries as `type path target content`. */
async function entriesOf(archive: Buffer): Promise<string[]> {
  const reader = new TarReader(inPieces(archive, 1000));
  const found: string[] = [];
  for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
    let content = '';
    for await (const piece of reader.content()) content += piece.toString();
    found.push([entry.type, entry.path, entry.target, content].filter((part) => part !== '').join(' '));
  }
  return found;
}

const DOCKERFILE = tarEntry('Dockerfile', 'FROM a');

describe('judgedContext()', () => {
  for (const size of [1, 100, 512, 100_000]) {
    it(`judgedContext() writes an archive anew, in pieces of ${size} bytes`, async () => {
      const archive = Buffer.concat([
        tarEntry('./', '', '5'),
        tarEntry('/a', 'A'.repeat(1000)),
        tarEntry('./d//', '', '5'),
        tarEntry('d/./x', 'x'),
        DOCKERFILE,
        tarEntry('link', '', '2', '../a'),
        tarEntry('hard', '', '1', './a'),
        END,
        Buffer.from('not read'),
      ]);
      const { out, judged } = await rewritten(archive, 'Dockerfile', size);
      assert.deepEqual(judged, ['FROM a']);
      assert.deepEqual(await entriesOf(out), [
        `file a ${'A'.repeat(1000)}`,
        'folder d',
        'file d/x x',
        'file Dockerfile judged FROM a',
        'link link ../a',
        'hard-link hard a',
      ]);
      assert.ok(out.subarray(-1024).equals(END));
    });
  }
  it('judgedContext() reads the names of GNU and of pax, and what git archive and others add', async () => {
    const long = `${'ordner/'.repeat(30)}d\u00e4tei`;
    const archive = Buffer.concat([
      tarEntry('pax_global_header', '52 comment=0123456789012345678901234567890123456789\n', 'g'),
      tarEntry('././@LongLink', `${long}\0`, 'L'),
      tarEntry('short', '1'),
      tarEntry('././@LongLink', `../${long}\0`, 'K'),
      tarEntry('link', '', '2', 'x'),
      pax(`path=${long}2`, 'mtime=1.5', 'atime=1', 'SCHILY.dev=1', 'MSWINDOWS.rawsd=x', 'uname=\u00e4'),
      tarEntry('other', '2'),
      DOCKERFILE,
      END,
    ]);
    const { out } = await rewritten(archive);
    assert.deepEqual(await entriesOf(out), [
      `file ${long} 1`,
      `link link ../${long}`,
      `file ${long}2 2`,
      'file Dockerfile judged FROM a',
    ]);
  });
  it('an archive without empty blocks at its end has one all the same', async () => {
    const { out } = await rewritten(DOCKERFILE);
    assert.ok(out.subarray(-1024).equals(END));
  });
  for (const [title, entries, expected] of [
    [
      'dockerfile where there is no Dockerfile',
      [tarEntry('dockerfile', 'FROM b'), tarEntry('x', '')],
      ['file x', 'file dockerfile judged FROM b'],
    ],
    [
      'Dockerfile where there is a dockerfile behind it',
      [DOCKERFILE, tarEntry('dockerfile', 'b')],
      ['file Dockerfile judged FROM a', 'file dockerfile b'],
    ],
    [
      'Dockerfile where there is a dockerfile before it',
      [tarEntry('dockerfile', 'b'), DOCKERFILE],
      ['file Dockerfile judged FROM a', 'file dockerfile b'],
    ],
  ] as const) {
    it(`judgedContext() takes ${title}`, async () => {
      const { out, judged } = await rewritten(Buffer.concat([...entries, END]));
      assert.equal(judged.length, 1);
      assert.deepEqual(await entriesOf(out), expected);
    });
  }
  it('judgedContext() takes a Dockerfile below folders', async () => {
    const archive = Buffer.concat([tarEntry('a/', '', '5'), tarEntry('a/b/Df', 'FROM b'), DOCKERFILE, END]);
    const { judged } = await rewritten(archive, 'a/b/Df');
    assert.deepEqual(judged, ['FROM b']);
  });

  const file = tarEntry('a', 'A');
  for (const [title, entries, message, path] of [
    ['no Dockerfile', [file], /it has no Dockerfile "Dockerfile"/],
    ['nothing', [], /it has no Dockerfile/],
    ['another Dockerfile than named', [DOCKERFILE], /it has no Dockerfile "a\/Df"/, 'a/Df'],
    ['a Dockerfile twice', [DOCKERFILE, tarEntry('./Dockerfile', 'FROM b')], /it has Dockerfile twice/],
    [
      'a Dockerfile behind two pax headers',
      [DOCKERFILE, pax('path=harmless'), pax('mtime=1'), tarEntry('Dockerfile', 'FROM b')],
      /two extended headers/,
    ],
    ['a Dockerfile behind two names', [tarEntry('n', 'harmless', 'L'), pax('path=Dockerfile'), file], /two names/],
    [
      'a Dockerfile behind a link to the folder',
      [DOCKERFILE, tarEntry('d', '', '2', '.'), tarEntry('d/Dockerfile', 'FROM b')],
      /d\/Dockerfile lies behind the link d/,
    ],
    [
      'a file behind a link of a link',
      [DOCKERFILE, tarEntry('d/e', '', '2', '/'), tarEntry('d/e/f/g', 'x')],
      /lies behind the link d\/e/,
    ],
    [
      'a hard link to a link, which is a link itself',
      [DOCKERFILE, tarEntry('a', '', '2', '.'), tarEntry('b', '', '1', 'a'), tarEntry('b/Dockerfile', 'FROM b')],
      /b is a hard link to the symbolic link a/,
    ],
    [
      'a hard link to a hard link of a link',
      [DOCKERFILE, tarEntry('a', '', '2', '.'), tarEntry('b', '', '1', 'a'), tarEntry('c', '', '1', 'b')],
      /b is a hard link to the symbolic link a/,
    ],
    [
      'a hard link through a link',
      [DOCKERFILE, tarEntry('d', '', '2', '.'), tarEntry('h', '', '1', 'd/Dockerfile')],
      /lies behind the link d/,
    ],
    [
      'a link in place of the Dockerfile',
      [tarEntry('Dockerfile', '', '2', 'b')],
      /the Dockerfile Dockerfile is no plain file/,
    ],
    [
      'a hard link in place of the Dockerfile',
      [tarEntry('b', 'FROM b'), tarEntry('Dockerfile', '', '1', 'b')],
      /no plain file/,
    ],
    [
      'a link in place of its folder',
      [tarEntry('a/Df', 'FROM b'), tarEntry('a', '', '2', 'b')],
      /a is no folder/,
      'a/Df',
    ],
    ['a file in place of its folder', [tarEntry('a/Df', 'FROM b'), tarEntry('a', 'x')], /a is no folder/, 'a/Df'],
    [
      'a dockerfile that a link replaces',
      [tarEntry('dockerfile', 'b'), tarEntry('dockerfile', '', '2', 'd')],
      /dockerfile twice/,
    ],
    ['a name that leads out', [tarEntry('../Dockerfile', 'FROM b')], /leads out/],
    ['a name that leads out and in again', [DOCKERFILE, tarEntry('d/../Dockerfile', 'FROM b')], /leads out/],
    ['a device', [tarEntry('dev', '', '3')], /a device/],
    ['a named pipe', [tarEntry('.dockerignore', '', '6')], /a named pipe/],
    ['a sparse file', [tarEntry('a', 'A', 'S')], /a sparse file/],
    ['a sparse file of pax', [pax('GNU.sparse.major=1'), file], /pax header sets GNU\.sparse/],
    ['a contiguous file', [tarEntry('a', 'A', '7')], /kind that is not read/],
    ['a size in a pax header', [pax('size=1'), file], /pax header sets size/],
    ['a pax key twice', [pax('path=a', 'path=Dockerfile'), file], /sets path twice/],
    ['an empty pax path', [pax('path='), DOCKERFILE], /sets path to nothing/],
    ['a pax path with a NUL', [pax('path=Dockerfile\0x'), file], /sets path to nothing/],
    ['a header for all that names', [tarEntry('g', '19 path=Dockerfile\n', 'g'), file], /for all entries sets path/],
    ['a folder with content', [tarEntry('d', 'x', '5')], /size and no content/],
    ['a link with content', [tarEntry('d', 'x', '1', 'a')], /size and no content/],
    ['a file named like a folder', [tarEntry('d/', 'x')], /the name of a folder/],
    ['a link to nothing', [tarEntry('d', '', '2')], /leads nowhere/],
    ['a name that is not UTF-8', [withField(file, 0, '\xe9')], /not UTF-8/],
    ['a number that is none', [withField(file, 124, '00000x00001')], /number that is not read/],
    ['no archive', [Buffer.from('hello'.repeat(500))], /no tar archive/],
    ['one that breaks off', [tarEntry('a', 'A'.repeat(2000)).subarray(0, 1000)], /middle of an entry/],
    ['one that breaks off in a header', [DOCKERFILE, file.subarray(0, 300)], /middle of a header/],
    ['a large Dockerfile', [tarEntry('Dockerfile', 'x'.repeat(1024 * 1024 + 1))], /larger than 1048576 bytes/],
  ] as readonly (readonly [string, readonly Buffer[], RegExp, string?])[]) {
    it(`judgedContext() refuses ${title}, and writes no end`, async () => {
      const out: Uint8Array[] = [];
      const archive = Buffer.concat([...entries, ...(title.includes('breaks off') ? [] : [END])]);
      const judge = { dockerfile: path ?? 'Dockerfile', judge: (content: Buffer) => Promise.resolve(content) };
      await assert.rejects(
        async () => {
          for await (const piece of judgedContext(inPieces(archive, 512), judge)) out.push(piece);
        },
        { code: 'archive-unreadable', message },
      );
      assert.ok(!Buffer.concat(out).includes(END));
    });
  }
  it('judgedContext() passes nothing of a Dockerfile on that is refused, and nothing behind it', async () => {
    const out: Uint8Array[] = [];
    const judge = { dockerfile: 'Dockerfile', judge: () => Promise.reject(new Error('no')) };
    await assert.rejects(async () => {
      for await (const piece of judgedContext(inPieces(Buffer.concat([file, DOCKERFILE, END]), 512), judge))
        out.push(piece);
    }, /no/);
    assert.equal(Buffer.concat(out).length, 1024);
  });
});

describe('tarHeader()', () => {
  const entry = (more: Partial<TarEntry>): TarEntry => ({
    ...{ type: 'file', path: 'a', target: '', size: 0, mode: 0o644, mtime: 0, capability: undefined },
    ...more,
  });
  for (const [title, more] of [
    ['a plain file', { mode: 0o4755, mtime: 1_700_000_000 }],
    ['a name of a hundred bytes', { path: 'x'.repeat(100) }],
    ['a name of more', { path: 'x'.repeat(101) }],
    ['a name of another alphabet', { path: '\u00e4/\ud83d\ude00' }],
    ['a name with a line end', { path: 'a\nb' }],
    ['a link to a long name', { type: 'link', target: `/${'y'.repeat(300)}` }],
    ['capabilities', { capability: Buffer.from([1, 0, 10, 255]) }],
    ['a folder', { type: 'folder', path: 'a/b' }],
  ] as const) {
    it(`tarHeader() is read as what it was written from: ${title}`, async () => {
      const written = entry(more);
      const reader = new TarReader(inPieces(Buffer.concat([tarHeader(written), tarPadding(0), TAR_END]), 512));
      assert.deepEqual(await reader.next(), written);
      assert.equal(await reader.next(), undefined);
    });
  }
  it('tarHeader() is read as what it was written from: a file of ten gibibytes', async () => {
    const size = 10 * 1024 ** 3;
    const reader = new TarReader(inPieces(tarHeader(entry({ size })), 512));
    assert.equal((await reader.next())?.size, size);
  });
});
