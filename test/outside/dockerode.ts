// dockerode's own tests, straight against an engine and through the gateway as `operator`. By hand, as root with a dockerd at hand:
//   node test/outside/dockerode.ts     deno run -A test/outside/dockerode.ts
// Its tests name the image `ubuntu` and run bash in it; busybox serves as both. Those that pull fail both ways.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../support/gateway.ts';
import { must, type Outcomes, playBothWays, tagImages, unpackedAt } from './compared.ts';

const VERSION = 'v5.0.1';
const TIMEOUT_MS = 900_000;

interface Told {
  readonly tests: readonly { readonly fullTitle: string; readonly err: { readonly message?: string } }[];
  readonly pending: readonly { readonly fullTitle: string }[];
}

const folder = unpackedAt('apocas', 'dockerode', VERSION);
if (!existsSync(join(folder, 'node_modules')))
  must('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'], { cwd: folder });

async function play(socket: string, only: readonly string[] = []): Promise<Outcomes> {
  const home = mkdtempSync(join(tmpdir(), 'outside-'));
  const told = join(home, 'told.json');
  const mocha = join(folder, 'node_modules', 'mocha', 'bin', 'mocha.js');
  const args = ['-R', 'json', '--reporter-option', `output=${told}`, '--exit', ...only.flatMap((name) => ['-f', name])];
  const ran = await run('sh', ['-c', 'cd "$0" && exec "$@"', folder, process.execPath, mocha, ...args], {
    env: { PATH: process.env.PATH, HOME: home, DOCKER_HOST: `unix://${socket}` },
    timeoutMs: TIMEOUT_MS,
  });
  if (!existsSync(told))
    throw new Error(`dockerode's tests did not run: ${ran.stdout.slice(-2000)}${ran.stderr.slice(-2000)}`);
  const { tests, pending } = JSON.parse(readFileSync(told, 'utf8')) as Told;
  rmSync(home, { recursive: true, force: true });
  const outcomes = new Map<string, string>();
  for (const { fullTitle, err } of tests) {
    outcomes.set(fullTitle, err.message === undefined ? 'passed' : 'failed');
    if (err.message !== undefined && process.env.WHY !== undefined) console.log(`    ${fullTitle}: ${err.message}`);
  }
  for (const { fullTitle } of pending) outcomes.set(fullTitle, 'skipped');
  return outcomes;
}

await playBothWays(({ engine }) => {
  const context = mkdtempSync(join(tmpdir(), 'outside-'));
  writeFileSync(join(context, 'bash'), '#!/bin/sh\nexec sh "$@"\n', { mode: 0o755 });
  writeFileSync(join(context, 'Dockerfile'), 'FROM busybox:test\nCOPY bash /bin/bash\n');
  const docker = process.env.DOCKGATE_TEST_DOCKER_CLI ?? 'docker';
  must(docker, ['-H', `unix://${engine.socket}`, 'build', '-q', '-t', 'ubuntu', context], {
    env: { DOCKER_BUILDKIT: '0' },
  });
  rmSync(context, { recursive: true });
  tagImages(engine, 'busybox:test', ['busybox:latest']);
  const meant = Object.fromEntries(
    [
      '#followProgress integration should follow BuildKit build progress',
      '#docker #buildImage should build image with buildKit',
    ].map((name) => [name, 'BuildKit by POST /build passes through unread: a rule must name build.opaque']),
  );
  return [{ name: `dockerode ${VERSION}`, play, meant }];
});
