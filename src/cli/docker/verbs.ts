// The docker CLI's commands and the Engine API requests their work consists of. Look-ups the CLI makes on the way are left out.
import { DockerCommandError, flag, Options, parseArguments, value } from './arguments.ts';
import { CONTAINER } from './container-verbs.ts';
import { IMAGE, imagePrune } from './image-verbs.ts';
import { NETWORK, VOLUME } from './network-verbs.ts';
import { ANY, type DockerRequest, filters, OUTPUT, plain, to, type Verb } from './verb.ts';

const SYSTEM: Readonly<Record<string, Verb>> = {
  info: plain(OUTPUT, () => to('GET', '/info')),
  df: plain({ ...OUTPUT, verbose: flag('v') }, () => to('GET', '/system/df')),
  events: plain({ filter: value('f'), format: value(), since: value(), until: value() }, (options) =>
    to('GET', '/events', { since: options.last('since'), until: options.last('until'), filters: filters(options) }),
  ),
  prune: {
    options: { all: flag('a'), filter: value(), force: flag('f'), volumes: flag() },
    operands: [0, 0],
    requests: (_none, options) => [
      ...['containers', 'networks', ...(options.is('volumes') ? ['volumes'] : [])].map((kind) =>
        to('POST', `/${kind}/prune`, { filters: filters(options) }),
      ),
      imagePrune(options),
    ],
    whole: (none, options) => [
      ...(SYSTEM.prune as Verb).requests(none, options),
      to('POST', '/build/prune', { filters: filters(options) }),
    ],
  },
};

const ALIASES: Readonly<Record<string, string>> = { list: 'ls', ps: 'ls', remove: 'rm' };

const GROUPS: Readonly<Record<string, Readonly<Record<string, Verb>>>> = {
  container: CONTAINER,
  image: IMAGE,
  volume: VOLUME,
  network: NETWORK,
  system: SYSTEM,
};

/** Commands that go without a group. */
const TOP: Readonly<Record<string, Verb | undefined>> = {
  ...Object.fromEntries(Object.entries(CONTAINER).filter(([name]) => name !== 'ls' && name !== 'prune')),
  ps: CONTAINER.ls,
  ...Object.fromEntries(Object.entries(IMAGE).filter(([name]) => !['ls', 'rm', 'inspect', 'prune'].includes(name))),
  images: IMAGE.ls,
  rmi: IMAGE.rm,
  info: SYSTEM.info,
  events: SYSTEM.events,
  version: plain(OUTPUT, () => to('GET', '/version')),
};

/**
 * The requests of one docker command.
 *
 * @param words after `docker`
 * @throws {DockerCommandError} for what is not known here or cannot be read
 */
export const requestsOf = (words: readonly string[]): readonly DockerRequest[] => {
  const { verb, operands, options } = read(words);
  return verb.requests(operands, options);
};

/** As `requestsOf`, then everything else the CLI sends on the way: look-ups, attach, wait, and its greeting. */
export const wholeRequestsOf = (words: readonly string[]): readonly DockerRequest[] => {
  const { verb, operands, options } = read(words);
  const work = verb.requests(operands, options);
  const lineOf = ({ method, target }: DockerRequest): string => `${method} ${target}`;
  const known = new Set(work.map(lineOf));
  const whole = verb.whole?.(operands, options) ?? [];
  // What the work assumes of the calls before it stands in the whole.
  const first = work.map((one) => whole.find((other) => lineOf(other) === lineOf(one)) ?? one);
  return [...first, ...whole.filter((one) => !known.has(lineOf(one))), to('HEAD', '/_ping')];
};

const read = (words: readonly string[]) => {
  const [first = '', second = ''] = words;
  const group = Object.hasOwn(GROUPS, first) ? GROUPS[first] : undefined;
  const own = (table: Readonly<Record<string, Verb | undefined>>, word: string) =>
    Object.hasOwn(table, word) ? table[word] : undefined;
  const verb = group ? own(group, ALIASES[second] ?? second) : own(TOP, first);
  const title = group ? `${first} ${second}` : first;
  if (!verb)
    throw new DockerCommandError(
      `docker ${title.trim()} is not known here; write the request down and use --request FILE`,
    );
  const parsed = parseArguments(title, words.slice(group ? 2 : 1), verb.options, verb.interspersed ?? true);
  const [least, most] = verb.operands;
  const count = parsed.operands.length;
  if (count < least || count > most) {
    throw new DockerCommandError(
      `docker ${title} needs ${most === ANY ? `at least ${least}` : least === most ? least : `${least} to ${most}`} ${most === 1 ? 'argument' : 'arguments'}, got ${count}`,
    );
  }
  return { verb, operands: parsed.operands, options: new Options(parsed) };
};
