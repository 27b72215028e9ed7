// Published ports and attached networks in the docker CLI's forms.
import { DockerCommandError } from './arguments.ts';
import { csvFields, pairs, wholeNumber } from './values.ts';

type Body = Record<string, unknown>;

const range = (text: string): [number, number] => {
  const match = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(text);
  if (!match) throw new DockerCommandError(`"${text}" is no port or range of ports`);
  return [Number(match[1]), Number(match[2] ?? match[1])];
};

/** `-p [ip:][host:]container[/protocol]`, ranges included. */
export const publish = (specs: readonly string[], exposed: Body, bindings: Record<string, Body[]>): void => {
  for (const spec of specs) {
    const [address = '', protocol = 'tcp'] = spec.split('/');
    const match = /^(?:(?:\[([^\]]*)\]|([^:]*)):)?(?:([0-9-]*):)?([0-9-]+)$/.exec(address);
    if (!match) throw new DockerCommandError(`--publish "${spec}" is no [ip:][host:]container port`);
    // With one colon only, what stands before it is the host port, not an address.
    const oneColon = match[3] === undefined && match[1] === undefined;
    const ip = match[1] ?? (oneColon ? '' : (match[2] ?? ''));
    const host = (oneColon ? match[2] : match[3]) ?? '';
    const [first, last] = range(match[4] ?? '');
    if (last < first || last - first > 10_000) throw new DockerCommandError(`--publish "${spec}" is no range of ports`);
    const hostRange = host === '' ? undefined : range(host);
    if (hostRange && last !== first && hostRange[1] - hostRange[0] !== last - first) {
      throw new DockerCommandError(`--publish "${spec}": both ranges must be of one length`);
    }
    for (let port = first; port <= last; port += 1) {
      const key = `${port}/${protocol.toLowerCase()}`;
      exposed[key] = {};
      const hostPort = !hostRange ? '' : first === last ? host : String(hostRange[0] + port - first);
      bindings[key] = [...(bindings[key] ?? []), { HostIp: ip, HostPort: hostPort }];
    }
  }
};

/** One `--network`: a name, or name=x,alias=y,ip=z. */
export const attachment = (text: string): { name: string; endpoint: Body } => {
  if (!text.includes('=')) return { name: text, endpoint: {} };
  const endpoint: Body = {};
  let name = '';
  for (const field of csvFields(text)) {
    const [key = '', ...parts] = field.split('=');
    const given = parts.join('=');
    const addresses = (): Body => {
      endpoint.IPAMConfig ??= {};
      return endpoint.IPAMConfig as Body;
    };
    switch (key.toLowerCase()) {
      case 'name':
        name = given;
        break;
      case 'alias':
        endpoint.Aliases = [...((endpoint.Aliases as string[]) ?? []), given];
        break;
      case 'mac-address':
        endpoint.MacAddress = given;
        break;
      case 'ip':
        addresses().IPv4Address = given;
        break;
      case 'ip6':
        addresses().IPv6Address = given;
        break;
      case 'link-local-ip':
        addresses().LinkLocalIPs = [...((addresses().LinkLocalIPs as string[]) ?? []), given];
        break;
      case 'driver-opt':
        endpoint.DriverOpts = { ...(endpoint.DriverOpts as object), ...pairs([given]) };
        break;
      case 'gw-priority':
        endpoint.GwPriority = wholeNumber('network gw-priority', given);
        break;
      default:
        throw new DockerCommandError(`--network key "${key}" is not known here; use --request FILE`);
    }
  }
  return { name, endpoint };
};
