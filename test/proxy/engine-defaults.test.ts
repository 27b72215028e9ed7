// What the engine fills in for a container is learned of images no caller chose, and kept. The engine is a stand-in.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EngineClient } from '../../src/proxy/engine-client.ts';
import { createEngineDefaults } from '../../src/proxy/engine-defaults.ts';

interface Asked {
  readonly method: string;
  readonly target: string;
  readonly body?: Uint8Array | undefined;
}

/** An engine with images, of which only some can be made a container of. */
function standIn(images: readonly { readonly Id: string; readonly Created: number; readonly Labels?: object }[]) {
  const state = {
    works: (_id: string): boolean => true,
    version: 1,
    isSilent: false,
    asked: [] as Asked[],
    tried: [] as string[],
  };
  const answer = (asked: Asked): { status: number; value: unknown } => {
    const { method, target } = asked;
    if (target.startsWith('/info')) return { status: 200, value: { ID: 'e', ServerVersion: `${state.version}` } };
    if (target.startsWith('/version'))
      return state.isSilent
        ? { status: 500, value: {} }
        : { status: 200, value: { Components: [], ApiVersion: '1.51' } };
    if (target.startsWith('/images/json')) return { status: 200, value: images };
    if (target.startsWith('/containers/create')) {
      const { Image } = JSON.parse(Buffer.from(asked.body ?? []).toString()) as { Image: string };
      state.tried.push(Image);
      if (Image === 'slow') throw new Error('the answer was late');
      return { status: state.works(Image) ? 201 : 500, value: {} };
    }
    if (method === 'GET' && target.startsWith('/containers/json')) return { status: 200, value: [] };
    if (method === 'GET') return { status: 200, value: { HostConfig: { Runtime: `runc-${state.version}` } } };
    return { status: 204, value: null };
  };
  const engine = {
    fetchJson: (asked: Asked) => {
      state.asked.push(asked);
      return new Promise((resolve) => {
        const { status, value } = answer(asked);
        resolve({ status, headers: [], body: Buffer.from(JSON.stringify(value)) });
      });
    },
  } as unknown as EngineClient;
  return { state, engine };
}

describe('defaults of the engine', () => {
  const many = [5, 4, 3, 2, 1].map((n) => ({ Id: `sha256:new${n}`, Created: 1000 + n }));

  it('defaults of the engine are learned of the oldest image no tenant has, whatever tenants make, load or date back', async () => {
    const { state, engine } = standIn([
      ...many,
      { Id: 'sha256:loaded', Created: 1 },
      { Id: 'sha256:built', Created: 2, Labels: { 'dockgate.tenant': 'red' } },
      { Id: 'sha256:base', Created: 3 },
    ]);
    const defaults = createEngineDefaults(engine, { isTenants: (id) => id === 'sha256:loaded' });
    assert.equal((await defaults.of())?.Runtime, 'runc-1');
    assert.deepEqual(state.tried, ['sha256:base']);
  });

  it('defaults of the engine are kept while the engine is the same one, though none of its images works any more', async () => {
    let now = 0;
    const { state, engine } = standIn(many);
    const defaults = createEngineDefaults(engine, { now: () => now });
    await defaults.of();
    state.works = () => false;
    now += 60 * 60_000;
    assert.equal((await defaults.of())?.Runtime, 'runc-1');
    // Another engine is another matter: then nothing counts as its default.
    state.version = 2;
    now += 60 * 60_000;
    assert.equal(await defaults.of(), undefined);
  });

  it('defaults of the engine are learned though the first images are damaged, and leave no container where an answer came late', async () => {
    const { state, engine } = standIn([
      { Id: 'sha256:bad', Created: 1 },
      { Id: 'sha256:good', Created: 2 },
    ]);
    state.works = (id) => id === 'sha256:good';
    assert.equal((await createEngineDefaults(engine).of())?.Runtime, 'runc-1');

    const late = standIn([{ Id: 'slow', Created: 1 }]);
    assert.equal(await createEngineDefaults(late.engine).of(), undefined);
    const name = /name=([\w-]+)/.exec(late.state.asked.find(({ method }) => method === 'POST')?.target ?? '')?.[1];
    assert.ok(late.state.asked.some(({ method, target }) => method === 'DELETE' && target.includes(name ?? '?')));
  });

  it('defaults and kind of an engine are asked again where it did not tell', async () => {
    const { state, engine } = standIn([]);
    const defaults = createEngineDefaults(engine);
    state.isSilent = true;
    await assert.rejects(defaults.kind(), { code: 'engine-unreachable' });
    state.isSilent = false;
    assert.equal(await defaults.kind(), 'docker');
  });
});
