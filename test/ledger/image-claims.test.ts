// Whose an image is when several tenants have it by different references. The engine is a stand-in: each case is one image of its.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { givesOthersName, isTakenByCalls, removable } from '../../src/gateway/tenancy/images.ts';
import { learnImages, learnPull } from '../../src/gateway/tenancy/learn.ts';
import { reconcile } from '../../src/gateway/tenancy/reconcile.ts';
import { type TenancyState, TenantCall } from '../../src/gateway/tenancy/tenant-call.ts';
import type { LedgerEntry } from '../../src/ledger/entry.ts';
import { Holds } from '../../src/ledger/holds.ts';
import { AUDIT_LABEL, OWNER_LABEL, TENANT_LABEL } from '../../src/ledger/labels.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { isWithheld } from '../../src/ledger/withheld.ts';
import { entry, idOf } from './entries.ts';

const ID = `sha256:${idOf('a')}`;
const DIGEST = `r.test/app@sha256:${idOf('d')}`;
const TAG = 'r.test/app:1';
const parent = { parent: ID };

interface Image {
  readonly tags?: readonly string[];
  readonly digests?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
}

/** What red's calls stand on, with an engine whose one image this is. */
function stateOf(entries: readonly LedgerEntry[], { tags = [], digests = [], labels = {} }: Image): TenancyState {
  const shown = { Id: ID, RepoTags: tags, RepoDigests: digests, Config: { Labels: labels } };
  return {
    ledger: new Ledger(entries),
    holds: new Holds(),
    underWay: new Set<string>(),
    limitsOf: () => undefined,
    isShared: () => false,
    engine: { fetchJson: () => Promise.resolve({ status: 200, body: Buffer.from(JSON.stringify(shown)) }) },
  } as unknown as TenancyState;
}
const callOf = (state: TenancyState): TenantCall =>
  new TenantCall({ tenant: 'red', subject: 'alice', auditId: 'call', atMs: 2000 }, state);

describe('an image is removed by a tenant', () => {
  const own = entry('red', 'image', TAG, parent);
  const byId = entry('blue', 'image', ID, parent);
  const byDigest = entry('blue', 'image', DIGEST, { ...parent, isPulled: true });
  const alias = entry('blue', 'image', DIGEST, { ...parent, name: 'r.test/app:2', isPulled: true });
  const other = entry('blue', 'image', 'r.test/other:1', parent);
  const image: Image = { tags: [TAG], digests: [DIGEST] };
  const cases: readonly (readonly [
    why: string,
    reference: string,
    entries: LedgerEntry[],
    image: Image,
    may: boolean,
  ])[] = [
    ['alone', TAG, [own], image, true],
    ['alone, by its id', ID, [own], image, true],
    ['whose id another has', TAG, [own, byId], image, false],
    ['whose id another has, by its id', ID, [own, byId], image, false],
    ['whose digest another has', TAG, [own, byDigest], image, false],
    ['which another has under a name of its own', TAG, [own, alias], image, false],
    ['whose id another has too, without names', ID, [entry('red', 'image', ID, parent), byId], {}, false],
    ['while another tag keeps it', TAG, [own, byId, other], { tags: [TAG, 'r.test/other:1'], digests: [DIGEST] }, true],
    [
      'while a tag of the repository keeps the digest',
      TAG,
      [own, byDigest],
      { ...image, tags: [TAG, 'r.test/app:3'] },
      true,
    ],
    [
      'while only another repository keeps it',
      TAG,
      [own, byDigest, other],
      { ...image, tags: [TAG, 'r.test/other:1'] },
      false,
    ],
  ];
  for (const [why, reference, entries, engine, may] of cases) {
    it(`${may ? 'yes' : 'no'}: ${why}`, async () => {
      const removing = removable(reference, callOf(stateOf(entries, engine)));
      if (may) await removing;
      else await assert.rejects(removing, { code: 'conflict' });
    });
  }
});

describe('a pull that gives an image of others', () => {
  const MINE = 'evil.test/x:1';
  const image: Image = { tags: [TAG, MINE], digests: [DIGEST, `evil.test/x@sha256:${idOf('d')}`] };
  const pulling = (name: string): LedgerEntry => entry('red', 'image', name, { state: 'pending', isPulled: true });
  const pull = async (pending: LedgerEntry, entries: readonly LedgerEntry[]): Promise<Ledger> => {
    const call = callOf(stateOf([...entries, pending], image));
    call.pending = [pending];
    for (const change of await learnPull(pending.id, call, new Set())) call.ledger.apply(change);
    return call.ledger;
  };

  it('a pull that gives an image of others is no claim from another repository, nor by its digest', async () => {
    for (const name of [MINE, `evil.test/x@sha256:${idOf('d')}`]) {
      const ledger = await pull(pulling(name), [entry('blue', 'image', TAG, parent)]);
      assert.equal(ledger.owned('red', 'image', name), undefined, name);
      assert.ok(ledger.imageHolders(ID).every(({ tenant }) => tenant === 'blue'));
    }
  });
  it('a pull that gives an image of others is one from the same repository, and of what the tenant has already', async () => {
    const same = 'r.test/app:2';
    assert.ok((await pull(pulling(same), [entry('blue', 'image', TAG, parent)])).owned('red', 'image', same));
    const both = [entry('blue', 'image', TAG, parent), entry('red', 'image', ID, parent)];
    assert.ok((await pull(pulling(MINE), both)).owned('red', 'image', MINE));
  });
  it('a pull that gives an image of others ends a claim that was there before, which keeps what it meant', async () => {
    const before = `sha256:${idOf('b')}`;
    const live = entry('red', 'image', MINE, { parent: before, isPulled: true });
    const ledger = await pull(live, [entry('blue', 'image', TAG, parent)]);
    assert.equal(ledger.owned('red', 'image', MINE), undefined);
    assert.ok(ledger.owned('red', 'image', before));
  });
});

describe('a name a call was to give', () => {
  const built = entry('red', 'image', TAG, { state: 'pending' });
  const marked = { [AUDIT_LABEL]: built.auditId };
  const byBuildKit = { [TENANT_LABEL]: 'red', [OWNER_LABEL]: 'red-user' };
  const settled = async (pending: LedgerEntry, image: Image, before: readonly LedgerEntry[] = []): Promise<Ledger> => {
    const state = stateOf([...before, pending], image);
    const { fetchJson } = state.engine;
    const engine = {
      fetchJson: async (asked: { readonly target: string }) =>
        /^\/(images\/json|networks|containers)/.test(asked.target)
          ? { status: 200, body: Buffer.from('[]') }
          : fetchJson(asked as never),
    };
    const changed = { ...state, engine, building: new Map(), builders: new Map() } as unknown as TenancyState;
    await reconcile(changed, (changes) => {
      for (const change of changes) changed.ledger.apply(change);
    });
    return changed.ledger;
  };
  const ended = async (pending: LedgerEntry, image: Image): Promise<Ledger> => {
    const call = callOf(stateOf([pending], image));
    call.pending = [pending];
    for (const change of await learnImages(undefined, call, 'build.run')) call.ledger.apply(change);
    return call.ledger;
  };

  it('a name a call was to give is the tenant’s with the mark of its call, as the image the call was about, and as BuildKit marks it', async () => {
    for (const after of [settled, ended]) {
      for (const labels of [marked, byBuildKit])
        assert.ok((await after(built, { tags: [TAG], labels })).owned('red', 'image', TAG));
      assert.ok((await after({ ...built, ...parent }, { tags: [TAG] })).owned('red', 'image', TAG));
    }
  });
  it('a name is not the tenant’s when the call failed and an operator made an image of that name meanwhile', async () => {
    for (const labels of [{}, { [AUDIT_LABEL]: 'another' }, { ...byBuildKit, [TENANT_LABEL]: 'blue' }]) {
      const ledger = await ended(built, { tags: [TAG], labels });
      assert.deepEqual(ledger.holders('image', TAG), []);
    }
  });
  it('a name is withheld from all when the outcome of its call is unknown and no label proves its owner', async () => {
    for (const pending of [built, { ...built, isPulled: true }, { ...built, parent: `sha256:${idOf('b')}` }]) {
      const ledger = await settled(pending, { tags: [TAG] });
      assert.equal(ledger.owned('red', 'image', TAG), undefined);
      assert.ok(ledger.holders('image', TAG).every(isWithheld) && ledger.holders('image', TAG).length === 1);
    }
  });
  it('a name a call was to give stays as it was where it was the tenant’s already, or a pull found what was there before', async () => {
    const live = entry('red', 'image', TAG, parent);
    const ledger = await settled(built, { tags: [TAG] }, [live]);
    assert.deepEqual(ledger.holders('image', TAG), [live]);
    const pulled = await settled({ ...built, ...parent, isPulled: true }, { tags: [TAG] });
    assert.deepEqual(pulled.holders('image', TAG), []);
  });
});

describe('a pull, and names others began to make while its registry was asked', () => {
  const making = entry('blue', 'image', TAG, { state: 'pending' });
  it('a pull does not go on over a name others began to make while its registry was asked, nor over one of its repository', () => {
    const ledger = new Ledger([making]);
    assert.equal(givesOthersName(TAG, 'red', ledger), true);
    assert.equal(givesOthersName('r.test/app', 'red', ledger), true);
  });
  it('a pull during which others began to make names goes on over its own, over what others pulled, and beside other repositories', () => {
    assert.equal(givesOthersName(TAG, 'blue', new Ledger([making])), false);
    assert.equal(givesOthersName('r.test/ap', 'red', new Ledger([making])), false);
    assert.equal(givesOthersName('r.test/app', 'red', new Ledger([{ ...making, isPulled: true }])), false);
  });
  it('a pull of a whole repository keeps others from making its names until it is over', () => {
    const state = stateOf([], {});
    const release = state.holds.hold('repository', 'r.test/app', 'red');
    assert.equal(isTakenByCalls('r.test/app:9', { state, tenant: 'blue' }), true);
    assert.equal(isTakenByCalls('r.test/app:9', { state, tenant: 'red' }), false);
    assert.equal(isTakenByCalls('r.test/app2:9', { state, tenant: 'blue' }), false);
    release();
    assert.equal(isTakenByCalls('r.test/app:9', { state, tenant: 'blue' }), false);
  });
});
