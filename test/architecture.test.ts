// The rooms' import direction, and a few facts that must agree with each other across files.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, it } from 'node:test';
import { VERSION } from '../src/version.ts';
import { ROOT } from './support/runtime.ts';

/** For each room, the rooms it may import values from. Types may come from anywhere below main. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  errors: [],
  log: [],
  version: [],
  words: [],
  engine: ['errors'],
  policy: ['engine', 'errors'],
  identity: ['policy', 'engine', 'errors', 'runtime'],
  admission: ['policy', 'engine', 'errors', 'runtime', 'log'],
  ledger: ['policy', 'engine', 'errors'],
  buildkit: ['policy', 'engine', 'errors'],
  audit: ['policy', 'engine', 'errors', 'store'],
  proxy: ['policy', 'engine', 'errors', 'runtime'],
  store: ['errors', 'audit', 'ledger', 'version'],
  config: ['errors', 'engine', 'identity', 'audit'],
  plugin: ['admission', 'policy', 'engine'],
  testing: ['admission', 'engine'],
  gateway: ['buildkit', 'identity', 'admission', 'proxy', 'audit', 'ledger', 'policy', 'engine', 'errors', 'runtime'],
  admin: ['identity', 'ledger', 'policy', 'audit', 'config', 'engine', 'errors', 'version'],
  runtime: ['errors'],
  connect: ['proxy', 'runtime', 'errors'],
  doctor: ['connect', 'engine', 'runtime', 'config', 'errors'],
  standin: ['engine', 'runtime', 'errors'],
};
/** The outermost ring: these join the rooms and may import any of them. */
const JOINING = ['main', 'index', 'app', 'cli'];

const roomOf = (path: string): string => {
  const below = relative(join(ROOT, 'src'), path);
  return below.includes('/') ? (below.split('/')[0] as string) : below.replace(/\.ts$/, '');
};

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

function importsOf(file: string): Import[] {
  const source = readFileSync(file, 'utf8');
  const found: Import[] = [];
  for (const match of source.matchAll(/^(?:import|export)\s+(type\s+)?([^;]*?)from\s+'(\.[^']+)'/gms)) {
    const names = (match[2] ?? '')
      .replace(/[{}\s]/g, ' ')
      .split(',')
      .map((n) => n.trim())
      .filter(Boolean);
    const typeOnly = match[1] !== undefined || (names.length > 0 && names.every((n) => n.startsWith('type ')));
    found.push({ from: file, to: normalize(join(dirname(file), match[3] as string)), typeOnly });
  }
  return found;
}

const files = globSync('src/**/*.ts', { cwd: ROOT }).map((f) => join(ROOT, f));
const imports = files.flatMap(importsOf);

describe('architecture', () => {
  it('every room is known', () => {
    const rooms = new Set(files.map(roomOf));
    for (const room of rooms)
      assert.ok(MAY_IMPORT[room] !== undefined || JOINING.includes(room), `unknown room ${room}`);
  });

  it('imports never turn back', () => {
    const wrong = imports.filter(({ from, to, typeOnly }) => {
      const [a, b] = [roomOf(from), roomOf(to)];
      if (a === b || JOINING.includes(a) || typeOnly) return false;
      return !(MAY_IMPORT[a] ?? []).includes(b);
    });
    assert.deepEqual(
      wrong.map(({ from, to }) => `${relative(ROOT, from)} imports ${relative(ROOT, to)}`),
      [],
    );
  });

  it('engine and policy are pure: no I/O, no clock, no web framework, no SQL', () => {
    const forbidden =
      /from '(node:(fs|http|https|net|tls|child_process|worker_threads|timers)[^']*|hono[^']*|better-sqlite3|drizzle-orm[^']*|jose)'|Date\.now\(|Math\.random\(|process\./;
    const wrong = files
      .filter((f) => ['engine', 'policy'].includes(roomOf(f)))
      .flatMap((f) =>
        readFileSync(f, 'utf8')
          .split('\n')
          .filter((line) => !/^\s*(\/\/|\*|\/\*)/.test(line) && forbidden.test(line) && !/node:net'/.test(line))
          .map((line) => `${relative(ROOT, f)}: ${line.trim()}`),
      );
    assert.deepEqual(wrong, []);
  });

  it('only runtime asks which runtime it is in', () => {
    const wrong = files.filter(
      (f) => roomOf(f) !== 'runtime' && /'Deno' in globalThis|globalThis\.Deno|\bDeno\./.test(readFileSync(f, 'utf8')),
    );
    assert.deepEqual(
      wrong.map((f) => relative(ROOT, f)),
      [],
    );
  });

  it('the version is the same everywhere', () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    assert.equal(VERSION, manifest.version);
  });

  it('nothing in the tree names a machine path or an internal host', () => {
    const wrong = globSync(
      [
        ...['src/**/*', 'plugins/**/*', 'test/**/*', 'bench/**/*', 'examples/**/*', 'docs/**/*'],
        ...['*.md', '*.json', '*.yaml'],
      ],
      { cwd: ROOT },
    )
      .filter((f) => /\.(ts|md|json|yaml|js)$/.test(f) && !f.includes('node_modules'))
      .filter((f) => /(^|[^a-z.])\/(work|farm)\//m.test(readFileSync(join(ROOT, f), 'utf8')));
    assert.deepEqual(
      wrong.filter((f) => f !== 'test/architecture.test.ts'),
      [],
    );
  });

  it('the package depends on no other: what the bundle takes in is a devDependency', () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<string, unknown>;
    assert.equal(manifest.dependencies, undefined, 'npm install --save-dev --save-exact NAME');
    const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { gypfile?: boolean }>;
    };
    // Kept by scripts/lock.js: without it npm 10 compiles the driver.
    assert.equal(lock.packages['node_modules/better-sqlite3']?.gypfile, false);
  });
});
