// Networks and the end points a container has in them. Engine API 1.40 to 1.56.
import { bool, int, list, map, struct, text, textMap, texts } from '../schema.ts';

const secure = { secure: true };

const endpointSettings = struct(
  'EndpointSettings',
  {
    IPAMConfig: struct('EndpointIPAMConfig', { IPv4Address: text, IPv6Address: text, LinkLocalIPs: texts }, secure),
    Links: texts,
    Aliases: texts,
    MacAddress: text,
    DriverOpts: textMap,
    GwPriority: int,
    NetworkID: text,
    EndpointID: text,
    Gateway: text,
    IPAddress: text,
    IPPrefixLen: int,
    IPv6Gateway: text,
    GlobalIPv6Address: text,
    GlobalIPv6PrefixLen: int,
    DNSNames: texts,
  },
  secure,
);

/** NetworkingConfig of a create body. */
export const networkingConfig = struct('NetworkingConfig', { EndpointsConfig: map(endpointSettings) }, secure);

const ipam = struct(
  'IPAM',
  {
    Driver: text,
    Options: textMap,
    Config: list(
      struct('IPAMConfig', { Subnet: text, IPRange: text, Gateway: text, AuxiliaryAddresses: textMap }, secure),
    ),
  },
  secure,
);

/** Body of POST /networks/create. */
export const networkCreateRequest = struct('NetworkCreateRequest', {
  Name: text,
  CheckDuplicate: bool,
  Driver: text,
  Scope: text,
  EnableIPv4: bool,
  EnableIPv6: bool,
  IPAM: ipam,
  Internal: bool,
  Attachable: bool,
  Ingress: bool,
  ConfigOnly: bool,
  ConfigFrom: struct('NetworkConfigReference', { Network: text }, secure),
  Options: textMap,
  Labels: textMap,
});

/** Body of POST /networks/{id}/connect. */
export const networkConnectRequest = struct('NetworkConnectRequest', {
  Container: text,
  EndpointConfig: endpointSettings,
});

/** Body of POST /networks/{id}/disconnect. */
export const networkDisconnectRequest = struct('NetworkDisconnectRequest', { Container: text, Force: bool });
