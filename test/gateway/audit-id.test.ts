// Audit ids are UUIDv7 that rise, also when many are made within one millisecond.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newAuditId } from '../../src/gateway/audit-id.ts';

test('newAuditId() gives UUIDv7 of now, each greater than the one before', () => {
  const before = Date.now();
  const ids = Array.from({ length: 10_000 }, newAuditId);
  const after = Date.now();
  for (const [i, id] of ids.entries()) {
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const at = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
    assert.ok(at >= before && at <= after, id);
    if (i > 0) assert.ok(id > (ids[i - 1] as string), `${ids[i - 1]} then ${id}`);
  }
});
