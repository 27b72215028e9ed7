// Where the programs of the plugin hosts lie: beside the sources in a checkout, beside the bundle in a package.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { GatewayError } from '../../errors.ts';
import { javascriptOf } from '../modules.ts';

function find(names: readonly string[]): URL {
  for (const name of names) {
    const url = new URL(name, import.meta.url);
    if (existsSync(fileURLToPath(url))) return url;
  }
  throw new GatewayError('internal', `a part of this program is missing, ${names[0]}: install it again`);
}

/** @param names `sandbox-worker`, or the places a module may lie in, without their ending */
export const programUrl = (...names: readonly string[]): URL =>
  find(
    names.flatMap((name) => (name.startsWith('.') ? [`${name}.ts`, `${name}.js`] : [`./${name}.ts`, `./${name}.js`])),
  );

let guest: string | undefined;

/** The guest as JavaScript without imports. */
export function guestSource(): string {
  if (guest === undefined) {
    const path = fileURLToPath(find(['./guest.ts', './guest.js']));
    guest = javascriptOf(path, readFileSync(path, 'utf8'));
  }
  return guest;
}
