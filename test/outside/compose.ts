// docker/compose's own end-to-end tests, straight and through the gateway as `operator`. By hand, as root with a dockerd and go at hand:
//   node test/outside/compose.ts [TESTS]     deno run -A test/outside/compose.ts
// The compose that runs is that of DOCKGATE_TEST_CLI_PLUGINS. busybox stands in for alpine, and for nginx with its web server.
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { must, OUTSIDE, playBothWays, tagImages, unpackedAt } from './compared.ts';
import { goSuite } from './go-suite.ts';

const VERSION = 'v2.40.3';
const folder = unpackedAt('docker', 'compose', VERSION);
const program = join(OUTSIDE, `compose-${VERSION}-e2e.test`);
if (!existsSync(program))
  must('go', ['test', '-vet=off', '-c', '-o', program, './pkg/e2e'], { cwd: folder, env: { CGO_ENABLED: '0' } });

const docker = process.env.DOCKGATE_TEST_DOCKER_CLI ?? '/usr/bin/docker';
const plugins = process.env.DOCKGATE_TEST_CLI_PLUGINS ?? '/usr/libexec/docker/cli-plugins';

/** Puts the socket where Docker's usually lies, for this program alone. */
const HERE = 'mount -t tmpfs none /run && ln -s "$0" /run/docker.sock && exec "$@"';

await playBothWays(({ engine }) => {
  const context = mkdtempSync(join(tmpdir(), 'outside-'));
  writeFileSync(join(context, 'index.html'), '<title>Welcome to nginx!</title>');
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM busybox:test\nCOPY index.html /www/\nCMD ["httpd","-f","-p","80","-h","/www"]\n',
  );
  const build = ['-H', `unix://${engine.socket}`, 'build', '-q', '-t', 'nginx', context];
  must(docker, build, { env: { DOCKER_BUILDKIT: '0' } });
  rmSync(context, { recursive: true });
  tagImages(engine, 'nginx', ['nginx:alpine']);
  const named = ['alpine:latest', 'alpine:3.12', 'alpine:3.15', 'busybox:latest', 'bash:latest', 'golang:alpine'];
  tagImages(engine, 'busybox:test', named);
  return [
    goSuite({
      name: `docker/compose ${VERSION}`,
      program,
      folder: join(folder, 'pkg', 'e2e'),
      // It asks at the usual place alone, which is another one here.
      enter: (socket) => [...engine.within, 'unshare', '-m', 'sh', '-c', HERE, socket],
      depth: 1,
      ...(process.argv[2] === undefined ? {} : { chosen: process.argv[2] }),
      env: (_socket, home) => {
        mkdirSync(join(home, '.docker', 'cli-plugins'), { recursive: true });
        // Its own one is copied only where it is missing.
        writeFileSync(join(home, '.docker', 'config.json'), '{}');
        cpSync(join(plugins, 'docker-buildx'), join(home, '.docker', 'cli-plugins', 'docker-buildx'));
        return {
          PATH: `${dirname(docker)}:${process.env.PATH}`,
          COMPOSE_E2E_BIN_PATH: join(plugins, 'docker-compose'),
        };
      },
    }),
  ];
});
