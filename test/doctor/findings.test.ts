// Facts in, findings out: one row per trouble, and beside it the nearest state that is well.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Here, TargetFacts } from '../../src/doctor/facts.ts';
import { judge } from '../../src/doctor/findings.ts';

const NOW = Date.parse('2030-01-01T12:00:00Z');
const DAY = 86_400_000;
const HERE: Here = { now: NOW, inContainer: false, selinux: false, userId: 1000, groupIds: [1000, 998] };
const IN_CONTAINER: Here = { ...HERE, inContainer: true };
const PING = { status: 200, isGateway: false, apiVersion: '1.51' } as const;
const SECURE = ['name=seccomp,profile=builtin', 'name=userns'];
const ENGINE = { engineVersion: '28.5.2', apiVersion: '1.51', minApiVersion: '1.24', securityOptions: SECURE } as const;
const FILE = { path: '/run/d.sock', kind: 'socket', mode: 0o660, userId: 0, groupId: 998, group: 'docker' } as const;

const unix = (more: Partial<TargetFacts> = {}): TargetFacts => ({
  address: 'unix:///run/d.sock',
  role: 'endpoint',
  transport: 'unix',
  isLocal: true,
  file: FILE,
  ping: PING,
  ...more,
});
const CERTIFICATE = { names: ['gw.example', '127.0.0.1'], validFrom: NOW - 30 * DAY, validTo: NOW + 60 * DAY };
const CLIENT = { ...CERTIFICATE, file: 'cert.pem', fitsKey: true };
const tls = (more: Partial<TargetFacts> = {}): TargetFacts => ({
  address: 'https://gw:2376',
  role: 'endpoint',
  transport: 'tls',
  isLocal: false,
  certificate: CERTIFICATE,
  ping: { ...PING, isGateway: true },
  ...more,
});
const broken = (kind: NonNullable<TargetFacts['trouble']>['kind'], text = 'it is so; do this') => ({
  trouble: { kind, text },
});
const without = <K extends keyof TargetFacts>(facts: TargetFacts, ...keys: K[]): TargetFacts =>
  Object.fromEntries(Object.entries(facts).filter(([key]) => !keys.includes(key as K))) as unknown as TargetFacts;

const DENIED = (mode: number): TargetFacts => unix({ ...broken('not-permitted'), file: { ...FILE, mode } });

type Row = readonly [
  name: string,
  target: TargetFacts,
  codes: readonly string[],
  line?: RegExp | undefined,
  here?: Here,
];
const ROWS: readonly Row[] = [
  [
    'an engine that is well',
    unix({ engine: ENGINE }),
    ['well'],
    /the engine answers: Docker 28\.5\.2, API 1\.24 to 1\.51/,
  ],
  ['a gateway that is well', tls(), ['well'], /dockgate answers/],
  // The socket file.
  [
    'no socket',
    unix({ file: { path: '/run/d.sock', kind: 'none' }, ...broken('no-such-socket') }),
    ['socket-missing'],
    /systemctl start docker/,
  ],
  [
    'no socket in a container',
    unix({ file: { path: '/run/d.sock', kind: 'none' }, ...broken('no-such-socket') }),
    ['socket-missing'],
    /container, so mount it: -v .*:\/run\/d\.sock/,
    IN_CONTAINER,
  ],
  [
    'no socket of a listener',
    unix({ role: 'listener', file: { path: '/run/d.sock', kind: 'none' }, ...broken('no-such-socket') }),
    ['socket-missing'],
    /dockgate serve/,
  ],
  [
    'a folder in its place',
    unix({ file: { path: '/run/d.sock', kind: 'folder' }, ...broken('nobody-listens') }),
    ['socket-is-folder'],
    /docker run -v made it/,
  ],
  [
    'a file in its place',
    unix({ file: { path: '/run/d.sock', kind: 'file' }, ...broken('nobody-listens') }),
    ['socket-is-file'],
  ],
  [
    'a folder above that is closed',
    unix({ file: { path: '/run/d.sock', kind: 'unreachable' }, ...broken('not-permitted') }),
    ['folder-denied'],
  ],
  ['a socket nobody listens on', unix(broken('nobody-listens')), ['nobody-listens'], /it is so; do this/],
  ['a socket of a group', DENIED(0o660), ['socket-denied'], /mode 0660, group docker.*usermod -aG docker/],
  ['a socket of its owner alone', DENIED(0o600), ['socket-denied'], /mode 0600.*have it made with a mode/],
  ['a socket of a group, in a container', DENIED(0o660), ['socket-denied'], /--group-add 998/, IN_CONTAINER],
  ['a socket SELinux guards', DENIED(0o660), ['selinux-denied'], /SELinux keeps/, { ...HERE, selinux: true }],
  [
    'SELinux beside a group one is not in',
    DENIED(0o660),
    ['socket-denied'],
    /usermod/,
    { ...HERE, selinux: true, groupIds: [1000] },
  ],
  ['a socket open to all', unix({ file: { ...FILE, mode: 0o666 } }), ['socket-open-to-all'], /mode 0666: every user/],
  // TLS.
  [
    'another name',
    without(tls(broken('name-mismatch')), 'ping'),
    ['tls-name-mismatch'],
    /it is for gw\.example, 127\.0\.0\.1; .*hostNames/,
  ],
  ['another CA', without(tls(broken('ca-unknown')), 'ping'), ['tls-ca-unknown'], /--ca FILE/],
  [
    'an expired certificate',
    without(tls({ ...broken('certificate-expired'), certificate: { ...CERTIFICATE, validTo: NOW - DAY } }), 'ping'),
    ['tls-expired'],
    /expired on 2029-12-31T12:00Z/,
  ],
  [
    'a certificate that ends tomorrow',
    tls({ certificate: { ...CERTIFICATE, validTo: NOW + DAY } }),
    ['tls-expires-soon', 'well'],
  ],
  [
    'a certificate of tomorrow',
    tls({ certificate: { ...CERTIFICATE, validFrom: NOW + DAY } }),
    ['tls-not-yet-valid'],
    /clock/,
  ],
  ['a client certificate', tls({ clientCertificate: CLIENT }), ['well']],
  [
    'an expired client certificate',
    tls({ clientCertificate: { ...CLIENT, validTo: NOW - 1 } }),
    ['client-certificate-expired'],
    /dockgate cert issue/,
  ],
  ['a key of another certificate', tls({ clientCertificate: { ...CLIENT, fitsKey: false } }), ['client-key-mismatch']],
  [
    'a client certificate that is refused',
    without(tls(broken('client-certificate-refused', 'no; check --cert')), 'ping'),
    ['client-certificate-refused'],
    /no; check --cert/,
  ],
  // Plain TCP.
  ['plain TCP to another machine', tls({ transport: 'tcp' }), ['plain-tcp'], /root on the host/],
  ['plain TCP on this machine', tls({ transport: 'tcp', isLocal: true }), ['well']],
  // Credentials.
  ['a good token', tls({ token: { source: 't', expiresAt: NOW + 1000 } }), ['well']],
  [
    'an expired token',
    tls({
      token: { source: 't', expiresAt: NOW },
      ping: { status: 401, isGateway: true, message: 'the token has expired [audit 1]' },
    }),
    ['token-expired', 'not-authenticated'],
    /token of t has expired on 2030-01-01T12:00Z/,
  ],
  ['a token of the future', tls({ token: { source: 't', notBefore: NOW + DAY } }), ['token-not-yet-valid']],
  ['a token of half a minute ahead', tls({ token: { source: 't', notBefore: NOW + 20_000 } }), ['well']],
  ['a token that cannot be read', tls({ token: { source: 't', fault: 't cannot be read' } }), ['token-unreadable']],
  [
    'no credential',
    tls({ ping: { status: 401, isGateway: true, message: 'no credentials' } }),
    ['not-authenticated'],
    /no credentials; give --token-file/,
  ],
  ['no credential at a listener', tls({ role: 'listener', ping: { status: 401, isGateway: true } }), ['well']],
  ['an identity that may not ping', tls({ ping: { status: 403, isGateway: true } }), ['ping-not-allowed', 'well']],
  [
    'something else',
    tls({ ping: { status: 404, isGateway: false } }),
    ['no-good-answer'],
    /it answered 404; is this a Docker endpoint/,
  ],
  // Clocks.
  ['a clock behind', tls({ ping: { ...PING, skewMs: -95_000 } }), ['clock-skew'], /95 s behind this one.*NTP/],
  ['a clock ahead', tls({ ping: { ...PING, skewMs: 31_000 } }), ['clock-skew'], /31 s ahead of/],
  ['a clock a little behind', tls({ ping: { ...PING, skewMs: -29_000 } }), ['well']],
  // Versions.
  ['a version in range', unix({ engine: ENGINE }), ['well'], undefined, { ...HERE, dockerApiVersion: '1.43' }],
  [
    'a version too new',
    unix({ engine: ENGINE }),
    ['client-version-too-new'],
    /DOCKER_API_VERSION=1\.52 is newer .*set it to 1\.51/,
    { ...HERE, dockerApiVersion: '1.52' },
  ],
  [
    'a version too old',
    unix({ engine: ENGINE }),
    ['client-version-too-old'],
    /set it to 1\.24/,
    { ...HERE, dockerApiVersion: '1.23' },
  ],
  [
    'a version that is none',
    unix({ engine: ENGINE }),
    ['client-version-malformed'],
    undefined,
    { ...HERE, dockerApiVersion: 'latest' },
  ],
  ['an engine in the range served', unix({ role: 'engine', engine: ENGINE, served: { min: 40, max: 56 } }), ['well']],
  [
    'an engine too old to be served',
    unix({ role: 'engine', engine: { ...ENGINE, apiVersion: '1.39' }, served: { min: 40, max: 56 } }),
    ['engine-too-old', 'read-only-shallow'],
    /apiVersions\.min/,
  ],
  [
    'an engine whose read-only binds are shallow',
    unix({ engine: { ...ENGINE, apiVersion: '1.43' } }),
    ['read-only-shallow', 'well'],
    /Docker 25/,
  ],
  [
    'an engine whose kernel or runtime makes them shallow',
    unix({ engine: { ...ENGINE, apiVersion: '1.51', readOnlyDepth: { byDefault: 'runsc', runtimes: ['runc'] } } }),
    ['read-only-shallow', 'well'],
    /kernel from 5\.12/,
  ],
  [
    'an engine whose runtime makes them deep',
    unix({ engine: { ...ENGINE, apiVersion: '1.51', readOnlyDepth: { byDefault: 'runc', runtimes: ['runc'] } } }),
    ['well'],
  ],
  ['an engine whose read-only binds are not', unix({ engine: { ...ENGINE, apiVersion: '1.44' } }), ['well']],
  [
    'an engine too new to be served',
    unix({ role: 'engine', engine: { ...ENGINE, minApiVersion: '1.44' }, served: { min: 40, max: 43 } }),
    ['engine-too-new'],
    /apiVersions\.max/,
  ],
  // Isolation.
  [
    'no user namespaces',
    unix({ engine: { ...ENGINE, securityOptions: [SECURE[0] as string] } }),
    ['userns-off', 'well'],
    /userns-remap/,
  ],
  [
    'a rootless engine',
    unix({ engine: { ...ENGINE, securityOptions: [SECURE[0] as string, 'name=rootless'] } }),
    ['well'],
  ],
  ['no seccomp', unix({ engine: { ...ENGINE, securityOptions: ['name=userns'] } }), ['seccomp-off', 'well']],
  [
    'seccomp unconfined',
    unix({ engine: { ...ENGINE, securityOptions: ['name=seccomp,profile=unconfined', 'name=userns'] } }),
    ['seccomp-off', 'well'],
  ],
  ['icc', unix({ engine: { ...ENGINE, icc: true } }), ['icc-on', 'well']],
  ['no icc', unix({ engine: { ...ENGINE, icc: false } }), ['well']],
  [
    'debug and experimental',
    unix({ engine: { ...ENGINE, debug: true, experimental: true } }),
    ['debug-on', 'experimental-on', 'well'],
  ],
  [
    'insecure registries',
    unix({ engine: { ...ENGINE, insecureRegistries: ['r.example:5000'] } }),
    ['insecure-registries', 'well'],
    /images of r\.example:5000/,
  ],
  ['no insecure registries', unix({ engine: { ...ENGINE, insecureRegistries: [] } }), ['well']],
  [
    'an engine open on TCP',
    unix({
      engine: {
        ...ENGINE,
        warnings: [
          'WARNING: bridge',
          '[DEPRECATION NOTICE]: API is accessible on http://0.0.0.0:2375 without encryption.\n         Access to',
        ],
      },
    }),
    ['engine-open-on-tcp'],
    /accessible on http:\/\/0\.0\.0\.0:2375 without encryption; take the tcp/,
  ],
];

describe('judge()', () => {
  for (const [name, target, codes, line, here = HERE] of ROWS) {
    it(`${name}: ${codes.join(', ')}`, () => {
      const findings = judge({ here, targets: [target] });
      assert.deepEqual(
        findings.map(({ code }) => code),
        codes,
      );
      for (const { level, message, remedy } of findings) {
        const text = `${message}${remedy === undefined ? '' : `; ${remedy}`}`;
        assert.doesNotMatch(text, /\n|undefined|\.$/);
        assert.ok(level === 'ok' || remedy !== undefined, `${text}: without a remedy`);
      }
      const text = findings.map(({ message, remedy }) => `${message}; ${remedy}`).join('\n');
      if (line !== undefined) assert.match(text, line);
    });
  }
});
