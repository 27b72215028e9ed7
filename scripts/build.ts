// Bundles the program for the npm package and the container image: the command line, the gateway for embedding, the plugin
// types, the shipped plugins and the workers of the store. All that is imported goes in: what is installed depends on no other
// package, so nothing is compiled and no script runs where it is installed.
//   build.ts [FOLDER]       default: dist, with the declarations for TypeScript
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile, type Plugin } from 'esbuild';
import { SHIPPED_TRUSTED } from '../src/admission/shipped.ts';
import { settingsSchema } from '../src/config/json-schema.ts';
import { policySchema } from '../src/policy/json-schema.ts';

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

/**
 * The SQLite driver looks for its binary from its own folder, which a bundle does not have: they lie in `prebuilds` beside it.
 * One for each platform comes with the driver's package.
 */
const besideTheBundle: Plugin = {
  name: 'beside-the-bundle',
  setup(of) {
    of.onLoad({ filter: /better-sqlite3[\\/]lib[\\/]binding\.js$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8');
      const contents = source.replaceAll("path.join(__dirname, '..',", 'path.join(__bundle,');
      if (contents === source || contents.includes('__dirname')) throw new Error(`${path} is not as it was`);
      return { contents };
    });
  },
};

const { metafile } = await build({
  plugins: [lighterBuiltins, besideTheBundle],
  metafile: true,
  entryPoints: {
    cli: 'src/cli/main.ts',
    index: 'src/index.ts',
    testing: 'src/testing.ts',
    'audit-worker': 'src/store/audit-worker.ts',
    'review-worker': 'src/store/review-worker.ts',
    'sinks-worker': 'src/store/sinks-worker.ts',
    'native-runner': 'src/admission/hosts/native-runner.ts',
    'sandbox-worker': 'src/admission/hosts/sandbox-worker.ts',
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
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url), __bundle = import.meta.dirname;",
  },
});
/** Shipped plugins that run sandboxed get the sandbox's face in place of the package's, which needs modules of the system. */
const sandboxFace: Plugin = {
  name: 'sandbox-face',
  setup(of) {
    of.onResolve({ filter: /^\.\.\/src\/plugin\.ts$/ }, ({ importer }) =>
      SHIPPED_TRUSTED.has(basename(importer, '.ts'))
        ? undefined
        : { path: join(root, 'src/admission/sandbox-face.ts') },
    );
  },
};

// What runs where plugins run stands alone: a sandbox reads nothing beside it and has no `require`.
const alone = await build({
  plugins: [sandboxFace],
  metafile: true,
  entryPoints: {
    plugin: 'src/plugin.ts',
    guest: 'src/admission/hosts/guest.ts',
    'sandbox-face': 'src/admission/sandbox-face.ts',
    ...Object.fromEntries(globSync('plugins/*.ts').map((path) => [path.replace(/\.ts$/, ''), path])),
  },
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'es2022',
  outdir,
  legalComments: 'none',
});
cpSync('migrations', join(outdir, 'migrations'), { recursive: true });
cpSync('node_modules/better-sqlite3/prebuilds', join(outdir, 'prebuilds'), { recursive: true });
// For editors: the first line of each example names one of them.
mkdirSync(join(outdir, 'schemas'));
for (const [name, schema] of Object.entries({ settings: settingsSchema(), policy: policySchema() }))
  writeFileSync(join(outdir, 'schemas', `${name}.json`), `${JSON.stringify(schema, null, 2)}\n`);
writeFileSync(
  join(outdir, 'THIRD-PARTY.txt'),
  noticesOf({ ...metafile, inputs: { ...metafile.inputs, ...alone.metafile.inputs } }),
);

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, unknown>;
for (const ofCheckout of ['scripts', 'devDependencies', 'allowScripts']) delete manifest[ofCheckout];
writeFileSync(join(outdir, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
writeFileSync(join(outdir, 'runtime.json'), `${JSON.stringify(runtimes(), null, 2)}\n`);
if (outdir === 'dist') writeDeclarations(join(outdir, 'types'));

/** Names, versions and licences of the packages that went into the bundle, as their licences ask for. */
function noticesOf({ inputs }: Metafile): string {
  const folders = new Set<string>();
  for (const path of Object.keys(inputs)) {
    const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0];
    if (folder !== undefined) folders.add(folder);
  }
  const notices = ['dockgate holds, in whole or in part, the following packages.'];
  for (const folder of [...folders].sort()) {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<
      string,
      string
    >;
    const file = readdirSync(folder).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
    const text = file === undefined ? '' : `\n\n${readFileSync(join(folder, file), 'utf8').trim()}`;
    notices.push(`${name} ${version} (${license})${text}`);
  }
  return `${notices.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

/** By platform, the Node that bin/newer-node.js fetches where the machine's is too old: version and content, as locked here. */
function runtimes(): Record<string, { version: string; integrity: string }> {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { version: string; integrity: string }>;
  };
  const found: Record<string, { version: string; integrity: string }> = {};
  for (const [path, { version, integrity }] of Object.entries(packages)) {
    const name = /^node_modules\/(node-(?:bin-)?(?:linux|darwin|win)-\w+)$/.exec(path)?.[1];
    if (name !== undefined) found[name] = { version, integrity };
  }
  return found;
}

/** Declarations of the package's faces and of the files they name, with specifiers every resolution knows. */
function writeDeclarations(folder: string): void {
  const whole = mkdtempSync(join(tmpdir(), 'dg-types-'));
  const options = ['--noEmit', 'false', '--emitDeclarationOnly', '--declaration', '--noCheck', '--rootDir', '.'];
  const ran = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', ...options, '--outDir', whole], {
    encoding: 'utf8',
  });
  if (ran.status !== 0) throw new Error(`no declarations: ${ran.stdout}${ran.stderr}`);
  const waiting = ['index.d.ts', 'plugin.d.ts', 'testing.d.ts'];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const target = join(folder, path);
    if (existsSync(target)) continue;
    const from = dirname(path);
    const text = readFileSync(join(whole, 'src', path), 'utf8').replaceAll(
      /(from |import\()'(\.[^']*)\.ts'/g,
      (_, before: string, specifier: string) => {
        waiting.push(normalize(join(from, `${specifier}.d.ts`)));
        return `${before}'${specifier}.js'`;
      },
    );
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
  }
  rmSync(whole, { recursive: true, force: true });
}
