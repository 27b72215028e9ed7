// docker/cli's own end-to-end tests, of the packages that need no notary, straight and through the gateway as `operator`. By hand, as
// root with a dockerd and go at hand:
//   node test/outside/docker-cli.ts [PACKAGE] ...     deno run -A test/outside/docker-cli.ts
// Their images come from a registry of the name `registry:5000`; busybox stands in for alpine.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { must, OUTSIDE, playBothWays, tagImages, unpackedAt } from './compared.ts';
import { goSuite } from './go-suite.ts';

const VERSION = 'v28.5.2';
const PACKAGES = ['container', 'image', 'system', 'context', 'global', 'stack'];

const folder = unpackedAt('docker', 'cli', VERSION);

function built(name: string): string {
  const program = join(OUTSIDE, `cli-${VERSION}-${name}.test`);
  if (existsSync(program)) return program;
  // There is no go.mod in this line: its name is vendor.mod.
  must('cp', ['vendor.mod', 'go.mod'], { cwd: folder });
  must('cp', ['vendor.sum', 'go.sum'], { cwd: folder });
  const args = ['test', '-vet=off', '-mod=vendor', '-c', '-o', program, `./e2e/${name}`];
  must('go', args, { cwd: folder, env: { CGO_ENABLED: '0' } });
  return program;
}

await playBothWays(({ engine }) => {
  const images = ['alpine:frozen', 'alpine:latest', 'busybox:frozen'].flatMap((name) => [
    name,
    `registry:5000/${name}`,
  ]);
  tagImages(engine, 'busybox:test', images);
  const cli = process.env.DOCKGATE_TEST_DOCKER_CLI;
  const wanted = process.argv.length > 2 ? process.argv.slice(2) : PACKAGES;
  return wanted.map((name) =>
    goSuite({
      name: `docker/cli ${VERSION} e2e/${name}`,
      program: built(name),
      folder: join(folder, 'e2e', name),
      enter: () => engine.within,
      depth: 1,
      env: (socket) => ({
        PATH: cli === undefined ? (process.env.PATH ?? '') : `${dirname(cli)}:${process.env.PATH}`,
        TEST_DOCKER_HOST: `unix://${socket}`,
        TEST_SKIP_PLUGIN_TESTS: '1',
      }),
    }),
  );
});
