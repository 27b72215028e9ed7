// What the doors of BuildKit ask of the gateway, for the caller of one connection: policy, ledger, audit and the engine. A build is
// a call of its own, with an audit id of its own, judged by the same rules as a classic one.
import type { PluginChain } from '../../admission/chain.ts';
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
import { labelsOf, OWNER_LABEL, TENANT_LABEL } from '../../ledger/labels.ts';
import { matchesGlob } from '../../policy/build/index.ts';
import { decide } from '../../policy/evaluate.ts';
import type { Decision, Principal } from '../../policy/types.ts';
import { checkLabels } from '../judge.ts';
import type { GatewayParts } from '../parts.ts';
import { asGatewayError, decisionOf } from '../refusal.ts';
import { learnBrought, learnImages } from '../tenancy/learn.ts';
import { Trace } from '../trace.ts';
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
  readonly #connection: Trace;
  readonly #principal: Principal;
  /** The last build that had anything to explain. */
  #latest: Build | undefined;

  constructor(connection: Trace, principal: Principal, parts: GatewayParts) {
    this.#connection = connection;
    this.#principal = principal;
    this.#parts = parts;
    this.owner = parts.buildkit.ownerOf(principal);
  }

  get content() {
    return this.#parts.buildkit.content;
  }

  #decide(call: EngineCall, trace?: Trace): Decision {
    const policies = this.#parts.policies().forPrincipal(this.#principal);
    const { source } = this.#connection.arrival;
    const input = { principal: this.#principal, call, source, at: this.#parts.now() };
    if (trace !== undefined) this.#parts.onDecided?.(trace.auditId, policies, input);
    return decide(policies, input);
  }

  #newTrace(call: EngineCall): Trace {
    const trace = new Trace(this.#connection.arrival, this.#parts);
    trace.principal = this.#principal;
    trace.target = call;
    trace.call = call;
    trace.policyRevision = this.#parts.policies().revision;
    return trace;
  }

  /** Records a refusal, then says it with its audit id. */
  async #refused(trace: Trace, thrown: unknown, build?: Build): Promise<Refusal> {
    trace.tenantCall?.abandon();
    trace.tenantCall?.release();
    trace.ledger = undefined;
    let error =
      thrown instanceof Refusal ? new GatewayError('build-denied', asDenial(thrown.message)) : asGatewayError(thrown);
    if (error.code === 'internal')
      this.#parts.log.error({ err: thrown, auditId: trace.auditId }, 'a build could not be judged');
    try {
      const { code, message, status } = error;
      await this.#parts.recorder.record(
        trace.event('complete', decisionOf(error), {
          code,
          message,
          status,
          ...(build === undefined ? {} : { build: build.asked() }),
        }),
      );
    } catch (unwritable) {
      error = asGatewayError(unwritable);
    }
    this.#parts.meter.started();
    this.#parts.meter.finished({
      action: 'build.run',
      decision: decisionOf(error),
      status: error.status,
      durationUs: trace.durationUs(),
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
    return new Refusal(word, `${error.message} [audit ${trace.auditId}]`, true, isLast);
  }

  /** What is refused before it is a build: a method that is closed, a request that cannot be judged. */
  async refused(path: string, { word, message: why }: Refusal): Promise<Refusal> {
    const isLast = !this.#parts.buildkit.mayRefuse(this.owner.mark, performance.now());
    const message = isLast
      ? `denied: more than ${MAX_REFUSED} requests to BuildKit were refused, and ${REFUSED_A_SECOND} more each second may be; the connection is closed`
      : asDenial(why);
    const { arrival, target, call } = this.#connection;
    const trace = new Trace(arrival, this.#parts);
    trace.principal = this.#principal;
    trace.target = target;
    trace.call = call;
    await this.#parts.recorder.record(
      trace.event('complete', 'deny', {
        code: 'build-denied',
        message,
        status: 403,
        build: { method: path.slice(0, 200) },
      }),
    );
    return new Refusal(isLast ? 'resource-exhausted' : word, `${message} [audit ${trace.auditId}]`, true, isLast);
  }

  async start(read: ReadSolve, ended: AbortSignal): Promise<RunningBuild> {
    const call = buildCall(read.facts, queryOf(read.options));
    const trace = this.#newTrace(call);
    let build: Build | undefined;
    try {
      this.#parts.authenticator.recheck(this.#principal);
      const grant = this.#judge(trace, call);
      build = new Build({
        auditId: trace.auditId,
        policy: policyOf(trace.decision),
        facts: read.facts,
        masked: read.masked,
        grant,
        atMs: performance.now(),
      });
      checkLabels(call, this.#parts.limits().labelBytes);
      for (const push of read.pushes) this.#judgePush(push.value);
      const plugins = this.#parts.plugins();
      if (plugins.concerns(call.action)) {
        trace.enterPlugins(plugins);
        await this.#askPlugins(trace, call, plugins).finally(() => trace.leavePlugins());
      }
      const stored = await this.#admitTenant(trace, call, build);
      refuseHidden(read.facts.sources, stored);
      const { isProbe } = read;
      const begin = async (): Promise<void> => {
        this.#parts.authenticator.recheck(this.#principal);
        await this.#parts.recorder.record(trace.event('intent', 'allow', { build: (build as Build).asked() }));
        this.#parts.meter.started();
      };
      if (isProbe) build.onFirstPart = begin;
      else await begin();
      if (ended.aborted) throw new Refusal('cancelled', 'the client went away');
      return this.#run(read, trace, build, stored, isProbe);
    } catch (error) {
      throw await this.#refused(trace, error, build);
    }
  }

  #judge(trace: Trace, call: EngineCall) {
    const decision = this.#decide(call, trace);
    trace.decision = decision;
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

  async #askPlugins(trace: Trace, call: EngineCall, plugins: PluginChain): Promise<void> {
    const admission = {
      auditId: trace.auditId,
      principal: this.#principal,
      source: this.#connection.arrival.source,
      at: trace.atMs,
    };
    const { annotations: first } = await plugins.mutate(call, admission, () => {
      throw new GatewayError('plugin-failed', 'a plugin would change a build with BuildKit, which it may only deny');
    });
    const { annotations, warnings } = await plugins.validate(call, admission);
    trace.annotations = { ...first, ...annotations };
    trace.warnings = warnings;
    // What flows inside is BuildKit's own protocol: a plugin may refuse the stream, and cannot watch it.
    await plugins.stream({ ...call, operation: { ...call.operation, stream: 'h2c' } }, admission);
  }

  /** Names are taken and quotas are asked, and what the tenant must not build from is found. */
  async #admitTenant(trace: Trace, call: EngineCall, build: Build): Promise<StoredImages | undefined> {
    const { tenant } = this.#principal;
    if (tenant === undefined) return undefined;
    const { tenancy, engine, buildkit } = this.#parts;
    if (buildkit.isDistrusting()) throw distrusted();
    const tenantCall = await tenancy.begin({ ...this.#principal, tenant }, trace.auditId, trace.atMs);
    trace.tenantCall = tenantCall;
    const leases = [this.#principal.leaseMs, trace.decision?.obligations.leaseMs].filter((ms) => ms !== undefined);
    if (leases.length > 0) tenantCall.lease(Math.min(...leases));
    await tenantCall.resolve(call);
    await tenantCall.reserve(call);
    trace.ledger = tenantCall.reserved;
    const { [TENANT_LABEL]: of, [OWNER_LABEL]: by } = labelsOf(tenantCall.owner);
    // Not the audit id: equal builds give equal images, and nothing that runs them is made anew.
    build.labels = { [TENANT_LABEL]: of ?? '', [OWNER_LABEL]: by ?? '' };
    return storedImages(tenantCall, engine);
  }

  #run(read: ReadSolve, trace: Trace, build: Build, stored: StoredImages | undefined, isProbe: boolean): RunningBuild {
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
        try {
          if (status === '0') refusal = await removeOverlabelled(build, read.facts, this.#parts);
          await this.#learn(trace, build);
        } finally {
          trace.tenantCall?.release();
          // A probe of which no part came has no intent either.
          if (!isProbe || build.onFirstPart === undefined) {
            this.#complete(trace, build, refusal === undefined ? status : '8', refusal?.message);
          }
        }
        return refusal;
      },
    };
  }

  async #learn(trace: Trace, build: Build): Promise<void> {
    const { tenantCall } = trace;
    if (tenantCall === undefined) return;
    const changes = [
      ...(await learnImages(build.imageId ?? build.imageDigest, tenantCall)),
      ...(await learnBrought(tenantCall)),
    ];
    for (const entry of changes) tenantCall.ledger.apply(entry);
    trace.ledger = changes;
  }

  #complete(trace: Trace, build: Build, status: string | undefined, message?: string): void {
    const isDone = status === '0';
    const outcome = isDone ? 'done' : status === undefined ? 'broken-off' : status === '1' ? 'cancelled' : 'failed';
    this.#parts.recorder.append(
      trace.event('complete', 'allow', {
        status: isDone ? 200 : 500,
        ...(message === undefined ? {} : { message }),
        build: { result: outcome, ...build.done() },
      }),
    );
    this.#parts.meter.finished({
      action: 'build.run',
      decision: 'allow',
      status: isDone ? 200 : 500,
      durationUs: trace.durationUs(),
    });
  }

  async part(read: ReadPart, id: string, ended: AbortSignal): Promise<Granted> {
    const build = await this.#parts.buildkit.awaited(id, ended);
    if (build === undefined)
      throw new Refusal('not-found', `no build ${this.owner.original(id)?.slice(0, 80)} of yours is under way`);
    const call = buildCall(read.facts, queryOf(read.options));
    const trace = this.#newTrace({ ...call, resources: [] });
    try {
      this.#parts.authenticator.recheck(this.#principal);
      const { tenant } = this.#principal;
      const grant = this.#judge(trace, { ...call, resources: [] });
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
      throw await this.#refused(trace, error);
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
