// Addresses of an ADD, read so that the engine cannot read them otherwise.
import { isIP, isIPv6 } from 'node:net';

export interface FetchedAddress {
  /** Lower case, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** An address both we and Go's net/url read the same; undefined for any other. */
export function readAddress(url: string): FetchedAddress | undefined {
  const found = /^(https?):\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5}))?(?:[/?#][!-~]*)?$/.exec(url);
  if (found === null) return undefined;
  const [, scheme, name = '', digits] = found;
  const port = digits === undefined ? (scheme === 'https' ? 443 : 80) : Number(digits);
  const host = name
    .replace(/^\[|\]$/g, '')
    .toLowerCase()
    .replace(/\.$/, '');
  if (host === '' || port < 1 || port > 65_535 || (name.startsWith('[') && !isIPv6(host))) return undefined;
  // `127.1`, `0x7f.1` and `2130706433` are names to one resolver and addresses to another.
  const last = host.slice(host.lastIndexOf('.') + 1);
  if (!name.startsWith('[') && /^(?:\d+|0x[0-9a-f]*)$/.test(last) && isIP(host) !== 4) return undefined;
  return { host, port };
}
