// moby's own integration tests, straight against an engine of its version and through the gateway as `operator`. By hand, as root
// with a dockerd and go at hand, some minutes a package, about an hour for integration-cli:
//   node test/outside/moby.ts [PACKAGE[=TESTS]] ...     integration/container integration-cli=TestDockerCLIRunSuite
// Tests that start an engine of their own fail both ways, as do those that want real images: busybox stands in for all.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  must,
  OUTSIDE,
  type Outcomes,
  type Place,
  playBothWays,
  type Suite,
  tagImages,
  unpackedAt,
} from './compared.ts';

const VERSION = 'v28.5.2';
const PACKAGES = [
  ...[
    'container',
    'image',
    'network',
    'network/bridge',
    'networking',
    'volume',
    'build',
    'system',
    'session',
    'plugin/common',
  ].map((name) => `integration/${name}`),
  'integration-cli',
];
const IMAGES = [
  ...['busybox:latest', 'busybox:glibc', 'hello-world:frozen', 'hello-world:latest', 'debian:bookworm-slim'],
  ...['hello-world:amd64', 'hello-world:arm64', 'arm32v7/hello-world:latest'],
];
/** Suites of integration-cli that start engines or registries of their own, throughout. */
const LEFT_OUT =
  'TestDocker(Daemon|Swarm|Registry|Schema|Hub|Plugin|Network|Benchmark|CLIPluginLogDriver|CLIEventDaemon|External).*Suite';

const folder = unpackedAt('moby', 'moby', VERSION);

function built(name: string): string {
  const program = join(OUTSIDE, `moby-${VERSION}-${name.replaceAll('/', '-')}.test`);
  if (existsSync(program)) return program;
  // There is no go.mod in this line: its name is vendor.mod.
  must('cp', ['vendor.mod', 'go.mod'], { cwd: folder });
  must('cp', ['vendor.sum', 'go.sum'], { cwd: folder });
  const args = ['test', '-vet=off', '-mod=vendor', '-c', '-o', program, `./${name}`];
  must('go', args, { cwd: folder, env: { CGO_ENABLED: '0' } });
  return program;
}

/** `-test.run` for tests by their full name, subtests included: one expression for each level. */
function expressionOf(names: readonly string[]): string {
  const levels = names.map((name) => name.split('/'));
  const depth = Math.max(...levels.map(({ length }) => length));
  const at = (level: number) =>
    [...new Set(levels.map((parts) => parts[level] ?? ''))].map((part) =>
      part.replaceAll(/[.*+?()[\]{}|\\^$]/g, '\\$&'),
    );
  return Array.from({ length: depth }, (_, level) => `^(${at(level).join('|')})$`).join('/');
}

function suiteOf({ engine }: Place, name: string, chosen: string | undefined): Suite {
  const program = built(name);
  // One below the top in integration-cli, where the top is the suite.
  const depth = name === 'integration-cli' ? 2 : 1;

  async function play(socket: string, only?: readonly string[]): Promise<Outcomes> {
    const home = mkdtempSync(join(tmpdir(), 'outside-'));
    const tests = only === undefined ? chosen : expressionOf(only);
    const args = [
      ...['-test.v', '-test.timeout=90m', ...(tests === undefined ? [] : [`-test.run=${tests}`])],
      ...(depth === 2 && tests === undefined ? [`-test.skip=${LEFT_OUT}`] : []),
    ];
    mkdirSync(join(home, 'bundles'));
    const [enter = '', ...words] = [...engine.within, program, ...args];
    const child = spawn(enter, words, {
      cwd: join(folder, name),
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        HOME: home,
        TMPDIR: home,
        DOCKER_HOST: `unix://${socket}`,
        TEST_CLIENT_BINARY: process.env.DOCKGATE_TEST_DOCKER_CLI ?? 'docker',
        DOCKER_GRAPHDRIVER: 'overlay2',
        ...(process.env.DOCKGATE_TEST_CLI_PLUGINS === undefined ? {} : { DOCKER_BUILDKIT: '0' }),
      },
    });
    let told = '';
    child.stdout.on('data', (data: Buffer) => {
      told += data.toString();
    });
    child.stderr.on('data', (data: Buffer) => {
      told += data.toString();
    });
    await new Promise((resolve) => child.once('close', resolve));
    rmSync(home, { recursive: true, force: true });
    if (process.env.WHY !== undefined) console.log(told);
    const outcomes = new Map<string, string>();
    for (const [, outcome = '', test = ''] of told.matchAll(/^ *--- (PASS|FAIL|SKIP): (\S+) \(/gm)) {
      if (test.split('/').length !== depth) continue;
      outcomes.set(test, outcome === 'PASS' ? 'passed' : outcome === 'FAIL' ? 'failed' : 'skipped');
    }
    if (outcomes.size === 0) throw new Error(`${name} ran no test: ${told.slice(-3000)}`);
    return outcomes;
  }
  return { name: `moby ${VERSION} ${name}`, play };
}

await playBothWays((place) => {
  tagImages(place.engine, 'busybox:test', IMAGES);
  const wanted = process.argv.length > 2 ? process.argv.slice(2) : PACKAGES;
  return wanted.map((word) => {
    const [name = '', chosen] = word.split('=', 2);
    return suiteOf(place, name, chosen);
  });
});
