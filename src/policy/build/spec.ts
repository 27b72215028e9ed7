// What a `build:` block of a rule says of BuildKit builds, and what comes of it. Types only.

/**
 * What a build may ask for. Each list replaces the one of the rule's host preset; `*` in an item stands for any run of
 * characters. What a Dockerfile itself fetches is held to `sources` by the engine.
 */
export interface BuildSpec {
  /** `network.host`, `security.insecure`, `device=...`. Default none. */
  readonly entitlements?: readonly string[];
  /** Networks of steps: `default` (the engine's network of builds), `none`, `host`. Default the first two. */
  readonly networks?: readonly string[];
  /**
   * What may be fetched: images (`docker.io/library/*`), or identifiers of BuildKit (`https://github.com/*`, `git://...`).
   * Default: images of the host preset's registries. What the client itself sends is named by `contexts`.
   */
  readonly sources?: readonly string[];
  /**
   * `dockerfile.v0` and images of frontends, which run what they like in the engine's builder: the images of `# syntax=` lines too,
   * which must be among `sources` as well. Without an image here such lines are not followed, nor beside a `--build-context`.
   */
  readonly frontends?: readonly string[];
  /** `image` (into the engine's store), `docker`, `oci`, `tar`, `local` (to the client), `cacheonly`. */
  readonly exporters?: readonly string[];
  /** Names images may be given, in full: `docker.io/acme/*`. */
  readonly tags?: readonly string[];
  /** Ids of secrets that may be asked of the client. */
  readonly secrets?: readonly string[];
  /** Ids of SSH agents that may be asked of the client. */
  readonly ssh?: readonly string[];
  /** Types of caches: `inline`, `local`, `registry`, `registry:docker.io/acme/*`, `gha`, `s3`, `azblob`. */
  readonly cache?: readonly string[];
  /** Names of folders the client may send: `context`, `dockerfile` and those of --build-context. */
  readonly contexts?: readonly string[];
}

export const BUILD_KEYS = [
  'entitlements',
  'networks',
  'sources',
  'frontends',
  'exporters',
  'tags',
  'secrets',
  'ssh',
  'cache',
  'contexts',
] as const satisfies readonly (keyof BuildSpec)[];
export type BuildKey = (typeof BUILD_KEYS)[number];

/** Every list, filled. */
export type BuildRules = Readonly<Record<BuildKey, readonly string[]>>;
