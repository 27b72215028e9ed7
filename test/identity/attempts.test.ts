// Failed attempts by source: how many, for how long, and that strangers cannot fill the memory.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFailedAttempts } from '../../src/identity/attempts.ts';

describe('createFailedAttempts()', () => {
  it('makes a source wait after 20 failures within a minute, and no other', () => {
    const attempts = createFailedAttempts();
    for (let i = 0; i < 20; i++) {
      assert.equal(attempts.waitS('a', 1000 + i), 0);
      attempts.failed('a', 1000 + i);
    }
    assert.equal(attempts.waitS('a', 2000), 59);
    assert.equal(attempts.waitS('b', 2000), 0);
    assert.equal(attempts.waitS('a', 60_999), 1);
    assert.equal(attempts.waitS('a', 61_000), 0);
    attempts.failed('a', 61_000);
    assert.equal(attempts.waitS('a', 61_001), 0);
  });

  it('locks nobody out when the clock is set back', () => {
    const attempts = createFailedAttempts();
    for (let i = 0; i < 20; i++) attempts.failed('a', 3_600_000);
    assert.equal(attempts.waitS('a', 0), 0);
  });

  it('remembers a bounded number of sources, the active ones first', () => {
    const attempts = createFailedAttempts(100);
    for (let i = 0; i < 20; i++) attempts.failed('a', 0);
    for (let i = 0; i < 60; i++) attempts.failed(`stranger-${i}`, 1);
    assert.ok(attempts.waitS('a', 2) > 0);
    for (let i = 0; i < 200; i++) attempts.failed(`other-${i}`, 1);
    assert.equal(attempts.waitS('a', 2), 0);
  });
});
