// External issuers behind the admin API: how they are doing, and blocks of tokens and subjects they still vouch for.
import { GatewayError } from '../errors.ts';
import type { BlockRecord, Blocks } from '../identity/external/blocks.ts';
import type { IssuerState } from '../identity/external/issuers.ts';
import type { PerformChange } from './change.ts';
import type { ChangeContext } from './services.ts';

export interface NewBlock {
  readonly issuer: string;
  readonly kind: 'token' | 'subject';
  readonly value: string;
}

export interface IssuerServices {
  listIssuers(): readonly IssuerState[];
  listBlocks(): readonly BlockRecord[];
  /** @throws {GatewayError} `not-found` for an unknown issuer, `conflict` when there are too many */
  addBlock(block: NewBlock, context: ChangeContext): Promise<BlockRecord>;
  /** @throws {GatewayError} `not-found` */
  removeBlock(block: NewBlock, context: ChangeContext): Promise<void>;
}

export interface IssuerParts {
  states(): readonly IssuerState[];
  readonly blocks: Blocks;
  /** A token of the issuer lives at most this long, in ms. */
  longestLifeMs(issuer: string): number;
  /** Live streams look again at once. */
  onBlocked(): void;
}

/** A token is named by its `jti` or, as the audit has it, by issuer and `jti`. */
const plainValue = ({ issuer, kind, value }: NewBlock): string =>
  kind === 'token' && value.startsWith(`${issuer}:`) ? value.slice(issuer.length + 1) : value;

export const createIssuerServices = (
  parts: IssuerParts | undefined,
  change: PerformChange,
  now: () => number,
): IssuerServices => ({
  listIssuers: () => parts?.states() ?? [],
  listBlocks: () => parts?.blocks.list() ?? [],
  addBlock: (block, context) =>
    change(context, {
      action: 'issuer.block',
      resource: `issuer/${block.issuer}`,
      detail: { kind: block.kind, value: plainValue(block) },
      check() {
        if (!parts?.states().some(({ name }) => name === block.issuer)) {
          throw new GatewayError('not-found', `there is no issuer ${block.issuer}; dockgate issuer list has them`);
        }
      },
      perform() {
        const { issuer, kind } = block;
        const longest = parts?.longestLifeMs(issuer) ?? 0;
        const record: BlockRecord = {
          issuer,
          kind,
          value: plainValue(block),
          createdAt: now(),
          createdBy: context.by.subject,
          ...(kind === 'token' ? { until: now() + longest } : {}),
        };
        parts?.blocks.add(record);
        parts?.onBlocked();
        return record;
      },
    }),
  removeBlock: (block, context) =>
    change(context, {
      action: 'issuer.unblock',
      resource: `issuer/${block.issuer}`,
      detail: { kind: block.kind, value: plainValue(block) },
      check() {
        const value = plainValue(block);
        const is = (one: BlockRecord) => one.issuer === block.issuer && one.kind === block.kind && one.value === value;
        if (!parts?.blocks.list().some(is))
          throw new GatewayError('not-found', `there is no block of ${block.kind} ${value}`);
      },
      perform: () => parts?.blocks.remove({ ...block, value: plainValue(block) }),
    }),
});
