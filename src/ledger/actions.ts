// How each action is served to a tenant. An action that is not in this table concerns the whole engine and is refused, so
// that an operation added to the engine stays closed to tenants until it is listed here.

/**
 * - `plain`: sent with the full ids of the tenant's own objects, answered as the engine answers
 * - `list`, `events`, `object`: the answer is filtered
 * - `create`, `remove`, `rename`: the ledger learns from the answer
 * - `prune`: becomes removals of the tenant's own
 * - `image-stream`: the ledger learns once the stream has ended
 * - `nothing`: answered by the gateway; there is nothing of the tenant's
 */
export type Serving =
  | 'plain'
  | 'list'
  | 'events'
  | 'object'
  | 'create'
  | 'remove'
  | 'rename'
  | 'prune'
  | 'image-stream'
  | 'push'
  | 'nothing';

const PLAIN = [
  'system.ping',
  'system.auth',
  'container.top',
  'container.logs',
  'container.changes',
  'container.export',
  'container.stats',
  'container.resize',
  'container.start',
  'container.stop',
  'container.restart',
  'container.kill',
  'container.update',
  'container.pause',
  'container.unpause',
  'container.attach',
  'container.wait',
  'container.archive.stat',
  'container.archive.read',
  'container.archive.write',
  'container.exec.start',
  'container.exec.resize',
  'container.checkpoint.list',
  'container.checkpoint.create',
  'container.checkpoint.remove',
  'image.search',
  'image.distribution',
  'image.attestations',
  'image.export',
  'build.session',
  'build.control',
  'build.cancel',
  'volume.update',
  'network.connect',
  'network.disconnect',
  'service.update',
  'service.logs',
  'task.logs',
  'secret.update',
  'config.update',
];

const SERVING: ReadonlyMap<string, Serving> = new Map<string, Serving>([
  ...PLAIN.map((action) => [action, 'plain'] as const),
  ...['container.list', 'image.list', 'network.list', 'service.list', 'secret.list', 'config.list', 'task.list'].map(
    (action) => [action, 'list'] as const,
  ),
  ['system.events', 'events'],
  ...[
    'system.info',
    'system.version',
    'system.df',
    'volume.list',
    'image.inspect',
    'image.history',
    'network.inspect',
    'container.inspect',
    'container.exec.inspect',
    'volume.inspect',
    'service.inspect',
    'secret.inspect',
    'config.inspect',
    'task.inspect',
  ].map((action) => [action, 'object'] as const),
  ...[
    'container.create',
    'container.exec.create',
    'volume.create',
    'network.create',
    'image.commit',
    'image.tag',
    'service.create',
    'secret.create',
    'config.create',
  ].map((action) => [action, 'create'] as const),
  ...[
    'container.remove',
    'volume.remove',
    'network.remove',
    'image.remove',
    'service.remove',
    'secret.remove',
    'config.remove',
  ].map((action) => [action, 'remove'] as const),
  ['container.rename', 'rename'],
  ['image.push', 'push'],
  ...['container.prune', 'volume.prune', 'network.prune', 'image.prune'].map((action) => [action, 'prune'] as const),
  ...['image.pull', 'image.import', 'image.load', 'build.run'].map((action) => [action, 'image-stream'] as const),
  ...['plugin.list', 'node.list', 'build.prune'].map((action) => [action, 'nothing'] as const),
]);

/** How an action is served to tenants; undefined for one that is not. */
export const servingOf = (action: string): Serving | undefined => SERVING.get(action);
