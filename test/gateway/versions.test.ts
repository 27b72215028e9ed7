// Old API versions on real engines: what reads goes out at the version asked for, what changes something at one that honours all
// of it, and an engine that serves neither is heard in its own words.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Api, apiOver } from '../support/api.ts';
import { type EmbeddedTestGateway, openEmbedded } from '../support/embedded-gateway.ts';
import { dockerDirect, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';

const PREFIX = `dg-old-${IS_DENO ? 'deno' : 'node'}`;
const OLD_ENGINE = process.env.DOCKGATE_TEST_DOCKER_HOST_20;
const NEW_ENGINE = process.env.DOCKGATE_TEST_DOCKER_HOST_NEW;
const QUIET = { NetworkMode: 'none' };

const READ_ONLY = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: read-only-root }
rules:
  - { name: run, effect: allow, actions: [container.create, container.remove], host: { preset: baseline, binds: [{ path: /srv/dg-old, readOnly: true }] } }
`;
const SERVICES = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: services }
rules: [{ name: run, effect: allow, actions: [service.create], host: { preset: restricted } }]
`;

describe('old API versions', { skip: skipWithoutCli }, () => {
  let gateway: EmbeddedTestGateway;
  let operator: Api;
  let direct: Api;
  before(async () => {
    gateway = await openEmbedded(`unix://${ENGINE}`);
    operator = apiOver(gateway.socketPath);
    direct = apiOver(ENGINE as string);
    removeContainers(PREFIX);
    dockerDirect('run', '-d', '--network', 'none', '--name', `${PREFIX}-app`, IMAGE, 'sleep', '900');
  });
  after(async () => {
    removeContainers(PREFIX);
    await gateway?.close();
  });

  it('Traefik’s five reads at 1.24 are answered as the engine answers them', async () => {
    const events = encodeURIComponent('{"type":{"container":true}}');
    for (const path of [
      '/version',
      '/containers/json?limit=0',
      `/containers/${PREFIX}-app/json`,
      `/events?filters=${events}&until=1`,
      '/services',
      '/info',
      '/images/json',
      '/networks',
      '/volumes',
      '/_ping',
    ]) {
      for (const minor of [24, 25, 30, 32, 37, 39]) {
        const [through, straight] = [
          await operator('GET', `/v1.${minor}${path}`),
          await direct('GET', `/v1.${minor}${path}`),
        ];
        assert.equal(through.status, straight.status, `1.${minor} ${path}: ${through.text.slice(0, 200)}`);
        if (through.status === 200 && through.json !== undefined && !/version|info/.test(path)) {
          // Lists come in no order.
          const sorted = (value: unknown) =>
            Array.isArray(value) ? value.map((one) => JSON.stringify(one)).sort() : value;
          assert.deepEqual(sorted(through.json), sorted(straight.json), `1.${minor} ${path}`);
        }
      }
    }
  });

  it('a version older than is served is told the setting', async () => {
    const refused = await operator('GET', '/v1.23/version');
    assert.equal(refused.status, 400);
    assert.match(
      refused.text,
      /client version 1\.23 is too old\. Minimum supported API version is 1\.24.*apiVersions\.min/,
    );
  });

  it('a container is made for an old client with the defaults of a newer version', async () => {
    for (const minor of [24, 25, 32, 39, 40]) {
      const name = `${PREFIX}-${minor}`;
      const made = await operator('POST', `/v1.${minor}/containers/create?name=${name}`, {
        body: { Image: IMAGE, Cmd: ['true'], HostConfig: { ...QUIET, AutoRemove: true, PidsLimit: 7 } },
      });
      assert.equal(made.status, 201, made.text);
      const { HostConfig } = (await direct('GET', `/containers/${name}/json`)).json as {
        HostConfig: Record<string, unknown>;
      };
      assert.equal(HostConfig.IpcMode, 'private', String(minor));
      assert.equal(HostConfig.PidsLimit, 7);
      // Up to 1.24 the client removes it, as the engine has it.
      assert.equal(HostConfig.AutoRemove, minor > 24);
      const update = await operator('POST', `/v1.${minor}/containers/${name}/update`, { body: { PidsLimit: 9 } });
      assert.equal(update.status, 200, update.text);
      const after = (await direct('GET', `/containers/${name}/json`)).json as { HostConfig: Record<string, unknown> };
      assert.equal(after.HostConfig.PidsLimit, 9);
      assert.equal((await operator('DELETE', `/v1.${minor}/containers/${name}?force=1`)).status, 204);
    }
  });

  it('what a version does not read is left out, and told, though the call is sent at a newer one', async () => {
    const create = (minor: number) =>
      operator('POST', `/v1.${minor}/containers/create`, {
        body: { Image: IMAGE, HostConfig: { ...QUIET, Annotations: { 'a.test/b': 'c' } } },
      });
    for (const [minor, isKept] of [
      [30, false],
      [42, false],
      [43, true],
    ] as const) {
      const { status, text, headers, json } = await create(minor);
      assert.equal(status, 201, text);
      const { Id } = json as { Id: string };
      const { HostConfig } = (await direct('GET', `/containers/${Id}/json`)).json as {
        HostConfig: { Annotations?: Record<string, string> };
      };
      assert.equal(HostConfig.Annotations?.['a.test/b'], isKept ? 'c' : undefined, String(minor));
      assert.equal(`${headers['dockgate-warning']}`.includes('HostConfig.Annotations'), !isKept, String(minor));
      await operator('DELETE', `/containers/${Id}`);
    }
  });

  it('the docker CLI works at 1.24 from run to rm', async () => {
    const { run } = await import('../support/gateway.ts');
    const { DOCKER_CLI } = await import('../support/engine.ts');
    const docker = (...args: string[]) =>
      run(DOCKER_CLI as string, ['-H', `unix://${gateway.socketPath}`, ...args], {
        env: { ...process.env, DOCKER_API_VERSION: '1.24' },
      });
    const ran = await docker('run', '--rm', '--network', 'none', '--name', `${PREFIX}-cli`, IMAGE, 'echo', 'old');
    assert.deepEqual([ran.code, ran.stdout], [0, 'old\n'], ran.stderr);
    assert.match((await docker('ps', '--format', '{{.Names}}')).stdout, new RegExp(`${PREFIX}-app`));
    assert.equal((await docker('exec', `${PREFIX}-app`, 'echo', 'in')).stdout, 'in\n');
  });

  it('a read-only folder stays so below: the call is sent at a version that has it, or refused', async () => {
    await gateway.policy('read-only-root', READ_ONLY);
    const token = await gateway.token('ro', 'read-only-root');
    const create = async (port: number, auth: string, version: string, HostConfig: object) => {
      const answer = await fetch(`http://127.0.0.1:${port}${version}/containers/create`, {
        method: 'POST',
        headers: { authorization: `Bearer ${auth}`, 'content-type': 'application/json' },
        body: JSON.stringify({ Image: IMAGE, HostConfig: { ...QUIET, CgroupnsMode: 'private', ...HostConfig } }),
      });
      return { status: answer.status, text: await answer.text() };
    };
    const mount = { Type: 'bind', Source: '/srv/dg-old', Target: '/x', ReadOnly: true };
    const { mkdirSync } = await import('node:fs');
    mkdirSync('/srv/dg-old', { recursive: true });
    for (const version of ['/v1.24', '/v1.41', '/v1.43', '/v1.44', '']) {
      for (const HostConfig of [{ Binds: ['/srv/dg-old:/x:ro'] }, { Mounts: [mount] }]) {
        const made = await create(gateway.port, token, version, HostConfig);
        assert.equal(made.status, 201, `${version} ${made.text}`);
        const id = (JSON.parse(made.text) as { Id: string }).Id;
        // What the engine took it for is not in inspect; the version it was sent at is in the audit's own words.
        await direct('DELETE', `/containers/${id}`);
      }
      const writable = await create(gateway.port, token, version, { Binds: ['/srv/dg-old:/x'] });
      assert.equal(writable.status, 403, writable.text);
    }
    if (OLD_ENGINE === undefined) return;
    const old = await openEmbedded(OLD_ENGINE);
    try {
      await old.policy('read-only-root', READ_ONLY);
      const auth = await old.token('ro', 'read-only-root');
      for (const version of ['/v1.41', '']) {
        const refused = await create(old.port, auth, version, { Binds: ['/srv/dg-old:/x:ro'] });
        assert.equal(refused.status, 403, refused.text);
        assert.match(
          refused.text,
          /read-only, which in API 1\.41 leaves mounts below it writable \(allowed: API 1\.44 or later/,
        );
      }
    } finally {
      await old.close();
    }
  });

  it('mounts below a read-only folder are read-only for an old client too', {
    skip: process.getuid?.() !== 0,
  }, async () => {
    await gateway.policy('read-only-root', READ_ONLY);
    const token = await gateway.token('ro', 'read-only-root');
    const { mkdirSync } = await import('node:fs');
    const { execFileSync } = await import('node:child_process');
    mkdirSync('/srv/dg-old/sub', { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/srv/dg-old/sub']);
    try {
      for (const version of ['/v1.24', '/v1.43', '/v1.44', '']) {
        const answer = await fetch(`http://127.0.0.1:${gateway.port}${version}/containers/create`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          body: JSON.stringify({
            Image: IMAGE,
            Cmd: ['sh', '-c', 'touch /x/sub/f 2>/dev/null && echo WROTE || echo READ-ONLY'],
            HostConfig: { ...QUIET, Binds: ['/srv/dg-old:/x:ro'] },
          }),
        });
        const { Id } = (await answer.json()) as { Id: string };
        await direct('POST', `/containers/${Id}/start`);
        await direct('POST', `/containers/${Id}/wait`);
        assert.match((await direct('GET', `/containers/${Id}/logs?stdout=1`)).text, /READ-ONLY/, version);
        await direct('DELETE', `/containers/${Id}?force=1`);
      }
    } finally {
      execFileSync('umount', ['/srv/dg-old/sub']);
    }
  });

  it('a service’s limits are not lost to its version', async () => {
    await gateway.policy('services', SERVICES);
    const token = await gateway.token('svc', 'services');
    const spec = {
      Name: `${PREFIX}-svc`,
      TaskTemplate: {
        ContainerSpec: {
          Image: IMAGE,
          User: '1000:1000',
          CapabilityDrop: ['ALL'],
          Privileges: { NoNewPrivileges: true, Seccomp: { Mode: 'default' } },
        },
        Resources: { Limits: { MemoryBytes: 67_108_864, Pids: 20 } },
      },
    };
    // No swarm here: 503 is how the engine answers what was sent. An engine that would drop the field is sent nothing.
    const ask = async (port: number, auth: string) =>
      fetch(`http://127.0.0.1:${port}/v1.41/services/create`, {
        method: 'POST',
        headers: { authorization: `Bearer ${auth}`, 'content-type': 'application/json' },
        body: JSON.stringify(spec),
      });
    const asked = await ask(gateway.port, token);
    assert.equal(asked.status, 503, await asked.text());
    if (OLD_ENGINE === undefined) return;
    const old = await openEmbedded(OLD_ENGINE);
    try {
      await old.policy('services', SERVICES);
      const refused = await ask(old.port, await old.token('svc', 'services'));
      assert.equal(refused.status, 400);
      assert.match(await refused.text(), /Privileges\.\w+ needs API 1\.44, and this engine serves up to 1\.41/);
    } finally {
      await old.close();
    }
  });

  it('an engine that serves no such version is heard in its own words', {
    skip: NEW_ENGINE === undefined,
  }, async () => {
    const newest = await openEmbedded(NEW_ENGINE as string);
    try {
      const over = apiOver(newest.socketPath);
      const straight = apiOver((NEW_ENGINE as string).replace('unix://', ''));
      for (const [method, path] of [
        ['GET', '/v1.24/version'],
        ['GET', '/v1.39/containers/json'],
        ['POST', '/v1.24/containers/create'],
        ['POST', '/v1.25/containers/x/start'],
        ['DELETE', '/v1.24/containers/x'],
      ] as const) {
        const body = path.endsWith('create') ? { body: { Image: IMAGE, HostConfig: QUIET } } : {};
        const [through, own] = [await over(method, path, body), await straight(method, path, body)];
        assert.equal(through.status, own.status, `${method} ${path}: ${through.text}`);
        const words = (own.json as { message: string }).message;
        assert.ok(through.text.includes(words), `${method} ${path}: ${through.text}`);
      }
      const made = await over('POST', '/v1.40/containers/create', { body: { Image: IMAGE, HostConfig: QUIET } });
      assert.equal(made.status, 201, made.text);
      await over('DELETE', `/containers/${(made.json as { Id: string }).Id}`);
    } finally {
      await newest.close();
    }
  });
});
