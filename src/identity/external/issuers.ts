// The external issuers in force: which one a token is of, its verification and mapping, and how each issuer is doing.
// Made from the settings, made anew on a reload; importing this starts nothing.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { GatewayError } from '../../errors.ts';
import { CLOCK_TOLERANCE_S } from '../verify-token.ts';
import { createFetchJson, type FetchJson } from './fetch-json.ts';
import { createKeySet, type KeySet, type KeySetState } from './key-set.ts';
import { createKeySource } from './key-source.ts';
import { compileMapping, type Mapped, type Mapping } from './mapping.ts';
import { canonicalAlgorithm, type IssuerSetting } from './setting.ts';
import { checkExternalForm, claimedIssuer, type ExternalToken, verifyExternal } from './verify-external.ts';

/** Tokens whose first address is remembered, for one issuer. */
const MAX_SOURCES = 10_000;

/** How one issuer is doing, for `dockgate issuer list`. */
export interface IssuerState extends KeySetState {
  readonly name: string;
  readonly issuer: string;
  readonly preset: string | undefined;
  readonly audience: string;
  readonly rules: number;
}

/** A verified token and who it is. */
export interface ExternalCaller {
  readonly token: ExternalToken;
  readonly mapped: Mapped;
  /** The claims the mapping looked at, for the audit. */
  readonly used: Readonly<Record<string, unknown>>;
  readonly issuer: ExternalIssuer;
}

export interface ExternalIssuer {
  readonly setting: IssuerSetting;
  /** Refuses by form alone. @throws {GatewayError} */
  checkForm(token: string): void;
  /** @throws {GatewayError} its `audit` tells operators more than the message tells the caller */
  identify(token: string, at: number): Promise<ExternalCaller>;
  /**
   * Notes where a token is used from, and refuses another place where the settings want one.
   * @throws {GatewayError} `token-replayed`
   */
  checkSource(token: ExternalToken, source: string | undefined, at: number): void;
  state(): IssuerState;
}

/** Where each token was first used from. */
type Sources = Map<string, { readonly source: string; readonly until: number }>;

export interface ExternalIssuers {
  /** The issuer a token claims to be of; undefined when it is none of these. */
  of(token: string): ExternalIssuer | undefined;
  /** Whether the issuer that named a caller is still in force as it was. */
  has(issuer: ExternalIssuer): boolean;
  /** Whether the settings in force would still make the same of a caller's claims. */
  stillNames(caller: ExternalCaller): boolean;
  readonly size: number;
  /** Whether any of them is called so, signs so, or has tokens for this audience. */
  names(issuer: string): boolean;
  signsWith(algorithm: string): boolean;
  isMeantFor(audience: string): boolean;
  states(): readonly IssuerState[];
  /** A token of an issuer is accepted at most this long after it was issued, in ms; 0 for an unknown issuer. */
  longestLifeMs(name: string): number;
  /** What a successor takes over, so that a reload in the middle of an outage loses no keys. */
  heirloom(fingerprint: string): { readonly keys: KeySet; readonly sources: Sources } | undefined;
  /** Fetches every issuer's keys, each within its timeout; never rejects. Serving need not wait for it. */
  refresh(): Promise<void>;
}

export interface ExternalIssuersParts {
  readonly settings: readonly IssuerSetting[];
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number;
  readonly fetchJson?: FetchJson;
  /** The issuers in force until now: key sets of issuers that stay the same are kept. */
  readonly previous?: ExternalIssuers;
  /** Told of every failed fetch. */
  onError?(issuer: string, message: string): void;
}

interface OpenIssuer extends ExternalIssuer {
  readonly sources: Sources;
  readonly keys: KeySet;
  readonly mapping: Mapping;
}

/** @throws {GatewayError} `config-invalid` when a CA file cannot be read */
export function createExternalIssuers(parts: ExternalIssuersParts): ExternalIssuers {
  const now = parts.now ?? Date.now;
  const fetchJson = parts.fetchJson ?? createFetchJson();
  const issuers = new Map<string, OpenIssuer>();
  const kept = new Map<string, OpenIssuer>();
  for (const setting of parts.settings) {
    const ca = setting.ca === undefined ? {} : { ca: readCa(setting) };
    const { name, issuer, keys: source, jwksHosts, bearerFile, insecureHttp, algorithms } = setting;
    const fingerprint = JSON.stringify([name, issuer, source, jwksHosts, bearerFile, insecureHttp, algorithms, ca]);
    const { keys, sources } = parts.previous?.heirloom(fingerprint) ?? {
      sources: new Map(),
      keys: createKeySet({
        load: createKeySource({ setting, fetchJson, now, ...ca }),
        algorithms,
        now,
        onError: (message) => parts.onError?.(name, message),
      }),
    };
    const opened = openIssuer(setting, keys, compileMapping(setting), sources);
    issuers.set(issuer, opened);
    kept.set(fingerprint, opened);
  }
  return {
    of(token) {
      if (issuers.size === 0) return undefined;
      const iss = claimedIssuer(token);
      return iss === undefined ? undefined : issuers.get(iss);
    },
    has: (issuer) => issuers.get(issuer.setting.issuer) === issuer,
    stillNames({ issuer, token, mapped }) {
      const current = issuers.get(issuer.setting.issuer);
      if (current === undefined || current === issuer) return current !== undefined;
      return (
        current.setting.audience === issuer.setting.audience &&
        JSON.stringify(current.mapping.map(token.claims)) === JSON.stringify(mapped)
      );
    },
    size: issuers.size,
    names: (issuer) => issuers.has(issuer),
    signsWith: (algorithm) =>
      [...issuers.values()].some(({ setting }) =>
        setting.algorithms.some((one) => canonicalAlgorithm(one) === canonicalAlgorithm(algorithm)),
      ),
    isMeantFor: (audience) => [...issuers.values()].some(({ setting }) => setting.audience === audience),
    heirloom: (fingerprint) => kept.get(fingerprint),
    longestLifeMs(name) {
      const found = [...issuers.values()].find(({ setting }) => setting.name === name);
      return found === undefined ? 0 : found.setting.maxLifetimeMs + 2 * CLOCK_TOLERANCE_S * 1000;
    },
    states: () => [...issuers.values()].map((issuer) => issuer.state()),
    async refresh() {
      await Promise.all([...issuers.values()].map(({ keys }) => keys.refresh()));
    },
  };
}

function openIssuer(setting: IssuerSetting, keys: KeySet, mapping: Mapping, sources: Sources): OpenIssuer {
  /** The refusal as operators see it: whose token, and of a verified one what the mapping saw. */
  const audited = (error: unknown, more: Readonly<Record<string, unknown>> = {}) =>
    error instanceof GatewayError
      ? new GatewayError(error.code, error.message, { cause: error, audit: { issuer: setting.name, ...more } })
      : error;

  const issuer: OpenIssuer = {
    setting,
    keys,
    mapping,
    sources,
    checkForm(token) {
      try {
        checkExternalForm(token, setting);
      } catch (error) {
        throw audited(error);
      }
    },
    async identify(text, at) {
      let token: ExternalToken;
      try {
        token = await verifyExternal(text, setting, keys, at);
      } catch (error) {
        const { error: why } = keys.state();
        throw audited(error, why === undefined ? {} : { keys: why });
      }
      const used = mapping.used(token.claims);
      const mapped = mapping.map(token.claims);
      if (mapped.kind === 'none') {
        const message =
          mapped.code === 'identity-ambiguous'
            ? 'the token is good, but more than one rule of this gateway names its caller; the operator sees why in the audit'
            : 'the token is good, but no rule of this gateway says who its caller is; the operator sees why in the audit';
        throw audited(new GatewayError(mapped.code, message), { tokenId: token.id, claims: used, notes: mapped.notes });
      }
      return { token, mapped, used, issuer };
    },
    checkSource(token, source, at) {
      if (setting.replay !== 'one-source' || source === undefined) return;
      const first = sources.get(token.id);
      if (first === undefined) {
        if (sources.size >= MAX_SOURCES) forget(sources, at);
        sources.set(token.id, { source, until: token.expiresAt });
      } else if (first.source !== source) {
        throw audited(
          new GatewayError(
            'token-replayed',
            'the token was used from another address before; a job uses its token from one place, get a new one',
          ),
          { tokenId: token.id, firstSource: first.source },
        );
      }
    },
    state: () => ({
      name: setting.name,
      issuer: setting.issuer,
      preset: setting.preset,
      audience: setting.audience,
      rules: setting.rules.length,
      ...keys.state(),
    }),
  };
  return issuer;
}

/** Makes room: first what has expired, then the oldest half. */
function forget(sources: Sources, at: number): void {
  for (const [id, { until }] of sources) if (until < at) sources.delete(id);
  let excess = sources.size - MAX_SOURCES / 2;
  if (excess <= 0) return;
  for (const id of sources.keys()) {
    if (excess-- <= 0) return;
    sources.delete(id);
  }
}

function readCa({ ca, name }: IssuerSetting): string {
  try {
    return readFileSync(ca as string, 'utf8');
  } catch (cause) {
    throw new GatewayError('config-invalid', `issuer ${name}: ca ${basename(ca as string)} cannot be read`, { cause });
  }
}
