// Which API versions are served, and what a client of another one is told.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readVersion } from '../../src/engine/versions.ts';

const OLD =
  "is too old. Minimum supported API version is 1.40, please upgrade your client to a newer version (or have it speak that version: DOCKER_API_VERSION=1.40); the gateway's setting is apiVersions.min";
const NEW =
  "is too new. Maximum supported API version is 1.51 (or have it speak that version: DOCKER_API_VERSION=1.51); the gateway's setting is apiVersions.max";

describe('readVersion()', () => {
  const limits = { minMinor: 40, maxMinor: 51 };
  for (const version of ['1.40', '1.51'])
    it(`serves ${version}`, () => assert.equal(readVersion(`v${version}`, limits), version));
  const REFUSED: readonly [segment: string, message: string][] = [
    ['v1.20', `client version 1.20 ${OLD}`],
    ['v1.39', `client version 1.39 ${OLD}`],
    ['v1.52', `client version 1.52 ${NEW}`],
    ['v1.99', `client version 1.99 ${NEW}`],
    ['v1.043', 'the API version "v1.043" must be written as v1.43'],
    ['v5.8.6', 'the API version "v5.8.6" must be written as v1.43'],
  ];
  for (const [segment, message] of REFUSED) {
    it(`readVersion() refuses ${segment} with what to do`, () =>
      assert.throws(() => readVersion(segment, limits), { code: 'version-unsupported', status: 400, message }));
  }
});
