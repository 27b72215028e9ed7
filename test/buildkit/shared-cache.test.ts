// One BuildKit for two tenants: what its cache leaves out of its keys (proxies, addresses of hosts, secrets), what builds share while
// they run, and caches a client brings. Drives a real engine with a real docker.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { clientEnv } from '../clients/channels.ts';
import { CLI_PLUGINS, dockerDirect, IMAGE, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-bkc-${IS_DENO ? 'deno' : 'node'}`;
const skip = skipWithoutCli !== false ? skipWithoutCli : CLI_PLUGINS === undefined ? 'no docker-buildx here' : false;
const RANDOM = '/proc/sys/kernel/random/uuid';

/** A cache that holds nothing, as `--cache-to type=local` writes one; @returns the folder */
function emptyCache(folder: string): string {
  const blob = (content: object) => {
    const bytes = Buffer.from(JSON.stringify(content));
    const hex = createHash('sha256').update(bytes).digest('hex');
    mkdirSync(join(folder, 'blobs', 'sha256'), { recursive: true });
    writeFileSync(join(folder, 'blobs', 'sha256', hex), bytes);
    return { digest: `sha256:${hex}`, size: bytes.length };
  };
  const config = { mediaType: 'application/vnd.buildkit.cacheconfig.v0', ...blob({ layers: [], records: [] }) };
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = { mediaType, ...blob({ schemaVersion: 2, mediaType, config, layers: [] }) };
  const annotations = { 'org.opencontainers.image.ref.name': 'latest' };
  writeFileSync(
    join(folder, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  );
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  return folder;
}

describe('the cache of one BuildKit', { skip }, () => {
  let two: TwoTenants;
  const env: Record<string, NodeJS.ProcessEnv> = {};
  const folderOf = (name: string, dockerfile: string): string => {
    const folder = join(two.gateway.dir, name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'Dockerfile'), dockerfile);
    return folder;
  };
  const run = (who: string, ...args: string[]): Promise<Ran> =>
    docker(env[who] as NodeJS.ProcessEnv, [
      'buildx',
      'build',
      '--network',
      'none',
      '--progress',
      'plain',
      '--provenance=false',
      ...args,
    ]);
  const build = async (who: string, ...args: string[]): Promise<string> => {
    const ran = await run(who, ...args);
    assert.equal(ran.code, 0, ran.stderr);
    return ran.stderr;
  };
  /** A word of this run: each is a step without a cache entry. */
  const word = () => `${PREFIX}-${Date.now()}-${Math.random()}`;

  before(async () => {
    two = await startTwoTenants('baseline');
    for (const identity of ['alice', 'bob', 'root']) {
      env[identity] = clientEnv(two.gateway, 'unix', { identity, token: '' });
    }
  });
  after(async () => {
    const images = dockerDirect('images', '-q', '--filter', `reference=${PREFIX}*`).split('\n').filter(Boolean);
    if (images.length > 0) dockerDirect('rmi', '-f', ...new Set(images));
    await two?.gateway.remove();
  });

  it('a proxy that another names is in no step of one’s own; what one built oneself is found again', async () => {
    const folder = folderOf('proxy', `FROM ${IMAGE}\nRUN echo ${word()} && echo "proxy is [$HTTP_PROXY]"\n`);
    assert.match(
      await build('bob', '--build-arg', 'HTTP_PROXY=http://evil.test:1', folder),
      /\[http:\/\/evil\.test:1\]/,
    );
    assert.match(await build('alice', folder), /proxy is \[\]/);
    assert.match(await build('alice', folder), /CACHED/);
    assert.match(await build('root', folder), /proxy is \[\]/);
  });

  it('the address another gives a host is in no step of one’s own', async () => {
    const folder = folderOf('hosts', `FROM ${IMAGE}\nRUN echo ${word()} && grep repository.test /etc/hosts\n`);
    assert.match(await build('bob', '--add-host', 'repository.test:192.0.2.6', folder), /192\.0\.2\.6/);
    assert.match(await build('alice', '--add-host', 'repository.test:192.0.2.1', folder), /192\.0\.2\.1/);
    assert.match(await build('alice', '--add-host', 'repository.test:192.0.2.1', folder), /CACHED/);
  });

  it('what a step made of another’s secret is not read with a secret of one’s own', async () => {
    const folder = folderOf(
      'secret',
      `FROM ${IMAGE}\nRUN --mount=type=secret,id=s echo ${word()} && cp /run/secrets/s /made\nRUN --network=none echo "made of [$(cat /made)]"\n`,
    );
    const secret = (text: string) => {
      writeFileSync(join(two.gateway.dir, text), text);
      return ['--secret', `id=s,src=${join(two.gateway.dir, text)}`];
    };
    assert.match(await build('alice', ...secret('of-alice'), folder), /made of \[of-alice\]/);
    assert.match(await build('bob', ...secret('of-bob'), folder), /made of \[of-bob\]/);
    assert.match(await build('alice', ...secret('of-alice'), folder), /CACHED/);
  });

  it('steps that run at once are one for one tenant, and two for two', async () => {
    const folder = folderOf('live', `FROM ${IMAGE}\nRUN echo ${word()} && sleep 4 && echo "id is $(cat ${RANDOM})"\n`);
    const id = (stderr: string) => /id is ([0-9a-f-]{36})/.exec(stderr)?.[1] ?? 'none';
    const [first, other, again] = (
      await Promise.all([build('alice', folder), build('bob', folder), build('alice', folder)])
    ).map(id);
    assert.notEqual(first, 'none');
    assert.notEqual(first, other);
    assert.equal(first, again);
  });

  it('a cache that a tenant brings is left out, and the build goes on and says so; without tenants it is read', async () => {
    const cache = emptyCache(join(two.gateway.dir, 'cache'));
    const folder = folderOf('cached', `FROM ${IMAGE}\nRUN echo ${word()}\n`);
    const from = ['--cache-from', `type=local,src=${cache}`];
    const shown = await build('alice', ...from, folder);
    assert.doesNotMatch(shown, /importing cache manifest/);
    assert.match(shown, /cache.*is left out/i);
    assert.match(await build('root', ...from, folder), /importing cache manifest/);
  });
});
