// The private CA and the server certificate: what they hold, who accepts them, when they are made anew.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { connect, createServer } from 'node:tls';
import { certificateFiles, ensureAuthority, ensureServerCertificate } from '../../src/identity/certificates.ts';

const DAY_MS = 86_400_000;
const folders: string[] = [];
const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'dg-cert-'));
  folders.push(made);
  return made;
};
after(() => {
  for (const made of folders) rmSync(made, { recursive: true });
});

/** Both made in a fresh folder. */
const make = async (names: string[] = []): Promise<string> => {
  const dir = folder();
  await ensureAuthority(dir);
  await ensureServerCertificate(dir, { names });
  return dir;
};
const certificate = (file: string) => new X509Certificate(readFileSync(file));
const has = (command: string, ...args: string[]): boolean => spawnSync(command, args).status === 0;

describe('ensureAuthority() and ensureServerCertificate()', () => {
  it('make a CA for 10 years and a server certificate for a year, with private keys only their owner reads', async () => {
    const dir = await make(['gate.example', '10.1.2.3', 'fe80::1', '[2001:db8::2]', 'UPPER.example']);
    const files = certificateFiles(dir);
    const ca = certificate(files.ca);
    const server = certificate(files.cert);
    assert.ok(ca.ca && !server.ca);
    assert.ok(ca.verify(ca.publicKey) && server.verify(ca.publicKey) && server.checkIssued(ca));
    const lasts = (cert: X509Certificate) =>
      Math.round((Date.parse(cert.validTo) - Date.parse(cert.validFrom)) / DAY_MS);
    assert.deepEqual([lasts(ca), lasts(server)], [3650, 365]);
    for (const ip of ['127.0.0.1', '::1', '10.1.2.3', 'fe80::1', '2001:db8::2']) assert.ok(server.checkIP(ip), ip);
    for (const host of ['localhost', 'gate.example', 'upper.example']) assert.ok(server.checkHost(host), host);
    assert.equal(server.checkHost('other.example'), undefined);
    const modes = readdirSync(dir)
      .sort()
      .map((name) => [name, (statSync(join(dir, name)).mode & 0o777).toString(8)]);
    assert.deepEqual(modes, [
      ['ca-key.pem', '600'],
      ['ca.pem', '644'],
      ['server-key.pem', '600'],
      ['server.pem', '644'],
    ]);
  });

  it('serve TLS that only a caller who trusts the CA accepts', async () => {
    const files = certificateFiles(await make());
    const server = createServer({ cert: readFileSync(files.cert), key: readFileSync(files.key) }, (socket) =>
      socket.end('ok'),
    );
    server.on('tlsClientError', () => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const dial = (ca: string | undefined, servername: string) =>
      new Promise<string>((resolve) => {
        const socket = connect({ port, host: '127.0.0.1', servername, ...(ca === undefined ? {} : { ca }) });
        socket.on('secureConnect', () => resolve('accepted')).on('error', () => resolve('refused'));
        socket.on('data', () => {}).on('end', () => socket.destroy());
      });
    const ca = readFileSync(files.ca, 'utf8');
    try {
      assert.equal(await dial(ca, 'localhost'), 'accepted');
      assert.equal(await dial(ca, 'other.example'), 'refused');
      assert.equal(await dial(undefined, 'localhost'), 'refused');
      assert.equal(await dial(readFileSync(certificateFiles(await make()).ca, 'utf8'), 'localhost'), 'refused');
    } finally {
      server.close();
    }
  });

  it('are accepted by strict OpenSSL', { skip: has('openssl', 'version') ? false : 'no openssl here' }, async () => {
    const files = certificateFiles(await make(['gate.example']));
    const run = spawnSync('openssl', [
      'verify',
      '-x509_strict',
      '-purpose',
      'sslserver',
      '-verify_ip',
      '127.0.0.1',
      '-CAfile',
      files.ca,
      files.cert,
    ]);
    assert.equal(run.status, 0, String(run.stderr));
    const text = String(spawnSync('openssl', ['x509', '-in', files.ca, '-noout', '-text']).stdout);
    assert.match(text, /Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
    assert.match(text, /Key Usage: critical\s+Certificate Sign, CRL Sign/);
    assert.match(text, /Subject Key Identifier/);
    assert.match(text, /Authority Key Identifier/);
  });

  it('are accepted by Python with VERIFY_X509_STRICT', {
    skip: has('python3', '-c', 'import ssl') ? false : 'no python3 here',
  }, async () => {
    const files = certificateFiles(await make());
    const server = createServer({ cert: readFileSync(files.cert), key: readFileSync(files.key) }, (socket) =>
      socket.end(),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const script = `
import socket, ssl, sys
c = ssl.create_default_context(cafile=sys.argv[1])
c.verify_flags |= ssl.VERIFY_X509_STRICT
for name in ("localhost", "127.0.0.1"):
    c.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[2]))), server_hostname=name).close()
`;
    try {
      const { spawn } = await import('node:child_process');
      const child = spawn('python3', ['-c', script, files.ca, String(port)]);
      let stderr = '';
      child.stderr.on('data', (data) => {
        stderr += data;
      });
      const status = await new Promise((resolve) => child.on('close', resolve));
      assert.equal(status, 0, stderr);
    } finally {
      server.close();
    }
  });

  it('change nothing on a second start, and a missing name makes a new server certificate of the same CA', async () => {
    const dir = await make(['a.example']);
    const files = certificateFiles(dir);
    const read = () => Object.values(files).map((file) => readFileSync(file, 'utf8'));
    const before = read();
    assert.equal(await ensureAuthority(dir), false);
    assert.equal(await ensureServerCertificate(dir, { names: ['a.example'] }), false);
    assert.equal(await ensureServerCertificate(dir, { names: [] }), false);
    assert.deepEqual(read(), before);
    assert.equal(await ensureServerCertificate(dir, { names: ['b.example'] }), true);
    assert.equal(readFileSync(files.ca, 'utf8'), before[0]);
    assert.ok(certificate(files.cert).checkHost('b.example'));
  });

  it('renew the server certificate when less than a third of its life is left', async () => {
    const dir = await make();
    const at = (days: number) => ({ names: [], now: () => Date.now() + days * DAY_MS });
    assert.equal(await ensureServerCertificate(dir, at(240)), false);
    assert.equal(await ensureServerCertificate(dir, at(245)), true);
    assert.equal(await ensureServerCertificate(dir, at(245)), false);
  });

  it('make the server certificate anew when it is damaged, of another CA, or its key is gone', async () => {
    const spoils: [string, (dir: string) => void | Promise<void>][] = [
      ['damaged', (dir) => writeFileSync(certificateFiles(dir).cert, 'garbage')],
      ['empty key', (dir) => writeFileSync(certificateFiles(dir).key, '')],
      ['key gone', (dir) => rmSync(certificateFiles(dir).key)],
      [
        'another CA',
        async (dir) => {
          const other = certificateFiles(await make());
          writeFileSync(certificateFiles(dir).ca, readFileSync(other.ca));
          writeFileSync(certificateFiles(dir).caKey, readFileSync(other.caKey));
        },
      ],
      [
        'key of another certificate',
        async (dir) => writeFileSync(certificateFiles(dir).key, readFileSync(certificateFiles(await make()).key)),
      ],
    ];
    for (const [name, spoil] of spoils) {
      const dir = await make();
      await spoil(dir);
      assert.equal(await ensureAuthority(dir), false, name);
      assert.equal(await ensureServerCertificate(dir, { names: [] }), true, name);
      const files = certificateFiles(dir);
      assert.ok(certificate(files.cert).verify(certificate(files.ca).publicKey), name);
    }
  });

  it('never replace a CA that callers trust: what is wrong with it is said', async () => {
    const spoils: [string, RegExp, (dir: string) => void | Promise<void>][] = [
      ['damaged', /cannot be read/, (dir) => writeFileSync(certificateFiles(dir).ca, 'garbage')],
      ['key missing', /ca-key\.pem is missing/, (dir) => rmSync(certificateFiles(dir).caKey)],
      ['certificate missing', /ca\.pem is missing/, (dir) => rmSync(certificateFiles(dir).ca)],
      [
        'of two pairs',
        /do not belong together/,
        async (dir) => writeFileSync(certificateFiles(dir).caKey, readFileSync(certificateFiles(await make()).caKey)),
      ],
      [
        'no CA',
        /is not a CA/,
        (dir) => {
          const files = certificateFiles(dir);
          writeFileSync(files.ca, readFileSync(files.cert));
          writeFileSync(files.caKey, readFileSync(files.key));
        },
      ],
    ];
    for (const [name, message, spoil] of spoils) {
      const dir = await make();
      await spoil(dir);
      await assert.rejects(ensureAuthority(dir), (error: { code: string; message: string }) => {
        assert.equal(error.code, 'config-invalid', name);
        assert.match(error.message, message, name);
        return true;
      });
    }
    const dir = await make();
    await assert.rejects(
      ensureAuthority(dir, () => Date.now() + 3651 * DAY_MS),
      /has expired/,
    );
  });

  it('refuse names no certificate can carry', async () => {
    const dir = folder();
    await ensureAuthority(dir);
    for (const name of ['', '*.example', 'a b', 'x\n', 'a..b', 'https://x', 'a:1', '-x']) {
      await assert.rejects(
        ensureServerCertificate(dir, { names: [name] }),
        { code: 'config-invalid' },
        JSON.stringify(name),
      );
    }
    assert.deepEqual(readdirSync(dir).sort(), ['ca-key.pem', 'ca.pem']);
  });
});
