// Answers on their way through `redact`: every number leaves as it came, whole answers and lines alike.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { classify } from '../../src/engine/classify.ts';
import { redactingCaller } from '../../src/gateway/redacting-caller.ts';
import { memoryCaller } from '../support/memory-caller.ts';

const NUMBERS = '[9223372036854775807,-9223372036854775808,18446744073709551615,1.0,1e3,-0,0.10,0]';
const ANSWERS = {
  '/v1.41/containers/a/json': `{"Created":1795576358382064470,"HostConfig":{"Memory":9007199254740993,"N":${NUMBERS}}}`,
  '/v1.41/containers/json': `[{"Created":1795576358,"SizeRw":9007199254740993,"N":${NUMBERS}}]`,
  '/v1.41/images/a/history': `[{"Id":"a","Created":1795576358,"Size":9007199254740993,"N":${NUMBERS}}]`,
  '/v1.41/system/df': `{"LayersSize":9007199254740993,"Images":[{"Size":1.0,"N":${NUMBERS}}]}`,
  '/v1.41/events': `{"Type":"container","time":1795576358,"timeNano":1795576358382064470,"N":${NUMBERS}}`,
};

describe('redactingCaller()', () => {
  for (const [path, answer] of Object.entries(ANSWERS)) {
    it(`redactingCaller() leaves the numbers of ${path} as they came`, () => {
      const caller = memoryCaller();
      const redacting = redactingCaller(caller, classify('GET', path).operation, ['env']);
      redacting.head(200, 'OK', ['Content-Type', 'application/json']);
      redacting.write(Buffer.from(`${answer}\n`));
      redacting.end();
      redacting.check();
      assert.equal(caller.body().toString(), `${answer}\n`);
    });
  }
});
