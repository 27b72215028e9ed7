// Bundles the program for the npm package and the container image: dist/cli.js, dist/index.js, dist/plugin.js and the
// audit writer's worker. Packages with native code or data files stay outside and are installed.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);
/** Default: dist in the checkout. */
const outdir = process.argv[2] ?? 'dist';
rmSync(outdir, { recursive: true, force: true });

await build({
  entryPoints: {
    cli: 'src/cli/main.ts',
    index: 'src/index.ts',
    plugin: 'src/plugin.ts',
    'audit-worker': 'src/store/audit-worker.ts',
    'plugins/no-privileged': 'plugins/no-privileged.ts',
    'plugins/bind-mounts': 'plugins/bind-mounts.ts',
  },
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22',
  outdir,
  sourcemap: false,
  legalComments: 'none',
  // CommonJS packages ask for `require`, which an ES module does not have.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  external: ['better-sqlite3'],
});
cpSync('migrations', join(outdir, 'migrations'), { recursive: true });

const { dependencies, ...rest } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  dependencies: Record<string, string>;
};
writeFileSync(
  join(outdir, 'package.json'),
  `${JSON.stringify({ ...rest, dependencies: { 'better-sqlite3': dependencies['better-sqlite3'] }, devDependencies: undefined, scripts: undefined, allowScripts: undefined }, null, 2)}\n`,
);
