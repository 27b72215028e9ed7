// moby's own integration tests, straight against an engine of its version and through the gateway as `operator`. By hand, as root
// with a dockerd and go at hand, some minutes a package, about an hour for integration-cli:
//   node test/outside/moby.ts [PACKAGE[=TESTS]] ...     integration/container integration-cli=TestDockerCLIRunSuite
// Tests that start an engine of their own fail both ways, as do those that want real images: busybox stands in for all.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { must, OUTSIDE, type Place, playBothWays, type Suite, tagImages, unpackedAt } from './compared.ts';
import { goSuite } from './go-suite.ts';

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

/** Lost on purpose; SECURITY.md and docs/limits.md name each. */
const OLD = 'a change asked for at an API below 1.41 is made at 1.41, whose defaults and limits hold';
const WORDS = 'wants the engine’s sentence alone, and ours stands behind it';
const LINK = 'the path of a legacy link can be split in two ways';
const MEANT = {
  TestUpdatePidsLimit: OLD,
  TestIpcModeOlderClient: OLD,
  TestCreateByImageID: WORDS,
  TestRenameContainerWithLinkedContainer: LINK,
  'TestDockerAPISuite/TestAPIClientVersionOldNotSupported': WORDS,
  'TestDockerAPISuite/TestAPIErrorNotFoundJSON': WORDS,
  'TestDockerAPISuite/TestContainerAPIDeleteRemoveLinks': LINK,
};

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

const suiteOf = (place: Place, name: string, chosen: string | undefined): Suite => {
  // One below the top in integration-cli, where the top is the suite.
  const depth = name === 'integration-cli' ? 2 : 1;
  return goSuite({
    name: `moby ${VERSION} ${name}`,
    program: built(name),
    folder: join(folder, name),
    enter: () => place.engine.within,
    depth,
    ...(chosen === undefined ? {} : { chosen }),
    ...(depth === 2 ? { leftOut: LEFT_OUT } : {}),
    env: (socket) => ({
      DOCKER_HOST: `unix://${socket}`,
      TEST_CLIENT_BINARY: process.env.DOCKGATE_TEST_DOCKER_CLI ?? 'docker',
      DOCKER_GRAPHDRIVER: 'overlay2',
      DOCKER_BUILDKIT: '0',
    }),
    meant: MEANT,
    prepare: () => tagImages(place.engine, 'busybox:test', IMAGES),
  });
};

await playBothWays((place) => {
  const wanted = process.argv.length > 2 ? process.argv.slice(2) : PACKAGES;
  return wanted.map((word) => {
    const [name = '', chosen] = word.split('=', 2);
    return suiteOf(place, name, chosen);
  });
});
