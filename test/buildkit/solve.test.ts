// Which requests pass for a client's question of what the engine can do, and so have no audit record until a part of a build comes.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Owner } from '../../src/buildkit/owner.ts';
import type { Message } from '../../src/buildkit/protobuf.ts';
import { readControlSolve } from '../../src/buildkit/solve.ts';

const owner = new Owner(new Uint8Array(32), { issuer: 'i', subject: 's' });
const isProbe = (request: Message) => readControlSolve({ Ref: 'r1', Internal: true, ...request }, owner).isProbe;

describe('a probe', () => {
  it('asks for nothing', () => {
    assert.equal(isProbe({}), true);
    assert.equal(isProbe({ Session: 's1', Cache: {} }), true);
    assert.equal(isProbe({ Internal: false }), false);
  });
  for (const [title, request] of [
    ['a frontend', { Frontend: 'dockerfile.v0' }],
    ['steps', { Definition: { def: [] } }],
    ['inputs', { FrontendInputs: new Map([['a', {}]]) }],
    ['an entitlement', { Entitlements: ['network.host'] }],
    ['an exporter', { Exporters: [{ Type: 'image' }] }],
    ['a cache', { Cache: { Imports: [{ Type: 'local' }] } }],
    ['a context', { FrontendAttrs: new Map([['context', 'https://h.test/a.tar']]) }],
  ] as const) {
    it(`has not ${title}`, () => assert.equal(isProbe(request), false));
  }
});
