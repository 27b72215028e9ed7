// What admin callers may send: query parameters and JSON bodies, each with a schema and every fault told at once.
import * as z from 'zod';
import { GatewayError } from '../errors.ts';
import { IDENTITY_NAME, IDENTITY_NAME_RULE, LABEL, LABEL_RULE } from '../identity/names.ts';
import { readAuthorizationDetails } from '../policy/ceiling.ts';
import type { DockerAuthorization } from '../policy/types.ts';
import { DURATION_RULE, MOMENT_RULE, parseDuration, parseMoment } from './duration.ts';
import { InputError } from './problems.ts';

/** Body of an admin call; policy sets are the largest. */
export const MAX_ADMIN_BODY_BYTES = 4 * 1024 * 1024;

export const identityName = z
  .string({ error: 'must be an identity name' })
  .regex(IDENTITY_NAME, { error: `is no identity name: ${IDENTITY_NAME_RULE}` });
const name = identityName;
const label = z.string({ error: 'must be text' }).regex(LABEL, { error: LABEL_RULE });
const labels = z.array(label, { error: 'must be a list of names' }).max(100, { error: 'at most 100' });

const span = z
  .string({ error: DURATION_RULE })
  .refine((value) => parseDuration(value) !== undefined, { error: DURATION_RULE });

export const newIdentity = z.strictObject({
  name,
  tenant: label.optional(),
  groups: labels.default([]),
  policies: labels.default([]),
  maxTtl: span.optional(),
});

/** `null` takes the limit away. */
export const changedIdentity = z
  .strictObject({
    maxTtl: span.nullable().optional(),
    tenant: label.nullable().optional(),
    groups: labels.optional(),
    policies: labels.optional(),
  })
  .refine((value) => Object.values(value).some((given) => given !== undefined), {
    error: 'must say what to change: maxTtl, tenant, groups or policies',
  });

const authorizationDetails = z
  .unknown()
  .transform((value, context): readonly DockerAuthorization[] => {
    const { details, problems } = readAuthorizationDetails(value);
    for (const message of problems ?? []) context.addIssue({ code: 'custom', message });
    return details ?? [];
  })
  .optional();

/** A token. */
export const newToken = z.strictObject({
  identity: name,
  ttl: span.optional(),
  lease: span.optional(),
  authorizationDetails,
  scope: z
    .array(
      z.string({ error: 'must be text' }).regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/, {
        error: 'is no scope: 1 to 128 printable characters without space, quote or backslash',
      }),
    )
    .min(1, { error: 'an empty scope allows nothing; leave it out for no ceiling' })
    .max(100, { error: 'at most 100 scopes' })
    .optional(),
  boundTo: z
    .string({ error: 'must be text' })
    .regex(/^[A-Za-z0-9_-]{43}$/, { error: 'must be the SHA-256 of a DER certificate in base64url, 43 characters' })
    .optional(),
});

/** What a credential could not hand on is refused, not dropped. */
export const newCredential = newToken.omit({ lease: true, boundTo: true });

const ttl = z
  .string({ error: DURATION_RULE })
  .refine((value) => parseDuration(value) !== undefined, { error: DURATION_RULE });
const pem = (what: string) =>
  z
    .string({ error: `must be ${what} in PEM` })
    .startsWith('-----BEGIN ', { error: `must be ${what} in PEM` })
    .max(16_384);

export const newCertificate = z.strictObject({
  identity: name,
  ttl: ttl.default('24h'),
  request: pem('a PKCS #10 certificate request'),
});
export const certificateQuery = z.strictObject({ identity: name.optional() });
export const certificatesOf = z.strictObject({ identity: name });

/** Longest path a unix socket can have on every system, in bytes. */
const MAX_SOCKET_PATH_BYTES = 103;
const socketPath = z
  .string({ error: 'must be a path' })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  .regex(/^\/[^\u0000-\u001f\u007f]*$/, { error: 'must be an absolute path without control characters' })
  .refine((value) => Buffer.byteLength(value) <= MAX_SOCKET_PATH_BYTES, {
    error: `must be at most ${MAX_SOCKET_PATH_BYTES} bytes`,
  });

export const newSocket = z.strictObject({
  path: socketPath,
  identity: name,
  mode: z
    .string({ error: 'must be an octal mode such as "0660"' })
    // The owner always may: the file is made with the rights of its owner alone and never with more than it ends up with.
    .regex(/^0?6[0246][0246]$/, { error: 'must be an octal mode from "0600" to "0666"' })
    .default('0600'),
  group: z
    .string({ error: 'must be a group' })
    .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/, { error: 'is no group name' })
    .optional(),
});
const objectNames = z
  .array(
    z.string({ error: 'must be text' }).min(1, { error: 'must not be empty' }).max(300, { error: 'is too long' }),
    {
      error: 'must be a list of names',
    },
  )
  .max(500, { error: 'at most 500' })
  .optional();

/** What to give a tenant; at least one of these. */
export const adoption = z
  .strictObject({
    label: z.string({ error: 'must be text' }).min(1, { error: 'must not be empty' }).max(300).optional(),
    composeProject: z.string({ error: 'must be text' }).min(1, { error: 'must not be empty' }).max(300).optional(),
    containers: objectNames,
    volumes: objectNames,
    networks: objectNames,
    images: objectNames,
  })
  .refine((value) => Object.values(value).some((given) => given !== undefined), {
    error: 'must say what to adopt: label, composeProject, containers, volumes, networks or images',
  });

export const release = z
  .strictObject({ images: objectNames, all: z.literal(true, { error: 'must be true, or left out' }).optional() })
  .refine(({ images, all }) => (images === undefined) === (all === true), {
    error: 'must say which: images, or all',
  });

/** @throws {GatewayError} `input-invalid` */
export function tenantName(name: string): string {
  if (!LABEL.test(name))
    throw new GatewayError('input-invalid', `${JSON.stringify(name.slice(0, 80))} is no tenant name: ${LABEL_RULE}`);
  return name;
}

export const socketQuery = z.strictObject({ path: socketPath });

/** A token or subject of an external issuer that is refused from now on. */
export const issuerBlock = z.strictObject({
  issuer: z.string({ error: 'must be the name of an issuer' }).regex(/^[a-z0-9][a-z0-9-]{0,31}$/, {
    error: 'is no name of an issuer',
  }),
  kind: z.enum(['token', 'subject'], { error: 'must be token or subject' }),
  value: z
    .string({ error: 'must be a jti or a subject' })
    .min(1, { error: 'must not be empty' })
    .max(512, { error: 'must be at most 512 characters' }),
});

export const applyDocuments = z.strictObject({
  sources: z
    .array(z.strictObject({ name: z.string().max(256).default('input'), text: z.string({ error: 'must be text' }) }), {
      error: 'must be a list of { name, text }',
    })
    .min(1, { error: 'needs at least one { name, text }' })
    .max(1000, { error: 'at most 1000 files' }),
});

export const explainRequest = z.strictObject({
  as: name,
  request: z.strictObject({
    method: z.string().regex(/^[A-Z]{1,16}$/, { error: 'must be an HTTP method in capitals' }),
    target: z
      .string({ error: 'must be a path' })
      .startsWith('/', { error: 'must be a path that begins with /' })
      .max(8192),
    body: z.unknown().optional(),
  }),
});

/** A whole number from 0 on in a query. */
export const whole = (most: number) =>
  z
    .string()
    .refine((value) => /^[0-9]{1,15}$/.test(value) && Number(value) <= most, {
      error: `must be a whole number from 0 to ${most}`,
    })
    .transform(Number);

export const tokenQuery = z.strictObject({
  identity: name.optional(),
  all: z.enum(['true', 'false'], { error: 'must be true or false' }).default('false'),
});
export const credentialQuery = z.strictObject({ identity: name.optional() });

export const revokeTokens = (now: number) =>
  z.strictObject({
    identity: name,
    before: z
      .string()
      .refine((value) => parseMoment(value, now) !== undefined, { error: MOMENT_RULE })
      .transform((value) => parseMoment(value, now) ?? now)
      .optional(),
  });
export const noQuery = z.strictObject({});

/** @throws {InputError} with every fault */
export const parseInput = <T>(type: z.ZodType<T>, value: unknown): T => {
  const result = type.safeParse(value);
  if (result.success) return result.data;
  throw new InputError(
    result.error.issues.map((issue) => ({
      path: issue.path
        .map((step) => (typeof step === 'number' ? `[${step}]` : String(step)))
        .join('.')
        .replaceAll('.[', '['),
      message:
        issue.code === 'unrecognized_keys'
          ? `unknown ${issue.keys.length > 1 ? 'keys' : 'key'} ${issue.keys.join(', ')}`
          : issue.message,
    })),
  );
};

/** @throws {GatewayError} `query-ambiguous` for a repeated parameter */
export const parseQuery = <T>(type: z.ZodType<T>, url: string): T => {
  const query: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [key, value] of new URL(url).searchParams) {
    if (Object.hasOwn(query, key)) throw new GatewayError('query-ambiguous', `query parameter ${key} was given twice`);
    query[key] = value;
  }
  return parseInput(type, { ...query });
};

/**
 * Reads a JSON body. The content type must be JSON: a page in a browser cannot send that across sites unasked.
 *
 * @throws {GatewayError} `media-type-unsupported`, `body-too-large`, `body-malformed`; {InputError}
 */
export const parseBody = async <T>(type: z.ZodType<T>, request: Request): Promise<T> => {
  const contentType = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase();
  if (contentType !== 'application/json') {
    throw new GatewayError('media-type-unsupported', 'send a JSON body with Content-Type: application/json');
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  if (request.body) {
    for await (const chunk of request.body as ReadableStream<Uint8Array> & AsyncIterable<Uint8Array>) {
      length += chunk.byteLength;
      if (length > MAX_ADMIN_BODY_BYTES) {
        throw new GatewayError('body-too-large', `the body is larger than ${MAX_ADMIN_BODY_BYTES} bytes`);
      }
      chunks.push(chunk);
    }
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)));
  } catch (error) {
    throw new GatewayError('body-malformed', 'the body is not JSON', { cause: error });
  }
  return parseInput(type, value);
};
