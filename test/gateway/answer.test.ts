// Status lines of refusals: every code the gateway answers with has the phrase HTTP gives its status.
import assert from 'node:assert/strict';
import { STATUS_CODES } from 'node:http';
import { describe, it } from 'node:test';
import { ERROR_CODES, type ErrorCode, GatewayError, statusOf } from '../../src/errors.ts';
import { rawRefusal, refusalOf } from '../../src/gateway/answer.ts';

describe('a refusal', () => {
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
    it(`a refusal of ${code} has the reason phrase of its status`, () => {
      const phrase = STATUS_CODES[statusOf(code)];
      assert.ok(phrase !== undefined && phrase !== '');
      assert.equal(refusalOf(new GatewayError(code, 'why'), 'id').reason, phrase);
      assert.ok(rawRefusal(code, 'why', 'id').startsWith(`HTTP/1.1 ${statusOf(code)} ${phrase}\r\n`));
    });
  }
  it('a refusal of a caller past its rate is 429 Too Many Requests', () => {
    assert.equal(refusalOf(new GatewayError('rate-limited', 'slow down'), 'id').reason, 'Too Many Requests');
  });
});
