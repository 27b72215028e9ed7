// Routes of networks and volumes, and of what the stand-in has none of: swarm, plugins.
import { type Call, Created, Empty, filtersOf } from './call.ts';
import { EngineFault } from './fault.ts';
import { type Named, type NamedObjects, network, newId, volume } from './networks-volumes.ts';

/** Those that a list's `name`, `id` and `label` filters ask for. */
function filtered(objects: NamedObjects, call: Call): readonly Named[] {
  const wanted = filtersOf(call);
  const labelsOf = ({ shown }: Named) => (shown.Labels ?? {}) as Readonly<Record<string, string>>;
  return objects.all.filter(
    (one) =>
      wanted.matches('name', (name) => one.name.includes(name)) &&
      wanted.matches('id', (id) => one.id.startsWith(id)) &&
      wanted.hasLabels(labelsOf(one)),
  );
}

export const listNetworks = (call: Call) => filtered(call.state.networks, call).map(({ shown }) => shown);
export const listVolumes = (call: Call) => ({
  Volumes: filtered(call.state.volumes, call).map(({ shown }) => shown),
  Warnings: [],
});
export const showNetwork = ({ state, params }: Call) => state.networks.get(params[0] ?? '').shown;
export const showVolume = ({ state, params }: Call) => state.volumes.get(params[0] ?? '').shown;

export function createNetwork({ state, body }: Call) {
  const name = String(body.Name ?? '');
  if (state.networks.find(name)?.name === name) throw new EngineFault(409, `network with name ${name} already exists`);
  return new Created({ Id: state.networks.add(network(name, body)).id, Warning: '' });
}

export function createVolume({ state, body }: Call) {
  const name = String(body.Name ?? '') || newId();
  return new Created((state.volumes.find(name) ?? state.volumes.add(volume(name, body))).shown);
}

export function removeNetwork({ state, params }: Call) {
  state.networks.remove(params[0] ?? '');
  return new Empty(204);
}

export function removeVolume({ state, params }: Call) {
  state.volumes.remove(params[0] ?? '');
  return new Empty(204);
}

export function connectNetwork({ state, params, body }: Call) {
  const container = state.find(String(body.Container ?? ''));
  state.connect(container, params[0] ?? '', (body.EndpointConfig ?? {}) as Readonly<Record<string, unknown>>);
  return new Empty(200);
}

export function disconnectNetwork({ state, params, body }: Call) {
  state.find(String(body.Container ?? '')).endpoints.delete(state.networks.get(params[0] ?? '').name);
  return new Empty(200);
}

/** The engine's answer about services, secrets and the like where it is in no swarm. */
export function noSwarm(): never {
  throw new EngineFault(
    503,
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
  );
}
