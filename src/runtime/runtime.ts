// What differs between Node and Deno, as one interface. Everything else is node: modules, present in both.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { denoRuntime } from './deno.ts';
import { nodeRuntime } from './node.ts';

export interface Runtime {
  readonly name: 'node' | 'deno';
  readonly version: string;
  /**
   * Reads the announced body of a request that was taken out of the HTTP server for an upgrade.
   *
   * @param head bytes the server had read beyond the request's head
   * @param length announced length in bytes
   * @returns the body, and what came behind it
   */
  readUpgradeBody(
    incoming: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
    length: number,
  ): Promise<{ body: Uint8Array; rest: Uint8Array }>;
}

/** The runtime this process is in. */
export const runtime: Runtime = 'Deno' in globalThis ? denoRuntime : nodeRuntime;
