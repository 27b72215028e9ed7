// What the audit keeps of a part of a call, such as a plugin's change: the place always, the value by the rule of its field.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Masking } from '../../src/audit/masking.ts';
import type { Json } from '../../src/plugin.ts';

const masking = new Masking(Buffer.alloc(32, 7));
const hash = (secret: string) => masking.hash(secret);

describe('Masking.at()', () => {
  const cases: readonly (readonly [string, Json, Json])[] = [
    ['/body/Env/-', 'PASSWORD=hunter2', `PASSWORD=${hash('hunter2')}`],
    ['/body/Env/0', 'A=1', `A=${hash('1')}`],
    ['/body/Env', ['A=1', 'B'], [`A=${hash('1')}`, 'B']],
    ['/query/buildargs', ['{"A":"1"}'], [`{"A":"${hash('1')}"}`]],
    ['/query/buildargs/0', '{"A":"1"}', `{"A":"${hash('1')}"}`],
    ['/query/remote/0', 'https://u:p@h/x', `https://${hash('u')}:${hash('p')}@h/x`],
    ['/query/t/0', 'app:1', 'app:1'],
    ['/body/Data', 'c2VjcmV0', '[removed]'],
    ['/body/TaskTemplate/ContainerSpec', { Image: 'x', Env: ['A=1'] }, { Image: 'x', Env: [`A=${hash('1')}`] }],
    ['/body/HostConfig/Memory', 5, 5],
    ['/body/Labels/owner', 'red', 'red'],
    ['/body/Labels/db-password', 'red', hash('red')],
    ['/body/Labels/0', 'red', 'red'],
    ['/body/Unheard', 'of', hash('of')],
    ['/body/Unheard/0/Of', 'it', hash('it')],
  ];
  for (const [pointer, value, kept] of cases) {
    it(`${pointer} ${JSON.stringify(value)}`, () => {
      // Masked objects have no prototype: what counts is the JSON of them.
      assert.deepEqual(JSON.parse(JSON.stringify(masking.at('container.create', pointer, value))), kept);
    });
  }
  it('Masking.at() keeps nothing of a body that is a secret as a whole', () => {
    assert.equal(masking.at('swarm.unlock', '/body/UnlockKey', 'x'), '[removed]');
    assert.equal(masking.at('swarm.unlock', '/body', 'x'), '[removed]');
  });
});

describe('Masking.name()', () => {
  for (const name of [
    'docker.io/library/app-secret:1',
    'token:latest',
    'secret-registry:5000/password:2.0',
    `docker.io/library/api-key@sha256:${'a'.repeat(64)}`,
  ])
    it(`Masking.name() keeps the reference ${name}`, () => assert.equal(masking.name('image', name), name));

  it('masks what is none', () => {
    for (const [kind, name] of [
      ['image', 'https://ci:hunter2@registry.example/app'],
      ['image', 'password=hunter2'],
      ['container', 'password=hunter2'],
      ['image', 'app:ghp_hunter2hunter2hunter2'],
    ] as const)
      assert.doesNotMatch(masking.name(kind, name), /hunter2/, name);
  });
});
