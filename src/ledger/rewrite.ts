// Puts a full id where a caller wrote a name or a part of an id: in path, query or body, at the place references.ts found it.
// Pure: the call given stays as it is.
import type { EngineCall, Json, JsonObject, ResourceRef } from '../engine/types.ts';

type Query = Readonly<Record<string, readonly string[]>>;

/** The parts of a call that name objects. */
export interface Named {
  readonly path: EngineCall['path'];
  readonly query: Query;
  readonly body: Json | undefined;
}

/** The same call with `id` in place of what `reference` was asked by. */
export function withId(named: Named, reference: ResourceRef, id: string): Named {
  const { at, kind } = reference;
  const dot = at.indexOf('.');
  const head = dot < 0 ? at : at.slice(0, dot);
  if (head === 'path') return { ...named, path: { ...named.path, [at.slice(dot + 1)]: id } };
  if (head === 'query') {
    const [name = '', index] = at.slice(dot + 1).split(/[[\]]/);
    const values = [...(named.query[name] ?? [])];
    if (name === 'cachefrom') {
      // A list in JSON, in one value.
      const list = JSON.parse(values[0] ?? '[]') as string[];
      list[Number(index)] = id;
      return { ...named, query: { ...named.query, [name]: [JSON.stringify(list)] } };
    }
    const position = index === undefined || index === '' ? 0 : Number(index);
    values[position] = carried(kind, values[position] ?? '', name, id);
    return { ...named, query: { ...named.query, [name]: values } };
  }
  const steps = stepsOf(at);
  return { ...named, body: setIn(named.body, steps, kind, id) };
}

/** `HostConfig.Links[0]`, `NetworkingConfig.EndpointsConfig["a.b"].NetworkID` as keys and indexes. */
function stepsOf(at: string): (string | number)[] {
  const steps: (string | number)[] = [];
  for (const [part, index] of at.matchAll(/\[("(?:[^"\\]|\\.)*"|\d+)\]|[^.[\]]+/g)) {
    steps.push(index === undefined ? part : (JSON.parse(index) as string | number));
  }
  return steps;
}

function setIn(
  value: Json | undefined,
  steps: readonly (string | number)[],
  kind: ResourceRef['kind'],
  id: string,
): Json {
  const [step, ...rest] = steps as [string | number, ...(string | number)[]];
  if (typeof step === 'number') {
    const items = [...((value ?? []) as readonly Json[])];
    items[step] = rest.length === 0 ? replaced(items[step], kind, 'item', id) : setIn(items[step], rest, kind, id);
    return items;
  }
  const copy: Record<string, Json | undefined> = Object.create(null);
  Object.assign(copy, value as JsonObject);
  const inner = copy[step];
  const [next] = rest;
  if (step === 'EndpointsConfig' && rest.length === 1 && typeof next === 'string') {
    // The network is named by the key.
    copy[step] = renamed(inner as JsonObject, next, id);
  } else if (rest.length === 0) copy[step] = replaced(inner, kind, step, id);
  else if (rest.length === 1 && typeof next === 'number' && Array.isArray(inner)) {
    const items = [...(inner as readonly Json[])];
    items[next] = replaced(items[next], kind, step, id);
    copy[step] = items;
  } else copy[step] = setIn(inner, rest, kind, id);
  return copy as JsonObject;
}

/** A list element or field that names an object: text, or a mount with a source. */
function replaced(value: Json | undefined, kind: ResourceRef['kind'], field: string, id: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const copy: Record<string, Json | undefined> = Object.create(null);
    Object.assign(copy, value as JsonObject);
    copy.Source = id;
    return copy as JsonObject;
  }
  return carried(kind, typeof value === 'string' ? value : '', field, id);
}

function renamed(map: JsonObject, from: string, to: string): JsonObject {
  const copy: Record<string, Json | undefined> = Object.create(null);
  for (const [key, value] of Object.entries(map)) copy[key === from ? to : key] = value;
  return copy as JsonObject;
}

/** The text a field holds for an object, with the text around the name kept. */
function carried(kind: ResourceRef['kind'], value: string, field: string, id: string): string {
  if (kind !== 'container') return id;
  if (value.startsWith('container:')) return `container:${id}`;
  const colon = value.indexOf(':');
  if (field === 'VolumesFrom') return colon < 0 ? id : `${id}${value.slice(colon)}`;
  if (field === 'Links') {
    // Of `name` the alias is the name, of the stored form `/name:/other/alias` its last part.
    const alias = colon < 0 ? value : value.slice(colon + 1);
    return `${id}:${alias.slice(alias.lastIndexOf('/') + 1)}`;
  }
  return id;
}
