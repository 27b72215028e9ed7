// The `issuers` list: other issuers whose tokens are taken, ready settings for well-known ones, and the rules that say who
// a token is. What a preset must have pinned is judged here, so that a gateway never starts with a door open to a whole service.
import * as z from 'zod';
import { type MustPin, PRESET_NAMES, type Preset, type PresetName, presetOf } from '../identity/external/presets.ts';
import {
  type ClaimCondition,
  EXTERNAL_ALGORITHMS,
  type ExternalAlgorithm,
  type IssuerSetting,
  type KeySource,
  type MappingRule,
} from '../identity/external/setting.ts';
import { IDENTITY_NAME, IDENTITY_NAME_RULE, LABEL, LABEL_RULE } from '../identity/names.ts';
import { isHost, isLoopback } from './address.ts';
import type { Fault, Path } from './document.ts';
import { nearest } from './nearest.ts';
import { faultsOf, NEEDS_QUOTES, named, path, strict, text, wrong } from './schema.ts';

const MAX_ISSUERS = 32;
const MAX_RULES = 100;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const LONGEST_LIFE_MS = 24 * HOUR_MS * 7;

const oneOf = (words: readonly string[]) =>
  z.string({ error: NEEDS_QUOTES(`one of ${words.join(', ')}`) }).refine((word) => words.includes(word), {
    error: (issue) => {
      const meant = typeof issue.input === 'string' ? nearest(issue.input, words) : undefined;
      return `must be one of ${words.join(', ')}, not ${named(issue.input)}${meant ? `; did you mean ${meant}?` : ''}`;
    },
  });

const scalar = z
  .union([z.string(), z.boolean(), z.int()], {
    error: (issue) =>
      typeof issue.input === 'number'
        ? `is a number that cannot be kept exactly; write it in quotes, "${issue.input}"`
        : `must be a text, not ${named(issue.input)}`,
  })
  .transform(String)
  .refine((value) => value !== '' && value.length <= 512, { error: 'must be a text of 1 to 512 characters' });
const scalars = z.union([scalar.transform((value) => [value]), z.array(scalar).min(1).max(200)], {
  error: (issue) => `must be a text or a list of texts, not ${named(issue.input)}`,
});

/** A claim's condition as it is written. */
const condition = z.union(
  [
    scalars.transform((values) => ({ kind: 'equals' as const, values })),
    strict({ glob: scalars }).transform(({ glob }) => ({ kind: 'glob' as const, values: glob })),
    strict({ contains: scalars }).transform(({ contains }) => ({ kind: 'contains' as const, values: contains })),
  ],
  {
    error: (issue) =>
      `must be a value, a list of values, { glob: "refs/tags/*" } or { contains: name }, not ${named(issue.input)}`,
  },
);

const claimName = z.string().regex(/^(\/?[\x21-\x7e]{1,255})$/, {
  error: 'must be the name of a claim, or a JSON pointer such as /realm_access/roles',
});
const conditions = z.record(claimName, condition, {
  error: wrong('a map of claims and their values'),
});

const kebab = (what: string) =>
  text(what).regex(/^[a-z0-9]([a-z0-9-]{0,31})$/, {
    error: 'must be in kebab-case, letters a-z, digits and hyphens, at most 32',
  });
const names = (what: string) =>
  z.array(text(what).max(128), { error: wrong(`a list of ${what}s`) }).max(100, { error: 'must be at most 100' });

/** Names that stand in policies as they are. */
const labels = (what: string) =>
  z
    .array(text(what).regex(LABEL, { error: (issue) => `${named(issue.input)} is none; ${LABEL_RULE}` }), {
      error: wrong(`a list of ${what}s`),
    })
    .max(100, { error: 'must be at most 100' });

/** Text with places: `github:${repository}`. */
const template = text(`a text with \${claims}`)
  .max(256)
  .refine((value) => !/\$\{[^{}]*\}\$\{/.test(value), {
    error: 'two claims stand side by side; put a character between them, so that two callers never get one name',
  })
  .refine((value) => !value.replaceAll(/\$\{[^{}]+\}/g, '').includes('$'), {
    error: `holds a $ that begins no \${claim}`,
  });

const rule = strict({
  name: kebab('a name for the rule').optional(),
  when: z.union([z.literal('any'), conditions], {
    error: (issue) =>
      issue.input === undefined
        ? 'is missing; must be a map of claims and their values, or any for every token of the issuer'
        : 'must be a map of claims and their values, or any for every token of the issuer',
  }),
  identity: z
    .string({ error: NEEDS_QUOTES('the name of an identity') })
    .regex(IDENTITY_NAME, { error: (issue) => `${named(issue.input)} is no identity name: ${IDENTITY_NAME_RULE}` })
    .optional(),
  subject: template.optional(),
  tenant: template.optional(),
  owner: template.optional(),
  groups: labels('group').optional(),
  groupsFrom: strict({
    claim: claimName,
    only: names('group').min(1),
    prefix: text('a prefix').max(32).optional(),
  }).optional(),
  policies: labels('policy name').optional(),
});

const duration = z
  .string({ error: NEEDS_QUOTES('a duration such as "1h"') })
  .regex(/^[1-9][0-9]{0,4}[smh]$/, {
    error: (issue) => `must be a duration such as 10m or 1h, not ${named(issue.input)}`,
  })
  .transform((value) => Number(value.slice(0, -1)) * { s: 1000, m: MINUTE_MS, h: HOUR_MS }[value.slice(-1) as 's'])
  .refine((ms) => ms >= MINUTE_MS && ms <= LONGEST_LIFE_MS, { error: 'must be from 1m to 168h' });

const entry = strict({
  name: kebab('a short name for the issuer'),
  preset: oneOf(PRESET_NAMES).optional(),
  issuer: text('the issuer, https://...').max(512).optional(),
  tid: text("the directory's id")
    .regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, {
      error: 'must be the id of the directory, a UUID in lower case',
    })
    .optional(),
  audience: text('the audience tokens must name').max(512),
  algorithms: z
    .array(oneOf(EXTERNAL_ALGORITHMS), { error: wrong('a list of algorithms, [RS256]') })
    .min(1, { error: 'must name an algorithm' })
    .optional(),
  jwks: text('the https address or the file of the keys').max(2048).optional(),
  jwksHosts: z
    .array(text('a host name').refine((host) => isHost(host.replace(/:\d+$/, '')), { error: 'must be a host name' }))
    .optional(),
  ca: path.optional(),
  tokenFile: path.optional(),
  insecureHttp: z.boolean({ error: wrong('true or false') }).optional(),
  maxLifetime: duration.optional(),
  replay: oneOf(['any', 'one-source']).optional(),
  require: conditions.optional(),
  rules: z
    .array(rule, { error: wrong('a list of rules, each with when and who that is') })
    .min(1, { error: 'must hold a rule: without one every token is refused' })
    .max(MAX_RULES, { error: `must be at most ${MAX_RULES} rules` }),
});
/** One entry of `issuers`, for the published schema. */
export const issuerEntry = entry;
type Entry = z.infer<typeof entry>;

interface Context {
  /** `iss` of our own tokens. */
  readonly ownIssuer: string;
  readonly existing: (file: string, at: Path) => string;
}

/** Reads the list; faults of every entry are added to `faults`. */
export function readIssuers(value: unknown, context: Context, faults: Fault[]): readonly IssuerSetting[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.length > MAX_ISSUERS) {
    faults.push({
      path: ['issuers'],
      message: `must be a list of at most ${MAX_ISSUERS} issuers, not ${named(value)}`,
    });
    return [];
  }
  const settings: IssuerSetting[] = [];
  const seen = { name: new Map<string, number>(), issuer: new Map<string, number>() };
  for (const [index, written] of value.entries()) {
    const at: Path = ['issuers', index];
    const result = entry.safeParse(written);
    if (!result.success) {
      faults.push(...faultsOf(result.error, at));
      continue;
    }
    const setting = readIssuer(result.data, at, context, faults);
    for (const key of ['name', 'issuer'] as const) {
      const word = setting[key];
      const earlier = seen[key].get(word);
      if (earlier === undefined) seen[key].set(word, index);
      else if (word !== '') {
        faults.push({
          path: [...at, key],
          message: `${word} stands in issuers[${earlier}] already; give each its own`,
        });
      }
    }
    settings.push(setting);
  }
  return settings;
}

function readIssuer(data: Entry, at: Path, context: Context, faults: Fault[]): IssuerSetting {
  const preset = presetOf(data.preset as PresetName | undefined);
  const insecureHttp = data.insecureHttp ?? false;
  const issuer = issuerOf(data, preset, at, faults);
  if (issuer !== '') {
    const fault =
      issuer === context.ownIssuer ? 'is the issuer of this gateway itself' : faultOfUrl(issuer, insecureHttp);
    if (fault !== undefined) faults.push({ path: [...at, 'issuer'], message: fault });
  }
  const keys = keysOf(data, preset, at, context, insecureHttp, faults);
  const require = [...preset.require, ...conditionsOf(data.require)];
  const tidCondition: ClaimCondition[] =
    data.tid === undefined ? [] : [{ claim: 'tid', kind: 'equals', values: [data.tid] }];
  refuseUnsteady(data.require, preset, [...at, 'require'], faults);
  const rules = data.rules.map((written, index) =>
    readRule(written, index, data, preset, [...at, 'rules', index], faults),
  );
  const doubled = rules.findIndex((one, index) => rules.findIndex((other) => other.name === one.name) !== index);
  if (doubled >= 0) {
    faults.push({
      path: [...at, 'rules', doubled, 'name'],
      message: `there is already a rule ${rules[doubled]?.name}; give this one another name`,
    });
  }
  return {
    name: data.name,
    ...(data.preset === undefined ? {} : { preset: data.preset }),
    issuer,
    audience: data.audience,
    algorithms: (data.algorithms as ExternalAlgorithm[] | undefined) ?? preset.algorithms,
    ...(preset.typ === undefined ? {} : { typ: preset.typ }),
    keys,
    jwksHosts: [...preset.jwksHosts, ...(data.jwksHosts ?? [])],
    ...(data.ca === undefined ? {} : { ca: context.existing(data.ca, [...at, 'ca']) }),
    ...(data.tokenFile === undefined ? {} : { bearerFile: context.existing(data.tokenFile, [...at, 'tokenFile']) }),
    insecureHttp,
    maxLifetimeMs: data.maxLifetime ?? preset.maxLifetimeMs,
    replay: (data.replay as 'any' | 'one-source' | undefined) ?? preset.replay,
    require: [...tidCondition, ...require],
    rules,
  };
}

function issuerOf(data: Entry, preset: Preset, at: Path, faults: Fault[]): string {
  const template = preset.issuer;
  if (data.tid !== undefined && data.preset !== 'entra') {
    faults.push({ path: [...at, 'tid'], key: true, message: 'belongs to preset: entra' });
  }
  if (data.preset === 'entra' && data.tid === undefined) {
    faults.push({
      path: at,
      message: 'preset entra needs tid, the id of your directory; others have tokens of Entra as well',
    });
    return '';
  }
  if (data.issuer !== undefined) {
    if (data.preset === 'entra' && !data.issuer.includes(data.tid as string)) {
      faults.push({ path: [...at, 'issuer'], message: 'must be the issuer of the directory tid names' });
    }
    return data.issuer;
  }
  if (template === undefined) {
    faults.push({ path: at, message: 'needs issuer, the iss of its tokens, character by character' });
    return '';
  }
  return template.replace('{tid}', data.tid ?? '');
}

/** @param query whether the address may carry one: some services tell their key sets apart by it, issuers never */
const faultOfUrl = (address: string, insecureHttp: boolean, query = false): string | undefined => {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined) return `must be an https address, not ${named(address)}`;
  if (url.username !== '' || url.password !== '' || (url.search !== '' && !query) || url.hash !== '') {
    return query ? 'must be an address without user or fragment' : 'must be an address without user, query or fragment';
  }
  if (url.protocol === 'https:') return undefined;
  if (url.protocol !== 'http:') return `must be an https address, not ${named(address)}`;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (!isLoopback(host)) return 'must be an https address: over plain http a host on the way could put its own keys in';
  return insecureHttp ? undefined : 'is plain http; on loopback, for tests, add insecureHttp: true';
};

function keysOf(
  data: Entry,
  preset: Preset,
  at: Path,
  context: Context,
  insecureHttp: boolean,
  faults: Fault[],
): KeySource {
  if (data.jwks === undefined) return preset.keys;
  if (!data.jwks.includes('://')) return { kind: 'file', path: context.existing(data.jwks, [...at, 'jwks']) };
  const fault = faultOfUrl(data.jwks, insecureHttp, true);
  if (fault !== undefined) faults.push({ path: [...at, 'jwks'], message: fault });
  return { kind: 'url', url: data.jwks };
}

const conditionsOf = (written: Record<string, { kind: ClaimCondition['kind']; values: string[] }> | undefined) =>
  Object.entries(written ?? {}).map(([claim, { kind, values }]): ClaimCondition => ({ claim, kind, values }));

function readRule(
  written: Entry['rules'][number],
  index: number,
  data: Entry,
  preset: Preset,
  at: Path,
  faults: Fault[],
): MappingRule {
  const when = written.when === 'any' ? [] : conditionsOf(written.when);
  if (written.when !== 'any' && when.length === 0) {
    faults.push({ path: [...at, 'when'], message: 'holds no claim; write any for every token of the issuer' });
  }
  for (const { claim, kind, values } of when) {
    if (kind === 'glob' && values.some((value) => /^\*+$/.test(value))) {
      faults.push({ path: [...at, 'when', claim], message: 'a glob of * alone pins nothing; leave the claim out' });
    }
  }
  if (written.when !== 'any') refuseUnsteady(written.when, preset, [...at, 'when'], faults);
  const pinned = [...conditionsOf(data.require), ...when];
  for (const must of preset.mustPin) {
    if (!pinned.some((one) => pins(one, must))) {
      faults.push({
        path: when.length === 0 ? at : [...at, 'when'],
        key: true,
        message: `must pin ${must.anyOf.join(', ').replace(/, ([^,]*)$/, ' or $1')}: ${must.why}`,
      });
    }
  }
  if (written.identity !== undefined) {
    for (const key of ['subject', 'tenant', 'owner', 'groups', 'groupsFrom', 'policies'] as const) {
      if (written[key] !== undefined) {
        faults.push({
          path: [...at, key],
          key: true,
          message: 'belongs to a rule without identity: an identity has its own',
        });
      }
    }
  }
  const subject = written.subject ?? (preset.subject === '' ? `${data.name}:\${sub}` : preset.subject);
  for (const [key, text] of [
    ['subject', subject],
    ['tenant', written.tenant],
    ['owner', written.owner],
  ] as const) {
    const unsteady = preset.never.find((claim) => text?.includes(`\${${claim}}`));
    if (unsteady !== undefined) faults.push({ path: [...at, key], message: unsteadyMessage(unsteady) });
  }
  const { identity, tenant, owner, groupsFrom } = written;
  return {
    name: written.name ?? `rule-${index + 1}`,
    when,
    ...(identity === undefined ? { subject } : { identity }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(owner === undefined ? {} : { owner }),
    groups: written.groups ?? [],
    ...(groupsFrom === undefined
      ? {}
      : { groupsFrom: { claim: groupsFrom.claim, only: groupsFrom.only, prefix: groupsFrom.prefix ?? '' } }),
    policies: written.policies ?? [],
  };
}

const pins = (one: ClaimCondition, must: MustPin): boolean =>
  must.anyOf.includes(one.claim) && (one.kind !== 'glob' || must.globs === true);

const unsteadyMessage = (claim: string) =>
  `${claim} can be changed by its bearer or pass to another account; use an id that cannot`;

function refuseUnsteady(written: object | undefined, preset: Preset, at: Path, faults: Fault[]): void {
  for (const claim of Object.keys(written ?? {})) {
    if (preset.never.includes(claim)) faults.push({ path: [...at, claim], key: true, message: unsteadyMessage(claim) });
  }
}
