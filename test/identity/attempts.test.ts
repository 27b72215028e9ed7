// Failed attempts by source: how many, for how long, and that strangers cannot fill the memory.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createAttemptLimit, MAX_FAILURES } from '../../src/identity/attempts.ts';

describe('createAttemptLimit()', () => {
  it('createAttemptLimit() makes a source wait after 20 failures within a minute, and no other', () => {
    const attempts = createAttemptLimit(MAX_FAILURES);
    for (let i = 0; i < 20; i++) {
      assert.equal(attempts.waitS('a', 1000 + i), 0);
      attempts.count('a', 1000 + i);
    }
    assert.equal(attempts.waitS('a', 2000), 59);
    assert.equal(attempts.waitS('b', 2000), 0);
    assert.equal(attempts.waitS('a', 60_999), 1);
    assert.equal(attempts.waitS('a', 61_000), 0);
    attempts.count('a', 61_000);
    assert.equal(attempts.waitS('a', 61_001), 0);
  });

  it('the attempt limit locks no caller out when the clock is set back', () => {
    const attempts = createAttemptLimit(MAX_FAILURES);
    for (let i = 0; i < 20; i++) attempts.count('a', 3_600_000);
    assert.equal(attempts.waitS('a', 0), 0);
  });

  it('remembers a bounded number of sources, the active ones first', () => {
    const attempts = createAttemptLimit(MAX_FAILURES, 100);
    for (let i = 0; i < 20; i++) attempts.count('a', 0);
    for (let i = 0; i < 60; i++) attempts.count(`stranger-${i}`, 1);
    assert.ok(attempts.waitS('a', 2) > 0);
    for (let i = 0; i < 200; i++) attempts.count(`other-${i}`, 1);
    assert.equal(attempts.waitS('a', 2), 0);
  });
});
