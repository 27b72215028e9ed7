// What a request line asks for: an operation of the Engine API with its path and query, or nothing that is served.
import type { GatewayParts } from '../parts.ts';
import type { Known, Named } from './values.ts';

/** @throws {GatewayError} as `classify` of the engine: `operation-unknown`, `path-not-canonical`, `query-ambiguous`, ... */
export function classify(known: Known, parts: GatewayParts): Named {
  const seen = parts.seen.read(known.arrival.method, known.arrival.target);
  return Object.freeze({ ...known, target: seen.target, seen });
}
