// Which runtime this is. What both need stands in files of its own: everything here is node: modules, present in both.

interface DenoGlobal {
  readonly version: { readonly deno: string };
}

const deno = (globalThis as { Deno?: DenoGlobal }).Deno;

/** The runtime this process is in. */
export const runtime: { readonly name: 'node' | 'deno'; readonly version: string } =
  deno === undefined
    ? { name: 'node', version: process.versions.node ?? '' }
    : { name: 'deno', version: deno.version.deno };

/**
 * Bytes that may wait behind a TLS caller whose peer is slow; undefined where its socket can be paused. Measured on Deno
 * 2.9.6: a paused server-side TLS socket goes on reading into native memory, and the caller's end (close_notify) that
 * arrives meanwhile is never told, so that `docker exec -i` would hang. There the backlog is ours and has an end.
 */
export const tlsBacklogBytes: number | undefined = runtime.name === 'deno' ? 64 * 1024 * 1024 : undefined;
