// The networks and volumes of the stand-in: what a client makes, and finds again.
import { randomBytes } from 'node:crypto';
import { EngineFault } from './fault.ts';

type Json = Readonly<Record<string, unknown>>;

/** An object as the engine shows it, under the name it is found by. */
export interface Named {
  readonly name: string;
  readonly id: string;
  readonly shown: Json;
}

export const newId = (): string => randomBytes(32).toString('hex');

/** Objects of one kind, by name, id or the beginning of one. */
export class NamedObjects {
  readonly #kind: string;
  readonly #all = new Map<string, Named>();

  constructor(kind: string, known: readonly Named[]) {
    this.#kind = kind;
    for (const one of known) this.#all.set(one.name, one);
  }

  get all(): readonly Named[] {
    return [...this.#all.values()];
  }

  find(reference: string): Named | undefined {
    const named = this.#all.get(reference);
    if (named !== undefined) return named;
    return reference.length > 2 ? this.all.find(({ id }) => id.startsWith(reference)) : undefined;
  }

  /** @throws {EngineFault} 404 */
  get(reference: string): Named {
    const found = this.find(reference);
    if (found === undefined) throw new EngineFault(404, `${this.#kind} ${reference} not found`);
    return found;
  }

  add(one: Named): Named {
    this.#all.set(one.name, one);
    return one;
  }

  remove(reference: string): Named {
    const found = this.get(reference);
    this.#all.delete(found.name);
    return found;
  }
}

const CREATED = '2026-01-01T00:00:00Z';

export function network(name: string, body: Json): Named {
  const id = newId();
  const shown = {
    Name: name,
    Id: id,
    Created: CREATED,
    Scope: 'local',
    Driver: body.Driver || 'bridge',
    EnableIPv4: true,
    EnableIPv6: body.EnableIPv6 === true,
    IPAM: body.IPAM ?? {
      Driver: 'default',
      Options: null,
      Config: [{ Subnet: '172.30.0.0/16', Gateway: '172.30.0.1' }],
    },
    Internal: body.Internal === true,
    Attachable: body.Attachable === true,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: {},
    Options: body.Options ?? {},
    Labels: body.Labels ?? {},
  };
  return { name, id, shown };
}

export function volume(name: string, body: Json): Named {
  const shown = {
    Name: name,
    CreatedAt: CREATED,
    Driver: body.Driver || 'local',
    Mountpoint: `/nonexistent/volumes/${name}/_data`,
    Labels: body.Labels ?? {},
    Options: body.DriverOpts ?? {},
    Scope: 'local',
  };
  return { name, id: name, shown };
}

/** The networks every engine has. */
export const PREDEFINED = ['bridge', 'host', 'none'].map((name) =>
  network(name, { Driver: name === 'none' ? 'null' : name }),
);
