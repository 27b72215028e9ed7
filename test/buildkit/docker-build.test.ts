// Stock clients build with BuildKit through dockgate as `baseline`, over every channel, and what a build may not have is refused in
// words the docker CLI shows. Beside each denial stands its nearest allowed neighbour. Drives a real engine.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { callerOverAll, clientEnv } from '../clients/channels.ts';
import { CLI_PLUGINS, DOCKER_CLI, dockerDirect, ENGINE, IMAGE, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran, startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';

const PREFIX = `dg-bk-${IS_DENO ? 'deno' : 'node'}`;
const SECRET = 'hunter2-not-for-the-log';
const skip = skipWithoutCli !== false ? skipWithoutCli : CLI_PLUGINS === undefined ? 'no docker-buildx here' : false;

const POLICIES = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: meta }
rules:
  - { name: meta, effect: allow, actions: [system.ping, system.version, system.info, image.inspect, image.list] }
---
apiVersion: dockgate/v1
kind: Policy
metadata: { name: acme }
rules:
  - name: build
    effect: allow
    actions: [build.run]
    host: { preset: baseline }
    build: { tags: ["docker.io/acme/*"], secrets: [npm-*], ssh: [], exporters: [image], contexts: [context, dockerfile] }
---
apiVersion: dockgate/v1
kind: Policy
metadata: { name: closed }
rules:
  - name: build
    effect: allow
    actions: [build.run]
    host: { preset: baseline }
    build: { sources: [docker.io/library/busybox:test], frontends: [dockerfile.v0], networks: [none], cache: [inline] }
---
apiVersion: dockgate/v1
kind: Policy
metadata: { name: host, acknowledges: [host-access] }
rules:
  - name: build
    effect: allow
    actions: [build.run]
    host: { preset: baseline }
    build: { entitlements: [network.host], networks: ["*"], sources: ["docker.io/*", "http://127.0.0.1:1/*"] }
`;

describe('docker build with BuildKit through dockgate', { skip }, () => {
  let gateway: TestGateway;
  let base: Awaited<ReturnType<typeof callerOverAll>>;
  const env: Record<string, NodeJS.ProcessEnv> = {};
  const names = ['base', 'tenant', 'acme', 'closed', 'host', 'reader'];

  const context = (name: string, dockerfile: string, files: Record<string, string> = {}): string => {
    const folder = join(gateway.dir, `context-${name}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'Dockerfile'), dockerfile);
    for (const [file, content] of Object.entries(files)) writeFileSync(join(folder, file), content);
    return folder;
  };
  const build = (who: string, ...args: string[]): Promise<Ran> =>
    docker(env[who] as NodeJS.ProcessEnv, ['build', '--network', 'none', ...args]);
  const succeeds = async (who: string, ...args: string[]): Promise<Ran> => {
    const ran = await build(who, ...args);
    assert.equal(ran.code, 0, ran.stderr);
    return ran;
  };
  const denied = async (who: string, message: RegExp, ...args: string[]): Promise<void> => {
    const ran = await docker(env[who] as NodeJS.ProcessEnv, ['build', ...args]);
    assert.notEqual(ran.code, 0, ran.stderr);
    assert.match(ran.stderr, message);
    assert.match(ran.stderr, /\[audit [0-9a-f-]{36}\]/);
  };
  const rowsOf = async (
    ...filter: string[]
  ): Promise<{ stage: string; decision: string; detail?: { build?: Record<string, unknown> } }[]> =>
    JSON.parse(await gateway.must('audit', 'ls', '--rows', '--limit', '500', '--json', ...filter));

  let plain = '';
  before(async () => {
    gateway = await startGateway({ engine: ENGINE as string, unix: names.map((name) => ({ name, identity: name })) });
    const file = join(gateway.dir, 'policies.yaml');
    writeFileSync(file, POLICIES);
    await gateway.must('policy', 'apply', '-f', file);
    await gateway.must('tenant', 'create', 'red');
    await gateway.must('identity', 'create', 'base', '--policy', 'baseline');
    await gateway.must('identity', 'create', 'tenant', '--policy', 'baseline', '--tenant', 'red');
    await gateway.must('identity', 'create', 'reader', '--policy', 'reader');
    for (const name of ['acme', 'closed', 'host'])
      await gateway.must('identity', 'create', name, '--policy', 'meta', '--policy', name);
    for (const identity of names) env[identity] = clientEnv(gateway, 'unix', { identity, token: '' });
    base = await callerOverAll(gateway, 'base');
    for (const channel of ['mtls', 'connect'] as const) env[channel] = clientEnv(gateway, channel, base);
    plain = context(
      'plain',
      `FROM ${IMAGE}\nARG VALUE\nCOPY file /file\nRUN cat /file > /built && echo $VALUE\nCMD ["cat", "/built"]\n`,
      {
        file: `content of ${PREFIX}\n`,
      },
    );
  });
  after(async () => {
    const images = dockerDirect('images', '-q', '--filter', `reference=${PREFIX}*`).split('\n').filter(Boolean);
    if (images.length > 0) dockerDirect('rmi', '-f', ...new Set(images));
    await base?.stop();
    await gateway?.remove();
  });

  for (const who of ['base', 'mtls', 'connect', 'tenant']) {
    it(`builds, tags and runs as baseline over ${who === 'base' || who === 'tenant' ? 'a bound socket' : who}${who === 'tenant' ? ' of a tenant' : ''}`, async () => {
      await succeeds(who, '--build-arg', `VALUE=${SECRET}`, '-t', `${PREFIX}-${who}`, plain);
      assert.equal(dockerDirect('run', '--rm', '--network', 'none', `${PREFIX}-${who}`), `content of ${PREFIX}\n`);
    });
  }

  it('one build is one record: what it asked for, its steps, its result, and no value of an argument', async () => {
    await succeeds('base', '--no-cache', '--build-arg', `VALUE=${SECRET}`, '-t', `${PREFIX}-record`, plain);
    const rows = await rowsOf('--action', 'build.run', '--subject', 'base');
    const own = rows.filter((row) => JSON.stringify(row).includes(`${PREFIX}-record`));
    assert.deepEqual(own.map(({ stage }) => stage).sort(), ['complete', 'intent']);
    const told = own.find(({ stage }) => stage === 'complete')?.detail?.build ?? {};
    assert.equal(told.result, 'done');
    assert.match(String(told.image), /^sha256:/);
    assert.match(JSON.stringify(told.steps), /RUN cat \/file > \/built && echo \*\*\*/);
    assert.deepEqual(own.find(({ stage }) => stage === 'intent')?.detail?.build?.tags, [
      `docker.io/library/${PREFIX}-record:latest`,
    ]);
    assert.ok(!JSON.stringify(await rowsOf()).includes(SECRET));
  });

  it('a secret reaches its step and not the audit', async () => {
    const folder = context(
      'secret',
      `FROM ${IMAGE}\nRUN --mount=type=secret,id=npm-token test "$(cat /run/secrets/npm-token)" = ${SECRET}\n`,
    );
    const file = join(gateway.dir, 'secret');
    writeFileSync(file, SECRET);
    await succeeds('base', '--secret', `id=npm-token,src=${file}`, folder);
    await succeeds('acme', '--secret', `id=npm-token,src=${file}`, '-t', 'acme/secret', folder);
    assert.ok(
      !(await gateway.must('audit', 'ls', '--rows', '--limit', '100', '--json', '--action', 'build.control')).includes(
        SECRET,
      ),
    );
    const other = context(
      'secret2',
      `FROM ${IMAGE}\nRUN --mount=type=secret,id=other,required cat /run/secrets/other\n`,
    );
    await denied(
      'acme',
      /denied by policy acme: "other" is not among its build\.secrets \(allowed: npm-\*\)/,
      '--network',
      'none',
      '--secret',
      `id=other,src=${file}`,
      '-t',
      'acme/x',
      other,
    );
  });

  it('-o type=local, --target, --platform, --build-context, --metadata-file, --label, --add-host work', async () => {
    const folder = context(
      'stages',
      `FROM ${IMAGE} AS one\nCOPY --from=more name /out/name\nFROM scratch AS files\nCOPY --from=one /out /\nFROM ${IMAGE}\nRUN false\n`,
    );
    const more = context('more', '', { name: 'from another folder\n' });
    const out = join(gateway.dir, 'out');
    const metadata = join(gateway.dir, 'metadata.json');
    await succeeds(
      'base',
      '--target',
      'files',
      '--platform',
      'linux/amd64',
      '--build-context',
      `more=${more}`,
      '-o',
      `type=local,dest=${out}`,
      '--metadata-file',
      metadata,
      '--label',
      'a=b',
      '--add-host',
      'x:127.0.0.1',
      folder,
    );
    assert.equal(readFileSync(join(out, 'name'), 'utf8'), 'from another folder\n');
    assert.match(readFileSync(metadata, 'utf8'), /buildx\.build\.ref/);
  });

  it('a cache goes into the image, to a folder of the client and back', async () => {
    const folder = join(gateway.dir, 'cache');
    await succeeds('base', '--cache-to', 'type=inline', '-t', `${PREFIX}-inline`, plain);
    const local = await build(
      'base',
      '--cache-to',
      `type=local,dest=${folder}`,
      '--cache-from',
      `type=local,src=${folder}`,
      '-t',
      `${PREFIX}-local`,
      plain,
    );
    // An engine with its own image store says itself that it cannot.
    if (local.code !== 0) assert.match(local.stderr, /Cache export is not supported for the docker driver/);
  });

  it('--check and --call tell of a Dockerfile', async () => {
    await succeeds('base', '--check', plain);
    const ran = await succeeds('base', '--call', 'outline', plain);
    assert.match(ran.stdout, /VALUE/);
  });

  it('a build that fails shows the engine’s own error', async () => {
    const ran = await build('base', '--no-cache', context('broken', `FROM ${IMAGE}\nRUN exit 3\n`));
    assert.notEqual(ran.code, 0);
    assert.match(ran.stderr, /exit code: 3/);
  });

  it('Ctrl-C ends the build at the engine', async () => {
    const slow = context('slow', `FROM ${IMAGE}\nRUN sleep 300 # ${PREFIX}\n`);
    const started = Date.now();
    const ran = await interrupted(env.base as NodeJS.ProcessEnv, ['build', '--network', 'none', '--no-cache', slow]);
    assert.notEqual(ran, 0);
    assert.ok(Date.now() - started < 60_000);
    const [row] = await rowsOf('--action', 'build.run', '--subject', 'base');
    assert.match(String(row?.detail?.build?.result), /cancelled|broken-off|failed/);
  });

  const file = (name: string, dockerfile: string) => () => context(name, dockerfile);
  for (const [title, who, args, folder, message] of [
    [
      'the network of the host',
      'base',
      ['--network', 'host'],
      undefined,
      /Entitlements\[0\]: entitlement network\.host is not among its build\.entitlements \(allowed: none\)/,
    ],
    [
      'all privileges',
      'base',
      ['--allow', 'security.insecure'],
      undefined,
      /entitlement security\.insecure is not among/,
    ],
    [
      'a device of the host',
      'base',
      ['--allow', 'device=vendor/class=name'],
      undefined,
      /entitlement device=vendor\/class=name is not among/,
    ],
    [
      'a step on the network of the host',
      'base',
      [],
      file('host', `FROM ${IMAGE}\nRUN --network=host true\n`),
      /denied by policy baseline: entitlement network\.host is not among its build\.entitlements/,
    ],
    [
      'an address in ADD',
      'base',
      [],
      file('add', `FROM ${IMAGE}\nADD http://127.0.0.1:1/x /x\n`),
      /denied by policy baseline: http:\/\/127\.0\.0\.1:1\/x is not among its build sources/,
    ],
    [
      'a repository in ADD',
      'base',
      [],
      file('git', `FROM ${IMAGE}\nADD https://127.0.0.1:1/x.git /x\n`),
      /denied by policy baseline: git:\/\/127\.0\.0\.1:1\/x\.git is not among its build sources/,
    ],
    [
      'another registry in FROM',
      'base',
      [],
      file('from', 'FROM registry.example.test/app:1\n'),
      /denied by policy baseline: FROM registry\.example\.test\/app:1 is not among its build sources/,
    ],
    [
      'another registry in COPY --from',
      'base',
      [],
      file('copy', `FROM ${IMAGE}\nCOPY --from=registry.example.test/app:1 /x /x\n`),
      /FROM registry\.example\.test\/app:1 is not among/,
    ],
    [
      'another registry in a mount',
      'base',
      ['--network', 'none'],
      file('mount', `FROM ${IMAGE}\nRUN --mount=from=registry.example.test/app:1,target=/x true\n`),
      /FROM registry\.example\.test\/app:1 is not among/,
    ],
    [
      'another registry in a # syntax line',
      'base',
      [],
      file('syntax', `# syntax=registry.example.test/front:1\nFROM ${IMAGE}\n`),
      /FROM registry\.example\.test\/front:1 is not among/,
    ],
    [
      'a frontend by argument',
      'base',
      ['--build-arg', 'BUILDKIT_SYNTAX=docker.io/evil/front:1'],
      undefined,
      /frontend docker\.io\/evil\/front:1 is not among its build\.frontends/,
    ],
    [
      'a cgroup of the host',
      'base',
      ['--cgroup-parent', '/x'],
      undefined,
      /FrontendAttrs\["cgroup-parent"\] is "\/x" \(allowed: empty\)/,
    ],
    [
      'a context the engine fetches',
      'base',
      ['--build-context', 'x=https://example.test/x.tar'],
      undefined,
      /source https:\/\/example\.test\/x\.tar is not among its build\.sources/,
    ],
    [
      'a tag that is not the bot’s',
      'acme',
      ['-t', 'acme2/app'],
      undefined,
      /tag docker\.io\/acme2\/app:latest is not among its build\.tags \(allowed: docker\.io\/acme\/\*\)/,
    ],
    [
      'an exporter that is not the bot’s',
      'acme',
      ['-o', 'type=local,dest=/tmp/none'],
      undefined,
      /exporter local is not among its build\.exporters \(allowed: image\)/,
    ],
    [
      'an image that is not the bot’s to use',
      'closed',
      [],
      file('library', 'FROM docker.io/library/other:1\n'),
      /FROM docker\.io\/library\/other:1 is not among its build sources/,
    ],
    [
      'an address beside the one that is allowed',
      'host',
      [],
      file('add2', `FROM ${IMAGE}\nADD http://127.0.0.1:2/x /x\n`),
      /http:\/\/127\.0\.0\.1:2\/x is not among its build sources/,
    ],
  ] as const) {
    it(`${title} is denied (${who})`, async () => {
      await denied(who, message, ...args, folder === undefined ? plain : folder());
    });
  }

  for (const [title, who, args, folder] of [
    ['the network of containers', 'base', [], undefined],
    ['no network in a step', 'base', [], file('none', `FROM ${IMAGE}\nRUN --network=none true\n`)],
    [
      'a step on the network of the host, where it is granted',
      'host',
      ['--allow', 'network.host'],
      file('host', `FROM ${IMAGE}\nRUN --network=host true\n`),
    ],
    ['the bot’s own tag', 'acme', ['-t', `acme/${PREFIX}`], undefined],
    ['the one image that is named', 'closed', [], undefined],
    [
      'a # syntax line where frontends are the built-in one, which does not follow it',
      'closed',
      [],
      file('syntax', `# syntax=registry.example.test/front:1\nFROM ${IMAGE}\n`),
    ],
    [
      'the default network, which is none where policy says so',
      'closed',
      ['--network', 'none'],
      file('default', `FROM ${IMAGE}\nRUN --network=default true\n`),
    ],
  ] as const) {
    it(`${title} is allowed (${who})`, async () => {
      await succeeds(who, ...args, folder === undefined ? plain : folder());
    });
  }

  it('what is allowed of an address is tried by the engine itself', async () => {
    const ran = await build('host', context('add1', `FROM ${IMAGE}\nADD http://127.0.0.1:1/x /x\n`));
    assert.notEqual(ran.code, 0);
    assert.match(ran.stderr, /connection refused/);
  });

  it('a caller who may not build is told the missing permission', async () => {
    const ran = await build('reader', plain);
    assert.notEqual(ran.code, 0);
    assert.match(ran.stderr, /denied: .*(build\.run|builder container)/);
  });
});

/** Runs the docker CLI and interrupts it once a step runs; gives its exit code. */
function interrupted(env: NodeJS.ProcessEnv, args: readonly string[]): Promise<number | null> {
  const child = spawn(DOCKER_CLI as string, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve) => {
    let output = '';
    const onData = (data: Buffer) => {
      output += data.toString();
      if (/RUN sleep 300/.test(output)) setTimeout(() => child.kill('SIGINT'), 500);
    };
    child.stdout.on('data', onData);
    child.stderr.on('data', onData);
    child.once('exit', (code) => resolve(code));
  });
}
