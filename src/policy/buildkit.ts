// BuildKit's own protocol cannot be read yet, so it is refused together with the privileged builder container that buildx
// makes in its place: both open to `build.opaque` alone, and the refusal says what to do. Pure.
import type { EngineCall } from '../engine/types.ts';
import { BUILD_OPAQUE, isBuildKitDoor } from './actions.ts';
import type { PrincipalPolicies } from './compile.ts';
import { judgeRule } from './judge-rule.ts';
import type { DecisionInput, Reason } from './types.ts';

/** How buildx names the containers it builds in (driver docker-container). */
const BUILDER_NAME = /^\/?(buildx_buildkit_[\w.-]*)/;
/**
 * Calls by which a builder container comes to be or is used. The look is among them: buildx hides the refusal of the protocol
 * and asks for the container first, so this is where its user hears of it. Stopping and removing one stays free.
 */
const BUILDER_CALLS: ReadonlySet<string> = new Set([
  'container.inspect',
  'container.create',
  'container.start',
  'container.exec.create',
  'container.archive.write',
]);

const ADVICE = `build with DOCKER_BUILDKIT=0 and \`docker build\`, or ask for a policy rule that names ${BUILD_OPAQUE}`;

/** Why a call is refused for want of `build.opaque`; undefined when it needs none, or has it. */
export function refusedBuildKit(policies: PrincipalPolicies, input: DecisionInput): Reason | undefined {
  const reason = needsBuildOpaque(input.call);
  if (reason === undefined) return undefined;
  if (!policies.mayAllow(BUILD_OPAQUE)) return reason;
  // The rules of the two doors are judged with the call itself; those of a builder container speak of containers.
  if (isBuildKitDoor(input.call.action)) return undefined;
  const { denies, allows } = policies.rulesFor(BUILD_OPAQUE);
  const isOpen =
    denies.every((rule) => judgeRule(rule, input).kind === 'miss') &&
    allows.some((rule) => judgeRule(rule, input).kind === 'match');
  return isOpen ? undefined : reason;
}

/** `POST /build` hands the build to BuildKit when it is asked for by this number: a third door, behind the classic builder's. */
export const isBuildKitBuild = ({ action, query }: Pick<EngineCall, 'action' | 'query'>): boolean =>
  action === 'build.run' && query.version?.[0] === '2';

function needsBuildOpaque(call: EngineCall): Reason | undefined {
  const { action } = call;
  if (isBuildKitDoor(action)) {
    const message = `denied: BuildKit cannot be judged here (${action} passes through unread); ${ADVICE}`;
    return { code: 'build-opaque-needed', message };
  }
  if (isBuildKitBuild(call)) {
    const message = `denied: query.version is "2": BuildKit cannot be judged here (the build passes through unread); ${ADVICE}`;
    return { code: 'build-opaque-needed', field: 'query.version', message };
  }
  if (!BUILDER_CALLS.has(action)) return undefined;
  for (const { kind, name, resolvedName, at } of call.resources) {
    if (kind !== 'container') continue;
    const builder = BUILDER_NAME.exec(name) ?? BUILDER_NAME.exec(resolvedName ?? '');
    if (builder === null) continue;
    const message = `denied: the builder container ${builder[1]} would let BuildKit build unread; ${ADVICE}`;
    return { code: 'build-opaque-needed', field: at, message };
  }
  return undefined;
}
