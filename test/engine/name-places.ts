// Every text of every JSON body, and which of them name an object: found by putting a name into one place after the other.
import { OPERATIONS } from '../../src/engine/classify.ts';
import { referencesOf } from '../../src/engine/references.ts';
import type { Schema } from '../../src/engine/schema.ts';
import { BODY_SCHEMAS } from '../../src/engine/schemas/bodies.ts';
import type { Json, JsonObject, Operation, ResourceRef } from '../../src/engine/types.ts';

export interface TextPlace {
  readonly operation: Operation;
  /** `HostConfig.Mounts[].Source`; `{}` stands for a value of a map, `{key}` for its key. */
  readonly path: string;
  /** Struct and field: `Mount.Source`. */
  readonly field: string;
}

/** What a name looks like where more stands around it. */
const FORMS: readonly ((name: string) => string)[] = [
  (name) => name,
  (name) => `container:${name}`,
  (name) => `${name}:/target`,
];
/** What else must be said for the text to be a name. */
const BESIDE: readonly JsonObject[] = [{}, { Type: 'volume' }, { Type: 'image' }];
export const NAME = 'marked-name';

export function textPlaces(): readonly TextPlace[] {
  return OPERATIONS.flatMap((operation) => {
    const schema = BODY_SCHEMAS.get(operation.body ?? '');
    return schema === undefined || operation.body === 'tar'
      ? []
      : leaves(schema, '', '').map((leaf) => ({ operation, ...leaf }));
  });
}

function leaves(schema: Schema, path: string, field: string): { path: string; field: string }[] {
  switch (schema.kind) {
    case 'text':
      return [{ path, field }];
    case 'strings':
      return [{ path: `${path}[]`, field }];
    case 'list':
      return leaves(schema.of, `${path}[]`, field);
    case 'map':
      return [{ path: `${path}{key}`, field: `${field}{key}` }, ...leaves(schema.of, `${path}{}`, `${field}{}`)];
    case 'struct':
      return schema.order
        .filter(({ rule }) => rule === 'keep')
        .flatMap(({ name, schema: inner }) =>
          leaves(inner, path === '' ? name : `${path}.${name}`, `${schema.name}.${name}`),
        );
    default:
      return [];
  }
}

/** A body with a text at one place, and what else is said beside it. */
export function bodyWith(path: string, text: string, beside: JsonObject = {}): Json {
  const steps = path.match(/\[\]|\{key\}|\{\}|[^.[\]{}]+/g) ?? [];
  const build = (i: number): Json => {
    const step = steps[i];
    if (step === undefined) return text;
    if (step === '{key}') return { [text]: null } as unknown as JsonObject;
    const inner = build(i + 1);
    if (step === '[]') return [inner];
    if (step === '{}') return { any: inner };
    return { ...(i === steps.length - 1 ? beside : {}), [step]: inner };
  };
  return build(0);
}

/** The reference a name at a place gives; undefined where it is no name. */
export function namedAt({
  operation,
  path,
}: TextPlace): { readonly ref: ResourceRef; readonly body: Json } | undefined {
  const inPath = Object.fromEntries(
    [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name as string, 'x']),
  );
  const target = { operation, action: operation.action, apiVersion: undefined, path: inPath, query: {} };
  for (const form of FORMS)
    for (const beside of BESIDE) {
      const body = bodyWith(path, form(NAME), beside);
      try {
        const ref = referencesOf(target, body).find(({ name }) => name.includes(NAME));
        if (ref !== undefined) return { ref, body };
      } catch {
        // This form is none here.
      }
    }
  return undefined;
}
