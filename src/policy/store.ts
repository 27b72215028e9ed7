// What the policy room needs remembered: documents by revision. `store` implements it.

/** One stored document at one revision. */
export interface StoredDocument {
  readonly kind: 'Policy' | 'Binding';
  readonly name: string;
  /** Revision of the whole set in which this text came in; grows by one with each apply or delete. */
  readonly revision: number;
  /** The document as applied, YAML or JSON text. */
  readonly source: string;
  readonly deleted: boolean;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly by: string;
}

export interface PolicyStore {
  /** Documents in force, newest revision of each, deleted ones left out. */
  current(): { readonly revision: number; readonly documents: readonly StoredDocument[] };
  /** Stores all documents as one new revision, which is returned. */
  apply(
    documents: readonly { kind: 'Policy' | 'Binding'; name: string; source: string }[],
    by: string,
    at: number,
  ): number;
  /** @throws {GatewayError} `not-found` */
  remove(name: string, by: string, at: number): number;
  /** Every revision of one name, newest first. */
  history(name: string): readonly StoredDocument[];
}
