// Drivers, ports and addresses, in every spelling the engine has for them; beside each denial its nearest allowed neighbour.
import { describe } from 'node:test';
import { pluginTable, table } from '../support/plugin-table.ts';

const G = { hostPorts: ['8000-8999', '443'], addresses: ['127.0.0.1', '10.*'], ephemeral: 'deny' };
const ANY = { addresses: ['0.0.0.0'] };
const create = 'POST /containers/create';
const box = (HostConfig: object, rest: object = {}) => ({ Image: 'x', HostConfig, ...rest });
const bound = (HostIp: string, HostPort: string) => box({ PortBindings: { '80/tcp': [{ HostIp, HostPort }] } });
const network = (Driver?: string, Options: object = {}) => ({ Name: 'n', Driver, Options });
const service = (...Ports: object[]) => ({
  Name: 's',
  TaskTemplate: { ContainerSpec: { Image: 'x' } },
  EndpointSpec: { Ports },
});
const [address, port, driver] = ['bind-address-denied', 'host-port-denied', 'network-driver-denied'];
const option = (name: string, value: string) => network('bridge', { [`com.docker.network.bridge.${name}`]: value });

describe('network-guard', () => {
  table(pluginTable('network-guard'), [
    [create, bound('127.0.0.1', '8080'), G, 'pass'],
    [create, bound('10.1.2.3', '443'), G, 'pass'],
    [create, bound('', '8080'), G, address],
    [create, bound('0.0.0.0', '8080'), G, address],
    [create, bound('::', '8080'), G, address],
    [create, bound('', '8080'), ANY, 'pass'],
    [create, bound('127.0.0.1', '80'), G, port],
    [create, bound('127.0.0.1', '8990-9000'), G, port],
    [create, bound('127.0.0.1', '8990-8999'), G, 'pass'],
    [create, bound('127.0.0.1', ''), G, port],
    [create, bound('127.0.0.1', ''), { ...G, ephemeral: 'allow' }, 'pass'],
    [create, bound('127.0.0.1', '00'), G, port],
    [create, bound('127.0.0.1', '000000'), { ephemeral: 'deny' }, port],
    [create, bound('127.0.0.1', '0-0'), { ephemeral: 'deny' }, port],
    [create, bound('127.0.0.1', '0-9000'), { ephemeral: 'deny' }, port],
    [create, bound('127.0.0.1', '00'), { ...G, ephemeral: 'allow' }, 'pass'],
    [create, bound('127.0.0.1', '0-9000'), { ...G, ephemeral: 'allow' }, port],
    [create, bound('127.0.0.1', '008080'), G, 'pass'],
    [create, bound('127.0.0.1', '8080'), { ephemeral: 'deny' }, 'pass'],
    [create, box({ PortBindings: { '80/tcp': [] } }), G, address],
    [create, box({ PortBindings: { '80/tcp': null } }), { hostPorts: [], ephemeral: 'deny' }, port],
    [create, box({ PublishAllPorts: true }), G, address],
    [create, box({ PublishAllPorts: false }), G, 'pass'],
    [create, box({ PublishAllPorts: true }), { ...ANY, ephemeral: 'deny' }, port],
    [create, box({ NetworkMode: 'host' }), G, driver],
    [create, box({ NetworkMode: 'bridge' }), G, 'pass'],
    [create, box({ NetworkMode: 'host' }), { ...G, drivers: ['host'] }, 'pass'],
    [create, box({}, { NetworkingConfig: { EndpointsConfig: { host: {} } } }), G, driver],
    [create, box({}, { NetworkingConfig: { EndpointsConfig: { web: {} } } }), G, 'pass'],
    ['POST /networks/host/connect', { Container: 'c' }, G, driver],
    ['POST /networks/web/connect', { Container: 'c' }, G, 'pass'],
    ['POST /networks/create', network(), G, 'pass'],
    ['POST /networks/create', network('macvlan'), G, driver],
    ['POST /networks/create', network('macvlan'), { drivers: ['macvlan'] }, 'pass'],
    ['POST /networks/create', option('host_binding_ipv4', '0.0.0.0'), G, address],
    ['POST /networks/create', option('host_binding_ipv4', '127.0.0.1'), G, 'pass'],
    ['POST /networks/create', option('gateway_mode_ipv4', 'routed'), G, 'network-option-denied'],
    ['POST /networks/create', option('gateway_mode_ipv4', 'nat'), G, 'pass'],
    ['POST /services/create', service({ TargetPort: 80, PublishedPort: 8080 }), G, address],
    ['POST /services/create', service({ TargetPort: 80, PublishedPort: 8080 }), { hostPorts: ['8080'] }, 'pass'],
    ['POST /services/create', service({ TargetPort: 80, PublishedPort: 80 }), { hostPorts: ['8080'] }, port],
    ['POST /services/create', service(), G, 'pass'],
  ]);
});
