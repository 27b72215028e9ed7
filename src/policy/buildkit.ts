// BuildKit's protocol: whether its two doors open, read and judged or unread; and what stays closed to all but `build.opaque`:
// the privileged builder container buildx makes in place of the engine's own builder, and the builds of POST /build that go to
// BuildKit unread. A refusal says what to do. Pure.
import type { EngineCall } from '../engine/types.ts';
import { BUILD_OPAQUE, BUILD_RUN } from './actions.ts';
import type { PrincipalPolicies, ReadyRule } from './compile.ts';
import { judgeRule, outOfReach } from './judge-rule.ts';
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

const ADVICE = `build with the engine's own builder (docker buildx use default) or with DOCKER_BUILDKIT=0, or ask for a policy rule that names ${BUILD_OPAQUE}`;

/** Why a call is refused for want of `build.opaque`; undefined when it needs none, or has it. */
export function refusedBuildKit(policies: PrincipalPolicies, input: DecisionInput): Reason | undefined {
  const reason = needsBuildOpaque(input.call);
  if (reason === undefined) return undefined;
  return isOpenUnread(policies, input) ? undefined : reason;
}

/** Whether a rule that names `build.opaque` speaks for the call. */
function isOpenUnread(policies: PrincipalPolicies, input: DecisionInput): boolean {
  if (!policies.mayAllow(BUILD_OPAQUE)) return false;
  const { denies, allows } = policies.rulesFor(BUILD_OPAQUE);
  return (
    denies.every((rule) => judgeRule(rule, input).kind === 'miss') &&
    allows.some((rule) => judgeRule(rule, input).kind === 'match')
  );
}

/**
 * `POST /build` hands the build to BuildKit when it is asked for by this number: a third door, behind the classic builder's. A build
 * that was read from BuildKit's own protocol has what it asks for beside it.
 */
export const isBuildKitBuild = ({ action, query, build }: Pick<EngineCall, 'action' | 'query' | 'build'>): boolean =>
  action === BUILD_RUN && build === undefined && query.version?.includes('2') === true;

function needsBuildOpaque(call: EngineCall): Reason | undefined {
  const { action } = call;
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

/** What opens a door: a rule, and whether what comes through is read. */
export interface OpenDoor {
  readonly rule: ReadyRule;
  readonly isUnread: boolean;
}

/**
 * The rule a door of BuildKit opens by, none of them a deny rule. Builds are judged one by one when they come, so of a rule
 * that allows builds only its time and its sources count here.
 */
export function openDoor(policies: PrincipalPolicies, input: DecisionInput): OpenDoor | Reason {
  if (policies.mayAllow(BUILD_OPAQUE)) {
    const unread = policies.rulesFor(BUILD_OPAQUE).allows.find((rule) => judgeRule(rule, input).kind === 'match');
    const isCovered = policies.ceiling?.exceededBy(input, undefined, true) === undefined;
    if (unread !== undefined && isCovered) return { rule: unread, isUnread: true };
  }
  const builds = policies.mayAllow(BUILD_RUN) ? policies.rulesFor(BUILD_RUN).allows : [];
  let missed: Reason | undefined;
  for (const rule of builds) {
    const miss = outOfReach(rule, input);
    if (miss === undefined) return { rule, isUnread: false };
    missed ??= {
      code: miss.code,
      policy: rule.policy,
      rule: rule.name,
      message: `denied by policy ${rule.policy}: ${miss.message}`,
    };
  }
  const message = `denied: no policy of ${JSON.stringify(policies.principal.subject)} allows ${BUILD_RUN}, which BuildKit needs (${input.call.action})`;
  return missed ?? { code: 'operation-not-allowed', message };
}
