// What the admin API answers: schemas of its views, for the OpenAPI document and for the types of the command line.
import * as z from 'zod';

const text = z.string();
const texts = z.array(text);
const time = z.string().meta({ format: 'date-time' });
const count = z.number();
const any = z.unknown();

export const identity = z.strictObject({
  name: text,
  tenant: text.nullable(),
  groups: texts,
  policies: texts,
  disabled: z.boolean(),
  createdAt: time,
  maxTtl: text.nullable(),
});
/** With the policies that hold for it, and what binds each. */
export const identityWithPolicies = identity.extend({
  effectivePolicies: z.array(z.strictObject({ name: text, from: text, builtIn: z.boolean(), exists: z.boolean() })),
});

const state = z.enum(['valid', 'expired', 'revoked']);
export const token = z.strictObject({
  id: text,
  identity: text,
  scope: texts.nullable(),
  authorizationDetails: z.array(any).nullable(),
  parent: text.nullable(),
  state,
  lastUsedAt: time.nullable(),
  calls: count,
  denials: count,
  issuedAt: time,
  expiresAt: time,
  revokedAt: time.nullable(),
  issuedBy: text,
});
export const newToken = token.extend({ token: text });
export const revoked = z.strictObject({ tokens: count, credentials: count });

export const credential = z.strictObject({
  id: text,
  identity: text,
  scope: texts.nullable(),
  authorizationDetails: z.array(any).nullable(),
  state,
  createdAt: time,
  expiresAt: time,
  revokedAt: time.nullable(),
  createdBy: text,
  lastUsedAt: time.nullable(),
  tokens: count,
});
export const newCredential = credential.extend({ credential: text });

export const key = z.strictObject({
  kid: text,
  algorithm: text,
  state: text,
  createdAt: time,
  since: time,
  until: time.nullable(),
});

export const certificate = z.strictObject({
  serial: text,
  identity: text,
  state,
  issuedAt: time,
  expiresAt: time,
  revokedAt: time.nullable(),
  issuedBy: text,
  thumbprint: text,
});
export const newCertificate = certificate.extend({ certificate: text, ca: text });

export const socket = z.strictObject({
  path: text,
  identity: text,
  mode: text,
  group: text.nullable(),
  state: z.enum(['listening', 'failed']),
  fault: text.nullable(),
  createdAt: time,
  createdBy: text,
});

export const issuer = z.strictObject({
  name: text,
  preset: text.nullable(),
  issuer: text,
  audience: text,
  rules: count,
  status: text,
  keys: texts,
  keysIgnored: any,
  fetchedAt: time.nullable(),
  attemptedAt: time.nullable(),
  fetches: count,
  error: text.nullable(),
});
export const issuerBlock = z.strictObject({
  issuer: text,
  kind: z.enum(['token', 'subject']),
  value: text,
  createdAt: time,
  createdBy: text,
  until: time.nullable(),
});

const amounts = z.record(text, count);
export const tenant = z.strictObject({
  name: text,
  description: text.nullable(),
  quota: amounts,
  identityQuota: amounts,
  defaults: amounts,
  usage: amounts,
  identities: z.array(z.strictObject({ name: text, usage: amounts })),
  createdAt: time.nullable(),
});
export const usagePoint = z.strictObject({ at: time, usage: amounts });
export const owned = z.strictObject({
  kind: text,
  id: text,
  name: text,
  tenant: text,
  owner: text,
  tokenId: text.nullable(),
  auditId: text,
  createdAt: time,
  parent: text.nullable(),
});
export const withheld = z.strictObject({ name: text, imageId: text, since: time });
export const lease = z.strictObject({
  object: text,
  id: text,
  tenant: text,
  owner: text,
  tokenId: text.nullable(),
  createdAt: time,
  endsAt: time,
});

export const policyDocument = z.strictObject({
  kind: z.enum(['Policy', 'Binding']),
  name: text,
  /** Of the whole set, in which this text came in. */
  revision: count,
  builtIn: z.boolean(),
  deleted: z.boolean(),
  at: time.nullable(),
  by: text,
});
export const policySource = policyDocument.extend({ source: text });
export const applied = z.strictObject({
  revision: count,
  documents: z.array(z.strictObject({ kind: text, name: text, change: z.enum(['created', 'changed', 'unchanged']) })),
});

const reason = z.looseObject({
  code: text,
  message: text,
  policy: text.optional(),
  rule: text.optional(),
  field: text.optional(),
});
export const explanation = z.strictObject({
  decision: z.looseObject({ effect: z.enum(['allow', 'deny']), reasons: z.array(reason), rule: text.optional() }),
  text,
  steps: any.optional(),
});

export const plugin = z.strictObject({
  name: text,
  version: text,
  description: text,
  actions: texts,
  phases: texts,
  use: text.optional(),
  tier: text.optional(),
  sha256: text.optional(),
  needs: texts.optional(),
  figures: z.looseObject({ calls: count, denials: count, faults: count, breaker: text }).optional(),
});

export const status = z.looseObject({ version: text });
export const backup = z.looseObject({
  folder: text,
  at: time,
  files: z.array(z.strictObject({ name: text, size: count })),
});
export const reloaded = z.looseObject({});

/** An answer under one name: `{ identities: [...] }`. */
export const listOf = <K extends string, T extends z.ZodType>(name: K, item: T) =>
  z.strictObject({ [name]: z.array(item) } as { [P in K]: z.ZodArray<T> });

export type PolicyDocumentAnswer = z.infer<typeof policyDocument> & { readonly source?: string };
export type AppliedAnswer = z.infer<typeof applied>;
