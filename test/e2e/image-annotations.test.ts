// Podman gives a container the annotations of its image, which runtimes read as words about the host: they are judged as those of the
// call. Real Podman; on Docker's engines an image has no say.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type HostRulesGateway, PODMAN_LINE, startHostRules } from '../support/host-rules.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';

const PREFIX = `dg-annotated-${IS_DENO ? 'deno' : 'node'}`;
const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** An archive of one image in OCI's layout. */
function archiveOf(name: string, annotations: Readonly<Record<string, string>>): Buffer {
  const layer = Buffer.concat([tarEntry('a', name), Buffer.alloc(1024)]);
  const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
  const config = json({
    ...{ architecture: 'amd64', os: 'linux', config: { Cmd: ['/a'] } },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digestOf(layer)}`] },
  });
  const of = (bytes: Buffer, mediaType: string) => ({
    mediaType,
    digest: `sha256:${digestOf(bytes)}`,
    size: bytes.length,
  });
  const manifest = json({
    schemaVersion: 2,
    config: of(config, 'application/vnd.oci.image.config.v1+json'),
    layers: [of(layer, 'application/vnd.oci.image.layer.v1.tar')],
    annotations,
  });
  const index = {
    schemaVersion: 2,
    manifests: [
      {
        ...of(manifest, 'application/vnd.oci.image.manifest.v1+json'),
        annotations: { 'org.opencontainers.image.ref.name': `localhost/${name}:1` },
      },
    ],
  };
  return Buffer.concat([
    tarEntry('oci-layout', '{"imageLayoutVersion":"1.0.0"}'),
    tarEntry('index.json', JSON.stringify(index)),
    ...[layer, config, manifest].map((blob) => tarEntry(`blobs/sha256/${digestOf(blob)}`, blob)),
    Buffer.alloc(1024),
  ]);
}

describe('annotations of an image, on Podman', { skip: PODMAN_LINE.skip }, () => {
  let gateway: HostRulesGateway;
  const IMAGES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    plain: { 'org.opencontainers.image.title': 'a' },
    crun: { 'run.oci.hooks.stdout': '/etc/cron.d/x' },
    systemd: { 'org.systemd.property.DevicePolicy': "'auto'" },
    own: { 'org.example.team': 'a' },
  };
  before(async () => {
    gateway = await startHostRules(PODMAN_LINE.socket as string, {
      baseline: '',
      listed:
        '- { name: all, effect: allow, actions: ["container.*"], host: { preset: baseline, annotations: ["org.example.*"] } }',
    });
    for (const [name, annotations] of Object.entries(IMAGES)) {
      const { status, text } = await gateway.engine('POST', '/v1.41/images/load', {
        body: archiveOf(`${PREFIX}-${name}`, annotations),
      });
      assert.equal(status, 200, text);
    }
  });
  after(async () => {
    await gateway?.clean(PREFIX);
    for (const name of Object.keys(IMAGES))
      await gateway?.engine('DELETE', `/v1.41/images/localhost/${PREFIX}-${name}:1?force=1`);
    await gateway?.remove();
  });

  it('annotations of an image are refused on Podman unless the policy lists them, by every spelling of the image', async () => {
    let count = 0;
    const create = (policy: string, Image: string) =>
      gateway.as(policy)('POST', `/v1.41/containers/create?name=${PREFIX}-${++count}`, {
        body: { Image, Cmd: ['/a'], HostConfig: { NetworkMode: 'none' } },
      });
    const idOf = async (name: string): Promise<string> =>
      ((await gateway.engine('GET', `/v1.41/images/localhost/${PREFIX}-${name}:1/json`)).json as { Id: string }).Id;
    for (const name of ['crun', 'systemd', 'own']) {
      const id = await idOf(name);
      for (const image of [`localhost/${PREFIX}-${name}:1`, id, id.replace('sha256:', '').slice(0, 12)]) {
        const { status, text } = await create('baseline', image);
        assert.equal(status, 403, `${image}: ${text}`);
        assert.match(
          text,
          /Image brings the annotation \\"[a-zA-Z.]+\\", which this engine gives its containers \(allowed:/,
        );
      }
    }
    const listed = await create('listed', `localhost/${PREFIX}-own:1`);
    assert.equal(listed.status, 201, listed.text);
    assert.equal((await create('listed', `localhost/${PREFIX}-crun:1`)).status, 403);
    const plain = await create('baseline', `localhost/${PREFIX}-plain:1`);
    assert.equal(plain.status, 201, plain.text);
  });
});
