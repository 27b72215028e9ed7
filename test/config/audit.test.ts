// The `audit` section: what is taken with which defaults, and what each fault says and where.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseConfig } from '../../src/config/config.ts';

const read = (audit: string, exists?: (path: string) => boolean) =>
  parseConfig(`engine: unix:///x.sock\naudit:\n${audit}`, { baseDir: '/etc/dockgate', ...(exists ? { exists } : {}) });
const told = (audit: string, exists?: (path: string) => boolean) =>
  read(audit, exists).problems.map(({ line, path, message }) => `${line} ${path}: ${message}`);
const sink = (entry: string) => told(`  sinks:\n    - { name: a, ${entry} }\n`);

const COMMON = { format: 'native', from: 'oldest', batchRows: 500, timeoutMs: 15_000 };

describe('sinks in the settings', () => {
  it('each kind is taken with its defaults, with absolute paths', () => {
    const { config, problems } = read(`  sinks:
    - { name: disk, file: ./audit.ndjson, format: ecs, rotate: { size: 1GiB } }
    - { name: soc, webhook: "https://soc.example/in?x=1", bearer: token, hmac: hmac.key, headers: { X-Api-Key: key }, ca: ca.pem }
    - { name: siem, syslog: "tls://siem.example:6514", cert: c.pem, key: k.pem, facility: 16, from: now }
    - { name: near, syslog: "tcp://127.0.0.1:601", confirm: none, maxMessage: 64KiB }
    - { name: otel, otlp: "http://collector:4318/v1/logs", insecure: true, format: ocsf }
`);
    assert.deepEqual(problems, []);
    assert.deepEqual(config?.audit.sinks, [
      {
        ...COMMON,
        name: 'disk',
        format: 'ecs',
        kind: 'file',
        path: '/etc/dockgate/audit.ndjson',
        maxBytes: 2 ** 30,
        keep: 10,
      },
      {
        ...{ ...COMMON, name: 'soc', kind: 'webhook', url: 'https://soc.example/in?x=1', encoding: 'ndjson' },
        ...{ bearer: '/etc/dockgate/token', hmac: '/etc/dockgate/hmac.key' },
        ...{ headers: { 'X-Api-Key': '/etc/dockgate/key' }, tls: { ca: '/etc/dockgate/ca.pem' } },
      },
      {
        ...{ ...COMMON, name: 'siem', from: 'now', kind: 'syslog', host: 'siem.example', port: 6514, facility: 16 },
        ...{ confirm: 'close', maxBytes: 8192, tls: { cert: '/etc/dockgate/c.pem', key: '/etc/dockgate/k.pem' } },
      },
      {
        ...{ ...COMMON, name: 'near', kind: 'syslog', host: '127.0.0.1', port: 601, facility: 13 },
        ...{ confirm: 'none', maxBytes: 65_536 },
      },
      {
        ...COMMON,
        name: 'otel',
        format: 'ocsf',
        kind: 'otlp',
        url: 'http://collector:4318/v1/logs',
        headers: {},
        tls: {},
      },
    ]);
  });

  it('an empty section has no sinks', () => {
    for (const audit of ['', '  sinks:\n', '  sinks: []\n']) assert.deepEqual(read(audit).config?.audit.sinks, []);
  });

  const FAULTS: readonly [title: string, entry: string, fault: string | RegExp][] = [
    ['an unknown key', 'file: x, formt: ecs', '4 audit.sinks[0].formt: unknown key; did you mean format?'],
    ['no kind', 'weebhook: x', '4 audit.sinks[0]: needs one of file, webhook, syslog, otlp; did you mean webhook?'],
    ['two kinds', 'file: x, otlp: y', '4 audit.sinks[0]: is file and otlp at once; write one entry for each'],
    [
      'an unknown format',
      'file: x, format: cef',
      '4 audit.sinks[0].format: must be one of native, ocsf, ecs, not "cef"',
    ],
    [
      'a size without a unit',
      'file: x, rotate: { size: 100 }',
      '4 audit.sinks[0].rotate.size: must be a size such as 100MiB, not the number 100',
    ],
    [
      'a size that is too small',
      'file: x, rotate: { size: 1KiB }',
      /rotate\.size: must be from 65536 bytes to 1TiB, not "1KiB"$/,
    ],
    [
      'a file in the data folder',
      'file: ./data/audit.ndjson',
      /\.file: is in the data folder, which belongs to the gateway/,
    ],
    [
      'a user in an address',
      'webhook: "https://u:p@soc.example/"',
      /\.webhook: holds a user or password; put them into a file/,
    ],
    [
      'another scheme',
      'webhook: "ftp://soc.example/?key=secret"',
      /\.webhook: must be an address such as https:\/\/host\/path, not "ftp:\/\/soc\.example\/"$/,
    ],
    [
      'HTTP beyond this machine',
      'otlp: "http://10.0.0.1:4318/v1/logs"',
      /\.otlp: would carry the audit in the clear; write https:\/\/, or insecure: true/,
    ],
    [
      'syslog in the clear',
      'syslog: "tcp://siem.example:601"',
      /\.syslog: would carry the audit in the clear; write tls:\/\//,
    ],
    ['insecure beside TLS', 'syslog: "tls://siem.example:6514", insecure: true', /\.insecure: contradicts tls:\/\//],
    ['syslog over UDP', 'syslog: "udp://siem.example:514"', /\.syslog: must be tls:\/\/host:6514 or tcp:\/\/host:601/],
    ['syslog without a port', 'syslog: "tls://siem.example"', /\.syslog: must be tls:\/\/host:6514/],
    ['a CA without TLS', 'webhook: "http://127.0.0.1:1/", ca: ca.pem', /\.ca: belongs to https:\/\/ addresses$/],
    [
      'a certificate without its key',
      'otlp: "https://o.example/", cert: c.pem',
      /audit\.sinks\[0\]: cert and key belong together/,
    ],
    [
      'a header of the sink itself',
      'webhook: "https://o.example/", headers: { Content-Type: x }',
      /\.headers\.Content-Type: is a header the sink sets itself$/,
    ],
    [
      'a bearer token twice',
      'webhook: "https://o.example/", bearer: x, headers: { authorization: y }',
      /\.headers\.authorization: is a header the sink sets itself$/,
    ],
    ['too many rows', 'file: x, batchRows: 5000', /\.batchRows: must be a whole number of rows from 1 to 2000/],
    ['a name with spaces', 'file: x, name: "my sink"', /duplicate|second time/],
  ];
  for (const [title, entry, fault] of FAULTS) {
    it(`${title} is told with its place`, () => {
      const [first = '', ...rest] = sink(entry);
      if (typeof fault === 'string') assert.equal(first, fault);
      else assert.match(first, fault);
      assert.deepEqual(rest, []);
    });
  }

  it('two sinks of one name or one file, and files that are missing, are told', () => {
    assert.deepEqual(
      told('  sinks:\n    - { name: a, file: x }\n    - { name: a, file: y }\n    - { name: c, file: ./x }\n'),
      [
        '5 audit.sinks[1].name: another sink has this name already',
        '6 audit.sinks[2].file: another sink writes this file already',
      ],
    );
    assert.deepEqual(
      told(
        '  sinks:\n    - { name: a, webhook: "https://a.example", bearer: token, headers: { X-K: key } }\n',
        () => false,
      ),
      ['4 audit.sinks[0].bearer: there is no file token', '4 audit.sinks[0].headers.X-K: there is no file key'],
    );
  });
});

describe('retention in the settings', () => {
  const retention = (entry: string) => told(`  retention: ${entry}\n`);

  it('is taken with its defaults, with absolute paths', () => {
    assert.equal(read('  reads: written\n').config?.audit.retention, undefined);
    assert.deepEqual(read('  retention: { age: 90d }\n').config?.audit.retention, {
      ...{ ageMs: 90 * 86_400_000, archive: '/etc/dockgate/data/audit-archive', holds: [], waitForSinks: true },
    });
    assert.deepEqual(
      read(
        '  retention: { size: 20GiB, archive: ./old, waitForSinks: false, holds: [{ subject: ci }, { resource: container/web }] }\n',
      ).config?.audit.retention,
      {
        ...{ bytes: 20 * 2 ** 30, archive: '/etc/dockgate/old', waitForSinks: false },
        holds: [
          { by: 'subject', value: 'ci' },
          { by: 'resource', value: 'container/web' },
        ],
      },
    );
  });

  const FAULTS: readonly [title: string, entry: string, fault: RegExp][] = [
    ['neither age nor size', '{ archive: ./old }', /^3 audit\.retention: names neither age nor size/],
    [
      'an age without a unit',
      '{ age: 90 }',
      /^3 audit\.retention\.age: must be a span such as 90d, not the number 90$/,
    ],
    [
      'an age that is none',
      '{ age: 3months }',
      /\.age: must be a whole number and s, m, h or d, such as 90d, not "3months"$/,
    ],
    ['a size that is too small', '{ size: 1MiB }', /\.size: must be from 16777216 bytes to 1024TiB, not "1MiB"$/],
    ['an unknown key', '{ age: 1d, hold: [] }', /\.hold: unknown key; did you mean holds\?$/],
    ['a hold on nothing', '{ age: 1d, holds: [{}] }', /\.holds\[0\]: needs one of subject, resource/],
    ['a hold on both', '{ age: 1d, holds: [{ subject: a, resource: container/b }] }', /\.holds\[0\]: needs one of/],
    [
      'an object without its kind',
      '{ age: 1d, holds: [{ resource: web }] }',
      /\.holds\[0\]\.resource: must be kind\/name/,
    ],
  ];
  for (const [title, entry, fault] of FAULTS) {
    it(`${title} is told with its place`, () => {
      const [first = '', ...rest] = retention(entry);
      assert.match(first, fault);
      assert.deepEqual(rest, []);
    });
  }
});
