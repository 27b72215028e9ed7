// Errors in a progress stream lose what is not the caller's, in whatever pieces they come. The engine is a stand-in.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toCall } from '../../src/engine/call.ts';
import { classify } from '../../src/engine/classify.ts';
import { progressCaller } from '../../src/gateway/tenancy/progress-caller.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import type { CallerEnd } from '../../src/proxy/types.ts';
import { entry, idOf } from '../ledger/entries.ts';

const FOREIGN = idOf('b1');
const view = {
  tenant: 'red',
  ledger: new Ledger([entry('blue', 'container', FOREIGN, { name: 'blues-db' })]),
  isShared: () => true,
};

function through(target: string, chunks: readonly (string | Buffer)[], status = 200): string {
  const got: Buffer[] = [];
  let isEnded = false;
  const caller: CallerEnd = {
    head() {},
    write: (chunk) => got.push(Buffer.from(chunk)) > 0,
    onDrain() {},
    end: () => {
      isEnded = true;
    },
    abort() {},
    onGone() {},
  };
  const end = progressCaller(caller, toCall(classify('POST', target), undefined), view);
  end.head(status, '', []);
  for (const chunk of chunks) end.write(Buffer.from(chunk));
  end.end();
  assert.ok(isEnded);
  return Buffer.concat(got).toString();
}

const PULL = '/images/create?fromImage=r.test/app&tag=1';
const errorLine = (message: string): string => `${JSON.stringify({ errorDetail: { message }, error: message })}\r\n`;

describe('progressCaller()', () => {
  it('progressCaller() passes every other line byte for byte, in whatever pieces it comes', () => {
    const text = '{"status":"Pulling from app","id":"1"}\r\n{"status":"größe \\"error"}\r\n{"stream":"a"}';
    for (let size = 1; size < 40; size += 3) {
      const bytes = Buffer.from(text);
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      );
      assert.equal(through(PULL, pieces), text);
    }
  });
  it('progressCaller() takes ids and names of others out of an error, and leaves what the caller wrote', () => {
    const line = errorLine(`conflict: r.test/app:1 is in use by container "blues-db" (${FOREIGN.slice(0, 12)})`);
    for (const cut of [1, 20, 60]) {
      const told = through(PULL, [line.slice(0, cut), line.slice(cut)]);
      const { error, errorDetail } = JSON.parse(told) as { error: string; errorDetail: { message: string } };
      assert.equal(error, errorDetail.message);
      assert.ok(!told.includes('blues-db') && !told.includes(FOREIGN.slice(0, 12)), told);
      assert.match(error, /^conflict: r\.test\/app:1 is in use/);
    }
    assert.ok(!through('/build?t=a', [line]).includes('blues-db'));
  });
  it('progressCaller() leaves what a Dockerfile of the caller’s says, which would tell whose names there are', () => {
    const line = errorLine('COPY failed: stat blues-db: file does not exist');
    assert.equal(JSON.parse(through('/build?t=a', [line])).error, 'COPY failed: stat blues-db: file does not exist');
  });
});
