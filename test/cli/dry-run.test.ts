// Commands run for real against a dry run: the docker CLI, compose, a shell program. Each call is judged by the gateway's own way; behind
// it stands the stand-in engine, for what is shown is that no engine is needed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { DryRunBasis } from '../../src/admin/dry-run.ts';
import { type DryCall, renderCall, wholeOf } from '../../src/cli/dry-run/calls.ts';
import { environmentOf } from '../../src/cli/dry-run/command.ts';
import { dryRequest, dryRun, OPEN_BASIS } from '../../src/cli/dry-run/dry-run.ts';
import { CLI_PLUGINS, DOCKER_CLI } from '../support/engine.ts';

const dir = mkdtempSync(join(tmpdir(), 'dg-dry-test-'));
const kept = { PATH: process.env.PATH, DOCKER_CONFIG: process.env.DOCKER_CONFIG };
before(() => {
  if (DOCKER_CLI !== undefined) process.env.PATH = `${dirname(DOCKER_CLI)}:${kept.PATH}`;
  process.env.DOCKER_CONFIG = join(dir, 'docker');
  mkdirSync(process.env.DOCKER_CONFIG);
  if (CLI_PLUGINS !== undefined) symlinkSync(CLI_PLUGINS, join(process.env.DOCKER_CONFIG, 'cli-plugins'));
});
after(() => {
  Object.assign(process.env, kept);
  if (kept.DOCKER_CONFIG === undefined) delete process.env.DOCKER_CONFIG;
  rmSync(dir, { recursive: true, force: true });
});

const withoutDocker = DOCKER_CLI === undefined ? 'no docker CLI here' : false;
const withoutCompose = withoutDocker || (CLI_PLUGINS === undefined ? 'no folder of compose here' : false);
const withoutCurl = spawnSync('curl', ['--version']).status === 0 ? false : 'no curl here';

const basis = (rules: string, more: Partial<DryRunBasis> = {}): DryRunBasis => ({
  ...OPEN_BASIS,
  identity: { name: 'ci', groups: [], policies: ['ci'] },
  documents: [
    {
      kind: 'Policy',
      name: 'ci',
      source: `apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: ci }\nrules:\n${rules}`,
    },
  ],
  ...more,
});
const baseline = (more: Partial<DryRunBasis> = {}): DryRunBasis => ({
  ...OPEN_BASIS,
  identity: { name: 'ci', groups: [], policies: ['baseline'] },
  documents: [],
  ...more,
});
const run = (words: readonly string[], of: DryRunBasis, timeoutMs = 60_000) => dryRun(words, of, timeoutMs);
const effects = (calls: readonly DryCall[]) => calls.map(({ action, decision }) => `${action} ${decision.effect}`);

describe('a dry run', () => {
  it('a dry run of a shell program tells each call it makes, refused ones with rule and field', {
    skip: withoutCurl,
  }, async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own
    const api = 'curl -s --unix-socket "${DOCKER_HOST#unix://}" http://docker';
    const { calls, ended } = await run(
      [
        ...['sh', '-c'],
        `${api}/info; ${api}/containers/create -H 'Content-Type: application/json' -d '{"Image":"x","HostConfig":{"Privileged":true}}'; ${api}/no/such/thing; ${api}/containers/web/json; exit 3`,
      ],
      baseline(),
    );
    assert.equal(ended.code, 3);
    assert.deepEqual(effects(calls), [
      'system.info allow',
      'container.create deny',
      'unknown deny',
      'container.inspect allow',
    ]);
    assert.equal(calls[1]?.decision.reasons[0]?.field, 'HostConfig.Privileged');
    assert.equal(calls[1]?.status, 403);
    assert.match(calls[1]?.text ?? '', /to allow {2}for rule baseline\/run/);
    assert.equal(calls[2]?.request.target, '/no/such/thing');
    assert.match(wholeOf(calls), /^DENY {2}2 of 4 calls\n {2}POST \/containers\/create\n/);
  });

  it('a dry run of docker run goes on where a call is allowed, and shows what would be sent', {
    skip: withoutDocker,
  }, async () => {
    const rule = `  - { name: make, effect: allow, actions: [container.create], host: { preset: baseline }, set: { labels: { team: red } } }
  - { name: rest, effect: allow, actions: ['container.*', image.pull, system.ping], host: { preset: baseline } }
`;
    const { calls, ended } = await run(
      ['docker', 'run', '--rm', '-e', 'TOKEN=hunter2', 'busybox', 'echo', 'hi'],
      basis(rule),
    );
    assert.equal(ended.code, 0);
    assert.deepEqual(
      [...new Set(effects(calls))],
      [
        ...['system.ping allow', 'container.create allow', 'image.pull allow'],
        ...['container.attach allow', 'container.wait allow', 'container.start allow'],
      ],
    );
    const created = calls.findLast(({ action }) => action === 'container.create');
    assert.match(JSON.stringify(created?.sent), /"Labels":\{"team":"red"\}/);
    assert.equal(created?.decision.obligations.labels?.team, 'red');
    assert.doesNotMatch(JSON.stringify(calls), /hunter2/);
    assert.match(renderCall(created as DryCall, false), /\nALLOW {2}container\.create by ci\/make\n/);
  });

  it('a dry run of compose up for a tenant makes its network, volume and containers, and waits for their health', {
    skip: withoutCompose,
  }, async () => {
    const file = join(dir, 'compose.yaml');
    writeFileSync(
      file,
      `name: shop
services:
  db: { image: 'postgres:16', volumes: ['data:/data'], healthcheck: { test: [CMD, ready], interval: 1s } }
  web: { image: 'nginx:1.27', ports: ['8080:80'], depends_on: { db: { condition: service_healthy } } }
volumes: { data: {} }
`,
    );
    const identity = { name: 'ci', tenant: 'acme', groups: [], policies: ['compose'] };
    const { calls, ended } = await run(['docker', 'compose', '-f', file, 'up', '-d'], baseline({ identity }));
    assert.equal(ended.code, 0);
    assert.deepEqual(
      calls.filter(({ decision }) => decision.effect === 'deny'),
      [],
    );
    const made = calls.filter(({ action }) => action.endsWith('.create')).map(({ resource }) => resource);
    assert.deepEqual(made.sort(), [
      'container/shop-db-1',
      'container/shop-web-1',
      'network/shop_default',
      'volume/shop_data',
    ]);
    assert.equal(calls.filter(({ action }) => action === 'container.start').length, 2);
  });

  it('a dry run knows the objects of the engine, the files of the gateway and the networks of its host', {
    skip: withoutDocker,
  }, async () => {
    const rule = `  - { name: own, effect: allow, actions: [container.stop, container.inspect], labels: { team: red } }
  - { name: net, effect: allow, actions: [network.create, system.ping], host: { preset: baseline, network: { subnets: ['10.0.0.0/8'] } } }
  - { name: bind, effect: allow, actions: [container.create], host: { preset: baseline, binds: [{ path: /srv }] } }
`;
    const container = (name: string, team: string) => ({
      Id: name.padEnd(64, '0'),
      Name: `/${name}`,
      Created: '2026-01-01T00:00:00Z',
      State: { Running: true },
      Config: { Image: 'busybox', Labels: { team } },
      HostConfig: {},
    });
    const site = { protectedPaths: ['/srv/dockgate'], sockets: [], networks: ['10.1.0.0/16'] };
    const engine = { ...OPEN_BASIS.engine, containers: [container('aa', 'red'), container('bb', 'blue')] };
    const { calls } = await run(
      [
        ...['sh', '-c'],
        `docker stop aa; docker stop bb; docker network create --subnet 10.1.2.0/24 n1; docker network create --subnet 10.9.2.0/24 n2; docker create -v /srv/dockgate/data:/d busybox; docker create -v /srv/other:/d busybox`,
      ],
      basis(rule, { site, engine }),
    );
    const told = calls.filter(({ action }) => action !== 'system.ping' && action !== 'image.pull');
    assert.deepEqual(
      told.map(({ decision: { effect, reasons } }) => `${effect} ${reasons[0]?.field ?? ''}`.trim()).slice(0, 5),
      ['allow', 'deny path.id', 'deny IPAM.Config[0].Subnet', 'allow', 'deny HostConfig.Binds[0]'],
    );
  });

  it('a dry run ends a command that runs too long, refuses another engine by option, and tells of a program there is not', async () => {
    const { ended, calls } = await run(['sh', '-c', 'while :; do :; done'], baseline(), 200);
    assert.deepEqual([ended.isCut, ended.signal, calls], [true, 'SIGTERM', []]);
    for (const words of [
      ['docker', '--context', 'prod', 'ps'],
      ['/usr/bin/docker', '-H=tcp://x', 'ps'],
      ['docker', '-l', 'debug', '-c', 'x', 'ps'],
    ])
      await assert.rejects(run(words, baseline()), /leave (--context|-H|-c) out: a dry run has an engine of its own/);
    await assert.rejects(run(['no-such-program'], baseline()), /no-such-program cannot be run \(ENOENT\)/);
  });

  it('a dry run leaves no folder behind, and hands on neither a context nor a token for a gateway', async () => {
    const folder = mkdtempSync(join(dir, 'env-'));
    const from = join(dir, 'from');
    mkdirSync(from);
    const config = { currentContext: 'prod', HttpHeaders: { Authorization: 'Bearer x' }, auths: { a: {} } };
    writeFileSync(join(from, 'config.json'), JSON.stringify(config));
    const env = environmentOf({ DOCKER_CONFIG: from, DOCKER_CONTEXT: 'prod', DOCKER_TLS_VERIFY: '1' }, '/s', folder);
    assert.deepEqual([env.DOCKER_HOST, env.DOCKER_CONTEXT, env.DOCKER_TLS_VERIFY], ['unix:///s', undefined, undefined]);
    const { default: own } = (await import(join(env.DOCKER_CONFIG ?? '', 'config.json'), {
      with: { type: 'json' },
    })) as {
      default: object;
    };
    assert.deepEqual(own, { auths: { a: {} }, cliPluginsExtraDirs: [join(from, 'cli-plugins')] });
  });

  it('a dry run takes a request of its own, where there is no client', async () => {
    const { calls, ended } = await dryRequest(
      {
        method: 'POST',
        target: '/v1.45/containers/create?name=a',
        body: { Image: 'x', HostConfig: { PidMode: 'host' } },
      },
      baseline(),
      [],
    );
    assert.equal(ended.code, 1);
    assert.equal(calls[0]?.decision.reasons[0]?.field, 'HostConfig.PidMode');
  });
});
