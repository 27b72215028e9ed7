// Judges where a build's result goes: into the engine's store under names, to a registry, or to the client. Options that are not
// in the table are refused, for an exporter could read them. exporter/containerimage/exptypes, and moby's own exporter.
import { type Collected, canonicalImage } from './collected.ts';
import { refuseInsecure } from './frontend.ts';
import { Refusal } from './grpc.ts';

/** Exporters by the word policies know them by: moby's own is the engine's store. */
const TYPES: Readonly<Record<string, string>> = {
  moby: 'image',
  image: 'image',
  docker: 'docker',
  oci: 'oci',
  tar: 'tar',
  local: 'local',
  cacheonly: 'cacheonly',
};

const FREE: ReadonlySet<string> = new Set([
  ...[
    'name-canonical',
    'unpack',
    'store',
    'oci-mediatypes',
    'oci-artifact',
    'attestation-inline',
    'attestation-prefix',
  ],
  ...['prefer-nondist-layers', 'source-date-epoch', 'compression', 'force-compression', 'compression-level'],
  ...['rewrite-timestamp', 'platform-split', 'mode', 'tar', 'src', 'push-by-digest', 'danging-name-empty-only'],
]);

/** Judges one exporter. @returns its options as the engine gets them @throws {Refusal} */
export function ownExporter(
  type: string,
  attrs: ReadonlyMap<string, string>,
  at: string,
  collected: Collected,
): ReadonlyMap<string, string> {
  const word = Object.hasOwn(TYPES, type) ? TYPES[type] : undefined;
  if (word === undefined) {
    throw new Refusal(
      'permission-denied',
      `${at} is of the type ${JSON.stringify(type.slice(0, 80))} (known: ${Object.keys(TYPES).join(', ')})`,
    );
  }
  collected.add('exporters', at, word);
  const names = namesIn(attrs.get('name') ?? '', at);
  for (const name of names) collected.add('tags', `${at}.name`, name);
  for (const [key, value] of attrs) {
    if (key === 'name' || FREE.has(key) || /^annotation[a-z-]*(\[[^\]]*\])?[.-]/.test(key)) continue;
    if (key === 'push') {
      if (isFalse(value)) continue;
      if (word !== 'image')
        throw new Refusal('permission-denied', `${at}.push is for images in the engine's store alone`);
      for (const name of names) collected.pushes.push({ at: `${at}.name`, value: name });
    } else if (key === 'registry.insecure') refuseInsecure(attrs, at);
    else if (key === 'dangling-name-prefix') {
      if (value !== '')
        throw new Refusal(
          'permission-denied',
          `${at}.dangling-name-prefix names images that cannot be judged (allowed: empty)`,
        );
    } else {
      throw new Refusal(
        'permission-denied',
        `${at} has the option ${JSON.stringify(key.slice(0, 80))}, which is not known here; build without it`,
      );
    }
  }
  return names.length === 0 ? attrs : new Map([...attrs, ['name', names.join(',')]]);
}

const isFalse = (value: string): boolean => /^(0|f|false)$/i.test(value);

/** Names in full. BuildKit takes several with commas; `*` would let the frontend choose. */
function namesIn(value: string, at: string): readonly string[] {
  if (value === '') return [];
  return value.split(',').map((name) => {
    if (name.includes('*'))
      throw new Refusal(
        'permission-denied',
        `${at}.name is ${JSON.stringify(value.slice(0, 200))}, so the frontend would choose it; name the image`,
      );
    const reference = canonicalImage(name, `${at}.name`);
    // The engine drops a digest from a name it gives.
    if (reference.includes('@'))
      throw new Refusal(
        'permission-denied',
        `${at}.name ${JSON.stringify(name.slice(0, 200))} holds a digest; name the image by a tag`,
      );
    return reference;
  });
}
