// Labels a thing must have, and labels it must not set: of containers, services, volumes, networks, secrets, configs and builds.
// Labels that an image brings along are not the caller's and are not seen here.
import {
  type AdmissionRequest,
  definePlugin,
  deny,
  type Json,
  type JsonObject,
  objectOf,
  PASS,
  textOf,
  type Verdict,
} from '../src/plugin.ts';

interface Settings {
  /** Name of a label to a regular expression that its whole value must match. */
  readonly required: Readonly<Record<string, string>>;
  readonly forbidden: readonly string[];
  /** Kinds that must have the required ones. Forbidden prefixes hold for all. */
  readonly kinds: readonly string[];
}

interface Labels {
  readonly field: string;
  readonly labels: JsonObject;
  /** False where there may be fewer: a label of a service is not one of its containers. */
  readonly isMain: boolean;
}

function labelsOf({ operation, body, query }: AdmissionRequest): readonly Labels[] {
  const all = objectOf(body);
  if (operation.action === 'build.run') {
    return [{ field: 'query.labels', labels: readLabels(query.labels?.[0] ?? ''), isMain: true }];
  }
  const found = [{ field: 'Labels', labels: objectOf(all.Labels), isMain: true }];
  if (!operation.action.startsWith('service.')) return found;
  const { Labels: inner } = objectOf(objectOf(all.TaskTemplate).ContainerSpec);
  return [...found, { field: 'TaskTemplate.ContainerSpec.Labels', labels: objectOf(inner), isMain: false }];
}

const readLabels = (text: string): JsonObject => (text === '' ? {} : objectOf(JSON.parse(text) as Json));

function validate(request: AdmissionRequest, { config }: { readonly config: Settings }): Verdict {
  const kind = request.operation.action.split('.')[0] as string;
  for (const { field, labels, isMain } of labelsOf(request)) {
    for (const name of Object.keys(labels)) {
      const prefix = config.forbidden.find((one) => name.startsWith(one));
      if (prefix !== undefined)
        return deny('label-forbidden', `${field} sets "${name}", and labels that begin with "${prefix}" are not yours`);
    }
    if (!isMain || !config.kinds.includes(kind)) continue;
    for (const [name, pattern] of Object.entries(config.required)) {
      const value = Object.hasOwn(labels, name) ? labels[name] : undefined;
      if (value === undefined)
        return deny('label-missing', `${field} must have "${name}": add --label ${name}=VALUE (like ${pattern})`);
      if (!new RegExp(`^(?:${pattern})$`, 'u').test(textOf(value)))
        return deny('label-invalid', `${field}."${name}" is "${textOf(value)}" (allowed: like ${pattern})`);
    }
  }
  return PASS;
}

const KINDS = ['container', 'service', 'volume', 'network', 'secret', 'config', 'build'];

export default definePlugin<Settings>({
  meta: {
    name: 'label-policy',
    version: '1.0.0',
    apiVersion: 1,
    description: 'Requires labels with values of a form, and refuses labels by the start of their names',
  },
  match: {
    actions: [
      ...['container.create', 'service.create', 'service.update', 'volume.create', 'network.create'],
      ...['secret.create', 'secret.update', 'config.create', 'config.update', 'build.run'],
    ],
  },
  config: {
    type: 'object',
    properties: {
      required: { type: 'object', additionalProperties: { type: 'string' }, default: {} },
      forbidden: { type: 'array', items: { type: 'string', minLength: 1 }, default: [] },
      kinds: { type: 'array', items: { enum: KINDS }, default: ['container', 'service'] },
    },
    additionalProperties: false,
  },
  setup({ config }) {
    for (const [name, pattern] of Object.entries(config.required)) {
      try {
        new RegExp(pattern, 'u');
      } catch {
        throw new Error(`required.${name} is not a regular expression`);
      }
    }
  },
  validate,
  examples: [
    {
      name: 'a container with its owner',
      action: 'container.create',
      config: { required: { owner: '[a-z]+' } },
      body: { Image: 'x', Labels: { owner: 'red' } },
      expect: 'pass',
    },
    {
      name: 'a container without an owner',
      action: 'container.create',
      config: { required: { owner: '[a-z]+' } },
      body: { Image: 'x' },
      expect: { deny: 'label-missing' },
    },
  ],
});
