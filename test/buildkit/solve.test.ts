// Which requests pass for a client's question of what the engine can do, and so have no audit record until a part of a build comes.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Owner } from '../../src/buildkit/owner.ts';
import { type Message, readMessage, textMapOf } from '../../src/buildkit/protobuf.ts';
import { readControlSolve } from '../../src/buildkit/solve.ts';

const owner = new Owner(new Uint8Array(32), { issuer: 'i', subject: 's' });
const isProbe = (request: Message) => readControlSolve({ Ref: 'r1', Internal: true, ...request }, owner).isProbe;

describe('the host that marks steps', () => {
  const granted = {
    grant: { sources: ['*'], frontends: ['*'], network: true, secrets: [], ssh: [], contexts: [] },
    policy: undefined,
    labels: {},
    readsCaches: true,
  };
  for (const hosts of ['', '"', '\n', 'a.test=192.0.2.9', `",${owner.cacheHost}=1.2.3.4`]) {
    it(`stands before what a client gives: ${JSON.stringify(hosts.slice(0, 20))}`, () => {
      const read = readControlSolve({ Ref: 'r1', FrontendAttrs: new Map([['add-hosts', hosts]]) }, owner);
      const sent = readMessage('moby.buildkit.v1.SolveRequest', read.render(granted));
      const [first, ...rest] = (textMapOf(sent, 'FrontendAttrs').get('add-hosts') ?? '').split(',');
      assert.equal(first, `${owner.cacheHost}=192.0.2.1`);
      assert.equal(rest.join(','), hosts);
    });
  }
  it('is another for another identity and tenant, and one for all of a tenant', () => {
    const hostOf = (subject: string, tenant?: string) =>
      new Owner(new Uint8Array(32), { issuer: 'i', subject, ...(tenant === undefined ? {} : { tenant }) }).cacheHost;
    assert.equal(new Set([hostOf('a'), hostOf('b'), hostOf('a', 't'), hostOf('a', 'u')]).size, 4);
    assert.equal(hostOf('a', 't'), hostOf('b', 't'));
  });
});

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
