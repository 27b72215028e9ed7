// Run by npm before it packs: builds dist, with the declarations. In a clone where nothing is installed yet it installs first.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

/** npm's standard output is the name of the package: what is said here goes to standard error. */
function must(command, args) {
  const { status, error } = spawnSync(command, args, {
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32' && command === 'npm',
  });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status === null ? 1 : status);
}

if (!existsSync('node_modules/esbuild')) must('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
must(process.execPath, ['scripts/node.js', 'scripts/build.ts']);
