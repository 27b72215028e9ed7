// What a plugin is shown of a call, as the JSON that goes to wherever it runs.
import { isExactNumber } from '../engine/exact-json.ts';
import { renderTarget } from '../engine/render-target.ts';
import type { EngineCall, Json } from '../engine/types.ts';
import { type HostSite, subnetText } from '../policy/host/index.ts';
import type { Principal } from '../policy/types.ts';
import type { AdmissionRequest } from './plugin.ts';

/** What does not change while a call is admitted. */
export interface AdmissionContext {
  readonly auditId: string;
  readonly principal: Principal;
  readonly source: string;
  /** Path of the unix socket the call came by. */
  readonly socket?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Nothing will reach the engine. */
  readonly dryRun?: boolean;
  /** Path of the socket that the change `own-socket` puts in. @throws {GatewayError} where there can be none */
  readonly ownSocket?: () => string;
  /** The path that was put in. */
  readonly granted?: string;
  /** For plugins that judge as the host presets do. */
  readonly site?: HostSite | undefined;
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

/** A field whose value is a secret as a whole. */
export const isHiddenField = (field: string): boolean => SECRETS.has(field);

/** An element of a list: `NAME=value` of a variable keeps its name, and so does what an engine's plugin has for one. */
export function maskedItem(item: Json, field: string): Json {
  if (!ASSIGNMENTS.has(field)) return item;
  if (typeof item === 'string') return item.includes('=') ? `${item.slice(0, item.indexOf('='))}=${MASK}` : item;
  return typeof item === 'object' && item !== null && !Array.isArray(item) && 'Value' in item
    ? { ...item, Value: MASK }
    : item;
}

/** The body without values of variables and secrets, for plugins that did not ask for them. */
export function masked(value: Json | undefined, field = ''): Json | undefined {
  if (SECRETS.has(field) && value !== null && value !== undefined) return MASK;
  if (Array.isArray(value)) {
    if (!ASSIGNMENTS.has(field)) return value.map((one) => masked(one as Json) as Json);
    return value.map((one) => maskedItem(one as Json, field));
  }
  if (typeof value !== 'object' || value === null || isExactNumber(value)) return value;
  const copy: Record<string, Json | undefined> = Object.create(null) as Record<string, Json | undefined>;
  for (const [key, member] of Object.entries(value)) copy[key] = masked(member as Json | undefined, key);
  return copy;
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

export const operationOf = (
  call: Pick<EngineCall, 'operation' | 'action' | 'apiVersion' | 'path'>,
): AdmissionRequest['operation'] => ({
  id: call.operation.id,
  action: call.action,
  class: call.operation.class,
  risk: call.operation.risk,
  stream: call.operation.stream,
  method: call.operation.method,
  path: renderTarget({ operation: call.operation, apiVersion: call.apiVersion, path: call.path, query: {} }),
});

const shownSite = ({ protectedPaths, sockets, networks }: HostSite): NonNullable<AdmissionRequest['site']> => ({
  protectedPaths,
  sockets,
  networks: networks.map(subnetText),
});

/** All that is shown of a call but its body. */
export function headOf(call: EngineCall, context: AdmissionContext, bodies: boolean): Omit<AdmissionRequest, 'body'> {
  return {
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
    source: { address: context.source, ...(context.socket === undefined ? {} : { socket: context.socket }) },
    ...(context.granted === undefined ? {} : { ownSocket: context.granted }),
    ...(context.site === undefined ? {} : { site: shownSite(context.site) }),
    ...(call.engineKind === undefined ? {} : { engineKind: call.engineKind }),
    ...(call.readOnlyDepth === undefined ? {} : { readOnlyDepth: call.readOnlyDepth }),
  };
}

/** @param bodies values of variables and secrets are shown */
export function requestJson(call: EngineCall, context: AdmissionContext, bodies: boolean): string {
  const { body } = call;
  return toJson({
    ...headOf(call, context, bodies),
    ...(body === undefined ? {} : { body: (bodies ? body : masked(body)) as Json }),
  });
}

/** The same with a body that was written already. */
export function requestJsonWith(call: EngineCall, context: AdmissionContext, bodies: boolean, body: string): string {
  return `${toJson(headOf(call, context, bodies)).slice(0, -1)},"body":${body}}`;
}
