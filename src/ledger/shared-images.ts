// Which images that nobody owns every tenant may use and see: references of the settings, in which `*` stands for anything.
import { canonicalImageReference } from '../engine/image-reference.ts';
import type { IsShared } from './views.ts';

/** `busybox` is `docker.io/library/busybox:*`; a pattern with a star is canonical already, or a star alone. */
function patternOf(text: string): string {
  if (text.includes('*')) return text;
  const canonical = canonicalImageReference(text);
  const hasTag = text.includes('@') || text.lastIndexOf(':') > text.lastIndexOf('/');
  return hasTag ? canonical : `${canonical.slice(0, canonical.lastIndexOf(':'))}:*`;
}

/** @throws {GatewayError} `query-ambiguous` for what is no image reference */
export function compileSharedImages(patterns: readonly string[]): IsShared {
  const tests = patterns.map((text) => {
    const pieces = patternOf(text).split('*');
    return new RegExp(`^${pieces.map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`);
  });
  return (reference) => tests.some((test) => test.test(reference));
}
