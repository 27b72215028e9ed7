// The images of the stand-in: three of its own, those it was told of, and, for a dry run, any that is pulled, built or loaded.
import { hash } from 'node:crypto';
import { EngineFault, STANDIN_NAME } from './fault.ts';

export interface Image {
  /** `alpine:latest`, as the engine shows them. */
  readonly tags: readonly string[];
  /** `sha256:...` */
  readonly id: string;
  readonly size: number;
  readonly config: Readonly<Record<string, unknown>>;
}

const OWN: readonly Image[] = [
  { tags: ['alpine:latest'], id: `sha256:${'a1'.repeat(32)}`, size: 7_800_000, config: { Cmd: ['/bin/sh'] } },
  { tags: ['busybox:latest'], id: `sha256:${'b2'.repeat(32)}`, size: 4_300_000, config: { Cmd: ['sh'] } },
  { tags: ['hello-world:latest'], id: `sha256:${'c3'.repeat(32)}`, size: 13_000, config: { Cmd: ['/hello'] } },
];

/** As the engine shows a reference: without the default registry, with a tag. */
function shown(reference: string): string {
  const plain = reference.replace(/^(?:index\.)?docker\.io\//, '').replace(/^library\//, '');
  return plain.includes('@') || plain.slice(plain.lastIndexOf('/') + 1).includes(':') ? plain : `${plain}:latest`;
}

export class Images {
  #all: readonly Image[];
  /** Any image can be pulled. */
  readonly #reachesRegistry: boolean;

  constructor(known: readonly Image[] | undefined, reachesRegistry: boolean) {
    this.#all = known ?? OWN;
    this.#reachesRegistry = reachesRegistry;
  }

  get all(): readonly Image[] {
    return this.#all;
  }

  /** By reference, id or the beginning of one. */
  find(reference: string): Image | undefined {
    const wanted = shown(reference);
    const hex = reference.replace(/^.*sha256:/, '');
    const isHex = /^[0-9a-f]{6,64}$/.test(hex);
    return this.#all.find(({ tags, id }) => tags.includes(wanted) || (isHex && id.slice(7).startsWith(hex)));
  }

  /** @throws {EngineFault} 404 */
  get(reference: string): Image {
    const found = this.find(reference);
    if (found === undefined) throw new EngineFault(404, `No such image: ${reference}`);
    return found;
  }

  /** What a registry would have given. @throws {EngineFault} 404 where no registry is reached */
  pull(reference: string): Image {
    const found = this.find(reference);
    if (found !== undefined) return found;
    if (!this.#reachesRegistry) {
      const have = this.#all.flatMap(({ tags }) => tags).join(', ');
      throw new EngineFault(
        404,
        `pull access denied for ${reference.replace(/[:@][^/]*$/, '')}: ${STANDIN_NAME} reaches no registry, it has only ${have}`,
      );
    }
    return this.make([reference]);
  }

  /** An image that is new under these names. */
  make(references: readonly string[], labels: Readonly<Record<string, unknown>> = {}): Image {
    const names = references.map(shown);
    const digest = /@(sha256:[0-9a-f]{64})$/.exec(names[0] ?? '')?.[1];
    const id = digest ?? `sha256:${hash('sha256', JSON.stringify([names, labels, this.#all.length]), 'hex')}`;
    const image = { tags: [], id, size: 1_000_000, config: { Cmd: [STANDIN_NAME], Labels: labels } };
    this.#all = [...this.#all, image];
    for (const name of names) this.tag(image, name);
    return this.get(id);
  }

  tag(image: Image, reference: string): void {
    const name = shown(reference);
    this.#all = this.#all.map((one) => {
      const others = one.tags.filter((tag) => tag !== name);
      return one.id === image.id ? { ...one, tags: [...others, name] } : { ...one, tags: others };
    });
  }

  /** @returns what the engine tells of it: names taken away, and the image with its last one */
  remove(reference: string): readonly Readonly<Record<string, string>>[] {
    const image = this.get(reference);
    const name = shown(reference);
    const left = image.tags.filter((tag) => tag !== name);
    if (image.tags.includes(name) && left.length > 0) {
      this.#all = this.#all.map((one) => (one.id === image.id ? { ...one, tags: left } : one));
      return [{ Untagged: name }];
    }
    this.#all = this.#all.filter(({ id }) => id !== image.id);
    return [...image.tags.map((tag) => ({ Untagged: tag })), { Deleted: image.id }];
  }
}
