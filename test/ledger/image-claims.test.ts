// Whose an image is when several tenants have it by different references. The engine is a stand-in: each case is one image of its.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { removable } from '../../src/gateway/tenancy/images.ts';
import { learnPull } from '../../src/gateway/tenancy/learn.ts';
import { type TenancyState, TenantCall } from '../../src/gateway/tenancy/tenant-call.ts';
import type { LedgerEntry } from '../../src/ledger/entry.ts';
import { Holds } from '../../src/ledger/holds.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
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
    for (const change of await learnPull(pending.id, call)) call.ledger.apply(change);
    return call.ledger;
  };

  it('is no claim from another repository, nor by its digest', async () => {
    for (const name of [MINE, `evil.test/x@sha256:${idOf('d')}`]) {
      const ledger = await pull(pulling(name), [entry('blue', 'image', TAG, parent)]);
      assert.equal(ledger.owned('red', 'image', name), undefined, name);
      assert.ok(ledger.imageHolders(ID).every(({ tenant }) => tenant === 'blue'));
    }
  });
  it('is one from the same repository, and of what the tenant has already', async () => {
    const same = 'r.test/app:2';
    assert.ok((await pull(pulling(same), [entry('blue', 'image', TAG, parent)])).owned('red', 'image', same));
    const both = [entry('blue', 'image', TAG, parent), entry('red', 'image', ID, parent)];
    assert.ok((await pull(pulling(MINE), both)).owned('red', 'image', MINE));
  });
  it('ends a claim that was there before, which keeps what it meant', async () => {
    const before = `sha256:${idOf('b')}`;
    const live = entry('red', 'image', MINE, { parent: before, isPulled: true });
    const ledger = await pull(live, [entry('blue', 'image', TAG, parent)]);
    assert.equal(ledger.owned('red', 'image', MINE), undefined);
    assert.ok(ledger.owned('red', 'image', before));
  });
});
