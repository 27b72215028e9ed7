// What speaks for a caller's credentials through a socket: who may use it, and that it never outlasts or outreaches them.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { covers } from '../../src/identity/delegations.ts';
import type { Principal } from '../../src/policy/types.ts';

const base: Principal = {
  subject: 'ci',
  issuer: 'dockgate',
  groups: [],
  policies: ['workers'],
  tokenId: 'a',
  expiresAt: 1000,
  channel: 'bearer',
  claims: { sub: 'ci', jti: 'a', iat: 1, exp: 2, project: 'x' },
};
const other = (more: Partial<Principal>): Principal => ({
  ...base,
  tokenId: 'b',
  claims: { ...base.claims, jti: 'b', iat: 5, exp: 6 },
  ...more,
});
const list = { actions: ['container.list'] };

describe('covers() lets a caller use what speaks with', () => {
  for (const [name, expected, caller, maker, source] of [
    ['the very same token', true, base, base],
    ['the same token from elsewhere', false, base, base, '10.0.0.2'],
    ['another token as good', true, other({}), base],
    ['another token that lasts longer', false, other({ expiresAt: 999 }), base],
    ['another token that ends before', true, other({ expiresAt: 1001 }), base],
    ['a token without end, from one with an end', false, other({}), { ...base, expiresAt: undefined } as never],
    ['a token without a scope, from one with a scope', false, other({ scope: ['container.list'] }), base],
    ['a scoped token, from one without', true, other({}), { ...base, scope: ['container.list'] }],
    [
      'a wider scope',
      false,
      other({ scope: ['container.list'] }),
      { ...base, scope: ['container.list', 'container.create'] },
    ],
    ['a narrower scope', true, other({ scope: ['container.*'] }), { ...base, scope: ['container.list'] }],
    [
      'details where the caller has another ceiling',
      false,
      other({ authorizationDetails: [{ type: 'docker', ...list }] }),
      { ...base, scope: ['container.list'] },
    ],
    [
      "the same ancestor's ceiling",
      true,
      other({ ancestors: [{ id: 'p', ceiling: { scope: ['container.*'] } }] }),
      { ...base, ancestors: [{ id: 'p', ceiling: { scope: ['container.*'] } }] },
    ],
    [
      'no ancestor where the caller has one',
      false,
      other({ ancestors: [{ id: 'p', ceiling: { scope: ['container.*'] } }] }),
      base,
    ],
    ['other claims', false, other({ claims: { ...base.claims, project: 'y' } }), base],
    ['another identity', false, other({ subject: 'cd' }), base],
    ['an identity of the same name of another issuer', false, other({ issuer: 'https://else' }), base],
    ['the identity in another tenant', false, other({ tenant: 'red' }), base],
    ['a certificate, from a token', false, other({}), { ...base, tokenId: undefined, certificateSerial: '1' } as never],
    ['another channel', false, other({ channel: 'socket', tokenId: undefined } as never), base],
  ] as readonly [string, boolean, Principal, Principal, string?][]) {
    it(`${name}: ${expected ? 'yes' : 'no'}`, () =>
      assert.equal(covers(caller, '10.0.0.1', { principal: maker, source: source ?? '10.0.0.1' }), expected));
  }
});
