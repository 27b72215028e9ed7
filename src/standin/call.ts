// One request to the stand-in as its routes see it, and what a route gives back.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Containers } from './containers.ts';
import { EngineFault } from './fault.ts';

/** A connection that is no longer HTTP, and the bytes that came behind the request. */
export interface Upgraded {
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** One request under way. */
export interface Call {
  readonly request: IncomingMessage;
  readonly query: URLSearchParams;
  readonly params: readonly string[];
  readonly body: Record<string, unknown>;
  readonly state: Containers;
  /** Absent when the caller asked to upgrade. */
  readonly response?: ServerResponse;
  readonly upgraded?: Upgraded;
}

export type Handler = (call: Call) => unknown;
/** What a handler gives for an answer without a body. */
export class Empty {
  readonly status: number;
  constructor(status: number) {
    this.status = status;
  }
}
export class Created {
  readonly value: unknown;
  constructor(value: unknown) {
    this.value = value;
  }
}
/** The handler answers by itself. */
export const STREAMING = Symbol('streaming');

export const isSet = (value: string | null): boolean =>
  value !== null && !['', '0', 'false', 'no', 'none'].includes(value.toLowerCase());

export function parse(bytes: Buffer): Record<string, unknown> {
  if (bytes.length === 0) return {};
  try {
    const value: unknown = JSON.parse(bytes.toString());
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // told below
  }
  throw new EngineFault(400, 'invalid JSON');
}

export function notThere({ params }: Call): never {
  throw new EngineFault(404, `No such object: ${params[0]}`);
}

export const containerOf = ({ state, params }: Call) => state.find(params[0] as string);
export function execOf({ state, params }: Call) {
  const exec = state.execs.get(params[0] as string);
  if (exec === undefined) throw new EngineFault(404, `No such exec instance: ${params[0]}`);
  return exec;
}

/** What the `filters` of a list ask for, in both forms clients write them in. */
export function filtersOf({ query }: Call) {
  const filters = parse(Buffer.from(query.get('filters') ?? ''));
  const wanted = (key: string): readonly string[] => {
    const value = filters[key] ?? [];
    return Array.isArray(value) ? value.map(String) : Object.keys(value as object);
  };
  return {
    has: (key: string) => wanted(key).length > 0,
    matches: (key: string, isOne: (value: string) => boolean) => wanted(key).length === 0 || wanted(key).some(isOne),
    hasLabels: (labels: Readonly<Record<string, string>>) =>
      wanted('label').every((label) => {
        const at = label.indexOf('=');
        return at < 0 ? label in labels : labels[label.slice(0, at)] === label.slice(at + 1);
      }),
  };
}
