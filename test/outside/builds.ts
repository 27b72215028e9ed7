// Builds as a CI bot makes them, with several versions of buildx, over every channel: what its policy allows beside what it does not, and
// a push to a real registry by a bot that may write one repository. By hand, some minutes:
//   DOCKGATE_TEST_DOCKER_HOST=unix://... DOCKGATE_TEST_REGISTRY=registry node scripts/node.js test/outside/builds.ts BUILDX...
//   deno run -A test/outside/builds.ts BUILDX...
// Each BUILDX is a program of a version; the engine shares the loopback of this machine. The docker CLI is DOCKGATE_TEST_DOCKER_CLI.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { callerOverAll, clientEnv } from '../clients/channels.ts';
import { dockerDirect, ENGINE, IMAGE } from '../support/engine.ts';
import { docker, run, startGateway } from '../support/gateway.ts';
import { HASH_OF_PW, startRegistry } from '../support/registry.ts';
import { IS_DENO } from '../support/runtime.ts';

const programs = process.argv.slice(2);
const USER = 'jenkins';
const registry = await startRegistry({ [USER]: HASH_OF_PW });
const own = `${registry.address}/ci/app`;
const base = `${registry.address}/ci/base:1`;
const foreign = `${registry.address}/other/app`;

const POLICY = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: ci }
rules:
  - name: build
    effect: allow
    actions: [build.run, build.cancel]
    host: { preset: baseline }
    build:
      sources: ["${IMAGE.includes('/') ? IMAGE : `docker.io/library/${IMAGE}`}", "${registry.address}/ci/*"]
      tags: ["${own}:*", "docker.io/library/ci-*"]
      cache: [inline, "registry:${own}:*"]
  - { name: read, effect: allow, actions: [system.ping, system.version, system.info, image.list, image.inspect] }
  - name: push
    effect: allow
    # buildx looks up what it pushed.
    actions: [image.push, image.tag, image.distribution]
    resources: ["image/${own}:*", "image/docker.io/library/ci-*", "distribution/${own}:*"]
    host: { preset: baseline, registries: ["${registry.address}"] }
`;

interface Case {
  readonly title: string;
  readonly dockerfile: string;
  readonly args: readonly string[];
  /** Words of the denial; undefined for what is allowed. */
  readonly denied?: RegExp;
}

/** Each allowed build beside its nearest neighbour that is not. */
function casesOf(hasRegistryCache: boolean): readonly (readonly [Case, Case])[] {
  const plain = `FROM ${IMAGE}\nCOPY file /file\nRUN --network=none cat /file\n`;
  const same = (title: string, dockerfile: string, args: string[], others: string[], denied: RegExp) =>
    [
      { title, dockerfile, args },
      { title: `not ${title}`, dockerfile, args: others, denied },
    ] as const;
  const other = (title: string, dockerfile: string, neighbour: string, denied: RegExp) =>
    [
      { title, dockerfile, args: [] },
      { title: `not ${title}`, dockerfile: neighbour, args: [], denied },
    ] as const;
  return [
    same('a tag', plain, ['-t', `${own}:a`], ['-t', `${foreign}:a`], /build\.tags/),
    same('--push', plain, ['--push', '-t', `${own}:b`], ['--push', '-t', `${foreign}:b`], /denied/),
    same(
      '-o type=registry',
      plain,
      ['-o', `type=registry,name=${own}:c`],
      ['-o', `type=registry,name=${foreign}:c`],
      /denied/,
    ),
    same(
      '-o type=image,push=true',
      plain,
      ['-o', `type=image,push=true,name=${own}:d`],
      ['-o', `type=image,push=true,name=${foreign}:d`],
      /denied/,
    ),
    other(
      'FROM a private image',
      `FROM ${base}\nCOPY file /f\n`,
      `FROM ${foreign}:base\nCOPY file /f\n`,
      /is not among its build sources/,
    ),
    other(
      'a step without network',
      plain,
      `FROM ${IMAGE}\nRUN --network=host true\n`,
      /network\.host is not allowed|denied/,
    ),
    same(
      'a named context',
      `FROM ${IMAGE}\nCOPY --from=more file /more\n`,
      ['--build-context', `more=docker-image://${base}`],
      ['--build-context', `more=docker-image://${foreign}:base`],
      /build\.sources|is not among/,
    ),
    same(
      'the inline cache',
      plain,
      ['--cache-to', 'type=inline', '-t', `${own}:e`],
      ['--allow', 'network.host'],
      /denied/,
    ),
    ...(hasRegistryCache
      ? [
          same(
            'a cache in the registry',
            plain,
            ['--cache-to', `type=registry,ref=${own}:cache`],
            ['--cache-to', `type=registry,ref=${foreign}:cache`],
            /build\.cache|denied/,
          ),
        ]
      : []),
  ];
}

const gateway = await startGateway({ engine: ENGINE as string, unix: [{ name: 'bot', identity: 'bot' }] });
let failed = 0;
let pairs = 0;
const check = (is: boolean, what: string, why: string) => {
  if (is) return;
  failed++;
  console.log(`  FAILED ${what}: ${why.trim().slice(-600)}`);
};
const stops: (() => unknown)[] = [() => registry.stop()];
try {
  const file = join(gateway.dir, 'ci.yaml');
  writeFileSync(file, POLICY);
  await gateway.must('policy', 'apply', '-f', file);
  await gateway.must('identity', 'create', 'bot', '--policy', 'ci');
  const bot = await callerOverAll(gateway, 'bot');
  stops.push(() => bot.stop());
  const driver = dockerDirect('info', '--format', '{{json .DriverStatus}}');
  const cases = casesOf(driver.includes('containerd'));

  const withBuildx = (env: NodeJS.ProcessEnv, program: string): NodeJS.ProcessEnv => {
    const home = mkdtempSync(join(gateway.dir, 'home-'));
    cpSync(env.HOME as string, home, { recursive: true });
    const config = JSON.parse(readFileSync(join(home, 'config.json'), 'utf8'));
    const plugins = join(home, 'cli-plugins');
    mkdirSync(plugins);
    cpSync(program, join(plugins, 'docker-buildx'));
    const auth = Buffer.from(`${USER}:pw`).toString('base64');
    writeFileSync(
      join(home, 'config.json'),
      JSON.stringify({ ...config, cliPluginsExtraDirs: [plugins], auths: { [registry.address]: { auth } } }),
    );
    return {
      ...env,
      HOME: home,
      DOCKER_CONFIG: home,
      ...(env.DOCKER_CERT_PATH === undefined ? {} : { DOCKER_CERT_PATH: home }),
    };
  };

  // The private image the bot builds from, made by the operator straight at the engine.
  const operator = withBuildx(
    { ...clientEnv(gateway, 'unix', bot), DOCKER_HOST: process.env.DOCKGATE_TEST_DOCKER_HOST },
    programs[0] as string,
  );
  const seed = join(gateway.dir, 'seed');
  mkdirSync(seed);
  writeFileSync(join(seed, 'file'), 'a private file');
  writeFileSync(join(seed, 'Dockerfile'), `FROM ${IMAGE}\nCOPY file /file\n`);
  for (const name of [base, `${foreign}:base`]) {
    const ran = await docker(operator, ['build', '--push', '-t', name, seed]);
    if (ran.code !== 0) throw new Error(ran.stderr);
    await docker(operator, ['rmi', name]);
  }

  for (const program of programs) {
    const version = `${basename(program)} ${(await run(program, ['version'])).stdout.trim().split(' ')[1] ?? ''}`;
    for (const channel of ['unix', 'mtls', 'connect'] as const) {
      const env = withBuildx(clientEnv(gateway, channel, bot), program);
      const before = failed;
      for (const [number, pair] of cases.entries()) {
        pairs++;
        for (const { title, dockerfile, args, denied } of pair) {
          const folder = mkdtempSync(join(gateway.dir, 'context-'));
          writeFileSync(join(folder, 'Dockerfile'), dockerfile);
          writeFileSync(join(folder, 'file'), `${version} ${channel} ${number}`);
          const ran = await docker(env, ['buildx', 'build', ...args, folder]);
          const what = `${title} (${channel}, ${version})`;
          if (denied === undefined) check(ran.code === 0, what, ran.stderr);
          else check(ran.code !== 0 && denied.test(ran.stderr), what, ran.stderr);
        }
      }
      console.log(`${version}, ${channel}: ${cases.length} pairs, ${failed - before} failures`);
    }
    // As the Docker Pipeline plugin does it: docker build -t, docker tag, docker push; and the push that is not the bot's.
    const env = withBuildx(clientEnv(gateway, 'mtls', bot), program);
    const steps = [
      [['build', '-t', 'ci-app:1', seed], true],
      [['tag', 'ci-app:1', `${own}:1`], true],
      [['push', `${own}:1`], true],
      [['tag', 'ci-app:1', `${foreign}:1`], false],
      [['push', `${foreign}:base`], false],
      [['run', '--rm', '-v', '/:/host', 'ci-app:1', 'ls', '/host'], false],
    ] as const;
    for (const [args, isAllowed] of steps) {
      const ran = await docker(env, args);
      check((ran.code === 0) === isAllowed, `docker ${args.join(' ')}`, `${ran.code} ${ran.stderr}`);
      if (!isAllowed) check(/denied/.test(ran.stderr), `docker ${args.join(' ')}`, ran.stderr);
    }
  }
  const auth = Buffer.from(`${USER}:pw`).toString('base64');
  const tagsOf = async (name: string) =>
    (
      await fetch(`http://${registry.address}/v2/${name}/tags/list`, { headers: { authorization: `Basic ${auth}` } })
    ).text();
  console.log('in the registry:', (await tagsOf('ci/app')).trim(), (await tagsOf('other/app')).trim());
  console.log(
    `${IS_DENO ? 'Deno' : 'Node'}: ${pairs} pairs of allowed and denied builds and ${programs.length} pipelines, ${failed} failures`,
  );
} finally {
  for (const stop of stops.reverse()) await stop();
  await gateway.remove();
}
process.exitCode = failed === 0 ? 0 : 1;
