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
