// Addresses in the settings: host and port of a listener, and where the engine is.
import { isIP } from 'node:net';
import type { EngineAddress } from '../proxy/types.ts';

/** Socket paths longer than this do not fit `sockaddr_un` everywhere (104 bytes on BSD and macOS, with the final zero). */
export const MAX_SOCKET_PATH_BYTES = 103;

/** True for 127.0.0.0/8, ::1 and `localhost`. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;

/** True for a DNS name or an IP address without brackets. Names made of digits and dots alone must be IPv4. */
export const isHost = (text: string): boolean => isIP(text) !== 0 || (HOST_NAME.test(text) && !/^[0-9.]+$/.test(text));

/** Reads `host:port` or `[::1]:port`. @returns the fault as text when it cannot */
export const parseHostPort = (text: string): { host: string; port: number } | string => {
  const match = /^(?:\[([^\]]*)\]|([^:[\]/?#@]*)):([0-9]{1,5})$/.exec(text);
  if (match === null) {
    if (isIP(text) === 6 || /^[0-9a-fA-F:]+:[0-9]+$/.test(text)) return `write an IPv6 address in brackets, [::1]:2376`;
    if (/[/?#@]/.test(text)) return 'write host and port only, without user, path or query';
    if (!/:[0-9]+$/.test(text)) return `names no port; write ${text === '' ? '127.0.0.1' : text}:2376`;
    return 'write host:port, for example 127.0.0.1:2376';
  }
  const bracketed = match[1];
  const host = (bracketed ?? match[2] ?? '').toLowerCase();
  const port = Number(match[3]);
  if (port > 65535) return `port ${port} is out of range; use 1 to 65535, or 0 for any free port`;
  if (host === '')
    return 'names no host; write 127.0.0.1 for this machine only, 0.0.0.0 for every IPv4 address or [::] for all';
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? { host, port } : `"${bracketed}" is not an IPv6 address`;
  return isHost(host) ? { host, port } : `"${host}" is neither a host name nor an IP address`;
};

/**
 * Reads the engine's address: `unix:///path`, `tcp://host:port` or `ssh://[user@]host[:port][/path]`.
 * @param resolvePath makes a relative socket path absolute
 * @returns the address, or the fault as text
 */
export const parseEngineAddress = (text: string, resolvePath: (path: string) => string): EngineAddress | string => {
  const match = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(text);
  if (match === null) return `write unix:///path/to/docker.sock, tcp://host:2376 or ssh://user@host, not "${text}"`;
  const scheme = (match[1] ?? '').toLowerCase();
  const rest = match[2] ?? '';
  switch (scheme) {
    case 'unix': {
      if (rest === '') return 'names no socket; write unix:///var/run/docker.sock';
      if (rest.includes('\0')) return 'a socket path holds no NUL';
      const path = resolvePath(rest);
      return Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES
        ? `the socket path is longer than ${MAX_SOCKET_PATH_BYTES} bytes`
        : { kind: 'unix', path };
    }
    case 'tcp': {
      const address = parseHostPort(rest.replace(/\/$/, ''));
      if (typeof address === 'string') return address;
      return address.port === 0 ? 'port 0 names no engine' : { kind: 'tcp', ...address };
    }
    case 'ssh':
      return parseSshAddress(rest);
    case 'http':
    case 'https':
      return `write tcp://${rest} instead of ${scheme}://${rest}${scheme === 'https' ? ', with engineTls for TLS' : ''}`;
    default:
      return `${scheme}:// is not served; write unix:///path, tcp://host:port or ssh://user@host`;
  }
};

/** An address on another machine. What a shell over there would read as more than a word is not accepted. */
const parseSshAddress = (rest: string): EngineAddress | string => {
  const match = /^(?:([^@/]*)@)?(?:\[([^\]]*)\]|([^:[\]/@]*))(?::([0-9]{1,5}))?(\/.*)?$/.exec(rest);
  if (match === null) return 'write ssh://user@host, ssh://user@host:22 or ssh://user@host/path/to/docker.sock';
  const [, user, bracketed, plain = '', portText, path] = match;
  const host = bracketed ?? plain;
  const port = portText === undefined ? undefined : Number(portText);
  if (user?.includes(':')) return 'holds a password; ssh takes the key of the user the gateway runs as';
  if (user !== undefined && !/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(user)) return `"${user}" is not a user name`;
  if (bracketed !== undefined ? isIP(bracketed) !== 6 : !isSshHost(host))
    return host === '' ? 'names no host; write ssh://user@host' : `"${host}" is neither a host name nor an IP address`;
  if (port !== undefined && (port === 0 || port > 65535)) return `port ${port} is out of range; use 1 to 65535`;
  if (path !== undefined && path !== '/' && !/^(\/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$/.test(path))
    return 'the socket path there may hold letters, digits, "_", "." and "-" only';
  return {
    kind: 'ssh',
    host,
    ...(user === undefined ? {} : { user }),
    ...(port === undefined ? {} : { port }),
    ...(path === undefined || path === '/' ? {} : { path }),
  };
};

/** A host as ssh's own settings may name it too, `build_box`; never an option. */
const isSshHost = (text: string): boolean => isHost(text) || /^[A-Za-z0-9][A-Za-z0-9_.-]{0,252}$/.test(text);

/** The address as it is written in the settings. */
export const engineAddressText = ({ kind, path = '', user, host = '', port }: EngineAddress): string => {
  if (kind === 'unix') return `unix://${path}`;
  const at = `${host.includes(':') ? `[${host}]` : host}${port === undefined ? '' : `:${port}`}`;
  return kind === 'tcp' ? `tcp://${at}` : `ssh://${user === undefined ? '' : `${user}@`}${at}${path}`;
};
