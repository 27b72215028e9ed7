// The image a stage is built on, or files are taken from: there, judged, and with what it brings along known.
import type { Answer, Question } from '../../engine/dockerfile/plan.ts';
import { GatewayError } from '../../errors.ts';
import { TENANT_LABEL } from '../../ledger/labels.ts';
import { familiarImage, taken } from '../../ledger/missing.ts';
import type { Ending } from '../../proxy/ending.ts';
import type { EngineClient } from '../../proxy/engine-client.ts';
import { ask, inner, text } from '../tenancy/engine-state.ts';
import { givesOthersName, isOthersAlone, useImage } from '../tenancy/images.ts';
import { planPull } from '../tenancy/pull-plan.ts';
import type { TenantCall } from '../tenancy/tenant-call.ts';
import { authHeader, pullImage } from './pull.ts';

type ImageQuestion = Extract<Question, { kind: 'image' }>;

export interface ImageSource {
  readonly engine: EngineClient;
  readonly tenantCall: TenantCall | undefined;
  /** Newer images are asked for (`pull=1`). */
  readonly isPulled: boolean;
  /** No step is taken from the build cache. */
  readonly isUncached: boolean;
  /** `linux/arm64`, of the whole build. */
  readonly platform: string | undefined;
  readonly registryConfig: string | undefined;
  readonly ending: Ending | undefined;
}

/** @throws {GatewayError} `object-not-found`, `archive-unreadable`, `conflict` */
export async function baseImage(question: ImageQuestion, source: ImageSource): Promise<Answer> {
  const { name } = question;
  const { tenantCall } = source;
  if (tenantCall !== undefined) refuseForeign(name, tenantCall);
  const image = await present(question, source);
  let write = name;
  if (tenantCall !== undefined && !tenantCall.broughtByBuild.has(name)) {
    const used = await useImage({ kind: 'image', name, at: question.at, role: 'uses' }, tenantCall);
    write = used?.write ?? name;
  }
  const config = inner(image, 'Config');
  const triggers = strings(inner(config, 'OnBuild'));
  if (question.isBase && triggers.length > 0 && tenantCall !== undefined && !source.isUncached) {
    // They run before anything in the file can tell one tenant's steps from another's.
    if (text(inner(inner(config, 'Labels'), TENANT_LABEL)) !== tenantCall.tenant)
      throw new GatewayError(
        'archive-unreadable',
        `the image ${familiarImage(name)} of ${question.at} has triggers, whose steps all tenants would share in the build cache; build without it (docker build --no-cache)`,
      );
  }
  return { write, env: strings(inner(config, 'Env')), triggers: question.isBase ? triggers : [] };
}

const strings = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];

function refuseForeign(name: string, { ledger, tenant }: TenantCall): void {
  const others = ledger.holders('image', name).some((entry) => entry.tenant !== tenant);
  if (others && ledger.owned(tenant, 'image', name) === undefined) throw notThere(name);
}

/** The image as the engine has it, fetched where it is missing, is to be newer, or is of another platform. */
async function present(question: ImageQuestion, source: ImageSource): Promise<unknown> {
  const { name } = question;
  const { engine, tenantCall } = source;
  const platform = question.platform ?? source.platform;
  const isName = !name.startsWith('sha256:');
  const look = () => ask(engine, `/images/${name.split('/').map(encodeURIComponent).join('/')}/json`);
  const before = await look();
  if (before !== undefined && !(isName && source.isPulled) && isOfPlatform(before, platform)) return before;
  if (!isName) throw notThere(name);
  if (tenantCall !== undefined) {
    const auth = authHeader(name, source.registryConfig);
    const plan = await planPull(name, tenantCall, auth);
    if (plan.kind === 'by-digest') {
      // Another tenant's name, or a shared one with the same image as the registry has.
      if (plan.isAlias) throw taken('image', name);
      if (isOfPlatform(before, platform)) return before;
      throw taken('image', name);
    }
    tenantCall.hold('image', name);
    if (givesOthersName(name, tenantCall.tenant, tenantCall.ledger)) throw taken('image', name);
    if (plan.claims) tenantCall.bring(name, before === undefined ? undefined : text(inner(before, 'Id')));
  }
  try {
    await pullImage(engine, name, { ...source, platform });
  } catch (error) {
    // What another pull, or an operator, brought meanwhile is no claim of this one's.
    tenantCall?.failed(name, error instanceof GatewayError && error.code === 'object-not-found');
    throw error;
  }
  const image = await look();
  if (image === undefined) throw notThere(name);
  if (tenantCall !== undefined && isOthersAlone(name, text(inner(image, 'Id')), tenantCall.tenant, tenantCall.ledger))
    throw notThere(name);
  if (!isOfPlatform(image, platform))
    throw new GatewayError('archive-unreadable', `the image ${familiarImage(name)} is not of the platform ${platform}`);
  return image;
}

/** Whether the engine would take a local image for this platform; where that is not sure, it is fetched. */
function isOfPlatform(image: unknown, platform: string | undefined): boolean {
  if (platform === undefined) return true;
  const parts = platform.toLowerCase().split('/');
  const [os = '', machine = '', variant = ''] = parts.length === 1 ? ['linux', ...parts] : parts;
  const of = (key: string) => text(inner(image, key)).toLowerCase();
  const architecture = ALIASES.get(machine) ?? machine;
  if (parts.length === 1 && (machine === 'linux' || machine === '')) return of('Os') === 'linux';
  return (
    os === of('Os') &&
    architecture === of('Architecture') &&
    (variant === '' || of('Variant') === '' || variant === of('Variant'))
  );
}

const ALIASES: ReadonlyMap<string, string> = new Map([
  ['x86_64', 'amd64'],
  ['x86-64', 'amd64'],
  ['aarch64', 'arm64'],
  ['armhf', 'arm'],
  ['i386', '386'],
]);

/** As the engine answers for a name its registry does not know. */
const notThere = (name: string): GatewayError =>
  new GatewayError(
    'object-not-found',
    `pull access denied for ${familiarImage(name)}, repository does not exist or may require 'docker login'`,
  );
