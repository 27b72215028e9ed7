import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { imagesOfDockerfile } from '../../src/ledger/dockerfile.ts';
import { judgedTar } from '../../src/ledger/tar-entries.ts';
import { tarEntry } from '../support/tar.ts';

/** A dollar sign, kept apart from template strings. */
const D = '$';

const CASES: readonly [
  title: string,
  text: string,
  args: Record<string, string>,
  images: readonly string[] | RegExp,
][] = [
  ['one stage', 'FROM busybox:test\nRUN true\n', {}, ['busybox:test']],
  ['lower case, platform and name', '# c\nfrom --platform=linux/amd64 busybox:test as b\n', {}, ['busybox:test']],
  ['scratch and a stage of its own', 'FROM scratch AS a\nFROM a\nFROM A AS b\n', {}, []],
  ['an argument with a default', `ARG BASE=bob:1\nFROM ${D}{BASE}\n`, {}, ['bob:1']],
  ['an argument given with the build', 'ARG BASE=busybox\nFROM $BASE\n', { BASE: 'bob:1' }, ['bob:1']],
  ['a fallback in braces', `FROM ${D}{NONE:-bob:1}\n`, {}, ['bob:1']],
  ['an argument in parts', `ARG T=1\nARG R="bob"\nFROM ${D}{R}:${D}T\n`, {}, ['bob:1']],
  ['COPY --from', 'FROM busybox\nCOPY --chown=0 --from=bob:1 / /x\nCOPY --from=0 /a /b\n', {}, ['busybox', 'bob:1']],
  ['a mount', 'FROM busybox\nRUN --mount=type=bind,from=bob:1,target=/x ls\n', {}, ['busybox', 'bob:1']],
  ['a continued line', 'FROM \\\n  bob:1\n', {}, ['bob:1']],
  ['another escape character', '# escape=`\nFROM `\n bob:1\n', {}, ['bob:1']],
  ['a COPY that only mentions it', 'FROM busybox\nCOPY a.txt /x\nRUN echo --from=bob\n', {}, ['busybox']],
  ['a name cut by a continuation', 'FROM bo\\\nb:1\n', {}, ['bob:1']],
  ['an instruction hidden in a continued line', 'FROM busybox\nRUN a \\\n# c\nFROM bob:1\n', {}, /continued line/],
  ['a here-document', 'FROM busybox\nRUN <<EOF\nFROM bob\nEOF\n', {}, /here-document/],
  ['a syntax directive', '# syntax=bob/frontend\nFROM busybox\n', {}, /syntax directive/],
  ['an argument nobody reads', `FROM ${D}{A#x}\n`, {}, /not read/],
  ['a quoted name', 'FROM "bob:1"\n', {}, /not read/],
  ['a trigger', 'FROM busybox\nONBUILD COPY --from=bob:1 / /\n', {}, /ONBUILD/],
  ['a --from with an argument', 'FROM busybox\nCOPY --from=$X / /\n', {}, /not read/],
];

describe('imagesOfDockerfile()', () => {
  for (const [title, text, args, expected] of CASES) {
    it(title, () => {
      if (expected instanceof RegExp) assert.throws(() => imagesOfDockerfile(text, args), { message: expected });
      else assert.deepEqual(imagesOfDockerfile(text, args), expected);
    });
  }
});

describe('judgedTar()', () => {
  const end = Buffer.alloc(1024);
  const run = async (archive: Buffer, size: number, judge: (path: string, content: Buffer) => void) => {
    async function* pieces() {
      for (let at = 0; at < archive.length; at += size) yield archive.subarray(at, at + size);
    }
    const out: Uint8Array[] = [];
    const rules = { wants: (path: string) => path === 'd/Dockerfile', leadsTo: (path: string) => path === 'd', judge };
    for await (const chunk of judgedTar(pieces(), rules)) out.push(Buffer.from(chunk));
    return Buffer.concat(out);
  };
  const longName = `${'x/'.repeat(80)}../${'../'.repeat(79)}d/Dockerfile`;
  const pax = (record: string) => tarEntry('h', `${record.length + 3 + 1} ${record}\n`, 'x');

  for (const size of [1, 100, 512, 100_000]) {
    it(`passes an archive on as it came, in pieces of ${size} bytes`, async () => {
      const archive = Buffer.concat([
        tarEntry('a', 'A'.repeat(1000)),
        tarEntry('d/', '', '5'),
        tarEntry('./d//Dockerfile', 'FROM busybox'),
        tarEntry('link', '', '2', 'a'),
        end,
      ]);
      const seen: string[] = [];
      const out = await run(archive, size, (path, content) => seen.push(`${path} ${content}`));
      assert.deepEqual(seen, ['d/Dockerfile FROM busybox']);
      assert.ok(out.equals(archive));
    });
  }
  it('passes nothing of an entry on that is refused', async () => {
    const archive = Buffer.concat([tarEntry('a', 'A'), tarEntry('d/Dockerfile', 'FROM bob'), end]);
    await assert.rejects(
      run(archive, 100, () => {
        throw new Error('no');
      }),
      /no/,
    );
  });
  it('judges every entry of the name, also under a long name', async () => {
    const seen: string[] = [];
    const archive = Buffer.concat([
      tarEntry('d/Dockerfile', '1'),
      tarEntry('d/Dockerfile', '2'),
      tarEntry('././@LongLink', `${longName}\0`, 'L'),
      tarEntry('short', '3'),
      pax('path=d/Dockerfile'),
      tarEntry('other', '4'),
      end,
    ]);
    await run(archive, 1000, (_path, content) => seen.push(content.toString()));
    assert.deepEqual(seen, ['1', '2', '3', '4']);
  });
  for (const [title, archive, message] of [
    ['a link in its place', tarEntry('d/Dockerfile', '', '2', '/etc/passwd'), /no plain file/],
    ['a hard link in its place', tarEntry('d/Dockerfile', '', '1', 'a'), /no plain file/],
    ['a link that leads to it', tarEntry('d', '', '2', 'e'), /no folder/],
    ['a size in a pax header', Buffer.concat([pax('size=0'), tarEntry('a', 'A')]), /pax header/],
    ['a sparse file', tarEntry('a', 'A', 'S'), /kind that is not read/],
    ['a header for all', tarEntry('g', '', 'g'), /all entries/],
    ['no archive', Buffer.from('hello'.repeat(500)), /no tar archive/],
    ['one that breaks off', tarEntry('a', 'A'.repeat(2000)).subarray(0, 1000), /middle of an entry/],
  ] as const) {
    it(`refuses ${title}`, () =>
      assert.rejects(
        run(archive, 512, () => {}),
        { code: 'archive-unreadable', message },
      ));
  }
});
