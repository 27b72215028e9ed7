// Real receivers of the audit for tests, each skipped by name where its program is not there:
// - rsyslogd with rsyslog-openssl of Debian: /usr/sbin/rsyslogd, or DOCKGATE_TEST_RSYSLOGD where the packages were unpacked elsewhere
// - an OpenTelemetry collector with the receiver `otlp` and the exporter `file`: DOCKGATE_TEST_OTELCOL
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { dirname, join } from 'node:path';
import { freePort } from './free-port.ts';
import { until } from './until.ts';

const RSYSLOGD = process.env.DOCKGATE_TEST_RSYSLOGD ?? '/usr/sbin/rsyslogd';
const OTELCOL = process.env.DOCKGATE_TEST_OTELCOL;

/** Folder of rsyslog's modules, beside its program: `/usr/lib/x86_64-linux-gnu/rsyslog`. */
const modules = globSync(join(dirname(RSYSLOGD), '..', 'lib', '*', 'rsyslog', 'imtcp.so'))[0];
export const skipWithoutRsyslog: false | string =
  existsSync(RSYSLOGD) && modules !== undefined ? false : 'no rsyslogd here, name one in DOCKGATE_TEST_RSYSLOGD';
export const hasRsyslogTls: boolean = modules !== undefined && existsSync(join(dirname(modules), 'lmnsd_ossl.so'));
export const skipWithoutCollector: false | string =
  OTELCOL !== undefined && existsSync(OTELCOL) ? false : 'no collector here, name one in DOCKGATE_TEST_OTELCOL';

export interface Receiver {
  readonly port: number;
  /** What it has written. */
  text(): string;
  start(): Promise<void>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

function program(
  port: number,
  out: string,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Receiver {
  let child: ChildProcess | undefined;
  return {
    port,
    text: () => (existsSync(out) ? readFileSync(out, 'utf8') : ''),
    async start() {
      child = spawn(command, args, { stdio: 'ignore', env: { PATH: process.env.PATH, ...env } });
      await until(`${command} listens`, () => isOpen(port));
    },
    async stop(signal = 'SIGTERM') {
      const running = child;
      child = undefined;
      if (running === undefined || running.exitCode !== null) return;
      const ended = once(running, 'exit');
      running.kill(signal);
      await ended;
    },
  };
}

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

/** rsyslogd that writes the message of each event into a file, synced before the next one. @param tls PEM files of the server */
export async function rsyslog(
  folder: string,
  tls?: { readonly ca: string; readonly cert: string; readonly key: string },
): Promise<Receiver> {
  const port = await freePort();
  const out = join(folder, 'rsyslog.out');
  const config = join(folder, 'rsyslog.conf');
  const driver =
    tls === undefined
      ? ''
      : `global(defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="${tls.ca}" defaultNetstreamDriverCertFile="${tls.cert}" defaultNetstreamDriverKeyFile="${tls.key}")\n`;
  const mode = tls === undefined ? '' : ' StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon"';
  writeFileSync(
    config,
    `${driver}global(workDirectory="${folder}")
module(load="imtcp"${mode})
template(name="messages" type="string" string="%pri% %app-name% %structured-data% %msg%\\n")
input(type="imtcp" port="${port}" address="127.0.0.1")
action(type="omfile" file="${out}" template="messages" asyncWriting="off" flushOnTXEnd="on")
`,
  );
  const library = dirname(dirname(modules ?? ''));
  return program(
    port,
    out,
    RSYSLOGD,
    ['-n', '-f', config, '-i', join(folder, 'rsyslog.pid'), '-M', dirname(modules ?? '')],
    { LD_LIBRARY_PATH: library },
  );
}

/** A collector that takes OTLP over HTTP and writes what it took into a file of JSON lines. */
export async function collector(folder: string): Promise<Receiver> {
  const port = await freePort();
  const out = join(folder, 'collector.json');
  const config = join(folder, 'collector.yaml');
  // YAML takes JSON.
  writeFileSync(
    config,
    JSON.stringify({
      receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${port}` } } } },
      exporters: { file: { path: out, append: true } },
      service: {
        telemetry: { metrics: { level: 'none' } },
        pipelines: { logs: { receivers: ['otlp'], exporters: ['file'] } },
      },
    }),
  );
  return program(port, out, OTELCOL ?? '', ['--config', config], {});
}
