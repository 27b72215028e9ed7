// What the doors of BuildKit ask of the gateway, for the caller of one connection: policy, ledger, audit and the engine. A build is
// a call of its own, with an audit id of its own, judged by the same rules as a classic one.
import type { PluginChain } from '../../admission/chain.ts';
import type { AuditDecision, AuditStage } from '../../audit/event.ts';
import type { Desk, Granted, RunningBuild } from '../../buildkit/control-door.ts';
import { Refusal } from '../../buildkit/grpc.ts';
import type { Owner } from '../../buildkit/owner.ts';
import type { Message } from '../../buildkit/protobuf.ts';
import type { SessionDesk } from '../../buildkit/session-door.ts';
import type { ReadPart, ReadSolve } from '../../buildkit/solve.ts';
import type { StoredImages } from '../../buildkit/source-policy.ts';
import { buildCall, factsOf } from '../../engine/build-call.ts';
import { toCall } from '../../engine/call.ts';
import { classify } from '../../engine/classify.ts';
import type { EngineCall } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import type { LedgerEntry } from '../../ledger/entry.ts';
import { labelsOf, OWNER_LABEL, TENANT_LABEL } from '../../ledger/labels.ts';
import { matchesGlob } from '../../policy/build/index.ts';
import { decide } from '../../policy/evaluate.ts';
import type { Decision, Principal } from '../../policy/types.ts';
import { callEvent, type EventOutcome } from '../call-event.ts';
import type { GatewayParts } from '../parts.ts';
import { Passage } from '../passage.ts';
import { asGatewayError, decisionOf } from '../refusal.ts';
import { checkLabels } from '../steps/resolve.ts';
import { arrivedOf, atMsOf, type Reached, type Sent, sinceUs } from '../steps/values.ts';
import { learnBrought, learnImages } from '../tenancy/learn.ts';
import { Build } from './build.ts';
import { explained } from './explain.ts';
import { removeOverlabelled } from './made-image.ts';
import { noteFolders, queryOf, refuseReservedLabels } from './options.ts';
import { distrusted, MAX_REFUSED, REFUSED_A_SECOND } from './state.ts';
import { refuseHidden, storedImages } from './stored-images.ts';

export class BuildDesk implements Desk, SessionDesk {
  readonly owner: Owner;
  readonly #parts: GatewayParts;
  /** Of the connection: who called, from where and how. */
  readonly #connection: Sent;
  readonly #principal: Principal;
  /** The last build that had anything to explain. */
  #latest: Build | undefined;

  constructor(connection: Sent, parts: GatewayParts) {
    this.#connection = connection;
    this.#principal = connection.principal;
    this.#parts = parts;
    this.owner = parts.buildkit.ownerOf(connection.principal);
  }

  get content() {
    return this.#parts.buildkit.content;
  }

  #decide(call: EngineCall, passage?: Passage): Decision {
    const policies = this.#parts.policies().forPrincipal(this.#principal);
    const { source } = this.#connection.arrival;
    const input = { principal: this.#principal, call, source, at: this.#parts.now() };
    if (passage !== undefined) this.#parts.onDecided?.(passage.arrived.auditId, policies, input);
    return decide(policies, input);
  }

  /** A build is a call of its own. */
  #begin(call: EngineCall): Passage {
    const passage = new Passage(arrivedOf(this.#connection.arrival, this.#parts));
    const { revision: policyRevision } = this.#parts.policies();
    passage.to({ ...passage.arrived, principal: this.#principal, target: call, call, policyRevision });
    return passage;
  }

  /** Records a refusal, then says it with its audit id. */
  async #refused(passage: Passage, thrown: unknown, build?: Build): Promise<Refusal> {
    const at = passage.reached;
    at.tenantCall?.abandon();
    passage.end();
    let error =
      thrown instanceof Refusal ? new GatewayError('build-denied', asDenial(thrown.message)) : asGatewayError(thrown);
    if (error.code === 'internal')
      this.#parts.log.error({ err: thrown, auditId: at.auditId }, 'a build could not be judged');
    try {
      const { code, message, status } = error;
      const asked = build === undefined ? {} : { build: build.asked() };
      await this.#record(at, 'complete', decisionOf(error), { code, message, status, ...asked });
    } catch (unwritable) {
      error = asGatewayError(unwritable);
    }
    this.#parts.meter.started();
    this.#parts.meter.finished({
      action: 'build.run',
      decision: decisionOf(error),
      status: error.status,
      durationUs: sinceUs(at),
    });
    const word =
      thrown instanceof Refusal
        ? thrown.word
        : error.status >= 500
          ? 'unavailable'
          : error.status === 429
            ? 'resource-exhausted'
            : 'permission-denied';
    const isLast = !this.#parts.buildkit.mayRefuse(this.owner.mark, performance.now());
    return new Refusal(word, `${error.message} [audit ${at.auditId}]`, true, isLast);
  }

  /** Requests refused before there is a build: of a closed method, or such that cannot be judged. */
  async refused(path: string, { word, message: why }: Refusal): Promise<Refusal> {
    const isLast = !this.#parts.buildkit.mayRefuse(this.owner.mark, performance.now());
    const message = isLast
      ? `denied: more than ${MAX_REFUSED} requests to BuildKit were refused, and ${REFUSED_A_SECOND} more each second may be; the connection is closed`
      : asDenial(why);
    const { arrival, target, call } = this.#connection;
    const at = { ...arrivedOf(arrival, this.#parts), principal: this.#principal, target, call };
    const build = { method: path.slice(0, 200) };
    await this.#record(at, 'complete', 'deny', { code: 'build-denied', message, status: 403, build });
    return new Refusal(isLast ? 'resource-exhausted' : word, `${message} [audit ${at.auditId}]`, true, isLast);
  }

  #record(at: Reached, stage: AuditStage, decision: AuditDecision, outcome: EventOutcome): Promise<void> {
    return this.#parts.recorder.record(callEvent(at, stage, decision, outcome, this.#parts));
  }

  async start(read: ReadSolve, ended: AbortSignal): Promise<RunningBuild> {
    const call = buildCall(read.facts, queryOf(read.options));
    const passage = this.#begin(call);
    const { auditId } = passage.arrived;
    let build: Build | undefined;
    try {
      this.#parts.authenticator.recheck(this.#principal);
      const grant = this.#judge(passage, call);
      const started = new Build({
        auditId,
        policy: policyOf(passage.reached.decision),
        facts: read.facts,
        masked: read.masked,
        grant,
        atMs: performance.now(),
      });
      build = started;
      checkLabels(call, this.#parts.limits().labelBytes);
      for (const push of read.pushes) this.#judgePush(push.value);
      const plugins = this.#parts.plugins();
      if (plugins.concerns(call.action)) {
        passage.enter(plugins);
        await this.#askPlugins(passage, call, plugins).finally(() => passage.leavePlugins());
      }
      const stored = await this.#admitTenant(passage, call, started);
      refuseHidden(read.facts.sources, stored);
      const { isProbe } = read;
      const begin = async (): Promise<void> => {
        this.#parts.authenticator.recheck(this.#principal);
        const at = passage.reached;
        await this.#record(at, 'intent', 'allow', { build: started.asked(), ledger: at.reserved });
        this.#parts.meter.started();
      };
      if (isProbe) started.onFirstPart = begin;
      else await begin();
      if (ended.aborted) throw new Refusal('cancelled', 'the client went away');
      return this.#run(read, passage, started, stored, isProbe);
    } catch (error) {
      throw await this.#refused(passage, error, build);
    }
  }

  #judge(passage: Passage, call: EngineCall) {
    const decision = this.#decide(call, passage);
    passage.to({ ...passage.reached, decision });
    const grant = decision.obligations.build;
    if (decision.effect === 'deny' || grant === undefined) throw denied(decision);
    return grant;
  }

  /** A build that pushes is a push as well. */
  #judgePush(reference: string): void {
    const cut = reference.lastIndexOf(':');
    const path = `/images/${reference.slice(0, cut)}/push?tag=${encodeURIComponent(reference.slice(cut + 1))}`;
    const decision = this.#decide(toCall(classify('POST', path), undefined));
    if (decision.effect === 'deny') throw denied(decision);
  }

  async #askPlugins(passage: Passage, call: EngineCall, plugins: PluginChain): Promise<void> {
    const admission = {
      auditId: passage.arrived.auditId,
      principal: this.#principal,
      source: this.#connection.arrival.source,
      at: atMsOf(passage.arrived),
    };
    passage.to({ ...passage.reached, seenBy: { plugins, admission, changes: [] } });
    const { annotations: first } = await plugins.mutate(call, admission, () => {
      throw new GatewayError('plugin-failed', 'a plugin would change a build with BuildKit, which it may only deny');
    });
    const { annotations, warnings } = await plugins.validate(call, admission);
    passage.to({ ...passage.reached, annotations: { ...first, ...annotations }, warnings });
    // What flows inside is BuildKit's own protocol: a plugin may refuse the stream, and cannot watch it.
    await plugins.stream({ ...call, operation: { ...call.operation, stream: 'h2c' } }, admission);
  }

  /** Names are taken and quotas are asked, and what the tenant must not build from is found. */
  async #admitTenant(passage: Passage, call: EngineCall, build: Build): Promise<StoredImages | undefined> {
    const { tenant } = this.#principal;
    if (tenant === undefined) return undefined;
    const { tenancy, engine, buildkit } = this.#parts;
    if (buildkit.isDistrusting()) throw distrusted();
    const { arrived } = passage;
    const tenantCall = await tenancy.begin({ ...this.#principal, tenant }, arrived.auditId, atMsOf(arrived));
    passage.keep(tenantCall);
    const { decision } = passage.to({ ...passage.reached, tenantCall });
    const leases = [this.#principal.leaseMs, decision?.obligations.leaseMs].filter((ms) => ms !== undefined);
    if (leases.length > 0) tenantCall.lease(Math.min(...leases));
    await tenantCall.resolve(call);
    await tenantCall.reserve(call);
    passage.to({ ...passage.reached, reserved: tenantCall.reserved });
    const { [TENANT_LABEL]: of, [OWNER_LABEL]: by } = labelsOf(tenantCall.owner);
    // Not the audit id: equal builds give equal images, and nothing that runs them is made anew.
    build.labels = { [TENANT_LABEL]: of ?? '', [OWNER_LABEL]: by ?? '' };
    return storedImages(tenantCall, engine);
  }

  #run(
    read: ReadSolve,
    passage: Passage,
    build: Build,
    stored: StoredImages | undefined,
    isProbe: boolean,
  ): RunningBuild {
    const ref = this.owner.own(read.ref, 'Ref');
    build.stored = stored;
    this.#latest = build;
    if (read.hasCaches) this.#noteCaches(build);
    noteFolders(build, read);
    this.#parts.buildkit.add(ref, build);
    let isOver = false;
    return {
      grant: build.grant,
      stored,
      labels: build.labels,
      readsCaches: this.#readsCaches,
      result: (response) => build.result(response),
      end: async (status) => {
        if (isOver) return undefined;
        isOver = true;
        this.#parts.buildkit.remove(ref, build);
        let refusal: Refusal | undefined;
        let ledger: readonly LedgerEntry[] | undefined;
        try {
          if (status === '0') refusal = await removeOverlabelled(build, read.facts, this.#parts);
          ledger = await this.#learn(passage.reached, build);
        } finally {
          passage.end();
          // A probe of which no part came has no intent either.
          if (!isProbe || build.onFirstPart === undefined) {
            const { message } = refusal ?? {};
            this.#complete(passage.reached, build, refusal === undefined ? status : '8', { message, ledger });
          }
        }
        return refusal;
      },
    };
  }

  async #learn({ tenantCall }: Reached, build: Build): Promise<readonly LedgerEntry[] | undefined> {
    if (tenantCall === undefined) return undefined;
    const changes = [
      ...(await learnImages(build.imageId ?? build.imageDigest, tenantCall)),
      ...(await learnBrought(tenantCall)),
    ];
    for (const entry of changes) tenantCall.ledger.apply(entry);
    return changes;
  }

  #complete(at: Reached, build: Build, status: string | undefined, learned: EventOutcome): void {
    const isDone = status === '0';
    const outcome = isDone ? 'done' : status === undefined ? 'broken-off' : status === '1' ? 'cancelled' : 'failed';
    this.#parts.recorder.append(
      callEvent(
        at,
        'complete',
        'allow',
        { status: isDone ? 200 : 500, ...learned, build: { result: outcome, ...build.done() } },
        this.#parts,
      ),
    );
    this.#parts.meter.finished({
      action: 'build.run',
      decision: 'allow',
      status: isDone ? 200 : 500,
      durationUs: sinceUs(at),
    });
  }

  async part(read: ReadPart, id: string, ended: AbortSignal): Promise<Granted> {
    const build = await this.#parts.buildkit.awaited(id, ended);
    if (build === undefined)
      throw new Refusal('not-found', `no build ${this.owner.original(id)?.slice(0, 80)} of yours is under way`);
    const call = buildCall(read.facts, queryOf(read.options));
    const passage = this.#begin({ ...call, resources: [] });
    try {
      this.#parts.authenticator.recheck(this.#principal);
      const { tenant } = this.#principal;
      const grant = this.#judge(passage, { ...call, resources: [] });
      for (const push of read.pushes) this.#judgePush(push.value);
      const begin = build.onFirstPart;
      build.onFirstPart = undefined;
      await begin?.();
      checkLabels(call, this.#parts.limits().labelBytes);
      build.add(read.facts, read.masked);
      noteFolders(build, read);
      build.grant = grant;
      this.#latest = build;
      let stored: StoredImages | undefined;
      if (tenant !== undefined) {
        if (this.#parts.buildkit.isDistrusting()) throw distrusted();
        const { ledger, isShared } = this.#parts.tenancy.state;
        stored = await storedImages({ tenant, ledger, isShared }, this.#parts.engine);
        refuseHidden(read.facts.sources, stored);
        refuseReservedLabels(read.options);
      }
      build.stored = stored;
      if (read.hasCaches) this.#noteCaches(build);
      return {
        grant,
        stored,
        labels: build.labels,
        readsCaches: this.#readsCaches,
      };
    } catch (error) {
      throw await this.#refused(passage, error);
    }
  }

  /** The engine takes what a cache claims into the cache of all builds, also of other tenants'. */
  get #readsCaches(): boolean {
    return this.#principal.tenant === undefined;
  }

  #noteCaches(build: Build): void {
    if (this.#readsCaches) return;
    build.notes.add(
      `the cache of --cache-from is left out: this engine would take whatever it claims into the cache of all tenants [audit ${build.auditId}]`,
    );
  }

  notes(id: string): readonly string[] {
    return [...(this.#parts.buildkit.running(id)?.notes ?? [])];
  }

  /**
   * The engine looks up what a Dockerfile builds from as soon as it has it. One that was kept back until an image of another's was
   * there would see what its configuration says.
   */
  async sent(folder: string, session: string): Promise<Refusal | undefined> {
    const { tenant } = this.#principal;
    if (tenant === undefined) return undefined;
    for (const build of this.#parts.buildkit.ownedBy(this.owner.mark)) {
      const { stored } = build;
      const isLate = performance.now() - build.atMs > SLOW_DOCKERFILE_MS;
      if (stored === undefined || !isLate || !build.dockerfileFolders.has(folder) || !build.sessions.has(session))
        continue;
      const { ledger, isShared } = this.#parts.tenancy.state;
      const now = await storedImages({ tenant, ledger, isShared }, this.#parts.engine);
      const before = new Set(stored.hidden);
      if (now.hidden.every((name) => before.has(name))) continue;
      return this.refused(
        'FileSync',
        new Refusal('failed-precondition', 'images of others came while the Dockerfile was on its way; build again'),
      );
    }
    return undefined;
  }

  mayUse(action: 'system.df' | 'build.prune'): boolean {
    if (this.#principal.tenant !== undefined) return false;
    const path = action === 'system.df' ? ['GET', '/system/df'] : ['POST', '/build/prune'];
    return this.#decide(toCall(classify(path[0] as string, path[1] as string), undefined)).effect === 'allow';
  }

  enforcesSources(): Promise<boolean> {
    return this.#parts.buildkit.enforcesSources(this.#parts.engine);
  }

  progress(id: string, status: Message): void {
    this.#parts.buildkit.running(id)?.progress(status);
  }

  /** The engine's words for a source it was told to refuse, in ours. */
  explain(text: string): string {
    return this.#latest === undefined ? text : explained(text, this.#latest);
  }

  ask(kind: 'secrets' | 'ssh' | 'contexts', name: string): void {
    const decision = this.#decide({ ...buildCall(factsOf({})), resources: [] });
    const grant = decision.obligations.build;
    if (decision.effect === 'deny' || grant === undefined)
      throw new Refusal('permission-denied', denied(decision).message);
    if (matchesGlob(grant[kind], name)) return;
    const allowed = grant[kind].length === 0 ? 'none' : grant[kind].slice(0, 8).join(', ');
    throw new Refusal(
      'permission-denied',
      `denied by policy ${policyOf(decision)}: ${JSON.stringify(name.slice(0, 120))} is not among its build.${kind} (allowed: ${allowed})`,
    );
  }
}

/** A Dockerfile is there in a moment; one that takes longer, in ms, is looked after. */
const SLOW_DOCKERFILE_MS = 5000;

const asDenial = (why: string): string => (why.startsWith('denied') ? why : `denied: ${why}`);

const policyOf = (decision: Decision | undefined): string => decision?.policyIds.join(', ') ?? '';

function denied(decision: Decision): GatewayError {
  const [reason] = decision.reasons;
  return new GatewayError(
    reason?.code === 'operation-not-allowed' ? 'operation-not-allowed' : (reason?.code ?? 'operation-not-allowed'),
    reason?.message ?? 'no policy allows this build',
  );
}
