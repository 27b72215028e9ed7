// docker pull, push, build, tag and the other commands on images.
import { flag, type Options, value } from './arguments.ts';
import { pairs } from './values.ts';
import {
  ANY,
  type DockerRequest,
  each,
  filters,
  fullName,
  imageParts,
  LIST,
  OUTPUT,
  on,
  path,
  plain,
  to,
  type Verb,
} from './verb.ts';

/** Without `--all` only images no name points at. */
export const imagePrune = (options: Options): DockerRequest =>
  to('POST', '/images/prune', { filters: filters(options, [`dangling=${!options.is('all')}`]) });

const build: Verb = {
  options: {
    'add-host': value(),
    'build-arg': value(),
    'cache-from': value(),
    'cgroup-parent': value(),
    compress: flag(),
    'cpu-period': value(),
    'cpu-quota': value(),
    'cpu-shares': value('c'),
    'cpuset-cpus': value(),
    'cpuset-mems': value(),
    file: value('f'),
    'force-rm': flag(),
    iidfile: value(),
    isolation: value(),
    label: value(),
    memory: value('m'),
    'memory-swap': value(),
    network: value(),
    'no-cache': flag(),
    platform: value(),
    progress: value(),
    pull: flag(),
    quiet: flag('q'),
    rm: flag(),
    'security-opt': value(),
    'shm-size': value(),
    squash: flag(),
    tag: value('t'),
    target: value(),
    ulimit: value(),
  },
  operands: [1, 1],
  requests: ([context = ''], options) => [
    to('POST', '/build', {
      t: options.all('tag'),
      dockerfile: options.last('file') ?? 'Dockerfile',
      remote: /^(https?|git):\/\/|^git@|^github\.com\//.test(context) ? context : undefined,
      networkmode: options.last('network'),
      target: options.last('target'),
      platform: options.last('platform'),
      nocache: on(options.is('no-cache')),
      pull: on(options.is('pull')),
      q: on(options.is('quiet')),
      squash: on(options.is('squash')),
      extrahosts: options.all('add-host').length > 0 ? options.all('add-host').join(',') : undefined,
      cgroupparent: options.last('cgroup-parent'),
      buildargs: options.all('build-arg').length > 0 ? JSON.stringify(pairs(options.all('build-arg'))) : undefined,
      labels: options.all('label').length > 0 ? JSON.stringify(pairs(options.all('label'))) : undefined,
      cachefrom: options.all('cache-from').length > 0 ? JSON.stringify(options.all('cache-from')) : undefined,
    }),
  ],
};

const push = (reference: string): DockerRequest => {
  const { name, tag } = imageParts(reference);
  return to('POST', path`/images/${name}/push`, { tag });
};

export const IMAGE: Readonly<Record<string, Verb>> = {
  pull: each(
    { 'all-tags': flag('a'), 'disable-content-trust': flag(), platform: value(), quiet: flag('q') },
    (reference, options) => {
      const { name, tag } = imageParts(reference);
      return to('POST', '/images/create', {
        fromImage: fullName(name),
        tag: options.is('all-tags') ? undefined : tag,
        platform: options.last('platform'),
      });
    },
  ),
  push: each({ 'all-tags': flag('a'), 'disable-content-trust': flag(), platform: value(), quiet: flag('q') }, push),
  build,
  ls: {
    options: { ...LIST, all: flag('a'), digests: flag(), tree: flag() },
    operands: [0, 1],
    requests: (_names, options) => [
      to('GET', '/images/json', { all: on(options.is('all')), filters: filters(options) }),
    ],
  },
  rm: each({ force: flag('f'), 'no-prune': flag(), platform: value() }, (name, options) =>
    to('DELETE', path`/images/${name}`, { force: on(options.is('force')), noprune: on(options.is('no-prune')) }),
  ),
  inspect: each({ ...OUTPUT, platform: value() }, (name) => to('GET', path`/images/${name}/json`)),
  history: each({ ...OUTPUT, human: flag('H'), platform: value() }, (name) => to('GET', path`/images/${name}/history`)),
  tag: {
    options: {},
    operands: [2, 2],
    requests([source = '', target = '']) {
      const { name, tag } = imageParts(target);
      return [to('POST', path`/images/${source}/tag`, { repo: fullName(name), tag })];
    },
  },
  save: {
    options: { output: value('o'), platform: value() },
    operands: [1, ANY],
    requests: (names) => [to('GET', '/images/get', { names })],
  },
  load: plain({ input: value('i'), platform: value(), quiet: flag('q') }, (options) =>
    to('POST', '/images/load', { quiet: on(options.is('quiet')) }),
  ),
  import: {
    options: { change: value('c'), message: value('m'), platform: value() },
    operands: [1, 2],
    requests([source = '', reference], options) {
      const image = reference === undefined ? undefined : imageParts(reference);
      const remote = /^https?:\/\//.test(source);
      return [
        to('POST', '/images/create', {
          fromSrc: remote ? source : '-',
          repo: image?.name,
          tag: image?.tag,
          message: options.last('message'),
          changes: options.all('change'),
        }),
      ];
    },
  },
  prune: plain({ all: flag('a'), filter: value(), force: flag('f') }, imagePrune),
};
