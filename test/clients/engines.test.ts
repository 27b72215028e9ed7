// The main verbs against every engine at hand: the current line on its unix socket and behind TCP with mutual TLS, the
// 20.10 line (DOCKGATE_TEST_DOCKER_HOST_20), the newest line (DOCKGATE_TEST_DOCKER_HOST_NEW) and Podman's compatible API
// (DOCKGATE_TEST_PODMAN_HOST). TLS is the own listener of a second dockerd, where one can be started; else a relay of ours before the same engine, which says so.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { makeCertificate } from '../../src/identity/make-certificate.ts';
import { DOCKER_CLI, ENGINE, ENGINE_LINES, IMAGE, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran, run, startGateway, type TestGateway } from '../support/gateway.ts';
import { pathWithEngine, startPrivateEngine } from '../support/private-engine.ts';
import { IS_DENO } from '../support/runtime.ts';

const PREFIX = `dg-engines-${IS_DENO ? 'deno' : 'node'}`;

interface EngineAtHand {
  readonly name: string;
  /** For `engine:` of the settings, and for the CLI straight to it; undefined where it is not at hand. */
  readonly host: string | undefined;
  readonly skip: false | string;
}
const PODMAN = process.env.DOCKGATE_TEST_PODMAN_HOST || undefined;
const MTLS = 'mutual TLS';
const ENGINES: readonly EngineAtHand[] = [
  ...ENGINE_LINES.map(({ line, socket, skip }) => ({ name: line, host: socket && `unix://${socket}`, skip })),
  { name: MTLS, host: ENGINE && `unix://${ENGINE}`, skip: false },
  { name: 'Podman', host: PODMAN, skip: PODMAN === undefined ? 'no Podman here: DOCKGATE_TEST_PODMAN_HOST' : false },
];

/** CA, server and client certificates of an engine, as files in a folder. */
async function writeCertificates(folder: string): Promise<void> {
  const span = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) };
  const ca = await makeCertificate({ kind: 'authority', commonName: 'engine ca', names: [], ...span });
  const names = ['127.0.0.1'];
  const server = await makeCertificate({ kind: 'server', commonName: 'engine', names, signer: ca, ...span });
  const client = await makeCertificate({ kind: 'client', commonName: 'dockgate', names: [], signer: ca, ...span });
  // The first three names are those DOCKER_CERT_PATH and Docker-in-Docker use.
  writeFileSync(join(folder, 'ca.pem'), ca.cert);
  for (const [name, { cert, key }] of [
    ['', client],
    ['server-', server],
  ] as const) {
    writeFileSync(join(folder, `${name}cert.pem`), cert);
    writeFileSync(join(folder, `${name}key.pem`), key as string, { mode: 0o600 });
  }
}

interface TlsEngine {
  readonly port: number;
  /** For the CLI straight to it. */
  readonly host: string;
  close(): Promise<void>;
}

/** A real dockerd of its own with its own TLS listener. */
async function startTlsEngine(path: string, folder: string): Promise<TlsEngine> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const pem = (name: string) => join(folder, `${name}.pem`);
  const files = ['--tlscacert', pem('ca'), '--tlscert', pem('server-cert'), '--tlskey', pem('server-key')];
  const engine = await startPrivateEngine({
    path,
    args: ['-H', `tcp://127.0.0.1:${port}`, '--tlsverify', ...files],
  });
  return { port, host: `unix://${engine.socket}`, close: engine.stop };
}

/** Where no dockerd can be started: a relay that asks for a client certificate and hands the bytes on to the engine's socket. */
async function startTlsRelay(engine: string, folder: string): Promise<TlsEngine> {
  const [ca, cert, key] = ['ca', 'server-cert', 'server-key'].map((name) => readFileSync(join(folder, `${name}.pem`)));
  const options = { ca, cert, key, requestCert: true, rejectUnauthorized: true, allowHalfOpen: true };
  const listener = tls.createServer(options as tls.TlsOptions, (near) => {
    const far = net.connect({ path: engine, allowHalfOpen: true });
    for (const socket of [near, far]) {
      socket.on('error', () => {
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    far.pipe(near);
  });
  listener.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    port: (listener.address() as AddressInfo).port,
    host: `unix://${engine}`,
    close: async () => void listener.close(),
  };
}

for (const engine of ENGINES) {
  describe(`the main verbs on ${engine.name}`, {
    skip: skipWithoutCli !== false ? skipWithoutCli : engine.skip,
  }, () => {
    const name = `${PREFIX}-${ENGINES.indexOf(engine)}`;
    let gateway: TestGateway;
    let tlsEngine: TlsEngine | undefined;
    let env: NodeJS.ProcessEnv;
    let certificates: string;
    const direct = (...args: string[]): Promise<Ran> =>
      run(DOCKER_CLI as string, ['-H', tlsEngine?.host ?? (engine.host as string), ...args]);
    const ok = async (args: readonly string[], input?: string): Promise<string> => {
      const ran = await docker(env, args, input);
      assert.equal(ran.code, 0, `docker ${args.join(' ')}: ${ran.stderr}`);
      return ran.stdout;
    };

    before(async () => {
      certificates = mkdtempSync(join(tmpdir(), 'engine-tls-'));
      if (engine.name === MTLS) {
        await writeCertificates(certificates);
        const found = pathWithEngine();
        // A second dockerd once is enough: on Deno the relay.
        const why = IS_DENO ? 'shown on Node' : 'why' in found ? found.why : undefined;
        if (why !== undefined) console.log(`mutual TLS: a relay of ours stands before the engine (${why})`);
        tlsEngine =
          why === undefined && 'path' in found
            ? await startTlsEngine(found.path, certificates)
            : await startTlsRelay(ENGINE as string, certificates);
      }
      await direct('rm', '-f', name);
      const [ca, cert, key] = ['ca.pem', 'cert.pem', 'key.pem'].map((file) => join(certificates, file));
      gateway = await startGateway({
        engine: tlsEngine === undefined ? (engine.host as string) : `tcp://127.0.0.1:${tlsEngine.port}`,
        settings: tlsEngine === undefined ? {} : { engineTls: { ca, cert, key } },
      });
      await gateway.must('identity', 'create', 'op', '--policy', 'operator');
      env = gateway.dockerEnv(await gateway.must('token', 'create', 'op'));
    });
    after(async () => {
      if (engine.host !== undefined) await direct('rm', '-f', name);
      await gateway?.remove();
      await tlsEngine?.close();
    });

    if (engine.name === MTLS) {
      it('the engine answers no client without its certificate', async (test) => {
        if (tlsEngine?.host === `unix://${ENGINE}`) return test.skip('a relay of ours stands before the engine');
        const at = [
          '-H',
          `tcp://127.0.0.1:${tlsEngine?.port}`,
          '--tlsverify',
          '--tlscacert',
          join(certificates, 'ca.pem'),
        ];
        const ran = await run(DOCKER_CLI as string, [...at, 'ps'], {
          env: { PATH: process.env.PATH, HOME: gateway.dir },
        });
        assert.notEqual(ran.code, 0);
        assert.match(ran.stderr, /certificate required/);
      });
    }
    it('version, ps and info answer', async () => {
      assert.match(await ok(['version']), /Server:/);
      assert.match(await ok(['ps', '-a']), /CONTAINER ID/);
      assert.match(await ok(['info']), /Server Version/);
    });
    it('run prints and hands on its exit code', async () => {
      const failing = ['run', '--rm', '--network', 'none', IMAGE, 'sh', '-c', 'echo out; exit 7'];
      const [straight, through] = await Promise.all([direct(...failing), docker(env, failing)]);
      // Podman 4.3 tells the docker CLI 0 whatever became of a container that is removed at its end.
      assert.deepEqual([through.code, through.stdout], [straight.code, straight.stdout], through.stderr);
      assert.equal(through.stdout, 'out\n');
      if (engine.name !== 'Podman') assert.equal(through.code, 7);
      const piped = ['run', '--rm', '-i', '--network', 'none', IMAGE, 'sh', '-c', 'cat; echo after'];
      assert.equal(await ok(piped, 'in\n'), 'in\nafter\n');
    });
    it('exec, logs, cp and inspect work on a container', async () => {
      await ok(['run', '-d', '--network', 'none', '--name', name, IMAGE, 'sh', '-c', 'echo ready; exec sleep 300']);
      assert.equal(await ok(['exec', '-i', name, 'cat'], 'through\n'), 'through\n');
      assert.equal(await ok(['logs', name]), 'ready\n');
      const copied = join(gateway.dir, 'passwd');
      await ok(['cp', `${name}:/etc/passwd`, copied]);
      assert.match(readFileSync(copied, 'utf8'), /^root:/);
      await ok(['cp', copied, `${name}:/tmp/again`]);
      assert.equal(await ok(['exec', name, 'cat', '/tmp/again']), readFileSync(copied, 'utf8'));
      assert.equal(await ok(['inspect', '--format', '{{.State.Running}}', name]), 'true\n');
      await ok(['rm', '-f', name]);
      assert.notEqual((await docker(env, ['inspect', name])).code, 0);
    });
    it('what it cannot do answers with its own error', async () => {
      const args = ['run', '--rm', '--network', 'none', '--runtime', 'no-such-runtime', IMAGE, 'true'];
      const [straight, through] = await Promise.all([direct(...args), docker(env, args)]);
      // Podman takes any runtime.
      if (engine.name !== 'Podman') assert.notEqual(through.code, 0);
      assert.equal(through.code, straight.code);
      const plain = (text: string) => text.replace(/[0-9a-f]{12,}/g, 'ID');
      assert.equal(plain(through.stderr), plain(straight.stderr));
    });
  });
}
