// Gathers what a dry run is judged by. The engine is asked as `policy explain` asks it, and told nothing.
import type { DryRunBasis } from '../admin/dry-run.ts';
import type { Config } from '../config/types.ts';
import { GatewayError } from '../errors.ts';
import type { IdentityRecord } from '../identity/stores.ts';
import type { LedgerEntry } from '../ledger/entry.ts';
import type { TenantLimits } from '../ledger/quota.ts';
import type { StoredDocument } from '../policy/store.ts';
import type { EngineClient } from '../proxy/engine-client.ts';
import { hostNetworks } from '../runtime/host-networks.ts';

/** Containers looked at one by one, those made last first; of more a dry run knows nothing. */
const MAX_CONTAINERS = 256;
/** Looked at side by side. */
const AT_ONCE = 8;
const MAX_LIST_BYTES = 64 * 1024 * 1024;
const TIMEOUT_MS = 20_000;

/** Of `/info`: what an engine can, and does by default. */
const FACTS = [
  'KernelVersion',
  'DefaultRuntime',
  'Runtimes',
  'SecurityOptions',
  'CgroupVersion',
  'CgroupDriver',
  'NCPU',
];

type Row = Record<string, unknown>;

interface BasisParts {
  readonly config: Config;
  readonly engine: EngineClient;
  documents(): readonly StoredDocument[];
  plugins(): readonly string[];
  sockets(): readonly string[];
  limitsOf(tenant: string): TenantLimits | undefined;
  owned(tenant: string): Iterable<LedgerEntry>;
}

export async function dryRunBasis(identity: IdentityRecord, parts: BasisParts): Promise<DryRunBasis> {
  const { config } = parts;
  const { tenant } = identity;
  const limits = tenant === undefined ? undefined : parts.limitsOf(tenant);
  const { newest: served, ...engine } = await objectsOf(parts.engine);
  const { max } = config.apiVersions;
  const newest = [served, max].filter((one) => one !== undefined).sort((a, b) => minorOf(a) - minorOf(b))[0];
  const isLocal = config.engine.kind === 'unix';
  return {
    identity: {
      name: identity.name,
      ...(tenant === undefined ? {} : { tenant }),
      groups: [...identity.groups],
      policies: [...identity.policies],
    },
    documents: parts.documents().map(({ kind, name, source }) => ({ kind, name, source })),
    ...(limits === undefined ? {} : { limits }),
    owned: tenant === undefined ? [] : [...parts.owned(tenant)],
    issuer: config.issuer,
    apiVersions: { ...config.apiVersions, ...(newest === undefined ? {} : { max: newest }) },
    tenants: {
      sharedImages: [...config.tenants.sharedImages],
      ...(config.tenants.names === undefined ? {} : { names: [...config.tenants.names] }),
      refreshShared: config.tenants.refreshShared,
      distrust: config.tenants.distrust,
    },
    sizes: { bodyBytes: config.limits.bodyBytes, labelBytes: config.limits.labelBytes },
    site: {
      protectedPaths: [
        ...[config.data, config.ownSockets.folder],
        ...(isLocal && config.engine.path !== undefined ? [config.engine.path] : []),
      ],
      sockets: [...parts.sockets()],
      networks: isLocal ? [...hostNetworks()] : [],
    },
    plugins: [...parts.plugins()],
    engine,
  };
}

const minorOf = (version: string): number => Number(version.slice(2));

/** `newest`: the newest API version it serves, `1.51`. */
async function objectsOf(engine: EngineClient): Promise<DryRunBasis['engine'] & { newest?: string }> {
  const ask = async (target: string): Promise<unknown> => {
    const { status, body } = await engine.fetchJson(
      { method: 'GET', target, headers: [], body: undefined },
      { maxBytes: MAX_LIST_BYTES, timeoutMs: TIMEOUT_MS },
    );
    return status === 200 ? JSON.parse(Buffer.from(body).toString('utf8')) : undefined;
  };
  const rows = (value: unknown): Row[] => (Array.isArray(value) ? value.filter(isRow) : []);
  try {
    const [listed, images, networks, volumes, info, version] = await Promise.all(
      ['/containers/json?all=1', '/images/json', '/networks', '/volumes', '/info', '/version'].map(ask),
    );
    const ids = rows(listed).map(({ Id }) => String(Id));
    const containers: Row[] = [];
    for (let at = 0; at < Math.min(ids.length, MAX_CONTAINERS); at += AT_ONCE) {
      const some = ids.slice(at, at + AT_ONCE).map((id) => ask(`/containers/${id}/json`));
      containers.push(...(await Promise.all(some)).filter(isRow).map(withoutEnv));
    }
    const { ApiVersion } = isRow(version) ? version : {};
    return {
      ...(typeof ApiVersion === 'string' ? { newest: ApiVersion } : {}),
      info: isRow(info) ? Object.fromEntries(Object.entries(info).filter(([name]) => FACTS.includes(name))) : {},
      containers,
      images: rows(images),
      networks: rows(networks),
      volumes: rows(isRow(volumes) ? volumes.Volumes : []),
    };
  } catch (error) {
    const fault = error instanceof GatewayError ? error.message : 'the engine gave no clear answer';
    return { containers: [], images: [], networks: [], volumes: [], info: {}, fault };
  }
}

/** Variables hold secrets, and no rule judges them. */
function withoutEnv(container: Row): Row {
  const { Config } = container;
  return isRow(Config) ? { ...container, Config: { ...Config, Env: [] } } : container;
}

const isRow = (value: unknown): value is Row => typeof value === 'object' && value !== null && !Array.isArray(value);
