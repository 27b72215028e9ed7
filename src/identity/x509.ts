// The X.509 library (@peculiar/x509), loaded when the first certificate is made or read, never at a plain start.
import { webcrypto } from 'node:crypto';

export type X509 = typeof import('@peculiar/x509');

let loaded: Promise<X509> | undefined;
let library: X509 | undefined;

/** The library; loading it takes some 100 ms, once. */
export function loadX509(): Promise<X509> {
  loaded ??= load();
  return loaded;
}

/** The library once it is loaded; it is there wherever a certificate has been read. */
export const loadedX509 = (): X509 | undefined => library;

/**
 * Its container reads the metadata interface of decorators while loading and refuses to start without one, though
 * nothing here has metadata; it gets an empty one for as long as it loads.
 */
async function load(): Promise<X509> {
  const target = Reflect as unknown as Record<string, unknown>;
  const added = ['getMetadata', 'getOwnMetadata', 'defineMetadata', 'hasOwnMetadata'].filter(
    (name) => !(name in target),
  );
  for (const name of added) target[name] = () => undefined;
  try {
    const module: Partial<X509> & { readonly default?: X509 } = await import('@peculiar/x509');
    // In the bundle a CommonJS module that is imported late has all its names in its default export.
    library = module.cryptoProvider === undefined ? (module.default as X509) : (module as X509);
    library.cryptoProvider.set(webcrypto as unknown as Crypto);
    return library;
  } finally {
    for (const name of added) delete target[name];
  }
}
