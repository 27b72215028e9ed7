// Images from named registries and repositories alone, by tag or by digest. What is judged is the reference as the engine reads it:
// `busybox` is docker.io/library/busybox:latest. An image that was made here under a name of an allowed repository (build, commit,
// tag, import, load) would pass for one from there, so making such a name is refused unless the settings allow it. The
// Dockerfile of a build is not shown to plugins: what a build may start from is said by the `images` of a policy.
import { type AdmissionRequest, definePlugin, deny, isLike, PASS, type Verdict } from '../src/plugin.ts';

interface Settings {
  readonly allow: readonly string[];
  readonly digest: 'required' | 'optional';
  readonly latest: 'allow' | 'deny';
  readonly ids: 'allow' | 'deny';
  readonly madeHere: 'allow' | 'deny';
}

interface Reference {
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
}

/** A canonical reference, `registry/repository[:tag][@digest]`, in its parts. */
function partsOf(canonical: string): Reference {
  const [name = '', digest = ''] = canonical.split('@');
  const slash = name.indexOf('/');
  const colon = name.indexOf(':', name.lastIndexOf('/'));
  const end = colon < 0 ? name.length : colon;
  return { registry: name.slice(0, slash), repository: name.slice(slash + 1, end), tag: name.slice(end + 1), digest };
}

/** As Docker reads names: without a registry it is Docker Hub's, and without a slash one of its own images. */
function inFull(pattern: string): readonly [registry: string, repository: string] {
  const slash = pattern.indexOf('/');
  const head = pattern.slice(0, Math.max(slash, 0));
  if (slash > 0 && (/[.:]/.test(head) || head === 'localhost')) return [head, pattern.slice(slash + 1)];
  return ['docker.io', slash < 0 ? `library/${pattern}` : pattern];
}

/** The stars of a registry stay in the registry. */
const isAllowed = ({ registry, repository }: Reference, { allow }: Settings): boolean =>
  allow.some((pattern) => {
    const [inRegistry, inRepository] = inFull(pattern);
    return isLike(inRegistry, registry) && isLike(inRepository, repository);
  });

const MAKES = /^query\.(?:repo|t\[\d+\])$/;

function judged(at: string, name: string, config: Settings): Verdict {
  const allowed = `allowed: ${config.allow.join(', ')}`;
  if (name.startsWith('sha256:')) {
    if (config.ids === 'allow') return PASS;
    return deny('image-by-id', `${at} names the image by its id, which tells no source: name it in full (${allowed})`);
  }
  const reference = partsOf(name);
  if (MAKES.test(at)) {
    if (config.madeHere === 'allow' || !isAllowed(reference, config)) return PASS;
    const why = 'would pass for an image from there: take another name, or have madeHere: allow set';
    return deny('image-made-here', `${at} gives an image the name "${name}", which ${why}`);
  }
  if (!isAllowed(reference, config)) return deny('image-source-denied', `${at} is "${name}" (${allowed})`);
  if (reference.digest !== '') return PASS;
  if (config.digest === 'required') {
    return deny('image-digest-missing', `${at} is "${name}" without a digest: write ${name}@sha256:...`);
  }
  if (config.latest === 'deny' && (reference.tag === '' || reference.tag === 'latest')) {
    const what = reference.tag === '' ? `"${name}" with every tag` : `"${name}"`;
    return deny('image-tag-denied', `${at} is ${what}: name a version, such as ${name.replace(/:latest$/, '')}:1.2`);
  }
  return PASS;
}

function validate(request: AdmissionRequest, { config }: { readonly config: Settings }): Verdict {
  const { action } = request.operation;
  if ((action === 'image.load' || action === 'image.import') && config.madeHere === 'deny') {
    const what = `${action} brings an image from elsewhere than a registry`;
    return deny(
      'image-made-here',
      `${what}: pull it (allowed: ${config.allow.join(', ')}), or have madeHere: allow set`,
    );
  }
  for (const { kind, name, at } of request.resources) {
    if (kind !== 'image' || name === '') continue;
    // What is tagged or committed is here already.
    if (action === 'image.tag' && at.startsWith('path.')) continue;
    const verdict = judged(at, name, config);
    if (verdict.kind !== 'pass') return verdict;
  }
  return PASS;
}

const choice = (fallback: string, ...values: string[]) => ({ enum: values, default: fallback });

export default definePlugin<Settings>({
  meta: {
    name: 'image-sources',
    version: '1.0.0',
    apiVersion: 1,
    description: 'Allows images of named registries and repositories only, with a version or a digest',
  },
  match: {
    actions: [
      ...['container.create', 'service.create', 'service.update', 'build.run'],
      ...['image.pull', 'image.tag', 'image.commit', 'image.import', 'image.load'],
    ],
  },
  config: {
    type: 'object',
    properties: {
      allow: { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1 },
      digest: choice('optional', 'required', 'optional'),
      latest: choice('deny', 'allow', 'deny'),
      ids: choice('deny', 'allow', 'deny'),
      madeHere: choice('deny', 'allow', 'deny'),
    },
    required: ['allow'],
    additionalProperties: false,
  },
  validate,
  examples: [
    {
      name: 'an image of the registry',
      action: 'container.create',
      config: { allow: ['registry.test/*'] },
      resources: [{ kind: 'image', name: 'registry.test/team/app:1.2', at: 'Image' }],
      expect: 'pass',
    },
    {
      name: 'an image of another registry',
      action: 'container.create',
      config: { allow: ['registry.test/*'] },
      resources: [{ kind: 'image', name: 'docker.io/library/busybox:1', at: 'Image' }],
      expect: { deny: 'image-source-denied' },
    },
  ],
});
