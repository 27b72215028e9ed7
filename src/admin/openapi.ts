// The gateway's OpenAPI 3.1 document, of the routes that readers of the audit use: made from the schemas the routes judge their
// queries by, so that the two cannot differ.
import * as z from 'zod';
import { VERSION } from '../version.ts';
import { auditQuery, countQuery, sessionQuery, timelineQuery, tokensQuery, unusedQuery } from './audit-input.ts';

interface Route {
  readonly path: string;
  readonly summary: string;
  readonly query?: z.ZodType;
  readonly params?: Readonly<Record<string, string>>;
  readonly answer: object;
  readonly type?: string;
}

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

const ROUTES: readonly Route[] = [
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
    params: { id: 'audit id or its beginning' },
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
    params: { id: 'audit id of the session' },
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

function parametersOf({ query, params = {} }: Route): object[] {
  const schema =
    query === undefined ? {} : (z.toJSONSchema(query, { io: 'input', unrepresentable: 'any' }) as JsonSchema);
  return [
    ...Object.entries(params).map(([name, description]) => ({
      name,
      in: 'path',
      required: true,
      description,
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

let made: object | undefined;

/** The document. Its paths are below `/dockgate/v1`. */
export function openApiDocument(): object {
  made ??= {
    openapi: '3.1.0',
    info: {
      title: 'dockgate',
      version: VERSION,
      summary: 'Reading the audit: what operators, reviewers and callers may ask',
    },
    servers: [{ url: '/dockgate/v1' }],
    security: [{ token: [] }],
    paths: Object.fromEntries(
      ROUTES.map((route) => [
        route.path,
        {
          get: {
            summary: route.summary,
            parameters: parametersOf(route),
            responses: {
              200: {
                description: route.summary,
                content: { [route.type ?? 'application/json']: { schema: route.answer } },
              },
              default: {
                description: 'what was refused, and why',
                content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
              },
            },
          },
        },
      ]),
    ),
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      schemas: { Event: EVENT_SCHEMA, Counts: COUNTS_SCHEMA, Problem: PROBLEM_SCHEMA },
    },
  };
  return made;
}
