// How often each token was used, counted from the audit: totals, and how far the log is counted.
import { eq, lt, sql } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import type { TokenUseStore } from '../identity/stores.ts';
import { setting, tokenUse } from './schema.ts';

const COUNTED_TO = 'token-use.counted-to';

export function tokenUseStore(db: BetterSQLite3Database): TokenUseStore {
  return {
    get(tokenId) {
      const row = db.select().from(tokenUse).where(eq(tokenUse.tokenId, tokenId)).get();
      return row === undefined ? undefined : { lastUsedAt: row.lastUsedAt, calls: row.calls, denials: row.denials };
    },
    forget(before) {
      db.delete(tokenUse).where(lt(tokenUse.lastUsedAt, before)).run();
    },
    countedTo: () => Number(db.select().from(setting).where(eq(setting.key, COUNTED_TO)).get()?.value ?? 0),
    add(uses, countedTo) {
      db.transaction((tx) => {
        for (const [tokenId, { lastUsedAt, calls, denials }] of uses) {
          tx.insert(tokenUse)
            .values({ tokenId, lastUsedAt, calls, denials })
            .onConflictDoUpdate({
              target: tokenUse.tokenId,
              set: {
                lastUsedAt: sql`max(${tokenUse.lastUsedAt}, ${lastUsedAt})`,
                calls: sql`${tokenUse.calls} + ${calls}`,
                denials: sql`${tokenUse.denials} + ${denials}`,
              },
            })
            .run();
        }
        const value = String(countedTo);
        tx.insert(setting)
          .values({ key: COUNTED_TO, value })
          .onConflictDoUpdate({ target: setting.key, set: { value } })
          .run();
      });
    },
  };
}
