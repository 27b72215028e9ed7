// Ownership behind the admin API: what each tenant owns, and giving a tenant objects that were made elsewhere and have no owner.
import { GatewayError } from '../errors.ts';
import type { LedgerEntry } from '../ledger/entry.ts';
import type { PerformChange } from './change.ts';
import type { ChangeContext } from './services.ts';

/** Which objects to adopt: all that any of these names. */
export interface Adoption {
  /** `key` or `key=value`, of containers, volumes and networks. */
  readonly label?: string | undefined;
  /** Objects of this compose project. */
  readonly composeProject?: string | undefined;
  /** Names, or ids and parts of them. */
  readonly containers?: readonly string[] | undefined;
  readonly volumes?: readonly string[] | undefined;
  readonly networks?: readonly string[] | undefined;
  readonly images?: readonly string[] | undefined;
}

export interface OwnershipLedger {
  /** Live objects of a tenant, oldest first. */
  objects(tenant: string): readonly LedgerEntry[];
  /**
   * Looks the objects up at the engine. Nothing is changed.
   * @throws {GatewayError} `not-found` for a name without an object, `conflict` for an object of another tenant
   */
  find(tenant: string, adoption: Adoption): Promise<readonly LedgerEntry[]>;
  /** Writes found objects down as the tenant's. */
  adopt(entries: readonly LedgerEntry[], owner: { subject: string; auditId: string }): Promise<void>;
  /** Images withheld from every tenant since the ledger was lost. */
  withheld(): readonly LedgerEntry[];
  /**
   * Gives withheld images to all. @param images names or ids; undefined for all that are withheld
   * @throws {GatewayError} `not-found` for one that is not withheld
   */
  release(
    images: readonly string[] | undefined,
    by: { subject: string; auditId: string },
  ): Promise<readonly LedgerEntry[]>;
}

export interface OwnershipServices {
  tenantObjects(tenant: string): readonly LedgerEntry[];
  adoptObjects(tenant: string, adoption: Adoption, context: ChangeContext): Promise<readonly LedgerEntry[]>;
  withheldImages(): readonly LedgerEntry[];
  releaseImages(images: readonly string[] | undefined, context: ChangeContext): Promise<readonly LedgerEntry[]>;
}

export const createOwnershipServices = (
  given: OwnershipLedger | undefined,
  change: PerformChange,
): OwnershipServices => {
  const ledger = given ?? without();
  return {
    tenantObjects: (tenant) => ledger.objects(tenant),
    async adoptObjects(tenant, adoption, context) {
      // The engine is asked before the change begins: changes wait for each other.
      const found = await ledger.find(tenant, adoption);
      return change(context, {
        action: 'tenant.adopt',
        resource: `tenant/${tenant}`,
        detail: { objects: found.slice(0, 100).map(({ kind, id }) => `${kind}/${id}`), count: found.length },
        check() {},
        async perform() {
          await ledger.adopt(found, { subject: context.by.subject, auditId: context.auditId });
          return found;
        },
      });
    },
    withheldImages: () => ledger.withheld(),
    releaseImages: (images, context) =>
      change(context, {
        action: 'tenant.release',
        resource: 'gateway/withheld-images',
        detail: images === undefined ? { all: true } : { images: images.slice(0, 100), count: images.length },
        check() {},
        perform: () => ledger.release(images, { subject: context.by.subject, auditId: context.auditId }),
      }),
  };
};

/** For services over fakes that keep no ledger. */
const without = (): OwnershipLedger => {
  const refuse = (): never => {
    throw new GatewayError('not-found', 'this gateway keeps no ledger');
  };
  return { objects: () => [], find: refuse, adopt: refuse, withheld: () => [], release: refuse };
};
