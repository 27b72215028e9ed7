// The state database as the rooms that need it see it: identities, credentials, policies, settings.
import { join } from 'node:path';
import { eq, sql } from 'drizzle-orm';
import type {
  CertificateStore,
  CredentialStore,
  IdentityStore,
  KeyStore,
  SocketStore,
  TokenStore,
  TokenUseStore,
} from '../identity/stores.ts';
import type { TenantStore } from '../ledger/quota.ts';
import type { PolicyStore } from '../policy/store.ts';
import { certificateStore } from './certificates.ts';
import { credentialStore } from './credentials.ts';
import { IN_MEMORY, openDatabase, type Sqlite } from './database.ts';
import { identityStore } from './identities.ts';
import { keyStore } from './keys.ts';
import { policyStore } from './policies.ts';
import { keepRoomToWrite } from './reserve.ts';
import { setting, token } from './schema.ts';
import { socketStore } from './sockets.ts';
import { tenantStore } from './tenants.ts';
import { tokenUseStore } from './token-use.ts';
import { tokenStore } from './tokens.ts';

export { lockDataDir } from './lock.ts';

export interface Store {
  readonly identities: IdentityStore;
  readonly tokens: TokenStore;
  readonly certificates: CertificateStore;
  readonly sockets: SocketStore;
  readonly credentials: CredentialStore;
  readonly tokenUse: TokenUseStore;
  readonly keys: KeyStore;
  readonly policies: PolicyStore;
  readonly tenants: TenantStore;
  /** The latest moment a token was stamped with, in milliseconds since the epoch. */
  latestStamp(): number | undefined;
  readonly settings: { get(key: string): string | undefined; set(key: string, value: string): void };
  close(): void;
}

/**
 * Opens state.db in the data folder, making both when they are not there.
 *
 * @param dataDir a folder, or `:memory:` for a store that ends with the program
 * @throws {GatewayError} `store-corrupt`, `store-newer`, `store-locked`, `config-invalid`
 */
export function openStore(dataDir: string): Store {
  const file = dataDir === IN_MEMORY ? IN_MEMORY : join(dataDir, 'state.db');
  const { sqlite, db } = openDatabase(file, 'state');
  if (file !== IN_MEMORY) keepRoomToWrite(file, sqlite);
  const stopTidying = file === IN_MEMORY ? () => {} : moveWhenIdle(sqlite);
  return {
    identities: identityStore(db),
    tokens: tokenStore(db),
    certificates: certificateStore(db),
    sockets: socketStore(db, sqlite),
    credentials: credentialStore(db),
    tokenUse: tokenUseStore(db),
    keys: keyStore(db),
    policies: policyStore(db),
    tenants: tenantStore(db),
    latestStamp: () =>
      db
        .select({ at: sql<number | null>`max(max(${token.issuedAt}), max(coalesce(${token.revokedAt}, 0)))` })
        .from(token)
        .get()?.at ?? undefined,
    settings: {
      get: (key) => db.select().from(setting).where(eq(setting.key, key)).get()?.value,
      set(key, value) {
        db.insert(setting).values({ key, value }).onConflictDoUpdate({ target: setting.key, set: { value } }).run();
      },
    },
    close() {
      stopTidying();
      sqlite.close();
    },
  };
}

/** How often it is looked whether something was written, in ms. */
const IDLE_MS = 1000;

/** Moves the write-ahead log into the database once nothing was written for a moment: a copy of the file alone is then whole. */
function moveWhenIdle(sqlite: Sqlite): () => void {
  const changes = sqlite.prepare('SELECT total_changes()').pluck();
  let seen = 0;
  let moved = 0;
  const timer = setInterval(() => {
    const now = changes.get() as number;
    if (now === seen && now !== moved) {
      try {
        sqlite.pragma('wal_checkpoint(PASSIVE)');
        moved = now;
      } catch {
        // what is in the write-ahead log is as durable; the next look tries again
      }
    }
    seen = now;
  }, IDLE_MS);
  timer.unref();
  return () => clearInterval(timer);
}
