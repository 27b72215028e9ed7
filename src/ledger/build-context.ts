// A build context on its way to the engine: read entry by entry and written anew, with the Dockerfile judged and replaced. It
// does not end, for the engine, before a Dockerfile was.
import { refuseArchive, type TarEntry, TarReader } from './tar-reader.ts';
import { TAR_END, tarHeader, tarPadding } from './tar-writer.ts';

/** Largest Dockerfile, in bytes. */
const MAX_DOCKERFILE_BYTES = 1024 * 1024;
/** Most symbolic links of a context: the reader remembers them. */
const MAX_LINKS = 200_000;

export interface ContextJudge {
  /** The Dockerfile's path, cleaned. */
  readonly dockerfile: string;
  /** The Dockerfile to send in place of the one that came. Throws to end the upload. */
  judge(content: Buffer): Promise<Buffer>;
}

/** @throws {GatewayError} `archive-unreadable`, and what `judge` throws */
export async function* judgedContext(
  source: AsyncIterable<Uint8Array>,
  { dockerfile, judge }: ContextJudge,
): AsyncGenerator<Uint8Array> {
  const reader = new TarReader(source);
  const links = new Links();
  let isJudged = false;
  /** A file `dockerfile`, which the engine takes where there is no `Dockerfile`. */
  let other: { readonly entry: TarEntry; readonly content: Buffer } | undefined;
  try {
    for (;;) {
      const entry = await reader.next();
      if (entry === undefined) break;
      if (entry.path === '') continue;
      links.take(entry);
      if (entry.type !== 'folder' && dockerfile.startsWith(`${entry.path}/`))
        throw refuseArchive(`${entry.path} is no folder, and the Dockerfile is to be in it`);
      if (entry.path === dockerfile) {
        if (isJudged) throw refuseArchive(`it has ${dockerfile} twice`);
        const content = await judge(await whole(entry, reader));
        isJudged = true;
        yield* plainFile(entry, content);
        continue;
      }
      // Kept back, it would come after what replaces it.
      if (other !== undefined && entry.path === 'dockerfile') throw refuseArchive('it has dockerfile twice');
      if (entry.path === 'dockerfile' && dockerfile === 'Dockerfile' && !isJudged && entry.type === 'file') {
        other = { entry, content: await whole(entry, reader) };
        continue;
      }
      if (other !== undefined && entry.path.startsWith('dockerfile/'))
        throw refuseArchive('dockerfile is a file and a folder');
      yield tarHeader(entry);
      if (entry.type !== 'file') continue;
      yield* reader.content();
      yield tarPadding(entry.size);
    }
    if (other !== undefined) {
      yield* plainFile(other.entry, isJudged ? other.content : await judge(other.content));
      isJudged = true;
    }
    if (!isJudged) throw refuseArchive(`it has no Dockerfile ${JSON.stringify(dockerfile)}`);
    yield TAR_END;
  } finally {
    // An upload that was refused is read past.
    void reader.close();
  }
}

function* plainFile(entry: TarEntry, content: Buffer): Generator<Uint8Array> {
  yield tarHeader({ ...entry, size: content.length });
  yield content;
  yield tarPadding(content.length);
}

async function whole(entry: TarEntry, reader: TarReader): Promise<Buffer> {
  if (entry.type !== 'file')
    throw refuseArchive(`the Dockerfile ${entry.path} is no plain file; name the one it leads to (docker build -f)`);
  if (entry.size > MAX_DOCKERFILE_BYTES)
    throw refuseArchive(`the Dockerfile ${entry.path} is larger than ${MAX_DOCKERFILE_BYTES} bytes`);
  const pieces: Buffer[] = [];
  for await (const piece of reader.content()) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

/** Symbolic links of the context so far: an entry behind one would land somewhere else than its name says. */
class Links {
  readonly #paths = new Set<string>();

  take({ type, path, target }: TarEntry): void {
    this.#refuseBehind(path);
    if (type === 'hard-link') {
      this.#refuseBehind(target);
      // It would be a symbolic link itself.
      if (this.#paths.has(target))
        throw refuseArchive(`${path.slice(0, 200)} is a hard link to the symbolic link ${target.slice(0, 200)}`);
    }
    if (type !== 'link') {
      this.#paths.delete(path);
      return;
    }
    if (this.#paths.size >= MAX_LINKS) throw refuseArchive(`it has more than ${MAX_LINKS} symbolic links`);
    this.#paths.add(path);
  }

  #refuseBehind(path: string): void {
    if (this.#paths.size === 0) return;
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      const folder = path.slice(0, slash);
      if (this.#paths.has(folder))
        throw refuseArchive(`${path.slice(0, 200)} lies behind the link ${folder.slice(0, 200)}`);
    }
  }
}
