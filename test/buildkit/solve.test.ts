// Which requests pass for a client's question of what the engine can do, and so have no audit record until a part of a build comes.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Refusal } from '../../src/buildkit/grpc.ts';
import { Owner } from '../../src/buildkit/owner.ts';
import { type Message, messageOf, messagesOf, readMessage, textMapOf, textsOf } from '../../src/buildkit/protobuf.ts';
import { readControlSolve } from '../../src/buildkit/solve.ts';

const owner = new Owner(new Uint8Array(32), { issuer: 'i', subject: 's' });
const isProbe = (request: Message) => readControlSolve({ Ref: 'r1', Internal: true, ...request }, owner).isProbe;

const granted = {
  grant: { sources: ['*'], frontends: ['*'], network: true, secrets: [], ssh: [], contexts: [] },
  policy: undefined,
  labels: {},
  readsCaches: true,
};

describe('the host that marks steps', () => {
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

describe('images in options', () => {
  const options = (given: Readonly<Record<string, string>>, frontend = 'dockerfile.v0') => {
    const request = { Ref: 'r1', Frontend: frontend, FrontendAttrs: new Map(Object.entries(given)) };
    const sent = readMessage('moby.buildkit.v1.SolveRequest', readControlSolve(request, owner).render(granted));
    return Object.fromEntries(textMapOf(sent, 'FrontendAttrs'));
  };
  it('go to the engine in the form that was judged', () => {
    for (const [key, given, judged] of [
      ['context', 'docker-image://index.docker.io/app', 'docker-image://docker.io/library/app:latest'],
      ['context:x', 'docker-image:app:1', 'docker-image://docker.io/library/app:1'],
      ['context:x', 'docker-image://scratch', 'docker-image://scratch'],
      ['cmdline', ' docker/dockerfile:1 a b ', 'docker.io/docker/dockerfile:1 a b'],
      ['source', 'docker/dockerfile', 'docker.io/docker/dockerfile:latest'],
      ['build-arg:BUILDKIT_SYNTAX', 'docker/dockerfile:1', 'docker.io/docker/dockerfile:1'],
      ['override-copy-image', 'app', 'docker.io/library/app:latest'],
      ['cache-from', 'app,index.docker.io/a/b:2', 'docker.io/library/app:latest,docker.io/a/b:2'],
      ['attest:sbom', 'generator=docker/scanner,x=1', 'generator=docker.io/docker/scanner:latest,x=1'],
      ['attest:sbom', ' GENERATOR = docker/scanner', 'generator=docker.io/docker/scanner:latest'],
    ] as const)
      assert.equal(options({ [key]: given })[key], judged, `${key} ${given}`);
    assert.equal(options({ source: 'docker/dockerfile' }, 'gateway.v0').source, 'docker.io/docker/dockerfile:latest');
  });
  it('images in options that could be read in two ways are refused', () => {
    for (const value of ['"generator=evil/x"', 'generator=a\nb']) {
      assert.throws(() => options({ 'attest:sbom': value }), Refusal);
    }
  });
  it('images in options of exporters and caches are read too', () => {
    const request: Message = {
      Ref: 'r1',
      Exporters: [{ Type: 'image', Attrs: new Map([['name', 'app,a/b:2']]) }],
      Cache: { Imports: [{ Type: 'registry', Attrs: new Map([['ref', 'app']]) }], ImportRefsDeprecated: ['app'] },
    };
    const sent = readMessage('moby.buildkit.v1.SolveRequest', readControlSolve(request, owner).render(granted));
    const [exporter] = messagesOf(sent, 'Exporters');
    assert.equal(textMapOf(exporter ?? {}, 'Attrs').get('name'), 'docker.io/library/app:latest,docker.io/a/b:2');
    const cache = messageOf(sent, 'Cache') ?? {};
    assert.equal(textMapOf(messagesOf(cache, 'Imports')[0] ?? {}, 'Attrs').get('ref'), 'docker.io/library/app:latest');
    assert.deepEqual(textsOf(cache, 'ImportRefsDeprecated'), ['docker.io/library/app:latest']);
    const without = readMessage(
      'moby.buildkit.v1.SolveRequest',
      readControlSolve(request, owner).render({ ...granted, readsCaches: false }),
    );
    assert.equal(messagesOf(messageOf(without, 'Cache') ?? {}, 'Imports').length, 0);
    assert.equal(textsOf(messageOf(without, 'Cache') ?? {}, 'ImportRefsDeprecated').length, 0);
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
