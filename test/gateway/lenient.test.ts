// What real clients send beside what an engine reads: left out, taken once or decoded, with a word to the caller and in the
// audit; and beside each the nearest thing that stays refused. On a real engine.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Api, apiOver } from '../support/api.ts';
import { type EmbeddedTestGateway, openEmbedded } from '../support/embedded-gateway.ts';
import { DOCKER_CLI, dockerDirect, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { run } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';

const PREFIX = `dg-lenient-${IS_DENO ? 'deno' : 'node'}`;
const OLD_ENGINE = process.env.DOCKGATE_TEST_DOCKER_HOST_20;
const QUIET = { NetworkMode: 'none' };

interface Body {
  readonly Id?: string;
  readonly Warnings?: readonly string[] | null;
  readonly message?: string;
}

describe('what an engine does not read', { skip: skipWithoutCli }, () => {
  let gateway: EmbeddedTestGateway;
  let direct: Api;
  let call: (policy: string, method: string, path: string, body?: unknown) => ReturnType<Api>;

  before(async () => {
    gateway = await openEmbedded(`unix://${ENGINE}`);
    direct = apiOver(ENGINE as string);
    const tokens = new Map<string, string>();
    for (const policy of ['operator', 'baseline']) tokens.set(policy, await gateway.token(policy, policy));
    const over = apiOver(gateway.socketPath);
    const port = gateway.port;
    call = (policy, method, path, body) =>
      policy === 'operator'
        ? over(method, path, body === undefined ? {} : { body })
        : overPort(port, tokens.get(policy) as string)(method, path, body === undefined ? {} : { body });
    removeContainers(PREFIX);
    dockerDirect('run', '-d', '--network', 'none', '--name', `${PREFIX}-app`, IMAGE, 'sleep', '900');
    dockerDirect('tag', IMAGE, `${PREFIX}/q:1`);
  });
  after(async () => {
    removeContainers(PREFIX);
    dockerDirect('rmi', `${PREFIX}/q:1`);
    await gateway?.close();
  });

  const detailOf = async (answer: { headers: NodeJS.Dict<string | string[]> }): Promise<Record<string, unknown>> => {
    const rows = await gateway.completed(String(answer.headers['dockgate-audit-id']));
    return (rows[0]?.detail ?? {}) as Record<string, unknown>;
  };

  it('docker-java’s exec is made without the containerId it repeats, and privileged stays refused', async () => {
    const exec = {
      containerId: '0123abcd',
      AttachStdin: null,
      AttachStdout: true,
      AttachStderr: true,
      Tty: null,
      Privileged: null,
      User: null,
      Cmd: ['cat', '/etc/passwd'],
      Env: null,
      WorkingDir: null,
    };
    const made = await call('baseline', 'POST', `/v1.44/containers/${PREFIX}-app/exec`, exec);
    assert.equal(made.status, 201, made.text);
    assert.match(String(made.headers['dockgate-warning']), /not sent to the engine, .*: containerId$/);
    assert.deepEqual((await detailOf(made)).leftOut, ['containerId']);
    const hostile = await call('baseline', 'POST', `/v1.44/containers/${PREFIX}-app/exec`, {
      ...exec,
      Privileged: true,
    });
    assert.equal(hostile.status, 403, hostile.text);
  });

  it('an unknown field of a create body is left out with a warning; inside HostConfig it stays refused', async () => {
    const made = await call('baseline', 'POST', `/v1.44/containers/create?name=${PREFIX}-odd&Platfom=x`, {
      Image: IMAGE,
      Odd: 1,
      Healthcheck: { Test: ['NONE'], Odder: true },
      HostConfig: QUIET,
    });
    assert.equal(made.status, 201, made.text);
    const { Warnings } = made.json as Body;
    assert.match(String(Warnings?.at(-1)), /: query\.Platfom, Odd, Healthcheck\.Odder$/);
    assert.equal(Number(made.headers['content-length']), Buffer.byteLength(made.text));
    for (const HostConfig of [
      { ...QUIET, FutureField: true },
      { ...QUIET, Mounts: [{ Type: 'tmpfs', Target: '/x', Future: 1 }] },
    ]) {
      const refused = await call('baseline', 'POST', '/v1.44/containers/create', { Image: IMAGE, HostConfig });
      assert.equal(refused.status, 403, refused.text);
    }
  });

  it('HostConfig fields at the top of a create body are left out for an engine that ignores them', async () => {
    for (const policy of ['operator', 'baseline']) {
      const name = `${PREFIX}-top-${policy}`;
      const made = await call(policy, 'POST', `/containers/create?name=${name}`, {
        Image: IMAGE,
        Runtime: 'runc',
        Privileged: true,
        Dns: ['192.0.2.1'],
        HostConfig: QUIET,
      });
      assert.equal(made.status, 201, made.text);
      assert.match(String((made.json as Body).Warnings?.at(-1)), /: Runtime, Privileged, Dns$/);
      const seen = (await direct('GET', `/containers/${name}/json`)).json as { HostConfig: Record<string, unknown> };
      assert.equal(seen.HostConfig.Privileged, false);
      assert.deepEqual(seen.HostConfig.Dns ?? [], []);
    }
  });

  it('an engine of the 20.10 line, which reads them there, is not sent such a body', {
    skip: OLD_ENGINE === undefined,
  }, async () => {
    const old = await openEmbedded(OLD_ENGINE as string);
    try {
      const over = apiOver(old.socketPath);
      const refused = await over('POST', '/containers/create', { body: { Image: IMAGE, Privileged: true } });
      assert.equal(refused.status, 400, refused.text);
      assert.match(refused.text, /Privileged: belongs into HostConfig .*this engine \(API 1\.41\) reads it/);
      const made = await over('POST', '/containers/create', {
        body: { Image: IMAGE, Odd: 1, Privileged: false, HostConfig: QUIET },
      });
      assert.equal(made.status, 201, made.text);
      await over('DELETE', `/containers/${(made.json as Body).Id}`);
    } finally {
      await old.close();
    }
  });

  it('docker-java’s network with a key twice is made once; two values stay refused', async () => {
    const network = { Name: PREFIX, Driver: 'bridge', Internal: true };
    const twice = (a: unknown, b: unknown) =>
      `{"enableIPv6":${JSON.stringify(a)},${JSON.stringify(network).slice(1, -1)},"IPAM":null,"CheckDuplicate":null,"EnableIPv6":${JSON.stringify(b)},"Attachable":null,"Labels":null}`;
    const typed = { 'content-type': 'application/json' };
    const over = apiOver(gateway.socketPath);
    const post = (body: string) => over('POST', '/v1.44/networks/create', { body: Buffer.from(body), headers: typed });
    const refused = await post(twice(false, true));
    assert.equal(refused.status, 400);
    assert.match(refused.text, /EnableIPv6.* twice, with two values/);
    // The engine of the tests may have no bridges: what counts is that it was asked.
    const asked = await post(twice(null, null));
    const straight = await direct('POST', '/v1.44/networks/create', {
      body: Buffer.from(twice(null, null)),
      headers: typed,
    });
    assert.equal(asked.status === 201 || asked.status === straight.status, true, asked.text);
    for (const { json } of [asked, straight]) await direct('DELETE', `/networks/${(json as Body).Id ?? 'none'}`);
  });

  it('an encoded slash in the name of an image is a slash, judged as one', async () => {
    const name = encodeURIComponent(`${PREFIX}/q:1`);
    const encoded = await call('operator', 'GET', `/v1.44/images/${name}/json`);
    const plain = await call('operator', 'GET', `/v1.44/images/${PREFIX}/q:1/json`);
    assert.equal(encoded.status, 200, encoded.text);
    assert.deepEqual(encoded.json, plain.json);
    await gateway.policy(
      'library-only',
      'apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: library-only }\nrules: [{ name: a, effect: allow, actions: [image.inspect], resources: ["image/docker.io/library/*"] }]\n',
    );
    const narrow = overPort(gateway.port, await gateway.token('narrow', 'library-only'));
    assert.match((await narrow('GET', `/v1.44/images/${name}/json`)).text, /denied/);
    assert.equal((await narrow('GET', `/v1.44/images/${encodeURIComponent(`library/${IMAGE}`)}/json`)).status, 200);
    for (const path of [
      `/images/${PREFIX}%252Fq:1/json`,
      `/containers/${PREFIX}%2Fapp/json`,
      '/containers/%2e%2e%2Finfo',
    ]) {
      assert.equal((await call('operator', 'GET', path)).status, 400, path);
    }
  });

  it('OPTIONS is answered as the engine does', async () => {
    for (const path of ['/', '/v1.44/containers/json', '/nothing']) {
      const [through, straight] = [await call('operator', 'OPTIONS', path), await direct('OPTIONS', path)];
      assert.equal(through.status, 200, path);
      assert.equal(through.text, straight.text);
    }
  });

  it('words and codes that clients look for are the engine’s', async () => {
    // Kept alive, for Deno's client misses an answer that comes before its body is written and ends the connection.
    const typed = (type: string) => ({ 'content-type': type, connection: 'keep-alive' });
    const over = apiOver(gateway.socketPath);
    for (const [method, path, body, headers, words] of [
      [
        'GET',
        '/images/MyVol/json',
        undefined,
        {},
        /invalid reference format: repository name \(.*MyVol"?\) must be lowercase/,
      ],
      ['GET', '/images/a%20b/json', undefined, {}, /invalid reference format/],
      ['DELETE', '/images/%20', undefined, {}, /image name cannot be blank/],
      [
        'POST',
        '/containers/create',
        '{}',
        typed('text/plain'),
        /unsupported Content-Type header \(text\/plain\): must be 'application\/json'/,
      ],
      [
        'POST',
        '/containers/create',
        '{invalid json',
        typed('application/json'),
        /invalid JSON: invalid character 'i' looking for beginning of object key string/,
      ],
      ['POST', '/containers/create', '{} x', typed('application/json'), /unexpected content after JSON/],
      ['POST', `/containers/${PREFIX}-app/resize?h=foo&w=1`, undefined, {}, /invalid resize height "foo"/],
      ['POST', `/containers/${PREFIX}-app/resize?w=1`, undefined, {}, /invalid resize height/],
      ['GET', '/images/nosuch:1/json', undefined, {}, /No such image: nosuch:1/],
      ['POST', '/session', undefined, {}, /no upgrade proto in request/],
      ['POST', '/session', undefined, { connection: 'Upgrade', upgrade: 'foo' }, /protocol foo not supported/],
    ] as const) {
      const sent = {
        ...(body === undefined ? {} : { body: Buffer.from(body) }),
        headers: headers as Record<string, string>,
      };
      const [through, straight] = [await over(method, path, sent), await direct(method, path, sent)];
      assert.equal(through.status, straight.status, `${method} ${path}: ${through.text} ${straight.text}`);
      assert.match(through.text.replaceAll('\\"', '"'), words);
    }
  });

  it('docker inspect finds a volume whose name is no image reference', async () => {
    dockerDirect('volume', 'create', `${PREFIX}-MyVol`);
    try {
      const shown = await run(DOCKER_CLI as string, [
        '-H',
        `unix://${gateway.socketPath}`,
        'inspect',
        '-f',
        '{{.Name}} {{.Driver}}',
        `${PREFIX}-MyVol`,
      ]);
      assert.equal(shown.stdout.trim(), `${PREFIX}-MyVol local`, shown.stderr);
    } finally {
      dockerDirect('volume', 'rm', `${PREFIX}-MyVol`);
    }
  });

  it('every port of a protocol can be published, and a body past the limit is told the setting', async () => {
    const each = (of: unknown) => Object.fromEntries(Array.from({ length: 65_535 }, (_, i) => [`${i + 1}/udp`, of]));
    const made = await call('operator', 'POST', `/containers/create?name=${PREFIX}-ports`, {
      Image: IMAGE,
      ExposedPorts: each({}),
      HostConfig: { ...QUIET, PortBindings: each([{ HostIp: '127.0.0.1', HostPort: '1' }]) },
    });
    assert.equal(made.status, 201, made.text.slice(0, 300));
    // Small enough to be on its way before the answer is.
    const narrow = await openEmbedded(`unix://${ENGINE}`, { limits: { bodyBytes: 16_384 } });
    const tooLarge = await apiOver(narrow.socketPath)('POST', '/containers/create', {
      body: { Image: 'x'.repeat(20_000) },
    });
    await narrow.close();
    assert.equal(tooLarge.status, 413, tooLarge.text.slice(0, 300));
    assert.match(tooLarge.text, /limits\.bodyBytes/);
  });
});

/** Calls over the HTTP listener with a token. */
function overPort(port: number, token: string): Api {
  return async (method, path, { body } = {}) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      // no body
    }
    return { status: answer.status, headers: Object.fromEntries(answer.headers), text, json };
  };
}
