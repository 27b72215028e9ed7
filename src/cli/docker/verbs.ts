// The docker CLI's commands and the Engine API requests their work consists of. Look-ups the CLI makes on the way are left out.
import { DockerCommandError, flag, Options, type OptionTable, parseArguments, value } from './arguments.ts';
import { CONTAINER_OPTIONS, containerBody, pairs, resourcesBody } from './container-body.ts';

/** One Engine API request as the docker CLI would send it. */
export interface DockerRequest {
  readonly method: string;
  readonly target: string;
  readonly body?: unknown;
}

interface Verb {
  readonly options: OptionTable;
  /** False when everything after the first operand belongs to the container. Default: true. */
  readonly interspersed?: boolean;
  /** Fewest and most operands. */
  readonly operands: readonly [number, number];
  requests(operands: readonly string[], options: Options): readonly DockerRequest[];
}

const ANY = Number.POSITIVE_INFINITY;

type Query = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Path segments encoded, slashes of image names kept. */
const path = (parts: TemplateStringsArray, ...names: readonly string[]): string =>
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

const to = (method: string, target: string, query: Query = {}, body?: unknown): DockerRequest => {
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

const on = (given: boolean): string | undefined => (given ? '1' : undefined);
const filters = (options: Options, more: readonly string[] = []): string | undefined => {
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
const imageParts = (reference: string): { name: string; tag: string } => {
  const at = reference.indexOf('@');
  if (at >= 0) return { name: reference.slice(0, at).replace(/:[^:/]*$/, ''), tag: reference.slice(at + 1) };
  const colon = reference.lastIndexOf(':');
  return colon > reference.lastIndexOf('/')
    ? { name: reference.slice(0, colon), tag: reference.slice(colon + 1) }
    : { name: reference, tag: 'latest' };
};

/** `alpine` is `docker.io/library/alpine`, as the docker CLI writes it out. */
const fullName = (name: string): string => {
  const [host = '', ...rest] = name.split('/');
  if (rest.length === 0) return `docker.io/library/${name}`;
  return /[.:]/.test(host) || host === 'localhost' ? name : `docker.io/${name}`;
};

/** A verb that sends one request for each operand. */
const each = (options: OptionTable, request: (name: string, options: Options) => DockerRequest): Verb => ({
  options,
  operands: [1, ANY],
  requests: (operands, given) => operands.map((name) => request(name, given)),
});

/** A verb without operands. */
const plain = (options: OptionTable, request: (options: Options) => DockerRequest): Verb => ({
  options,
  operands: [0, 0],
  requests: (_operands, given) => [request(given)],
});

const { detach: _detach, 'detach-keys': _keys, 'sig-proxy': _proxy, ...CREATE_OPTIONS } = CONTAINER_OPTIONS;

const runOrCreate = (verb: 'run' | 'create'): Verb => ({
  options: verb === 'run' ? CONTAINER_OPTIONS : CREATE_OPTIONS,
  interspersed: false,
  operands: [1, ANY],
  requests([image = '', ...command], options) {
    const name = options.last('name');
    const create = to(
      'POST',
      '/containers/create',
      { name, platform: options.last('platform') },
      containerBody(verb, options, image, command),
    );
    // Without a name the engine chooses an id, and the start is judged on that: nothing to say before it exists.
    return verb === 'run' && name !== undefined ? [create, to('POST', path`/containers/${name}/start`)] : [create];
  },
});

const OUTPUT: OptionTable = { format: value('f'), quiet: flag('q'), 'no-trunc': flag() };
const LIST: OptionTable = { format: value(), quiet: flag('q'), 'no-trunc': flag(), filter: value('f') };
const SIGNAL_TIME: OptionTable = { signal: value('s'), time: value('t'), timeout: value('t') };

const stopping = (verb: 'stop' | 'restart'): Verb =>
  each(SIGNAL_TIME, (name, options) =>
    to('POST', path`/containers/${name}/${verb}`, {
      t: options.last('time', 'timeout'),
      signal: options.last('signal'),
    }),
  );
const posting = (verb: 'pause' | 'unpause' | 'wait'): Verb =>
  each({}, (name) => to('POST', path`/containers/${name}/${verb}`));
const prune = (kind: string): Verb =>
  plain({ force: flag('f'), filter: value() }, (options) =>
    to('POST', path`/${kind}/prune`, { filters: filters(options) }),
  );

const imagePrune = (options: Options): DockerRequest =>
  to('POST', '/images/prune', { filters: filters(options, [`dangling=${!options.is('all')}`]) });

const exec: Verb = {
  options: {
    detach: flag('d'),
    'detach-keys': value(),
    env: value('e'),
    'env-file': value(),
    interactive: flag('i'),
    privileged: flag(),
    tty: flag('t'),
    user: value('u'),
    workdir: value('w'),
  },
  interspersed: false,
  operands: [2, ANY],
  requests: ([container = '', ...command], options) => [
    to(
      'POST',
      path`/containers/${container}/exec`,
      {},
      {
        Cmd: command,
        AttachStdout: !options.is('detach'),
        AttachStderr: !options.is('detach'),
        ...(options.is('interactive') && !options.is('detach') ? { AttachStdin: true } : {}),
        ...(options.is('detach') ? { Detach: true } : {}),
        ...(options.is('tty') ? { Tty: true } : {}),
        ...(options.is('privileged') ? { Privileged: true } : {}),
        ...(options.last('user') === undefined ? {} : { User: options.last('user') }),
        ...(options.last('workdir') === undefined ? {} : { WorkingDir: options.last('workdir') }),
        ...(options.all('env').length === 0 ? {} : { Env: options.all('env').filter((one) => one.includes('=')) }),
      },
    ),
  ],
};

const copy: Verb = {
  options: { archive: flag('a'), 'follow-link': flag('L'), quiet: flag('q') },
  operands: [2, 2],
  requests([from = '', target = '']) {
    const parts = (text: string) => /^([^/.][^:/]*):(.+)$/.exec(text);
    const [source, sink] = [parts(from), parts(target)];
    if (source && !sink) return [to('GET', path`/containers/${source[1] ?? ''}/archive`, { path: source[2] })];
    if (sink && !source)
      return [to('PUT', path`/containers/${sink[1] ?? ''}/archive`, { path: sink[2], noOverwriteDirNonDir: 'true' })];
    throw new DockerCommandError('docker cp needs one path of a container, CONTAINER:PATH, and one of this machine');
  },
};

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

const volumeCreate: Verb = {
  options: { driver: value('d'), label: value(), opt: value('o'), name: value() },
  operands: [0, 1],
  requests: ([name], options) => [
    to(
      'POST',
      '/volumes/create',
      {},
      {
        Name: name ?? options.last('name') ?? '',
        Driver: options.last('driver') ?? 'local',
        ...(options.all('opt').length === 0 ? {} : { DriverOpts: pairs(options.all('opt')) }),
        ...(options.all('label').length === 0 ? {} : { Labels: pairs(options.all('label')) }),
      },
    ),
  ],
};

const networkCreate: Verb = {
  options: {
    attachable: flag(),
    'aux-address': value(),
    'config-from': value(),
    'config-only': flag(),
    driver: value('d'),
    gateway: value(),
    ingress: flag(),
    internal: flag(),
    'ip-range': value(),
    'ipam-driver': value(),
    'ipam-opt': value(),
    ipv4: flag(),
    ipv6: flag(),
    label: value(),
    opt: value('o'),
    scope: value(),
    subnet: value(),
  },
  operands: [1, 1],
  requests([name = ''], options) {
    const [ranges, gateways] = [options.all('ip-range'), options.all('gateway')];
    const subnets = options.all('subnet').map((Subnet, index) => ({
      Subnet,
      ...(ranges[index] === undefined ? {} : { IPRange: ranges[index] }),
      ...(gateways[index] === undefined ? {} : { Gateway: gateways[index] }),
    }));
    const flags = {
      Internal: 'internal',
      Attachable: 'attachable',
      Ingress: 'ingress',
      EnableIPv6: 'ipv6',
      ConfigOnly: 'config-only',
    };
    return [
      to(
        'POST',
        '/networks/create',
        {},
        {
          Name: name,
          Driver: options.last('driver') ?? 'bridge',
          ...(options.last('scope') === undefined ? {} : { Scope: options.last('scope') }),
          ...Object.fromEntries(
            Object.entries(flags).flatMap(([field, option]) => (options.is(option) ? [[field, true]] : [])),
          ),
          ...(options.last('config-from') === undefined
            ? {}
            : { ConfigFrom: { Network: options.last('config-from') } }),
          ...(subnets.length > 0 || options.last('ipam-driver') !== undefined
            ? { IPAM: { Driver: options.last('ipam-driver') ?? 'default', Config: subnets } }
            : {}),
          ...(options.all('opt').length === 0 ? {} : { Options: pairs(options.all('opt')) }),
          ...(options.all('label').length === 0 ? {} : { Labels: pairs(options.all('label')) }),
        },
      ),
    ];
  },
};

const networkConnect: Verb = {
  options: {
    alias: value(),
    'driver-opt': value(),
    ip: value(),
    ip6: value(),
    link: value(),
    'link-local-ip': value(),
  },
  operands: [2, 2],
  requests([network = '', container = ''], options) {
    const addresses = {
      ...(options.last('ip') === undefined ? {} : { IPv4Address: options.last('ip') }),
      ...(options.last('ip6') === undefined ? {} : { IPv6Address: options.last('ip6') }),
      ...(options.all('link-local-ip').length === 0 ? {} : { LinkLocalIPs: options.all('link-local-ip') }),
    };
    const endpoint = {
      ...(options.all('alias').length === 0 ? {} : { Aliases: options.all('alias') }),
      ...(options.all('link').length === 0 ? {} : { Links: options.all('link') }),
      ...(options.all('driver-opt').length === 0 ? {} : { DriverOpts: pairs(options.all('driver-opt')) }),
      ...(Object.keys(addresses).length === 0 ? {} : { IPAMConfig: addresses }),
    };
    return [to('POST', path`/networks/${network}/connect`, {}, { Container: container, EndpointConfig: endpoint })];
  },
};

const push = (reference: string): DockerRequest => {
  const { name, tag } = imageParts(reference);
  return to('POST', path`/images/${name}/push`, { tag });
};

/** Commands by their full name; `VERBS` of containers and images also go by their short one. */
const CONTAINER: Readonly<Record<string, Verb>> = {
  run: runOrCreate('run'),
  create: runOrCreate('create'),
  exec,
  cp: copy,
  ls: plain({ ...LIST, all: flag('a'), last: value('n'), latest: flag('l'), size: flag('s') }, (options) =>
    to('GET', '/containers/json', {
      all: on(options.is('all')),
      limit: options.is('latest') ? '1' : options.last('last'),
      size: on(options.is('size')),
      filters: filters(options),
    }),
  ),
  start: each({ attach: flag('a'), interactive: flag('i'), 'detach-keys': value() }, (name) =>
    to('POST', path`/containers/${name}/start`),
  ),
  stop: stopping('stop'),
  restart: stopping('restart'),
  kill: each({ signal: value('s') }, (name, options) =>
    to('POST', path`/containers/${name}/kill`, { signal: options.last('signal') ?? 'KILL' }),
  ),
  rm: each({ force: flag('f'), link: flag('l'), volumes: flag('v') }, (name, options) =>
    to('DELETE', path`/containers/${name}`, {
      force: on(options.is('force')),
      v: on(options.is('volumes')),
      link: on(options.is('link')),
    }),
  ),
  pause: posting('pause'),
  unpause: posting('unpause'),
  wait: posting('wait'),
  logs: each(
    { details: flag(), follow: flag('f'), since: value(), tail: value('n'), timestamps: flag('t'), until: value() },
    (name, options) =>
      to('GET', path`/containers/${name}/logs`, {
        follow: on(options.is('follow')),
        stdout: '1',
        stderr: '1',
        tail: options.last('tail') ?? 'all',
        timestamps: on(options.is('timestamps')),
        details: on(options.is('details')),
      }),
  ),
  inspect: each({ ...OUTPUT, size: flag('s') }, (name, options) =>
    to('GET', path`/containers/${name}/json`, { size: on(options.is('size')) }),
  ),
  attach: each({ 'detach-keys': value(), 'no-stdin': flag(), 'sig-proxy': flag() }, (name, options) =>
    to('POST', path`/containers/${name}/attach`, {
      stdin: on(!options.is('no-stdin')),
      stdout: '1',
      stderr: '1',
      stream: '1',
    }),
  ),
  stats: {
    options: { ...OUTPUT, all: flag('a'), 'no-stream': flag() },
    operands: [0, ANY],
    requests: (names, options) =>
      names.length === 0
        ? [to('GET', '/containers/json')]
        : names.map((name) =>
            to('GET', path`/containers/${name}/stats`, { stream: options.is('no-stream') ? '0' : '1' }),
          ),
  },
  top: {
    options: {},
    interspersed: false,
    operands: [1, ANY],
    requests: ([name = '', ...rest]) => [
      to('GET', path`/containers/${name}/top`, { ps_args: rest.length > 0 ? rest.join(' ') : undefined }),
    ],
  },
  diff: each({}, (name) => to('GET', path`/containers/${name}/changes`)),
  export: each({ output: value('o') }, (name) => to('GET', path`/containers/${name}/export`)),
  rename: {
    options: {},
    operands: [2, 2],
    requests: ([from = '', name = '']) => [to('POST', path`/containers/${from}/rename`, { name })],
  },
  update: {
    options: Object.fromEntries(
      [
        'blkio-weight',
        'cpu-period',
        'cpu-quota',
        'cpu-rt-period',
        'cpu-rt-runtime',
        'cpu-shares',
        'cpus',
        'cpuset-cpus',
        'cpuset-mems',
        'memory',
        'memory-reservation',
        'memory-swap',
        'pids-limit',
        'restart',
        'kernel-memory',
      ].map((name) => [name, CONTAINER_OPTIONS[name] ?? value()]),
    ),
    operands: [1, ANY],
    requests: (names, options) =>
      names.map((name) => to('POST', path`/containers/${name}/update`, {}, resourcesBody(options))),
  },
  commit: {
    options: { author: value('a'), change: value('c'), message: value('m'), pause: flag('p'), 'no-pause': flag() },
    operands: [1, 2],
    requests([container = '', reference], options) {
      const image = reference === undefined ? undefined : imageParts(reference);
      return [
        to('POST', '/commit', {
          container,
          repo: image && fullName(image.name),
          tag: image?.tag,
          comment: options.last('message'),
          author: options.last('author'),
          changes: options.all('change'),
        }),
      ];
    },
  },
  port: { options: {}, operands: [1, 2], requests: ([name = '']) => [to('GET', path`/containers/${name}/json`)] },
  prune: prune('containers'),
};

const IMAGE: Readonly<Record<string, Verb>> = {
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

const ALIASES: Readonly<Record<string, string>> = { list: 'ls', ps: 'ls', remove: 'rm' };

const GROUPS: Readonly<Record<string, Readonly<Record<string, Verb>>>> = {
  container: CONTAINER,
  image: IMAGE,
  volume: {
    create: volumeCreate,
    ls: plain(LIST, (options) => to('GET', '/volumes', { filters: filters(options) })),
    rm: each({ force: flag('f') }, (name, options) =>
      to('DELETE', path`/volumes/${name}`, { force: on(options.is('force')) }),
    ),
    inspect: each(OUTPUT, (name) => to('GET', path`/volumes/${name}`)),
    prune: plain({ all: flag('a'), filter: value(), force: flag('f') }, (options) =>
      to('POST', '/volumes/prune', { filters: filters(options, options.is('all') ? ['all=true'] : []) }),
    ),
  },
  network: {
    create: networkCreate,
    connect: networkConnect,
    disconnect: {
      options: { force: flag('f') },
      operands: [2, 2],
      requests: ([network = '', container = ''], options) => [
        to('POST', path`/networks/${network}/disconnect`, {}, { Container: container, Force: options.is('force') }),
      ],
    },
    ls: plain(LIST, (options) => to('GET', '/networks', { filters: filters(options) })),
    rm: each({ force: flag('f') }, (name) => to('DELETE', path`/networks/${name}`)),
    inspect: each({ ...OUTPUT, verbose: flag('v') }, (name) => to('GET', path`/networks/${name}`)),
    prune: prune('networks'),
  },
  system: {
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
    },
  },
};

const TOP: Readonly<Record<string, Verb | undefined>> = {
  ...Object.fromEntries(Object.entries(CONTAINER).filter(([name]) => name !== 'ls' && name !== 'prune')),
  ps: CONTAINER.ls,
  ...Object.fromEntries(Object.entries(IMAGE).filter(([name]) => !['ls', 'rm', 'inspect', 'prune'].includes(name))),
  images: IMAGE.ls,
  rmi: IMAGE.rm,
  info: GROUPS.system?.info,
  events: GROUPS.system?.events,
  version: plain(OUTPUT, () => to('GET', '/version')),
};

/**
 * The requests of one docker command.
 *
 * @param words after `docker`
 * @throws {DockerCommandError} for what is not known here or cannot be read
 */
export const requestsOf = (words: readonly string[]): readonly DockerRequest[] => {
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
  return verb.requests(parsed.operands, new Options(parsed));
};
