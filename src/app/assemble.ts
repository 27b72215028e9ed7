// Joins the rooms into one running gateway from a Config: stores, keys, policies, plugins, engine, admin, listeners.
// Everything is opened in order and closed in reverse; a failure on the way closes what was opened.
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { createAdminApp } from '../admin/app.ts';
import { createAdminServices } from '../admin/create-services.ts';
import type { AdminServices, PluginInfo } from '../admin/services.ts';
import { createTokenUseCounter } from '../admin/token-use.ts';
import { createPluginChain, type LoadedPlugin, type PluginChain } from '../admission/chain.ts';
import { asDryRun } from '../admission/dry-run.ts';
import { loadPlugins } from '../admission/load.ts';
import type { Recorder } from '../audit/event.ts';
import { engineAddressText } from '../config/address.ts';
import { readEngineAddress } from '../config/config.ts';
import type { Config } from '../config/types.ts';
import { NEWEST_MINOR } from '../engine/versions.ts';
import { GatewayError } from '../errors.ts';
import { newAuditId } from '../gateway/audit-id.ts';
import { BuildKitState } from '../gateway/buildkit/state.ts';
import { explainRequest } from '../gateway/explain.ts';
import { assembleGateway, type Gateway } from '../gateway/gateway.ts';
import { LargeBodies } from '../gateway/large-bodies.ts';
import { LiveCalls } from '../gateway/live-calls.ts';
import { OutsideEvents } from '../gateway/outside-events.ts';
import { performFor } from '../gateway/own-call.ts';
import type { GatewayParts } from '../gateway/parts.ts';
import { SeenCalls } from '../gateway/seen-calls.ts';
import { Strangers } from '../gateway/strangers.ts';
import { createReaper } from '../gateway/tenancy/reaper.ts';
import { createTenancy } from '../gateway/tenancy/tenancy.ts';
import { FailedCredentials } from '../identity/attempts.ts';
import { type Authenticator, createAuthenticator } from '../identity/authenticate.ts';
import { certificateFiles } from '../identity/certificates.ts';
import { createCertificateIssuer } from '../identity/client-certificates.ts';
import { blocksInSettings, createBlocks } from '../identity/external/blocks.ts';
import { createExternalIssuers, type ExternalIssuers } from '../identity/external/issuers.ts';
import { createGrants } from '../identity/grants.ts';
import { createIssuer, type Issuer } from '../identity/issue-token.ts';
import { createRefreshCredentials } from '../identity/refresh-credentials.ts';
import { createRevocations } from '../identity/revocation.ts';
import { isSealed, loadSeal, SEAL_KEY_VARIABLE } from '../identity/seal.ts';
import { createSteadyClock, type SteadyClock } from '../identity/steady-clock.ts';
import { loadTrust } from '../identity/trust.ts';
import type { LedgerEntry } from '../ledger/entry.ts';
import { LedgerSeal } from '../ledger/seal.ts';
import { compileSharedImages, TenantNames } from '../ledger/shared-images.ts';
import type { Logger } from '../log.ts';
import { faultOfAction } from '../policy/actions.ts';
import { compilePolicies, type PolicySet } from '../policy/compile.ts';
import type { HostSite } from '../policy/host/index.ts';
import { faultsOfTests } from '../policy/run-tests.ts';
import { createEngineClient } from '../proxy/engine-client.ts';
import { createEngineDefaults } from '../proxy/engine-defaults.ts';
import { Lane } from '../proxy/lanes.ts';
import { engineReadFor } from '../proxy/plugin-read.ts';
import type { ConnectionCounts } from '../runtime/connections.ts';
import { type Handlers, listen } from '../runtime/listen.ts';
import type { Place } from '../store/audit-row.ts';
import { BACKUPS, beginBackup, stampOf } from '../store/backup.ts';
import { LEDGER_FILE, openLedger } from '../store/ledger-file.ts';
import { lockDataDir, openStore, type Store } from '../store/open.ts';
import { openRecorder } from '../store/recorder.ts';
import { createReserve } from '../store/reserve.ts';
import { ReviewThread } from '../store/review-thread.ts';
import { SinksThread } from '../store/sinks-thread.ts';
import { createSpool } from '../store/spool.ts';
import { VERSION } from '../version.ts';
import { AuditIntegrity } from './audit-integrity.ts';
import { watchAudit } from './audit-watch.ts';
import { BoundSockets } from './bound-sockets.ts';
import { dryRunBasis } from './dry-run-basis.ts';
import { hostSite } from './host-site.ts';
import { callerSockets, serverCaOf, socketsOf } from './listeners.ts';
import { createMetrics } from './metrics.ts';
import { adminHandlers, createOperationsApp, mountOwnRoutes, ownHandlers } from './own-routes.ts';
import { CONNECTIONS, KeptOwnSockets } from './own-sockets.ts';
import { readinessOf } from './readiness.ts';
import { maskingFor, maskRowsWith, REDACTION_KEY } from './redactor.ts';
import { isSettingSealed, sealedSetting } from './sealed-setting.ts';
import { openTranscripts, TRANSCRIPT_KEY, transcriptSetting } from './transcripts.ts';

/** How often the age of the signing key is looked at and old tokens are forgotten, in ms. */
const TIDY_MS = 3_600_000;
/** Tokens and credentials are listed this long after their end, in ms. */
const FORGET_MS = 30 * 86_400_000;

/** A gateway with its stores open and no socket listening yet. */
export interface OpenGateway {
  readonly gateway: Gateway;
  readonly store: Store;
  readonly issuer: Issuer;
  readonly authenticator: Authenticator;
  readonly admin: AdminServices;
  /** Sockets made while running; main opens those of earlier runs. */
  readonly sockets: BoundSockets;
  /** Those in containers, likewise. */
  readonly ownSockets: KeptOwnSockets;
  /** Handlers of the admin socket. */
  readonly adminHandlers: Handlers;
  /** Handlers of the listener for metrics. */
  readonly metricsHandlers: Handlers;
  readonly recorder: Recorder;
  policies(): PolicySet;
  plugins(): PluginChain;
  /** Takes over policies, plugins, issuers, limits and log level of a new configuration. Throws and changes nothing on a fault. */
  reload(next: Config): Promise<void>;
  /** Ends calls and streams, then the audit, then the stores. */
  close(): Promise<void>;
}

/** What main does when an operator asks for a reload. */
export interface OpenOptions {
  /** Addresses listened on, `https://127.0.0.1:2376` and `unix:///run/ci.sock`, for the status. */
  readonly listeners?: () => readonly string[];
  /** Connections of the listeners, for the metrics. */
  readonly connections?: () => readonly ConnectionCounts[];
  readonly reload?: () => Promise<Readonly<Record<string, unknown>>>;
  /** Folder plugins named by a relative path belong to. */
  readonly baseDir?: string;
  /** A gateway of a dry run's own, with the stand-in behind it. */
  readonly rehearsal?: Rehearsal;
}

/** What a dry run gives its gateway in the place of what a gateway finds out. */
export interface Rehearsal {
  site(action: string): HostSite;
  /** The ledger's entries of the caller's tenant. */
  readonly owned: readonly LedgerEntry[];
  readonly onDecided: NonNullable<GatewayParts['onDecided']>;
  /** Gives a call its audit id. */
  newAuditId(): string;
}

/**
 * Opens stores, keys, policies and plugins and builds the gateway.
 *
 * @throws {GatewayError} `store-*`, `config-invalid`: the first thing that keeps it from working
 */
export async function openGateway(config: Config, log: Logger, options: OpenOptions = {}): Promise<OpenGateway> {
  const undo: (() => unknown)[] = [];
  try {
    const lock = lockDataDir(config.data);
    undo.push(() => lock.release());
    let current = config;
    const engine = createEngineClient(readEngineAddress(config), { bounds: () => current.limits });
    undo.push(() => engine.close());
    let generation = 0;
    const chainOf = async (from: Config) => {
      const hosts = await loadPlugins(from.plugins, {
        baseDir: options.baseDir ?? process.cwd(),
        log,
        engineRead: engineReadFor(engine),
        ...(config.engine.kind === 'unix' && config.engine.path !== undefined
          ? { engineSocket: config.engine.path }
          : {}),
      });
      const chain = createPluginChain(hosts, log, ++generation);
      return options.rehearsal === undefined ? chain : asDryRun(chain);
    };
    /** Loads that were replaced and still see calls, the oldest first: a stream may last for hours, and its plugins with it. */
    const retired = new Set<PluginChain>();
    const retire = (old: PluginChain) => {
      retired.add(old);
      void old.close().then(() => retired.delete(old));
      const [oldest] = retired;
      if (oldest !== undefined && retired.size > MAX_RETIRED) void oldest.close('now');
    };
    undo.push(() => Promise.all([...retired].map((old) => old.close('now'))));
    // Threads of plugins get ready while the stores are opened.
    let plugins: PluginChain = createPluginChain([], log, 0);
    const starting = chainOf(config);
    undo.push(() =>
      starting.then(
        (first) => (plugins.generation === 0 ? first : plugins).close(),
        () => undefined,
      ),
    );
    const store = openStore(config.data);
    undo.push(() => store.close());
    const auditFile = join(config.data, 'audit.db');
    const ledgerFile = join(config.data, LEDGER_FILE);
    const stored = openLedger(
      ledgerFile,
      auditFile,
      { ...store.settings, isUsed: store.identities.list().length > 0 },
      Date.now(),
    );
    if (stored.doubt !== undefined)
      log.warn({ reason: stored.doubt }, 'the ledger is not whole: no tenant is served before it is');
    const sinks = new SinksThread({ auditFile, version: VERSION }, log, {
      anchor: (seq) => recorder.anchor(seq),
      async remove({ first, last, file, sha256 }) {
        await recorder.record({
          at: Date.now() * 1000,
          stage: 'gateway',
          auditId: newAuditId(),
          action: 'audit.remove',
          decision: 'allow',
          detail: { first, last, rows: last - first + 1, segment: file, sha256 },
        });
        await recorder.remove(last);
      },
    });
    // After the recorder: what it wrote last is shipped too.
    undo.push(() => sinks.close());
    const seal = loadSeal({
      value: process.env[SEAL_KEY_VARIABLE],
      file: config.keySeal?.file,
      defaultFile: join(config.data, 'seal.key'),
      inUse:
        store.keys.list().some(({ privateJwk }) => isSealed(privateJwk)) ||
        [REDACTION_KEY, TRANSCRIPT_KEY].some((name) => isSettingSealed(store.settings, name)),
    });
    const masking = maskingFor(await sealedSetting(store.settings, seal, REDACTION_KEY));
    const integrity = new AuditIntegrity({ auditFile, log, now: () => Date.now(), newAuditId });
    // After the recorder too: the checkpoint of the stop is kept beside the log.
    undo.push(() => integrity.close());
    const recorder = await openRecorder(auditFile, {
      seals: integrity.seals,
      maxQueue: config.limits.auditQueue,
      place: placeOf(config),
      maskRow: maskRowsWith(masking),
      reads: config.audit.reads,
      onForeign: (files) =>
        log.warn({ files }, 'rows of reads that another audit log lacks were moved aside: they belong to that log'),
    });
    undo.push(() => recorder.close());
    const transcripts = openTranscripts(config, {
      key: await sealedSetting(store.settings, seal, TRANSCRIPT_KEY),
      ...{ masking, recorder, log, newAuditId },
    });
    undo.push(() => transcripts.close());
    const reserve = createReserve(join(config.data, 'reserve'));
    undo.push(() => reserve.close());
    const audit = watchAudit(recorder, log, (since) => ({
      at: Date.now() * 1000,
      stage: 'gateway',
      auditId: newAuditId(),
      action: 'audit.resumed',
      decision: 'allow',
      detail: { since: new Date(since).toISOString() },
    }));
    undo.push(() => audit.close());
    const review = new ReviewThread({ auditFile, ledgerFile, indexFile: join(config.data, 'audit-review.db') });
    undo.push(() => review.close());
    integrity.begin(recorder, review);
    undo.push(() => integrity.stop());
    const readUses = { read: (afterSeq: number, limit: number) => review.tokenUse(afterSeq, limit) };
    const tokenUse = createTokenUseCounter(readUses, store.tokenUse, () => recorder.settle());
    undo.push(tokenUse.start((error) => log.warn({ err: error }, 'the use of tokens could not be counted')));

    const steady = createSteadyClock({ settings: store.settings, latest: store.latestStamp });
    undo.push(() => steady.save());
    const steadyNow = () => steady.now();
    const issuer = createIssuer({
      steadyNow,
      issuer: config.issuer,
      audience: config.audience,
      keys: store.keys,
      tokens: store.tokens,
      identities: store.identities,
      checkScope: faultOfAction,
      seal,
    });
    undo.push(
      await keepTidy(store, issuer, steady, log, (kid) =>
        recorder.append({
          at: Date.now() * 1000,
          stage: 'gateway',
          auditId: newAuditId(),
          action: 'key.rotate',
          resource: 'gateway/signing-key',
          resourceId: kid,
          decision: 'allow',
          detail: { by: 'age' },
        }),
      ),
    );
    let trust = await loadTrust(config.clientCas);
    const externalsOf = (from: Config, previous?: ExternalIssuers): ExternalIssuers =>
      createExternalIssuers({
        settings: from.issuers,
        ...(previous === undefined ? {} : { previous }),
        onError: (name, reason) => log.warn({ issuer: name, reason }, 'the keys of an issuer could not be fetched'),
      });
    let externals = externalsOf(config);
    const blocks = createBlocks(blocksInSettings(store.settings), steadyNow);
    const revocations = createRevocations(store.tokens, store.credentials, steadyNow);
    const authenticator = createAuthenticator({
      issuer,
      revocations,
      identities: store.identities,
      certificates: {
        steadyNow,
        certificates: store.certificates,
        ownAuthority: () => readIfThere(certificateFiles(config.data).ca),
        outside: () => trust,
      },
      external: () => externals,
      blocks,
    });
    const refreshCredentials = createRefreshCredentials(store);
    const grants = createGrants({ ...store, issuer, authenticator, refreshCredentials });
    const live = new LiveCalls(authenticator);
    undo.push(revocations.onChange(() => live.review()));

    const compileStored = (): PolicySet => {
      const { documents, revision } = store.policies.current();
      return compilePolicies(documents, revision, { issuer: config.issuer });
    };
    let policies = compileStored();
    plugins = await starting;
    const engineDefaults = createEngineDefaults(engine, {
      isTenants: (imageId) => tenancy.ledger.imageHolders(imageId).length > 0,
      onLearned: ({ learned, why }) =>
        learned
          ? log.debug({}, 'the engine told its defaults for a container')
          : log.warn({ why }, 'the engine told no defaults for a container, so none counts as such'),
    });
    const inFlight = new Lane({ places: 'calls', setting: 'limits.calls' }, () => ({
      total: current.limits.calls,
      sharePercent: current.limits.sharePercent,
      queueMs: 0,
    }));
    const strangers = new Strangers({
      recorder,
      rowsPerMinute: () => current.limits.strangerRows,
      now: () => Date.now(),
      newAuditId,
    });
    undo.push(() => strangers.close());
    let isShared = compileSharedImages(config.tenants.sharedImages);
    let names = tenantNames(config);
    const outside =
      config.audit.outside === 'never'
        ? undefined
        : new OutsideEvents({
            ...{ recorder, newAuditId },
            now: () => Date.now(),
            tenantOf: (kind, id) =>
              kind === 'container' || kind === 'volume' || kind === 'network'
                ? tenancy.ledger.holders(kind, id)[0]?.tenant
                : undefined,
          });
    undo.push(() => outside?.close());
    const callRecorder = outside?.noting(recorder) ?? recorder;
    const tenancy = createTenancy({
      followsAlways: config.audit.outside === 'always',
      ...(outside === undefined ? {} : { onEngineEvent: (event) => outside.see(event) }),
      names: () => names,
      engine,
      entries: [...stored.entries, ...(options.rehearsal?.owned ?? [])],
      doubt: stored.doubt,
      onSettled: stored.settled,
      seal: new LedgerSeal(secretSetting(store.settings, 'ledger-seal')),
      isShared: (reference) => isShared(reference),
      refreshesShared: () => current.tenants.refreshShared,
      spool: createSpool(join(config.data, 'spool')),
      maxLoadBytes: () => current.limits.loadBytes,
      limitsOf: (name) => store.tenants.get(name),
      recorder,
      log,
      now: () => Date.now(),
      newAuditId,
    });
    undo.push(() => tenancy.close());
    const buildkit = new BuildKitState(buildKitSecret(store.settings), () => current.tenants.distrust);
    const readiness = readinessOf(engine);
    // A gateway that must refuse every call is not ready, whatever the engine says.
    const isReady = async () => recorder.healthy && (await readiness.ask());
    const meter = createMetrics({
      auditHealthy: () => recorder.healthy,
      integrity: () => integrity.state(),
      engineReachable: () => readiness.last,
      issuers: () => externals.states(),
      lanes: () => ({ ...engine.lanes(), 'in-flight': inFlight.state() }),
      strangersCounted: () => strangers.counted,
      connections: () => options.connections?.() ?? [],
      sinks: () => sinks.states(),
      retention: () => sinks.retention(),
      plugins: () => plugins.plugins(),
      version: VERSION,
    });
    const apiVersions = {
      get minMinor() {
        return Number(current.apiVersions.min.slice(2));
      },
      get maxMinor() {
        const { max } = current.apiVersions;
        return max === undefined ? NEWEST_MINOR : Number(max.slice(2));
      },
    };
    const now = () => Date.now();
    /** Credentials were revoked in the store by way of their identity or one by one. */
    const onRevoked = () => {
      authenticator.certificatesChanged();
      revocations.refresh();
    };

    const ownSockets = new KeptOwnSockets({
      folder: config.ownSockets.folder,
      isLocal: config.engine.kind === 'unix',
      authenticator,
      engine,
      recorder,
      log,
      listen: (listener) =>
        listen(listener, gateway, { ...current.limits, connections: CONNECTIONS, connectionsPerIp: CONNECTIONS }, log),
      boundSockets: () => callerSockets(current, store.sockets.list()),
      now,
      newAuditId,
    });
    undo.push(() => ownSockets.close());
    const sockets = new BoundSockets({
      store: store.sockets,
      listen: (listener) => listen(listener, gateway, current.limits, log),
      reserved: () => socketsOf(current),
      log,
    });
    undo.push(() => sockets.closeAll());

    const site =
      options.rehearsal?.site ?? hostSite(config, () => callerSockets(current, store.sockets.list()), ownSockets);
    const admin = createAdminServices({
      // Before the recorder, which was opened earlier.
      atStop: (work) => undo.push(work),
      identities: store.identities,
      tokens: store.tokens,
      issuer: {
        issue: ({ identity, issuedBy, ...request }) =>
          issuer.issue({ ...request, identity: identity.name, by: issuedBy }),
      },
      revocations,
      certificates: {
        store: store.certificates,
        issuer: createCertificateIssuer({
          dir: config.data,
          certificates: store.certificates,
          identities: store.identities,
        }),
        serverCa: () => serverCaOf(current),
        onRevoked,
      },
      tenants: {
        store: store.tenants,
        usage: (name) => tenancy.ledger.usages.of(name),
        usageOfIdentity: (name, subject) => tenancy.ledger.usages.ofOwner(name, subject),
        owning: () => tenancy.ledger.tenants(),
        history: (name, from, to, step) => review.usage(name, from, to, step),
      },
      leases: {
        leased: () =>
          [...tenancy.ledger.entries()].filter((one) => one.state === 'live' && one.leaseUntil !== undefined),
        async change(entry, action, by) {
          tenancy.ledger.apply(entry);
          await recorder.record({
            at: now() * 1000,
            stage: 'gateway',
            auditId: newAuditId(),
            action,
            subject: by,
            tenant: entry.tenant,
            resource: `${entry.kind}/${entry.name}`,
            resourceId: entry.id,
            decision: 'allow',
            ledger: [entry],
          });
        },
        look: () => void reaper.look(),
      },
      sockets: {
        store: store.sockets,
        host: {
          open: (record) => sockets.open(record),
          faultOf: (path) => sockets.faultOf(path),
          async close(path) {
            await sockets.close(path);
            ownSockets.review();
          },
        },
      },
      ledger: tenancy.ownership,
      credentials: store.credentials,
      refreshCredentials,
      tokenUse,
      signingKeys: { list: () => issuer.keyList(), rotate: () => issuer.rotateKey() },
      policies: store.policies,
      compile(documents, fresh) {
        const set = compilePolicies(documents, 0, { issuer: config.issuer });
        const faults = faultsOfTests(
          set,
          set.documents.filter(({ name }) => fresh?.has(name) === true),
        );
        if (faults.length > 0) throw new GatewayError('input-invalid', faults.join('\n'));
        return set;
      },
      builtIn: () => policies.policies().filter((p) => p.builtIn),
      effectivePolicies: ({ name, tenant, groups, policies: own }) =>
        policies.boundTo({
          ...{ subject: name, issuer: config.issuer, groups, policies: own, channel: 'local', claims: {} },
          ...(tenant === undefined ? {} : { tenant }),
        }),
      issuerPolicies: () => current.issuers.flatMap(({ rules }) => rules.flatMap((rule) => rule.policies ?? [])),
      explain: (asked) =>
        explainRequest(asked, { policies, authenticator, engine, engineDefaults, apiVersions, site, at: now() }),
      dryRun: (identity) =>
        dryRunBasis(identity, {
          config: current,
          engine,
          documents: () => store.policies.current().documents,
          plugins: () => plugins.plugins().map(({ name }) => name),
          sockets: () => callerSockets(current, store.sockets.list()),
          limitsOf: (tenant) => store.tenants.get(tenant),
          owned: (tenant) => tenancy.ledger.objects(tenant),
        }),
      onPoliciesChanged() {
        policies = compileStored();
      },
      onIdentityChanged() {
        onRevoked();
        void sockets.closeForgotten();
        ownSockets.review();
      },
      reader: review,
      reports: review,
      hashSecret: (secret) => masking.hash(secret),
      integrity,
      exporter: review,
      transcripts,
      sign: () => recorder.checkpoint(),
      recorder,
      reserve,
      onUnwritable: (error) => audit.failed(error),
      plugins: () => plugins.plugins().map(pluginInfo),
      issuers: {
        states: () => externals.states(),
        blocks,
        longestLifeMs: (name) => externals.longestLifeMs(name),
        onBlocked: () => live.review(),
      },
      metrics: () => meter.text(),
      backups: {
        async begin() {
          const folder = join(config.data, BACKUPS, stampOf(now()));
          const begun = await beginBackup(config.data, folder, { nowMs: now(), version: VERSION }, (work) =>
            recorder.atRest(work),
          );
          return {
            async finish() {
              const { at, files } = await begun.finish();
              return { folder: resolve(folder), at, files: files.map(({ name, size }) => ({ name, size })) };
            },
          };
        },
      },
      status: async () => ({
        version: VERSION,
        policyRevision: policies.revision,
        auditHealthy: recorder.healthy,
        engineReachable: await readiness.ask(),
        callsInFlight: gateway.active,
        audit: integrity.state(),
        sinks: sinks.states(),
        retention: sinks.retention(),
        listeners: options.listeners?.() ?? [],
      }),
      reload: options.reload ?? (async () => ({})),
      now,
      newAuditId,
    });
    const stopping = new AbortController();
    const adminApp = createAdminApp(admin, {
      stopping: stopping.signal,
      onFault: (error, auditId) => log.error({ err: error, auditId }, 'an admin call failed'),
    });

    const gatewayParts: GatewayParts = {
      authenticator,
      live,
      policies: () => policies,
      plugins: () => plugins,
      recorder: callRecorder,
      engine,
      engineDefaults,
      inFlight,
      largeBodies: new LargeBodies(),
      strangers,
      onUnwritable: (error) => audit.failed(error),
      tenancy,
      buildkit,
      limits: () => current.limits,
      apiVersions,
      listeners: () => options.listeners?.() ?? [],
      site,
      ownSockets,
      ...(options.rehearsal === undefined ? {} : { onDecided: options.rehearsal.onDecided }),
      seen: new SeenCalls(apiVersions),
      masking,
      transcripts,
      now,
      newAuditId: options.rehearsal?.newAuditId ?? newAuditId,
      log,
      meter,
    };
    const gateway: Gateway = assembleGateway(gatewayParts, (app) =>
      mountOwnRoutes(app, {
        adminApp,
        admin,
        authenticator,
        live,
        issuer,
        strangers,
        tokenEndpoint: {
          grants,
          attempts: new FailedCredentials(),
          recorder,
          strangers,
          audience: config.audience,
          now,
          newAuditId,
        },
        ready: isReady,
      }),
    );

    const operations = createOperationsApp({
      metrics: () => meter.text(),
      ready: isReady,
      details: () => ({ audit: integrity.state() }),
    });
    const reaper = createReaper({
      ledger: tenancy.ledger,
      log,
      now,
      perform: (owner, method, target) => performFor(owner, method, target, 'lease/ended', gatewayParts),
    });
    reaper.start();
    undo.push(() => reaper.stop());

    // Serving waits neither for sinks nor for the issuers' keys: a token that needs a key waits for this very fetch.
    void externals.refresh();
    void sinks.apply(config.audit.sinks, config.audit.retention);

    return {
      gateway,
      store,
      issuer,
      authenticator,
      admin,
      sockets,
      ownSockets,
      adminHandlers: adminHandlers(adminApp, operations, gateway),
      metricsHandlers: ownHandlers((request) => operations.fetch(request), gateway),
      recorder,
      policies: () => policies,
      plugins: () => plugins,
      async reload(next) {
        const nextTrust = await loadTrust(next.clientCas);
        const nextExternals = externalsOf(next, externals);
        const chain = await chainOf(next);
        const compiled = compileStored();
        isShared = compileSharedImages(next.tenants.sharedImages);
        names = tenantNames(next);
        const old = plugins;
        current = next;
        trust = nextTrust;
        externals = nextExternals;
        void externals.refresh();
        // Streams of callers whom the settings no longer name end with them.
        live.review();
        ownSockets.review();
        plugins = chain;
        policies = compiled;
        retire(old);
        transcripts.apply(transcriptSetting(next));
        await sinks.apply(next.audit.sinks, next.audit.retention);
      },
      async close() {
        stopping.abort();
        sockets.stop();
        await gateway.drain(current.limits.drainTimeoutMs);
        for (const step of undo.reverse()) await step();
      },
    };
  } catch (error) {
    for (const step of undo.reverse()) {
      try {
        await step();
      } catch {
        // the first failure is the one to tell
      }
    }
    throw error;
  }
}

/** Loads of plugins kept for the streams they see; beyond, the streams of the oldest end. */
const MAX_RETIRED = 3;

/** Under this name the secret is kept that marks ids of builds with: with another one, history and cache mounts begin anew. */
const BUILDKIT_SECRET = 'buildkit.secret';

function buildKitSecret(settings: Store['settings']): Uint8Array {
  const kept = settings.get(BUILDKIT_SECRET);
  if (kept !== undefined) return Buffer.from(kept, 'base64');
  const secret = randomBytes(32);
  settings.set(BUILDKIT_SECRET, secret.toString('base64'));
  return secret;
}

/**
 * Loads the signing keys, lets the next one take over when its time has come, and forgets what ended long ago: at once, and
 * from time to time. Returns how to stop.
 */
async function keepTidy(
  store: Store,
  issuer: Issuer,
  steady: SteadyClock,
  log: Logger,
  onTurned: (kid: string) => void,
): Promise<() => void> {
  const tidy = async () => {
    const turned = await issuer.ensureKey();
    if (turned) onTurned(issuer.keyList().find(({ state }) => state === 'active')?.kid ?? '');
    const before = steady.now() - FORGET_MS;
    steady.save();
    for (const kept of [store.tokens, store.credentials, store.tokenUse]) kept.forget(before);
  };
  await tidy();
  const timer = setInterval(() => {
    tidy().catch((error: unknown) =>
      log.error({ err: error }, 'keys could not be turned, or old tokens not forgotten'),
    );
  }, TIDY_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** A secret of the gateway's own, made when it is first asked for. */
function secretSetting({ get, set }: Store['settings'], key: string): Buffer {
  const known = get(key);
  if (known !== undefined) return Buffer.from(known, 'base64url');
  const secret = randomBytes(32);
  set(key, secret.toString('base64url'));
  return secret;
}

/** Where the audit's rows say they were made: two gateways on one machine have names of their own in `issuer`, or none. */
const tenantNames = ({ tenants: { names } }: Config): TenantNames | undefined =>
  names === undefined ? undefined : new TenantNames(names);

const placeOf = ({ engine, issuer }: Config): Place => ({
  engine: engineAddressText(engine),
  gateway: issuer === DEFAULT_ISSUER ? hostname() : issuer,
});
/** The issuer of a gateway that was given no name. */
const DEFAULT_ISSUER = 'dockgate';

function readIfThere(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

const pluginInfo = ({ meta, hooks, ...rest }: LoadedPlugin): PluginInfo => ({
  ...rest,
  version: meta.version,
  description: meta.description,
  phases: hooks,
});
