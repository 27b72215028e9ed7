// Tokens and subjects of external issuers that are refused although their issuer still vouches for them: our revocation of
// what we did not issue. In memory, because it is asked on every request, and in the store before it is acknowledged.
import { GatewayError } from '../../errors.ts';
import type { ExternalCaller } from './issuers.ts';

/** Blocks kept at once. A list this long is a rule that should have been written. */
export const MAX_BLOCKS = 1000;

export interface BlockRecord {
  /** Name of the issuer in the settings. */
  readonly issuer: string;
  /** - `token`: one `jti` - `subject`: a `sub`, or the subject the mapping made of it */
  readonly kind: 'token' | 'subject';
  readonly value: string;
  readonly createdAt: number;
  readonly createdBy: string;
  /** Milliseconds since the epoch from which on it means nothing: no token of that `jti` lives longer. */
  readonly until?: number;
}

export interface BlockStore {
  list(): readonly BlockRecord[];
  save(blocks: readonly BlockRecord[]): void;
}

export interface Blocks {
  isBlocked(caller: ExternalCaller): boolean;
  /** Whether what one of our tokens was made from is blocked: an external token's id, or `ancestorOfSubject`. */
  isAncestorBlocked(id: string): boolean;
  list(): readonly BlockRecord[];
  /** Idempotent. @throws {GatewayError} `conflict` when the list is full */
  add(block: BlockRecord): void;
  /** @throws {GatewayError} `not-found` */
  remove(block: Pick<BlockRecord, 'issuer' | 'kind' | 'value'>): void;
}

const keyOf = ({ issuer, kind, value }: Pick<BlockRecord, 'issuer' | 'kind' | 'value'>): string =>
  `${issuer} ${kind} ${value}`;

/** Stands for a subject of an external issuer among the ancestors of a token made from one of its tokens. */
export const ancestorOfSubject = (issuer: string, subject: string): string => `${issuer}/subject/${subject}`;

/** Names of issuers hold neither colon nor slash, our own token ids neither. */
const ANCESTOR = /^([a-z0-9-]+)(:|\/subject\/)(.+)$/s;

/**
 * Reads the blocks and keeps them in memory.
 *
 * @param now by which what is over is forgotten: one that is never early, see steady-clock.ts
 */
export function createBlocks(store: BlockStore, now: () => number = Date.now): Blocks {
  let blocks = new Map(store.list().map((block) => [keyOf(block), block]));

  /** The store first: a block that cannot be written is not acknowledged, and memory stays as it was. */
  const change = (next: Map<string, BlockRecord>) => {
    store.save([...next.values()]);
    blocks = next;
  };
  const living = () => new Map([...blocks].filter(([, { until }]) => until === undefined || until > now()));

  return {
    isBlocked({ issuer, token, mapped }) {
      if (blocks.size === 0) return false;
      const { name } = issuer.setting;
      const { sub } = token.claims;
      const has = (kind: BlockRecord['kind'], value: string) => blocks.has(keyOf({ issuer: name, kind, value }));
      return (
        has('token', token.id.slice(name.length + 1)) ||
        (typeof sub === 'string' && has('subject', sub)) ||
        (mapped.kind === 'named' && has('subject', mapped.subject))
      );
    },
    isAncestorBlocked(id) {
      const found = blocks.size === 0 ? null : ANCESTOR.exec(id);
      if (found === null) return false;
      const [, issuer = '', form, value = ''] = found;
      return blocks.has(keyOf({ issuer, kind: form === ':' ? 'token' : 'subject', value }));
    },
    list: () => [...living().values()],
    add(block) {
      const next = living();
      if (next.size >= MAX_BLOCKS && !next.has(keyOf(block))) {
        throw new GatewayError(
          'conflict',
          `${MAX_BLOCKS} blocks are there already; narrow the rules of the issuer instead`,
        );
      }
      change(next.set(keyOf(block), block));
    },
    remove(block) {
      const next = living();
      if (!next.delete(keyOf(block))) throw new GatewayError('not-found', 'there is no such block');
      change(next);
    },
  };
}

/** Blocks as one value of a store of settings. */
export function blocksInSettings(settings: {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
}): BlockStore {
  const key = 'issuer-blocks';
  return {
    list: () => JSON.parse(settings.get(key) ?? '[]') as readonly BlockRecord[],
    save: (blocks) => settings.set(key, JSON.stringify(blocks)),
  };
}
