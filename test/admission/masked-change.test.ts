// What the audit keeps of a plugin's change: the place always, the value unless it may be a secret.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { maskedChange } from '../../src/admission/request.ts';
import type { Json } from '../../src/plugin.ts';

describe('a change in the audit', () => {
  for (const [path, value, kept] of [
    ['/body/Env/-', 'PASSWORD=hunter2', '***'],
    ['/body/Env', ['A=1'], '***'],
    ['/query/buildargs', ['{"A":"1"}'], '***'],
    ['/body/Data', 'c2VjcmV0', '***'],
    ['/body/TaskTemplate/ContainerSpec', { Image: 'x', Env: ['A=1'] }, { Image: 'x', Env: ['A=***'] }],
    ['/body/HostConfig/Memory', 5, 5],
    ['/body/Labels/owner', 'red', 'red'],
  ] as readonly (readonly [string, Json, Json])[]) {
    it(`${path} ${JSON.stringify(value)}`, () => {
      // Masked objects have no prototype: what counts is the JSON of them.
      const shown: unknown = JSON.parse(JSON.stringify(maskedChange({ op: 'add', path, value })));
      assert.deepEqual(shown, { op: 'add', path, value: kept });
    });
  }
});
