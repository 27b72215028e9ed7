// Reads the `build:` block of a rule. Every fault is told with what would be right.
import type { Located } from '../located.ts';
import { type Faults, readFields, readList, readText } from '../read-fields.ts';
import { didYouMean } from '../suggest.ts';
import { BUILD_KEYS, type BuildKey, type BuildSpec } from './spec.ts';

/** Words of lists that have few; a pattern with `*` is not looked at. */
const WORDS: Partial<Record<BuildKey, readonly string[]>> = {
  networks: ['default', 'none', 'host'],
  exporters: ['image', 'docker', 'oci', 'tar', 'local', 'cacheonly'],
};
const CACHES: readonly string[] = ['inline', 'local', 'registry', 'gha', 's3', 'azblob'];

export function readBuild(node: Located, where: string, faults: Faults): BuildSpec | undefined {
  const fields = readFields(node, where, { known: BUILD_KEYS }, faults);
  if (fields === undefined) return undefined;
  const spec: { -readonly [K in BuildKey]?: readonly string[] } = {};
  for (const key of BUILD_KEYS) {
    const value = fields.get(key);
    if (value === undefined) continue;
    spec[key] = readList(value, `${where}.${key}`, faults, (item, at) => {
      const text = readText(item, at, faults);
      const fault = text === undefined ? undefined : faultOf(key, text);
      return fault === undefined ? text : faults.add(item.at, `${at}: ${fault}`);
    });
  }
  return spec;
}

function faultOf(key: BuildKey, text: string): string | undefined {
  if (text.includes('$')) return `${JSON.stringify(text)} holds a $, and templates are not filled in here`;
  if (text.includes('*')) return undefined;
  const words = WORDS[key];
  if (words !== undefined && !words.includes(text)) {
    return `${JSON.stringify(text)} is none of ${words.join(', ')}${didYouMean(text, words)}`;
  }
  if (key === 'cache' && !text.startsWith('registry:') && !CACHES.includes(text)) {
    return `${JSON.stringify(text)} is none of ${CACHES.join(', ')} and registry:NAME${didYouMean(text, CACHES)}`;
  }
  if ((key === 'sources' || key === 'tags') && !text.includes('://') && !/^[^/]*[.:][^/]*\/|^localhost\//.test(text)) {
    const whole = text.includes('/') ? `docker.io/${text}` : `docker.io/library/${text}`;
    return `image references are judged in their whole form; write ${whole}`;
  }
  return undefined;
}
