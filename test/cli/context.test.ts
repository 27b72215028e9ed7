// dockgate context create: the files the docker CLI reads, and that docker, compose and buildx reach the gateway with them.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';
import { admin, auditOf } from '../support/admin.ts';
import { CLI_PLUGINS, ENGINE, skipWithoutCli } from '../support/engine.ts';
import { docker, run, startGateway, type TestGateway } from '../support/gateway.ts';
import { dockgateCommand } from '../support/runtime.ts';

describe('dockgate context create', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  let config: string;
  before(async () => {
    gateway = await startGateway({ engine: ENGINE as string, unix: [{ name: 'ci', identity: 'ci' }] });
    for (const name of ['ci', 'alice']) {
      await admin(gateway, 'POST', '/identities', { name, tenant: 'acme', policies: ['baseline'] });
    }
    await admin(gateway, 'POST', '/identities', { name: 'op', policies: ['operator'] });
    config = join(gateway.dir, 'docker-config');
    mkdirSync(config);
    if (CLI_PLUGINS !== undefined) symlinkSync(CLI_PLUGINS, join(config, 'cli-plugins'));
  });
  after(() => gateway?.remove());

  const env = () => ({ PATH: process.env.PATH, HOME: gateway.dir, DOCKER_CONFIG: config });
  const dockgate = (...args: string[]) => {
    const [command, first] = dockgateCommand();
    return run(command, [...first, ...args], { env: { ...process.env, DOCKER_CONFIG: config } });
  };
  const create = (...args: string[]) => dockgate('context', 'create', ...args, '--config', gateway.configFile);
  const idOf = (name: string) => createHash('sha256').update(name).digest('hex');

  it('dockgate context writes the files docker writes, with a key only its owner reads, and prints the variables of other clients', async () => {
    const ran = await create('ci');
    assert.equal(ran.code, 0, ran.stderr);
    const certificates = join(config, 'contexts', 'tls', idOf('ci'), 'docker');
    assert.deepEqual(JSON.parse(readFileSync(join(config, 'contexts', 'meta', idOf('ci'), 'meta.json'), 'utf8')), {
      Name: 'ci',
      Metadata: { Description: 'dockgate, as ci' },
      Endpoints: { docker: { Host: `tcp://127.0.0.1:${gateway.port}`, SkipTLSVerify: false } },
    });
    const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);
    assert.deepEqual([modeOf(certificates), modeOf(join(certificates, 'key.pem'))], ['700', '600']);
    const inspected = await docker(env(), ['context', 'inspect', 'ci', '--format', '{{json .TLSMaterial}}']);
    assert.deepEqual(JSON.parse(inspected.stdout), { docker: ['ca.pem', 'cert.pem', 'key.pem'] });

    const line = /^export (.*)$/m.exec(ran.stdout)?.[1] ?? '';
    const exported = Object.fromEntries(line.split(' ').map((pair) => pair.split('=') as [string, string]));
    assert.equal(exported.DOCKER_CERT_PATH, certificates);
    const plain = await docker({ PATH: process.env.PATH, HOME: gateway.dir, ...exported }, ['ps']);
    assert.deepEqual([plain.code, plain.stderr], [0, '']);
  });

  it('docker gate is dockgate, and no file of another origin is written over', async () => {
    if (CLI_PLUGINS !== undefined) assert.equal(existsSync(join(CLI_PLUGINS, 'docker-gate')), false);
    const own = join(gateway.dir, "people's own");
    const [command, first] = dockgateCommand();
    const createThere = () =>
      run(command, [...first, 'context', 'create', 'ci', '--force', '--config', gateway.configFile], {
        env: { ...process.env, DOCKER_CONFIG: own },
      });
    const ran = await createThere();
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /^docker gate --help$/m);
    const there = { PATH: process.env.PATH, HOME: gateway.dir, DOCKER_CONFIG: own };
    const listed = await docker(there, ['gate', 'identity', 'ls', '--config', gateway.configFile]);
    assert.deepEqual([listed.code, /alice/.test(listed.stdout)], [0, true], listed.stderr);
    assert.match((await docker(there, ['--help'])).stdout, /gate\*? +Identity-aware gateway/);
    const wrong = await docker(there, ['gate', 'identity', 'show', 'it is none', '--config', gateway.configFile]);
    assert.notEqual(wrong.code, 0);
    assert.match((await docker(there, ['--context', 'ci', 'gate', 'version'])).stderr, /do not count here/);

    const file = join(own, 'cli-plugins', 'docker-gate');
    assert.equal((await createThere()).code, 0);
    writeFileSync(file, '#!/bin/sh\necho mine\n', { mode: 0o755 });
    const kept = await createThere();
    assert.deepEqual([kept.code, /docker gate/.test(kept.stdout)], [0, false]);
    assert.equal(readFileSync(file, 'utf8'), '#!/bin/sh\necho mine\n');
  });

  it('docker, compose and buildx are the identity with it', async () => {
    assert.equal((await create('work', '--identity', 'alice')).code, 0);
    const ps = await docker(env(), ['--context', 'work', 'ps']);
    assert.deepEqual([ps.code, ps.stderr], [0, '']);
    if (CLI_PLUGINS !== undefined) {
      const compose = await docker(env(), ['--context', 'work', 'compose', 'ls', '-a']);
      assert.deepEqual([compose.code, compose.stderr], [0, '']);
      const buildx = await docker(env(), ['--context', 'work', 'buildx', 'ls']);
      assert.match(buildx.stdout, /^work/m);
    }
    const rows = await auditOf(gateway, 'alice');
    assert.ok(rows.filter((row) => row.action === 'container.list').length >= (CLI_PLUGINS === undefined ? 1 : 2));
    // buildx asks with no header at all.
    if (CLI_PLUGINS !== undefined) assert.ok(rows.some((row) => row.action.startsWith('build.')));
  });

  it('keeps a context that is there, and gives it a new certificate when asked to', async () => {
    assert.equal((await create('again', '--identity', 'ci')).code, 0);
    const file = join(config, 'contexts', 'tls', idOf('again'), 'docker', 'cert.pem');
    const before = readFileSync(file, 'utf8');
    const refused = await create('again', '--identity', 'ci');
    assert.deepEqual([refused.code, /--force/.test(refused.stderr)], [2, true]);
    assert.equal(readFileSync(file, 'utf8'), before);
    assert.equal((await create('again', '--identity', 'ci', '--force')).code, 0);
    assert.notEqual(readFileSync(file, 'utf8'), before);
    assert.equal((await docker(env(), ['--context', 'again', 'ps'])).code, 0);
  });

  it('a socket bound to an identity needs no certificate', async () => {
    const ran = await create('local', '--socket', join(gateway.dir, 'ci.sock'));
    assert.equal(ran.code, 0, ran.stderr);
    assert.doesNotMatch(ran.stdout, /CERT_PATH/);
    assert.equal((await docker(env(), ['--context', 'local', 'ps'])).code, 0);
  });

  it('from another machine: the endpoint and the CA are those of --host and --ca', async () => {
    const token = await gateway.must('token', 'create', 'op');
    const [command, first] = dockgateCommand();
    const ran = await run(
      command,
      [
        ...first,
        'context',
        'create',
        'far',
        '--identity',
        'alice',
        '--host',
        `https://localhost:${gateway.port}`,
      ].concat(['--ca', join(gateway.dir, 'data', 'ca.pem'), '--json']),
      { env: { ...process.env, DOCKER_CONFIG: config, DOCKGATE_TOKEN: token } },
    );
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal((JSON.parse(ran.stdout) as { host: string }).host, `tcp://localhost:${gateway.port}`);
    assert.equal((await docker(env(), ['--context', 'far', 'ps'])).code, 0);
  });

  for (const [name, args, code, said] of [
    ['a name docker does not take', ['a/b'], 2, /is no name for a docker context/],
    ['the name docker keeps for itself', ['default'], 2, /is no name for a docker context/],
    ['an identity there is not', ['nobody'], 1, /there is no identity nobody/],
    [
      'an endpoint that is none',
      ['xx', '--identity', 'ci', '--endpoint', 'https://a:1'],
      2,
      /is no address such as tcp/,
    ],
    ['an identity beside a socket', ['xx', '--identity', 'ci', '--socket', 'a'], 2, /leave out --identity/],
  ] as const) {
    it(`${name} is refused`, async () => {
      const ran = await create(...args);
      assert.equal(ran.code, code);
      assert.match(ran.stderr, said);
    });
  }
});
