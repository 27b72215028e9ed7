// Query parameters real clients send that the engine does not read: which are dropped, which are refused.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { classify } from '../../src/engine/classify.ts';
import { renderTarget } from '../../src/engine/render-target.ts';

const rows: readonly (readonly [title: string, line: string, sent: string | undefined])[] = [
  ['dockerode repeats a volume in the query', 'POST /volumes/create?Name=v&Driver=local', '/volumes/create'],
  ['dockerode repeats a network in the query', 'POST /networks/create?Name=n&Internal=true', '/networks/create'],
  ['a name no field of the body has', 'POST /volumes/create?Nam=v', undefined],
  ['a field of the body in another case', 'POST /volumes/create?name=v', undefined],
  ['a field of another body', 'POST /volumes/create?Internal=true', undefined],
  ['docker-py tags with force', 'POST /images/x/tag?repo=y&tag=1&force=0', '/images/x/tag?repo=y&tag=1&force=0'],
  ['an unknown parameter of a tag', 'POST /images/x/tag?repo=y&tag=1&forced=0', undefined],
  [
    'the CLI gives security options of a build one by one',
    'POST /build?securityopt=seccomp%3Dunconfined&securityopt=x',
    '/build?securityopt=seccomp%3Dunconfined&securityopt=x',
  ],
];

describe('classify() on query parameters nobody reads', () => {
  for (const [title, line, sent] of rows) {
    it(`${title} is ${sent === undefined ? 'refused' : 'read'}`, () => {
      const [method, target] = line.split(' ') as [string, string];
      if (sent === undefined) assert.throws(() => classify(method, target), { code: 'query-unknown' });
      else assert.equal(renderTarget(classify(method, target)), sent);
    });
  }
});
