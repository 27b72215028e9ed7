// Judges the facts: each trouble in one line with its remedy. Pure. What an engine's own warnings say is Docker's text.
import { RECURSIVE_READ_ONLY_MINOR } from '../engine/field-versions.ts';
import type { CertificateFacts, EngineFacts, Facts, Here, TargetFacts } from './facts.ts';

/** `trouble` keeps something from working or leaves the engine open; `advice` weakens isolation; `ok` is as it should be. */
export type Level = 'trouble' | 'advice' | 'ok';

export interface Finding {
  readonly level: Level;
  /** Stable, kebab-case. */
  readonly code: string;
  readonly address: string;
  /** The finding, in the user's words. */
  readonly message: string;
  /** What to do. */
  readonly remedy?: string;
}

/** Findings about what keeps tenants of one engine apart. */
export const SEPARATION: ReadonlySet<string> = new Set([
  'engine-open-on-tcp',
  'userns-off',
  'seccomp-off',
  'icc-on',
  'debug-on',
  'experimental-on',
  'read-only-shallow',
]);

/** Clocks may differ this much, in ms, before tokens and certificates suffer. */
const MAX_SKEW_MS = 30_000;
/** Certificates are spoken of this long before they end, in ms. Client certificates live for hours: a quarter of that. */
const SOON_MS = 7 * 86_400_000;

type Add = (level: Level, code: string, message: string, remedy?: string) => void;

/** @returns findings in the order of the targets, worst things first in each only as they were met */
export function judge(facts: Facts): readonly Finding[] {
  const findings: Finding[] = [];
  for (const target of facts.targets) {
    const add: Add = (level, code, message, remedy) =>
      findings.push({ level, code, address: target.address, message, ...(remedy === undefined ? {} : { remedy }) });
    const before = findings.length;
    judgeTarget(target, facts.here, add);
    if (!findings.slice(before).some(({ level }) => level === 'trouble')) add('ok', 'well', wellOf(target));
  }
  return findings;
}

const wellOf = ({ ping, engine }: TargetFacts): string => {
  const what = ping?.isGateway === true ? 'dockgate answers' : 'the engine answers';
  return engine?.engineVersion === undefined
    ? what
    : `${what}: Docker ${engine.engineVersion}, API ${engine.minApiVersion ?? '?'} to ${engine.apiVersion ?? '?'}`;
};

function judgeTarget(target: TargetFacts, here: Here, add: Add): void {
  if (target.file !== undefined) judgeFile(target, here, add);
  if (target.token !== undefined) judgeToken(target, here, add);
  if (target.clientCertificate !== undefined) {
    const { clientCertificate } = target;
    judgeDates(clientCertificate, here, add, `the client certificate ${clientCertificate.file}`, 'dockgate cert issue');
    if (!clientCertificate.fitsKey)
      add(
        'trouble',
        'client-key-mismatch',
        `the key does not belong to ${clientCertificate.file}`,
        'use the key.pem made with it',
      );
  }
  if (target.trouble !== undefined) {
    if (target.file === undefined || target.file.kind === 'socket') judgeTrouble(target, here, add);
    return;
  }
  if (target.certificate !== undefined)
    judgeDates(target.certificate, here, add, 'the server certificate', 'renew it and reload the gateway');
  if (target.transport === 'tcp' && !target.isLocal)
    add(
      'trouble',
      'plain-tcp',
      'plain TCP: every client that reaches the port is root on the host, and tokens can be read on the way',
      'bind the engine to its unix socket, put dockgate in front of it, and use https://',
    );
  judgePing(target, add);
  if (target.engine !== undefined) judgeEngine(target, target.engine, here, add);
}

const modeText = (mode: number): string => `0${mode.toString(8).padStart(3, '0')}`;

function judgeFile({ file, role, trouble }: TargetFacts, here: Here, add: Add): void {
  if (file === undefined) return;
  const { path } = file;
  switch (file.kind) {
    case 'none':
      add(
        'trouble',
        'socket-missing',
        `there is no socket at ${path}`,
        here.inContainer
          ? `this is a container, so mount it: -v /run/dockgate/NAME.sock:${path}`
          : role === 'listener'
            ? 'start the gateway: dockgate serve'
            : 'start the engine (systemctl start docker), or name the right socket with DOCKER_HOST or --host',
      );
      return;
    case 'folder':
      add(
        'trouble',
        'socket-is-folder',
        `${path} is a folder`,
        'docker run -v made it because the socket was not there on the host: remove the folder there, start what makes the socket, then the container anew',
      );
      return;
    case 'file':
      add('trouble', 'socket-is-file', `${path} is a file, not a socket`, 'correct the path');
      return;
    case 'unreachable':
      add(
        'trouble',
        'folder-denied',
        `a folder above ${path} may not be entered by this user`,
        'chmod o+x that folder, or run as its group',
      );
      return;
    case 'socket':
      if (trouble?.kind === 'not-permitted') return;
      if (((file.mode ?? 0) & 0o007) !== 0 && !here.inContainer)
        add(
          'trouble',
          'socket-open-to-all',
          `${path} has mode ${modeText(file.mode ?? 0)}: every user of this machine can use it`,
          role === 'listener' ? 'set mode: "0660" and a group in the settings' : `chmod o-rwx ${path}`,
        );
  }
}

function judgeTrouble(target: TargetFacts, here: Here, add: Add): void {
  const { trouble, file, certificate } = target;
  if (trouble === undefined) return;
  switch (trouble.kind) {
    case 'not-permitted': {
      const inGroup = file?.groupId !== undefined && here.groupIds?.includes(file.groupId) === true;
      const group = file?.group ?? (file?.groupId === undefined ? undefined : `number ${file.groupId}`);
      const mayGroup = ((file?.mode ?? 0) & 0o060) === 0o060;
      // Rights that suffice and still do not let in: something other than the mode refuses.
      if (here.selinux && (here.userId === 0 || (inGroup && mayGroup)))
        add(
          'trouble',
          'selinux-denied',
          `SELinux keeps this process from ${file?.path}`,
          'run the container with --security-opt label=type:container_runtime_t, or see ausearch -m avc',
        );
      else
        add(
          'trouble',
          'socket-denied',
          `${file?.path} may not be opened by this user (mode ${modeText(file?.mode ?? 0)}, group ${group ?? 'unknown'})`,
          here.inContainer
            ? `run the container with --group-add ${file?.groupId ?? 'GID'}`
            : mayGroup
              ? `join the group (usermod -aG ${file?.group ?? 'GROUP'} $USER, then log in again), or use dockgate with an identity of your own`
              : 'have it made with a mode and group that let this user in',
        );
      return;
    }
    case 'name-mismatch':
      add(
        'trouble',
        'tls-name-mismatch',
        `the certificate is not for the name in the address; it is for ${certificate?.names.join(', ') || 'other names'}`,
        'use one of those names, or add this one to hostNames in the settings',
      );
      return;
    case 'certificate-expired':
      add(
        'trouble',
        'tls-expired',
        `the server certificate has expired${certificate === undefined ? '' : ` on ${day(certificate.validTo)}`}`,
        "renew it, and check this machine's clock",
      );
      return;
    case 'ca-unknown':
      add(
        'trouble',
        'tls-ca-unknown',
        'the server certificate is signed by an authority that is not trusted here',
        "give its certificate with --ca FILE (DOCKER_CERT_PATH/ca.pem for docker); dockgate's own is ca.pem in its data folder",
      );
      return;
    default: {
      const [message = '', ...remedy] = trouble.text.split('; ');
      add('trouble', trouble.kind, message, remedy.join('; ') || undefined);
    }
  }
}

const day = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16)}Z`;

function judgeDates(certificate: CertificateFacts, here: Here, add: Add, what: string, remedy: string): void {
  const { validFrom, validTo } = certificate;
  const isClient = what.startsWith('the client');
  const code = isClient ? 'client-certificate' : 'tls';
  if (here.now > validTo) add('trouble', `${code}-expired`, `${what} has expired on ${day(validTo)}`, remedy);
  else if (here.now < validFrom)
    add('trouble', `${code}-not-yet-valid`, `${what} is valid from ${day(validFrom)} on`, "check this machine's clock");
  else if (validTo - here.now < Math.min(SOON_MS, (validTo - validFrom) / 4))
    add('advice', `${code}-expires-soon`, `${what} expires on ${day(validTo)}`, remedy);
}

function judgeToken({ token }: TargetFacts, here: Here, add: Add): void {
  if (token === undefined) return;
  const renew = 'get a new one: dockgate token create NAME, or let dockgate connect renew it';
  if (token.fault !== undefined) add('trouble', 'token-unreadable', token.fault, 'give another --token-file or token');
  else if (token.expiresAt !== undefined && here.now >= token.expiresAt)
    add('trouble', 'token-expired', `the token of ${token.source} has expired on ${day(token.expiresAt)}`, renew);
  else if (token.notBefore !== undefined && here.now < token.notBefore - MAX_SKEW_MS)
    add(
      'trouble',
      'token-not-yet-valid',
      `the token of ${token.source} is valid from ${day(token.notBefore)} on`,
      "check this machine's clock",
    );
}

function judgePing({ ping, role, token, clientCertificate }: TargetFacts, add: Add): void {
  if (ping === undefined) return;
  if (ping.skewMs !== undefined && Math.abs(ping.skewMs) > MAX_SKEW_MS) {
    const seconds = Math.round(Math.abs(ping.skewMs) / 1000);
    add(
      'trouble',
      'clock-skew',
      `its clock is ${seconds} s ${ping.skewMs > 0 ? 'ahead of' : 'behind'} this one: tokens and certificates will be refused`,
      'set both clocks by NTP (timedatectl set-ntp true)',
    );
  }
  const said = ping.message === undefined ? '' : `: ${ping.message}`;
  const presented = token !== undefined || clientCertificate !== undefined;
  if (ping.status === 401 && !presented && role === 'listener') return;
  if (ping.status === 401)
    add(
      'trouble',
      'not-authenticated',
      `the gateway does not accept the caller${said}`,
      presented
        ? 'get a new token or certificate; the audit has the reason under that id'
        : 'give --token-file FILE, or --cert and --key',
    );
  else if (ping.status === 403)
    add(
      'advice',
      'ping-not-allowed',
      `no policy of this identity allows system.ping${said}`,
      'add a policy with class:read, docker clients ask it first',
    );
  else if (ping.status !== 200)
    add(
      'trouble',
      'no-good-answer',
      `it answered ${ping.status}${said}`,
      'is this a Docker endpoint? look into its log',
    );
}

const minor = (version: string | undefined): number | undefined => {
  const found = version === undefined ? null : /^1\.(\d{1,4})$/.exec(version);
  return found === null ? undefined : Number(found[1]);
};

function judgeEngine({ served, ping }: TargetFacts, engine: EngineFacts, here: Here, add: Add): void {
  const newest = minor(engine.apiVersion ?? ping?.apiVersion);
  const oldest = minor(engine.minApiVersion);
  const asked = here.dockerApiVersion;
  if (asked !== undefined) {
    const wanted = minor(asked);
    if (wanted === undefined)
      add(
        'trouble',
        'client-version-malformed',
        `DOCKER_API_VERSION=${JSON.stringify(asked)} is no version`,
        'write 1.43, or unset it',
      );
    else if (newest !== undefined && wanted > newest)
      add(
        'trouble',
        'client-version-too-new',
        `DOCKER_API_VERSION=${asked} is newer than what is served, 1.${newest}`,
        `unset it, or set it to 1.${newest}`,
      );
    else if (oldest !== undefined && wanted < oldest)
      add(
        'trouble',
        'client-version-too-old',
        `DOCKER_API_VERSION=${asked} is older than what is served, 1.${oldest}`,
        `unset it, or set it to 1.${oldest}`,
      );
  }
  if (served !== undefined && newest !== undefined && newest < served.min)
    add(
      'trouble',
      'engine-too-old',
      `the engine speaks API 1.${newest} at most, the gateway serves from 1.${served.min} on`,
      'update the engine, or lower apiVersions.min in the settings',
    );
  if (served !== undefined && oldest !== undefined && oldest > served.max)
    add(
      'trouble',
      'engine-too-new',
      `the engine speaks API 1.${oldest} at least, the gateway serves up to 1.${served.max}`,
      'update dockgate, or raise apiVersions.max in the settings',
    );
  judgeIsolation(engine, add);
}

function judgeDepth({ readOnlyDepth }: EngineFacts, add: Add): void {
  if (readOnlyDepth === undefined || readOnlyDepth.runtimes.includes(readOnlyDepth.byDefault)) return;
  add(
    'advice',
    'read-only-shallow',
    `a folder mounted read-only is writable where other mounts lie below it (the kernel or the runtime ${readOnlyDepth.byDefault} cannot do otherwise)`,
    'a kernel from 5.12 on and runc from 1.1 on; until then policies that list a folder as read-only refuse it',
  );
}

function judgeIsolation(engine: EngineFacts, add: Add): void {
  const options = engine.securityOptions;
  const has = (name: string) =>
    options?.some((option) => option === `name=${name}` || option.startsWith(`name=${name},`));
  const open = (engine.warnings ?? []).find((warning) => /API is accessible on http:/i.test(warning));
  if (open !== undefined)
    add(
      'trouble',
      'engine-open-on-tcp',
      (open.split('\n')[0] as string).replace(/\.$/, ''),
      'take the tcp:// address out of hosts in daemon.json, or give it tlsverify: it goes around the gateway',
    );
  const newest = minor(engine.apiVersion);
  if (newest !== undefined && newest < RECURSIVE_READ_ONLY_MINOR)
    add(
      'advice',
      'read-only-shallow',
      `a folder mounted read-only is writable where other mounts lie below it (API 1.${newest})`,
      'update the engine to Docker 25 or newer; until then policies that list a folder as read-only refuse it',
    );
  else judgeDepth(engine, add);
  if (options !== undefined) {
    if (!has('userns') && !has('rootless'))
      add(
        'advice',
        'userns-off',
        'root in a container is root on the host (no user namespaces)',
        '"userns-remap": "default" in daemon.json, or a rootless engine',
      );
    if (!has('seccomp') || options.some((option) => /^name=seccomp,profile=unconfined/.test(option)))
      add(
        'advice',
        'seccomp-off',
        'containers may make every system call (no seccomp profile)',
        'take "seccomp-profile": "unconfined" out of daemon.json',
      );
  }
  if (engine.icc === true)
    add(
      'advice',
      'icc-on',
      'containers on the default bridge reach each other',
      '"icc": false in daemon.json, and a network for each tenant',
    );
  if (engine.debug === true)
    add(
      'advice',
      'debug-on',
      'the engine runs in debug mode: its log and its debug endpoints show more than they should',
      '"debug": false in daemon.json',
    );
  if (engine.experimental === true)
    add(
      'advice',
      'experimental-on',
      'experimental features are on: the gateway does not know them',
      '"experimental": false in daemon.json',
    );
  const insecure = engine.insecureRegistries ?? [];
  if (insecure.length > 0)
    add(
      'advice',
      'insecure-registries',
      `images of ${insecure.join(', ')} come without a verified certificate`,
      'take them out of insecure-registries in daemon.json',
    );
}
