// `npm start`: the main job in one command. Finds the engine or serves the stand-in, makes a first operator and a sample
// tenant, and prints what to paste next. Everything it makes is kept: a second start finds it as it was.
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { LOCAL_OPERATOR } from '../admin/services.ts';
import { type Config, locateEngine, parseConfig } from '../config/config.ts';
import { GatewayError } from '../errors.ts';
import { makeRequest } from '../identity/client-certificates.ts';
import { canonicalSerial } from '../identity/read-certificate.ts';
import { VERSION } from '../version.ts';
import { shellWord } from '../words/shell-word.ts';
import { createLogger } from './logger.ts';
import { type RunningGateway, run } from './run.ts';

const OPERATOR = 'operator';
const SAMPLE = { name: 'alice', tenant: 'sample', policy: 'baseline' } as const;
/** Life of the credentials `start` hands out, in ms, and how much of it must be left at a later start. */
const TOKEN_TTL_MS = 12 * 3_600_000;
const TOKEN_LEFT_MS = 3_600_000;
const DEFAULT_ADDRESS = 'https://127.0.0.1:2376';

export interface QuickstartOptions {
  /** Data folder. Default `./data`. */
  readonly data?: string | undefined;
  /** HTTPS address to listen on. Default https://127.0.0.1:2376. */
  readonly listen?: string | undefined;
  /** Where the lines for the newcomer go. Default standard output. */
  readonly print?: (text: string) => void;
}

/** Runs until the process is told to stop. */
export async function start(options: QuickstartOptions = {}): Promise<void> {
  const print = options.print ?? ((text: string) => process.stdout.write(`${text}\n`));
  const data = resolve(options.data ?? process.env.DOCKGATE_DATA ?? 'data');
  const address = options.listen ?? DEFAULT_ADDRESS;
  mkdirSync(data, { recursive: true, mode: 0o700 });

  const located = locateEngine(process.env, existsSync);
  let engine: string;
  let standin: { close(): Promise<void> } | undefined;
  if (located === undefined) {
    const { startStandin } = await import('../standin/standin.ts');
    const socket = join(data, 'standin.sock');
    standin = await startStandin(socket);
    engine = `unix://${socket}`;
    print(
      '\n*** NO DOCKER ENGINE FOUND ***\n' +
        'Looked at DOCKER_HOST, /var/run/docker.sock, the rootless socket and Podman.\n' +
        'A small stand-in engine in memory is served instead: nothing it "runs" is a real container.\n',
    );
  } else {
    engine = located.address;
    print(`Engine: ${engine} (${located.how})`);
  }

  if (engine.replace(/\/$/, '') === `tcp://${address.replace(/^https:\/\//, '').replace(/\/$/, '')}`) {
    throw new GatewayError(
      'config-invalid',
      `DOCKER_HOST names this gateway itself (${engine}): unset it, or start in another terminal`,
    );
  }
  const source = stringify({
    engine,
    ...engineTlsOf(engine, process.env),
    data,
    listen: [address],
    plugins: [{ use: 'no-privileged' }],
    log: { level: 'warn' },
  });
  const { config, problems } = parseConfig(source, { baseDir: process.cwd() });
  if (config === undefined) throw new GatewayError('config-invalid', problems.map((p) => p.message).join('; '));

  let running: RunningGateway;
  try {
    running = await run(config, { baseDir: process.cwd(), log: createLogger(config.log.level) });
  } catch (error) {
    await standin?.close();
    throw error;
  }
  await ensureIdentities(running);
  const folders = await Promise.all([OPERATOR, SAMPLE.name].map((name) => clientFolder(running, config, name)));
  if (!(await running.open.admin.status()).engineReachable) {
    print(
      `\n*** THE ENGINE AT ${engine} DOES NOT ANSWER ***\nIs it running, and may this user open it? Calls get 502 until it answers.\n`,
    );
  }
  const port = running.listeners.running.find((l) => l.listener.kind === 'https')?.port ?? 2376;
  print(
    welcome({
      engine,
      data,
      port,
      operator: folders[0] as string,
      sample: folders[1] as string,
      standin: standin !== undefined,
    }),
  );
  await running.stopped;
  await standin?.close();
}

/** The docker CLI's own variables for an engine behind TLS. */
function engineTlsOf(engine: string, env: NodeJS.ProcessEnv): { engineTls?: Record<string, string> } {
  const folder = env.DOCKER_CERT_PATH;
  if (!engine.startsWith('tcp://') || !env.DOCKER_TLS_VERIFY || !folder) return {};
  const files: Record<string, string> = {};
  for (const name of ['ca', 'cert', 'key']) {
    if (existsSync(join(folder, `${name}.pem`))) files[name] = resolve(folder, `${name}.pem`);
  }
  return { engineTls: files };
}

async function ensureIdentities({ open }: RunningGateway): Promise<void> {
  const context = () => ({ by: LOCAL_OPERATOR, auditId: open.admin.newAuditId() });
  if (open.store.identities.get(OPERATOR) === undefined) {
    await open.admin.createIdentity({ name: OPERATOR, groups: [], policies: ['operator'] }, context());
  }
  if (open.store.identities.get(SAMPLE.name) === undefined) {
    await open.admin.createIdentity(
      { name: SAMPLE.name, tenant: SAMPLE.tenant, groups: [], policies: [SAMPLE.policy] },
      context(),
    );
  }
}

/**
 * A folder for DOCKER_CERT_PATH: a client certificate and the CA to trust. People's own DOCKER_CONFIG, with their plugins,
 * contexts and logins, stays theirs. A config.json with a token as a header lies beside it for what speaks no client
 * certificate.
 */
async function clientFolder({ open }: RunningGateway, config: Config, name: string): Promise<string> {
  const folder = join(config.data, 'clients', name);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, 'config.json');
  if (!(await stillGood(open, file))) {
    const { token } = await open.admin.createToken(
      { identity: name, ttlMs: TOKEN_TTL_MS },
      { by: LOCAL_OPERATOR, auditId: open.admin.newAuditId() },
    );
    writeFileSync(file, `${JSON.stringify({ HttpHeaders: { Authorization: `Bearer ${token}` } }, null, 2)}\n`, {
      mode: 0o600,
    });
  }
  if (!certificateStillGood(open, join(folder, 'cert.pem'))) {
    const { request, key } = await makeRequest(name);
    const { certificate } = await open.admin.issueCertificate(
      { identity: name, ttlMs: TOKEN_TTL_MS, request },
      { by: LOCAL_OPERATOR, auditId: open.admin.newAuditId() },
    );
    writeFileSync(join(folder, 'key.pem'), key, { mode: 0o600 });
    writeFileSync(join(folder, 'cert.pem'), certificate);
  }
  writeFileSync(join(folder, 'ca.pem'), readFileSync(join(config.data, 'ca.pem')));
  return folder;
}

function certificateStillGood({ store }: RunningGateway['open'], file: string): boolean {
  try {
    const { serialNumber } = new X509Certificate(readFileSync(file));
    const record = store.certificates.get(canonicalSerial(serialNumber));
    return record !== undefined && record.revokedAt === undefined && record.expiresAt - Date.now() > TOKEN_LEFT_MS;
  } catch {
    return false;
  }
}

async function stillGood(open: RunningGateway['open'], file: string): Promise<boolean> {
  try {
    const { HttpHeaders } = JSON.parse(readFileSync(file, 'utf8')) as { HttpHeaders: { Authorization: string } };
    const principal = await open.authenticator.authenticate(['Authorization', HttpHeaders.Authorization]);
    return principal.expiresAt === undefined || principal.expiresAt - Date.now() > TOKEN_LEFT_MS;
  } catch {
    return false;
  }
}

function welcome(at: {
  engine: string;
  data: string;
  port: number;
  operator: string;
  sample: string;
  standin: boolean;
}): string {
  const be = (folder: string) =>
    `  export DOCKER_HOST=tcp://127.0.0.1:${at.port} DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=${shellWord(folder)}`;
  const dataFlag = at.data === resolve('data') ? '' : ` --data ${shellWord(at.data)}`;
  return `
dockgate ${VERSION} is ready: https://127.0.0.1:${at.port} in front of ${at.engine}${at.standin ? ' (the stand-in)' : ''}

1. In another terminal, be ${SAMPLE.name} of tenant ${SAMPLE.tenant}, bound to policy ${SAMPLE.policy}:
${be(at.sample)}
  docker ps
  docker run --rm busybox echo hello

2. What ${SAMPLE.policy} denies, and why:
  docker run --rm --privileged busybox true
  docker run --rm -v /:/host busybox ls /host

3. What the audit says of it:
  npx dockgate audit ls${dataFlag}

To be the operator instead (everything is allowed, and recorded):
${be(at.operator)}

Stop with Ctrl-C. The data folder is ${at.data}; a second start finds everything as it was.
`;
}
