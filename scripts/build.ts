// Bundles the program for the npm package and the container image: dist/cli.js, dist/index.js, dist/plugin.js and the
// audit writer's worker. Packages with native code or data files stay outside and are installed.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);
/** Default: dist in the checkout. */
const outdir = process.argv[2] ?? 'dist';
rmSync(outdir, { recursive: true, force: true });

/**
 * Modules of Node that cost more to load than is used of them. As an ES module `node:http` reads every one of its exports at
 * once, and one of them loads Node's whole fetch: required, it does not. HTTP/2 is not spoken here: what asks whether a
 * request is one gets classes that no request is of.
 */
const lighterBuiltins: Plugin = {
  name: 'lighter-builtins',
  setup(of) {
    of.onResolve({ filter: /^node:http2?$/ }, ({ path }) => ({ path, namespace: 'lighter' }));
    of.onLoad({ filter: /^node:http$/, namespace: 'lighter' }, () => ({
      contents: "module.exports = process.getBuiltinModule('node:http');",
    }));
    of.onLoad({ filter: /^node:http2$/, namespace: 'lighter' }, () => ({
      contents: 'export class Http2ServerRequest {} export const constants = { NGHTTP2_NO_ERROR: 0 };',
    }));
  },
};

await build({
  plugins: [lighterBuiltins],
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
  // Half the text is half the reading at every start. Names are kept: they are what stack traces show.
  minifyWhitespace: true,
  minifySyntax: true,
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
