// Which images without an owner every tenant may use and see, and which names tenants may give images: references of the settings, in
// which `*` stands for anything.
import { canonicalImageReference } from '../engine/image-reference.ts';
import type { IsShared } from './views.ts';

/** `busybox` is `docker.io/library/busybox:*`; a pattern with a star is canonical already, or a star alone. */
function patternOf(text: string): string {
  if (text.includes('*')) return text;
  const canonical = canonicalImageReference(text);
  const hasTag = text.includes('@') || text.lastIndexOf(':') > text.lastIndexOf('/');
  return hasTag ? canonical : `${canonical.slice(0, canonical.lastIndexOf(':'))}:*`;
}

// biome-ignore lint/suspicious/noTemplateCurlyInString: people write it so
const PLACEHOLDER = '${tenant}';

/** Names the tenants of an installation may give images. */
export class TenantNames {
  readonly #patterns: readonly string[];
  readonly #tests = new Map<string, IsShared>();

  /** @param patterns in which `${tenant}` stands for the tenant */
  constructor(patterns: readonly string[]) {
    this.#patterns = patterns;
  }

  may(tenant: string, reference: string): boolean {
    let test = this.#tests.get(tenant);
    if (test === undefined) {
      test = compileSharedImages(this.of(tenant));
      this.#tests.set(tenant, test);
    }
    return test(reference);
  }

  /** The patterns as they stand for a tenant. */
  of(tenant: string): readonly string[] {
    // A name that is more than one word of a reference would make the pattern another one.
    const isWord = /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*$/.test(tenant);
    return this.#patterns
      .filter((pattern) => isWord || !pattern.includes(PLACEHOLDER))
      .map((pattern) => pattern.replaceAll(PLACEHOLDER, tenant));
  }
}

/** @throws {GatewayError} `query-ambiguous` for a text that is no image reference */
export function compileSharedImages(patterns: readonly string[]): IsShared {
  const tests = patterns.map((text) => {
    const pieces = patternOf(text).split('*');
    return new RegExp(`^${pieces.map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`);
  });
  return (reference) => tests.some((test) => test.test(reference));
}
