// Finds the programs that run in threads of the gateway.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { GatewayError } from '../errors.ts';

/** Beside the sources in a checkout, beside the bundle in a package. @param name without extension */
export function workerProgram(name: string): URL {
  for (const extension of ['ts', 'js']) {
    const url = new URL(`./${name}.${extension}`, import.meta.url);
    if (existsSync(fileURLToPath(url))) return url;
  }
  throw new GatewayError('internal', `the program ${name} of this installation is missing: install it again`);
}
