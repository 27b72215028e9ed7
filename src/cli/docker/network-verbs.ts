// docker network and docker volume.
import { flag, value } from './arguments.ts';
import { pairs } from './values.ts';
import { each, filters, LIST, OUTPUT, on, path, plain, prune, to, type Verb } from './verb.ts';

const volumeCreate: Verb = {
  options: { driver: value('d'), label: value(), opt: value('o'), name: value() },
  operands: [0, 1],
  requests: ([name], options) => [
    to(
      'POST',
      '/volumes/create',
      {},
      {
        Name: name ?? options.last('name') ?? '',
        Driver: options.last('driver') ?? 'local',
        ...(options.all('opt').length === 0 ? {} : { DriverOpts: pairs(options.all('opt')) }),
        ...(options.all('label').length === 0 ? {} : { Labels: pairs(options.all('label')) }),
      },
    ),
  ],
};

const networkCreate: Verb = {
  options: {
    attachable: flag(),
    'aux-address': value(),
    'config-from': value(),
    'config-only': flag(),
    driver: value('d'),
    gateway: value(),
    ingress: flag(),
    internal: flag(),
    'ip-range': value(),
    'ipam-driver': value(),
    'ipam-opt': value(),
    ipv4: flag(),
    ipv6: flag(),
    label: value(),
    opt: value('o'),
    scope: value(),
    subnet: value(),
  },
  operands: [1, 1],
  requests([name = ''], options) {
    const [ranges, gateways] = [options.all('ip-range'), options.all('gateway')];
    const subnets = options.all('subnet').map((Subnet, index) => ({
      Subnet,
      ...(ranges[index] === undefined ? {} : { IPRange: ranges[index] }),
      ...(gateways[index] === undefined ? {} : { Gateway: gateways[index] }),
    }));
    const flags = {
      Internal: 'internal',
      Attachable: 'attachable',
      Ingress: 'ingress',
      EnableIPv6: 'ipv6',
      ConfigOnly: 'config-only',
    };
    return [
      to(
        'POST',
        '/networks/create',
        {},
        {
          Name: name,
          Driver: options.last('driver') ?? 'bridge',
          ...(options.last('scope') === undefined ? {} : { Scope: options.last('scope') }),
          ...Object.fromEntries(
            Object.entries(flags).flatMap(([field, option]) => (options.is(option) ? [[field, true]] : [])),
          ),
          ...(options.last('config-from') === undefined
            ? {}
            : { ConfigFrom: { Network: options.last('config-from') } }),
          ...(subnets.length > 0 || options.last('ipam-driver') !== undefined
            ? { IPAM: { Driver: options.last('ipam-driver') ?? 'default', Config: subnets } }
            : {}),
          ...(options.all('opt').length === 0 ? {} : { Options: pairs(options.all('opt')) }),
          ...(options.all('label').length === 0 ? {} : { Labels: pairs(options.all('label')) }),
        },
      ),
    ];
  },
};

const networkConnect: Verb = {
  options: {
    alias: value(),
    'driver-opt': value(),
    ip: value(),
    ip6: value(),
    link: value(),
    'link-local-ip': value(),
  },
  operands: [2, 2],
  requests([network = '', container = ''], options) {
    const addresses = {
      ...(options.last('ip') === undefined ? {} : { IPv4Address: options.last('ip') }),
      ...(options.last('ip6') === undefined ? {} : { IPv6Address: options.last('ip6') }),
      ...(options.all('link-local-ip').length === 0 ? {} : { LinkLocalIPs: options.all('link-local-ip') }),
    };
    const endpoint = {
      ...(options.all('alias').length === 0 ? {} : { Aliases: options.all('alias') }),
      ...(options.all('link').length === 0 ? {} : { Links: options.all('link') }),
      ...(options.all('driver-opt').length === 0 ? {} : { DriverOpts: pairs(options.all('driver-opt')) }),
      ...(Object.keys(addresses).length === 0 ? {} : { IPAMConfig: addresses }),
    };
    return [to('POST', path`/networks/${network}/connect`, {}, { Container: container, EndpointConfig: endpoint })];
  },
};

export const VOLUME: Readonly<Record<string, Verb>> = {
  create: volumeCreate,
  ls: plain(LIST, (options) => to('GET', '/volumes', { filters: filters(options) })),
  rm: each({ force: flag('f') }, (name, options) =>
    to('DELETE', path`/volumes/${name}`, { force: on(options.is('force')) }),
  ),
  inspect: each(OUTPUT, (name) => to('GET', path`/volumes/${name}`)),
  prune: plain({ all: flag('a'), filter: value(), force: flag('f') }, (options) =>
    to('POST', '/volumes/prune', { filters: filters(options, options.is('all') ? ['all=true'] : []) }),
  ),
};

export const NETWORK: Readonly<Record<string, Verb>> = {
  create: networkCreate,
  connect: networkConnect,
  disconnect: {
    options: { force: flag('f') },
    operands: [2, 2],
    requests: ([network = '', container = ''], options) => [
      to('POST', path`/networks/${network}/disconnect`, {}, { Container: container, Force: options.is('force') }),
    ],
  },
  ls: plain(LIST, (options) => to('GET', '/networks', { filters: filters(options) })),
  rm: each({ force: flag('f') }, (name) => to('DELETE', path`/networks/${name}`)),
  inspect: each({ ...OUTPUT, verbose: flag('v') }, (name) => to('GET', path`/networks/${name}`)),
  prune: prune('networks'),
};
