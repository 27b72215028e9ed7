// Two tenants on one BuildKit attack each other with raw requests: history, logs, builds under way, sessions, contexts, caches and
// images of the other; and the engine itself, with what ends it or is not judged. Drives a real engine.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { framed } from '../../src/buildkit/grpc.ts';
import { type Message, messageOf, readMessage, textOf, writeMessage } from '../../src/buildkit/protobuf.ts';
import { clientEnv } from '../clients/channels.ts';
import { admin } from '../support/admin.ts';
import { CLI_PLUGINS, dockerDirect, ENGINE, IMAGE, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { startTwoTenants, type TwoTenants } from '../support/tenants.ts';
import { until } from '../support/until.ts';
import { definition, historyOf, RawGrpc, upgrade } from './raw-grpc.ts';

const PREFIX = `dg-bka-${IS_DENO ? 'deno' : 'node'}`;
const skip = skipWithoutCli !== false ? skipWithoutCli : CLI_PLUGINS === undefined ? 'no docker-buildx here' : false;
const CONTROL = '/moby.buildkit.v1.Control/';
const BRIDGE = '/moby.buildkit.v1.frontend.LLBBridge/';
const SOLVE = 'moby.buildkit.v1.SolveRequest';
const MARK = 16;

const BASE: Message = { source: { identifier: 'docker-image://docker.io/library/busybox:test' } };
function digestOf(step: Message): string {
  return `sha256:${createHash('sha256').update(writeMessage('pb.Op', step)).digest('hex')}`;
}
/** The last step names the result. */
function resultOf(step: Message): Message {
  return { inputs: [{ digest: digestOf(step) }] };
}

describe('tenants attack each other through BuildKit', { skip }, () => {
  let two: TwoTenants;
  let bob: RawGrpc;
  let direct: RawGrpc;
  const env: Record<string, NodeJS.ProcessEnv> = {};
  const socketOf = (name: string): string => join(two.gateway.dir, `${name}.sock`);
  const context = (name: string, dockerfile: string, files: Record<string, string> = {}): string => {
    const folder = join(two.gateway.dir, name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'Dockerfile'), dockerfile);
    for (const [file, content] of Object.entries(files)) writeFileSync(join(folder, file), content);
    return folder;
  };
  const build = (who: string, ...args: string[]): Promise<Ran> =>
    docker(env[who] as NodeJS.ProcessEnv, ['build', '--network', 'none', '--progress', 'plain', ...args]);
  const solve = (client: RawGrpc, message: Message, timeoutMs?: number) =>
    client.call(`${CONTROL}Solve`, SOLVE, message, {}, timeoutMs);
  const isAlive = async () => assert.equal((await two.engine('GET', '/_ping')).status, 200);

  /** A build of alice's under way: her id of it, and the engine's. */
  let running: Promise<Ran>;
  let engineRef = '';
  let aliceRef = '';

  before(async () => {
    two = await startTwoTenants('baseline');
    for (const identity of ['alice', 'bob']) env[identity] = clientEnv(two.gateway, 'unix', { identity, token: '' });
    const slow = context('slow', `FROM ${IMAGE}\nARG TOKEN\nCOPY private /private\nRUN sleep 25 && echo ${PREFIX}\n`, {
      private: 'of alice',
    });
    running = build('alice', '--no-cache', '--build-arg', 'TOKEN=hunter2', '-t', `${PREFIX}-alice`, slow);
    direct = await RawGrpc.connect(ENGINE as string);
    bob = await RawGrpc.connect(socketOf('bob'));
    const record = await until('the build of alice', async () =>
      (await historyOf(direct, { ActiveOnly: true, EarlyExit: true })).find((one) =>
        JSON.stringify([...((one.FrontendAttrs ?? new Map()) as Map<string, string>)]).includes('hunter2'),
      ),
    );
    engineRef = textOf(record as Message, 'Ref');
    aliceRef = engineRef.slice(MARK);
  });
  after(async () => {
    await running;
    bob?.close();
    direct?.close();
    const images = dockerDirect('images', '-q', '--filter', `reference=${PREFIX}*`).split('\n').filter(Boolean);
    if (images.length > 0) dockerDirect('rmi', '-f', ...new Set(images));
    await two?.gateway.remove();
  });

  it('the history of active and of finished builds shows one’s own alone', async () => {
    for (const asked of [{ ActiveOnly: true, EarlyExit: true }, { EarlyExit: true }]) {
      const seen = await historyOf(bob, asked);
      assert.ok(!JSON.stringify(seen.map((one) => textOf(one, 'Ref'))).includes(aliceRef));
      assert.ok(
        !seen.some((one) =>
          JSON.stringify([...((one.FrontendAttrs ?? new Map()) as Map<string, string>)]).includes('hunter2'),
        ),
      );
    }
    const alice = await RawGrpc.connect(socketOf('alice'));
    const own = await historyOf(alice, { ActiveOnly: true, EarlyExit: true });
    assert.ok(
      own.some((one) => textOf(one, 'Ref') === aliceRef),
      'alice sees hers',
    );
    alice.close();
  });

  it('neither name of another’s build gives its record or its log', async () => {
    for (const ref of [aliceRef, engineRef]) {
      assert.deepEqual(await historyOf(bob, { Ref: ref, EarlyExit: true }), []);
      const { status, messages } = await bob.call(
        `${CONTROL}Status`,
        'moby.buildkit.v1.StatusRequest',
        { Ref: ref },
        {},
        5000,
      );
      assert.notEqual(status, 0);
      assert.deepEqual(messages, []);
      const { status: changed } = await bob.call(
        `${CONTROL}UpdateBuildHistory`,
        'moby.buildkit.v1.UpdateBuildHistoryRequest',
        { Ref: ref, Delete: true },
      );
      assert.notEqual(changed, undefined);
    }
    assert.ok(
      (await historyOf(direct, { ActiveOnly: true, EarlyExit: true })).some((one) => textOf(one, 'Ref') === engineRef),
    );
  });

  it('neither name of another’s build lets its bridge be used', async () => {
    for (const ref of [aliceRef, engineRef]) {
      const headers = { 'buildkit-controlapi-buildid': ref };
      const part = await bob.call(
        `${BRIDGE}Solve`,
        'moby.buildkit.v1.frontend.SolveRequest',
        { Definition: definition() },
        headers,
        14_000,
      );
      assert.notEqual(part.status, 0);
      const read = await bob.call(
        `${BRIDGE}ReadFile`,
        'moby.buildkit.v1.frontend.ReadFileRequest',
        { Ref: 'x', FilePath: '/private' },
        headers,
        5000,
      );
      assert.notEqual(read.status, 0);
    }
  });

  it('another’s session serves no build, named in the request or in a step', async () => {
    const sessions = await until('the session of alice', async () => [aliceRef]);
    for (const id of sessions ?? []) {
      const named = await solve(
        bob,
        { Ref: `${PREFIX.replaceAll('-', '')}1`, Session: id, Frontend: 'dockerfile.v0' },
        8000,
      );
      assert.notEqual(named.status, 0);
      const source: Message = { source: { identifier: 'local://context', attrs: new Map([['local.session', id]]) } };
      const inStep = await solve(
        bob,
        { Ref: `${PREFIX.replaceAll('-', '')}2`, Definition: definition(source, resultOf(source)), Session: 'none' },
        8000,
      );
      assert.notEqual(inStep.status, 0);
    }
  });

  it('a session of another’s id is one’s own, and the other’s goes on', async () => {
    const opened = await upgrade(socketOf('alice'), '/session', { 'X-Docker-Expose-Session-Uuid': 'shared-uuid' });
    assert.ok(!('status' in opened));
    const again = await upgrade(socketOf('bob'), '/session', { 'X-Docker-Expose-Session-Uuid': 'shared-uuid' });
    assert.ok(!('status' in again), 'bob’s own');
    const twice = await upgrade(socketOf('alice'), '/session', { 'X-Docker-Expose-Session-Uuid': 'shared-uuid' });
    assert.ok('status' in twice && twice.status >= 400, 'as the engine answers one identity');
    for (const socket of [opened, again]) if (!('status' in socket)) socket.destroy();
  });

  it('an announcement without an id, or with two, is refused', async () => {
    for (const uuid of [undefined, ['a1', 'b2'], '../x', '']) {
      const answer = await upgrade(
        socketOf('bob'),
        '/session',
        uuid === undefined ? {} : { 'X-Docker-Expose-Session-Uuid': uuid },
      );
      assert.ok('status' in answer && answer.status === 400, JSON.stringify(uuid));
    }
  });

  it('the cache and content of the engine show nothing, and are not pruned', async () => {
    const before =
      (await direct.call(`${CONTROL}DiskUsage`, 'moby.buildkit.v1.DiskUsageRequest', {})).messages[0]?.length ?? 0;
    assert.ok(before > 0);
    const usage = await bob.call(`${CONTROL}DiskUsage`, 'moby.buildkit.v1.DiskUsageRequest', {});
    assert.deepEqual([usage.status, usage.messages[0]?.length], [0, 0]);
    const prune = await bob.call(`${CONTROL}Prune`, 'moby.buildkit.v1.PruneRequest', { all: true });
    assert.deepEqual([prune.status, prune.messages], [0, []]);
    const afterwards = await direct.call(`${CONTROL}DiskUsage`, 'moby.buildkit.v1.DiskUsageRequest', {});
    assert.ok((afterwards.messages[0]?.length ?? 0) > before / 2);
    const image = dockerDirect('inspect', '-f', '{{.Id}}', IMAGE).trim();
    const read = await bob.call(
      '/containerd.services.content.v1.Content/Read',
      'containerd.services.content.v1.ReadContentRequest',
      { digest: image },
    );
    assert.equal(read.status, 5);
  });

  for (const [title, path] of [
    ['a session on /grpc', `${CONTROL}Session`],
    ['a list of all content', '/containerd.services.content.v1.Content/List'],
    ['a container beside a build', `${BRIDGE}NewContainer`],
    ['a process in one', `${BRIDGE}ExecProcess`],
    ['leases', '/containerd.services.leases.v1.Leases/List'],
    ['reflection', '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo'],
    ['a method of tomorrow', `${CONTROL}Newest`],
    ['a path that is none', '/'],
  ] as const) {
    it(`${title} is refused, and audited`, async () => {
      const { status, message } = await bob.send(path, framed(new Uint8Array(0)));
      assert.equal(status, 12);
      assert.match(message, /is not served here.*\[audit [0-9a-f-]{36}\]/);
    });
  }

  it('a result that is none does not reach the engine, which it would end', async () => {
    const headers = { 'buildkit-controlapi-buildid': 'x1' };
    const { status, message } = await bob.call(
      `${BRIDGE}Return`,
      'moby.buildkit.v1.frontend.ReturnRequest',
      {},
      headers,
    );
    assert.equal(status, 3);
    assert.match(message, /returns a result or an error/);
    await isAlive();
  });

  const exec = (more: Message): Message => ({
    inputs: [{ digest: digestOf(BASE) }],
    exec: { meta: { args: ['true'], cwd: '/' }, mounts: [{ dest: '/' }], ...more },
  });
  for (const [title, request, message] of [
    ['a source policy of one’s own', { SourcePolicy: { version: 1n } }, /SourcePolicy is the gateway's to give/],
    ['a session of source policies', { SourcePolicySession: 'x1' }, /SourcePolicySession is the gateway's to give/],
    ['exporters the client names later', { EnableSessionExporter: true }, /EnableSessionExporter/],
    ['a network of proxies', { ProxyNetwork: true }, /ProxyNetwork/],
    ['an unknown frontend', { Frontend: 'newest.v9' }, /Frontend is "newest\.v9"/],
    [
      'an unknown option',
      { Frontend: 'dockerfile.v0', FrontendAttrs: new Map([['gateway-devel', '1']]) },
      /option of a frontend that is not known/,
    ],
    [
      'an exporter’s unknown option',
      { Exporters: [{ Type: 'image', Attrs: new Map([['newest', '1']]) }] },
      /option "newest"/,
    ],
    [
      'a name the frontend chooses',
      { Exporters: [{ Type: 'image', Attrs: new Map([['name', '*']]) }] },
      /frontend would choose it/,
    ],
    [
      'a registry without TLS',
      {
        Exporters: [
          {
            Type: 'image',
            Attrs: new Map([
              ['name', 'x'],
              ['push', 'true'],
              ['registry.insecure', 'true'],
            ]),
          },
        ],
      },
      /registry\.insecure/,
    ],
    [
      'a push to a registry that is not allowed, in the deprecated fields',
      {
        ExporterDeprecated: 'image',
        ExporterAttrsDeprecated: new Map([
          ['name', 'ghcr.io/a/b:1'],
          ['push', 'true'],
        ]),
      },
      /image "ghcr\.io\/a\/b:1"/,
    ],
    [
      'a cache from a registry that is not allowed',
      { Cache: { Imports: [{ Type: 'registry', Attrs: new Map([['ref', 'ghcr.io/a/b']]) }] } },
      /cache registry:ghcr\.io\/a\/b:latest/,
    ],
    [
      'a cache in the deprecated fields',
      { Cache: { ImportRefsDeprecated: ['ghcr.io/a/b'] } },
      /cache registry:ghcr\.io\/a\/b:latest/,
    ],
    [
      'a cache in JSON, with its keys in another case',
      {
        Frontend: 'dockerfile.v0',
        FrontendAttrs: new Map([['cache-imports', '[{"type":"registry","attrs":{"ref":"ghcr.io/a/b"}}]']]),
      },
      /no list of caches/,
    ],
    ['a build inside the build', { Definition: definition({ build: { builder: 0n } }) }, /build inside the build/],
    [
      'a step on the network of the host',
      { Definition: definition(BASE, exec({ network: 1 })) },
      /network\.host is not among/,
    ],
    [
      'a step with all privileges',
      { Definition: definition(BASE, exec({ security: 1 })) },
      /security\.insecure is not among/,
    ],
    [
      'a step with a device',
      { Definition: definition(BASE, exec({ cdiDevices: [{ name: 'a/b=c' }] })) },
      /device=a\/b=c is not among/,
    ],
    [
      'a step in a cgroup of the host',
      { Definition: definition(BASE, exec({ meta: { cgroupParent: '/x' } })) },
      /cgroupParent is "\/x"/,
    ],
    [
      'a step with a network of tomorrow',
      { Definition: definition(BASE, exec({ network: 7 })) },
      /network or security mode that is not known/,
    ],
    [
      'an address as a step',
      { Definition: definition({ source: { identifier: 'http://127.0.0.1:1/x' } }) },
      /source http:\/\/127\.0\.0\.1:1\/x is not among/,
    ],
    [
      'an input of a frontend',
      {
        Frontend: 'dockerfile.v0',
        FrontendInputs: new Map([['a', definition({ source: { identifier: 'git://x/y' } })]]),
      },
      /source git:\/\/x\/y is not among/,
    ],
  ] as const satisfies readonly (readonly [string, Message, RegExp])[]) {
    it(`${title} is refused before the engine hears of it`, async () => {
      const answer = await solve(bob, { Ref: 'x1', ...request });
      assert.ok(answer.status === 7 || answer.status === 3, `${answer.status} ${answer.message}`);
      assert.match(answer.message, message);
      assert.match(answer.message, /\[audit [0-9a-f-]{36}\]/);
    });
  }

  it('a field of a BuildKit of tomorrow is refused by the version the gateway knows', async () => {
    const future = Buffer.concat([writeMessage(SOLVE, { Ref: 'x1' }), Buffer.from('9203017a', 'hex')]);
    const { status, message } = await bob.send(`${CONTROL}Solve`, framed(future));
    assert.equal(status, 3);
    assert.match(message, /SolveRequest has a field 50 that BuildKit 0\.\d+\.\d+ does not know/);
  });

  it('a compressed message, one beyond 16 MiB and two in one are refused', async () => {
    const zipped = framed(new Uint8Array(3));
    zipped[0] = 1;
    assert.equal((await bob.send(`${CONTROL}Solve`, zipped)).status, 12);
    // 64 MiB of zeros in 64 KiB.
    const bomb = framed(gzipSync(Buffer.alloc(64 * 1024 * 1024)));
    bomb[0] = 1;
    for (let i = 0; i < 20; i++)
      assert.equal((await bob.send(`${CONTROL}Solve`, bomb, { 'grpc-encoding': 'gzip' })).status, 12);
    // The word alone, of a message that is not, does not reach the engine.
    const plain = await bob.send('/moby.buildkit.v1.Control/Info', framed(new Uint8Array(0)), {
      'grpc-encoding': 'gzip',
    });
    assert.equal(plain.status, 0, plain.message);
    const huge = Buffer.alloc(5);
    huge.writeUInt32BE(17 * 1024 * 1024, 1);
    assert.equal((await bob.send(`${CONTROL}Solve`, huge)).status, 8);
    const two = Buffer.concat([framed(new Uint8Array(0)), framed(new Uint8Array(0))]);
    assert.equal((await bob.send(`${CONTROL}Solve`, two)).status, 3);
    assert.equal((await bob.send(`${CONTROL}Solve`, new Uint8Array(0))).status, 3);
  });

  it('an image of another’s is not there for FROM, by name or by id; one’s own is', async () => {
    const made = context('made', `FROM ${IMAGE}\nRUN echo ${PREFIX} > /secret\n`);
    assert.equal((await build('alice', '-t', `${PREFIX}-secret`, made)).code, 0);
    const id = dockerDirect('inspect', '-f', '{{.Id}}', `${PREFIX}-secret`).trim();
    for (const from of [`${PREFIX}-secret`, `${PREFIX}-secret@${id}`, `busybox@${id}`]) {
      const folder = context('from', `FROM ${from}\nRUN cat /secret\n`);
      const ran = await build('bob', '--no-cache', folder);
      assert.notEqual(ran.code, 0, from);
      assert.ok(!ran.stderr.includes(`0.1 ${PREFIX}`), ran.stderr);
    }
    assert.equal(
      (await build('alice', '--no-cache', context('from', `FROM ${PREFIX}-secret\nRUN cat /secret\n`))).code,
      0,
    );
  });

  it('an image of another’s that comes while a build waits is not taken from the store', async () => {
    const name = `docker.io/library/${PREFIX}-late:latest`;
    const ref = `${PREFIX.replaceAll('-', '')}late`;
    const session = await upgrade(socketOf('bob'), '/session', { 'X-Docker-Expose-Session-Uuid': `${ref}s` });
    assert.ok(!('status' in session));
    const build1 = solve(bob, { Ref: ref, Session: `${ref}s` }, 30_000);
    const headers = { 'buildkit-controlapi-buildid': ref };
    const part = async (image: string): Promise<string> => {
      const source: Message = { source: { identifier: `docker-image://${image}` } };
      const asked = await bob.call(
        `${BRIDGE}Solve`,
        'moby.buildkit.v1.frontend.SolveRequest',
        { Definition: definition(source, resultOf(source)), allowResultReturn: true, allowResultArrayRef: true },
        headers,
      );
      assert.equal(asked.status, 0, asked.message);
      const answer = readMessage('moby.buildkit.v1.frontend.SolveResponse', asked.messages[0] as Uint8Array, false);
      return textOf(messageOf(messageOf(answer, 'result') ?? {}, 'ref') ?? {}, 'id');
    };
    const [late, ordinary] = [await part(name), await part('docker.io/library/busybox:test')];
    const made = context('late', `FROM ${IMAGE}\nRUN echo of-alice > /secret\n`);
    assert.equal((await build('alice', '-t', `${PREFIX}-late`, made)).code, 0);
    const read = (of: string, path: string) => {
      const request = { Ref: of, FilePath: path };
      return bob.call(`${BRIDGE}ReadFile`, 'moby.buildkit.v1.frontend.ReadFileRequest', request, headers, 15_000);
    };
    const stolen = await read(late, '/secret');
    assert.notEqual(stolen.status, 0);
    assert.doesNotMatch(Buffer.concat([...stolen.messages]).toString(), /of-alice/);
    assert.equal((await read(ordinary, '/etc/passwd')).status, 0);
    session.destroy();
    await bob.call(
      `${BRIDGE}Return`,
      'moby.buildkit.v1.frontend.ReturnRequest',
      { error: { code: 1, message: 'done' } },
      headers,
    );
    await build1;
  });

  it('labels of a Dockerfile are bounded as those of a request, with BuildKit and without', async () => {
    const labelled = (count: number) =>
      context(
        'labelled',
        `FROM ${IMAGE}\nLABEL ${Array.from({ length: count }, (_, i) => `l${i}="${'x'.repeat(990)}"`).join(' \\\n  ')}\n`,
      );
    const tag = `${PREFIX}-labelled`;
    for (const kit of ['1', '0']) {
      const alice = { ...env.alice, DOCKER_BUILDKIT: kit };
      const args = kit === '0' ? ['build', '-t', tag] : ['build', '--network', 'none', '-t', tag];
      const ran = await docker(alice, [...args, labelled(70)]);
      assert.notEqual(ran.code, 0);
      assert.match(
        ran.stderr + ran.stdout,
        /the labels of one image may have 65536 bytes together \(limits\.labelBytes\)/,
      );
      assert.equal(dockerDirect('images', '-q', tag), '');
      const allowed = await docker(alice, [...args, labelled(60)]);
      assert.equal(allowed.code, 0, allowed.stderr);
      dockerDirect('rmi', '-f', tag);
    }
  });

  it('a name of another’s is not to be taken; one’s own may be made again', async () => {
    const folder = context('made', `FROM ${IMAGE}\nRUN echo ${PREFIX} > /secret\n`);
    const ran = await build('bob', '-t', `${PREFIX}-secret`, folder);
    assert.notEqual(ran.code, 0);
    assert.match(ran.stderr, /in use and not yours/);
    assert.equal((await build('alice', '-t', `${PREFIX}-secret`, folder)).code, 0);
    const list = await two.bob('GET', '/images/json');
    assert.ok(!JSON.stringify(list.json).includes(`${PREFIX}-secret`));
  });

  it('a cache mount of the same id is another for another tenant', async () => {
    // Without --no-cache, which empties these mounts; a word of this run makes each step a new one.
    const run = `RUN --mount=type=cache,id=shared,target=/c true ${Date.now()} &&`;
    const write = context('write', `FROM ${IMAGE}\n${run} echo of-alice > /c/f\n`);
    assert.equal((await build('alice', write)).code, 0);
    const read = context('read', `FROM ${IMAGE}\n${run} ls -l /c && test ! -e /c/f\n`);
    assert.equal((await build('bob', read)).code, 0);
    const own = context('own', `FROM ${IMAGE}\n${run} test "$(cat /c/f)" = of-alice\n`);
    assert.equal((await build('alice', own)).code, 0);
  });

  it('a context of the same key, size and time is another’s no more', async () => {
    const folder = context('same', `FROM ${IMAGE}\nCOPY f /f\nRUN cat /f\n`);
    const at = new Date(1_700_000_000_000);
    for (const [who, text] of [
      ['alice', 'of alice'],
      ['bob', 'of bob!!'],
    ] as const) {
      writeFileSync(join(folder, 'f'), text);
      utimesSync(join(folder, 'f'), at, at);
      const ran = await build(who, '--no-cache', folder);
      assert.equal(ran.code, 0, ran.stderr);
      assert.ok(ran.stderr.includes(text), ran.stderr);
    }
  });

  it('a quota of builds counts builds, not the connections they come on', async () => {
    const slow = context('quota', `FROM ${IMAGE}\nRUN sleep 8 && echo ${PREFIX}\n`);
    await admin(two.gateway, 'PATCH', '/tenants/blue', { quota: { builds: 1 } });
    const first = build('bob', '--no-cache', slow);
    await until('the first build', async () => {
      const { messages } = { messages: await historyOf(direct, { ActiveOnly: true, EarlyExit: true }) };
      return messages.length > 0 ? true : undefined;
    });
    const second = await build('bob', '--no-cache', context('made', `FROM ${IMAGE}\nRUN true\n`));
    assert.notEqual(second.code, 0);
    assert.match(second.stderr, /the quota of tenant blue is 1 build at once/);
    assert.equal((await first).code, 0, (await first).stderr);
    assert.equal((await build('bob', context('made', `FROM ${IMAGE}\nRUN true\n`))).code, 0);
    await admin(two.gateway, 'PATCH', '/tenants/blue', { quota: { builds: null, 'image-bytes': 1 } });
    const over = await build('bob', '-t', `${PREFIX}-over`, context('made', `FROM ${IMAGE}\nRUN echo 2 > /x\n`));
    assert.notEqual(over.code, 0);
    assert.match(over.stderr, /quota of tenant blue/);
    await admin(two.gateway, 'PATCH', '/tenants/blue', { quota: { 'image-bytes': 1e10 } });
    assert.equal((await build('bob', context('made', `FROM ${IMAGE}\nRUN echo 2 > /x\n`))).code, 0);
  });

  it('the engine is there after all of it, and the build of alice ended well', async () => {
    const ran = await running;
    assert.equal(ran.code, 0, ran.stderr);
    await isAlive();
    const rows: { detail?: unknown }[] = JSON.parse(
      await two.gateway.must(
        'audit',
        'ls',
        '--rows',
        '--limit',
        '500',
        '--json',
        '--subject',
        'bob',
        '--decision',
        'deny',
      ),
    );
    assert.ok(rows.length > 30);
  });
});
