// Routes of images and builds. What is uploaded is read past: the stand-in looks into no archive and runs no Dockerfile.
import { type Call, Created, Empty, parse, STREAMING } from './call.ts';
import { inspectImage, listImage, PING_HEADERS } from './describe.ts';
import { EngineFault, STANDIN_NAME } from './fault.ts';

/** An answer of several JSON objects, as the engine reports progress. */
function report({ response }: Call, ...lines: readonly object[]): typeof STREAMING {
  response?.writeHead(200, { ...PING_HEADERS, 'Content-Type': 'application/json' });
  response?.end(lines.map((line) => `${JSON.stringify(line)}\r\n`).join(''));
  return STREAMING;
}

const named = ({ params }: Call): string => params[0] ?? '';

function withTag(name: string, tag: string): string {
  if (tag === '') return name;
  return `${name}${tag.startsWith('sha256:') ? '@' : ':'}${tag}`;
}

export function pull(call: Call) {
  const { query, state } = call;
  const from = query.get('fromImage') ?? '';
  if (from === '') {
    state.images.make([withTag(query.get('repo') || 'imported', query.get('tag') ?? '')]);
    return report(call, { status: 'imported' });
  }
  const reference = withTag(from, query.get('tag') ?? '');
  const image = state.images.pull(reference);
  const name = image.tags[0] ?? reference;
  return report(
    call,
    { status: `Pulling from ${from}`, id: query.get('tag') || 'latest' },
    { status: `Status: Image is up to date for ${name}` },
  );
}

export const listImages = ({ state }: Call) => state.images.all.map(listImage);
export const showImage = (call: Call) => inspectImage(call.state.images.get(named(call)));

export function tag(call: Call) {
  const { query, state } = call;
  state.images.tag(state.images.get(named(call)), withTag(query.get('repo') ?? '', query.get('tag') ?? ''));
  return new Empty(201);
}

export const removeImage = (call: Call) => call.state.images.remove(named(call));

export function push(call: Call) {
  const image = call.state.images.get(named(call));
  return report(call, { status: `nothing is pushed: ${STANDIN_NAME}` }, { aux: { Digest: image.id, Size: 0 } });
}

export function build(call: Call) {
  const { query, state } = call;
  if (!state.pretends) throw new EngineFault(501, 'the stand-in engine cannot build; a real Docker Engine is needed');
  const labels = parse(Buffer.from(query.get('labels') ?? ''));
  const { id } = state.images.make(query.getAll('t'), labels);
  return report(
    call,
    { stream: `Step 1/1 : ${STANDIN_NAME} runs no Dockerfile\n` },
    { aux: { ID: id } },
    { stream: `Successfully built ${id.slice(7, 19)}\n` },
    ...query.getAll('t').map((name) => ({ stream: `Successfully tagged ${name}\n` })),
  );
}

export const load = (call: Call) => report(call, { stream: `${STANDIN_NAME} loads nothing\n` });

export function commit({ query, state, body }: Call) {
  state.find(query.get('container') ?? '');
  const { Labels } = body as { Labels?: Readonly<Record<string, string>> };
  const repo = query.get('repo') ?? '';
  const image = state.images.make(repo === '' ? [] : [withTag(repo, query.get('tag') ?? '')], Labels);
  return new Created({ Id: image.id });
}

/** What a registry says of an image. */
export function distribution(call: Call) {
  if (!call.state.pretends) throw new EngineFault(404, `${STANDIN_NAME} reaches no registry`);
  const { id } = call.state.images.pull(named(call));
  return {
    Descriptor: { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: id, size: 1000 },
    Platforms: [{ architecture: process.arch === 'arm64' ? 'arm64' : 'amd64', os: 'linux' }],
  };
}
