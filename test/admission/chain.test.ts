// The plugin chain: order, changes judged again, and every way a plugin can break denies the call.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createPluginChain } from '../../src/admission/chain.ts';
import type { PluginHost } from '../../src/admission/hosts/host.ts';
import type { Plugin } from '../../src/admission/plugin.ts';
import type { EngineCall, Json } from '../../src/engine/types.ts';
import { GatewayError } from '../../src/errors.ts';
import { silentLogger } from '../../src/log.ts';
import type { Principal } from '../../src/policy/types.ts';
import { directHost } from '../support/plugin-host.ts';

const principal: Principal = {
  subject: 'ci',
  issuer: 'dockgate',
  groups: [],
  policies: [],
  channel: 'bearer',
  claims: { sub: 'ci' },
};

const call = (body: Json): EngineCall =>
  ({
    operation: {
      id: 'ContainerCreate',
      method: 'POST',
      path: '/containers/create',
      action: 'container.create',
      resource: 'container',
      class: 'write',
      stream: 'none',
      waits: false,
      body: 'ContainerCreateRequest',
      risk: ['escalates'],
      served: true,
      firstMinor: 2,
    },
    action: 'container.create',
    apiVersion: '1.43',
    path: {},
    query: { name: ['a'] },
    body,
    opaque: false,
    resources: [],
  }) as EngineCall;

const plugin = (name: string, hooks: Partial<Plugin>): PluginHost =>
  directHost({
    meta: { name, version: '1.0.0', apiVersion: 1, description: '' },
    match: { actions: ['container.create'] },
    ...hooks,
  });

const context = { auditId: 'id', principal, source: '127.0.0.1', at: 0 };

const admit = async (
  plugins: PluginHost[],
  body: Json = { Image: 'x' },
  reread?: (c: { body: unknown }) => EngineCall,
) => {
  const chain = createPluginChain(plugins, silentLogger);
  const mutated = await chain.mutate(call(body), context, (_call, changed) =>
    (reread ?? ((c) => ({ ...call(c.body as Json) })))(changed),
  );
  const { annotations, warnings } = await chain.validate(mutated.call, context);
  return { ...mutated, warnings, annotations: { ...mutated.annotations, ...annotations } };
};

const code = (expected: string) => (error: unknown) => error instanceof GatewayError && error.code === expected;

describe('the plugin chain', () => {
  it('concerns only the actions a plugin matches', () => {
    const chain = createPluginChain([plugin('a', { validate: () => ({ kind: 'pass' }) })], silentLogger);
    assert.equal(chain.concerns('container.create'), true);
    assert.equal(chain.concerns('container.list'), false);
  });

  it('mutators run in order and each change is read again', async () => {
    const seen: unknown[] = [];
    const admitted = await admit(
      [
        plugin('first', { mutate: () => [{ op: 'add', path: '/body/User', value: '1000' }] }),
        plugin('second', {
          mutate: (request) => {
            seen.push((request.body as { User?: string }).User);
            return [{ op: 'replace', path: '/body/User', value: '1001' }];
          },
        }),
      ],
      { Image: 'x' },
    );
    assert.deepEqual(seen, ['1000']);
    assert.equal((admitted.call.body as { User?: string }).User, '1001');
    assert.deepEqual(
      admitted.changes.map((c) => c.plugin),
      ['first', 'second'],
    );
  });

  it('a mutator that names resources is asked about the call as those before and behind it left it', async () => {
    const named = (image: string) => ({
      ...call({ Image: image }),
      resources: [{ kind: 'image', name: image, at: 'Image', role: 'uses' }] as EngineCall['resources'],
    });
    const asked: string[] = [];
    const scoped = (name: string, pattern: string, to: string) =>
      directHost({
        meta: { name, version: '1.0.0', apiVersion: 1, description: '' },
        match: { actions: ['container.create'], resources: [`image/${pattern}`] },
        mutate: ({ body }: { body: { Image: string } }) => {
          asked.push(`${name} ${body.Image}`);
          return body.Image === to ? [] : [{ op: 'replace', path: '/body/Image', value: to }];
        },
      });
    const reread = (_call: EngineCall, { body }: { body: unknown }) => named((body as { Image: string }).Image);
    for (const [plugins, expected] of [
      [
        [scoped('first', 'a', 'b'), scoped('second', 'b', 'c')],
        ['first a', 'second b'],
      ],
      [
        [scoped('late', 'b', 'c'), scoped('first', 'a', 'b')],
        ['first a', 'late b'],
      ],
      [[scoped('first', 'a', 'b'), scoped('other', 'a', 'x')], ['first a']],
    ] as const) {
      asked.length = 0;
      await createPluginChain(plugins, silentLogger).mutate(named('a'), context, reread);
      assert.deepEqual(asked, expected);
    }
  });

  it('a change that cannot be read again ends the call with the reader’s reason', async () => {
    await assert.rejects(
      admit([plugin('wide', { mutate: () => [{ op: 'add', path: '/body/Privileged', value: true }] })], {}, () => {
        throw new GatewayError('body-malformed', 'no');
      }),
      code('body-malformed'),
    );
  });

  it('the first denial in configured order wins, whichever answers first', async () => {
    const slow = plugin('slow', {
      validate: async () => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        return { kind: 'deny', code: 'one', message: 'first' };
      },
    });
    const fast = plugin('fast', { validate: () => ({ kind: 'deny', code: 'two', message: 'second' }) });
    await assert.rejects(admit([slow, fast]), /denied by plugin slow: first/);
  });

  for (const [title, hooks] of [
    [
      'throws',
      {
        validate: () => {
          throw new Error('secret');
        },
      },
    ],
    ['rejects', { validate: () => Promise.reject(new Error('secret')) }],
    ['answers nothing', { validate: () => undefined }],
    ['answers another shape', { validate: () => ({ kind: 'allow' }) }],
    ['answers true', { validate: () => true }],
    ['changes something outside body and query', { mutate: () => [{ op: 'replace', path: '/action', value: 'x' }] }],
    ['changes the whole body', { mutate: () => [{ op: 'replace', path: '/body', value: {} }] }],
    ['changes what is not there', { mutate: () => [{ op: 'replace', path: '/body/Nope', value: 1 }] }],
    ['returns a change without a value', { mutate: () => [{ op: 'add', path: '/body/F', value: () => 1 }] }],
    ['returns no list', { mutate: () => ({}) }],
    ['never answers', { validate: () => new Promise(() => {}) }],
    [
      'writes to the frozen request',
      {
        validate: (r: { body: { Image: string } }) => {
          r.body.Image = 'y';
          return { kind: 'pass' };
        },
      },
    ],
  ] as const) {
    it(`a plugin that ${title} denies the call and tells no secret`, async () => {
      await assert.rejects(admit([plugin('bad', hooks as unknown as Partial<Plugin>)]), (error: unknown) => {
        assert.ok(error instanceof GatewayError);
        assert.equal(error.code, 'plugin-failed');
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
    });
  }

  it('warnings and annotations reach the result', async () => {
    const admitted = await admit([
      plugin('soft', {
        validate: (_request, context) => {
          context.annotate('why', 'x'.repeat(2000));
          return { kind: 'warn', message: 'old image' };
        },
      }),
    ]);
    assert.deepEqual(admitted.warnings, ['soft: old image']);
    assert.equal(admitted.annotations['soft/why']?.length, 1024);
  });
});
