// The structure of the settings file, section by section, and the words its faults are told in.
// What needs the file's place on disk or two sections at once is judged in config.ts.

import { isIP } from 'node:net';
import * as z from 'zod';
import { canonicalImageReference } from '../engine/image-reference.ts';
import { IDENTITY_NAME, IDENTITY_NAME_RULE } from '../identity/names.ts';
import { isHost } from './address.ts';
import type { Fault, Path } from './document.ts';
import { nearest } from './nearest.ts';

/** `the number 5`, `the list`, `"x"`: a value in a sentence. */
export const named = (value: unknown): string => {
  if (value === undefined) return 'nothing';
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value);
  return `the ${typeof value} ${String(value)}`;
};

export const wrong = (what: string) => (issue: { input?: unknown }) =>
  issue.input === undefined ? `is missing; must be ${what}` : `must be ${what}, not ${named(issue.input)}`;

export const NEEDS_QUOTES = (what: string) => (issue: { input?: unknown }) =>
  typeof issue.input === 'number' || typeof issue.input === 'boolean'
    ? `must be ${what} in quotes, "${String(issue.input)}"`
    : wrong(what)(issue);

export const text = (what: string) =>
  z.string({ error: NEEDS_QUOTES(what) }).min(1, { error: `must be ${what}, not an empty text` });

/** File and socket paths: no NUL, nothing empty. */
export const path = text('a path').refine((value) => !value.includes('\0'), { error: 'a path holds no NUL' });

/** An object without other keys. The known keys travel in the message, where `faultsOf` finds them. */
export const strict = <S extends z.ZodRawShape>(shape: S, what = `a map with ${Object.keys(shape).join(', ')}`) =>
  z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(shape).join(' ') : wrong(what)(issue)),
  });

const tls = strict({ cert: path, key: path });

export const engineSection = text("the engine's address, unix:///var/run/docker.sock");

export const engineTlsSection = strict({
  ca: path.optional(),
  cert: path.optional(),
  key: path.optional(),
  servername: text('a host name').refine(isHost, { error: 'must be a host name' }).optional(),
}).refine((value) => (value.cert === undefined) === (value.key === undefined), {
  error: 'cert and key belong together; give both or neither',
});

export const engineInsecureSection = z.boolean({ error: wrong('true or false') });

export const dataSection = path;
export const tlsSection = tls;

/** Listeners in their long form; exactly one of the three address keys is present. */
export const httpsEntry = strict({ https: text('host:port'), tls: tls.optional() });
export const httpEntry = strict({ http: text('host:port') });
export const GROUP_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;
export const unixEntry = strict({
  unix: path,
  mode: z
    .string({
      error: (issue) =>
        typeof issue.input === 'number'
          ? `must be an octal mode in quotes, "0660" (YAML reads ${issue.input} without quotes as a decimal number)`
          : wrong('an octal mode in quotes, "0660"')(issue),
    })
    .regex(/^0?[0-7]{3}$/, { error: (issue) => `must be an octal mode such as "0660", not ${named(issue.input)}` })
    .optional(),
  group: z
    .string({ error: NEEDS_QUOTES('the name of a group') })
    .regex(GROUP_NAME, { error: (issue) => `${named(issue.input)} is no group name` })
    .optional(),
  identity: z
    .string({ error: NEEDS_QUOTES('the name of an identity') })
    .regex(IDENTITY_NAME, { error: (issue) => `${named(issue.input)} is no identity name: ${IDENTITY_NAME_RULE}` })
    .optional(),
});

const certificateName = (what: string) => text(what).max(256, { error: 'must be at most 256 characters' });
export const clientCasSection = z
  .array(
    strict({
      ca: path,
      crl: path.optional(),
      map: z
        .array(
          strict({
            spiffe: certificateName('a SPIFFE id').optional(),
            dns: certificateName('a DNS name').optional(),
            email: certificateName('an e-mail address').optional(),
            cn: certificateName('a common name').optional(),
            identity: text('the name of an identity'),
          }),
          { error: wrong('a list such as - { dns: "*.ci.example", identity: ci }') },
        )
        .min(1, { error: 'must map something, or every certificate of this CA is refused' })
        .max(1000, { error: 'must be at most 1000 entries' }),
    }),
    { error: wrong('a list of { ca, map }') },
  )
  .max(16, { error: 'must be at most 16 CAs' });

export const pluginsSection = z.array(
  strict({
    use: path,
    name: text('a plugin name')
      .regex(/^[a-z0-9]([a-z0-9-]{0,62})$/, {
        error: 'must be in kebab-case, letters a-z, digits and hyphens, at most 63',
      })
      .optional(),
    tier: z.enum(['sandboxed', 'process', 'trusted'], { error: wrong('sandboxed, process or trusted') }).optional(),
    sha256: text('a SHA-256 in hexadecimal')
      .regex(/^[0-9a-fA-F]{64}$/, { error: 'must be a SHA-256, 64 hexadecimal digits' })
      .optional(),
    needs: z
      .array(
        text('a grant').regex(/^(bodies|responses|streams|sockets|(env|net|engine|read|write|run):\S+)$/, {
          error:
            'must be bodies, responses, streams, sockets, env:NAME, net:HOST, engine:ACTION, read:PATH, write:PATH or run:COMMAND',
        }),
        { error: wrong('a list of grants such as [bodies, net:registry.example]') },
      )
      .optional(),
    timeoutMs: z
      .int({ error: wrong('a whole number of milliseconds') })
      .min(250, { error: 'must be at least 250' })
      .max(10_000, { error: 'must be at most 10000' })
      .optional(),
    config: z.unknown().optional(),
  }),
  { error: wrong('a list of { use, name, tier, sha256, needs, timeoutMs, config }') },
);

const isImagePattern = (value: string): boolean => {
  try {
    if (!value.includes('*')) canonicalImageReference(value);
    return value.length <= 300;
  } catch {
    return false;
  }
};

/** Bounds of each limit: default, least, most, unit. */
export const LIMITS = {
  headBytes: [32 * 1024, 1024, 1024 * 1024, 'bytes'],
  bodyBytes: [8 * 1024 * 1024, 16 * 1024, 64 * 1024 * 1024, 'bytes'],
  headTimeoutMs: [10_000, 100, 600_000, 'milliseconds'],
  bodyTimeoutMs: [60_000, 100, 3_600_000, 'milliseconds'],
  idleTimeoutMs: [75_000, 100, 3_600_000, 'milliseconds'],
  drainTimeoutMs: [5_000, 0, 3_600_000, 'milliseconds'],
  connections: [4096, 1, 100_000, 'connections'],
  calls: [4096, 4, 100_000, 'calls'],
  engineConnections: [256, 4, 100_000, 'connections'],
  engineStreams: [4096, 4, 100_000, 'streams'],
  engineQueueMs: [10_000, 1, 600_000, 'milliseconds'],
  sharePercent: [25, 1, 100, 'percent'],
  labelBytes: [64 * 1024, 0, 16 * 1024 * 1024, 'bytes'],
  loadBytes: [1024 ** 3, 0, 8 * 1024 ** 3 - 1, 'bytes'],
  strangerRows: [60, 1, 1_000_000, 'rows'],
  auditQueue: [10_000, 1, 1_000_000, 'rows'],
} as const;

const UNITS: Record<string, number> = {
  k: 1000,
  m: 1e6,
  g: 1e9,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  kb: 1000,
  mb: 1e6,
  gb: 1e9,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
};

/** `4MiB` written where a number of bytes belongs: the number to write instead. */
const inPlainNumbers = (value: unknown, unit: string): string => {
  const match = typeof value === 'string' ? /^([0-9]+) ?([a-z]*)$/i.exec(value) : null;
  const suffix = (match?.[2] ?? '').toLowerCase();
  const factor = suffix === '' ? 1 : suffix === 'm' && unit === 'milliseconds' ? 60_000 : UNITS[suffix];
  return match && factor ? `; write ${Number(match[1]) * factor}` : '';
};

export const bounded = (least: number, most: number, unit: string) => {
  const error = (issue: { input?: unknown }) =>
    `must be a whole number of ${unit} from ${least} to ${most}, not ${named(issue.input)}${inPlainNumbers(issue.input, unit)}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
};

type LimitName = keyof typeof LIMITS;
const limitShape = Object.fromEntries(
  Object.entries(LIMITS).map(([name, [fallback, least, most, unit]]) => [
    name,
    bounded(least, most, unit).default(fallback),
  ]),
) as Record<LimitName, z.ZodDefault<ReturnType<typeof bounded>>>;
const connections = bounded(1, 100_000, 'connections').optional();
export const limitsSection = strict(
  { ...limitShape, connectionsPerIp: connections, connectionsUnproven: connections },
  'a map of limits',
).transform((given) => {
  // Left out, they follow from `connections`: a quarter of it for an address, and a quarter of that without credentials.
  const connectionsPerIp = given.connectionsPerIp ?? Math.ceil(given.connections / 4);
  const connectionsUnproven = given.connectionsUnproven ?? Math.ceil(connectionsPerIp / 4);
  return { ...given, connectionsPerIp, connectionsUnproven };
});

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export const logSection = strict({
  level: z
    .enum(LOG_LEVELS, {
      error: (issue) => {
        const meant = typeof issue.input === 'string' ? nearest(issue.input, LOG_LEVELS) : undefined;
        return `must be one of ${LOG_LEVELS.join(', ')}, not ${named(issue.input)}${meant ? `; did you mean ${meant}?` : ''}`;
      },
    })
    .default('info'),
});

const claim = (what: string) =>
  text(what)
    .max(255, { error: 'must be at most 255 characters' })
    .regex(/^[\x21-\x7e]*$/, { error: 'must be printable ASCII without spaces' });
export const issuerSection = claim('the name tokens are issued under');
export const audienceSection = claim('the name tokens must be meant for');

export const keySealSection = strict({ file: path });

export const hostNamesSection = z
  .array(
    z
      .string({ error: NEEDS_QUOTES('a host name or IP address') })
      .refine((value) => isIP(value) !== 0 || isHost(value.replace(/^\*\./, '')), {
        error: (issue) => `${named(issue.input)} is neither a host name nor an IP address`,
      }),
    { error: wrong('a list of host names') },
  )
  .max(100, { error: 'must be at most 100 names' });

const apiVersion = z
  .string({
    error: (issue) =>
      typeof issue.input === 'number'
        ? `must be a version in quotes, "1.40" (YAML reads 1.40 without quotes as the number 1.4)`
        : wrong('a version such as "1.40"')(issue),
  })
  .regex(/^1\.[1-9][0-9]$/, { error: (issue) => `must be a version such as "1.40", not ${named(issue.input)}` });
export const apiVersionsSection = strict({ min: apiVersion.default('1.24'), max: apiVersion.optional() }).refine(
  (value) => value.max === undefined || Number(value.max.slice(2)) >= Number(value.min.slice(2)),
  { path: ['max'], error: 'must not be below min' },
);

const imagePattern = text('an image reference').refine(isImagePattern, {
  error: (issue) => `${named(issue.input)} is not an image reference; in a pattern * stands for anything`,
});
/** In `tenants.names`: the tenant that gives the name. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: people write it so
const TENANT_PLACEHOLDER = '${tenant}';
export const tenantsSection = strict({
  sharedImages: z.array(imagePattern, { error: wrong('a list of image references') }).default(['*']),
  names: z
    .array(
      text('an image reference').refine((value) => isImagePattern(value.replaceAll(TENANT_PLACEHOLDER, 'tenant')), {
        error: (issue) =>
          `${named(issue.input)} is not an image reference; in a pattern * stands for anything, and \${tenant} for the tenant`,
      }),
      { error: wrong('a list of image references') },
    )
    .optional(),
  refreshShared: z.boolean({ error: wrong('true or false') }).default(false),
  distrust: z.boolean({ error: wrong('true or false') }).default(false),
});

/** Sockets in containers. */
export const ownSocketsSection = strict({ folder: path });

export const metricsSection = strict({ listen: z.unknown().optional() });

/** Keys of the file, in the order they are documented. */
export const KEYS = [
  'engine',
  'engineTls',
  'engineInsecure',
  'data',
  'listen',
  'tls',
  'clientCas',
  'plugins',
  'ownSockets',
  'limits',
  'log',
  'audit',
  'keySeal',
  'issuer',
  'audience',
  'issuers',
  'hostNames',
  'apiVersions',
  'tenants',
  'metrics',
] as const;

/** One fault for an unknown key, with the one that was probably meant. */
export const unknownKey = (at: Path, key: string, known: readonly string[]): Fault => {
  const meant = nearest(key, known);
  return {
    path: [...at, key],
    key: true,
    message: `unknown key${meant ? `; did you mean ${meant}?` : `; known here: ${known.join(', ')}`}`,
  };
};

/** The faults of one section as ours: unknown keys one by one, everything else in the words given above. */
export const faultsOf = (error: z.ZodError, at: Path): Fault[] =>
  error.issues.flatMap((issue): Fault[] => {
    const where = [...at, ...issue.path.filter((step) => typeof step !== 'symbol')];
    if (issue.code === 'unrecognized_keys') {
      const known = issue.message.split(' ');
      return issue.keys.map((key) => unknownKey(where, key, known));
    }
    return [{ path: where, message: issue.message }];
  });
