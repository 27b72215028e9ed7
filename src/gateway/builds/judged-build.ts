// A classic build on its way to the engine: the context is written anew, and its Dockerfile by what was judged. Images and
// addresses it names are held against the caller's policy, and against the ledger for a tenant.
import { planBuild } from '../../engine/dockerfile/plan.ts';
import { labelBytes } from '../../engine/label-bytes.ts';
import { isCredential } from '../../engine/registry-credentials.ts';
import { renderTarget } from '../../engine/render-target.ts';
import type { EngineCall, ResourceRef } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import { judgedContext } from '../../ledger/build-context.ts';
import { refuseReservedLabel, TENANT_LABEL } from '../../ledger/labels.ts';
import { cleanPath } from '../../ledger/tar-reader.ts';
import type { Ending } from '../../proxy/ending.ts';
import type { EngineClient } from '../../proxy/engine-client.ts';
import type { TenantCall } from '../tenancy/tenant-call.ts';
import { uncompressed } from '../tenancy/upload.ts';
import { type OwnListeners, refuseNearAddress } from './addresses.ts';
import { baseImage, type ImageSource } from './base-image.ts';
import { authFor } from './pull.ts';

export interface BuildJudge {
  /** Decides the call with what its Dockerfile names. @throws {GatewayError} the denial */
  decide(call: EngineCall): Promise<void>;
  readonly engine: EngineClient;
  readonly listeners: OwnListeners;
  readonly tenantCall: TenantCall | undefined;
  readonly registryConfig: string | undefined;
  /** Most bytes of labels of one image. */
  readonly maxLabelBytes: number;
  readonly ending: Ending | undefined;
}

/** Path and query of a judged build. Newer images are fetched by the gateway, which looks at them before the engine builds. */
export function buildTarget(call: EngineCall): string {
  const { pull: _, ...query } = call.query;
  return renderTarget({ ...call, query: { ...query, dockerfile: [pathOf(call)] } });
}

/** @throws {GatewayError} `archive-unreadable` for a Dockerfile that is not a file of the context */
function pathOf(call: EngineCall): string {
  const given = one(call, 'dockerfile');
  const path = given === '' ? 'Dockerfile' : cleanPath(given);
  // Podman takes a list in JSON, and addresses.
  if (path === '' || /^\s*\[|:\/\//.test(given) || [...given].some((character) => character < ' '))
    throw new GatewayError(
      'archive-unreadable',
      `query.dockerfile is ${JSON.stringify(given.slice(0, 120))} (allowed: a file of the context)`,
    );
  return path;
}

const one = (call: EngineCall, name: string): string => call.query[name]?.[0] ?? '';
const isOn = (call: EngineCall, name: string): boolean => one(call, name) === '1';

/** The context as it may reach the engine. Reading it throws what refuses the build. */
export function judgedBuild(
  call: EngineCall,
  stream: AsyncIterable<Uint8Array>,
  judge: BuildJudge,
): AsyncIterable<Uint8Array> {
  return judgedContext(uncompressed(stream), {
    dockerfile: pathOf(call),
    judge: (content) => dockerfileOf(content, call, judge),
  });
}

async function dockerfileOf(content: Buffer, call: EngineCall, judge: BuildJudge): Promise<Buffer> {
  const { tenantCall } = judge;
  const given = one(call, 'buildargs');
  const plan = planBuild(content, {
    maxLabelBytes: judge.maxLabelBytes,
    givenLabelBytes: labelBytes(call),
    buildArgs: given === '' ? {} : (JSON.parse(given) as Record<string, string | null>),
    ...(tenantCall === undefined
      ? {}
      : {
          labels: { [TENANT_LABEL]: tenantCall.tenant },
          refuseLabel: refuseReservedLabel,
        }),
  });
  const platform = one(call, 'platform');
  const source: ImageSource = {
    ...judge,
    // A parameter of text the engine reads as a word for true or false.
    isPulled: !['', '0', 'no', 'false', 'none'].includes(one(call, 'pull').trim().toLowerCase()),
    isUncached: isOn(call, 'nocache'),
    platform: platform === '' ? undefined : platform,
  };
  for (let step = plan.next(); ; ) {
    if (step.done === true) return Buffer.from(step.value);
    const question = step.value;
    if (question.kind === 'address') {
      await refuseNearAddress(question.url, question.at, judge.listeners);
      await judge.decide(Object.freeze({ ...call, fetches: Object.freeze([question]) }));
      step = plan.next(NOTHING);
    } else {
      const reference: ResourceRef = Object.freeze({
        kind: 'image',
        name: question.name,
        at: question.at,
        role: 'uses',
      });
      await decideImage(
        Object.freeze({ ...call, resources: Object.freeze([...call.resources, reference]) }),
        reference,
        judge,
      );
      step = plan.next(await baseImage(question, source));
    }
  }
}

/** An image as policy has it; where no registries are listed, credentials for its own open one, but never one that is near. */
async function decideImage(asked: EngineCall, { name, at }: ResourceRef, judge: BuildJudge): Promise<void> {
  const { credentials: _, ...plain } = asked;
  const registry = name.slice(0, name.indexOf('/'));
  if (!isCredential(authFor(registry, judge.registryConfig))) return judge.decide(Object.freeze(plain));
  await judge.decide(Object.freeze(plain)).catch(async (denial: unknown) => {
    await refuseNearAddress(`https://${registry}/`, at, judge.listeners);
    await judge.decide(Object.freeze({ ...plain, credentials: true })).catch(() => Promise.reject(denial));
  });
}

const NOTHING = { write: '', env: [], triggers: [] };
