// The settings file: what is read, what each fault says, and the line it says it of.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createConfig, parseConfig } from '../../src/config/config.ts';
import type { Config } from '../../src/config/types.ts';

const ENGINE = 'engine: unix:///var/run/docker.sock\n';
const read = (source: string, exists?: (path: string) => boolean) =>
  parseConfig(source, { baseDir: '/etc/dockgate', ...(exists ? { exists } : {}) });
const accepted = (source: string): Config => {
  const { config, problems } = read(source);
  assert.deepEqual(problems, []);
  assert.ok(config);
  return config;
};

test('only engine is required; everything else has a default', () => {
  assert.deepEqual(accepted(ENGINE), {
    engine: { kind: 'unix', path: '/var/run/docker.sock' },
    data: '/etc/dockgate/data',
    listen: [{ kind: 'https', host: '127.0.0.1', port: 2376 }],
    clientCas: [],
    plugins: [],
    ownSockets: { folder: '/etc/dockgate/data/own-sockets' },
    limits: {
      headBytes: 32768,
      bodyBytes: 8388608,
      headTimeoutMs: 10000,
      bodyTimeoutMs: 60000,
      idleTimeoutMs: 75000,
      drainTimeoutMs: 5000,
      calls: 4096,
      connections: 4096,
      connectionsPerIp: 1024,
      connectionsUnproven: 256,
      engineConnections: 256,
      engineStreams: 4096,
      engineQueueMs: 10000,
      sharePercent: 25,
      labelBytes: 65536,
      loadBytes: 1073741824,
      strangerRows: 60,
      auditQueue: 10000,
    },
    log: { level: 'info' },
    audit: {
      reads: 'written',
      outside: 'tenants',
      sinks: [],
      transcripts: { ageMs: 90 * 86_400_000, bytes: 10 * 1024 ** 3, sessionBytes: 1024 ** 3 },
    },
    issuer: 'dockgate',
    audience: 'dockgate',
    issuers: [],
    hostNames: [],
    apiVersions: { min: '1.24' },
    tenants: { sharedImages: ['*'], refreshShared: false, distrust: false },
  });
});

test('the configuration is frozen all the way down', () => {
  const config = accepted(`${ENGINE}plugins: [{ use: no-privileged, config: { a: [{ b: 1 }] } }]\n`);
  assert.throws(() => {
    (config.limits as { connections: number }).connections = 1;
  }, TypeError);
  const [plugin] = config.plugins;
  const settings = plugin?.config as { a: object[] } | undefined;
  assert.ok(settings && Object.isFrozen(settings.a[0]));
});

const GOOD: [name: string, source: string, pick: (config: Config) => unknown, expected: unknown][] = [
  [
    'an IPv6 listener',
    `${ENGINE}listen: ["https://[::1]:2376"]`,
    (c) => c.listen,
    [{ kind: 'https', host: '::1', port: 2376 }],
  ],
  [
    'a listener with its own certificate',
    `${ENGINE}listen: [{ https: "0.0.0.0:443", tls: { cert: c.pem, key: /k.pem } }]`,
    (c) => c.listen,
    [{ kind: 'https', host: '0.0.0.0', port: 443, tls: { cert: '/etc/dockgate/c.pem', key: '/k.pem' } }],
  ],
  [
    'one certificate for all https listeners',
    `${ENGINE}tls: { cert: c.pem, key: k.pem }\nlisten: ["https://localhost:1"]`,
    (c) => c.listen,
    [{ kind: 'https', host: 'localhost', port: 1, tls: { cert: '/etc/dockgate/c.pem', key: '/etc/dockgate/k.pem' } }],
  ],
  [
    'the long form with a scheme',
    `${ENGINE}listen: [{ https: "https://127.0.0.1:9" }]`,
    (c) => c.listen,
    [{ kind: 'https', host: '127.0.0.1', port: 9 }],
  ],
  [
    'a bound unix socket',
    `${ENGINE}listen: [{ unix: ./sockets/ci.sock, mode: "0660", identity: ci }]`,
    (c) => c.listen,
    [{ kind: 'unix', path: '/etc/dockgate/sockets/ci.sock', mode: 0o660, identity: 'ci' }],
  ],
  [
    'a unix socket with a group',
    `${ENGINE}listen: [{ unix: /run/ci.sock, mode: "0660", group: docker-ci, identity: ci }]`,
    (c) => c.listen,
    [{ kind: 'unix', path: '/run/ci.sock', mode: 0o660, group: 'docker-ci', identity: 'ci' }],
  ],
  [
    'an outside CA and whom its certificates name',
    `${ENGINE}clientCas: [{ ca: corp.pem, crl: corp.crl, map: [{ spiffe: "spiffe://corp.example/ci", identity: ci }, { dns: "*.bots.example", identity: "*" }] }]`,
    (c) => c.clientCas,
    [
      {
        ca: '/etc/dockgate/corp.pem',
        crl: '/etc/dockgate/corp.crl',
        map: [
          { by: 'spiffe', pattern: 'spiffe://corp.example/ci', identity: 'ci' },
          { by: 'dns', pattern: '*.bots.example', identity: '*' },
        ],
      },
    ],
  ],
  [
    'a unix socket for its owner alone',
    `${ENGINE}listen: [unix:///run/d.sock]`,
    (c) => c.listen,
    [{ kind: 'unix', path: '/run/d.sock', mode: 0o600 }],
  ],
  [
    'plain http on loopback',
    `${ENGINE}listen: ["http://127.0.0.1:2375"]`,
    (c) => c.listen,
    [{ kind: 'http', host: '127.0.0.1', port: 2375 }],
  ],
  [
    'one port on two addresses',
    `${ENGINE}listen: ["https://127.0.0.1:2376", "https://[::1]:2376"]`,
    (c) => c.listen.length,
    2,
  ],
  [
    'any free port, twice',
    `${ENGINE}listen: ["https://127.0.0.1:0", "https://127.0.0.1:0"]`,
    (c) => c.listen.length,
    2,
  ],
  [
    'an engine over loopback tcp',
    'engine: tcp://127.0.0.1:2375',
    (c) => c.engine,
    { kind: 'tcp', host: '127.0.0.1', port: 2375 },
  ],
  [
    'an engine over TLS',
    'engine: tcp://engine.test:2376\nengineTls: { ca: ca.pem, cert: c.pem, key: k.pem }',
    (c) => [c.engine, c.engineTls],
    [
      { kind: 'tcp', host: 'engine.test', port: 2376 },
      { ca: '/etc/dockgate/ca.pem', cert: '/etc/dockgate/c.pem', key: '/etc/dockgate/k.pem' },
    ],
  ],
  [
    'a plain engine elsewhere when asked for by name',
    'engine: tcp://10.0.0.1:2375\nengineInsecure: true',
    (c) => c.engine,
    { kind: 'tcp', host: '10.0.0.1', port: 2375 },
  ],
  ['an IPv6 engine', 'engine: tcp://[::1]:2375', (c) => c.engine, { kind: 'tcp', host: '::1', port: 2375 }],
  [
    'plugins by path and by name',
    `${ENGINE}plugins: [{ use: ./p.ts }, { use: no-privileged, name: np, config: { a: 1 } }]`,
    (c) => c.plugins,
    [
      { use: '/etc/dockgate/p.ts', config: {} },
      { use: 'no-privileged', name: 'np', config: { a: 1 } },
    ],
  ],
  ['sections left empty', `${ENGINE}limits:\nlog:\nplugins:\nhostNames:\napiVersions:\n`, (c) => c.log.level, 'info'],
  ['a limit', `${ENGINE}limits: { connections: 5 }`, (c) => c.limits.connections, 5],
  [
    'API versions',
    `${ENGINE}apiVersions: { min: "1.41", max: "1.47" }`,
    (c) => c.apiVersions,
    { min: '1.41', max: '1.47' },
  ],
  ['a seal key', `${ENGINE}keySeal: { file: ./seal.key }`, (c) => c.keySeal?.file.endsWith('/seal.key'), true],
  ['extra host names', `${ENGINE}hostNames: [gate.test, "10.0.0.1", "::1", "*.test"]`, (c) => c.hostNames.length, 4],
  [
    'a listener for metrics',
    `${ENGINE}metrics: { listen: http://127.0.0.1:9464 }`,
    (c) => c.metrics,
    { listen: { kind: 'http', host: '127.0.0.1', port: 9464 } },
  ],
  ['JSON', '{"engine": "unix:///a.sock", "log": {"level": "warn"}}', (c) => c.log.level, 'warn'],
  ['a byte order mark', `\uFEFF${ENGINE}`, (c) => c.engine.kind, 'unix'],
  ['CRLF line ends', ENGINE.replace('\n', '\r\n'), (c) => c.engine.path, '/var/run/docker.sock'],
];
for (const [name, source, pick, expected] of GOOD) {
  test(`parseConfig() reads ${name}`, () => assert.deepEqual(pick(accepted(source)), expected));
}

const FAULTS: [name: string, source: string, at: string, message: RegExp][] = [
  ['an empty file', '', '1:1 engine', /^is missing; must be the engine's address/],
  ['a comment alone', '# later\n', '1:1 engine', /is missing/],
  ['a list as file', '- a\n', '1:1 ', /must be a map/],
  ['a misspelt key', `${ENGINE}listne: []`, '2:1 listne', /^unknown key; did you mean listen\?$/],
  ['a foreign key', `${ENGINE}dns: 1`, '2:1 dns', /^unknown key; known here: engine, /],
  ['a merge key', `${ENGINE}<<: { data: x }`, '2:1 <<', /unknown key/],
  ['a prototype key', `${ENGINE}__proto__: { data: x }`, '2:1 __proto__', /unknown key/],
  ['a key given twice', `${ENGINE}data: a\ndata: b`, '3:1 ', /second time/],
  ['an alias', `engine: &e unix:///a\ndata: *e`, '2:7 ', /aliases are not read here; write the value of \*e out/],
  ['two documents', `${ENGINE}---\n${ENGINE}`, '2:1 ', /the file holds one/],
  ['a tag', `${ENGINE}data: !secret x`, '2:7 ', /Unresolved tag/],
  ['broken YAML', `${ENGINE}listen: [`, '2:10 ', /Flow sequence|Expected|must be/],
  ['a tab as indent', `${ENGINE}log:\n\tlevel: info`, '3:1 ', /Tabs/i],
  ['an engine without scheme', 'engine: /var/run/docker.sock', '1:9 engine', /write unix:\/\/\/path/],
  ['an engine over http', 'engine: http://1.2.3.4:2375', '1:9 engine', /write tcp:\/\/1\.2\.3\.4:2375 instead/],
  ['an engine over a pipe', 'engine: npipe:////./pipe/docker_engine', '1:9 engine', /npipe:\/\/ is not served/],
  ['an engine without port', 'engine: tcp://1.2.3.4', '1:9 engine', /names no port/],
  ['an engine that is a number', 'engine: 5', '1:9 engine', /must be the engine's address, .* in quotes, "5"/],
  ['a plain engine elsewhere', 'engine: tcp://10.0.0.1:2375', '1:9 engine', /engineTls.*engineInsecure: true/],
  ['a plain engine beside 127', 'engine: tcp://128.0.0.1:2375', '1:9 engine', /without TLS/],
  ['TLS to a unix socket', `${ENGINE}engineTls: { ca: a.pem }`, '2:1 engineTls', /speaks no TLS/],
  [
    'a client certificate without key',
    'engine: tcp://a.test:1\nengineTls: { cert: a.pem }',
    '2:12 engineTls',
    /belong together/,
  ],
  [
    'TLS and no TLS',
    'engine: tcp://a.test:1\nengineTls: { ca: a }\nengineInsecure: true',
    '3:1 engineInsecure',
    /contradicts/,
  ],
  [
    'yes for true',
    'engine: tcp://a.test:1\nengineInsecure: yes',
    '2:17 engineInsecure',
    /must be true or false, not "yes"/,
  ],
  ['a data folder that is a number', `${ENGINE}data: 5`, '2:7 data', /in quotes, "5"/],
  ['a data folder without value', `${ENGINE}data:`, '2:1 data', /must be a path, not nothing/],
  [
    'a data folder too deep for its socket',
    `${ENGINE}data: /${'d'.repeat(100)}`,
    '2:7 data',
    /too long for the admin socket/,
  ],
  ['no listener', `${ENGINE}listen: []`, '2:9 listen', /list of 1 to 64/],
  ['a listen key without value', `${ENGINE}listen:`, '2:1 listen', /list of 1 to 64/],
  [
    'a listener without port',
    `${ENGINE}listen:\n  - https://127.0.0.1`,
    '3:5 listen[0]',
    /names no port; write 127\.0\.0\.1:2376/,
  ],
  ['a listener without host', `${ENGINE}listen: ["https://:2376"]`, '2:10 listen[0]', /names no host/],
  ['a listener with a path', `${ENGINE}listen: ["https://a:1/x"]`, '2:10 listen[0]', /without user, path or query/],
  ['a listener with a user', `${ENGINE}listen: ["https://u@a:1"]`, '2:10 listen[0]', /without user/],
  ['a port out of range', `${ENGINE}listen: ["https://a:65536"]`, '2:10 listen[0]', /port 65536 is out of range/],
  ['an IPv6 address without brackets', `${ENGINE}listen: ["https://::1:2376"]`, '2:10 listen[0]', /brackets/],
  ['brackets around a name', `${ENGINE}listen: ["https://[a]:1"]`, '2:10 listen[0]', /"a" is not an IPv6 address/],
  ['an address that is none', `${ENGINE}listen: ["https://1.2.3:1"]`, '2:10 listen[0]', /neither a host name nor/],
  ['tcp as listener', `${ENGINE}listen: ["tcp://127.0.0.1:2376"]`, '2:10 listen[0]', /write https:\/\/127/],
  ['a word as listener', `${ENGINE}listen: [all]`, '2:10 listen[0]', /must be a listener such as/],
  ['a number as listener', `${ENGINE}listen: [2376]`, '2:10 listen[0]', /must be a listener such as/],
  ['plain http for all', `${ENGINE}listen: ["http://0.0.0.0:80"]`, '2:10 listen[0]', /show tokens to the network/],
  [
    'plain http on an address beside loopback',
    `${ENGINE}listen: ["http://128.0.0.1:80"]`,
    '2:10 listen[0]',
    /show tokens/,
  ],
  [
    'plain http on a name like loopback',
    `${ENGINE}listen: ["http://localhost.test:80"]`,
    '2:10 listen[0]',
    /show tokens/,
  ],
  [
    'a decimal mode',
    `${ENGINE}listen: [{ unix: a, mode: 0660 }]`,
    '2:27 listen[0].mode',
    /octal mode in quotes, "0660"/,
  ],
  [
    'a mode that is none',
    `${ENGINE}listen: [{ unix: a, mode: "rw" }]`,
    '2:27 listen[0].mode',
    /such as "0660", not "rw"/,
  ],
  ['a set-uid mode', `${ENGINE}listen: [{ unix: a, mode: "4755" }]`, '2:27 listen[0].mode', /such as "0660"/],
  ['a CA without a mapping', `${ENGINE}clientCas: [{ ca: a, map: [] }]`, '2:27 clientCas[0].map', /must map something/],
  [
    'a mapping by two names',
    `${ENGINE}clientCas: [{ ca: a, map: [{ dns: a, cn: a, identity: ci }] }]`,
    '2:28 clientCas[0].map[0]',
    /needs one of spiffe, dns, email, cn/,
  ],
  [
    'a mapping of every client to one identity',
    `${ENGINE}clientCas: [{ ca: a, map: [{ cn: "*", identity: ci }] }]`,
    '2:34 clientCas[0].map[0].cn',
    /every client of this CA one identity/,
  ],
  [
    'a mapping to no identity name',
    `${ENGINE}clientCas: [{ ca: a, map: [{ cn: ci, identity: CI }] }]`,
    '2:48 clientCas[0].map[0].identity',
    /"CI" is no identity name/,
  ],
  [
    'an identity that is none',
    `${ENGINE}listen: [{ unix: a, identity: CI }]`,
    '2:31 listen[0].identity',
    /"CI" is no identity name/,
  ],
  [
    'an identity on https',
    `${ENGINE}listen: [{ https: "a:1", identity: ci }]`,
    '2:26 listen[0].identity',
    /belongs to unix listeners/,
  ],
  [
    'an identity on http',
    `${ENGINE}listen: [{ http: "127.0.0.1:1", identity: ci }]`,
    '2:33 listen[0].identity',
    /belongs to unix/,
  ],
  [
    'a certificate on http',
    `${ENGINE}listen: [{ http: "127.0.0.1:1", tls: { cert: a, key: b } }]`,
    '2:33 listen[0].tls',
    /write https/,
  ],
  [
    'a certificate without key',
    `${ENGINE}listen: [{ https: "a:1", tls: { cert: c } }]`,
    '2:31 listen[0].tls.key',
    /is missing/,
  ],
  ['a mode on https', `${ENGINE}listen: [{ https: "a:1", mode: "0600" }]`, '2:26 listen[0].mode', /unknown key/],
  ['a misspelt kind', `${ENGINE}listen: [{ htps: "a:1" }]`, '2:10 listen[0]', /did you mean https\?/],
  ['two kinds at once', `${ENGINE}listen: [{ https: "a:1", unix: b }]`, '2:10 listen[0]', /https and unix at once/],
  ['one address twice', `${ENGINE}listen: ["https://a:1", "https://A:1"]`, '2:25 listen[1]', /port 1 of listen\[0\]/],
  [
    'a wildcard beside an address',
    `${ENGINE}listen: ["https://127.0.0.1:1", "https://0.0.0.0:1"]`,
    '2:33 listen[1]',
    /port 1 of listen\[0\]/,
  ],
  [
    'localhost beside 127.0.0.1',
    `${ENGINE}listen: ["https://127.0.0.1:1", "http://localhost:1"]`,
    '2:33 listen[1]',
    /port 1/,
  ],
  ['one socket twice', `${ENGINE}listen: [unix://a, { unix: ./a }]`, '2:20 listen[1]', /socket of listen\[0\]/],
  ["the engine's socket", `${ENGINE}listen: [unix:///var/run/docker.sock]`, '2:10 listen[0]', /engine's own socket/],
  ['the admin socket', `${ENGINE}listen: [{ unix: data/admin.sock }]`, '2:18 listen[0].unix', /admin socket/],
  [
    'a socket path too long',
    `${ENGINE}listen: [{ unix: "/${'s'.repeat(110)}" }]`,
    '2:18 listen[0].unix',
    /longer than 103 bytes/,
  ],
  ['a plugin without use', `${ENGINE}plugins: [{ config: {} }]`, '2:11 plugins[0].use', /is missing/],
  [
    'a plugin as word',
    `${ENGINE}plugins: [no-privileged]`,
    '2:11 plugins[0]',
    /must be a map with use, name, tier, sha256, needs, timeoutMs, config/,
  ],
  ['plugins as map', `${ENGINE}plugins: { use: a }`, '2:10 plugins', /must be a list/],
  [
    'a plugin with a misspelt key',
    `${ENGINE}plugins: [{ use: a, confg: {} }]`,
    '2:21 plugins[0].confg',
    /did you mean config\?/,
  ],
  ['a plugin name in capitals', `${ENGINE}plugins: [{ use: a, name: A }]`, '2:27 plugins[0].name', /kebab-case/],
  [
    'a limit with a unit',
    `${ENGINE}limits: { bodyBytes: 4MiB }`,
    '2:22 limits.bodyBytes',
    /not "4MiB"; write 4194304$/,
  ],
  [
    'a time with a unit',
    `${ENGINE}limits: { headTimeoutMs: 5s }`,
    '2:26 limits.headTimeoutMs',
    /not "5s"; write 5000$/,
  ],
  [
    'a limit of nothing',
    `${ENGINE}limits: { connections: 0 }`,
    '2:24 limits.connections',
    /from 1 to 100000, not the number 0/,
  ],
  [
    'a limit without end',
    `${ENGINE}limits: { connections: .inf }`,
    '2:24 limits.connections',
    /not the number Infinity/,
  ],
  ['a limit in parts', `${ENGINE}limits: { connections: 1.5 }`, '2:24 limits.connections', /not the number 1.5/],
  ['a misspelt limit', `${ENGINE}limits: { bodyBites: 4 }`, '2:11 limits.bodyBites', /did you mean bodyBytes\?/],
  ['limits as number', `${ENGINE}limits: 5`, '2:9 limits', /must be a map of limits, not the number 5/],
  [
    'another word for when reads are kept',
    `${ENGINE}audit: { reads: synced }`,
    '2:17 audit.reads',
    /must be one of written, durable/,
  ],
  ['a misspelt level', `${ENGINE}log: { level: wran }`, '2:15 log.level', /did you mean warn\?/],
  [
    'a level that is none',
    `${ENGINE}log: { level: 3 }`,
    '2:15 log.level',
    /one of debug, info, warn, error, not the number 3/,
  ],
  ['a version as number', `${ENGINE}apiVersions: { min: 1.40 }`, '2:21 apiVersions.min', /in quotes, "1.40"/],
  [
    'a version of another series',
    `${ENGINE}apiVersions: { min: "2.0" }`,
    '2:21 apiVersions.min',
    /such as "1.40", not "2.0"/,
  ],
  ['versions upside down', `${ENGINE}apiVersions: { min: "1.45", max: "1.44" }`, '2:34 apiVersions.max', /below min/],
  ['an issuer with spaces', `${ENGINE}issuer: a b`, '2:9 issuer', /without spaces/],
  ['an empty audience', `${ENGINE}audience: ""`, '2:11 audience', /not an empty text/],
  ['a seal key without file', `${ENGINE}keySeal: {}`, '2:10 keySeal.file', /is missing; must be a path/],
  ['a seal key in the file', `${ENGINE}keySeal: abc`, '2:10 keySeal', /must be a map with file/],
  ['a host name that is none', `${ENGINE}hostNames: [a_b]`, '2:13 hostNames[0]', /"a_b" is neither/],
  ['metrics on a socket', `${ENGINE}metrics: { listen: unix:///m }`, '2:20 metrics.listen', /https or loopback http/],
  ['metrics in the open', `${ENGINE}metrics: { listen: "http://0.0.0.0:1" }`, '2:20 metrics.listen', /plain HTTP/],
  [
    'metrics on a taken port',
    `${ENGINE}metrics: { listen: "https://0.0.0.0:2376" }`,
    '2:20 metrics.listen',
    /port 2376 of listen\[0\]/,
  ],
];
for (const [name, source, at, message] of FAULTS) {
  test(`parseConfig() refuses ${name} with its line`, () => {
    const { config, problems } = read(source);
    assert.equal(config, undefined);
    const [first] = problems;
    assert.ok(first);
    assert.match(first.message, message);
    assert.equal(`${first.line}:${first.column} ${first.path}`, at);
    assert.doesNotMatch(first.message, /\.$|\n/);
  });
}

test('every fault is told at once, in the order of the file', () => {
  const { problems } = read(`engin: unix:///x
listen:
  - https://127.0.0.1
  - { unix: a, mode: 0660, identiy: x }
limits:
  bodyBytes: 4MiB
  connections: 0
log: { level: inof }
plugins: [{}]
`);
  assert.deepEqual(
    problems.map(({ line, path }) => `${line} ${path}`),
    [
      '1 engin',
      '1 engine',
      '3 listen[0]',
      '4 listen[1].mode',
      '4 listen[1].identiy',
      '6 limits.bodyBytes',
      '7 limits.connections',
      '8 log.level',
      '9 plugins[0].use',
    ],
  );
});

test('files the settings name must be there, when asked', () => {
  const source = `engine: tcp://a.test:1
engineTls: { ca: ca.pem }
listen: [{ https: "a:1", tls: { cert: c.pem, key: k.pem } }]
plugins: [{ use: ./p.ts }, { use: no-privileged }]
`;
  const there = new Set(['/etc/dockgate/c.pem']);
  const { problems } = read(source, (path) => there.has(path));
  assert.deepEqual(
    problems.map(({ line, path, message }) => `${line} ${path}: ${message}`),
    [
      '2 engineTls.ca: there is no file ca.pem',
      '3 listen[0].tls.key: there is no file k.pem',
      '4 plugins[0].use: there is no file ./p.ts',
    ],
  );
});

test('an alias bomb, endless nesting and a huge file are refused quickly', () => {
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefgh'].map((letter, index) => `${letter}: &${letter} [${Array(9).fill(`*${'abcdefg'[index]}`).join(',')}]`).join('\n')}\n`;
  const startedAt = performance.now();
  for (const source of [
    bomb,
    `engine: ${'['.repeat(100_000)}`,
    `engine: ${'a'.repeat(2_000_000)}`,
    `${'- '.repeat(50_000)}a`,
  ]) {
    const { config, problems } = read(source);
    assert.equal(config, undefined);
    assert.ok(problems.length > 0);
  }
  // A bomb that goes off takes hours; a busy machine takes seconds.
  assert.ok(performance.now() - startedAt < 60_000);
});

test('createConfig() judges a value as it would a file', () => {
  const config = createConfig({ engine: 'unix:///a.sock', listen: ['https://127.0.0.1:0'] }, { baseDir: '/base' });
  assert.equal(config.data, '/base/data');
  assert.throws(() => createConfig({ engine: 'unix:///a', limts: {} }, { baseDir: '/' }), {
    code: 'config-invalid',
    message: 'limts: unknown key; did you mean limits?',
  });
});
