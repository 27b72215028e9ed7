// The gateway's OpenAPI 3.1 document: made from the schemas the routes judge their queries and bodies by, so that the two cannot differ.
// The routes of the audit stand here, all others in openapi-routes.ts.
import * as z from 'zod';
import { VERSION } from '../version.ts';
import {
  auditQuery,
  countQuery,
  exportQuery,
  secretQuestion,
  sessionQuery,
  timelineQuery,
  tokensQuery,
  unusedQuery,
} from './audit-input.ts';
import { verifyQuery } from './audit-integrity.ts';
import { ADMIN_ROUTES, type Route } from './openapi-routes.ts';

/** What parameters mean that their schema does not say. */
const MEANING: Readonly<Record<string, string>> = {
  subject: 'identity that called',
  token: 'id of the token',
  action: 'container.create, or a family: container.*',
  resource: 'container/web, web of any kind, an id or its beginning',
  rule: 'policy/rule, or a policy',
  source: 'address, or the beginning of one before a *',
  client: 'part of the User-Agent',
  text: 'part of resource, code, rule, client or detail',
  plugin: 'calls that this plugin changed',
  binds: 'calls that ask for a bind mount',
  since: '2h, yesterday, 14:02, 2030-01-31 or RFC 3339, in UTC',
  until: 'the same; a day counts to its end',
  mine: "the caller's own calls alone",
  before: 'only what has a lower seq: `next` of the page before',
  after: 'only rows with a higher seq, for those who may read all',
  last: 'begin with this many earlier rows',
  fold: 'one entry for each call rather than for each row',
  by: 'comma-separated, at most four',
  limit: 'at most this many',
};

const object = (properties: Readonly<Record<string, object>>): object => ({ type: 'object', properties });
const list = (items: object): object => ({ type: 'array', items });
const text = { type: ['string', 'null'] };
const count = { type: ['integer', 'null'] };
const EVENT = { $ref: '#/components/schemas/Event' };
const NEXT = { type: ['integer', 'null'], description: 'give it as `before` for the next page' };

/** Of the audit: `method` is GET where none is given. */
const AUDIT_ROUTES: readonly (Omit<Route, 'method'> & Partial<Pick<Route, 'method'>>)[] = [
  {
    path: '/audit',
    summary: 'Calls or rows by filter, newest first, in pages',
    query: auditQuery(0),
    answer: object({ events: list(EVENT), next: NEXT }),
  },
  {
    path: '/audit/tail',
    summary: 'Rows as they are recorded, one JSON object a line',
    query: auditQuery(0),
    answer: EVENT,
    type: 'application/x-ndjson',
  },
  {
    path: '/audit/{id}',
    summary: 'All of one call, by its audit id or the beginning of it',
    answer: object({ auditId: { type: 'string' }, call: EVENT, events: list(EVENT) }),
  },
  {
    path: '/audit/timeline',
    summary: 'What happened to an object, oldest first',
    query: timelineQuery(0),
    answer: object({
      resource: { type: 'string' },
      objects: list(object({ kind: text, id: text })),
      more: { type: 'boolean' },
      events: list(EVENT),
    }),
  },
  {
    path: '/audit/denies',
    summary: 'Denials counted by what they have in common',
    query: countQuery(0, 'rule,subject,field'),
    answer: { $ref: '#/components/schemas/Counts' },
  },
  {
    path: '/audit/stats',
    summary: 'Calls counted by what they have in common',
    query: countQuery(0, 'hour,subject'),
    answer: { $ref: '#/components/schemas/Counts' },
  },
  {
    path: '/audit/sessions',
    summary: 'Exec and attach: what ran, as whom, how it ended',
    query: sessionQuery(0),
    answer: object({ sessions: list({ type: 'object' }), next: NEXT }),
  },
  {
    path: '/audit/transcripts/{id}',
    summary: 'The transcript of a recorded session, an asciicast v2',
    answer: { type: 'string' },
    type: 'application/x-asciicast',
  },
  {
    path: '/audit/tokens',
    summary: 'Tokens with their last use, calls and denials',
    query: tokensQuery,
    answer: object({ tokens: list({ type: 'object' }) }),
  },
  {
    path: '/audit/unused',
    summary: 'Rules, tokens and granted actions without a use',
    query: unusedQuery,
    answer: object({
      days: count,
      since: text,
      logSince: text,
      rules: list({ type: 'object' }),
      tokens: list({ type: 'object' }),
      grants: list({ type: 'object' }),
    }),
  },
  {
    path: '/audit/export',
    summary: 'A stretch as NDJSON: a segment with its proof, or events',
    query: exportQuery(0),
    answer: { type: 'object' },
    type: 'application/x-ndjson',
  },
  {
    method: 'POST',
    path: '/audit/find-secret',
    summary: 'Calls that carried the secret in the body',
    body: secretQuestion,
    answer: object({ events: list(EVENT), hash: { type: 'string' }, next: NEXT }),
  },
  {
    path: '/audit/integrity',
    summary: 'Whether the log is whole, and how far it is signed',
    answer: { type: 'object' },
  },
  { path: '/audit/verify', summary: 'Verify it', query: verifyQuery, answer: { type: 'object' } },
  {
    path: '/audit/checkpoint',
    summary: 'Sign it as it is now',
    answer: object({ checkpoint: { type: 'string' }, publicKey: { type: 'string' } }),
  },
  {
    path: '/audit/public-key',
    summary: 'Public keys it was signed with',
    answer: object({ publicKey: { type: 'string' } }),
  },
  { path: '/audit/proof/{id}', summary: 'Proof of a call', answer: object({ proof: { type: 'string' } }) },
];

const EVENT_SCHEMA = object({
  seq: { type: 'integer' },
  at: { type: 'string', format: 'date-time' },
  stage: { enum: ['intent', 'stream-open', 'complete', 'gateway'] },
  auditId: { type: 'string' },
  shortId: text,
  ...Object.fromEntries(
    ['subject', 'issuer', 'tenant', 'tokenId', 'source', 'client', 'class', 'apiVersion'].map((name) => [name, text]),
  ),
  action: { type: 'string' },
  ...Object.fromEntries(
    ['resource', 'resourceId', 'knownAs', 'code', 'rule', 'policyRev', 'session'].map((name) => [name, text]),
  ),
  decision: { enum: ['allow', 'deny', 'error', 'unauthenticated'] },
  outcome: { type: 'string' },
  ...Object.fromEntries(['status', 'durationUs', 'bytesIn', 'bytesOut'].map((name) => [name, count])),
  resources: list(object({ kind: text, name: text, id: text, at: text })),
  detail: { type: 'object' },
});

const COUNTS_SCHEMA = object({
  by: list({ type: 'string' }),
  groups: list(object({ calls: count, denials: count, errors: count, firstAt: text, lastAt: text, lastAuditId: text })),
  more: count,
});

const PROBLEM_SCHEMA = {
  description: 'RFC 9457',
  ...object({ type: text, title: text, status: count, detail: text, instance: text, code: text, auditId: text }),
};

interface JsonSchema {
  readonly properties?: Readonly<Record<string, object>>;
  readonly required?: readonly string[];
}

/** @param io whether the schema is of what is taken or of what is given */
const jsonSchema = (schema: z.ZodType | object, io: 'input' | 'output'): object => {
  if (!(schema instanceof z.ZodType)) return schema;
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
};

function parametersOf({ path, query }: Pick<Route, 'path' | 'query'>): object[] {
  const schema: JsonSchema = query === undefined ? {} : jsonSchema(query, 'input');
  return [
    ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
      name,
      in: 'path',
      required: true,
      ...(path.startsWith('/audit/') ? { description: 'audit id or its beginning' } : {}),
      schema: { type: 'string' },
    })),
    ...Object.entries(schema.properties ?? {}).map(([name, inner]) => ({
      name,
      in: 'query',
      ...(schema.required?.includes(name) ? { required: true } : {}),
      ...(MEANING[name] === undefined ? {} : { description: MEANING[name] }),
      schema: inner,
    })),
  ];
}

function operationOf(route: Route): object {
  const { summary, body, answer, type = 'application/json' } = route;
  const status = route.status ?? (answer === undefined ? 204 : 200);
  return {
    summary,
    parameters: parametersOf(route),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: jsonSchema(body, 'input') } } } }),
    responses: {
      [status]: {
        description: summary,
        ...(answer === undefined ? {} : { content: { [type]: { schema: jsonSchema(answer, 'output') } } }),
      },
      default: {
        description: 'what was refused, and why',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

let made: object | undefined;

/** The document. Its paths are below `/dockgate/v1`. */
export function openApiDocument(): object {
  if (made !== undefined) return made;
  const paths: Record<string, Record<string, object>> = {};
  for (const route of [...ADMIN_ROUTES, ...AUDIT_ROUTES.map((one): Route => ({ method: 'GET', ...one }))]) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route) };
  }
  made = {
    openapi: '3.1.0',
    info: {
      title: 'dockgate',
      version: VERSION,
      summary: 'The admin API: for operators, and what of the audit reviewers and callers may ask',
    },
    servers: [{ url: '/dockgate/v1' }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      schemas: { Event: EVENT_SCHEMA, Counts: COUNTS_SCHEMA, Problem: PROBLEM_SCHEMA },
    },
  };
  return made;
}
