// Every route of the admin API but those of the audit: what it takes, by the schemas that judge it, and what it answers.
import * as z from 'zod';
import * as answers from './answers.ts';
import { dryRunBasis, dryRunQuery } from './dry-run.ts';
import * as input from './input.ts';
import * as leases from './lease-routes.ts';
import * as tenants from './tenant-routes.ts';

export interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Below the prefix of the API; `{name}` for a part that is given. */
  readonly path: string;
  readonly summary: string;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  /** Absent: no content. */
  readonly answer?: z.ZodType | object;
  /** Default: 200, or 204 without an answer. */
  readonly status?: number;
  /** Media type of the answer. Default: JSON. */
  readonly type?: string;
}

const { listOf } = answers;
const none = input.noQuery;

const get = (path: string, summary: string, answer: Route['answer'], more: Partial<Route> = {}): Route => ({
  ...{ method: 'GET', path, summary },
  ...(answer === undefined ? {} : { answer }),
  ...more,
});
const post = (path: string, summary: string, body: z.ZodType, answer: z.ZodType, status = 200): Route => ({
  ...{ method: 'POST', path, summary, body, answer, status },
});
const remove = (path: string, summary: string, answer?: z.ZodType, query?: z.ZodType): Route => ({
  ...{ method: 'DELETE', path, summary },
  ...(answer === undefined ? {} : { answer }),
  ...(query === undefined ? {} : { query }),
});

export const ADMIN_ROUTES: readonly Route[] = [
  get('/identities', 'Identities', listOf('identities', answers.identity)),
  post('/identities', 'Make an identity', input.newIdentity, answers.identity, 201),
  get('/identities/{name}', 'One identity, with the policies that hold for it', answers.identityWithPolicies),
  { ...post('/identities/{name}', 'Change it', input.changedIdentity, answers.identity), method: 'PATCH' },
  remove('/identities/{name}', 'Delete it, with its tokens, credentials and certificates'),
  post('/identities/{name}/disable', 'Refuse its calls', none, answers.identity),
  post('/identities/{name}/enable', 'Take its calls again', none, answers.identity),

  get('/tokens', 'Tokens', listOf('tokens', answers.token), { query: input.tokenQuery }),
  post('/tokens', 'Issue a token; this answer alone has it', input.newToken, answers.newToken, 201),
  post('/tokens/revoke', 'Revoke those of an identity', input.revokeTokens(0), answers.revoked),
  remove('/tokens/{id}', 'Revoke one', answers.token),
  get('/credentials', 'Refresh credentials', listOf('credentials', answers.credential), {
    query: input.credentialQuery,
  }),
  post('/credentials', 'Make one; this answer alone has it', input.newCredential, answers.newCredential, 201),
  remove('/credentials/{id}', 'Revoke one', answers.credential),
  get('/keys', 'Signing keys', listOf('keys', answers.key)),
  post('/keys/rotate', 'Let the next key sign', none, listOf('keys', answers.key)),

  get('/certificates', 'Client certificates', listOf('certificates', answers.certificate), {
    query: input.certificateQuery,
  }),
  post('/certificates', 'Sign a request for one', input.newCertificate, answers.newCertificate, 201),
  remove(
    '/certificates',
    'Revoke those of an identity',
    listOf('certificates', answers.certificate),
    input.certificatesOf,
  ),
  remove('/certificates/{serial}', 'Revoke one', answers.certificate),
  get('/sockets', 'Bound sockets', listOf('sockets', answers.socket)),
  post('/sockets', 'Make one', input.newSocket, answers.socket, 201),
  remove('/sockets', 'Remove one', undefined, input.socketQuery),
  get('/issuers', 'Issuers whose tokens are taken', listOf('issuers', answers.issuer)),
  get('/issuer-blocks', 'Blocked tokens and subjects', listOf('blocks', answers.issuerBlock)),
  post('/issuer-blocks', 'Block one', input.issuerBlock, answers.issuerBlock, 201),
  remove('/issuer-blocks', 'End a block', undefined, input.issuerBlock),

  get('/tenants', 'Tenants with their use', listOf('tenants', answers.tenant)),
  post('/tenants', 'Make a tenant', tenants.newTenant, answers.tenant, 201),
  get('/tenants/{name}', 'One tenant', answers.tenant),
  { ...post('/tenants/{name}', 'Change its limits', tenants.changedTenant, answers.tenant), method: 'PATCH' },
  remove('/tenants/{name}', 'Forget one without objects and identities'),
  get('/tenants/{name}/usage', 'Its use over time', listOf('points', answers.usagePoint), {
    query: tenants.historyQuery,
  }),
  get('/tenants/{name}/objects', 'What it owns', listOf('objects', answers.owned)),
  post('/tenants/{name}/adopt', 'Give it objects', input.adoption, listOf('adopted', answers.owned)),
  get('/withheld', 'Images closed to all tenants', listOf('images', answers.withheld)),
  post('/withheld/release', 'Open them again', input.release, listOf('released', answers.withheld)),
  get('/leases', 'Leases', listOf('leases', answers.lease), { query: leases.leaseQuery }),
  post('/leases/extend', 'Let an object stay longer', leases.leaseExtension, answers.lease),
  post('/leases/end', 'Remove it now', leases.leaseEnd, answers.lease),

  get('/policies', 'Documents in force', listOf('documents', answers.policyDocument).extend({ revision: z.number() })),
  post('/policies', 'Put documents in force, all or none', input.applyDocuments, answers.applied),
  get('/policies/{name}', 'One document', answers.policySource),
  get('/policies/{name}/history', 'Its revisions, newest first', listOf('history', answers.policySource)),
  remove('/policies/{name}', 'Take it out of force', z.strictObject({ revision: z.number() })),
  get('/unbound-policies', 'Policies bound to no caller', listOf('policies', z.string())),
  post('/explain', 'How a request would be decided', input.explainRequest, answers.explanation),
  get('/dry-run', 'What a dry run as an identity is judged by', dryRunBasis, { query: dryRunQuery }),
  get('/plugins', 'Loaded plugins', listOf('plugins', answers.plugin)),

  get('/openapi.json', 'This document', { type: 'object' }),
  get('/status', 'How the gateway is', answers.status),
  get('/metrics', 'Prometheus text', { type: 'string' }, { type: 'text/plain' }),
  post('/backup', 'Write a backup in the data folder', none, answers.backup),
  post('/reload', 'Take over the settings', none, answers.reloaded),
];
