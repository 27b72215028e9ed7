// A registry of a test's own: `registry` of github.com/distribution/distribution/v3, on a free port of the loopback, with accounts
// where a test names some. The program is found by DOCKGATE_TEST_REGISTRY; it is built with
//   go install github.com/distribution/distribution/v3/cmd/registry@v3.0.0
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { until } from './until.ts';

export const REGISTRY: string | undefined = process.env.DOCKGATE_TEST_REGISTRY;
export const skipWithoutRegistry: false | string =
  REGISTRY !== undefined && existsSync(REGISTRY) ? false : 'no registry here, name one in DOCKGATE_TEST_REGISTRY';

/** bcrypt of the password `pw`, for the accounts of a registry. */
export const HASH_OF_PW = '$2y$04$abcdefghijklmnopqrstuuyvPXIbu7xe6/CED2DzX8z6Si09MlzlW';

export interface TestRegistry {
  /** `127.0.0.1:PORT`, the first part of the names of its images. */
  readonly address: string;
  stop(): void;
}

/**
 * @param accounts user to bcrypt hash, as in a htpasswd file; left out, every client may read and write
 * @param within command words that run it in an engine's network name space, whose loopback is another
 */
export async function startRegistry(
  accounts: Readonly<Record<string, string>> = {},
  within: readonly string[] = [],
): Promise<TestRegistry> {
  const dir = mkdtempSync(join(tmpdir(), 'dg-registry-'));
  const address = `127.0.0.1:${await freePort()}`;
  const users = Object.entries(accounts).map(([name, hash]) => `${name}:${hash}\n`);
  writeFileSync(join(dir, 'htpasswd'), users.join(''));
  const auth = users.length === 0 ? {} : { auth: { htpasswd: { realm: 'test', path: join(dir, 'htpasswd') } } };
  const settings = {
    version: 0.1,
    storage: { filesystem: { rootdirectory: join(dir, 'data') } },
    http: { addr: address, secret: 'of this test' },
    log: { level: 'error', accesslog: { disabled: true } },
    ...auth,
  };
  // YAML takes JSON.
  writeFileSync(join(dir, 'config.yml'), JSON.stringify(settings));
  const [command = '', ...args] = [...within, REGISTRY as string, 'serve', join(dir, 'config.yml')];
  const program = spawn(command, args, {
    stdio: 'ignore',
    env: { PATH: process.env.PATH, OTEL_TRACES_EXPORTER: 'none' },
  });
  const isUp = async () => {
    const [asks = '', ...words] = [...within, 'curl', '-s', '-o', '/dev/null', `http://${address}/v2/`];
    if (within.length > 0) return spawnSync(asks, words).status === 0;
    const answer = await fetch(`http://${address}/v2/`).catch(() => undefined);
    await answer?.arrayBuffer();
    return answer !== undefined;
  };
  await until('the registry answers', isUp);
  return {
    address,
    stop() {
      program.kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
