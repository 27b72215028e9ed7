// The `audit` section: how durable rows of reads are, and where the audit is shipped to. Each sink is named by its kind, `{ webhook: https://... }`, as listeners are.
import { join } from 'node:path';
import * as z from 'zod';
import type { AuditHold, RetentionSetting } from '../audit/retention.ts';
import { SINK_FORMATS, type SinkSetting, type SinkTls } from '../audit/sinks/setting.ts';
import { isHost, isLoopback, parseHostPort } from './address.ts';
import { bytesOf, spanMsOf } from './amounts.ts';
import type { Fault, Path } from './document.ts';
import { nearest } from './nearest.ts';
import { bounded, faultsOf, NEEDS_QUOTES, named, path, strict, text, wrong } from './schema.ts';
import type { AuditOutside } from './types.ts';

const KINDS = ['file', 'webhook', 'syslog', 'otlp'] as const;
type Kind = (typeof KINDS)[number];

const FORMS =
  '{ name: disk, file: ./audit.ndjson }, { name: soc, webhook: https://soc.example/audit }, { name: siem, syslog: tls://siem.example:6514 } or { name: otel, otlp: https://otel.example/v1/logs }';
const MAX_SINKS = 16;
const SINK_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
const HEADER_NAME = /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/;
/** Set by the sink itself, or part of the connection. */
const OWN_HEADERS = new Set([
  ...[
    'host',
    'connection',
    'content-length',
    'content-type',
    'content-encoding',
    'transfer-encoding',
    'upgrade',
    'expect',
  ],
  ...['te', 'trailer', 'user-agent', 'webhook-id', 'webhook-timestamp', 'webhook-signature'],
]);

const size = (least: number, most: string) =>
  z
    .string({ error: wrong('a size such as 100MiB') })
    .refine((value) => bytesOf(value) !== undefined, {
      error: (issue) => `must be a whole number and KiB, MiB, GiB or TiB, such as 100MiB, not ${named(issue.input)}`,
    })
    .refine((value) => (bytesOf(value) ?? least) >= least && (bytesOf(value) ?? 0) <= (bytesOf(most) ?? 0), {
      error: (issue) => `must be from ${least} bytes to ${most}, not ${named(issue.input)}`,
    });

const common = {
  name: z
    .string({ error: NEEDS_QUOTES('a name for the sink') })
    .regex(SINK_NAME, { error: 'must be in kebab-case, letters a-z, digits and hyphens, at most 63' }),
  format: z.enum(SINK_FORMATS, { error: wrong(`one of ${SINK_FORMATS.join(', ')}`) }).default('native'),
  from: z.enum(['oldest', 'now'], { error: wrong('oldest or now') }).default('oldest'),
  batchRows: bounded(1, 2000, 'rows').default(500),
  timeoutMs: bounded(100, 600_000, 'milliseconds').default(15_000),
};
const client = {
  ca: path.optional(),
  cert: path.optional(),
  key: path.optional(),
  servername: text('a host name').refine(isHost, { error: 'must be a host name' }).optional(),
};
const insecure = z.boolean({ error: wrong('true or false') }).optional();
const http = {
  insecure,
  bearer: path.optional(),
  headers: z
    .record(
      z.string().regex(HEADER_NAME, { error: 'a header name has letters, digits and hyphens' }),
      text('the file that holds the value; values are secrets and do not stand in the settings'),
      { error: wrong('a map of header names and files with their values') },
    )
    .optional(),
  ...client,
};

/** Longest message rsyslog takes unless it is told otherwise. */
const SYSLOG_MESSAGE = '8KiB';

const ENTRIES = {
  file: strict({
    ...common,
    file: path,
    rotate: strict({
      size: size(64 * 1024, '1TiB').default('100MiB'),
      keep: bounded(0, 10_000, 'files').default(10),
    }).optional(),
  }),
  webhook: strict({
    ...common,
    webhook: text('an https:// address'),
    ...http,
    hmac: path.optional(),
    encoding: z.enum(['ndjson', 'json'], { error: wrong('ndjson or json') }).default('ndjson'),
  }),
  syslog: strict({
    ...common,
    syslog: text('an address, tls://host:6514 or tcp://host:601'),
    insecure,
    ...client,
    facility: bounded(0, 23, 'facility numbers').default(13),
    confirm: z.enum(['close', 'none'], { error: wrong('close or none') }).default('close'),
    maxMessage: size(2048, '16MiB').default(SYSLOG_MESSAGE),
  }),
  otlp: strict({ ...common, otlp: text('an address such as https://otel.example/v1/logs'), ...http }),
} as const satisfies Record<Kind, z.ZodType>;

/** When a call that only reads may go on: with its row `written` (a power cut may take the last 50 ms of them), or `durable`. */
export const AUDIT_READS = ['written', 'durable'] as const;
const reads = {
  reads: z
    .enum(AUDIT_READS, {
      error: (issue) => `must be one of ${AUDIT_READS.join(', ')}, not ${named(issue.input)}`,
    })
    .default('written'),
};

/** Whether what happens in the engine without a call of the gateway's has rows: while there are tenants whose objects are followed, always, never. */
export const AUDIT_OUTSIDE = ['tenants', 'always', 'never'] as const satisfies readonly AuditOutside[];
const outside = {
  outside: z
    .enum(AUDIT_OUTSIDE, {
      error: (issue) => `must be one of ${AUDIT_OUTSIDE.join(', ')}, not ${named(issue.input)}`,
    })
    .default('tenants'),
};

const heldName = (what: string) => text(what).max(1024, { error: 'must be at most 1024 characters' }).optional();
const span = z.string({ error: wrong('a span such as 90d') }).refine((value) => spanMsOf(value) !== undefined, {
  error: (issue) => `must be a whole number and s, m, h or d, such as 90d, not ${named(issue.input)}`,
});
const retention = strict({
  age: span.optional(),
  size: size(16 * 1024 * 1024, '1024TiB').optional(),
  archive: path.optional(),
  waitForSinks: z.boolean({ error: wrong('true or false') }).default(true),
  holds: z
    .array(
      strict({ subject: heldName('the name of an identity'), resource: heldName('an object such as container/web') }),
      { error: wrong('a list such as - { subject: ci }') },
    )
    .max(1000, { error: 'must be at most 1000 holds' })
    .nullable()
    .optional(),
}).optional();

const transcripts = strict({
  age: span.default('90d'),
  size: size(1024 * 1024, '1024TiB').default('10GiB'),
  session: size(64 * 1024, '1TiB').default('1GiB'),
}).optional();

/** @param written the section as it was read; what it leaves out is as documented */
export const readTranscripts = (written: z.output<typeof transcripts>) => ({
  ageMs: spanMsOf(written?.age ?? '90d') ?? 0,
  bytes: bytesOf(written?.size ?? '10GiB') ?? 0,
  sessionBytes: bytesOf(written?.session ?? '1GiB') ?? 0,
});

export const auditSection = strict({
  retention,
  transcripts,
  ...outside,
  ...reads,
  sinks: z
    .array(z.unknown(), { error: wrong(`a list such as ${FORMS}`) })
    .max(MAX_SINKS, { error: `must be at most ${MAX_SINKS} sinks` })
    .nullable()
    .optional(),
});

/** The same with its parts, for editors. */
export const auditSectionWritten = strict({
  retention,
  transcripts,
  ...outside,
  ...reads,
  sinks: z.array(z.union([ENTRIES.file, ENTRIES.webhook, ENTRIES.syslog, ENTRIES.otlp])).optional(),
});

/** @param written the section as it was read */
export const readRetention = (
  written: z.output<typeof retention>,
  { data, resolve }: Pick<SinkContext, 'data' | 'resolve'>,
  faults: Fault[],
): RetentionSetting | undefined => {
  if (written === undefined) return undefined;
  const at = ['audit', 'retention'];
  const { age, size, archive, holds, waitForSinks } = written;
  if (age === undefined && size === undefined)
    faults.push({ path: at, message: 'names neither age nor size; without either nothing is ever removed' });
  const read = (holds ?? []).flatMap(({ subject, resource }, index): AuditHold[] => {
    const where = [...at, 'holds', index];
    if ((subject === undefined) === (resource === undefined)) {
      faults.push({ path: where, message: 'needs one of subject, resource; write one entry for each' });
      return [];
    }
    if (resource !== undefined && !/^[a-z-]+\/./.test(resource))
      faults.push({
        path: [...where, 'resource'],
        message: `must be kind/name such as container/web, not ${named(resource)}`,
      });
    return [resource === undefined ? { by: 'subject', value: subject ?? '' } : { by: 'resource', value: resource }];
  });
  const ageMs = age === undefined ? undefined : spanMsOf(age);
  const bytes = size === undefined ? undefined : bytesOf(size);
  return {
    ...(ageMs === undefined ? {} : { ageMs }),
    ...(bytes === undefined ? {} : { bytes }),
    archive: archive === undefined ? join(data, 'audit-archive') : resolve(archive),
    holds: read,
    waitForSinks,
  };
};

interface SinkContext {
  /** Data folder, absolute: no sink writes into it. */
  readonly data: string;
  readonly resolve: (path: string) => string;
  readonly existing: (path: string, at: Path) => string;
}

export const readSinks = (entries: readonly unknown[], context: SinkContext, faults: Fault[]): SinkSetting[] => {
  const sinks = entries.flatMap((entry, index) => {
    const at = ['audit', 'sinks', index];
    const setting = readSink(entry, at, context, faults);
    return setting === undefined ? [] : [{ setting, at }];
  });
  const names = new Set<string>();
  const files = new Set<string>();
  for (const { setting, at } of sinks) {
    if (names.has(setting.name)) faults.push({ path: [...at, 'name'], message: 'another sink has this name already' });
    names.add(setting.name);
    if (setting.kind !== 'file') continue;
    if (files.has(setting.path))
      faults.push({ path: [...at, 'file'], message: 'another sink writes this file already' });
    files.add(setting.path);
  }
  return sinks.map(({ setting }) => setting);
};

const readSink = (entry: unknown, at: Path, context: SinkContext, faults: Fault[]): SinkSetting | undefined => {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    faults.push({ path: at, message: `must be a sink such as ${FORMS}` });
    return undefined;
  }
  const kinds = KINDS.filter((kind) => Object.hasOwn(entry, kind));
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) {
    const meant = Object.keys(entry)
      .map((key) => nearest(key, KINDS))
      .find((key) => key !== undefined);
    const hint = meant === undefined || kinds.length > 1 ? `; write ${FORMS}` : `; did you mean ${meant}?`;
    faults.push({
      path: at,
      message:
        kind === undefined
          ? `needs one of ${KINDS.join(', ')}${hint}`
          : `is ${kinds.join(' and ')} at once; write one entry for each`,
    });
    return undefined;
  }
  const before = faults.length;
  const setting = readKind(kind, entry, at, context, faults);
  return faults.length > before ? undefined : setting;
};

const readKind = (
  kind: Kind,
  entry: object,
  at: Path,
  context: SinkContext,
  faults: Fault[],
): SinkSetting | undefined => {
  const parsed = <S extends z.ZodType>(schema: S): z.output<S> | undefined => {
    const result = schema.safeParse(entry);
    if (result.success) return result.data;
    faults.push(...faultsOf(result.error, at));
    return undefined;
  };
  switch (kind) {
    case 'file': {
      const read = parsed(ENTRIES.file);
      if (read === undefined) return undefined;
      const { file, rotate, ...rest } = read;
      const path = context.resolve(file);
      if (path === context.data || path.startsWith(`${context.data}/`))
        faults.push({
          path: [...at, 'file'],
          message: 'is in the data folder, which belongs to the gateway; name a place outside',
        });
      const { size, keep } = rotate ?? { size: '100MiB', keep: 10 };
      return { ...rest, kind, path, maxBytes: bytesOf(size) ?? 0, keep };
    }
    case 'webhook': {
      const read = parsed(ENTRIES.webhook);
      if (read === undefined) return undefined;
      const { webhook, insecure, bearer, headers, ca, cert, key, servername, hmac, ...rest } = read;
      return {
        ...{ ...rest, kind },
        ...readHttp(webhook, { insecure, bearer, headers, ca, cert, key, servername }, kind, at, context, faults),
        ...(hmac === undefined ? {} : { hmac: context.existing(hmac, [...at, 'hmac']) }),
      };
    }
    case 'otlp': {
      const read = parsed(ENTRIES.otlp);
      if (read === undefined) return undefined;
      const { otlp, insecure, bearer, headers, ca, cert, key, servername, ...rest } = read;
      return {
        ...{ ...rest, kind },
        ...readHttp(otlp, { insecure, bearer, headers, ca, cert, key, servername }, kind, at, context, faults),
      };
    }
    case 'syslog': {
      const read = parsed(ENTRIES.syslog);
      if (read === undefined) return undefined;
      const { syslog, insecure, ca, cert, key, servername, maxMessage, ...rest } = read;
      const match = /^(tcp|tls):\/\/(.+?)\/?$/.exec(syslog);
      const address = match === null ? undefined : parseHostPort(match[2] ?? '');
      if (match === null || address === undefined || typeof address === 'string') {
        faults.push({
          path: [...at, kind],
          message: `must be tls://host:6514 or tcp://host:601, not ${named(syslog)}`,
        });
        return undefined;
      }
      const isTls = match[1] === 'tls';
      judgePlain(isTls, address.host, insecure, 'tls', [...at, kind], faults);
      const tls = readTls({ ca, cert, key, servername }, isTls, 'tls://', at, context, faults);
      return { ...rest, kind, ...address, ...(isTls ? { tls } : {}), maxBytes: bytesOf(maxMessage) ?? 0 };
    }
  }
};

interface WrittenTls {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly servername: string | undefined;
}

const readTls = (
  { ca, cert, key, servername }: WrittenTls,
  isTls: boolean,
  scheme: string,
  at: Path,
  { existing }: SinkContext,
  faults: Fault[],
): SinkTls => {
  for (const [name, value] of Object.entries({ ca, cert, key, servername })) {
    if (value !== undefined && !isTls)
      faults.push({ path: [...at, name], key: true, message: `belongs to ${scheme} addresses` });
  }
  if ((cert === undefined) !== (key === undefined))
    faults.push({ path: at, message: 'cert and key belong together; give both or neither' });
  return {
    ...(ca === undefined ? {} : { ca: existing(ca, [...at, 'ca']) }),
    ...(cert === undefined ? {} : { cert: existing(cert, [...at, 'cert']) }),
    ...(key === undefined ? {} : { key: existing(key, [...at, 'key']) }),
    ...(servername === undefined ? {} : { servername }),
  };
};

/** The audit tells who did what: beyond this machine it does not travel in the clear unless the settings say so. */
const judgePlain = (
  isTls: boolean,
  host: string,
  insecure: boolean | undefined,
  scheme: string,
  at: Path,
  faults: Fault[],
): void => {
  if (isTls && insecure === true) {
    faults.push({
      path: [...at.slice(0, -1), 'insecure'],
      key: true,
      message: `contradicts ${scheme}://; remove one of them`,
    });
  } else if (!isTls && insecure !== true && !isLoopback(host)) {
    faults.push({
      path: at,
      message: `would carry the audit in the clear; write ${scheme}://, or insecure: true if the network itself is protected`,
    });
  }
};

interface WrittenHttp extends WrittenTls {
  readonly insecure: boolean | undefined;
  readonly bearer: string | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;
}

const readHttp = (
  address: string,
  { insecure, bearer, headers, ...tls }: WrittenHttp,
  kind: Kind,
  at: Path,
  context: SinkContext,
  faults: Fault[],
) => {
  const url = URL.parse(address);
  const where = [...at, kind];
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:') || url.hostname === '') {
    faults.push({
      path: where,
      message: `must be an address such as https://host/path, not ${named(address.split('?')[0])}`,
    });
  } else if (url.username !== '' || url.password !== '') {
    faults.push({ path: where, message: 'holds a user or password; put them into a file named by bearer or headers' });
  } else {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    judgePlain(url.protocol === 'https:', host, insecure, 'https', where, faults);
  }
  for (const name of Object.keys(headers ?? {})) {
    const isTaken =
      OWN_HEADERS.has(name.toLowerCase()) || (name.toLowerCase() === 'authorization' && bearer !== undefined);
    if (isTaken)
      faults.push({ path: [...at, 'headers', name], key: true, message: 'is a header the sink sets itself' });
  }
  return {
    url: url?.href ?? '',
    ...(bearer === undefined ? {} : { bearer: context.existing(bearer, [...at, 'bearer']) }),
    headers: Object.fromEntries(
      Object.entries(headers ?? {}).map(([name, file]) => [name, context.existing(file, [...at, 'headers', name])]),
    ),
    tls: readTls(tls, url?.protocol === 'https:', 'https://', at, context, faults),
  };
};
