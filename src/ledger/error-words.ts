// What an engine's refusal may tell a tenant: the engine names what stands in the way, and that may be another's. Ids and names that
// are neither the tenant's own nor in its own call become a dot. Pure.
import type { EngineCall, Json } from '../engine/types.ts';
import type { Ledger } from './ledger.ts';
import type { View } from './views.ts';

/** Stands in the place of names that are not the caller's. */
const HIDDEN = '…';
const KINDS = ['container', 'network', 'volume', 'service', 'secret', 'config', 'exec'] as const;
const NAMED = ['container', 'network', 'volume', 'image', 'service', 'secret', 'config'] as const;
/** Fewer digits are words too often: `cafe`, `decade`. The engine shortens ids to 12. */
const ID = /(?<![0-9a-zA-Z])(?:[0-9a-f]{12,64}|[0-9a-z]{25})(?![0-9a-zA-Z])/g;
/** A word that can be a name of an object. */
const WORD = /[a-zA-Z0-9][a-zA-Z0-9_.-]+/g;
/** Words that introduce the name of an object that is in the way. */
const INTRODUCED =
  /((?:\bname|\bby container|\bby service|\bcontainer|\bservice|\bnetwork|\bvolume|\bsecret|\bconfig)(?:s|\(s\))?:? ?\\?["'])\/?([^"'\\]{1,256})(?=\\?["'])/g;

/** The text of a refusal without the names that are not the caller's. */
export function withoutForeignWords(message: string, call: EngineCall, view: View): string {
  const own = ownWords(call);
  const isOwnId = (id: string): boolean => own.has(id) || isOwn(id, view);
  const isForeignName = (name: string): boolean => {
    if (own.has(name)) return false;
    const entries = NAMED.flatMap((kind) => [...view.ledger.named(kind, name)]);
    return entries.length > 0 && entries.every(({ tenant }) => tenant !== view.tenant);
  };
  const isMine = (name: string): boolean =>
    own.has(name) || NAMED.some((kind) => view.ledger.named(kind, name).some(({ tenant }) => tenant === view.tenant));
  const withoutIds = message
    .replace(/ by container \\?"([0-9a-f]{64})\\?"/g, (words, id: string) => (isOwnId(id) ? words : ''))
    .replace(INTRODUCED, (words, before: string, name: string) =>
      isMine(name) || isOwnId(name) ? words : `${before}${HIDDEN}`,
    )
    .replace(ID, (id) => (isOwnId(id) ? id : HIDDEN));
  return withoutIds.replace(WORD, (word, at: number) => {
    // A plain word may be the engine's own: as a name it stands in quotes or behind a slash.
    if (/^[a-z]+$/.test(word) && !/["'/]/.test(withoutIds[at - 1] ?? '')) return word;
    return isForeignName(word.replace(/[.-]+$/, '')) ? HIDDEN : word;
  });
}

function isOwn(id: string, { ledger, tenant }: { readonly ledger: Ledger; readonly tenant: string }): boolean {
  if (KINDS.some((kind) => ledger.owned(tenant, kind, id) !== undefined || ledger.find(tenant, kind, id) !== undefined))
    return true;
  const image = `sha256:${id}`;
  return (
    ledger.owned(tenant, 'image', image) !== undefined ||
    ledger.imageHolders(image).some((one) => one.tenant === tenant)
  );
}

/** Words of the call itself: what the caller wrote tells it nothing. */
function ownWords(call: EngineCall): ReadonlySet<string> {
  const found = new Set<string>();
  const add = (text: string): void => {
    found.add(text);
    for (const [word] of text.matchAll(WORD)) found.add(word);
  };
  const visit = (value: Json | undefined): void => {
    if (typeof value === 'string') add(value);
    else if (Array.isArray(value)) for (const item of value) visit(item);
    else if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        add(key);
        visit(inner as Json);
      }
    }
  };
  for (const value of Object.values(call.path)) if (value !== undefined) add(value);
  for (const values of Object.values(call.query)) for (const value of values ?? []) add(value);
  visit(call.body);
  for (const { name, id, resolvedName } of call.resources) {
    for (const text of [name, id, resolvedName]) if (text !== undefined) add(text);
  }
  return found;
}
