// The listeners of a configuration: which there are, with which certificates, and which handler takes the requests of each.
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { adminSocketPath } from '../config/config.ts';
import type { Config, HttpsListener, Listener } from '../config/types.ts';
import { readCertificatePair } from '../identity/certificate-pair.ts';
import { certificateFiles, ensureAuthority, ensureServerCertificate } from '../identity/certificates.ts';
import type { Logger } from '../log.ts';
import { type Handlers, listen, type RunningListener, type TlsMaterial } from '../runtime/listen.ts';
import type { OpenGateway } from './assemble.ts';

/** Listeners of a configuration, opened and kept in step with it. */
export class Listeners {
  readonly #open: OpenGateway;
  readonly #log: Logger;
  #running = new Map<string, RunningListener>();
  /** No longer wanted, but with connections that may still be open. */
  readonly #gone: RunningListener[] = [];

  constructor(open: OpenGateway, log: Logger) {
    this.#open = open;
    this.#log = log;
  }

  get running(): readonly RunningListener[] {
    return [...this.#running.values()];
  }

  /** Opens new listeners, closes removed ones, and gives the others their new certificate. */
  async apply(config: Config): Promise<void> {
    const wanted = new Map<string, Listener>(config.listen.map((l) => [keyOf(l), l]));
    wanted.set('admin', { kind: 'unix', path: adminSocketPath(config.data), mode: 0o600 });
    if (config.metrics !== undefined) wanted.set(`metrics ${keyOf(config.metrics.listen)}`, config.metrics.listen);
    for (const [key, running] of this.#running) {
      if (!wanted.has(key)) {
        running.stop();
        this.#gone.push(running);
        this.#running.delete(key);
      }
    }
    for (const [key, listener] of wanted) {
      const tls = listener.kind === 'https' ? await tlsFor(listener, config) : undefined;
      const running = this.#running.get(key);
      if (running !== undefined) {
        if (tls !== undefined) running.updateTls(tls);
        continue;
      }
      const handlers = this.#handlersOf(key);
      const started = await listen(listener, handlers, config.limits, this.#log, tls);
      this.#running.set(key, started);
      this.#log.info(
        { listener: started.channel.name, ...(started.port === undefined ? {} : { port: started.port }) },
        'listening',
      );
    }
  }

  #handlersOf(key: string): Handlers {
    if (key === 'admin') return this.#open.adminHandlers;
    return key.startsWith('metrics ') ? this.#open.metricsHandlers : this.#open.gateway;
  }

  /** Where callers connect, with the ports really bound; the admin socket and the metrics are not theirs. */
  addresses(): readonly string[] {
    return [...this.#running].flatMap(([key, { listener, port }]) => {
      if (key === 'admin' || key.startsWith('metrics ')) return [];
      if (listener.kind === 'unix') return [`unix://${listener.path}`];
      const host = listener.host.includes(':') ? `[${listener.host}]` : listener.host;
      return [`${listener.kind}://${host}:${port ?? listener.port}`];
    });
  }

  stop(): void {
    for (const running of this.#running.values()) running.stop();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#gone, ...this.running].map((r) => r.close()));
    this.#running.clear();
  }
}

const keyOf = (listener: Listener): string =>
  listener.kind === 'unix'
    ? `unix:${listener.path}:${listener.mode}:${listener.group ?? ''}:${listener.identity ?? ''}`
    : `${listener.kind}:${listener.host}:${listener.port}`;

/** Socket paths that the settings use, and for what. */
export function socketsOf(config: Config): ReadonlyMap<string, string> {
  const taken = new Map([[adminSocketPath(config.data), 'is the admin socket of the data folder']]);
  if (config.engine.kind === 'unix' && config.engine.path !== undefined)
    taken.set(config.engine.path, "is the engine's own socket");
  for (const listener of config.listen) {
    if (listener.kind === 'unix') taken.set(listener.path, 'is a listener of the settings file');
  }
  return taken;
}

/** Sockets that calls come in by: of the settings file, and those on record. */
export const callerSockets = (config: Config, remembered: readonly { readonly path: string }[]): readonly string[] =>
  [...config.listen.filter((one) => one.kind === 'unix'), ...remembered].map(({ path }) => path);

/** PEM of the CAs a client must trust to reach the HTTPS listeners: the private CA, or those above a configured certificate. */
export function serverCaOf(config: Config): string {
  const texts = new Set<string>();
  for (const listener of config.listen) {
    if (listener.kind !== 'https') continue;
    texts.add(
      listener.tls === undefined
        ? readFileSync(certificateFiles(config.data).ca, 'utf8')
        : aboveLeaf(readFileSync(listener.tls.cert, 'utf8')),
    );
  }
  return [...texts].join('');
}

/** The chain without its first certificate; that one alone when it stands alone, as a self-signed one does. */
function aboveLeaf(chain: string): string {
  const blocks = chain.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return `${(blocks.length > 1 ? blocks.slice(1) : blocks).join('\n')}\n`;
}

/** The configured certificate, or one of the private CA, made when needed. */
async function tlsFor(listener: HttpsListener, config: Config): Promise<TlsMaterial> {
  if (listener.tls !== undefined) return readCertificatePair(listener.tls);
  await ensureAuthority(config.data);
  const wildcard = listener.host === '0.0.0.0' || listener.host === '::';
  await ensureServerCertificate(config.data, {
    names: [hostname(), ...(wildcard ? [] : [listener.host]), ...config.hostNames],
  });
  return {
    cert: readFileSync(join(config.data, 'server.pem'), 'utf8'),
    key: readFileSync(join(config.data, 'server-key.pem'), 'utf8'),
  };
}
