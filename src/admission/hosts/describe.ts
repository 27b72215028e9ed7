// Reads what a module says of itself, and refuses a module that is no plugin in one sentence.
import { Validator } from '@cfworker/json-schema';
import type { Json, JsonObject } from '../../engine/types.ts';
import type { PluginExample } from '../plugin.ts';
import type { Grants } from './capabilities.ts';
import { HOOKS, type Hook, type PluginDescription } from './host.ts';

/** The fault of a module or its settings, in words that follow `plugin NAME: `. */
export class PluginRefused extends Error {}

const no = (what: string): never => {
  throw new PluginRefused(what);
};
const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((v) => typeof v === 'string');

export interface Described {
  readonly description: PluginDescription;
  /** JSON Schema of the settings where the plugin has one. */
  readonly schema: JsonObject | undefined;
  readonly takesConfig: boolean;
}

/** @throws {PluginRefused} */
export function readDescription(told: Json): Described {
  const one: JsonObject =
    isObject(told) && told.isPlugin === true ? told : no('it has no default export that is a plugin');
  const meta = isObject(one.meta)
    ? one.meta
    : no('meta must be an object with name, version, apiVersion and description');
  const { name, version, apiVersion, description } = meta;
  if (typeof name !== 'string' || !/^[a-z][a-z0-9-]{0,62}$/.test(name))
    return no('meta.name must be in kebab-case, at most 63 characters');
  if (apiVersion !== 1)
    return no(`meta.apiVersion is ${JSON.stringify(apiVersion)}, and this dockgate loads plugins of apiVersion 1`);
  if (typeof version !== 'string' || typeof description !== 'string')
    return no('meta.version and meta.description must be texts');
  const match: JsonObject = isObject(one.match) ? one.match : {};
  const { actions, resources } = match;
  if (!isTexts(actions) || actions.length === 0)
    return no('match.actions must be a list of actions, such as container.create');
  if (
    match.class !== undefined &&
    !(isTexts(match.class) && match.class.every((c) => ['read', 'write', 'admin'].includes(c)))
  ) {
    return no('match.class must be a list of read, write and admin');
  }
  if (resources !== undefined && !isTexts(resources))
    return no('match.resources must be a list such as image/docker.io/*');
  const unknown = isTexts(one.unknown) ? one.unknown : [];
  if (unknown.length > 0) return no(`it exports ${unknown[0]}, which no plugin has`);
  if (isTexts(one.wrong) && one.wrong.length > 0) return no(`${one.wrong[0]} must be a function`);
  const hooks = HOOKS.filter((hook) => isTexts(one.hooks) && one.hooks.includes(hook));
  if (hooks.length === 0) return no('it has no hook: mutate, validate, onResponse or onStream');
  const needs = needsOf(one.needs);
  if (hooks.includes('onResponse') && needs.responses !== true)
    return no('it has onResponse and does not ask for answers: write needs: { responses: true }');
  if (hooks.includes('onStream') && needs.streams !== true)
    return no('it has onStream and does not ask for streams: write needs: { streams: true }');
  if (!Array.isArray(one.examples)) return no('examples must be a list');
  return {
    description: {
      meta: { name, version, apiVersion, description },
      match: {
        actions,
        ...(isTexts(match.class) ? { class: match.class as ('read' | 'write' | 'admin')[] } : {}),
        ...(isTexts(resources) ? { resources } : {}),
        ...(match.objects === true ? { objects: true } : {}),
      },
      needs,
      hooks: hooks as readonly Hook[],
      reinvoke: one.reinvoke === true,
      examples: one.examples as unknown as readonly PluginExample[],
    },
    schema: isObject(one.schema) ? one.schema : undefined,
    takesConfig: one.config !== 'none',
  };
}

/** The description with the actions that the settings leave to single hooks. */
export const withActions = (described: Described, actions: PluginDescription['hookActions']): Described =>
  actions === undefined ? described : { ...described, description: { ...described.description, hookActions: actions } };

function needsOf(value: Json | undefined): PluginDescription['needs'] {
  const needs: JsonObject = isObject(value) ? value : no('needs must be an object');
  for (const key of Object.keys(needs)) {
    if (!['bodies', 'responses', 'streams', 'env', 'net', 'engineRead', 'sockets'].includes(key))
      no(`needs has ${key}, which is no permission`);
  }
  for (const key of ['env', 'net', 'engineRead'] as const) {
    if (needs[key] !== undefined && !isTexts(needs[key])) no(`needs.${key} must be a list of texts`);
  }
  return needs as unknown as PluginDescription['needs'];
}

/** Everything a plugin needs, as the settings grant it. */
export const grantsNeeded = ({ needs }: PluginDescription): readonly string[] => [
  ...(needs.bodies === true ? ['bodies'] : []),
  ...(needs.responses === true ? ['responses'] : []),
  ...(needs.streams === true ? ['streams'] : []),
  ...(needs.sockets === true ? ['sockets'] : []),
  ...(needs.env ?? []).map((name) => `env:${name}`),
  ...(needs.net ?? []).map((host) => `net:${host}`),
  ...(needs.engineRead ?? []).map((action) => `engine:${action}`),
];

/** @throws {PluginRefused} naming the missing permission, and how to grant it */
export function checkGrants(description: PluginDescription, granted: Grants): void {
  // `plugin test` and `plugin try` grant everything: nothing real is behind it there.
  if (granted.has('*')) return;
  const missing = grantsNeeded(description).filter((need) => !granted.has(need));
  if (missing.length === 0) return;
  no(`it needs ${missing.join(', ')}, which is not granted: write needs: [${grantsNeeded(description).join(', ')}]`);
}

/** The settings, checked by the plugin's JSON Schema where it has one. @throws {PluginRefused} */
export function checkConfig(
  { schema, takesConfig }: Described,
  config: Json | undefined,
  isOurs: boolean,
): Json | undefined {
  if (!takesConfig) {
    if (config !== undefined && !(isObject(config) && Object.keys(config).length === 0)) no('it takes no config');
    return undefined;
  }
  if (schema === undefined) return config ?? {};
  // Patterns run on the gateway's own thread, and a plugin could bring one that takes for ever.
  if (!isOurs && hasPattern(schema))
    no(
      'its config schema has pattern, patternProperties, format or $ref, which are not served: check such texts in setup',
    );
  const filled = withDefaults(schema, config ?? {});
  const { valid, errors } = new Validator(schema as object, '2020-12', false).validate(filled);
  if (valid) return filled;
  // Only the innermost errors name the fault; the outer ones only say that there is one further in.
  const told = errors.filter(
    ({ instanceLocation, keyword }) =>
      keyword !== 'properties' || !errors.some((o) => o.instanceLocation.startsWith(`${instanceLocation}/`)),
  );
  return no(
    `its config is not valid: ${told
      .slice(0, 5)
      .map(({ instanceLocation, error }) => `${instanceLocation.slice(2).replaceAll('/', '.') || 'config'}: ${error}`)
      .join('; ')}`,
  );
}

const hasPattern = (schema: Json | undefined): boolean =>
  Array.isArray(schema)
    ? schema.some((one) => hasPattern(one as Json))
    : isObject(schema) &&
      Object.entries(schema).some(
        ([key, value]) =>
          ['pattern', 'patternProperties', 'format', '$ref', '$dynamicRef'].includes(key) || hasPattern(value),
      );

/** Members that are left out and have a default in the schema, at any depth. */
function withDefaults(schema: JsonObject, value: Json): Json {
  if (!isObject(value) || !isObject(schema.properties)) return value;
  const filled: Record<string, Json | undefined> = { ...value };
  for (const [name, member] of Object.entries(schema.properties)) {
    if (!isObject(member)) continue;
    const given = filled[name] ?? member.default;
    if (given !== undefined) filled[name] = withDefaults(member, given);
  }
  return filled;
}
