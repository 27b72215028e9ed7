// Shares, quotas and rates without an engine: what counts, what fits, and what a tenant is told.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readAmount, readAmounts } from '../../src/ledger/amounts.ts';
import type { LedgerEntry } from '../../src/ledger/entry.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { fullQuota, overQuota } from '../../src/ledger/quota.ts';
import { NO_SHARE, shareAfterUpdate, shareOfCreate } from '../../src/ledger/share.ts';
import { costOf, TokenBuckets } from '../../src/ledger/token-bucket.ts';
import { NO_USAGE, usageOverTime } from '../../src/ledger/usage.ts';

const GIB = 1024 ** 3;

describe('shareOfCreate()', () => {
  const cases: [string, Record<string, unknown>, Partial<typeof NO_SHARE>][] = [
    ['nothing said', {}, {}],
    ['memory and processes', { Memory: GIB, MemorySwap: GIB, PidsLimit: 100 }, { memory: GIB, pids: 100 }],
    ['no limit, in the ways the engine has', { Memory: 0, MemorySwap: -1, PidsLimit: -1, NanoCpus: 0 }, {}],
    ['as much swap as memory where none is said', { Memory: GIB }, { memory: GIB, swap: GIB }],
    ['memory and swap together', { Memory: GIB, MemorySwap: 3 * GIB }, { memory: GIB, swap: 2 * GIB }],
    ['swap without a limit', { Memory: GIB, MemorySwap: -1 }, { memory: GIB, swap: -1 }],
    ['CPUs as such', { NanoCpus: 1_500_000_000 }, { nanoCpus: 1.5e9 }],
    [
      'CPUs as quota and period',
      { CpuQuota: 50_000, CpuPeriod: 25_000 },
      { nanoCpus: 2e9, cpuQuota: 50_000, cpuPeriod: 25_000 },
    ],
    ['CPUs as quota alone', { CpuQuota: 50_000 }, { nanoCpus: 0.5e9, cpuQuota: 50_000 }],
    ['a period alone, which limits nothing', { CpuPeriod: 50_000 }, { cpuPeriod: 50_000 }],
    ['published ports', { PortBindings: { '80/tcp': [{ HostPort: '8080' }, {}], '81/tcp': [{}] } }, { ports: 3 }],
    [
      'a range as the one port the engine takes of it',
      { PortBindings: { '80/tcp': [{ HostPort: '1-9' }] } },
      { ports: 1 },
    ],
    [
      'ports without a binding, which some engines publish',
      { PortBindings: { '80/tcp': [], '81/tcp': null } },
      { ports: 2 },
    ],
    [
      'exact integers beyond 2^53',
      { Memory: 9_007_199_254_740_993n, MemorySwap: 9_007_199_254_740_993n },
      { memory: 9_007_199_254_740_992 },
    ],
  ];
  for (const [name, host, share] of cases) {
    it(`shareOfCreate() reads ${name}`, () =>
      assert.deepEqual(shareOfCreate({ HostConfig: host as never }), { ...NO_SHARE, ...share }));
  }
});

describe('shareAfterUpdate()', () => {
  const before = { ...NO_SHARE, memory: GIB, swap: GIB, nanoCpus: 1e9, pids: 100, ports: 1 };
  const cases: [string, Record<string, unknown>, Partial<typeof before>][] = [
    ['leaves what is not said', {}, {}],
    ['leaves memory and swap together what they were', { Memory: 2 * GIB }, { memory: 2 * GIB, swap: 0 }],
    ['gives less memory more swap then', { Memory: GIB / 2 }, { memory: GIB / 2, swap: 1.5 * GIB }],
    ['takes memory and swap', { Memory: 2 * GIB, MemorySwap: 5 * GIB }, { memory: 2 * GIB, swap: 3 * GIB }],
    ['takes swap alone', { MemorySwap: 4 * GIB }, { swap: 3 * GIB }],
    ['reads swap below 0 as no limit', { MemorySwap: -1 }, { swap: -1 }],
    ['reads 0 as no change, as the engine does', { Memory: 0, NanoCpus: 0, CpuQuota: 0 }, {}],
    ['reads PidsLimit 0 as no limit', { PidsLimit: 0 }, { pids: 0 }],
    ['reads PidsLimit null as no change', { PidsLimit: null }, {}],
    ['reads a negative CpuQuota as no limit', { CpuQuota: -1 }, { nanoCpus: 0 }],
  ];
  for (const [name, body, share] of cases) {
    it(name, () => assert.deepEqual(shareAfterUpdate(before, body as never), { ...before, ...share }));
  }
  it('puts the halves of a CPU limit together, whichever comes first', () => {
    const half = shareAfterUpdate({ ...NO_SHARE }, { CpuPeriod: 50_000 });
    assert.equal(half.nanoCpus, 0);
    assert.equal(shareAfterUpdate(half, { CpuQuota: 100_000 }).nanoCpus, 2e9);
    const quota = shareAfterUpdate({ ...NO_SHARE }, { CpuQuota: 100_000 });
    assert.equal(quota.nanoCpus, 1e9);
    const both = shareAfterUpdate(quota, { CpuPeriod: 25_000 });
    assert.equal(both.nanoCpus, 4e9);
    assert.equal(shareAfterUpdate(both, { CpuQuota: -1 }).nanoCpus, 0);
    assert.equal(shareAfterUpdate(both, { Memory: GIB }).nanoCpus, 4e9);
  });
  it('shareAfterUpdate() leaves swap without a limit what it is', () =>
    assert.equal(shareAfterUpdate({ ...before, swap: -1 }, { PidsLimit: 5 }).swap, -1));
});

const entry = (number: number, more: Partial<LedgerEntry> = {}): LedgerEntry => ({
  key: `a${number}/0`,
  kind: 'container',
  id: `id${number}`,
  name: `c${number}`,
  tenant: 'red',
  owner: 'alice',
  auditId: `a${number}`,
  state: 'live',
  createdAt: 1000,
  share: { ...NO_SHARE, memory: GIB, swap: GIB, nanoCpus: 5e8, pids: 10 },
  ...more,
});

describe('Ledger.usages', () => {
  it('Ledger.usages counts what is made and being made, and forgets what is removed or never came to be', () => {
    const ledger = new Ledger();
    ledger.apply(entry(1));
    ledger.apply(entry(2, { state: 'pending', id: '', isRunning: true }));
    ledger.apply(entry(3, { kind: 'volume', share: undefined }));
    ledger.apply(entry(4, { tenant: 'blue', owner: 'bob' }));
    assert.deepEqual(ledger.usages.of('red'), {
      ...NO_USAGE,
      containers: 2,
      running: 1,
      volumes: 1,
      memory: 2 * GIB,
      swap: 2 * GIB,
      cpus: 1e9,
      pids: 20,
    });
    ledger.apply(entry(2, { state: 'void' }));
    ledger.apply(entry(1, { state: 'removed', removedAt: 2000 }));
    assert.deepEqual(ledger.usages.of('red'), { ...NO_USAGE, volumes: 1 });
    assert.equal(ledger.usages.ofOwner('blue', 'bob').containers, 1);
    assert.equal(ledger.usages.ofOwner('red', 'bob').containers, 0);
  });
  it('Ledger.usages counts no swap where it has no limit', () => {
    const ledger = new Ledger();
    ledger.apply(entry(1, { share: { ...NO_SHARE, memory: GIB, swap: -1 } }));
    assert.equal(ledger.usages.of('red').swap, 0);
  });
  it('Ledger.usages counts an image once under all its names, for a tenant and for each identity', () => {
    const ledger = new Ledger();
    const named = (number: number, parent: string, bytes: number, more: Partial<LedgerEntry> = {}): LedgerEntry =>
      entry(number, { kind: 'image', parent, share: { ...NO_SHARE, bytes }, ...more });
    ledger.apply(named(1, 'sha256:a', 10));
    ledger.apply(named(2, 'sha256:a', 10));
    ledger.apply(named(3, 'sha256:a', 10, { owner: 'carol' }));
    ledger.apply(named(4, 'sha256:b', 5, { share: undefined }));
    ledger.apply(named(4, 'sha256:b', 5));
    ledger.apply(named(5, '', 7, { state: 'pending', parent: undefined }));
    const bytes = () => ledger.usages.of('red')['image-bytes'];
    assert.equal(bytes(), 15);
    assert.equal(ledger.usages.ofOwner('red', 'carol')['image-bytes'], 10);
    assert.ok(ledger.usages.hasImage('sha256:a', 'red') && !ledger.usages.hasImage('sha256:b', 'red', 'carol'));
    ledger.apply(named(1, 'sha256:a', 10, { state: 'removed' }));
    ledger.apply(named(2, 'sha256:a', 10, { state: 'removed' }));
    assert.equal(bytes(), 15);
    ledger.apply(named(3, 'sha256:a', 10, { state: 'removed', owner: 'carol' }));
    assert.equal(bytes(), 5);
    assert.equal(ledger.usages.ofOwner('red', 'carol')['image-bytes'], 0);
  });
  it('Ledger.usages counts an entry once, however often it is written', () => {
    const ledger = new Ledger();
    for (let i = 0; i < 3; i++) ledger.apply(entry(1));
    assert.equal(ledger.usages.of('red').containers, 1);
  });
});

describe('overQuota()', () => {
  const used = { ...NO_USAGE, containers: 19, memory: 3 * GIB };
  it('overQuota() lets the last one in and not the one after', () => {
    assert.equal(overQuota({ containers: 20 }, used, { containers: 1 }, 'tenant red'), undefined);
    assert.match(
      overQuota({ containers: 20 }, used, { containers: 2 }, 'tenant red') ?? '',
      /the quota of tenant red is 20 containers, 19 in use and 2 more asked for/,
    );
  });
  it('overQuota() tells amounts of memory as people write them', () =>
    assert.match(
      overQuota({ memory: 4 * GIB }, used, { memory: 2 * GIB }, 'tenant red') ?? '',
      /is 4 GiB of memory, 3 GiB in use and 2 GiB more/,
    ));
  it('overQuota() lets a tenant over its quota take less', () =>
    assert.equal(overQuota({ memory: GIB }, used, { memory: -1, containers: 0 }, 'tenant red'), undefined));
});

describe('fullQuota()', () => {
  it('fullQuota() leaves room for one more until all is in use', () => {
    const quota = { 'image-bytes': 4096 };
    const full = (bytes: number) =>
      fullQuota(quota, { ...NO_USAGE, 'image-bytes': bytes }, ['image-bytes'], 'tenant red');
    assert.equal(full(4095), undefined);
    assert.match(full(4096) ?? '', /the quota of tenant red is 4 KiB of images, and 4 KiB in use/);
    assert.equal(fullQuota({}, { ...NO_USAGE, 'image-bytes': 1 }, ['image-bytes'], ''), undefined);
  });
});

describe('TokenBuckets', () => {
  it('TokenBuckets gives what was saved up, then as much as flows in', () => {
    const buckets = new TokenBuckets();
    const take = (atMs: number) => buckets.take('a', 10, 1, atMs);
    for (let i = 0; i < 20; i++) assert.equal(take(0), 0);
    assert.equal(take(0), 100);
    assert.equal(take(99), 1);
    assert.equal(take(100), 0);
    assert.equal(buckets.take('b', 10, 1, 100), 0);
  });
  it('a clock that goes backwards gives nothing', () => {
    const buckets = new TokenBuckets();
    for (let i = 0; i < 20; i++) buckets.take('a', 10, 1, 5000);
    assert.ok(buckets.take('a', 10, 1, 1000) > 0);
  });
  it('TokenBuckets keeps a bounded number of buckets', () => {
    const buckets = new TokenBuckets();
    for (let i = 0; i < 30_000; i++) buckets.take(`k${i}`, 1, 1, 0);
    assert.equal(buckets.take('k29999', 1, 1, 0), 0);
  });
  it('a call that costs more than the burst is let through now and then', () => {
    const buckets = new TokenBuckets();
    assert.equal(buckets.take('a', 1, 5, 0), 0);
    assert.equal(buckets.take('a', 1, 5, 1000), 4000);
    assert.equal(buckets.take('a', 1, 5, 5000), 0);
  });
  it('changes and streams cost more', () =>
    assert.deepEqual(
      [
        costOf({ class: 'read', stream: 'none' }),
        costOf({ class: 'write', stream: 'none' }),
        costOf({ class: 'write', stream: 'hijack' }),
      ],
      [1, 2, 5],
    ));
});

describe('readAmounts()', () => {
  it('readAmounts() reads units', () => {
    assert.equal(readAmount('memory', '32GiB'), 32 * GIB);
    assert.equal(readAmount('swap', '0'), 0);
    assert.equal(readAmount('cpus', '1.5'), 1.5e9);
    assert.equal(readAmount('containers', '40'), 40);
    assert.equal(readAmount('containers', '0'), 0);
  });
  for (const [key, value] of [
    ['memory', '4GB'],
    ['memory', '-1'],
    ['cpus', 'NaN'],
    ['containers', '1.5'],
    ['containers', '-1'],
    ['rate', '0'],
    ['pids', '1e3'],
  ] as const) {
    it(`readAmounts() refuses ${key}=${value}`, () => assert.equal(readAmount(key, value), undefined));
  }
  it('readAmounts() tells every fault', () =>
    assert.deepEqual(readAmounts({ container: '1', memory: 'much', cpus: null }).problems.length, 2));
});

describe('usageOverTime()', () => {
  it('usageOverTime() says what was there at each moment', () => {
    const points = usageOverTime(
      [
        { kind: 'container', createdAt: 10, removedAt: 30, share: { ...NO_SHARE, memory: GIB } },
        { kind: 'volume', createdAt: 20, share: undefined, parent: undefined, removedAt: undefined },
        { kind: 'image', createdAt: 20, parent: 'sha256:a', share: { ...NO_SHARE, bytes: 5 } },
        { kind: 'image', createdAt: 20, removedAt: 40, parent: 'sha256:a', share: { ...NO_SHARE, bytes: 5 } },
      ],
      0,
      40,
      10,
    );
    assert.deepEqual(
      points.map(({ at, usage }) => [at, usage.containers, usage.volumes, usage.memory / GIB, usage['image-bytes']]),
      [
        [0, 0, 0, 0, 0],
        [10, 1, 0, 1, 0],
        [20, 1, 1, 1, 5],
        [30, 0, 1, 0, 5],
        [40, 0, 1, 0, 5],
      ],
    );
  });
});
