// What a tenant's call will make: names are taken in the ledger together with the intent, before the engine hears of the call, and
// the labels for people and tools are stamped.
import { toCall } from '../../engine/call.ts';
import { isOne } from '../../engine/canonical-names.ts';
import { renderChanges } from '../../engine/dockerfile/changes.ts';
import type { EngineCall, Json, JsonObject } from '../../engine/types.ts';
import { GatewayError } from '../../errors.ts';
import { countAnonymousVolumes } from '../../ledger/anonymous-volumes.ts';
import type { LedgerEntry, OwnedKind, Owner } from '../../ledger/entry.ts';
import { AUDIT_LABEL, labelsOf, refuseReservedLabel, stamp, TENANT_LABEL } from '../../ledger/labels.ts';
import { familiarImage, taken } from '../../ledger/missing.ts';
import type { SealedKind } from '../../ledger/seal.ts';
import { NO_SHARE } from '../../ledger/share.ts';
import { findImage, findVolume, isAnsweredTo } from './engine-state.ts';
import { counts } from './fill-share.ts';
import { prunesOwnAlone, removable, repositoryOf, takeReference } from './images.ts';
import { planPull } from './pull-plan.ts';
import { pinned } from './swarm.ts';
import type { TenantCall } from './tenant-call.ts';

export interface Reserved {
  readonly call: EngineCall;
  readonly pending: readonly LedgerEntry[];
}

/** @throws {GatewayError} `conflict`, `name-like-id` */
export async function reserve(call: EngineCall, tenantCall: TenantCall): Promise<Reserved> {
  const { owner } = tenantCall;
  const pending: LedgerEntry[] = [];
  const add = (kind: OwnedKind, id: string, name: string, more: Partial<LedgerEntry> = {}): void => {
    pending.push(tenantCall.make({ kind, id, name, state: 'pending', ...more }));
  };
  const created = call.resources.find((reference) => reference.role === 'creates')?.name ?? '';
  switch (call.action) {
    case 'container.create': {
      await refuseNameOfId('container', created, tenantCall);
      add('container', '', created);
      for (const name of await newVolumes(call, tenantCall)) add('volume', name, name);
      for (let left = await anonymousVolumes(call, tenantCall); left > 0; left--) add('volume', '', '');
      return { call: stamped(call, tenantCall), pending };
    }
    case 'container.rename':
      await refuseNameOfId('container', created, tenantCall);
      return { call, pending };
    case 'container.exec.create':
      add('exec', '', '', { parent: call.path.id });
      return { call, pending };
    case 'volume.create':
      if (created === '') add('volume', '', '');
      else if (isOwnVolume(created, tenantCall)) tenantCall.hold('volume', created);
      else {
        await takeVolume(created, tenantCall);
        add('volume', created, created);
      }
      return { call: stamped(call, tenantCall), pending };
    case 'network.create':
      await refuseNameOfId('network', created, tenantCall);
      // A network of the swarm and one of the engine may share a name, which then means neither.
      if (tenantCall.ledger.named('network', created).some(({ tenant }) => tenant !== owner.tenant))
        throw taken('network', created);
      if (tenantCall.state.holds.isHeldByOthers('network', created, owner.tenant)) throw taken('network', created);
      refuseIngress(call);
      add('network', '', created);
      // Engines before 25 make a second network of a name unless they are asked not to.
      return { call: stamped(withField(call, 'CheckDuplicate', true), tenantCall), pending };
    case 'service.create':
    case 'secret.create':
    case 'config.create': {
      const kind = call.action.slice(0, call.action.indexOf('.')) as 'service' | 'secret' | 'config';
      await refuseNameOfId(kind, created, tenantCall);
      add(kind, '', created);
      const spec = kind === 'service' ? await pinned(call, tenantCall) : call;
      return { call: stamped(spec, tenantCall), pending };
    }
    case 'service.update':
      return { call: stamped(await pinned(call, tenantCall), tenantCall), pending };
    case 'secret.update':
    case 'config.update':
      return { call: stamped(call, tenantCall), pending };
    case 'image.commit':
    case 'image.tag':
    case 'image.import':
    case 'image.load':
    case 'build.run': {
      refuseRemote(call);
      const references = call.resources.filter(({ kind, role }) => kind === 'image' && role === 'creates');
      const tagged = call.action === 'image.tag' ? await taggedImage(call, tenantCall) : {};
      for (const { name } of references) {
        if (pending.some((entry) => entry.id === name)) continue;
        await takeReference(name, tenantCall);
        add('image', name, name, { ...tagged, ...loadedImage(name, tenantCall) });
      }
      // Without a name it is one image more all the same.
      if (references.length === 0 && call.action !== 'image.tag' && call.action !== 'image.load') add('image', '', '');
      if (call.action === 'image.commit') return { call: stamped(withChanges(call), tenantCall), pending };
      if (call.action === 'image.import') return { call: withChanges(call, markOf(tenantCall.owner)), pending };
      return { call: call.action === 'build.run' ? withBuildLabels(call, tenantCall) : call, pending };
    }
    case 'image.remove':
      return { call: await removal(call, tenantCall), pending };
    case 'image.pull': {
      const reference = call.resources[0]?.name ?? '';
      const plan = await planPull(reference, tenantCall);
      if (plan.kind === 'by-digest') {
        const canonical = `${repositoryOf(reference)}@${plan.digest}`;
        // No tenant owns a digest as a name: an entry that is there already is replaced when the pull is over.
        if (plan.isAlias) add('image', canonical, reference, { isPulled: true });
        return { call: withDigest(call, plan.digest, reference), pending };
      }
      tenantCall.claimsPull = plan.claims;
      tenantCall.pulls = reference;
      // The name is the tenant's from now on, so that no other tenant can take it, even if the call fails.
      if (
        tenantCall.claimsPull &&
        isOne(reference) &&
        tenantCall.ledger.owned(owner.tenant, 'image', reference) === undefined
      ) {
        const before = await findImage(tenantCall.state.engine, reference);
        add('image', reference, reference, { isPulled: true, parent: before?.id });
      }
      return { call, pending };
    }
    default:
      return { call, pending };
  }
}

/**
 * An engine takes a name before the start of an id: an object named like the start of another's id would be reached by a
 * caller who writes that id. Names that merely read like an id are in use: testcontainers gives such names to its networks.
 *
 * @throws {GatewayError} `conflict`
 */
async function refuseNameOfId(
  kind: 'container' | 'network' | 'service' | 'secret' | 'config',
  name: string,
  { state }: TenantCall,
): Promise<void> {
  // A swarm's ids are of all letters.
  const likeId = kind === 'container' || kind === 'network' ? /^[0-9a-f]{6,64}$/ : /^[0-9a-z]{6,25}$/;
  if (likeId.test(name) && (await isAnsweredTo(state.engine, kind, name))) throw taken(kind, name);
}

function refuseIngress(call: EngineCall): void {
  if ((call.body as JsonObject | undefined)?.Ingress !== true) return;
  throw new GatewayError('tenant-not-served', 'denied: the ingress network serves all services; ask an operator');
}

/** An image that is being loaded: its layers' bytes, until the engine tells its size. */
function loadedImage(name: string, { archive }: TenantCall): Partial<LedgerEntry> {
  const image = archive?.image(name);
  return image === undefined ? {} : { parent: image.id, share: { ...NO_SHARE, bytes: image.bytes } };
}

/** Volumes without a name the engine makes with a new container: their number where it counts. */
async function anonymousVolumes(call: EngineCall, { limits, state }: TenantCall): Promise<number> {
  if (limits === undefined || !counts(limits, 'volumes')) return 0;
  const image = call.resources.find(({ kind, at }) => kind === 'image' && at === 'Image');
  const found = image === undefined ? undefined : await findImage(state.engine, image.id ?? image.name);
  return countAnonymousVolumes(call.body, found?.volumes ?? []);
}

/** A new name for an image that is there: which it is, and how large. */
async function taggedImage(call: EngineCall, { state }: TenantCall): Promise<Partial<LedgerEntry>> {
  const source = call.resources.find(({ kind, role }) => kind === 'image' && role === 'target');
  const found = source === undefined ? undefined : await findImage(state.engine, source.id ?? source.name);
  return found === undefined ? {} : { parent: found.id, share: found.share };
}

/** A context the engine fetches for itself holds a Dockerfile that policy cannot judge. */
function refuseRemote(call: EngineCall): void {
  const remote = call.action === 'build.run' ? (call.query.remote?.[0] ?? '') : '';
  // A session's context passes through BuildKit, which policy opens by a name of its own.
  if (remote === '' || remote === 'client-session') return;
  throw new GatewayError(
    'tenant-not-served',
    'denied: a remote build context holds a Dockerfile that cannot be judged; fetch it and send it as an archive',
  );
}

/** Volumes a new container names that do not exist yet: the engine makes them, so they are the tenant's. */
async function newVolumes(call: EngineCall, tenantCall: TenantCall): Promise<readonly string[]> {
  const names = new Set<string>();
  for (const { kind, name, role } of call.resources) {
    if (kind !== 'volume' || role !== 'uses' || name === '' || names.has(name)) continue;
    if (isOwnVolume(name, tenantCall)) {
      tenantCall.hold('volume', name);
      continue;
    }
    await takeVolume(name, tenantCall);
    names.add(name);
  }
  return [...names];
}

/** Whether a volume is the tenant's. One that a call of the tenant's is about to make may yet come to nothing: see takeVolume. */
const isOwnVolume = (name: string, { ledger, tenant }: TenantCall): boolean =>
  ledger.owned(tenant, 'volume', name) !== undefined;

/** A name may be taken by two calls of one tenant at once: each reserves it, so that what either makes has an owner. */
async function takeVolume(name: string, tenantCall: TenantCall): Promise<void> {
  const { ledger, state, tenant } = tenantCall;
  const isMine = (): boolean => ledger.holders('volume', name).some((entry) => entry.tenant === tenant);
  const check = (): void => {
    const isOthers = ledger.holders('volume', name).some((entry) => entry.tenant !== tenant);
    if (isOthers || state.holds.isHeldByOthers('volume', name, tenant)) throw taken('volume', name);
  };
  const wasMine = isMine();
  const found = await findVolume(state.engine, name);
  check();
  if (found !== undefined && !wasMine && !isMine()) throw taken('volume', name);
}

/** A removal takes along what is the tenant's alone. @throws {GatewayError} `conflict` */
async function removal(call: EngineCall, tenantCall: TenantCall): Promise<EngineCall> {
  const reference = call.resources[0]?.name ?? '';
  await removable(reference, tenantCall);
  if (await prunesOwnAlone(reference, tenantCall)) return call;
  return keepingIds(call, toCall({ ...call, query: { ...call.query, noprune: ['1'] } }, call.body));
}

/** The pull of a tag as one of the digest its registry has under it: no tag is moved. */
function withDigest(call: EngineCall, digest: string, reference: string): EngineCall {
  const query = { ...call.query, fromImage: [familiarImage(repositoryOf(reference))], tag: [digest] };
  return keepingIds(call, toCall({ ...call, query }, call.body));
}

function withField(call: EngineCall, field: string, value: Json): EngineCall {
  const body: Record<string, Json | undefined> = Object.create(null);
  Object.assign(body, call.body as JsonObject);
  body[field] = value;
  return keepingIds(call, toCall(call, body as JsonObject));
}

function stamped(call: EngineCall, { owner, state }: TenantCall): EngineCall {
  const body =
    typeof call.body === 'object' && call.body !== null
      ? (call.body as JsonObject)
      : (Object.create(null) as JsonObject);
  const kind = SEALED.get(call.operation.resource);
  const seal = kind === undefined ? undefined : state.seal.of(kind, owner);
  return keepingIds(call, toCall(call, stamp(body, 'Labels', owner, seal)));
}

/** A commit makes an image, and images carry no seal. */
const SEALED: ReadonlyMap<string, SealedKind> = new Map(
  (['container', 'volume', 'network', 'service', 'secret', 'config'] as const).map((kind) => [kind, kind]),
);

/** Tells the image an import makes by the call that made it. Neither word needs quotes. */
const markOf = ({ tenant, auditId }: Owner): readonly string[] => [
  `LABEL ${TENANT_LABEL}=${tenant} ${AUDIT_LABEL}=${auditId}`,
];

/** Instructions of a commit or an import, each as it was read. @throws {GatewayError} `query-ambiguous`, `label-reserved` */
function withChanges(call: EngineCall, more: readonly string[] = []): EngineCall {
  const given = call.query.changes;
  if (given === undefined && more.length === 0) return call;
  const changes = [...renderChanges(given ?? [], refuseReservedLabel), ...more];
  return keepingIds(call, toCall({ ...call, query: { ...call.query, changes } }, call.body));
}

function withBuildLabels(call: EngineCall, { owner }: TenantCall): EngineCall {
  const given = call.query.labels?.[0];
  const labels = { ...(given === undefined || given === '' ? {} : (JSON.parse(given) as object)), ...labelsOf(owner) };
  return keepingIds(call, toCall({ ...call, query: { ...call.query, labels: [JSON.stringify(labels)] } }, call.body));
}

/** The findings on the objects a call names stay with it. */
function keepingIds(from: EngineCall, to: EngineCall): EngineCall {
  return from.resources.length === to.resources.length ? Object.freeze({ ...to, resources: from.resources }) : to;
}
