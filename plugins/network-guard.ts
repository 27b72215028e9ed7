// Drivers of networks, ports of the host and the addresses they are bound to, of containers, services and networks; and no container
// on the network of the host, where it could listen anywhere, unless the driver `host` is allowed.
import {
  type AdmissionRequest,
  definePlugin,
  deny,
  isLike,
  type Json,
  listOf,
  numberOf,
  objectOf,
  PASS,
  textOf,
  type Verdict,
} from '../src/plugin.ts';

interface Settings {
  readonly drivers: readonly string[];
  /** `8080` or `8000-8999`. Left out: every port. */
  readonly hostPorts?: readonly string[];
  /** Whether the engine may choose a port. */
  readonly ephemeral: 'allow' | 'deny';
  /** Addresses with `*`. Left out: every address. */
  readonly addresses?: readonly string[];
}

const BRIDGE = 'com.docker.network.bridge.';

/** A port or a range of them, with as many zeros in front as the engine takes; undefined for what is neither. */
function rangeOf(text: string): readonly [from: number, to: number] | undefined {
  const [, from, to = from] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  return from === undefined ? undefined : [Number(from), Number(to)];
}

function portFault(field: string, port: string, { hostPorts, ephemeral }: Settings): Verdict | undefined {
  const asked = port === '' ? ([0, 0] as const) : rangeOf(port);
  if (asked?.[0] === 0) {
    if (ephemeral === 'deny')
      return deny(
        'host-port-denied',
        `${field} lets the engine choose a port (allowed: ${hostPorts?.join(', ') ?? 'any'})`,
      );
    if (asked[1] === 0) return undefined;
  }
  if (hostPorts === undefined && asked !== undefined) return undefined;
  if (hostPorts === undefined) return deny('host-port-denied', `${field} is ${JSON.stringify(port)}, which is no port`);
  const isAllowed = hostPorts.some((text) => {
    const range = rangeOf(text);
    return asked !== undefined && range !== undefined && asked[0] >= range[0] && asked[1] <= range[1];
  });
  if (isAllowed) return undefined;
  return deny('host-port-denied', `${field} is ${JSON.stringify(port)} (allowed: ${hostPorts.join(', ') || 'none'})`);
}

function addressFault(field: string, address: string, { addresses }: Settings): Verdict | undefined {
  if (addresses === undefined || addresses.some((pattern) => isLike(pattern, address || '0.0.0.0'))) return undefined;
  const what = address === '' ? 'empty, which is every address of the host' : JSON.stringify(address);
  const how = addresses[0] === undefined ? '' : `: publish as ${addresses[0]}:PORT:PORT`;
  return deny('bind-address-denied', `${field} is ${what} (allowed: ${addresses.join(', ') || 'none'})${how}`);
}

function containerFault({ body }: AdmissionRequest, config: Settings): Verdict | undefined {
  const host = objectOf(objectOf(body).HostConfig);
  for (const [port, value] of Object.entries(objectOf(host.PortBindings))) {
    // The engine takes an empty list for one binding without an address and a port.
    const bindings = listOf(value).length === 0 ? [{} as Json] : listOf(value);
    for (const [i, one] of bindings.entries()) {
      const field = `HostConfig.PortBindings["${port}"][${i}]`;
      const { HostIp, HostPort } = objectOf(one);
      const fault =
        addressFault(`${field}.HostIp`, textOf(HostIp), config) ??
        portFault(`${field}.HostPort`, textOf(HostPort), config);
      if (fault !== undefined) return fault;
    }
  }
  if (host.PublishAllPorts !== true) return undefined;
  const field = 'HostConfig.PublishAllPorts';
  return addressFault(field, '', config) ?? portFault(field, '', config);
}

function serviceFault({ body }: AdmissionRequest, config: Settings): Verdict | undefined {
  for (const [i, one] of listOf(objectOf(objectOf(body).EndpointSpec).Ports).entries()) {
    const field = `EndpointSpec.Ports[${i}]`;
    const port = numberOf(objectOf(one).PublishedPort);
    // A service listens on every address.
    const fault = addressFault(field, '', config) ?? portFault(`${field}.PublishedPort`, String(port), config);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function networkFault({ body }: AdmissionRequest, config: Settings): Verdict | undefined {
  const { Driver, Options } = objectOf(body);
  const driver = textOf(Driver) || 'bridge';
  const fault = driverFault('Driver', driver, config);
  if (fault !== undefined) return fault;
  const options = objectOf(Options);
  const isLimited = config.addresses !== undefined || config.hostPorts !== undefined;
  for (const [name, value] of Object.entries(options)) {
    if (name === `${BRIDGE}host_binding_ipv4` || name === `${BRIDGE}host_binding_ipv6`) {
      const denied = addressFault(`Options."${name}"`, textOf(value), config);
      if (denied !== undefined) return denied;
    }
    // Without translation every port of a container can be reached, published or not.
    if (isLimited && name.startsWith(`${BRIDGE}gateway_mode_`) && !['nat', 'isolated'].includes(textOf(value)))
      return deny('network-option-denied', `Options."${name}" is "${textOf(value)}" (allowed: nat, isolated)`);
  }
  return undefined;
}

function driverFault(field: string, driver: string, { drivers }: Settings): Verdict | undefined {
  if (drivers.some((pattern) => isLike(pattern, driver))) return undefined;
  return deny('network-driver-denied', `${field} is "${driver}" (allowed: ${drivers.join(', ') || 'none'})`);
}

type Made = NonNullable<AdmissionRequest['resources'][number]['made']>;

/** Whether a container is on the network of the host, by itself or through the one whose network it shares; and where that is not known. */
function sharesHost({ host, networks, joins }: Made): boolean {
  if (textOf(host.NetworkMode) === 'host' || networks.includes('host')) return true;
  return joins.some(({ at, made }) => at.endsWith('NetworkMode') && (made === undefined || sharesHost(made)));
}

/** The network of the host, by its name wherever one stands, by whatever it was found under, or through another container. */
function hostFault({ body, resources }: AdmissionRequest, config: Settings): Verdict | undefined {
  const all = objectOf(body);
  const endpoints = Object.keys(objectOf(objectOf(all.NetworkingConfig).EndpointsConfig));
  if (textOf(objectOf(all.HostConfig).NetworkMode) === 'host')
    return driverFault('HostConfig.NetworkMode', 'host', config);
  if (endpoints.includes('host')) return driverFault('NetworkingConfig.EndpointsConfig', 'host', config);
  const joined = resources.find(
    ({ kind, name, networkDriver }) => kind === 'network' && (name === 'host' || networkDriver === 'host'),
  );
  if (joined !== undefined) return driverFault(joined.at, 'host', config);
  const shared = resources.find(
    ({ kind, at, made }) =>
      kind === 'container' && at === 'HostConfig.NetworkMode' && made !== undefined && sharesHost(made),
  );
  const fault = shared === undefined ? undefined : driverFault('HostConfig.NetworkMode', 'host', config);
  return fault === undefined
    ? undefined
    : deny(
        'network-driver-denied',
        `HostConfig.NetworkMode is "container:${shared?.name}", which is on the network of the host (allowed: ${config.drivers.join(', ') || 'none'})`,
      );
}

function validate(request: AdmissionRequest, { config }: { readonly config: Settings }): Verdict {
  const { action } = request.operation;
  if (action === 'network.create') return networkFault(request, config) ?? PASS;
  const fault = action === 'container.create' ? containerFault(request, config) : serviceFault(request, config);
  return hostFault(request, config) ?? fault ?? PASS;
}

const texts = (items = {}) => ({ type: 'array', items: { type: 'string', ...items } });

export default definePlugin<Settings>({
  meta: {
    name: 'network-guard',
    version: '1.0.0',
    apiVersion: 1,
    description: 'Allows named network drivers, ports of the host and addresses they are bound to',
  },
  match: {
    actions: ['container.create', 'network.create', 'network.connect', 'service.create', 'service.update'],
    objects: true,
  },
  config: {
    type: 'object',
    properties: {
      drivers: { ...texts(), default: ['bridge', 'overlay'] },
      hostPorts: texts({ pattern: '^[0-9]{1,5}(-[0-9]{1,5})?$' }),
      ephemeral: { enum: ['allow', 'deny'], default: 'allow' },
      addresses: texts({ minLength: 1 }),
    },
    additionalProperties: false,
  },
  validate,
  examples: [
    {
      name: 'a port on an address of the list',
      action: 'container.create',
      config: { addresses: ['127.0.0.1'] },
      body: { Image: 'x', HostConfig: { PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080' }] } } },
      expect: 'pass',
    },
    {
      name: 'a port on every address',
      action: 'container.create',
      config: { addresses: ['127.0.0.1'] },
      body: { Image: 'x', HostConfig: { PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }] } } },
      expect: { deny: 'bind-address-denied' },
    },
  ],
});
