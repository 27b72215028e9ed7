// docker run, exec, ps, cp and the other commands on containers.
import { DockerCommandError, flag, type OptionTable, value } from './arguments.ts';
import { containerBody, resourcesBody } from './container-body.ts';
import { CONTAINER_OPTIONS } from './container-options.ts';
import {
  ANY,
  type DockerRequest,
  each,
  filters,
  fullName,
  imageParts,
  LIST,
  look,
  looking,
  OUTPUT,
  on,
  path,
  plain,
  prune,
  to,
  type Verb,
} from './verb.ts';

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
  whole([image = '', ...command], options) {
    const { name: imageName, tag } = imageParts(image);
    const pull = to('POST', '/images/create', {
      fromImage: fullName(imageName),
      tag,
      platform: options.last('platform'),
    });
    const [create] = runOrCreate('create').requests([image, ...command], options);
    const first = [...(options.last('pull') === 'always' ? [pull] : []), create as DockerRequest];
    if (verb === 'create') return first;
    const name = options.last('name') ?? NEW;
    const assumes = { name, labels: labelsOf(create?.body) };
    const is = (option: string): boolean => options.is(option);
    const isSeen = !is('detach');
    const after = isSeen
      ? [
          ...attachTo(name, is('interactive')),
          to('POST', path`/containers/${name}/wait`, { condition: is('rm') ? 'removed' : 'next-exit' }),
        ]
      : [];
    const resize = isSeen && is('tty') ? [to('POST', path`/containers/${name}/resize`, { h: '24', w: '80' })] : [];
    return [
      ...first,
      ...[...after, to('POST', path`/containers/${name}/start`), ...resize].map((one) => ({ ...one, assumes })),
    ];
  },
});

/** Stands for a container, or an exec instance, whose id the engine has yet to choose. */
const NEW = 'new';

const labelsOf = (body: unknown): Readonly<Record<string, string>> =>
  ((body as { Labels?: Readonly<Record<string, string>> } | undefined)?.Labels ?? {}) as Readonly<
    Record<string, string>
  >;

const attachTo = (name: string, withInput: boolean): DockerRequest[] => [
  to('POST', path`/containers/${name}/attach`, {
    stdin: on(withInput),
    stdout: '1',
    stderr: '1',
    stream: '1',
  }),
];

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
  whole([container = '', ...command], options) {
    const within = (request: DockerRequest): DockerRequest => ({ ...request, within: container });
    const isSeen = !options.is('detach');
    const resize = isSeen && options.is('tty') ? [to('POST', `/exec/${NEW}/resize`, { h: '24', w: '80' })] : [];
    return [
      look(container),
      ...exec.requests([container, ...command], options),
      ...[
        to('POST', `/exec/${NEW}/start`, {}, { Detach: !isSeen, Tty: options.is('tty') }),
        ...resize,
        ...(isSeen ? [to('GET', `/exec/${NEW}/json`)] : []),
      ].map(within),
    ];
  },
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
  whole(operands, options) {
    const [work] = copy.requests(operands, options) as readonly [DockerRequest];
    // The path is looked at before anything is read from it or written to it.
    return [{ method: 'HEAD', target: work.target.replace('&noOverwriteDirNonDir=true', '') }, work];
  },
};

/** Commands by their full name; `VERBS` of containers and images also go by their short one. */
export const CONTAINER: Readonly<Record<string, Verb>> = {
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
  start: {
    ...each({ attach: flag('a'), interactive: flag('i'), 'detach-keys': value() }, (name) =>
      to('POST', path`/containers/${name}/start`),
    ),
    whole(names, options) {
      const start = (name: string): DockerRequest => to('POST', path`/containers/${name}/start`);
      if (!options.is('attach') && !options.is('interactive')) return names.map(start);
      return names.flatMap((name) => [
        look(name),
        ...attachTo(name, options.is('interactive')),
        to('POST', path`/containers/${name}/wait`, { condition: 'next-exit' }),
        start(name),
      ]);
    },
  },
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
  logs: looking(
    each(
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
  ),
  inspect: each({ ...OUTPUT, size: flag('s') }, (name, options) =>
    to('GET', path`/containers/${name}/json`, { size: on(options.is('size')) }),
  ),
  attach: {
    ...each({ 'detach-keys': value(), 'no-stdin': flag(), 'sig-proxy': flag() }, (name, options) =>
      to('POST', path`/containers/${name}/attach`, {
        stdin: on(!options.is('no-stdin')),
        stdout: '1',
        stderr: '1',
        stream: '1',
      }),
    ),
    whole: (names, options) =>
      names.flatMap((name) => [
        look(name),
        ...attachTo(name, !options.is('no-stdin')),
        to('POST', path`/containers/${name}/wait`),
      ]),
  },
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
