// The machine's npm and what it needs to reach the registry, for processes that have nothing else of the machine's settings.
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ROOT } from './runtime.ts';

/** PATH as it was before `npm test` put the packages' programs first: npm reads the settings that lie beside its Node. */
export const MACHINE_PATH: string = (process.env.PATH ?? '')
  .split(':')
  .filter((folder) => !folder.startsWith(ROOT))
  .join(':');

/** Folder of npm's package; undefined where PATH has no npm. */
export function npmFolder(): string | undefined {
  for (const folder of MACHINE_PATH.split(':')) {
    const program = join(folder, 'npm');
    if (!existsSync(program)) continue;
    const found = dirname(dirname(realpathSync(program)));
    if (existsSync(join(found, 'bin/npm-cli.js'))) return found;
  }
  return undefined;
}

/** A setting as npm itself takes it, from its files and the environment; undefined when it is not set. */
function npmSetting(name: 'registry' | 'cafile'): string | undefined {
  const ran = spawnSync('npm', ['config', 'get', name], {
    encoding: 'utf8',
    cwd: '/',
    env: { ...process.env, PATH: MACHINE_PATH },
  });
  const value = ran.stdout?.trim() ?? '';
  return ran.status !== 0 || ['', 'null', 'undefined'].includes(value) ? undefined : value;
}

/** The registry, and a PEM file of authorities to trust besides the usual ones. */
export function registrySettings(): {
  readonly registry: string | undefined;
  readonly authorities: string | undefined;
} {
  const registry = npmSetting('registry');
  return { registry, authorities: npmSetting('cafile') ?? process.env.NODE_EXTRA_CA_CERTS };
}
