// Steps 2 to 6 of a call: authenticate, classify, decode, mutate, decide, validate. The result is the judged value or a refusal.
// What these steps mean stands in their own rooms; here is only their order and what flows between them.
import type { AdmissionContext } from '../admission/request.ts';
import { toCall } from '../engine/call.ts';
import { classify } from '../engine/classify.ts';
import { bodyKindOfTarget, decodeBody, EMPTY_JSON } from '../engine/decode.ts';
import { RECURSIVE_READ_ONLY_MINOR } from '../engine/field-versions.ts';
import { BODY_SETTING } from '../engine/json.ts';
import { labelBytes } from '../engine/label-bytes.ts';
import { hasRegistryCredentials } from '../engine/registry-credentials.ts';
import { renderBody } from '../engine/render-body.ts';
import { renderTarget } from '../engine/render-target.ts';
import type { EngineCall, JsonObject, LeftOut, Target } from '../engine/types.ts';
import { GatewayError } from '../errors.ts';
import type { ForeignToken } from '../identity/foreign-token.ts';
import { isBuildKitBuild } from '../policy/buildkit.ts';
import type { PrincipalPolicies } from '../policy/compile.ts';
import { decide, deniedBuilder, deniedByHost, sentenceOf } from '../policy/evaluate.ts';
import { isJudgedAtUse } from '../policy/host/index.ts';
import type { Decision, DecisionInput, Principal } from '../policy/types.ts';
import { mayHoldDefaults, withDefaults } from '../proxy/engine-defaults.ts';
import { withImageAnnotations } from '../proxy/image-annotations.ts';
import { lookUp } from '../proxy/remake.ts';
import { resolveReferences } from '../proxy/resolve.ts';
import type { Holder } from '../proxy/turn.ts';
import { EMPTY_BODY, headerValue, headerValues } from './arrival.ts';
import { distrusted } from './buildkit/state.ts';
import type { BuildJudge } from './builds/judged-build.ts';
import { socketOf } from './channel.ts';
import { refuseWhatEngineReads } from './left-out.ts';
import type { GatewayParts } from './parts.ts';
import { settleNames } from './settle-names.ts';
import { raisedTo, settleVersion, type Versions } from './settle-version.ts';
import { seenTagsOf } from './tenancy/images.ts';
import { keepArchive, withNames } from './tenancy/load.ts';
import type { TenantCall } from './tenancy/tenant-call.ts';
import { sha256Hex, type Trace } from './trace.ts';

/** Largest body an operation without one may carry before it is refused, in bytes: enough to see what it is. */
const STRAY_BODY_BYTES = 64 * 1024;

/** A call that may be sent: changed by plugins where they wanted to, judged, and passed by the plugins that may veto. */
export interface Judged {
  readonly call: EngineCall;
  readonly principal: Principal;
  /** What judges the context of a classic build on its way; undefined where nothing limits what it may take from. */
  readonly build: Omit<BuildJudge, 'ending'> | undefined;
}

/**
 * Judges an arrival. Everything learned on the way is left in the trace, also when it ends in a refusal.
 *
 * @throws {GatewayError} the refusal, with the code of the step that refused
 */
export async function judge(trace: Trace, parts: GatewayParts): Promise<Judged> {
  const { arrival } = trace;
  const { authenticator } = parts;
  const { rawHeaders, source } = arrival;
  const onForeign = (token: ForeignToken) => {
    trace.foreignToken = token;
  };
  const { identity, speaksFor } = arrival.channel;
  speaksFor?.checkWay();
  const authenticated =
    speaksFor !== undefined
      ? authenticator.onDelegation(speaksFor.delegation, rawHeaders, onForeign)
      : identity === undefined
        ? authenticator.authenticate(rawHeaders, arrival.peer, source, onForeign)
        : authenticator.onSocket(identity, rawHeaders, source, onForeign);
  const principal = authenticated instanceof Promise ? await authenticated : authenticated;
  trace.principal = principal;
  // From here on what is asked of the engine is asked for this identity, and takes of its share.
  const holder = holderOf(principal, parts);
  trace.engine = parts.engine.as(holder);
  trace.begin(holder.name, parts.inFlight);
  arrival.connection?.claim(holder.name);

  const seen = parts.seen.read(arrival.method, arrival.target);
  trace.seen = seen;
  const { target } = seen;
  trace.target = target;

  if (principal.tenant !== undefined) {
    parts.tenancy.admit({ ...principal, tenant: principal.tenant }, target.operation, trace.atMs);
  }

  const set = parts.policies();
  const policies = set.forPrincipal(principal);
  trace.policyRevision = set.revision;

  // A caller with no rule for the action at all is told before its body is read: an upload is never taken in vain.
  if (!policies.mayAllow(target.action))
    throwDenial(trace, judgeCall(trace, policies, toCall(target, undefined), parts));

  let call =
    seen.takesBody || arrival.body.present ? await decodeCall(trace, holder.name, target, parts) : seen.bodiless();
  trace.call = call;
  const plugins = parts.plugins();
  const isWatched = plugins.concerns(call.action);
  let admission: AdmissionContext = {
    auditId: trace.auditId,
    principal,
    source,
    socket: socketOf(arrival.channel),
    at: trace.atMs,
  };
  if (isWatched) {
    trace.enterPlugins(plugins);
    const offer = parts.ownSockets?.offer({ principal, source, channel: arrival.channel, auditId: trace.auditId });
    trace.ownSocket = offer;
    const changing = offer === undefined ? admission : { ...admission, ownSocket: () => offer.take() };
    const mutated = await plugins.mutate(call, changing, rebuild);
    call = mutated.call;
    trace.call = call;
    trace.changes = mutated.changes;
    if (offer?.path !== undefined) admission = { ...admission, granted: offer.path };
    trace.annotations = mutated.annotations;
  }
  if (hasRegistryCredentials(headerValues(arrival.rawHeaders, 'x-registry-auth'))) {
    call = Object.freeze({ ...call, credentials: true });
    trace.call = call;
  }
  checkLabels(call, parts.limits().labelBytes);
  if (principal.tenant !== undefined) {
    trace.tenantCall = await parts.tenancy.begin(
      { ...principal, tenant: principal.tenant },
      trace.auditId,
      trace.atMs,
      trace.engine,
    );
  }
  call = await allowed(call, policies, parts, trace);
  trace.call = call;
  await refuseWhatEngineReads(call, parts.engine);
  if (isWatched) {
    const site = plugins.looksUp(call.action) ? siteOf(trace, call, parts) : undefined;
    const { annotations, warnings } = await plugins.validate(call, { ...admission, site });
    trace.annotations = { ...trace.annotations, ...annotations };
    trace.warnings = warnings;
    trace.responses = plugins.responses(call, admission);
    if (call.operation.stream !== 'none') trace.watch = await plugins.stream(call, admission);
    // A stream may last for hours: it keeps no plugins that see nothing of it.
    if (trace.responses === undefined && trace.watch === undefined) trace.leavePlugins();
  }
  if (trace.tenantCall !== undefined) {
    const leases = [principal.leaseMs, trace.decision?.obligations.leaseMs].filter((ms) => ms !== undefined);
    if (leases.length > 0) trace.tenantCall.lease(Math.min(...leases));
    if (call.action === 'image.load') call = await load(call, trace.tenantCall, policies, parts, trace);
    trace.tenantCall.registryAuth = headerValues(arrival.rawHeaders, 'x-registry-auth')[0];
    trace.tenantCall.isUnread = trace.decision?.isUnread === true;
    call = await trace.tenantCall.reserve(call);
    trace.call = call;
    trace.ledger = trace.tenantCall.reserved;
  }
  await trace.ownSocket?.open();
  return { call, principal, build: await buildJudge(call, policies, parts, trace) };
}

/** What an identity's shares are counted under: issuer and subject. */
export const holderName = ({ issuer, subject }: Principal): string => `${issuer} ${subject}`;

/** An identity as it asks the engine. */
const holderOf = (principal: Principal, parts: GatewayParts): Holder => ({
  name: holderName(principal),
  recheck: () => parts.authenticator.recheck(principal),
});

/** The judge of a classic build's Dockerfile, for tenants and wherever a rule says what a build may take from. */
async function buildJudge(
  call: EngineCall,
  policies: PrincipalPolicies,
  parts: GatewayParts,
  trace: Trace,
): Promise<Judged['build']> {
  const { tenantCall } = trace;
  if (call.action !== 'build.run' || isBuildKitBuild(call)) return undefined;
  if (tenantCall === undefined && !policies.limitsImages(call.action)) return undefined;
  if ((call.query.remote?.[0] ?? '') !== '') throw remoteContext();
  // Podman has the C preprocessor read such a file first, which takes in others of the host's.
  if ((call.query.dockerfile?.[0] ?? '').endsWith('.in') && (await parts.engineDefaults.kind()) === 'podman')
    throw new GatewayError(
      'host-field-denied',
      'denied: query.dockerfile ends in .in, which Podman preprocesses; name it otherwise',
    );
  return {
    async decide(asked) {
      const { engineDefaults } = parts;
      const resolved = await lookUp(asked, policies, { engine: trace.engine, engineDefaults });
      const { decision } = trace;
      const verdict = judgeCall(trace, policies, resolved, parts);
      if (verdict.effect === 'deny') throwDenial(trace, verdict);
      trace.decision = decision;
    },
    engine: trace.engine,
    listeners: parts.listeners ?? (() => []),
    tenantCall,
    registryConfig: headerValues(trace.arrival.rawHeaders, 'x-registry-config')[0],
    maxLabelBytes: parts.limits().labelBytes,
  };
}

const remoteContext = (): GatewayError =>
  new GatewayError(
    'host-field-denied',
    'denied: query.remote names a context whose Dockerfile cannot be judged; fetch it and send it as an archive',
  );

/** Takes an archive of images in, and judges the call once more by the names they take. */
async function load(
  call: EngineCall,
  tenantCall: TenantCall,
  policies: PrincipalPolicies,
  parts: GatewayParts,
  trace: Trace,
): Promise<EngineCall> {
  const { body } = trace.arrival;
  if (!body.present) throw new GatewayError('body-malformed', 'there is no archive to load');
  tenantCall.archive = await keepArchive(body.stream(), tenantCall);
  const named = withNames(call, tenantCall.archive.references);
  trace.call = named;
  const verdict = judgeCall(trace, policies, named, parts);
  if (verdict.effect === 'deny') throwDenial(trace, verdict);
  return named;
}

/** Every list shows them: a few objects with large ones would keep whoever lists, and what filters lists, busy. */
export function checkLabels(call: EngineCall, maxBytes: number): void {
  const bytes = call.operation.class === 'read' ? 0 : labelBytes(call);
  if (bytes <= maxBytes) return;
  throw new GatewayError(
    'body-too-large',
    `the labels and driver options of one object may have ${maxBytes} bytes together (limits.labelBytes), these have ${bytes}`,
  );
}

async function decodeCall(trace: Trace, holder: string, target: Target, parts: GatewayParts): Promise<EngineCall> {
  const { body, rawHeaders } = trace.arrival;
  const kind = bodyKindOfTarget(target);
  const types = headerValues(rawHeaders, 'content-type');
  // An opaque body streams through unread; only what its head says of it is judged.
  if (kind === 'opaque' || !body.present) return toCall(target, decodeBody(target, types, EMPTY_BODY));
  const limits = parts.limits();
  const maxBytes = kind === 'json' ? limits.bodyBytes : STRAY_BODY_BYTES;
  const bytes = await body.readAll(maxBytes, limits.bodyTimeoutMs).catch((error: unknown) => {
    if (kind !== 'json' || !(error instanceof GatewayError) || error.code !== 'body-too-large') throw error;
    throw new GatewayError('body-too-large', `${error.message} (setting ${BODY_SETTING})`, { cause: error });
  });
  // Where the length is not told the engine reads for JSON; a commit alone may come without any.
  if (kind === 'json' && bytes.length === 0 && target.operation.id !== 'ImageCommit') {
    if (headerValue(rawHeaders, 'transfer-encoding') !== undefined)
      throw new GatewayError('body-malformed', EMPTY_JSON);
  }
  return parts.largeBodies.read(holder, bytes.byteLength, () => {
    if (bytes.length > 0) trace.bodySha256 = sha256Hex(bytes);
    const leftOut: LeftOut[] = [];
    const decoded = decodeBody(target, types, bytes, { maxBytes: limits.bodyBytes }, leftOut);
    return toCall(target, decoded, leftOut);
  });
}

/** Reads a changed call as the engine would: rendered, classified and decoded again, so that no plugin can smuggle a form. */
function rebuild(call: EngineCall, changed: { body: EngineCall['body']; query: EngineCall['query'] }): EngineCall {
  const rendered = renderTarget({ ...call, query: changed.query });
  const target = {
    ...classify(call.operation.method, rendered),
    ...(call.credentials === true ? { credentials: true } : {}),
    ...(call.leftOut === undefined ? {} : { leftOut: call.leftOut }),
  };
  if (target.operation !== call.operation || target.action !== call.action) {
    throw new GatewayError('plugin-failed', 'a plugin changed what the call does, so it is denied');
  }
  const bytes = renderBody({ operation: call.operation, body: changed.body });
  if (bytes === undefined) return toCall(target, undefined);
  const leftOut: LeftOut[] = [];
  const body = decodeBody(target, ['application/json'], bytes, {}, leftOut);
  if (leftOut[0] !== undefined) {
    throw new GatewayError('plugin-failed', `a plugin added ${leftOut[0].at}, which no engine reads, so it is denied`);
  }
  return toCall(target, body);
}

/** The call with all that was found out about it and what its rules oblige to add. @throws {GatewayError} the denial */
async function allowed(
  call: EngineCall,
  policies: PrincipalPolicies,
  parts: GatewayParts,
  trace: Trace,
): Promise<EngineCall> {
  let known: EngineCall;
  try {
    known = await resolve(await settle(call, parts, trace), policies, parts, trace);
  } catch (unresolved) {
    await throwHostDenial(call, policies, parts, trace);
    throw unresolved;
  }
  trace.call = known;
  let decision = judgeCall(trace, policies, known, parts);
  if (decision.effect === 'deny' && mayHoldDefaults(known)) {
    known = await withDefaults(known, parts);
    if (known.defaults !== undefined) decision = judgeCall(trace, policies, known, parts);
  }
  if (decision.effect === 'deny') {
    // An old client's call may be denied for what its version means alone.
    const raised = await raisedTo(RECURSIVE_READ_ONLY_MINOR, known, versionsOf(parts, trace));
    const again = raised === undefined ? decision : judgeCall(trace, policies, raised, parts);
    if (raised !== undefined && again.effect !== 'deny') return withObligations(raised, again);
    throwDenial(trace, decision);
  }
  return withObligations(known, decision);
}

/** What no rule lets pass is refused for that, whether or not the objects it names are there. */
async function throwHostDenial(
  call: EngineCall,
  policies: PrincipalPolicies,
  parts: GatewayParts,
  trace: Trace,
): Promise<void> {
  const builder = deniedBuilder(policies, inputOf(trace, call, parts));
  if (builder !== undefined) {
    // buildx makes a builder of its own where BuildKit's doors are closed: the reason for that is the one to tell.
    if (trace.principal?.tenant !== undefined && parts.buildkit.isDistrusting()) throw distrusted();
    throwDenial(trace, builder);
  }
  let asked = trace.tenantCall?.filled(call) ?? call;
  const judged = () => {
    const input = inputOf(trace, asked, parts);
    parts.onDecided?.(trace.auditId, policies, input);
    return deniedByHost(policies, input);
  };
  let decision = judged();
  if (decision !== undefined && mayHoldDefaults(asked)) {
    asked = await withDefaults(asked, parts);
    decision = judged();
  }
  if (decision !== undefined) throwDenial(trace, decision);
}

const versionsOf = (parts: GatewayParts, { engine }: Trace): Versions => ({
  engine,
  engineDefaults: parts.engineDefaults,
  maxMinor: parts.apiVersions.maxMinor,
});

/** What the engine alone can read in one way: its versions, and names; a tenant's part of an id is looked up with its others. */
async function settle(call: EngineCall, parts: GatewayParts, trace: Trace): Promise<EngineCall> {
  const { tenantCall } = trace;
  const versions = versionsOf(parts, trace);
  return settleNames(
    await settleVersion(call, versions),
    versions,
    tenantCall === undefined ? undefined : (name) => seenTagsOf(name, tenantCall),
  );
}

/** What the names of a call stand for: for a tenant its own objects, and for policy whatever it needs to know of them. */
async function resolve(
  call: EngineCall,
  policies: PrincipalPolicies,
  parts: GatewayParts,
  trace: Trace,
): Promise<EngineCall> {
  const own = trace.tenantCall === undefined ? call : await trace.tenantCall.resolve(trace.tenantCall.filled(call));
  const engine = { engine: trace.engine, engineDefaults: parts.engineDefaults };
  const known = await withImageAnnotations(await lookUp(own, policies, engine), engine);
  if (trace.plugins?.looksUp(known.action) !== true) return known;
  const open = known.resources.filter((ref) => ref.labels === undefined && isJudgedAtUse(known, ref));
  return open.length === 0 ? known : resolveReferences(known, open, trace.engine);
}

/** The installation as this call may see it: what the gateway put in itself is no path the caller named. */
function siteOf({ ownSocket, principal, arrival }: Trace, call: EngineCall, parts: GatewayParts) {
  const site = parts.site?.(call.action, principal as Principal, arrival.source);
  const path = ownSocket?.path;
  return site === undefined || path === undefined ? site : { ...site, granted: path };
}

const inputOf = (trace: Trace, call: EngineCall, parts: GatewayParts): DecisionInput => ({
  principal: trace.principal as Principal,
  call,
  source: trace.arrival.source,
  at: trace.atMs,
  site: siteOf(trace, call, parts),
});

function judgeCall(trace: Trace, policies: PrincipalPolicies, call: EngineCall, parts: GatewayParts): Decision {
  const input = inputOf(trace, call, parts);
  parts.onDecided?.(trace.auditId, policies, input);
  const decision = decide(policies, input);
  trace.decision = decision;
  return decision;
}

function throwDenial(trace: Trace, decision: Decision): never {
  trace.decision = decision;
  const reason = decision.reasons[0];
  const code = reason?.code ?? 'operation-not-allowed';
  const message = sentenceOf(decision);
  const { target } = trace;
  if (code === 'operation-not-allowed' && target?.action.endsWith('.inspect') && target.operation.class === 'read') {
    // `docker inspect` asks kind after kind until one answers something else than 404: a 403 would end its search, and
    // would tell that the object is there.
    const name = target.path.id ?? target.path.name ?? '';
    throw new GatewayError('object-not-found', `No such ${target.operation.resource}: ${name} (${message})`);
  }
  throw new GatewayError(code, message);
}

/** Stamps what the deciding rules oblige the gateway to add. */
function withObligations(call: EngineCall, decision: Decision): EngineCall {
  const { labels, ownCgroups } = decision.obligations;
  if (typeof call.body !== 'object' || call.body === null || Array.isArray(call.body)) return call;
  const body = call.body as JsonObject;
  const host = (body.HostConfig ?? {}) as JsonObject;
  const names = ownCgroups === true && (host.CgroupnsMode ?? '') === '';
  if (labels === undefined && !names) return call;
  const stamped: Record<string, unknown> = Object.create(null);
  Object.assign(stamped, body);
  if (labels !== undefined) {
    stamped.Labels = Object.freeze(Object.assign(Object.create(null), body.Labels ?? {}, labels));
  }
  if (names) stamped.HostConfig = Object.freeze(Object.assign(Object.create(null), host, { CgroupnsMode: 'private' }));
  return toCall(call, Object.freeze(stamped) as JsonObject);
}
