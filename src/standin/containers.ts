// The stand-in's memory: three images, and the containers and execs made of them, as the Engine API describes them.
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { PretendProcess } from './process.ts';
import { hasCommand } from './shell.ts';

/** Name the stand-in gives itself wherever the API has room for one. */
export const STANDIN_NAME = 'dockgate-standin';

/** An answer other than success, with the Engine's status and wording. */
export class EngineFault extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

type Json = Record<string, unknown>;

export interface Image {
  readonly tag: string;
  readonly id: string;
  readonly size: number;
  readonly cmd: readonly string[];
}

export const IMAGES: readonly Image[] = [
  { tag: 'alpine:latest', id: `sha256:${'a1'.repeat(32)}`, size: 7_800_000, cmd: ['/bin/sh'] },
  { tag: 'busybox:latest', id: `sha256:${'b2'.repeat(32)}`, size: 4_300_000, cmd: ['sh'] },
  { tag: 'hello-world:latest', id: `sha256:${'c3'.repeat(32)}`, size: 13_000, cmd: ['/hello'] },
];

/** The image a reference names, if it is one of the three. */
export function findImage(reference: string): Image | undefined {
  const plain = reference.replace(/^(docker\.io\/)?(library\/)?/, '');
  const hex = reference.replace(/^sha256:/, '');
  return IMAGES.find(
    ({ tag, id }) =>
      tag === plain || tag === `${plain}:latest` || (/^[0-9a-f]{6,64}$/.test(hex) && id.slice(7).startsWith(hex)),
  );
}

export interface Container {
  readonly id: string;
  name: string;
  readonly image: Image;
  readonly imageName: string;
  readonly config: Json;
  readonly hostConfig: Json;
  readonly createdAt: Date;
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
const newId = () => randomBytes(32).toString('hex');

/** Emits `event` with an Engine event, and `die` and `destroy` with the container. */
export class Containers extends EventEmitter {
  readonly all = new Map<string, Container>();
  readonly execs = new Map<string, Exec>();
  #count = 0;

  constructor() {
    super();
    this.setMaxListeners(0);
  }

  create(body: Json, name: string | undefined): Container {
    const { HostConfig, NetworkingConfig: _, ...config } = body;
    const imageName = String(config.Image ?? '');
    const image = findImage(imageName);
    if (image === undefined) throw new EngineFault(404, `No such image: ${imageName}`);
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
      process: processOf(full, image),
    };
    this.all.set(id, container);
    this.#tell(container, 'create');
    return container;
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
      container.process = processOf(container.config, container.image);
      container.process.log.push(...log);
    }
    const { process } = container;
    const program = process.options.argv[0] ?? '';
    if (!hasCommand(program)) {
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
      }),
    };
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

function processOf(config: Json, image: Image): PretendProcess {
  const entrypoint = list(config.Entrypoint);
  const cmd = list(config.Cmd);
  return new PretendProcess({
    argv: entrypoint.length > 0 ? [...entrypoint, ...cmd] : cmd.length > 0 ? cmd : image.cmd,
    env: list(config.Env),
    hostname: String(config.Hostname),
    tty: config.Tty === true,
    openStdin: config.OpenStdin === true,
  });
}

/** runc's words for a missing program; the docker CLI makes exit code 127 of them. */
export const notFound = (program: string): string =>
  `OCI runtime create failed: runc create failed: unable to start container process: exec: ${JSON.stringify(program)}: executable file not found in $PATH: unknown`;
