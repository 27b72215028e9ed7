// Gives a container that binds the engine's socket a socket of the gateway's in its place. It speaks for the caller who makes the
// container, with the credentials of that very call and within policy, and goes with the container. What binds a folder that
// holds the socket, or reaches it by a volume, is left as it is: policy judges it like any other.
import {
  type AdmissionRequest,
  type Change,
  definePlugin,
  isLike,
  listOf,
  objectOf,
  parseBind,
  textOf,
} from '../src/plugin.ts';

interface Settings {
  /** Paths that mean the engine's socket, beside the engine's own. */
  readonly paths: readonly string[];
  /** Who gets one: patterns of subjects, and of tenants as `tenant/NAME`. Left out: every caller. */
  readonly for?: readonly string[];
}

/** One spelling of a path: no empty and dot segments, and /var/run is /run wherever an engine runs. */
function clean(path: string): string {
  const kept: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') kept.pop();
    else if (part !== '' && part !== '.') kept.push(part);
  }
  if (kept[0] === 'var' && kept[1] === 'run') kept.shift();
  return `/${kept.join('/')}`;
}

function sourceOf(bind: string): string | undefined {
  try {
    const { kind, source } = parseBind(bind);
    return kind === 'bind' ? source : undefined;
  } catch {
    // The engine and policy say what is wrong with it.
    return undefined;
  }
}

const mayHave = (
  patterns: readonly string[] | undefined,
  { subject, tenant }: AdmissionRequest['principal'],
): boolean =>
  patterns === undefined ||
  patterns.some((one) => isLike(one, subject) || (tenant !== undefined && isLike(one, `tenant/${tenant}`)));

export default definePlugin<Settings>({
  meta: {
    name: 'socket-substitute',
    version: '1.0.0',
    apiVersion: 1,
    description:
      "Gives a container that binds the engine's socket one of the gateway's, which speaks for its maker alone",
  },
  needs: { sockets: true },
  match: { actions: ['container.create'] },
  config: {
    type: 'object',
    properties: {
      paths: {
        type: 'array',
        items: { type: 'string', pattern: '^/' },
        default: ['/var/run/docker.sock'],
      },
      for: { type: 'array', items: { type: 'string' } },
    },
    additionalProperties: false,
  },
  mutate({ body, principal, source }, { config, engineSocket }) {
    if (!mayHave(config.for, principal)) return [];
    // A client that was told of a bound socket takes that for the engine's.
    const known = [engineSocket, source.socket].filter((path) => path !== undefined);
    const meant = new Set([...config.paths, ...known].map(clean));
    const isMeant = (path: string | undefined): boolean => path?.startsWith('/') === true && meant.has(clean(path));
    const host = objectOf(objectOf(body).HostConfig);
    const changes: Change[] = [];
    for (const [i, bind] of listOf(host.Binds).entries())
      if (isMeant(sourceOf(textOf(bind)))) changes.push({ op: 'own-socket', path: `/body/HostConfig/Binds/${i}` });
    for (const [i, mount] of listOf(host.Mounts).entries()) {
      const { Type, Source } = objectOf(mount);
      if (Type === 'bind' && isMeant(textOf(Source)))
        changes.push({ op: 'own-socket', path: `/body/HostConfig/Mounts/${i}` });
    }
    return changes;
  },
  examples: [
    {
      name: 'a bind of the socket',
      config: {},
      action: 'container.create',
      body: { Image: 'busybox', HostConfig: { Binds: ['/var/run/docker.sock:/var/run/docker.sock:ro', 'data:/data'] } },
      changedBody: {
        Image: 'busybox',
        HostConfig: { Binds: ['/run/dockgate/own-sockets/example.sock:/var/run/docker.sock:ro', 'data:/data'] },
      },
      expect: 'pass',
    },
    {
      name: 'a mount of the socket by another spelling',
      config: {},
      action: 'container.create',
      body: { HostConfig: { Mounts: [{ Type: 'bind', Source: '/run//docker.sock/', Target: '/s' }] } },
      changedBody: {
        HostConfig: { Mounts: [{ Type: 'bind', Source: '/run/dockgate/own-sockets/example.sock', Target: '/s' }] },
      },
      expect: 'pass',
    },
    {
      name: 'a folder that holds it',
      action: 'container.create',
      body: { HostConfig: { Binds: ['/var/run:/run'] } },
      changedBody: { HostConfig: { Binds: ['/var/run:/run'] } },
      expect: 'pass',
    },
  ],
});
