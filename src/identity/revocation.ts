// Which tokens and credentials were revoked, in memory: the answer is wanted on every request and counts from the very next one.
import { GatewayError } from '../errors.ts';
import type { CredentialStore, TokenStore } from './stores.ts';

/** A token is accepted this long after its `exp`, so a revoked one is remembered longer, in ms. */
const MEMORY_MARGIN_MS = 120_000;

export interface Revocations {
  isRevoked(id: string): boolean;
  /**
   * Revokes what was issued to an identity before a moment: its tokens and its credentials.
   *
   * @param at milliseconds since the epoch
   * @returns how many of each it ended
   */
  revokeIssuedBefore(identity: string, before: number, at: number): { tokens: number; credentials: number };
  /**
   * Revokes a token or credential, in memory first and then in the store. Idempotent.
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

/**
 * Reads what is revoked and keeps it in memory.
 *
 * @param now by which what is over is forgotten: one that is never early, see steady-clock.ts
 */
export function createRevocations(
  tokens: TokenStore,
  credentials: CredentialStore | undefined,
  now: () => number = Date.now,
): Revocations {
  const readAll = () => {
    const since = now() - MEMORY_MARGIN_MS;
    return new Set([...tokens.revoked(since), ...(credentials?.revoked(since) ?? [])]);
  };
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
      const token = tokens.get(id);
      const record = token ?? credentials?.get(id);
      if (record === undefined) {
        revoked.delete(id);
        throw new GatewayError('not-found', `there is no token ${id}`);
      }
      if (isNews) tell(id);
      if (record.revokedAt === undefined) (token === undefined ? credentials : tokens)?.revoke(id, at);
      if (revoked.size > sweepAt) {
        // Ends the memory of tokens that have expired since.
        revoked = readAll();
        sweepAt = 2 * revoked.size + 1000;
      }
    },
    revokeIssuedBefore(identity, before, at) {
      const ended = {
        tokens: tokens.revokeIssuedBefore(identity, before, at),
        credentials: credentials?.revokeIssuedBefore(identity, before, at) ?? 0,
      };
      this.refresh();
      return ended;
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
