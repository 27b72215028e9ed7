// Where images may come from, as the engine reads their names; beside each denial its nearest allowed neighbour.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pluginTable, table } from '../support/plugin-table.ts';

const HEX = 'a'.repeat(64);
const OURS = { allow: ['registry.test/team/*', 'busybox', 'bitnami/redis'] };
const create = 'POST /containers/create';
const image = (Image: string) => ({ Image });

describe('image-sources', () => {
  const ask = pluginTable('image-sources');
  table(ask, [
    [create, image('registry.test/team/app:1'), OURS, 'pass'],
    [create, image('registry.test/other/app:1'), OURS, 'image-source-denied'],
    [create, image('registry.test.evil.test/team/app:1'), OURS, 'image-source-denied'],
    [create, image('evil.test/registry.test/team/app:1'), OURS, 'image-source-denied'],
    [create, image('busybox:1.36'), OURS, 'pass'],
    [create, image('docker.io/library/busybox:1.36'), OURS, 'pass'],
    [create, image('index.docker.io/busybox:1.36'), OURS, 'pass'],
    [create, image('alpine:1'), OURS, 'image-source-denied'],
    [create, image('bitnami/redis:7'), OURS, 'pass'],
    [create, image('bitnami/kafka:7'), OURS, 'image-source-denied'],
    [create, image('registry.test/team/app'), OURS, 'image-tag-denied'],
    [create, image('registry.test/team/app:latest'), OURS, 'image-tag-denied'],
    [create, image('registry.test/team/app:latest'), { ...OURS, latest: 'allow' }, 'pass'],
    [create, image(`registry.test/team/app@sha256:${HEX}`), OURS, 'pass'],
    [create, image('registry.test/team/app:1'), { ...OURS, digest: 'required' }, 'image-digest-missing'],
    [create, image(`registry.test/team/app:1@sha256:${HEX}`), { ...OURS, digest: 'required' }, 'pass'],
    [create, image(`sha256:${HEX}`), OURS, 'image-by-id'],
    [create, image(HEX.slice(0, 12)), OURS, 'image-by-id'],
    [create, image(`sha256:${HEX}`), { ...OURS, ids: 'allow' }, 'pass'],
    [
      create,
      { ...image('busybox:1'), HostConfig: { Mounts: [{ Type: 'image', Source: 'alpine:1', Target: '/m' }] } },
      OURS,
      'image-source-denied',
    ],
    ['POST /images/create?fromImage=registry.test/team/app&tag=1', undefined, OURS, 'pass'],
    ['POST /images/create?fromImage=registry.test/team/app', undefined, OURS, 'image-tag-denied'],
    ['POST /images/create?fromImage=alpine&tag=3', undefined, OURS, 'image-source-denied'],
    [`POST /images/create?fromImage=busybox&tag=sha256:${HEX}`, undefined, OURS, 'pass'],
    ['POST /images/create?fromSrc=-&repo=busybox', undefined, OURS, 'image-made-here'],
    ['POST /images/create?fromSrc=-&repo=busybox', undefined, { ...OURS, madeHere: 'allow' }, 'pass'],
    ['POST /images/alpine:3/tag?repo=busybox&tag=1', undefined, OURS, 'image-made-here'],
    ['POST /images/alpine:3/tag?repo=mine&tag=1', undefined, OURS, 'pass'],
    ['POST /images/alpine:3/tag?repo=busybox&tag=1', undefined, { ...OURS, madeHere: 'allow' }, 'pass'],
    ['POST /commit?container=c&repo=registry.test/team/app&tag=1', {}, OURS, 'image-made-here'],
    ['POST /commit?container=c&repo=mine', {}, OURS, 'pass'],
    ['POST /build?t=registry.test/team/app:1', undefined, OURS, 'image-made-here'],
    ['POST /build?t=mine', undefined, OURS, 'pass'],
    ['POST /build?t=mine&cachefrom=["alpine:3"]', undefined, OURS, 'image-source-denied'],
    ['POST /build?t=mine&cachefrom=["busybox:3"]', undefined, OURS, 'pass'],
    ['POST /images/load', undefined, OURS, 'image-made-here'],
    [
      'POST /services/create',
      { Name: 's', TaskTemplate: { ContainerSpec: image('alpine:3') } },
      OURS,
      'image-source-denied',
    ],
    ['POST /services/create', { Name: 's', TaskTemplate: { ContainerSpec: image('busybox:3') } }, OURS, 'pass'],
    [create, image('a.registry.test/x:1'), { allow: ['*.registry.test/*'] }, 'pass'],
    [create, image('docker.io/a.registry.test/x:1'), { allow: ['*.registry.test/*'] }, 'image-source-denied'],
  ]);
  it('image-sources says what is allowed', async () => {
    const { message } = await ask({ call: create, body: image('alpine:1'), config: OURS });
    assert.equal(
      message,
      'Image is "docker.io/library/alpine:1" (allowed: registry.test/team/*, busybox, bitnami/redis)',
    );
  });
});
