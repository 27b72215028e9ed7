// Ready settings for well-known issuers: what is fixed for each, and which claims a rule must pin so that it does not let
// in every customer of the same service. Claims as the vendors document them.
import type { ClaimCondition, ExternalAlgorithm, KeySource } from './setting.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** One claim of several must stand in `when`, with fixed values. */
export interface MustPin {
  readonly anyOf: readonly string[];
  /** `to` of the sentence "rules must pin one of ..., to ...". */
  readonly why: string;
  /** Globs will do as well. */
  readonly globs?: boolean;
}

export interface Preset {
  /** The issuer, when there is only one. A template: `{tid}` is the directory of Entra. */
  readonly issuer?: string;
  /** The issuer may be another one, of a server of one's own. */
  readonly ownIssuer: boolean;
  readonly keys: KeySource;
  readonly jwksHosts: readonly string[];
  readonly algorithms: readonly ExternalAlgorithm[];
  readonly typ?: string;
  readonly maxLifetimeMs: number;
  readonly replay: 'any' | 'one-source';
  readonly require: readonly ClaimCondition[];
  readonly mustPin: readonly MustPin[];
  /** Claims that their holder may change, or that pass to others: never to be relied on. */
  readonly never: readonly string[];
  /** Subject of rules that name none. */
  readonly subject: string;
}

const PLAIN: Pick<Preset, 'keys' | 'jwksHosts' | 'algorithms' | 'replay' | 'require' | 'mustPin' | 'never'> = {
  keys: { kind: 'discovery' },
  jwksHosts: [],
  algorithms: ['RS256'],
  replay: 'any',
  require: [],
  mustPin: [],
  never: [],
};

export const PRESETS = {
  /** https://docs.github.com/en/actions/reference/security/oidc */
  'github-actions': {
    ...PLAIN,
    issuer: 'https://token.actions.githubusercontent.com',
    ownIssuer: true,
    typ: 'jwt',
    maxLifetimeMs: HOUR_MS,
    replay: 'one-source',
    mustPin: [
      {
        anyOf: ['repository_id', 'repository_owner_id', 'enterprise_id'],
        why: 'every repository on GitHub gets tokens of this issuer, and names pass to others',
      },
      {
        anyOf: ['ref', 'environment', 'job_workflow_ref', 'workflow_ref', 'ref_protected'],
        why: 'else every branch of the repository may speak for it',
        globs: true,
      },
    ],
    never: ['actor', 'head_ref', 'base_ref'],
    subject: `\${sub}`,
  },
  /** https://docs.gitlab.com/ci/secrets/id_token_authentication/ */
  gitlab: {
    ...PLAIN,
    issuer: 'https://gitlab.com',
    ownIssuer: true,
    typ: 'jwt',
    // A token lives as long as its job may, and jobs may be long.
    maxLifetimeMs: 24 * HOUR_MS,
    mustPin: [
      {
        anyOf: ['project_id', 'namespace_id'],
        why: 'every project of the server gets tokens of this issuer, and paths pass to others',
      },
      {
        anyOf: ['ref_protected', 'environment_protected', 'environment', 'ref', 'ref_path'],
        why: 'else every branch of the project may speak for it',
        globs: true,
      },
    ],
    never: ['user_email', 'user_login'],
    subject: `\${sub}`,
  },
  /** https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/ */
  kubernetes: {
    ...PLAIN,
    ownIssuer: true,
    maxLifetimeMs: 24 * HOUR_MS,
    mustPin: [
      {
        anyOf: ['sub', '/kubernetes.io/namespace', '/kubernetes.io/serviceaccount/uid'],
        why: 'every pod of the cluster can get tokens of this issuer',
        globs: true,
      },
    ],
    subject: `\${sub}`,
  },
  /** https://www.keycloak.org/docs/latest/server_admin/ */
  keycloak: {
    ...PLAIN,
    ownIssuer: true,
    typ: 'jwt',
    maxLifetimeMs: HOUR_MS,
    // An access token; id and logout tokens of the same realm say otherwise.
    require: [{ claim: 'typ', kind: 'equals', values: ['Bearer'] }],
    never: ['email', 'preferred_username'],
    subject: `keycloak:\${sub}`,
  },
  /** https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference */
  entra: {
    ...PLAIN,
    issuer: 'https://login.microsoftonline.com/{tid}/v2.0',
    ownIssuer: true,
    // Tokens of the older form (iss https://sts.windows.net/{tid}/) have their keys there as well.
    jwksHosts: ['login.microsoftonline.com', 'login.windows.net'],
    typ: 'jwt',
    // Managed identities get tokens of a day and a few minutes.
    maxLifetimeMs: 25 * HOUR_MS,
    mustPin: [
      {
        anyOf: ['oid', 'azp', 'appid', 'roles', 'groups'],
        why: 'every account of the directory can get tokens',
      },
    ],
    never: ['email', 'upn', 'preferred_username', 'unique_name', 'name'],
    subject: `entra:\${oid}`,
  },
} as const satisfies Record<string, Preset>;

export type PresetName = keyof typeof PRESETS;
export const PRESET_NAMES = Object.keys(PRESETS) as readonly PresetName[];

/** What holds for an issuer without a preset. */
export const GENERIC: Preset = { ...PLAIN, ownIssuer: true, maxLifetimeMs: HOUR_MS, subject: '' };

export const presetOf = (name: PresetName | undefined): Preset => (name === undefined ? GENERIC : PRESETS[name]);
