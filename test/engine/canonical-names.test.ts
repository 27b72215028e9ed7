// Names in the form they are judged and sent in: one row a request, with what the engine is sent.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toCall } from '../../src/engine/call.ts';
import { canonicalNames } from '../../src/engine/canonical-names.ts';
import { classify } from '../../src/engine/classify.ts';
import { renderTarget } from '../../src/engine/render-target.ts';
import { GatewayError } from '../../src/errors.ts';

const ID = 'ab'.repeat(32);
const DIGEST = `sha256:${ID}`;

const ROWS: readonly (readonly [line: string, sent: string | RegExp])[] = [
  ['GET /images/app/json', '/images/docker.io/library/app:latest/json'],
  ['GET /images/team/app/json', '/images/docker.io/team/app:latest/json'],
  ['GET /images/index.docker.io/app:1/json', '/images/docker.io/library/app:1/json'],
  ['GET /images/docker.io/library/app:1/json', '/images/docker.io/library/app:1/json'],
  ['GET /images/localhost:5000/app/json', '/images/localhost:5000/app:latest/json'],
  ['GET /images/Registry.test/app/json', '/images/Registry.test/app:latest/json'],
  [`GET /images/app@${DIGEST}/json`, `/images/docker.io/library/app@${DIGEST}/json`],
  [`GET /images/app:1@${DIGEST}/json`, `/images/docker.io/library/app:1@${DIGEST}/json`],
  [`GET /images/${ID}/json`, `/images/${DIGEST}/json`],
  ['GET /images/ab12/json', '/images/sha256:ab12/json'],
  ['GET /images/App/json', /must be lowercase/],
  ['GET /images/app/history', '/images/docker.io/library/app:latest/history'],
  ['GET /images/app/attestations', '/images/docker.io/library/app:latest/attestations'],
  ['DELETE /images/app?force=1', '/images/docker.io/library/app:latest?force=1'],
  // Without a tag these are about a whole repository, and are judged as that.
  ['GET /images/app/get', '/images/docker.io/library/app/get'],
  ['GET /images/app:1/get', '/images/docker.io/library/app:1/get'],
  [
    'GET /images/get?names=app&names=b:1&names=ab12',
    '/images/get?names=docker.io%2Flibrary%2Fapp&names=docker.io%2Flibrary%2Fb%3A1&names=sha256%3Aab12',
  ],
  ['POST /images/app/push', '/images/docker.io/library/app/push'],
  ['POST /images/app/push?tag=1', '/images/docker.io/library/app/push?tag=1'],
  ['POST /images/app:1/push', '/images/docker.io/library/app:1/push'],
  ['POST /images/app:1/push?tag=1', '/images/docker.io/library/app/push?tag=1'],
  ['POST /images/app:1/push?tag=2', /invalid reference format/],
  [`POST /images/${ID}/push`, /64-byte hexadecimal/],
  [`POST /images/${DIGEST}/push?tag=1`, /invalid reference format/],
  ['POST /images/create?fromImage=app', '/images/create?fromImage=docker.io%2Flibrary%2Fapp'],
  ['POST /images/create?fromImage=app&tag=1', '/images/create?fromImage=docker.io%2Flibrary%2Fapp&tag=1'],
  ['POST /images/create?fromImage=app:1', '/images/create?fromImage=docker.io%2Flibrary%2Fapp%3A1'],
  [
    `POST /images/create?fromImage=app&tag=${DIGEST}`,
    `/images/create?fromImage=docker.io%2Flibrary%2Fapp&tag=${encodeURIComponent(DIGEST)}`,
  ],
  ['POST /images/create?fromImage=ab12', '/images/create?fromImage=docker.io%2Flibrary%2Fab12'],
  [`POST /images/create?fromImage=${ID}`, /64-byte hexadecimal/],
  [`POST /images/create?fromImage=${DIGEST}`, /64-byte hexadecimal/],
  ['POST /images/create?fromSrc=-&repo=app', '/images/create?fromSrc=-&repo=docker.io%2Flibrary%2Fapp&tag=latest'],
  ['POST /images/create?fromSrc=-&repo=app:2', '/images/create?fromSrc=-&repo=docker.io%2Flibrary%2Fapp&tag=2'],
  ['POST /images/app/tag?repo=b', '/images/docker.io/library/app:latest/tag?repo=docker.io%2Flibrary%2Fb&tag=latest'],
  [
    'POST /images/app/tag?repo=b:2&tag=2',
    '/images/docker.io/library/app:latest/tag?repo=docker.io%2Flibrary%2Fb&tag=2',
  ],
  ['POST /images/app/tag?repo=b:1&tag=2', /invalid reference format/],
  [`POST /images/app/tag?repo=${ID}`, /64-byte hexadecimal/],
  ['POST /commit?container=/c&repo=b&tag=1', '/commit?container=c&repo=docker.io%2Flibrary%2Fb&tag=1'],
  ['POST /commit?container=c', '/commit?container=c'],
  ['POST /build?t=a&t=b:1', '/build?t=docker.io%2Flibrary%2Fa%3Alatest&t=docker.io%2Flibrary%2Fb%3A1'],
  [
    'POST /build?t=a&cachefrom=["base","ab12"]',
    `/build?t=docker.io%2Flibrary%2Fa%3Alatest&cachefrom=${encodeURIComponent('["docker.io/library/base:latest","sha256:ab12"]')}`,
  ],
  ['GET /distribution/app/json', '/distribution/docker.io/library/app:latest/json'],
  ['GET /distribution/ab12/json', '/distribution/docker.io/library/ab12:latest/json'],
  ['POST /containers/create?name=/web', '/containers/create?name=web'],
  ['POST /containers/a/rename?name=/web', '/containers/a/rename?name=web'],
];

for (const [line, sent] of ROWS) {
  test(`toCall() ${typeof sent === 'string' ? 'sends' : 'refuses'} ${line}`, () => {
    const [method, target] = line.split(' ') as [string, string];
    const read = () => toCall(classify(method, target), undefined);
    if (typeof sent !== 'string') {
      assert.throws(
        read,
        (error: unknown) => error instanceof GatewayError && error.status === 400 && sent.test(error.message),
      );
      return;
    }
    const call = read();
    assert.equal(renderTarget(call), sent);
    // Read again it is the same, so a changed call keeps its form.
    assert.deepEqual(canonicalNames(call).query, call.query);
    assert.equal(renderTarget(toCall(classify(method, sent), undefined)), sent);
  });
}

test('classify() takes a pull for a pull and an import for an import, as the engine does, and neither for both', () => {
  for (const [query, action] of [
    ['fromImage=a', 'image.pull'],
    ['fromImage=a&fromSrc=', 'image.pull'],
    ['fromSrc=-', 'image.import'],
    ['fromSrc=-&fromImage=', 'image.import'],
    ['fromSrc=http://x/y', 'image.import'],
    ['', 'image.import'],
  ] as const) {
    assert.equal(classify('POST', `/images/create?${query}`).action, action, query);
  }
  for (const query of ['fromSrc=-&fromImage=a', 'fromImage=a&fromSrc=-', 'fromImage=a&repo=b&fromSrc=http%3A%2F%2Fx']) {
    assert.throws(() => classify('POST', `/images/create?${query}`), { code: 'query-ambiguous' }, query);
  }
});
