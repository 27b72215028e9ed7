// Volumes without a name, as an engine of the 28 line made them for these bodies.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { countAnonymousVolumes } from '../../src/ledger/anonymous-volumes.ts';

describe('countAnonymousVolumes()', () => {
  const cases: [string, Record<string, unknown>, readonly string[], number][] = [
    ['nothing asked for', {}, [], 0],
    ['places of the body', { Volumes: { '/a': {}, '/b': {} } }, [], 2],
    ['places of the image, once', { Volumes: { '/a': {} } }, ['/a', '/b/'], 2],
    ['a place a named volume is at', { Volumes: { '/a/': {} }, HostConfig: { Binds: ['v:/a:ro'] } }, ['/a'], 0],
    ['a bind without a source', { HostConfig: { Binds: ['/c'] } }, [], 1],
    ['a mount without a source', { HostConfig: { Mounts: [{ Type: 'volume', Target: '/d' }] } }, [], 1],
    ['a mount with one', { HostConfig: { Mounts: [{ Type: 'volume', Source: 'v', Target: '/d' }] } }, ['/d'], 0],
    ['a mount of another type', { HostConfig: { Mounts: [{ Type: 'tmpfs', Target: '/e' }] } }, ['/e'], 0],
    ['empty fields', { Volumes: null, HostConfig: { Binds: null, Mounts: null } }, [], 0],
  ];
  for (const [name, body, ofImage, count] of cases)
    it(`countAnonymousVolumes() counts ${name}`, () =>
      assert.equal(countAnonymousVolumes(body as never, ofImage), count));
});
