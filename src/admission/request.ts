// What a plugin is shown of a call, as the JSON that goes to wherever it runs.
import type { EngineCall, Json } from '../engine/types.ts';
import type { Principal } from '../policy/types.ts';
import type { AdmissionRequest, Change } from './plugin.ts';

/** What does not change while a call is admitted. */
export interface AdmissionContext {
  readonly auditId: string;
  readonly principal: Principal;
  readonly source: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Nothing will reach the engine. */
  readonly dryRun?: boolean;
}

const MASK = '***';
/** Fields whose members are values of variables, secrets or credentials. */
const ASSIGNMENTS = new Set(['Env', 'BuildArgs', 'buildargs']);
const SECRETS = new Set([
  'Data',
  'Password',
  'password',
  'IdentityToken',
  'RegistryToken',
  'identitytoken',
  'registrytoken',
  'Auth',
  'JoinToken',
  'UnlockKey',
  'SigningCAKey',
]);

/** The body without values of variables and secrets, for plugins that did not ask for them. */
export function masked(value: Json | undefined, field = ''): Json | undefined {
  if (SECRETS.has(field) && value !== null && value !== undefined) return MASK;
  if (Array.isArray(value)) {
    if (!ASSIGNMENTS.has(field)) return value.map((one) => masked(one as Json) as Json);
    return value.map((one) =>
      typeof one === 'string' && one.includes('=') ? `${one.slice(0, one.indexOf('='))}=${MASK}` : (one as Json),
    );
  }
  if (typeof value !== 'object' || value === null) return value;
  const copy: Record<string, Json | undefined> = Object.create(null) as Record<string, Json | undefined>;
  for (const [key, member] of Object.entries(value)) copy[key] = masked(member as Json | undefined, key);
  return copy;
}

/** A plugin's change as the audit keeps it: without values of variables and secrets. */
export function maskedChange(change: Change): Change {
  if (change.value === undefined) return change;
  const steps = change.path.split('/');
  if (steps.some((step) => ASSIGNMENTS.has(step) || SECRETS.has(step))) return { ...change, value: MASK };
  return { ...change, value: masked(change.value, steps.at(-1)) as Json };
}

const maskedQuery = (query: EngineCall['query']): EngineCall['query'] =>
  'buildargs' in query || 'remote' in query || 'fromSrc' in query
    ? Object.fromEntries(
        Object.entries(query).map(([name, values]) => [
          name,
          name === 'buildargs'
            ? values.map(() => MASK)
            : name === 'remote' || name === 'fromSrc'
              ? values.map((v) => v.replace(/\/\/[^/@]*@/, `//${MASK}@`))
              : values,
        ]),
      )
    : query;

/** Numbers beyond the exact ones stay as they were written. */
export const toJson = (value: unknown): string =>
  JSON.stringify(value, (_key, member: unknown) => (typeof member === 'bigint' ? rawJson(member.toString()) : member));

const rawJson = (text: string): unknown => (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text);

export const principalOf = ({
  subject,
  issuer,
  tenant,
  groups,
  tokenId,
  claims,
}: Principal): AdmissionRequest['principal'] => ({
  subject,
  issuer,
  ...(tenant === undefined ? {} : { tenant }),
  groups,
  ...(tokenId === undefined ? {} : { tokenId }),
  claims,
});

export const operationOf = (call: Pick<EngineCall, 'operation' | 'action'>): AdmissionRequest['operation'] => ({
  id: call.operation.id,
  action: call.action,
  class: call.operation.class,
  risk: call.operation.risk,
  stream: call.operation.stream,
});

/** @param bodies values of variables and secrets are shown */
export function requestJson(call: EngineCall, context: AdmissionContext, bodies: boolean): string {
  const request: AdmissionRequest = {
    auditId: context.auditId,
    at: new Date(context.at).toISOString(),
    dryRun: context.dryRun === true,
    ...(call.apiVersion === undefined ? {} : { apiVersion: call.apiVersion }),
    principal: principalOf(context.principal),
    operation: operationOf(call),
    resources: call.resources.map((r) => ({
      kind: r.kind,
      name: r.name,
      at: r.at,
      ...(r.id === undefined ? {} : { id: r.id }),
      ...(r.labels === undefined ? {} : { labels: r.labels }),
      ...(r.resolvedName === undefined ? {} : { resolvedName: r.resolvedName }),
      ...(r.driver === undefined ? {} : { driver: r.driver }),
      ...(r.networkDriver === undefined ? {} : { networkDriver: r.networkDriver }),
      ...(r.made === undefined ? {} : { made: r.made }),
    })),
    path: call.path,
    query: bodies ? call.query : maskedQuery(call.query),
    ...(call.body === undefined ? {} : { body: (bodies ? call.body : masked(call.body)) as Json }),
    source: { address: context.source },
  };
  return toJson(request);
}
