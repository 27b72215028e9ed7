// Gathers the facts: connects as a client would, asks what any client asks, and reads the files of this machine.
// It changes nothing, and asks an endpoint five short questions at most.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, lstatSync, readFileSync, type Stats, statSync } from 'node:fs';
import net from 'node:net';
import process from 'node:process';
import tls from 'node:tls';
import { isLoopback } from '../config/address.ts';
import { type Answer, ask } from '../connect/ask.ts';
import { claimsOf } from '../connect/credentials.ts';
import { explain, troubleOf } from '../connect/trouble.ts';
import { type GatewayTarget, Upstreams } from '../connect/upstream.ts';
import { deepRuntimes } from '../engine/read-only-depth.ts';
import { GatewayError } from '../errors.ts';
import type { CertificateFacts, EngineFacts, Here, PingFacts, SocketFile, TargetFacts, TokenFacts } from './facts.ts';

/** One endpoint to look at, and how a client would present itself to it. */
export interface Question {
  readonly role: TargetFacts['role'];
  readonly target: GatewayTarget;
  readonly token?: { readonly source: string; readonly text?: string; readonly fault?: string };
  readonly served?: TargetFacts['served'];
  /** Leave the name in the certificate alone: the address is not the one clients use. */
  readonly anyName?: boolean;
}

/** Longest wait for a certificate alone, in ms. */
const CERTIFICATE_MS = 5_000;

/** Facts of this process and machine. */
export function lookHere(env: Readonly<Record<string, string | undefined>>, now: number): Here {
  const version = env.DOCKER_API_VERSION;
  const [userId, groupIds] = [process.getuid?.(), process.getgroups?.()];
  return {
    now,
    inContainer: existsSync('/.dockerenv') || existsSync('/run/.containerenv') || env.container !== undefined,
    selinux: textOf('/sys/fs/selinux/enforce') === '1',
    ...(userId === undefined ? {} : { userId }),
    ...(groupIds === undefined ? {} : { groupIds }),
    ...(version === undefined || version === '' ? {} : { dockerApiVersion: version }),
  };
}

/** Looks at one endpoint. Never throws for what it finds. */
export async function lookAt(question: Question): Promise<TargetFacts> {
  const { role, target, token, served } = question;
  const { kind, path, host = '' } = target.address;
  const base = {
    address: target.text,
    role,
    transport: kind !== 'tcp' ? kind : target.tls === undefined ? 'tcp' : 'tls',
    isLocal: kind === 'unix' || isLoopback(host),
    ...(served === undefined ? {} : { served }),
    ...(token === undefined ? {} : { token: tokenFacts(token) }),
    ...(kind === 'unix' ? { file: socketFile(path as string) } : {}),
    ...clientCertificate(target),
  } as const;
  const certificate = target.tls === undefined ? undefined : await peerCertificate(target);
  const seen = certificate === undefined ? base : { ...base, certificate };
  const upstreams = new Upstreams(target);
  const authorization = token?.text === undefined ? undefined : `Bearer ${token.text.trim()}`;
  try {
    const get = (where: string) => ask(upstreams, { path: where, authorization, userAgent: 'dockgate-doctor' });
    const asked = Date.now();
    const answer = await get('/_ping');
    // Our clock as it was in the middle of the question.
    const ping = pingFacts(answer, (asked + Date.now()) / 2);
    const engine = await engineFacts(answer, get);
    return { ...seen, ping, ...(engine === undefined ? {} : { engine }) };
  } catch (error) {
    const cause = error instanceof GatewayError ? (error.cause ?? error) : error;
    const kindOf = troubleOf(cause);
    if (question.anyName === true && kindOf === 'name-mismatch')
      return { ...seen, ping: { status: 401, isGateway: true } };
    const text = error instanceof GatewayError ? error.message : explain(cause, target.text);
    return { ...seen, trouble: { kind: kindOf, text } };
  } finally {
    upstreams.close();
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function socketFile(path: string): SocketFile {
  let stat: Stats | undefined;
  try {
    // A link counts as what it leads to; one that leads nowhere is nothing.
    stat = lstatSync(path, { throwIfNoEntry: false }) && statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { path, kind: code === 'EACCES' ? 'unreachable' : 'none' };
  }
  if (stat === undefined) return { path, kind: 'none' };
  const { gid } = stat;
  const group = textOf('/etc/group')
    ?.split('\n')
    .find((line) => line.split(':')[2] === String(gid))
    ?.split(':')[0];
  return {
    path,
    kind: stat.isSocket() ? 'socket' : stat.isDirectory() ? 'folder' : 'file',
    mode: stat.mode & 0o777,
    userId: stat.uid,
    groupId: gid,
    ...(group === undefined ? {} : { group }),
  };
}

function tokenFacts({ source, text, fault }: NonNullable<Question['token']>): TokenFacts {
  if (text === undefined) return { source, fault: fault ?? `${source} holds no token` };
  const token = text.trim();
  if (!/^[\x21-\x7e]+$/.test(token)) return { source, fault: `${source} holds no token` };
  const claims = claimsOf(token);
  const [exp, nbf] = [claims?.exp, claims?.nbf];
  return {
    source,
    ...(typeof exp === 'number' ? { expiresAt: exp * 1000 } : {}),
    ...(typeof nbf === 'number' ? { notBefore: nbf * 1000 } : {}),
  };
}

const certificateFacts = (certificate: X509Certificate): CertificateFacts => ({
  names: (certificate.subjectAltName ?? '')
    .split(', ')
    .map((name) => name.replace(/^(DNS|IP Address|URI|email):/, ''))
    .filter(Boolean),
  validFrom: Date.parse(certificate.validFrom),
  validTo: Date.parse(certificate.validTo),
});

function clientCertificate({ tls: files }: GatewayTarget): Pick<TargetFacts, 'clientCertificate'> {
  if (files?.cert === undefined || files.key === undefined) return {};
  try {
    const certificate = new X509Certificate(readFileSync(files.cert));
    const fitsKey = certificate.checkPrivateKey(createPrivateKey(readFileSync(files.key)));
    return { clientCertificate: { ...certificateFacts(certificate), file: files.cert, fitsKey } };
  } catch {
    // Not one that can be read: the connection will say so.
    return {};
  }
}

/** The certificate the server shows, trusted or not. Nothing is sent to it. */
function peerCertificate({ address, tls: files }: GatewayTarget): Promise<CertificateFacts | undefined> {
  const { host = '', port = 0 } = address;
  const client =
    files?.cert === undefined || files.key === undefined
      ? {}
      : { cert: textOf(files.cert) ?? '', key: textOf(files.key) ?? '' };
  return new Promise((resolve) => {
    const finish = (found?: CertificateFacts) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(found);
    };
    const timer = setTimeout(finish, CERTIFICATE_MS);
    let socket: tls.TLSSocket;
    try {
      socket = tls.connect({
        host,
        port,
        rejectUnauthorized: false,
        ...client,
        ...(net.isIP(host) === 0 ? { servername: host } : {}),
      });
    } catch {
      clearTimeout(timer);
      resolve(undefined);
      return;
    }
    socket.on('error', () => finish());
    socket.once('secureConnect', () => {
      try {
        finish(certificateFacts(new X509Certificate(socket.getPeerCertificate().raw)));
      } catch {
        finish();
      }
    });
  });
}

function pingFacts({ status, headers, body }: Answer, now: number): PingFacts {
  const apiVersion = headers.get('api-version');
  const date = Date.parse(headers.get('date') ?? '');
  const message = status === 200 ? undefined : (member(json(body), 'message') as string | undefined);
  return {
    status,
    isGateway: headers.has('dockgate-audit-id'),
    ...(apiVersion === undefined ? {} : { apiVersion }),
    // The header has whole seconds.
    ...(Number.isNaN(date) ? {} : { skewMs: date + 500 - now }),
    ...(typeof message === 'string' ? { message } : {}),
  };
}

async function engineFacts(ping: Answer, get: (path: string) => Promise<Answer>): Promise<EngineFacts | undefined> {
  if (ping.status !== 200) return undefined;
  const read = async (path: string): Promise<unknown> => {
    const answer = await get(path);
    return answer.status === 200 ? json(answer.body) : undefined;
  };
  const version = await read('/version');
  const info = await read('/info');
  const bridge = await read('/networks/bridge');
  const icc = member(member(bridge, 'Options'), 'com.docker.network.bridge.enable_icc');
  const registries = member(info, 'RegistryConfig');
  return compact({
    engineVersion: text(member(version, 'Version')),
    apiVersion: text(member(version, 'ApiVersion')),
    minApiVersion: text(member(version, 'MinAPIVersion')),
    readOnlyDepth: info === undefined ? undefined : deepRuntimes(info),
    securityOptions: texts(member(info, 'SecurityOptions')),
    debug: flag(member(info, 'Debug')),
    experimental: flag(member(info, 'ExperimentalBuild')),
    insecureRegistries: info === undefined ? undefined : insecureRegistries(registries),
    warnings: texts(member(info, 'Warnings')),
    icc: icc === undefined ? undefined : icc === 'true',
  });
}

function insecureRegistries(registries: unknown): readonly string[] {
  const nets = (texts(member(registries, 'InsecureRegistryCIDRs')) ?? []).filter((n) => !/^(127\.|::1)/.test(n));
  const named = Object.values((member(registries, 'IndexConfigs') ?? {}) as Record<string, unknown>)
    .filter((one) => member(one, 'Secure') === false)
    .map((one) => text(member(one, 'Name')) ?? '?')
    .filter((name) => !/^(localhost|127\.|\[::1\])/.test(name));
  return [...named, ...nets];
}

function json(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

const member = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const flag = (value: unknown): boolean | undefined => (typeof value === 'boolean' ? value : undefined);
const texts = (value: unknown): readonly string[] | undefined =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : undefined;

type Given<T> = { readonly [K in keyof T]: Exclude<T[K], undefined> };
const compact = <T extends object>(value: T): Partial<Given<T>> =>
  Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Partial<Given<T>>;
