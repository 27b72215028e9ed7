// Answers `policy explain`: an Engine API request judged as an identity, without sending it.
// The same steps as a live call, up to the decision; plugins are not asked.
import type { ExplainInput, Explanation } from '../admin/services.ts';
import { buildCall, writtenFacts } from '../engine/build-call.ts';
import { toCall } from '../engine/call.ts';
import { classify } from '../engine/classify.ts';
import { bodyKindOfTarget, decodeBody } from '../engine/decode.ts';
import { RECURSIVE_READ_ONLY_MINOR } from '../engine/field-versions.ts';
import { GatewayError } from '../errors.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import type { PolicySet } from '../policy/compile.ts';
import { decide } from '../policy/evaluate.ts';
import { explain, renderExplanation } from '../policy/explain.ts';
import type { HostSite } from '../policy/host/index.ts';
import type { Principal } from '../policy/types.ts';
import type { EngineClient } from '../proxy/engine-client.ts';
import { type EngineDefaults, mayHoldDefaults, withDefaults } from '../proxy/engine-defaults.ts';
import { withImageAnnotations } from '../proxy/image-annotations.ts';
import { lookUp } from '../proxy/remake.ts';
import { settleNames } from './settle-names.ts';
import { raisedTo, settleVersion } from './settle-version.ts';

interface ExplainParts {
  readonly policies: PolicySet;
  readonly authenticator: Authenticator;
  readonly engine: EngineClient;
  readonly engineDefaults: EngineDefaults;
  readonly apiVersions: { readonly minMinor: number; readonly maxMinor: number };
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** What no policy says: files of the gateway, networks of its host. */
  readonly site: (action: string, principal: Principal, source: string) => HostSite;
}

/** A build with BuildKit, as it is written in tests of a policy: lists under the names of the `build:` block. */
function explainBuild(body: unknown, principal: Principal, { policies, at }: ExplainParts): Explanation {
  const facts = writtenFacts(body);
  if (facts === undefined) {
    throw new GatewayError(
      'input-invalid',
      'the body of a build holds lists of texts: tags, sources, entitlements, ...',
    );
  }
  const own = policies.forPrincipal(principal);
  const input = { principal, call: buildCall(facts), source: 'explain', at };
  const explanation = explain(own, input);
  return { decision: decide(own, input), text: renderExplanation(explanation), steps: explanation };
}

/** @throws {GatewayError} what the live call would be refused with before policy is asked */
export async function explainRequest({ as, request }: ExplainInput, parts: ExplainParts): Promise<Explanation> {
  const principal = parts.authenticator.bound(as.name);
  const target = classify(request.method, request.target, parts.apiVersions);
  if (target.action === 'build.control' && request.body !== undefined)
    return explainBuild(request.body, principal, parts);
  const bytes = request.body === undefined ? new Uint8Array(0) : Buffer.from(JSON.stringify(request.body));
  const body =
    bodyKindOfTarget(target) === 'opaque'
      ? undefined
      : decodeBody(target, bytes.length === 0 ? [] : ['application/json'], bytes);
  const policies = parts.policies.forPrincipal(principal);
  const { engine, engineDefaults, apiVersions } = parts;
  const versions = { engine, engineDefaults, maxMinor: apiVersions.maxMinor };
  const asked = await settleNames(await settleVersion(toCall(target, body), versions), versions);
  let call = await withImageAnnotations(await lookUp(asked, policies, parts), parts);
  let input = { principal, call, source: 'explain', at: parts.at, site: parts.site(call.action, principal, 'explain') };
  if (mayHoldDefaults(call) && decide(policies, input).effect === 'deny') {
    call = await withDefaults(call, parts);
    input = { ...input, call };
  }
  if (decide(policies, input).effect === 'deny') {
    const raised = await raisedTo(RECURSIVE_READ_ONLY_MINOR, call, versions);
    if (raised !== undefined && decide(policies, { ...input, call: raised }).effect !== 'deny')
      input = { ...input, call: raised };
  }
  const explanation = explain(policies, input);
  return { decision: decide(policies, input), text: renderExplanation(explanation), steps: explanation };
}
