// Targets for the tests of decoding and of references, without going through classification.
import type { Operation, ResourceKind, Target } from '../../src/engine/types.ts';

export interface Asked {
  readonly id: string;
  readonly body?: string;
  readonly method?: string;
  readonly path?: Record<string, string>;
  readonly template?: string;
  readonly resource?: ResourceKind;
  readonly query?: Record<string, readonly string[]>;
}

/** A target of an operation; what is not said is of no matter to the test. */
export function targetOf(asked: Asked): Target {
  const operation: Operation = {
    id: asked.id,
    method: asked.method ?? 'POST',
    path: asked.template ?? '/x',
    action: 'test',
    resource: asked.resource ?? 'container',
    class: 'write',
    stream: 'none',
    waits: false,
    body: asked.body,
    risk: [],
    served: true,
    firstMinor: 24,
  };
  return { operation, action: 'test', apiVersion: '1.51', path: asked.path ?? {}, query: asked.query ?? {} };
}

export const containerCreate = (query: Record<string, readonly string[]> = {}): Target =>
  targetOf({ id: 'ContainerCreate', body: 'ContainerCreateRequest', template: '/containers/create', query });

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const JSON_TYPE = ['application/json'];

/** The same value with ordinary objects, as JSON.parse would give it; bigint as its digits and an n. */
export function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  const copy: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    Object.defineProperty(copy, key, { value: plain(item), enumerable: true, configurable: true, writable: true });
  }
  return copy;
}
