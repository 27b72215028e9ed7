// A gateway that listens, and the signals of its process: graceful stop, reload. Joining the rooms is assemble.ts.
import { hostname } from 'node:os';
import type { AuditEvent } from '../audit/event.ts';
import type { Config } from '../config/types.ts';
import { GatewayError } from '../errors.ts';
import { runtime } from '../runtime/runtime.ts';
import { VERSION } from '../version.ts';
import { type OpenGateway, openGateway } from './assemble.ts';
import { Listeners } from './listeners.ts';
import { createLogger } from './logger.ts';

/** What a running gateway is built on: a reload tells that it changed, a start takes it over. */
const FIXED_SETTINGS = [
  'engine',
  'engineTls',
  'audit',
  'issuer',
  'audience',
  'ownSockets',
] as const satisfies readonly (keyof Config)[];

/** A gateway that listens, until it is told to stop. */
export interface RunningGateway {
  readonly open: OpenGateway;
  readonly listeners: Listeners;
  /** Resolves when the process was told to stop and everything is closed. */
  readonly stopped: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Opens and listens, and handles SIGTERM and SIGINT (graceful stop) and SIGHUP (reload).
 *
 * @param reread returns the configuration anew on reload; without it only policies and certificates are taken over
 */
export async function run(
  config: Config,
  options: { baseDir: string; log?: ReturnType<typeof createLogger>; reread?: () => Config },
): Promise<RunningGateway> {
  const log = options.log ?? createLogger(config.log.level);
  let current = config;
  /** One reload at a time, in the order they were asked for; those asked for while one waits are that one. */
  let running: Promise<unknown> = Promise.resolve();
  let isStopping = false;
  let waiting: Promise<Readonly<Record<string, unknown>>> | undefined;
  const inTurn = (): Promise<Readonly<Record<string, unknown>>> => {
    waiting ??= running
      .catch(() => undefined)
      .then(() => {
        waiting = undefined;
        if (isStopping) throw new GatewayError('shutting-down', 'the gateway is stopping');
        const now = reload();
        running = now;
        return now;
      });
    return waiting;
  };
  const reload = async (): Promise<Readonly<Record<string, unknown>>> => {
    const next = options.reread?.() ?? current;
    if (next.data !== current.data)
      throw new GatewayError('config-invalid', 'the data folder cannot change while the gateway runs');
    await open.reload(next);
    try {
      await listeners.apply(next);
    } catch (error) {
      // A port that is taken, a certificate that is none: all of the old settings stay, not some of them.
      await open.reload(current);
      await listeners.apply(current);
      throw error;
    }
    log.setLevel(next.log.level);
    const needsRestart = FIXED_SETTINGS.filter((key) => JSON.stringify(next[key]) !== JSON.stringify(config[key]));
    if (needsRestart.length > 0) log.warn({ settings: needsRestart }, 'these settings change at the next start only');
    current = next;
    log.info({ policies: open.policies().revision, plugins: open.plugins().plugins().length }, 'reloaded');
    return {
      policyRevision: open.policies().revision,
      plugins: open.plugins().plugins().length,
      ...(needsRestart.length > 0 ? { needsRestart } : {}),
    };
  };
  const open = await openGateway(config, log, {
    baseDir: options.baseDir,
    reload: inTurn,
    listeners: () => listeners.addresses(),
    connections: () => listeners.running.map((one) => one.counts()),
  });
  const listeners = new Listeners(open, log);
  try {
    open.recorder.append(gatewayEvent(open, 'gateway.start'));
    await listeners.apply(config);
    await open.sockets.openRemembered();
    await open.ownSockets.openRemembered();
  } catch (error) {
    await listeners.close();
    await open.close();
    throw error;
  }

  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= (async () => {
      log.info({ calls: open.gateway.active }, 'stopping');
      listeners.stop();
      open.recorder.append(gatewayEvent(open, 'gateway.stop'));
      // A reload that is under way would open plugins behind what is closed here.
      isStopping = true;
      await running.catch(() => undefined);
      await open.close();
      await listeners.close();
      log.info({}, 'stopped');
    })();
    return stopping;
  };
  const stopped = new Promise<void>((done, failed) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop().then(done, failed));
  });
  process.on('SIGHUP', () => {
    const row = (more: Partial<AuditEvent>) =>
      open.recorder.append({ ...gatewayEvent(open, 'gateway.reload'), resource: 'gateway/config', ...more });
    inTurn().then(
      (facts) => row({ detail: { by: 'SIGHUP', ...facts } }),
      (error: unknown) => {
        log.error({ reason: messageOf(error) }, 'reload failed, the old settings stay in force');
        row({ decision: 'error', code: 'config-invalid', detail: { by: 'SIGHUP', message: messageOf(error) } });
      },
    );
  });
  log.info({ version: VERSION, runtime: `${runtime.name} ${runtime.version}`, pid: process.pid }, 'ready');
  return { open, listeners, stopped, stop };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const gatewayEvent = (open: OpenGateway, action: string) => ({
  at: Date.now() * 1000,
  stage: 'gateway' as const,
  auditId: open.admin.newAuditId(),
  action,
  decision: 'allow' as const,
  policyRev: open.policies().revision,
  pluginGeneration: open.plugins().generation,
  detail: {
    version: VERSION,
    runtime: `${runtime.name} ${runtime.version}`,
    host: hostname(),
    pid: process.pid,
    plugins: open
      .plugins()
      .plugins()
      .map(({ name, meta, sha256 }) => ({ name, version: meta.version, sha256 })),
  },
});
