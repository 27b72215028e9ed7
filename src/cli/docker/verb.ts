// What a docker command is made of: its options, its operands, and the requests it becomes.
import { DockerCommandError, flag, type Options, type OptionTable, value } from './arguments.ts';

/** One Engine API request as the docker CLI would send it. */
export interface DockerRequest {
  readonly method: string;
  readonly target: string;
  readonly body?: unknown;
  /** A container that the requests before this one make: it is there by then, with these labels. */
  readonly assumes?: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  /** The container an exec instance of a request before this one runs in. */
  readonly within?: string;
}

export interface Verb {
  readonly options: OptionTable;
  /** False when everything after the first operand belongs to the container. Default: true. */
  readonly interspersed?: boolean;
  /** Fewest and most operands. */
  readonly operands: readonly [number, number];
  requests(operands: readonly string[], options: Options): readonly DockerRequest[];
  /** Everything the CLI sends on the way, look-ups included, in its order. Default: the requests its work consists of. */
  whole?(operands: readonly string[], options: Options): readonly DockerRequest[];
}

export const ANY = Number.POSITIVE_INFINITY;

type Query = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Path segments encoded, slashes of image names kept. */
export const path = (parts: TemplateStringsArray, ...names: readonly string[]): string =>
  parts.reduce(
    (text, part, index) =>
      `${text}${part}${
        index < names.length
          ? encodeURIComponent(names[index] ?? '')
              .replaceAll('%2F', '/')
              .replaceAll('%3A', ':')
          : ''
      }`,
    '',
  );

export const to = (method: string, target: string, query: Query = {}, body?: unknown): DockerRequest => {
  const parameters = new URLSearchParams();
  for (const [name, given] of Object.entries(query)) {
    for (const one of given === undefined ? [] : typeof given === 'string' ? [given] : given)
      parameters.append(name, one);
  }
  return {
    method,
    target: parameters.size === 0 ? target : `${target}?${parameters}`,
    ...(body === undefined ? {} : { body }),
  };
};

export const on = (given: boolean): string | undefined => (given ? '1' : undefined);
export const filters = (options: Options, more: readonly string[] = []): string | undefined => {
  const list = [...more, ...options.all('filter')];
  if (list.length === 0) return undefined;
  const grouped: Record<string, Record<string, boolean>> = {};
  for (const item of list) {
    const equals = item.indexOf('=');
    if (equals < 1) throw new DockerCommandError(`--filter "${item}" must be key=value`);
    const key = item.slice(0, equals);
    grouped[key] ??= {};
    grouped[key][item.slice(equals + 1)] = true;
  }
  return JSON.stringify(grouped);
};

/** Name and tag or digest of an image; no tag means `latest`. */
export const imageParts = (reference: string): { name: string; tag: string } => {
  const at = reference.indexOf('@');
  if (at >= 0) return { name: reference.slice(0, at).replace(/:[^:/]*$/, ''), tag: reference.slice(at + 1) };
  const colon = reference.lastIndexOf(':');
  return colon > reference.lastIndexOf('/')
    ? { name: reference.slice(0, colon), tag: reference.slice(colon + 1) }
    : { name: reference, tag: 'latest' };
};

/** `alpine` is `docker.io/library/alpine`, as the docker CLI writes it out. */
export const fullName = (name: string): string => {
  const [host = '', ...rest] = name.split('/');
  if (rest.length === 0) return `docker.io/library/${name}`;
  return /[.:]/.test(host) || host === 'localhost' ? name : `docker.io/${name}`;
};

/** What the CLI asks of the container before it does its work. */
export const look = (name: string): DockerRequest => to('GET', path`/containers/${name}/json`);

/** A verb that looks at each container before its request. */
export const looking = (verb: Verb): Verb => ({
  ...verb,
  whole: (operands, options) => operands.flatMap((name) => [look(name), ...verb.requests([name], options)]),
});

/** A verb that sends one request for each operand. */
export const each = (options: OptionTable, request: (name: string, options: Options) => DockerRequest): Verb => ({
  options,
  operands: [1, ANY],
  requests: (operands, given) => operands.map((name) => request(name, given)),
});

/** A verb without operands. */
export const plain = (options: OptionTable, request: (options: Options) => DockerRequest): Verb => ({
  options,
  operands: [0, 0],
  requests: (_operands, given) => [request(given)],
});

export const OUTPUT: OptionTable = { format: value('f'), quiet: flag('q'), 'no-trunc': flag() };
export const LIST: OptionTable = { format: value(), quiet: flag('q'), 'no-trunc': flag(), filter: value('f') };
export const prune = (kind: string): Verb =>
  plain({ force: flag('f'), filter: value() }, (options) =>
    to('POST', path`/${kind}/prune`, { filters: filters(options) }),
  );
