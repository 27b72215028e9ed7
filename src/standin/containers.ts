// The stand-in's memory: containers and execs, and the images, networks and volumes they use, as the Engine API describes them.
import { EventEmitter } from 'node:events';
import { EngineFault } from './fault.ts';
import { type Image, Images } from './images.ts';
import { type Named, NamedObjects, newId, PREDEFINED, volume } from './networks-volumes.ts';
import { PretendProcess } from './process.ts';
import { hasCommand } from './shell.ts';

type Json = Record<string, unknown>;

/** What the stand-in is told of an engine it stands for. */
export interface Seed {
  /** Answers of `GET /containers/{id}/json`. */
  readonly containers: readonly Json[];
  /** Rows of `GET /images/json`. */
  readonly images: readonly Json[];
  /** Rows of `GET /networks`, and of `GET /volumes`. */
  readonly networks: readonly Json[];
  readonly volumes: readonly Json[];
  /** Parts of `GET /info` in the place of its own. */
  readonly info: Json;
}

export interface StandinState {
  /** A dry run: any image can be pulled, any program is there, and what is attached to a client ends at once. Default false. */
  readonly pretends?: boolean;
  readonly seed?: Seed;
}

export interface Container {
  readonly id: string;
  name: string;
  readonly image: Image;
  readonly imageName: string;
  readonly config: Json;
  hostConfig: Json;
  readonly createdAt: Date;
  /** Endpoint settings by name of the network. */
  readonly endpoints: Map<string, Json>;
  isPaused: boolean;
  startedAt?: Date;
  finishedAt?: Date;
  process: PretendProcess;
}

export interface Exec {
  readonly id: string;
  readonly container: Container;
  readonly config: Json;
  readonly process: PretendProcess;
}

const list = (value: unknown): string[] =>
  Array.isArray(value) ? value.map(String) : typeof value === 'string' ? [value] : [];

/** Emits `event` with an Engine event, and `die` and `destroy` with the container. */
export class Containers extends EventEmitter {
  readonly all = new Map<string, Container>();
  readonly execs = new Map<string, Exec>();
  readonly images: Images;
  readonly networks: NamedObjects;
  readonly volumes: NamedObjects;
  readonly pretends: boolean;
  readonly info: Json;
  #count = 0;

  constructor({ pretends = false, seed }: StandinState = {}) {
    super();
    this.setMaxListeners(0);
    this.pretends = pretends;
    this.info = seed?.info ?? {};
    this.images = new Images(seed?.images.map(imageOf), pretends);
    this.networks = new NamedObjects('network', [...PREDEFINED, ...(seed?.networks ?? []).map(named)]);
    this.volumes = new NamedObjects('volume', (seed?.volumes ?? []).map(named));
    for (const shown of seed?.containers ?? []) this.#keep(shown);
  }

  /** A container the engine has already; one that runs goes on running. */
  #keep(shown: Json): void {
    const config = (shown.Config ?? {}) as Json;
    const imageName = String(config.Image ?? shown.Image ?? '');
    const image = this.images.find(String(shown.Image)) ?? this.images.make([imageName]);
    const { Networks } = (shown.NetworkSettings ?? {}) as { Networks?: Readonly<Record<string, Json>> };
    const container: Container = {
      id: String(shown.Id),
      name: String(shown.Name ?? '').replace(/^\//, ''),
      image,
      imageName,
      config,
      hostConfig: (shown.HostConfig ?? {}) as Json,
      createdAt: new Date(String(shown.Created)),
      endpoints: new Map(Object.entries(Networks ?? {})),
      isPaused: false,
      process: this.#processOf(config, image),
    };
    this.all.set(container.id, container);
    if ((shown.State as Json | undefined)?.Running === true) this.start(container);
  }

  create(body: Json, name: string | undefined): Container {
    const { HostConfig, NetworkingConfig, ...config } = body;
    const imageName = String(config.Image ?? '');
    const image = this.images.get(imageName);
    const wanted = name ?? `standin_${++this.#count}`;
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(wanted)) throw new EngineFault(400, `Invalid container name (${wanted})`);
    if ([...this.all.values()].some((other) => other.name === wanted)) {
      throw new EngineFault(409, `Conflict. The container name "/${wanted}" is already in use`);
    }
    const id = newId();
    const full: Json = { ...config, Hostname: config.Hostname || id.slice(0, 12) };
    const container: Container = {
      id,
      name: wanted,
      image,
      imageName,
      config: full,
      hostConfig: (HostConfig as Json | undefined) ?? {},
      createdAt: new Date(),
      endpoints: new Map(),
      isPaused: false,
      process: this.#processOf(full, image),
    };
    this.#join(container, NetworkingConfig);
    for (const { Name } of volumesOf(container)) {
      if (this.volumes.find(Name) === undefined) this.volumes.add(volume(Name, {}));
    }
    this.all.set(id, container);
    this.#tell(container, 'create');
    return container;
  }

  /** Connects a new container to the networks it names, or to the one it has without a word. */
  #join(container: Container, networking: unknown): void {
    const { EndpointsConfig } = (networking ?? {}) as { EndpointsConfig?: Readonly<Record<string, Json>> };
    const mode = String(container.hostConfig.NetworkMode ?? 'default');
    if (mode.startsWith('container:')) return;
    const first = mode === 'default' ? 'bridge' : mode;
    for (const name of new Set([first, ...Object.keys(EndpointsConfig ?? {})])) {
      if (name === 'default') continue;
      this.connect(container, name, EndpointsConfig?.[name]);
    }
  }

  /** @throws {EngineFault} 404 for a network there is not */
  connect(container: Container, reference: string, settings: Json = {}): void {
    const { name, id } = this.networks.get(reference);
    const host = container.endpoints.size + this.all.size + 2;
    container.endpoints.set(name, {
      ...settings,
      NetworkID: id,
      EndpointID: newId(),
      IPAddress: name === 'host' || name === 'none' ? '' : `172.30.${host >> 8}.${host & 255}`,
    });
  }

  #processOf(config: Json, image: Image): PretendProcess {
    const entrypoint = list(config.Entrypoint);
    const cmd = list(config.Cmd);
    return new PretendProcess({
      argv: entrypoint.length > 0 ? [...entrypoint, ...cmd] : cmd.length > 0 ? cmd : list(image.config.Cmd),
      env: list(config.Env),
      hostname: String(config.Hostname),
      tty: config.Tty === true,
      openStdin: config.OpenStdin === true,
      pretends: this.pretends,
    });
  }

  /** By id, unambiguous prefix of the id, or name. */
  find(reference: string): Container {
    const known = this.all.get(reference);
    if (known !== undefined) return known;
    const plain = reference.replace(/^\//, '');
    const found = [...this.all.values()].filter(
      (c) => c.name === plain || (plain.length > 2 && c.id.startsWith(plain)),
    );
    if (found.length !== 1 || found[0] === undefined) throw new EngineFault(404, `No such container: ${reference}`);
    return found[0];
  }

  /** @returns false when it runs already */
  start(container: Container): boolean {
    if (container.process.running) return false;
    if (container.process.exitCode !== undefined) {
      const log = container.process.log;
      container.process = this.#processOf(container.config, container.image);
      container.process.log.push(...log);
    }
    const { process } = container;
    const program = process.options.argv[0] ?? '';
    if (!this.pretends && !hasCommand(program)) {
      process.exitCode = 127;
      this.emit('die', container);
      if (container.hostConfig.AutoRemove === true) this.remove(container);
      throw new EngineFault(400, `failed to create task for container: ${notFound(program)}`);
    }
    container.startedAt = new Date();
    process.once('exit', () => {
      container.finishedAt = new Date();
      this.#tell(container, 'die');
      this.emit('die', container);
      if (container.hostConfig.AutoRemove === true) this.remove(container);
    });
    this.#tell(container, 'start');
    process.start();
    return true;
  }

  remove(container: Container): void {
    this.all.delete(container.id);
    for (const [id, exec] of this.execs) if (exec.container === container) this.execs.delete(id);
    this.#tell(container, 'destroy');
    this.emit('destroy', container);
  }

  createExec(container: Container, config: Json): Exec {
    if (!container.process.running) throw new EngineFault(409, `container ${container.id} is not running`);
    const argv = list(config.Cmd);
    if (argv.length === 0) throw new EngineFault(400, 'No exec command specified');
    const exec: Exec = {
      id: newId(),
      container,
      config,
      process: new PretendProcess({
        argv,
        env: [...list(container.config.Env), ...list(config.Env)],
        hostname: String(container.config.Hostname),
        tty: config.Tty === true,
        openStdin: config.AttachStdin === true,
        pretends: this.pretends,
      }),
    };
    exec.process.release();
    this.execs.set(exec.id, exec);
    return exec;
  }

  #tell(container: Container, action: string): void {
    const now = Date.now();
    this.emit('event', {
      Type: 'container',
      Action: action,
      Actor: {
        ID: container.id,
        Attributes: {
          image: container.imageName,
          name: container.name,
          ...(container.config.Labels as Json | undefined),
        },
      },
      scope: 'local',
      time: Math.floor(now / 1000),
      timeNano: now * 1_000_000,
      status: action,
      id: container.id,
      from: container.imageName,
    });
  }
}

/** A network or volume as it was told of. */
const named = (shown: Json): Named => ({
  name: String(shown.Name),
  id: String(shown.Id ?? shown.Name),
  shown,
});

const imageOf = (row: Json): Image => ({
  tags: list(row.RepoTags),
  id: String(row.Id),
  size: Number(row.Size ?? 0),
  config: { Labels: row.Labels ?? {} },
});

export interface MountPoint {
  readonly Type: string;
  readonly Name: string;
  readonly Source: string;
  readonly Destination: string;
  readonly RW: boolean;
}

/** The mounts of a container, as its `HostConfig` asked. */
export function mountsOf({ hostConfig }: Pick<Container, 'hostConfig'>): readonly MountPoint[] {
  const binds = list(hostConfig.Binds).map((bind): MountPoint => {
    const [source = '', target = '', mode = ''] = bind.split(':');
    const isPath = source.startsWith('/');
    return {
      Type: isPath ? 'bind' : 'volume',
      Name: isPath ? '' : source,
      Source: source,
      Destination: target,
      RW: !mode.split(',').includes('ro'),
    };
  });
  const mounts = Array.isArray(hostConfig.Mounts) ? (hostConfig.Mounts as readonly Json[]) : [];
  return [
    ...binds,
    ...mounts.map(
      (mount): MountPoint => ({
        Type: String(mount.Type ?? ''),
        Name: mount.Type === 'volume' ? String(mount.Source ?? '') : '',
        Source: String(mount.Source ?? ''),
        Destination: String(mount.Target ?? ''),
        RW: mount.ReadOnly !== true,
      }),
    ),
  ];
}

const volumesOf = (container: Pick<Container, 'hostConfig'>): readonly MountPoint[] =>
  mountsOf(container).filter(({ Type, Name }) => Type === 'volume' && Name !== '');

/** runc's words for a missing program; the docker CLI makes exit code 127 of them. */
export const notFound = (program: string): string =>
  `OCI runtime create failed: runc create failed: unable to start container process: exec: ${JSON.stringify(program)}: executable file not found in $PATH: unknown`;
