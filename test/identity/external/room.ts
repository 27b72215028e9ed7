// An identity room that takes tokens of one test issuer, and the words its tests share.
import assert from 'node:assert/strict';
import { GatewayError } from '../../../src/errors.ts';
import { type BlockRecord, type Blocks, createBlocks } from '../../../src/identity/external/blocks.ts';
import { createFetchJson } from '../../../src/identity/external/fetch-json.ts';
import { createExternalIssuers, type ExternalIssuers } from '../../../src/identity/external/issuers.ts';
import type { IssuerSetting } from '../../../src/identity/external/setting.ts';
import type { TestIssuer } from '../../support/oidc-issuer.ts';
import { bearer, type IdentityRoom, openRoom } from '../memory-stores.ts';

export const AUDIENCE = 'https://docker.acme.example';

/** A record of a test issuer: audience and algorithm pinned, `sub` mapped under a prefix. */
export const settingOf = (issuer: { url: string }, changes: Partial<IssuerSetting> = {}): IssuerSetting => ({
  name: 'test',
  issuer: issuer.url,
  audience: AUDIENCE,
  algorithms: ['RS256'],
  keys: { kind: 'discovery' },
  jwksHosts: [],
  insecureHttp: true,
  maxLifetimeMs: 3_600_000,
  replay: 'any',
  require: [],
  rules: [{ name: 'all', when: [], subject: `test:\${sub}`, groups: [], policies: ['baseline'] }],
  ...changes,
});

export interface ExternalRoom extends IdentityRoom {
  external: ExternalIssuers;
  readonly blocks: Blocks;
  /** Failed fetches, as the log would tell them. */
  readonly errors: string[];
  /** Puts other settings in force, as a reload does. */
  reload(...settings: IssuerSetting[]): void;
  /** Claims of a token that is good now. */
  claims(changes?: Record<string, unknown>): Record<string, unknown>;
  principal(token: string, source?: string): Promise<import('../../../src/policy/types.ts').Principal>;
  refusal(token: string, source?: string): Promise<GatewayError>;
}

/** Opens the room; the clock starts at that of memory-stores and only tests move it. */
export async function openExternalRoom(
  issuer: TestIssuer,
  settings: readonly IssuerSetting[] = [settingOf(issuer)],
  limits: { maxBytes?: number; timeoutMs?: number } = {},
): Promise<ExternalRoom> {
  const errors: string[] = [];
  let room: ExternalRoom;
  const make = (given: readonly IssuerSetting[], previous?: ExternalIssuers) =>
    createExternalIssuers({
      settings: given,
      now: () => room.clock.at,
      fetchJson: createFetchJson(limits),
      onError: (_name, message) => errors.push(message),
      ...(previous === undefined ? {} : { previous }),
    });
  let saved: readonly BlockRecord[] = [];
  const save = (next: readonly BlockRecord[]) => {
    saved = next;
  };
  const blocks = createBlocks({ list: () => saved, save }, () => room.clock.at);
  const identity = await openRoom({ external: () => room.external, blocks });
  room = {
    ...identity,
    external: undefined as unknown as ExternalIssuers,
    blocks,
    errors,
    reload(...given) {
      room.external = make(given, room.external);
    },
    claims(changes = {}) {
      const iat = Math.floor(room.clock.at / 1000);
      return { iss: issuer.url, aud: AUDIENCE, sub: 'job', jti: 'j1', iat, exp: iat + 300, ...changes };
    },
    principal: async (token, source) => identity.authenticator.authenticate(bearer(token), undefined, source),
    async refusal(token, source) {
      try {
        await identity.authenticator.authenticate(bearer(token), undefined, source);
      } catch (error) {
        assert.ok(error instanceof GatewayError, String(error));
        assert.ok(!error.message.includes(token) && !error.message.endsWith('.'), error.message);
        return error;
      }
      assert.fail('accepted');
    },
  };
  room.external = make(settings);
  return room;
}
