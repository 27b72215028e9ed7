// Archives of images as `docker save` writes them, and those two readers could read in two ways: what is read is what is sent.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import {
  type ArchiveFile,
  type ImageArchive,
  imageArchiveTar,
  readImageArchive,
} from '../../src/ledger/image-archive.ts';
import { readTarFiles } from '../../src/ledger/tar-files.ts';
import { tarEntry } from '../support/tar.ts';

const sha = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex');
const END = Buffer.alloc(1024);
const LAYER = tarEntry('file', 'content');
const config = (diffIds: readonly string[], more: object = {}): string =>
  JSON.stringify({ os: 'linux', rootfs: { type: 'layers', diff_ids: diffIds }, ...more });
const CONFIG = config([`sha256:${sha(LAYER)}`]);
const item = (more: object = {}) => ({ Config: 'c.json', RepoTags: ['app:1'], Layers: ['l.tar'], ...more });
const manifest = (...items: object[]): Buffer => tarEntry('manifest.json', JSON.stringify(items));
const parts = (image: string | Buffer = CONFIG, layer: string | Buffer = LAYER): Buffer[] => [
  tarEntry('c.json', image),
  tarEntry('l.tar', layer),
];
const archive = (...entries: Buffer[]): Buffer => Buffer.concat([...entries, END]);

async function* inPieces(bytes: Buffer, size = 700): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(bytes: Buffer): Promise<{ archive: ImageArchive; kept: Buffer }> {
  const files = new Map<string, ArchiveFile>();
  let kept = Buffer.alloc(0);
  let current = { path: '', size: 0, offset: 0 };
  await readTarFiles(inPieces(bytes), {
    begin(path, size) {
      current = { path, size, offset: kept.length };
    },
    write(piece) {
      kept = Buffer.concat([kept, piece]);
    },
    end() {
      files.set(current.path, { ...current, sha256: sha(kept.subarray(current.offset)) });
    },
  });
  const of = ({ offset, size }: ArchiveFile) => kept.subarray(offset, offset + size);
  return { archive: await readImageArchive(files, async (file) => of(file)), kept };
}

/** A pax header for the entry behind it. */
const pax = (key: string, value: string): Buffer => {
  const body = ` ${key}=${value}\n`;
  return tarEntry('PaxHeaders/x', `${body.length + 2}${body}`, 'x');
};
/** An entry that announces a size and has none. */
const announcing = (size: string): Buffer => {
  const header = tarEntry('huge', '');
  header.write(size, 124, 'latin1');
  header.write('        ', 148);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
};

describe('image archives', () => {
  for (const [title, bytes] of [
    ['manifest before the layers', archive(manifest(item()), ...parts())],
    ['manifest behind the layers', archive(...parts(), manifest(item()))],
    [
      'folders, padding to a record',
      Buffer.concat([archive(tarEntry('blobs/', '', '5'), ...parts(), manifest(item())), Buffer.alloc(9000)]),
    ],
    [
      'a pax and a GNU long name',
      archive(
        pax('path', 'c.json'),
        tarEntry('x', CONFIG),
        tarEntry('n', 'l.tar\0', 'L'),
        tarEntry('y', LAYER),
        manifest(item()),
      ),
    ],
    [
      'what else docker save writes',
      archive(
        ...parts(),
        manifest(item({ Parent: 'x', LayerSources: {} })),
        tarEntry('index.json', '{}'),
        tarEntry('oci-layout', '{}'),
        tarEntry('repositories', '{"bob":{"1":"x"}}'),
      ),
    ],
  ] as const) {
    it(`read: ${title}`, async () => {
      const { archive: found, kept } = await read(bytes);
      assert.deepEqual(
        found.images.map(({ id, names, bytes }) => [id, names, bytes]),
        [[`sha256:${sha(CONFIG)}`, ['docker.io/library/app:1'], LAYER.length]],
      );
      const pieces: Uint8Array[] = [];
      for await (const piece of imageArchiveTar(found, async function* ({ offset, size }) {
        yield kept.subarray(offset, offset + size);
      }))
        pieces.push(piece);
      // What is sent reads the same, and holds nothing else.
      const again = await read(Buffer.concat(pieces));
      assert.deepEqual(again.archive.images, found.images);
      assert.deepEqual([...again.archive.files.keys()].sort(), [`${sha(CONFIG)}.json`, `${sha(LAYER)}.tar`].sort());
      assert.ok(!Buffer.concat(pieces).includes('repositories'));
    });
  }

  const folded = CONFIG.replace('{"os"', `{"RootFS":{"type":"layers","diff_ids":["sha256:${sha('other')}"]},"os"`);
  for (const [title, bytes, why] of [
    ['no manifest: an OCI layout alone', archive(...parts(), tarEntry('index.json', '{}')), /no manifest\.json/],
    [
      'two manifests',
      archive(...parts(), manifest(item()), manifest(item({ RepoTags: ['bob:1'] }))),
      /manifest\.json" twice/,
    ],
    ['two manifests, spelled apart', archive(...parts(), manifest(item()), tarEntry('./manifest.json', '[]')), /twice/],
    [
      'a key twice',
      archive(
        ...parts(),
        tarEntry('manifest.json', '[{"Config":"c.json","RepoTags":["a:1"],"repotags":["bob:1"],"Layers":["l.tar"]}]'),
      ),
      /twice/,
    ],
    ['one name for two images', archive(...parts(), manifest(item(), item())), /names two images/],
    [
      'content behind the manifest',
      archive(...parts(), tarEntry('manifest.json', `${JSON.stringify([item()])}[]`)),
      /./,
    ],
    ['no name', archive(...parts(), manifest(item({ RepoTags: null }))), /save it by name/],
    ['a name without a tag', archive(...parts(), manifest(item({ RepoTags: ['app'] }))), /no name with a tag/],
    [
      'a name with a digest',
      archive(...parts(), manifest(item({ RepoTags: [`app@sha256:${sha('')}`] }))),
      /no name with a tag/,
    ],
    [
      'a name with user info',
      archive(...parts(), manifest(item({ RepoTags: ['user:pw@host/app:1'] }))),
      /no name with a tag/,
    ],
    ['a name that is none', archive(...parts(), manifest(item({ RepoTags: ['App:1'] }))), /./],
    [
      'a layer that is not in it',
      archive(tarEntry('c.json', CONFIG), manifest(item())),
      /the layer "l\.tar" is not in it/,
    ],
    [
      'a layer that is another one',
      archive(...parts(CONFIG, 'other'), manifest(item())),
      /not what its configuration names/,
    ],
    [
      'more layers than named',
      archive(...parts(), manifest(item({ Layers: ['l.tar', 'l.tar'] }))),
      /does not have the layers/,
    ],
    ['two lists of layers', archive(...parts(folded), manifest(item())), /twice/],
    ['a hard link', archive(...parts(), tarEntry('x', '', '1', 'c.json'), manifest(item())), /is a link/],
    [
      'a symbolic link',
      archive(tarEntry('l.tar', '', '2', '/etc/shadow'), tarEntry('c.json', CONFIG), manifest(item())),
      /is a link/,
    ],
    ['a sparse file', archive(tarEntry('l.tar', LAYER, 'S'), manifest(item())), /kind that is not read/],
    [
      'a pax header that makes it sparse',
      archive(pax('GNU.sparse.major', '1'), ...parts(), manifest(item())),
      /pax header sets/,
    ],
    ['a pax header with another size', archive(pax('size', '1'), ...parts(), manifest(item())), /pax header sets size/],
    ['two names', archive(tarEntry('n', 'a', 'L'), pax('path', 'b'), ...parts()), /two names/],
    ['a header for all', archive(tarEntry('g', '', 'g'), ...parts()), /kind that is not read/],
    [
      'a name above it',
      archive(...parts(), tarEntry('../manifest.json', '[]')),
      /name "\.\.\/manifest\.json" is not read/,
    ],
    ['an absolute name', archive(...parts(), tarEntry('/manifest.json', '[]')), /is not read/],
    ['a size in binary', archive(announcing('\x80\0\0\0\0\0\0\0\x02\0\0\0')), /number that is not read/],
    [
      'entries without content and without end',
      Buffer.concat(Array.from({ length: 20_002 }, (_, i) => tarEntry(`d${i}/`, '', '5'))),
      /more than 20000 entries/,
    ],
    [
      'names without end',
      Buffer.concat(Array.from({ length: 20_002 }, () => pax('mtime', '1700000000.5'))),
      /more than 20000 entries/,
    ],
    ['cut off in a file', archive(...parts(), manifest(item())).subarray(0, 1300), /cut off/],
    ['cut off between files', Buffer.concat(parts()), /cut off/],
    [
      'something behind its end',
      Buffer.concat([archive(...parts(), manifest(item())), manifest(item({ RepoTags: ['bob:1'] }))]),
      /behind its end/,
    ],
    ['nothing', Buffer.alloc(0), /cut off/],
    ['no tar', Buffer.from('x'.repeat(2000)), /no tar archive/],
    [
      'zstd',
      Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Buffer.alloc(1000)]),
      /no tar archive, or a compressed one/,
    ],
  ] as const) {
    it(`refused: ${title}`, async () => {
      await assert.rejects(read(bytes), (error: Error) => why.test(error.message) || assert.fail(error.message));
    });
  }

  it('a file of 10 GiB is announced before any of it is read', async () => {
    let announced = 0;
    const bytes = announcing((10 * 1024 ** 3).toString(8).padStart(12, '0'));
    const begin = (_path: string, size: number) => {
      announced = size;
      throw new Error('too large');
    };
    await assert.rejects(readTarFiles(inPieces(bytes), { begin, write() {}, end() {} }), /too large/);
    assert.equal(announced, 10 * 1024 ** 3);
  });
});
