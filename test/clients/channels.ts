// The ways a client can present an identity today, as the environment a docker CLI (and what reads the same settings) needs.
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Connected, startConnect } from '../connect/program.ts';
import { issueTo } from '../support/certificates.ts';
import { CLI_PLUGINS } from '../support/engine.ts';
import type { TestGateway } from '../support/gateway.ts';

/**
 * `bearer` and `basic` are headers over HTTPS, `mtls` a client certificate; `unix` is a socket bound to the identity, and
 * `connect` one of a `dockgate connect` that presents its token.
 */
export type ClientChannel = 'bearer' | 'basic' | 'mtls' | 'unix' | 'connect';
export const CLIENT_CHANNELS: readonly ClientChannel[] = ['bearer', 'basic', 'mtls', 'unix', 'connect'];

/** Who calls: an identity with a socket of its name, its token, and its certificate's folder where it has one. */
export interface Caller {
  readonly identity: string;
  readonly token: string;
  readonly certificate?: string;
  /** Of the `dockgate connect` that runs for it, see {@link connectAs}. */
  readonly connect?: string;
}

/** Starts `dockgate connect` with a caller's token. */
export function connectAs(gateway: TestGateway, token: string): Promise<Connected> {
  const file = join(mkdtempSync(join(gateway.dir, 'connect-')), 'token');
  writeFileSync(file, token);
  const ca = join(gateway.dir, 'data', 'ca.pem');
  return startConnect([`https://127.0.0.1:${gateway.port}`, '--token-file', file, '--ca', ca]);
}

/** An identity that is there, as a caller over every channel; its socket is the listener bound to it. */
export async function callerOverAll(
  gateway: TestGateway,
  identity: string,
): Promise<Required<Caller> & { stop(): Promise<unknown> }> {
  const token = await gateway.must('token', 'create', identity);
  const connected = await connectAs(gateway, token);
  const certificate = (await issueTo(gateway, identity)).folder;
  return { identity, token, certificate, connect: connected.socket, stop: () => connected.stop() };
}

/** Value of the Authorization header, undefined where the channel needs none. */
export function authorizationOf(channel: ClientChannel, token: string): string | undefined {
  switch (channel) {
    case 'bearer':
      return `Bearer ${token}`;
    case 'basic':
      return `Basic ${Buffer.from(`bot:${token}`).toString('base64')}`;
    case 'mtls':
    case 'unix':
    case 'connect':
      return undefined;
  }
}

/** Environment with a DOCKER_CONFIG of its own, CLI plugins included. */
export function clientEnv(gateway: TestGateway, channel: ClientChannel, who: Caller): NodeJS.ProcessEnv {
  const folder = mkdtempSync(join(gateway.dir, 'client-'));
  const authorization = authorizationOf(channel, who.token);
  writeFileSync(
    join(folder, 'config.json'),
    JSON.stringify({
      ...(authorization === undefined ? {} : { HttpHeaders: { Authorization: authorization } }),
      ...(CLI_PLUGINS === undefined ? {} : { cliPluginsExtraDirs: [CLI_PLUGINS] }),
    }),
  );
  const env = { PATH: process.env.PATH, HOME: folder, DOCKER_CONFIG: folder };
  if (channel === 'unix') return { ...env, DOCKER_HOST: `unix://${gateway.dir}/${who.identity}.sock` };
  if (channel === 'connect') {
    if (who.connect === undefined) throw new Error(`no connect runs for ${who.identity}`);
    return { ...env, DOCKER_HOST: `unix://${who.connect}` };
  }
  writeFileSync(join(folder, 'ca.pem'), readFileSync(join(gateway.dir, 'data', 'ca.pem')));
  if (channel === 'mtls') {
    if (who.certificate === undefined) throw new Error(`${who.identity} has no certificate`);
    for (const name of ['cert.pem', 'key.pem']) cpSync(join(who.certificate, name), join(folder, name));
  }
  return {
    ...env,
    DOCKER_CERT_PATH: folder,
    DOCKER_TLS_VERIFY: '1',
    DOCKER_HOST: `tcp://127.0.0.1:${gateway.port}`,
  };
}
