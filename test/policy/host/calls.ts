// Makes judged calls the way the gateway does: bytes through the decoder, then frozen with their references.
import { toCall } from '../../../src/engine/call.ts';
import { decodeBody } from '../../../src/engine/decode.ts';
import type { EngineCall, Operation } from '../../../src/engine/types.ts';
import type { Principal } from '../../../src/policy/types.ts';

const BODIES: Readonly<Record<string, readonly [id: string, body: string | undefined]>> = {
  'container.create': ['ContainerCreate', 'ContainerCreateRequest'],
  'container.update': ['ContainerUpdate', 'ContainerUpdateRequest'],
  'container.start': ['ContainerStart', undefined],
  'container.top': ['ContainerTop', undefined],
  'container.stop': ['ContainerStop', undefined],
  'container.exec.create': ['ContainerExec', 'ExecConfig'],
  'container.exec.start': ['ExecStart', 'ExecStartConfig'],
  'container.checkpoint.create': ['CheckpointCreate', 'CheckpointCreateRequest'],
  'container.checkpoint.list': ['CheckpointList', undefined],
  'service.create': ['ServiceCreate', 'ServiceSpec'],
  'service.update': ['ServiceUpdate', 'ServiceSpec'],
  'volume.create': ['VolumeCreate', 'VolumeCreateRequest'],
  'build.run': ['ImageBuild', 'tar'],
  'network.create': ['NetworkCreate', 'NetworkCreateRequest'],
  'network.connect': ['NetworkConnect', 'NetworkConnectRequest'],
  'image.pull': ['ImageCreate', undefined],
  'image.import': ['ImageCreate', undefined],
  'image.push': ['ImagePush', undefined],
  'image.search': ['ImageSearch', undefined],
  'image.distribution': ['DistributionInspect', undefined],
  'system.auth': ['SystemAuth', 'AuthConfig'],
  'secret.create': ['SecretCreate', 'SecretSpec'],
};

export interface Asked {
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string | readonly string[]>>;
  readonly path?: Readonly<Record<string, string>>;
  readonly apiVersion?: string;
}

export function callOf(action: string, { body, query = {}, path = {}, apiVersion = '1.51' }: Asked): EngineCall {
  const [id, schema] = BODIES[action] ?? ['Unknown', undefined];
  const operation = {
    id,
    method: 'POST',
    path: `/${id}`,
    action,
    resource: action.split('.')[0],
    class: 'write',
    stream: 'none',
    body: schema,
    risk: [],
    served: true,
    firstMinor: 2,
  } as unknown as Operation;
  const lists: Record<string, string[]> = {};
  for (const [name, value] of Object.entries(query)) lists[name] = typeof value === 'string' ? [value] : [...value];
  const target = { operation, action, apiVersion, path: { ...path }, query: lists };
  const bytes = new TextEncoder().encode(body === undefined ? '' : JSON.stringify(body));
  return toCall(target, decodeBody(target, ['application/json'], bytes));
}

export const create = (hostConfig: unknown, config: Readonly<Record<string, unknown>> = {}): EngineCall =>
  callOf('container.create', {
    body: { Image: 'busybox:test', Cmd: ['sleep', '60'], ...config, HostConfig: hostConfig },
  });

export const alice: Principal = {
  subject: 'alice',
  issuer: 'test',
  tenant: 'red',
  groups: [],
  policies: [],
  channel: 'bearer',
  claims: { team: 'blue', bad: '../..', number: 7 },
};
