// A gateway with two tenants, each on a socket of its own, and the engine beside it. Their policy allows everything, so that what
// keeps them apart is the ledger alone.
import { join } from 'node:path';
import { admin } from './admin.ts';
import { type Api, apiOver } from './api.ts';
import { ENGINE } from './engine.ts';
import { type GatewayOptions, startGateway, type TestGateway } from './gateway.ts';

export interface TwoTenants {
  readonly gateway: TestGateway;
  readonly alice: Api;
  readonly bob: Api;
  /** An operator without a tenant, through the gateway. */
  readonly operator: Api;
  /** The engine itself. */
  readonly engine: Api;
}

/** @param policy of both tenants; `operator` allows everything */
export async function startTwoTenants(policy = 'operator', options: Partial<GatewayOptions> = {}): Promise<TwoTenants> {
  const socket = options.engine ?? (ENGINE as string);
  const names = ['alice', 'bob', 'root'];
  const gateway = await startGateway({
    engine: socket,
    unix: names.map((name) => ({ name, identity: name })),
    ...options,
  });
  for (const [name, policies, tenant] of [
    ['alice', [policy], 'red'],
    ['bob', [policy], 'blue'],
    ['root', ['operator'], undefined],
  ]) {
    await admin(gateway, 'POST', '/identities', { name, policies, tenant });
  }
  const at = (name: string): Api => apiOver(join(gateway.dir, `${name}.sock`));
  return { gateway, alice: at('alice'), bob: at('bob'), operator: at('root'), engine: apiOver(socket) };
}

/** Removes containers, networks, volumes and images whose name starts with a prefix, straight at the engine. */
export async function removeAll(engine: Api, prefix: string): Promise<void> {
  const list = async (path: string, key?: string): Promise<Record<string, unknown>[]> => {
    const { json } = await engine('GET', path);
    return ((key === undefined ? json : (json as Record<string, unknown>)[key]) ?? []) as Record<string, unknown>[];
  };
  for (const one of await list('/containers/json?all=1')) {
    if ((one.Names as string[]).some((name) => name.startsWith(`/${prefix}`)))
      await engine('DELETE', `/containers/${one.Id as string}?force=1&v=1`);
  }
  for (const one of await list('/networks'))
    if ((one.Name as string).startsWith(prefix)) await engine('DELETE', `/networks/${one.Id as string}`);
  for (const one of await list('/volumes', 'Volumes'))
    if ((one.Name as string).startsWith(prefix)) await engine('DELETE', `/volumes/${one.Name as string}`);
  for (const one of await list('/images/json'))
    for (const tag of (one.RepoTags ?? []) as string[])
      if (tag.startsWith(prefix)) await engine('DELETE', `/images/${tag}?force=1`);
}
