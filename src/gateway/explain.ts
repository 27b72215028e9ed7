// Answers `policy explain`: an Engine API request judged as an identity, without sending it.
// The steps of a live call up to the decision, and no end; plugins are not asked, and a tenant's names are the engine's.
import type { ExplainInput, Explanation } from '../admin/services.ts';
import { buildCall, writtenFacts } from '../engine/build-call.ts';
import { toCall } from '../engine/call.ts';
import { classify } from '../engine/classify.ts';
import { bodyKindOfTarget, decodeBody } from '../engine/decode.ts';
import type { EngineCall } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import type { PolicySet } from '../policy/compile.ts';
import { decide } from '../policy/evaluate.ts';
import { explain, renderExplanation } from '../policy/explain.ts';
import type { HostSite } from '../policy/host/index.ts';
import type { DecisionInput, Principal } from '../policy/types.ts';
import type { EngineClient } from '../proxy/engine-client.ts';
import type { EngineDefaults } from '../proxy/engine-defaults.ts';
import { versionsOf } from './settle-version.ts';
import { onceMore } from './steps/decide.ts';
import { known, settled } from './steps/resolve.ts';

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
  const { engine } = parts;
  const policies = parts.policies.forPrincipal(principal);
  const at = { engine, policies, tenantCall: undefined };
  const source = 'explain';
  const inputOf = (call: EngineCall): DecisionInput => {
    return { principal, call, source, at: parts.at, site: parts.site(call.action, principal, source) };
  };
  const meant = await known(await settled({ ...at, call: toCall(target, body) }, parts), at, parts);
  const judged = (call: EngineCall) => decide(policies, inputOf(call));
  const first = judged(meant);
  const { call, decision } =
    first.effect === 'deny'
      ? await onceMore(meant, first, judged, versionsOf(engine, parts))
      : { call: meant, decision: first };
  const steps = explain(policies, inputOf(call));
  return { decision, text: renderExplanation(steps), steps };
}
