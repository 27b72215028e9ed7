// A gateway before a real engine with one identity per policy, each on a socket of its own: for tests of what host presets let
// through to it. Engine lines and Podman alike.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Api, apiOver } from './api.ts';
import { ENGINE_LINES, type EngineLine } from './engine.ts';
import { startGateway } from './gateway.ts';

const PODMAN = process.env.DOCKGATE_TEST_PODMAN_HOST?.replace(/^unix:\/\//, '') || undefined;
export const PODMAN_LINE: EngineLine = {
  line: 'Podman',
  socket: PODMAN,
  skip: PODMAN === undefined ? 'no Podman here: DOCKGATE_TEST_PODMAN_HOST' : false,
};
export const HOST_LINES: readonly EngineLine[] = [...ENGINE_LINES, PODMAN_LINE];

export interface HostRulesGateway {
  /** Straight to the engine. */
  readonly engine: Api;
  /** Calls of the identity that has the policy of that name. */
  as(policy: string): Api;
  /** Removes containers, networks and volumes by the start of their names. */
  clean(prefix: string): Promise<void>;
  remove(): Promise<void>;
}

/**
 * @param policies rules as YAML list items by the name of the policy; empty for a built-in policy
 */
export async function startHostRules(
  socket: string,
  policies: Readonly<Record<string, string>>,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<HostRulesGateway> {
  const names = Object.keys(policies);
  const gateway = await startGateway({
    engine: socket,
    settings,
    unix: names.map((name) => ({ name: `s-${name}`, identity: `i-${name}` })),
  });
  for (const [name, rules] of Object.entries(policies)) {
    if (rules !== '') {
      const file = join(gateway.dir, `${name}.yaml`);
      const indented = rules.trim().replaceAll(/^/gm, '  ');
      const metadata = `{ name: ${name}, acknowledges: [host-access] }`;
      writeFileSync(file, `apiVersion: dockgate/v1\nkind: Policy\nmetadata: ${metadata}\nrules:\n${indented}\n`);
      await gateway.must('policy', 'apply', '-f', file);
    }
    await gateway.must('identity', 'create', `i-${name}`, '--policy', name);
  }
  const engine = apiOver(socket);
  const list = async (path: string): Promise<readonly Record<string, unknown>[]> => {
    const { json } = await engine('GET', path);
    const found = Array.isArray(json) ? json : ((json as { Volumes?: unknown } | undefined)?.Volumes ?? []);
    return (Array.isArray(found) ? found : []) as readonly Record<string, unknown>[];
  };
  return {
    engine,
    as: (policy) => apiOver(join(gateway.dir, `s-${policy}.sock`)),
    async clean(prefix) {
      // Podman removes no container that another one uses: from the outside in.
      for (let round = 0; round < 4; round += 1) {
        for (const { Id, Names } of await list('/v1.41/containers/json?all=1')) {
          const isOwn = (Names as string[] | null)?.some((name) => name.replace(/^\//, '').startsWith(prefix));
          if (isOwn === true) await engine('DELETE', `/v1.41/containers/${Id}?force=1&v=1`);
        }
      }
      for (const { Name } of await list('/v1.41/networks'))
        if (String(Name).startsWith(prefix)) await engine('DELETE', `/v1.41/networks/${Name}`);
      for (const { Name } of await list('/v1.41/volumes'))
        if (String(Name).startsWith(prefix)) await engine('DELETE', `/v1.41/volumes/${Name}?force=1`);
    },
    remove: () => gateway.remove(),
  };
}

/** A container of the test's image that sleeps, without a network unless the settings say so. */
export const sleeper = (
  host: Readonly<Record<string, unknown>> = {},
  config: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> => ({
  Image: 'busybox:test',
  Cmd: ['sleep', '300'],
  ...config,
  HostConfig: { NetworkMode: 'none', ...host },
});
