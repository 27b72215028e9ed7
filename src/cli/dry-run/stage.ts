// Where a dry run takes place: a gateway of its own in a private folder, bound to one identity, with the stand-in engine behind it. Each
// call goes the way of a live one; what was decided of it is kept.
import { AsyncLocalStorage } from 'node:async_hooks';
import { mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DryRunBasis } from '../../admin/dry-run.ts';
import { openGateway } from '../../app/assemble.ts';
import type { AuditRow } from '../../audit/event.ts';
import { parseConfig } from '../../config/config.ts';
import type { PluginSetting } from '../../config/types.ts';
import { GatewayError } from '../../errors.ts';
import { newAuditId } from '../../gateway/audit-id.ts';
import { silentLogger } from '../../log.ts';
import type { PrincipalPolicies } from '../../policy/compile.ts';
import { type HostSite, parseSubnet } from '../../policy/host/index.ts';
import type { DecisionInput } from '../../policy/types.ts';
import { type Handlers, listen } from '../../runtime/listen.ts';
import { startStandin } from '../../standin/standin.ts';

/** Rows of one dry run that are looked at. */
const MAX_ROWS = 20_000;

/** What one call was judged by, last. */
export interface Judgement {
  readonly policies: PrincipalPolicies;
  readonly input: DecisionInput;
}

export interface DryRequest {
  readonly method: string;
  readonly target: string;
}

export interface Stage {
  /** For DOCKER_HOST. */
  readonly socketPath: string;
  /** A private folder, which goes with the stage. */
  readonly folder: string;
  /** The audit of all calls so far, oldest first. */
  rows(): Promise<readonly AuditRow[]>;
  judgementOf(auditId: string): Judgement | undefined;
  /** Method and target of a call as they came in. */
  requestOf(auditId: string): DryRequest | undefined;
  close(): Promise<void>;
}

export async function openStage(basis: DryRunBasis, plugins: readonly PluginSetting[] = []): Promise<Stage> {
  // The names of sockets are short on every system: no deeper than this.
  const folder = mkdtempSync(join(tmpdir(), 'dg-dry-'));
  const undo: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  const close = async () => {
    for (const step of undo.reverse()) await step();
  };
  try {
    const { engine } = basis;
    const standin = await startStandin(join(folder, 'engine.sock'), { pretends: true, seed: engine });
    undo.push(() => standin.close());
    const judgements = new Map<string, Judgement>();
    const requests = new Map<string, DryRequest>();
    const coming = new AsyncLocalStorage<DryRequest>();
    const asComing = (incoming: IncomingMessage, act: () => void) =>
      coming.run({ method: incoming.method ?? '', target: incoming.url ?? '' }, act);
    const config = configOf(folder, standin.socketPath, basis);
    const open = await openGateway({ ...config, plugins }, silentLogger, {
      baseDir: process.cwd(),
      rehearsal: {
        site: siteOf(basis),
        owned: basis.owned,
        onDecided: (auditId, policies, input) => void judgements.set(auditId, { policies, input }),
        newAuditId() {
          const auditId = newAuditId();
          const request = coming.getStore();
          if (request !== undefined) requests.set(auditId, request);
          return auditId;
        },
      },
    });
    undo.push(() => open.close());
    const { identity, documents, limits } = basis;
    const by = { by: { subject: 'dry run', operator: true }, auditId: open.admin.newAuditId() };
    if (documents.length > 0) await open.admin.applyPolicies(documents, by);
    const { tenant, ...who } = identity;
    const own = tenant === undefined ? {} : { tenant };
    open.store.identities.insert({ ...who, ...own, disabled: false, createdAt: Date.now() });
    if (tenant !== undefined && limits !== undefined)
      open.store.tenants.insert({ ...limits, name: tenant, createdAt: Date.now() });
    const socketPath = join(folder, 'docker.sock');
    const listener = { kind: 'unix', path: socketPath, mode: 0o600, identity: identity.name } as const;
    const { gateway } = open;
    const handlers: Handlers = {
      onRequest: (incoming, ...rest) => asComing(incoming, () => gateway.onRequest(incoming, ...rest)),
      onCheckContinue: (incoming, ...rest) => asComing(incoming, () => gateway.onCheckContinue(incoming, ...rest)),
      onUpgrade: (incoming, ...rest) => asComing(incoming, () => gateway.onUpgrade(incoming, ...rest)),
      wantsUpgrade: (incoming) => gateway.wantsUpgrade(incoming),
      onUnreadable: (...about) => gateway.onUnreadable(...about),
    };
    const listening = await listen(listener, handlers, config.limits, silentLogger);
    undo.push(async () => {
      listening.stop();
      await listening.close();
    });
    return {
      socketPath,
      folder,
      async rows() {
        await open.admin.settleAudit();
        const rows = await open.admin.auditAfter({ afterSeq: 0, limit: MAX_ROWS });
        return rows.filter(({ stage }) => stage !== 'gateway');
      },
      judgementOf: (auditId) => judgements.get(auditId),
      requestOf: (auditId) => requests.get(auditId),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function configOf(folder: string, engine: string, basis: DryRunBasis) {
  const { issuer, apiVersions, tenants, sizes } = basis;
  const settings = {
    engine: `unix://${engine}`,
    data: join(folder, 'data'),
    listen: ['http://127.0.0.1:0'],
    issuer,
    apiVersions,
    tenants,
    limits: { ...sizes, drainTimeoutMs: 0 },
  };
  const { config, problems } = parseConfig(JSON.stringify(settings), { baseDir: folder });
  if (config === undefined) throw new GatewayError('internal', problems.map(({ message }) => message).join('; '));
  return config;
}

/** The site of the gateway that would serve the calls, not of the one that judges them. */
function siteOf({ site }: DryRunBasis): (action: string) => HostSite {
  const networks = site.networks.flatMap((range) => parseSubnet(range) ?? []);
  return (action) => ({
    protectedPaths: site.protectedPaths,
    sockets: site.sockets,
    networks: action === 'network.create' ? networks : [],
  });
}
