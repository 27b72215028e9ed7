// A registry of a few images made up on the spot, over HTTP on loopback, which engines count as insecure. Distribution API, enough
// of it for a pull.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { tarEntry } from './tar.ts';

export interface ImageRegistry {
  /** `127.0.0.1:40001` */
  readonly host: string;
  /** Requests so far, `GET /v2/a/manifests/1`, without the looks at `/v2/`. */
  readonly seen: readonly string[];
  /** Digest of the manifest under `name:tag`. */
  digest(name: string): string;
  /** Puts a manifest under `name:tag`, or moves the name to the manifest of another one. */
  put(name: string, manifest: object | string): void;
  /** Keeps a blob, and gives how a manifest names it. */
  keep(bytes: Buffer): { digest: string; size: number };
  close(): Promise<void>;
}

const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** @param images configurations by `name:tag`; each has one layer with a file */
export async function startImageRegistry(images: Readonly<Record<string, object>>): Promise<ImageRegistry> {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, Buffer>();
  const keep = (bytes: Buffer): { digest: string; size: number } => {
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { digest, size: bytes.length };
  };
  for (const [name, config] of Object.entries(images)) {
    const layer = Buffer.concat([tarEntry('from-registry', name), Buffer.alloc(1024)]);
    const rootfs = { type: 'layers', diff_ids: [digestOf(layer)] };
    const image = {
      architecture: 'amd64',
      os: 'linux',
      created: '2026-01-01T00:00:00Z',
      config,
      rootfs,
      history: [{}],
    };
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
        config: {
          mediaType: 'application/vnd.docker.container.image.v1+json',
          ...keep(Buffer.from(JSON.stringify(image))),
        },
        layers: [{ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', ...keep(gzipSync(layer)) }],
      }),
    );
    const [repository = '', tag = ''] = name.split(':');
    for (const reference of [tag, digestOf(manifest)])
      manifests.set(`/v2/${repository}/manifests/${reference}`, manifest);
  }
  const placeOf = (name: string, reference?: string): string => {
    const [repository = '', tag = ''] = name.split(':');
    return `/v2/${repository}/manifests/${reference ?? tag}`;
  };
  const seen: string[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    if (path !== '/v2/') seen.push(`${request.method} ${path}`);
    const manifest = manifests.get(path);
    const blob = blobs.get(path.slice(path.lastIndexOf('/') + 1));
    const body = path === '/v2/' ? Buffer.from('{}') : (manifest ?? blob);
    if (body === undefined) {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}');
      return;
    }
    const type =
      manifest === undefined ? 'application/octet-stream' : 'application/vnd.docker.distribution.manifest.v2+json';
    response.writeHead(200, {
      ...{ 'content-type': type, 'content-length': body.length, 'docker-content-digest': digestOf(body) },
      'docker-distribution-api-version': 'registry/2.0',
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    digest: (name) => digestOf(manifests.get(placeOf(name)) as Buffer),
    put(name, manifest) {
      const bytes =
        typeof manifest === 'string'
          ? (manifests.get(placeOf(manifest)) as Buffer)
          : Buffer.from(JSON.stringify(manifest));
      for (const place of [placeOf(name), placeOf(name, digestOf(bytes))]) manifests.set(place, bytes);
    },
    keep,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
