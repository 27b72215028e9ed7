// Which tokens were revoked, in memory: the answer is wanted on every request and counts from the very next one.
import { GatewayError } from '../errors.ts';
import type { IdentityStore, TokenStore } from './stores.ts';

/** A token is accepted this long after its `exp`, so a revoked one is remembered longer, in ms. */
const MEMORY_MARGIN_MS = 120_000;

export interface Revocations {
  isRevoked(id: string): boolean;
  /**
   * Revokes a token, in memory first and then in the store. Idempotent.
   *
   * @param at milliseconds since the epoch
   * @throws {GatewayError} `not-found`
   */
  revoke(id: string, at: number): void;
  /** Reads the store again: after tokens were revoked there by another way, such as the end of an identity. */
  refresh(): void;
  /** Tells of every revoked token, and `undefined` after a refresh; live streams listen. Returns how to stop. */
  onChange(listener: (id: string | undefined) => void): () => void;
}

/** Reads what is revoked and keeps it in memory. */
export function createRevocations(
  tokens: TokenStore,
  _identities: IdentityStore,
  now: () => number = Date.now,
): Revocations {
  const readAll = () => new Set(tokens.revoked(now() - MEMORY_MARGIN_MS));
  let revoked = readAll();
  let sweepAt = 2 * revoked.size + 1000;
  const listeners = new Set<(id: string | undefined) => void>();
  const tell = (id: string | undefined) => {
    for (const listener of listeners) listener(id);
  };

  return {
    isRevoked: (id) => revoked.has(id),
    revoke(id, at) {
      // Memory first: a store that cannot be written must not keep a revoked token alive in this process.
      const isNews = !revoked.has(id);
      revoked.add(id);
      const record = tokens.get(id);
      if (record === undefined) {
        revoked.delete(id);
        throw new GatewayError('not-found', `there is no token ${id}`);
      }
      if (isNews) tell(id);
      if (record.revokedAt === undefined) tokens.revoke(id, at);
      if (revoked.size > sweepAt) {
        // Ends the memory of tokens that have expired since.
        revoked = readAll();
        sweepAt = 2 * revoked.size + 1000;
      }
    },
    refresh() {
      revoked = readAll();
      tell(undefined);
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
