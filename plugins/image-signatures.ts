// Images signed by cosign with a configured key alone. What is created is pinned to the digest whose signature was verified, so a tag
// that moves between check and use changes nothing. The signature is bound to the repository named: the payload's docker-reference
// and docker-manifest-digest must be the image's. Signatures are read from the registry, as `sha256-DIGEST.sig` beside the image
// (cosign's tag scheme); bundles of newer versions name no repository and are not taken. Keys alone: no certificates, no log.
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
import { createHash, createPublicKey, type KeyObject, verify as verifyBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  type AdmissionRequest,
  type Change,
  definePlugin,
  deny,
  type FetchedText,
  isLike,
  type Json,
  listOf,
  objectOf,
  PASS,
  type PluginContext,
  textOf,
  type Verdict,
} from '../src/plugin.ts';

interface Rule {
  /** Patterns of images without tag, `ghcr.io/acme/*`; `*` stands for any text. */
  readonly images: readonly string[];
  /** PEM files of public keys; the signature of one of them is enough. */
  readonly keys: readonly string[];
}
interface Settings {
  readonly rules: readonly Rule[];
  /** Images that no rule names. */
  readonly others: 'deny' | 'allow';
  /** `pin`: the engine is asked for the digest, and no tag is made. `check`: for the tag, whatever it means by then. */
  readonly pulls: 'pin' | 'check';
  /** Registries reached without TLS, `127.0.0.1:5000`; granted as `net:http://HOST`. */
  readonly insecure: readonly string[];
  /** Environment variable with `user:password`, by registry; granted as `env:NAME`. */
  readonly credentials: Readonly<Record<string, string>>;
  /** A good answer holds this long, in seconds. */
  readonly maxAgeS: number;
}
type Context = PluginContext<Settings>;

interface Image {
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
  /** Empty where none was named. */
  readonly digest: string;
}

const SIGNATURE = 'dev.cosignproject.cosign/signature';
const PAYLOAD_TYPE = 'application/vnd.dev.cosign.simplesigning.v1+json';
const MANIFESTS = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');
const DIGEST = /^sha256:[0-9a-f]{64}$/;
/** Signatures of one image that are looked at. */
const MAX_SIGNATURES = 16;
const MAX_DIGESTS = 4;
const MAX_REDIRECTS = 3;
const MAX_KEPT = 4096;

/** Where a call names the image it makes something from, and the change that pins it. */
const PLACES: Readonly<Record<string, (image: Image, settings: Settings) => readonly Change[]>> = {
  Image: (image) => [{ op: 'replace', path: '/body/Image', value: pinned(image) }],
  'TaskTemplate.ContainerSpec.Image': (image) => [
    { op: 'replace', path: '/body/TaskTemplate/ContainerSpec/Image', value: pinned(image) },
  ],
  'query.fromImage': (image, { pulls }) =>
    pulls === 'check'
      ? []
      : [
          { op: 'replace', path: '/query/fromImage', value: [`${image.registry}/${image.repository}`] },
          { op: 'add', path: '/query/tag', value: [image.digest] },
        ],
};

const nameOf = ({ registry, repository }: Image): string => `${registry}/${repository}`;
const pinned = (image: Image): string => `${nameOf(image)}@${image.digest}`;
const sha256 = (bytes: string): string => `sha256:${createHash('sha256').update(bytes, 'utf8').digest('hex')}`;

/** A canonical reference, `registry/repository[:tag][@digest]`; undefined for an id. */
function imageOf(canonical: string): Image | undefined {
  const [name = '', digest = ''] = canonical.split('@');
  const slash = name.indexOf('/');
  if (slash < 1 || (digest !== '' && !DIGEST.test(digest))) return undefined;
  const colon = name.indexOf(':', name.lastIndexOf('/'));
  const end = colon < 0 ? name.length : colon;
  return { registry: name.slice(0, slash), repository: name.slice(slash + 1, end), tag: name.slice(end + 1), digest };
}

/** As Docker reads names: without a registry it is Docker Hub's, and without a slash one of its own images. */
function inFull(pattern: string): string {
  const slash = pattern.indexOf('/');
  const head = pattern.slice(0, Math.max(slash, 0));
  if (slash > 0 && (/[.:]/.test(head) || head === 'localhost')) return pattern;
  return slash < 0 ? `docker.io/library/${pattern}` : `docker.io/${pattern}`;
}

const keys = new Map<string, KeyObject>();
const keyOf = (file: string): KeyObject => {
  const known = keys.get(file) ?? createPublicKey(readFileSync(file));
  keys.set(file, known);
  return known;
};

/** A registry as one image of it is read. */
class Registry {
  readonly #image: Image;
  readonly #context: Context;
  readonly #base: string;
  #authorization: string | undefined;

  constructor(image: Image, context: Context) {
    const { insecure, credentials } = context.config;
    const host = image.registry === 'docker.io' ? 'registry-1.docker.io' : image.registry;
    this.#image = image;
    this.#context = context;
    this.#base = `${insecure.includes(image.registry) ? 'http' : 'https'}://${host}/v2/${image.repository}`;
    const account = context.env[credentials[image.registry] ?? ''];
    if (account) this.#authorization = `Basic ${Buffer.from(account).toString('base64')}`;
  }

  /** The text of a manifest; undefined where there is none. */
  manifest(reference: string): Promise<string | undefined> {
    return this.#get(`/manifests/${reference}`, MANIFESTS);
  }

  async blob(digest: string): Promise<string | undefined> {
    const text = await this.#get(`/blobs/${digest}`, '*/*');
    return text !== undefined && sha256(text) === digest ? text : undefined;
  }

  async #get(path: string, accept: string): Promise<string | undefined> {
    let answer = await this.#ask(path, accept);
    const challenge = answer.headers['www-authenticate'];
    if (answer.status === 401 && challenge !== undefined && /^bearer /i.test(challenge)) {
      await this.#login(challenge);
      answer = await this.#ask(path, accept);
    }
    let at = `${this.#base}${path}`;
    for (let i = 0; i < MAX_REDIRECTS && [301, 302, 303, 307, 308].includes(answer.status); i++) {
      at = new URL(answer.headers.location ?? '', at).href;
      // Credentials are the registry's own.
      answer = await this.#context.fetch(at);
    }
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw new Error(`the registry ${this.#image.registry} answered ${answer.status}`);
    return answer.body;
  }

  #ask(path: string, Accept: string): Promise<FetchedText> {
    const headers = { Accept, ...(this.#authorization ? { Authorization: this.#authorization } : {}) };
    return this.#context.fetch(`${this.#base}${path}`, { headers });
  }

  async #login(challenge: string): Promise<void> {
    const words = new Map([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
    const url = new URL(words.get('realm') ?? '');
    url.searchParams.set('service', words.get('service') ?? '');
    url.searchParams.set('scope', `repository:${this.#image.repository}:pull`);
    const headers = this.#authorization === undefined ? {} : { Authorization: this.#authorization };
    const answer = objectOf(JSON.parse((await this.#context.fetch(url.href, { headers })).body) as Json);
    this.#authorization = `Bearer ${textOf(answer.token) || textOf(answer.access_token)}`;
  }
}

/** Under which digests the engine would use, or pull, the image: those it has it by, else the one of the registry. */
async function resolved(image: Image, action: string, registry: Registry, context: Context): Promise<readonly Image[]> {
  if (image.digest !== '') return [image];
  const here =
    action === 'image.pull'
      ? undefined
      : await context.engine.get('image.inspect', { name: `${nameOf(image)}:${image.tag}` });
  if (here !== undefined) {
    const digests = listOf(objectOf(here).RepoDigests).map((one) => textOf(one));
    const own = digests.filter((one) => inFull(one).startsWith(`${nameOf(image)}@`)).slice(0, MAX_DIGESTS);
    return own.map((one) => ({ ...image, digest: one.slice(one.indexOf('@') + 1) }));
  }
  const manifest = await registry.manifest(image.tag === '' ? 'latest' : image.tag);
  return manifest === undefined ? [] : [{ ...image, digest: sha256(manifest) }];
}

/** Why a signature is none of this image; undefined for one that is. */
function faultOf(payload: string, signature: string, image: Image, rule: Rule): string | undefined {
  const bytes = Buffer.from(payload, 'utf8');
  const isBy = (key: KeyObject): boolean =>
    verifyBytes(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', bytes, key, Buffer.from(signature, 'base64'));
  if (!rule.keys.some((file) => isBy(keyOf(file)))) return 'no configured key made its signature';
  const critical = objectOf(objectOf(JSON.parse(payload) as Json).critical as Json);
  if (critical.type !== 'cosign container image signature') return 'what is signed is no image';
  if (textOf(objectOf(critical.image)['docker-manifest-digest']) !== image.digest) return 'another digest is signed';
  const signed = textOf(objectOf(critical.identity)['docker-reference']).replace(/^index\.docker\.io\//, 'docker.io/');
  const own = imageOf(inFull(signed));
  return own !== undefined && nameOf(own) === nameOf(image) ? undefined : `it was signed as ${signed || 'nothing'}`;
}

async function verified(image: Image, rule: Rule, registry: Registry): Promise<Verdict> {
  const manifest = await registry.manifest(`${image.digest.replace(':', '-')}.sig`);
  const layers = manifest === undefined ? [] : listOf(objectOf(JSON.parse(manifest) as Json).layers);
  let why = 'it has no signature';
  for (const layer of layers.slice(0, MAX_SIGNATURES)) {
    const { mediaType, digest, annotations } = objectOf(layer);
    const signature = textOf(objectOf(annotations)[SIGNATURE]);
    if (mediaType !== PAYLOAD_TYPE || signature === '' || !DIGEST.test(textOf(digest))) continue;
    const payload = await registry.blob(textOf(digest));
    const fault = payload === undefined ? 'its signature cannot be read' : faultOf(payload, signature, image, rule);
    if (fault === undefined) return PASS;
    why = fault;
  }
  return deny('signature-missing', `${pinned(image)}: ${why}; sign it with cosign, or ask for a key to be configured`);
}

const good = new Map<string, number>();

interface Judged {
  readonly verdict: Verdict;
  readonly image?: Image;
}

async function judged(at: string, name: string, request: AdmissionRequest, context: Context): Promise<Judged> {
  const { rules, others, maxAgeS } = context.config;
  const named = imageOf(name);
  if (named === undefined)
    return {
      verdict: deny('image-by-id', `${at} names the image by its id, which no signature does; name it in full`),
    };
  const rule = rules.find(({ images }) => images.some((pattern) => isLike(inFull(pattern), nameOf(named))));
  if (rule === undefined) {
    if (others === 'allow') return { verdict: PASS };
    const known = rules.flatMap(({ images }) => images).join(', ');
    return {
      verdict: deny(
        'signature-unknown',
        `${at} is "${nameOf(named)}", for which there is no key (images with keys: ${known})`,
      ),
    };
  }
  const registry = new Registry(named, context);
  if (request.operation.action === 'image.pull' && named.tag === '' && named.digest === '')
    return { verdict: deny('signature-unpinned', `${at} names every tag of "${name}"; pull one`) };
  let verdict = deny('signature-missing', `${at} is "${name}", which has no digest of a registry; pull a signed one`);
  for (const image of await resolved(named, request.operation.action, registry, context)) {
    const key = `${context.name} ${pinned(image)} ${rule.keys.join(' ')}`;
    if ((good.get(key) ?? 0) > performance.now()) return { verdict: PASS, image };
    verdict = await verified(image, rule, registry);
    if (verdict.kind !== 'pass') continue;
    if (good.size >= MAX_KEPT) good.clear();
    good.set(key, performance.now() + maxAgeS * 1000);
    return { verdict, image };
  }
  return { verdict };
}

/** Verdicts of `mutate`, for `validate` of the same call. */
const told = new Map<string, { readonly verdict: Verdict; readonly names: readonly string[] }>();

const usedBy = ({ operation, resources }: AdmissionRequest) =>
  resources.filter(
    ({ kind, at }) => kind === 'image' && (operation.action !== 'image.pull' || at === 'query.fromImage'),
  );

async function mutate(request: AdmissionRequest, context: Context): Promise<readonly Change[]> {
  if (request.dryRun) return [];
  const changes: Change[] = [];
  const names: string[] = [];
  let verdict: Verdict = PASS;
  for (const { at, name } of usedBy(request)) {
    const found = await judged(at, name, request, context);
    if (verdict.kind === 'pass') verdict = found.verdict;
    const { image } = found;
    names.push(image === undefined ? name : pinned(image));
    if (image === undefined || found.verdict.kind !== 'pass' || name === pinned(image)) continue;
    const pin = PLACES[at];
    if (pin === undefined && verdict.kind === 'pass')
      verdict = deny('signature-unpinned', `${at} is "${name}", which has to be pinned: write ${pinned(image)}`);
    changes.push(...(pin?.(image, context.config) ?? []));
    context.annotate(at, `signed: ${pinned(image)}`);
  }
  if (told.size >= MAX_KEPT) told.clear();
  told.set(`${context.name} ${request.auditId}`, { verdict, names });
  return changes;
}

function validate(request: AdmissionRequest, { name }: Context): Verdict {
  if (request.dryRun) return PASS;
  const key = `${name} ${request.auditId}`;
  const known = told.get(key);
  told.delete(key);
  if (known === undefined) return deny('signature-unknown', 'the image was not looked at before it was judged');
  // A tenant's image stands there by its id by now.
  const other = usedBy(request).find((one) => imageOf(one.name) !== undefined && !known.names.includes(one.name));
  if (known.verdict.kind === 'pass' && other !== undefined && request.operation.action !== 'image.pull')
    return deny('signature-unknown', `${other.at} became "${other.name}" after its signature was looked at`);
  return known.verdict;
}

const listOfTexts = { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1 };

export default definePlugin<Settings>({
  meta: {
    name: 'image-signatures',
    version: '1.0.0',
    apiVersion: 1,
    description:
      'Allows images that cosign signed with a configured key, and pins them to the digest that was verified',
  },
  needs: { engineRead: ['image.inspect'] },
  match: { actions: ['container.create', 'image.pull', 'service.create', 'service.update'] },
  config: {
    type: 'object',
    properties: {
      rules: {
        type: 'array',
        minItems: 1,
        items: {
          type: 'object',
          properties: { images: listOfTexts, keys: { ...listOfTexts, items: { type: 'string', pattern: '^/' } } },
          required: ['images', 'keys'],
          additionalProperties: false,
        },
      },
      others: { enum: ['deny', 'allow'], default: 'deny' },
      pulls: { enum: ['pin', 'check'], default: 'pin' },
      insecure: { type: 'array', items: { type: 'string' }, default: [] },
      credentials: { type: 'object', additionalProperties: { type: 'string' }, default: {} },
      maxAgeS: { type: 'number', minimum: 1, default: 600 },
    },
    required: ['rules'],
    additionalProperties: false,
  },
  setup({ config }) {
    for (const { keys: files } of config.rules) for (const file of files) keyOf(file);
  },
  reinvoke: true,
  mutate,
  validate,
});
