// No secret of a call reaches the log in any form, and what reviewers need stays: names, paths, command lines.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import { redactBody, redactQuery } from '../../src/audit/redact.ts';
import { FIELD_RULES } from '../../src/audit/redact-table.ts';
import { mask } from '../../src/engine/mask.ts';
import type { Schema } from '../../src/engine/schema.ts';
import { BODY_SCHEMAS } from '../../src/engine/schemas/bodies.ts';
import type { Json, JsonObject } from '../../src/engine/types.ts';

const KEY = Buffer.alloc(32, 7);
const SECRET = 'S3cr3t-hunter2';
const text = (value: unknown): string =>
  JSON.stringify(value, (_name, inner: unknown) => (typeof inner === 'bigint' ? `${inner}` : inner));

describe('mask()', () => {
  it('mask() is a keyed hash: equal values look equal, another key shows something else, an empty value stays empty', () => {
    assert.equal(mask('a', KEY), `hmac:${createHmac('sha256', KEY).update('a').digest('hex').slice(0, 16)}`);
    assert.notEqual(mask('a', KEY), mask('b', KEY));
    assert.notEqual(mask('a', KEY), mask('a', Buffer.alloc(32, 8)));
    assert.equal(mask('', KEY), '');
  });
});

/** A body with the secret somewhere, and texts beside it that have to stay. */
const bodies: readonly [string, string, Json, readonly string[]][] = [
  ['a registry password', 'system.auth', { username: 'u', password: SECRET }, []],
  ['an unlock key', 'swarm.unlock', { UnlockKey: SECRET }, []],
  ['a join token', 'swarm.join', { RemoteAddrs: ['10.0.0.1:2377'], JoinToken: SECRET }, ['10.0.0.1:2377']],
  ['the data of a secret', 'secret.create', { Name: 'db', Labels: { a: 'b' }, Data: SECRET }, ['"db"', '"a":"b"']],
  ['the data of a config', 'config.update', { Name: 'nginx', Data: SECRET }, ['nginx']],
  ['a signing key', 'swarm.update', { CAConfig: { SigningCAKey: SECRET, NodeCertExpiry: 7 } }, ['"NodeCertExpiry":7']],
  [
    'a variable',
    'container.create',
    { Image: 'alpine', Env: [`PLAIN=${SECRET}`, 'NAMED'] },
    ['alpine', 'PLAIN=hmac:', 'NAMED'],
  ],
  ['a variable that holds =', 'container.create', { Env: [`A=b=${SECRET}`] }, ['"A=hmac:']],
  ['a variable of an exec', 'container.exec.create', { Cmd: ['id'], Env: [`A=${SECRET}`] }, ['["id"]']],
  [
    'a variable of a service',
    'service.create',
    { TaskTemplate: { ContainerSpec: { Image: 'web', Env: [`A=${SECRET}`] } } },
    ['web'],
  ],
  [
    'a variable of a plugin service',
    'service.create',
    { TaskTemplate: { PluginSpec: { name: 'p', env: [`A=${SECRET}`] } } },
    ['"p"'],
  ],
  ['a plugin setting', 'plugin.set', [`DEBUG=${SECRET}`, 'mount.source'], ['DEBUG=hmac:', 'mount.source']],
  [
    'a mount password',
    'volume.create',
    {
      Name: 'v',
      Driver: 'local',
      DriverOpts: { type: 'cifs', device: '//nas/share', o: `addr=10.0.0.1,username=u,password=${SECRET}` },
    },
    ['cifs', '//nas/share', 'addr=10.0.0.1,username=u,password=hmac:'],
  ],
  ['a telling option', 'volume.create', { DriverOpts: { 'api-key': SECRET, size: '1g' } }, ['"size":"1g"']],
  [
    'a telling log option',
    'container.create',
    {
      HostConfig: {
        LogConfig: { Type: 'splunk', Config: { 'splunk-token': SECRET, 'splunk-url': 'https://logs.example' } },
      },
    },
    ['splunk', 'https://logs.example'],
  ],
  [
    'a telling label',
    'container.create',
    { Labels: { 'app.password': SECRET, 'com.example.team': 'red', author: 'ann' } },
    ['"com.example.team":"red"', '"author":"ann"'],
  ],
  [
    'a labelled option of a mount',
    'container.create',
    {
      HostConfig: {
        Mounts: [
          {
            Type: 'volume',
            Target: '/d',
            VolumeOptions: { DriverConfig: { Name: 'x', Options: { o: `password=${SECRET}` } } },
          },
        ],
      },
    },
    ['/d', 'volume'],
  ],
  [
    'credentials in an address',
    'container.create',
    { Cmd: ['git', 'clone', `https://u:${SECRET}@git.example/r.git`] },
    ['"git","clone"', '@git.example/r.git'],
  ],
  ['a password with @ in it', 'container.create', { Cmd: [`https://u:p@${SECRET}@git.example/r`] }, ['@git.example/r']],
  [
    'a query value',
    'container.create',
    { Cmd: [`https://x.example/p?sig=${SECRET}&a=${SECRET}#f`] },
    ['https://x.example/p?sig=hmac:', '#f'],
  ],
  [
    'a flag and its value',
    'container.create',
    { Cmd: ['app', '--password', SECRET, '--port', '80'] },
    ['"--password"', '"--port","80"'],
  ],
  [
    'a flag with =',
    'container.create',
    { Entrypoint: ['app', `--api-key=${SECRET}`, '--name=web'] },
    ['--api-key=hmac:', '--name=web'],
  ],
  [
    'a flag in a shell line',
    'container.exec.create',
    { Cmd: ['sh', '-c', `mysql --password ${SECRET} -h db`] },
    ['mysql --password hmac:', '-h db'],
  ],
  [
    'an assignment in a shell line',
    'container.exec.create',
    { Cmd: ['sh', '-c', `DB_PASSWORD=${SECRET} make test`] },
    ['DB_PASSWORD=hmac:', 'make test'],
  ],
  [
    'a quoted assignment',
    'container.exec.create',
    { Cmd: ['sh', '-c', `export TOKEN="${SECRET} and ${SECRET}"; run`] },
    ['; run'],
  ],
  [
    'a header',
    'container.exec.create',
    { Cmd: ['sh', '-c', `curl -H 'Authorization: Bearer ${SECRET}' https://x.example/`] },
    ['curl -H', 'https://x.example/'],
  ],
  [
    'a header as an argument of its own',
    'container.exec.create',
    { Cmd: ['curl', '-H', `X-Api-Key: ${SECRET}`] },
    ['X-Api-Key: hmac:'],
  ],
  ['a user with password', 'container.exec.create', { Cmd: ['sh', '-c', `curl -u ann:${SECRET} x`] }, ['-u ann:hmac:']],
  ['JSON in an argument', 'container.exec.create', { Cmd: [`{"token":"${SECRET}","port":1}`] }, ['port']],
  [
    'a health check',
    'container.create',
    { Healthcheck: { Test: ['CMD', 'check', '--token', SECRET], Retries: 3 } },
    ['"CMD","check"', '"Retries":3'],
  ],
  [
    'a profile',
    'service.create',
    { TaskTemplate: { ContainerSpec: { Privileges: { Seccomp: { Mode: 'custom', Profile: SECRET } } } } },
    ['custom'],
  ],
  [
    'an unknown field',
    'container.create',
    { Image: 'alpine', Novelty: SECRET, More: { Deep: [SECRET] } },
    ['alpine', 'Novelty'],
  ],
  [
    'a user key that is named like a kept field',
    'container.create',
    { Labels: { 'secret token': SECRET, Image: 'x' } },
    ['"Image":"x"'],
  ],
  [
    'a command that is not a list of texts',
    'container.create',
    { Cmd: [[`--password=${SECRET}`], { a: SECRET }] as unknown as Json },
    [],
  ],
];

describe('redactBody()', () => {
  for (const [what, action, body, kept] of bodies) {
    it(`never keeps ${what}, and keeps what stands beside it`, () => {
      const result = text(redactBody(action, body, KEY));
      assert.doesNotMatch(result, new RegExp(SECRET), result);
      for (const word of kept) assert.ok(result.includes(word), `${word} in ${result}`);
    });
  }

  it('redactBody() leaves what is no secret as it is', () => {
    const body: Json = {
      Image: 'registry.example.test:5000/team/app:1.4.2@sha256:0123456789abcdef',
      Cmd: ['sh', '-c', 'make test && author --version; ls /run/secrets/db; cat token.txt'],
      Entrypoint: ['/usr/bin/passwd-check', '--password-file', '/run/secrets/pw', '--auth-type=basic'],
      WorkingDir: '/src',
      User: '1000:1000',
      Labels: { 'com.docker.compose.project': 'web', 'org.opencontainers.image.authors': 'ann' },
      ExposedPorts: { '80/tcp': {} },
      HostConfig: {
        Binds: ['/srv/ci:/src:ro', 'data:/var/lib/data'],
        Memory: 9007199254740993n,
        PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080' }] },
        Privileged: true,
        SecurityOpt: ['no-new-privileges', 'apparmor=unconfined'],
        Devices: [{ PathOnHost: '/dev/kvm', PathInContainer: '/dev/kvm', CgroupPermissions: 'rwm' }],
        Tmpfs: { '/run': 'size=64m,mode=1777' },
        CapAdd: null,
      },
      NetworkingConfig: { EndpointsConfig: { front: { Aliases: ['web'], IPAMConfig: null } } },
    };
    assert.equal(text(redactBody('container.create', body, KEY)), text(body));
    const service: Json = {
      TaskTemplate: {
        ContainerSpec: { Secrets: [{ SecretID: 'abc', SecretName: 'db-password', File: { Name: 'pw', Mode: 292 } }] },
      },
    };
    assert.equal(text(redactBody('service.create', service, KEY)), text(service));
  });

  const shapes = [
    'eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJjaSJ9.c2lnbmF0dXJl',
    'ghp_0123456789abcdefghij',
    'AKIAIOSFODNN7EXAMPLE',
    'SWMTKN-1-3pu6hszjas19xyp7ghgosyx9k8atbfcr8p2is99znpy26u2lkl',
    '-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----',
    'dckr_pat_0123456789abcdefghij',
  ];
  for (const shape of shapes) {
    it(`redactBody() knows a token by its shape wherever it stands: ${shape.slice(0, 8)}`, () => {
      for (const body of [
        { Cmd: ['use', shape] },
        { WorkingDir: `/x ${shape} y` },
        { Labels: { a: shape, [shape]: 'a' } },
        { HostConfig: { Binds: [`/a:${shape}`] } },
      ]) {
        const result = text(redactBody('container.create', body as Json, KEY));
        assert.ok(!result.includes(shape.slice(8, 20)), result);
      }
    });
  }

  it('redactBody() keeps at most 12 KiB of a body, shortens lists and texts, and says so', () => {
    const long: Json = {
      Image: 'alpine',
      Env: Array.from({ length: 500 }, (_, i) => `NAME_${i}=${SECRET}`),
      Cmd: ['x '.repeat(1000)],
    };
    const kept = redactBody('container.create', long, KEY) as { Env: string[]; Cmd: string[] };
    assert.equal(kept.Env.length, 101);
    assert.equal(kept.Env[100], '[400 more]');
    assert.match(kept.Cmd[0] ?? '', /^(x )+… \[2000 characters, hmac:[0-9a-f]{16}\]$/);
    const huge: Json = {
      Image: 'alpine',
      Labels: Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`label-${i}`, 'v'.repeat(200)])),
      Tty: true,
    };
    const summary = redactBody('container.create', huge, KEY) as JsonObject;
    assert.equal(summary.Image, 'alpine');
    assert.equal(summary.Tty, true);
    assert.deepEqual(summary.left, ['Labels']);
    assert.match(text(summary.summarised), /^{"characters":\d{5},"hash":"hmac:/);
  });

  const hostile: readonly [string, Json][] = [
    ['a text of 4 MiB', { Cmd: ['a'.repeat(4 << 20)] }],
    ['long runs of word characters', { Cmd: Array.from({ length: 100 }, () => 'x-'.repeat(2000)) }],
    ['half a token, over and over', { Cmd: Array.from({ length: 100 }, () => 'eyJaaaaaaaa-'.repeat(340)) }],
    ['dashes', { Cmd: Array.from({ length: 100 }, () => '-'.repeat(4000)) }],
    ['telling words without values', { Cmd: Array.from({ length: 100 }, () => 'password '.repeat(400)) }],
    ['halves of addresses', { Cmd: Array.from({ length: 100 }, () => 'a://'.repeat(1000)) }],
    [
      'a hundred thousand labels',
      { Labels: Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, 'v'])) },
    ],
    ['a very deep body', Array.from({ length: 5000 }).reduce<Json>((inner) => ({ z: inner }), 'x')],
    ['a key that is a prototype', JSON.parse('{"__proto__":{"Image":"x"},"constructor":"y"}') as Json],
  ];
  for (const [what, body] of hostile) {
    it(`redactBody() is quick with ${what}`, () => {
      const from = performance.now();
      const result = redactBody('container.create', body, KEY);
      // What is not linear takes minutes; a busy machine takes seconds.
      assert.ok(performance.now() - from < 30_000, `${performance.now() - from} ms`);
      assert.ok(text(result).length < 13 * 1024);
    });
  }

  it('every text of every body has been decided on', () => {
    const undecided = new Set<string>();
    const seen = new Set<Schema>();
    const walk = (schema: Schema, name: string): void => {
      if (['text', 'choice', 'bytes', 'strings'].includes(schema.kind)) {
        if (name !== '' && !FIELD_RULES.has(name.toLowerCase())) undecided.add(name);
        return;
      }
      if (schema.kind === 'list' || schema.kind === 'map') {
        // A map has the caller's own names: its rule must know that.
        if (schema.kind === 'map' && !['values', 'map'].includes(FIELD_RULES.get(name.toLowerCase()) ?? ''))
          undecided.add(`${name} (a map)`);
        walk(schema.of, name);
      } else if (schema.kind === 'struct' && !seen.has(schema)) {
        seen.add(schema);
        for (const field of schema.order) walk(field.schema, field.name);
      }
    };
    for (const schema of BODY_SCHEMAS.values()) walk(schema, '');
    assert.deepEqual([...undecided], []);
  });
});

const queries: readonly [string, string, Record<string, string[]>, readonly string[]][] = [
  [
    'build arguments',
    'build.run',
    { buildargs: [`{"A":"${SECRET}","B":null}`], t: ['app:1'] },
    ['app:1', 'hmac:', '\\"B\\":null'],
  ],
  ['build arguments that are no map', 'build.run', { buildargs: [`["${SECRET}"]`] }, ['[removed]']],
  ['build arguments that are not JSON', 'build.run', { buildargs: [`A=${SECRET}`] }, ['[removed]']],
  ['telling labels', 'build.run', { labels: [`{"token":"${SECRET}","team":"red"}`] }, ['red']],
  [
    'credentials of a build context',
    'build.run',
    { remote: [`https://u:${SECRET}@git.example/r.git#main:dir`] },
    ['@git.example/r.git#main:dir'],
  ],
  [
    'credentials with a slash in them',
    'build.run',
    { remote: [`https://u:a/${SECRET}@git.example/r.git`] },
    ['git.example/r.git'],
  ],
  ['credentials without a scheme', 'build.run', { remote: [`u:${SECRET}@git.example:r.git`] }, ['@git.example:r.git']],
  [
    'a signature of a build context',
    'build.run',
    { remote: [`https://x.example/c.tar?X-Sig=${SECRET}&${SECRET}`] },
    ['https://x.example/c.tar?X-Sig=hmac:'],
  ],
  [
    'credentials of an import',
    'image.import',
    { fromSrc: [`ftp://u:${SECRET}@x.example/f.tar`], repo: ['team/app'] },
    ['team/app'],
  ],
  [
    'what a commit sets',
    'image.commit',
    { changes: [`ENV A=${SECRET}\nWORKDIR /src\nenv B ${SECRET}\nONBUILD ARG C=${SECRET}`] },
    ['ENV A=hmac:', 'WORKDIR /src', 'env B hmac:', 'ARG C=hmac:'],
  ],
  ['a telling parameter', 'x', { password: [SECRET], name: ['web'] }, ['web']],
];

describe('redactQuery()', () => {
  for (const [what, action, query, kept] of queries) {
    it(`never keeps ${what}, and keeps what stands beside it`, () => {
      const result = text(redactQuery(action, query, KEY));
      assert.doesNotMatch(result, new RegExp(SECRET), result);
      for (const word of kept) assert.ok(result.includes(word), `${word} in ${result}`);
    });
  }
  it('redactQuery() leaves what is no secret as it is', () => {
    const query = {
      name: ['web'],
      platform: ['linux/amd64'],
      filters: ['{"label":["com.example.team=red"],"status":["running"]}'],
      fromImage: ['registry.example.test/team/app'],
      tag: ['1.4.2'],
      remote: ['git@git.example:team/app.git'],
      changes: ['CMD ["true"]'],
      force: ['1', '0'],
    };
    assert.deepEqual(redactQuery('image.pull', query, KEY), query);
  });
});
