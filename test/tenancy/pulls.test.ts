// Images of one name in several tenants, with a real registry that asks for credentials: no tenant reads or replaces another's, or
// keeps another from the registry.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Answer, type Api, must } from '../support/api.ts';
import { IMAGE, skipWithoutEngine } from '../support/engine.ts';
import { HASH_OF_PW, skipWithoutRegistry, startRegistry, type TestRegistry } from '../support/registry.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';
import { removeAll, startTwoTenants, type TwoTenants } from '../support/tenants.ts';

const PREFIX = `dg-pulls-${IS_DENO ? 'deno' : 'node'}`;
const skip = skipWithoutEngine !== false ? skipWithoutEngine : skipWithoutRegistry;

describe('images of one name in several tenants', { skip }, () => {
  let registry: TestRegistry;
  let two: TwoTenants;
  let repo: string;

  before(async () => {
    registry = await startRegistry({ alice: HASH_OF_PW, bob: HASH_OF_PW, root: HASH_OF_PW });
    repo = `${registry.address}/${PREFIX}`;
    two = await startTwoTenants('operator', { settings: { tenants: { sharedImages: ['*'] } } });
    await removeAll(two.engine, PREFIX);
  });
  after(async () => {
    await removeAll(two.engine, PREFIX);
    await removeAll(two.engine, registry.address);
    await two.gateway.remove();
    registry.stop();
  });

  const auth = (username: string) => {
    const config = username === '' ? {} : { username, password: 'pw', serveraddress: registry.address };
    // With padding: the engine takes anything else for no credentials.
    const text = Buffer.from(JSON.stringify(config)).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
    return { 'x-registry-auth': text };
  };
  const pull = (api: Api, who: string, tag: string): Promise<Answer> =>
    api('POST', `/images/create?fromImage=${encodeURIComponent(repo)}&tag=${tag}`, { headers: auth(who) });
  const push = async (api: Api, who: string, tag: string): Promise<void> => {
    const { status, text } = await api('POST', `/images/${repo}/push?tag=${tag}`, { headers: auth(who) });
    assert.equal(status, 200, text);
    assert.doesNotMatch(text, /errorDetail/);
  };
  /** An image with a word in it, under a tag. */
  const make = async (api: Api, tag: string, word: string): Promise<string> => {
    const body = { Image: IMAGE, Cmd: ['echo', word], HostConfig: { NetworkMode: 'none' } };
    const { Id } = await must<{ Id: string }>(api, 'POST', '/containers/create', body);
    const made = await must<{ Id: string }>(api, 'POST', `/commit?container=${Id}&repo=${repo}&tag=${tag}`);
    await must(api, 'DELETE', `/containers/${Id}`);
    return made.Id;
  };
  const says = async (api: Api, tag: string): Promise<string> => {
    const { status, json, text } = await api('GET', `/images/${repo}:${tag}/json`);
    return status === 200 ? ((json as { Config: { Cmd: string[] } }).Config.Cmd[1] ?? '') : text;
  };
  /** What a container made of the name would run. */
  const runs = async (api: Api, tag: string): Promise<string> => {
    const body = { Image: `${repo}:${tag}`, HostConfig: { NetworkMode: 'none' } };
    const { status, json, text } = await api('POST', '/containers/create', { body });
    if (status !== 201) return text;
    const shown = await must<{ Config: { Cmd: string[] } }>(
      two.engine,
      'GET',
      `/containers/${(json as { Id: string }).Id}/json`,
    );
    await must(api, 'DELETE', `/containers/${(json as { Id: string }).Id}`);
    return shown.Config.Cmd[1] ?? '';
  };

  it('a name one tenant built and pushed is pulled by another with its own credentials', async () => {
    await make(two.alice, 'app', 'first');
    await push(two.alice, 'alice', 'app');
    const without = await pull(two.bob, '', 'app');
    assert.ok(without.status >= 400, without.text);
    assert.match(await runs(two.bob, 'app'), /No such image/);
    const { status, text } = await pull(two.bob, 'bob', 'app');
    assert.equal(status, 200, text);
    assert.doesNotMatch(text, /errorDetail/);
    assert.equal(await says(two.bob, 'app'), 'first');
    assert.equal(await runs(two.bob, 'app'), 'first');
    const listed = await must<readonly { RepoTags: string[] }[]>(two.bob, 'GET', '/images/json');
    assert.ok(listed.some(({ RepoTags }) => RepoTags.includes(`${repo}:app`)));
  });

  it('what its maker builds next under the name is seen by the maker alone, until it is pushed', async () => {
    await make(two.alice, 'app', 'secret');
    assert.equal(await says(two.alice, 'app'), 'secret');
    assert.equal(await says(two.bob, 'app'), 'first');
    assert.equal(await runs(two.bob, 'app'), 'first');
    // A pull of the other's does not bring the maker's own image back to what the registry has.
    assert.equal((await pull(two.bob, 'bob', 'app')).status, 200);
    assert.equal(await runs(two.alice, 'app'), 'secret');
    await push(two.alice, 'alice', 'app');
    assert.equal(await runs(two.bob, 'app'), 'first');
    assert.equal((await pull(two.bob, 'bob', 'app')).status, 200);
    assert.equal(await runs(two.bob, 'app'), 'secret');
  });

  it('a squatted name keeps no tenant from the image of the registry, and does not show the image under it', async () => {
    await make(two.engine, 'base', 'official');
    await push(two.engine, 'root', 'base');
    await must(two.engine, 'DELETE', `/images/${repo}:base`);
    await make(two.alice, 'base', 'squat');
    assert.equal((await pull(two.bob, 'bob', 'base')).status, 200);
    assert.equal(await runs(two.bob, 'base'), 'official');
    assert.equal(await runs(two.alice, 'base'), 'squat');
    const pushed = await two.bob('POST', `/images/${repo}/push?tag=base`, { headers: auth('bob') });
    assert.equal(pushed.status, 409, pushed.text);
    const context = Buffer.concat([tarEntry('Dockerfile', `FROM ${repo}:base\n`), Buffer.alloc(1024)]);
    const built = await two.bob('POST', `/build?t=${PREFIX}-built`, { body: context });
    assert.ok(built.status >= 400 || /errorDetail/.test(built.text), built.text);
    assert.equal((await two.engine('GET', `/images/${PREFIX}-built/json`)).status, 404);
    const saved = await two.bob('GET', `/images/${repo}:base/get`);
    assert.ok(!saved.text.includes('squat') && saved.text.includes('official'));
    assert.equal((await two.bob('DELETE', `/images/${repo}:base`)).status, 200);
    assert.equal(await runs(two.alice, 'base'), 'squat');
    assert.match(await runs(two.bob, 'base'), /No such image/);
  });

  it('a shared name is pulled where the pull changes nothing, and stands as it is otherwise', async () => {
    const old = await make(two.engine, 'tool', 'one');
    await push(two.engine, 'root', 'tool');
    const same = await pull(two.alice, 'alice', 'tool');
    assert.equal(same.status, 200, same.text);
    assert.doesNotMatch(same.text, /errorDetail/);
    await make(two.engine, 'tool', 'two');
    await push(two.engine, 'root', 'tool');
    await must(two.engine, 'POST', `/images/${old}/tag?repo=${repo}&tag=tool`);
    const moved = await pull(two.alice, 'alice', 'tool');
    assert.equal(moved.status, 409, moved.text);
    assert.match(moved.text, /shared here .*an operator can change it .*tenants\.refreshShared/);
    assert.equal(await says(two.engine, 'tool'), 'one');
    await make(two.engine, 'local', 'here');
    const local = await pull(two.alice, 'alice', 'local');
    assert.equal(local.status, 409, local.text);
    assert.match(local.text, /an operator can change it/);
  });

  it('a push tells no repository of others', async () => {
    const { Id } = await must<{ Id: string }>(two.engine, 'GET', `/images/${IMAGE}/json`);
    const secret = `${registry.address}/${PREFIX}-secret`;
    await must(two.alice, 'POST', `/images/${Id}/tag?repo=${secret}/deep&tag=1`);
    const first = await two.alice('POST', `/images/${secret}/deep/push?tag=1`, { headers: auth('alice') });
    assert.doesNotMatch(first.text, /errorDetail/);
    await must(two.bob, 'POST', `/images/${Id}/tag?repo=${registry.address}/${PREFIX}-bobs&tag=1`);
    const { text } = await two.bob('POST', `/images/${registry.address}/${PREFIX}-bobs/push?tag=1`, {
      headers: auth('bob'),
    });
    assert.doesNotMatch(text, /errorDetail/);
    assert.doesNotMatch(text, /secret/);
  });

  it('a pull of a whole repository moves no shared name and no name of another tenant, and claims the images it brought', async () => {
    const pullAll = (api: Api, who: string, name: string): Promise<Answer> =>
      api('POST', `/images/create?fromImage=${encodeURIComponent(name)}`, { headers: auth(who) });
    const all = `${repo}/all`;
    const { Id } = await must<{ Id: string }>(two.engine, 'GET', `/images/${IMAGE}/json`);
    for (const tag of ['1', '2', '3']) {
      await must(two.engine, 'POST', `/images/${Id}/tag?repo=${all}&tag=${tag}`);
      const { text } = await two.engine('POST', `/images/${all}/push?tag=${tag}`, { headers: auth('root') });
      assert.doesNotMatch(text, /errorDetail/);
      if (tag !== '1') await must(two.engine, 'DELETE', `/images/${all}:${tag}`);
    }
    const everybodys = await pullAll(two.bob, 'bob', all);
    assert.equal(everybodys.status, 409, everybodys.text);
    assert.match(everybodys.text, /shared here .*one by one/);
    await must(two.engine, 'DELETE', `/images/${all}:1`);

    await must(two.alice, 'POST', `/images/${Id}/tag?repo=${all}&tag=1`);
    const made = await pullAll(two.bob, 'bob', all);
    assert.equal(made.status, 409, made.text);
    await must(two.alice, 'DELETE', `/images/${all}:1`);

    const pulled = await pullAll(two.bob, 'bob', all);
    assert.equal(pulled.status, 200, pulled.text);
    assert.doesNotMatch(pulled.text, /errorDetail/);
    const owned = await two.gateway.must('tenant', 'objects', 'blue', '--json');
    for (const tag of ['1', '2', '3']) assert.ok(owned.includes(`${all}:${tag}`), owned);
  });

  it('an image a build was not let have is no claim when an operator brings it', async () => {
    await make(two.engine, 'closed', 'private');
    await push(two.engine, 'root', 'closed');
    await must(two.engine, 'DELETE', `/images/${repo}:closed`);
    const context = Buffer.concat([tarEntry('Dockerfile', `FROM ${repo}:closed\n`), Buffer.alloc(1024)]);
    const build = (registries: object): Promise<Answer> =>
      two.bob('POST', `/build?t=${PREFIX}-from-closed`, {
        body: context,
        headers: { 'x-registry-config': Buffer.from(JSON.stringify(registries)).toString('base64') },
      });
    const refused = await build({});
    assert.match(refused.text, /no basic auth|denied|unauthorized/i);
    const objects = (): Promise<string> => two.gateway.must('tenant', 'objects', 'blue', '--json');
    assert.ok(!(await objects()).includes(`${repo}:closed`));
    // A mark of any length that base64 fills up.
    for (const password of ['pw', 'pw ', 'pw  ']) {
      const given = {
        [registry.address]: {
          username: 'bob',
          password: password.trim(),
          serveraddress: registry.address + password.slice(2),
        },
      };
      const built = await build(given);
      assert.match(built.text, /Successfully built/, built.text);
      await must(two.bob, 'DELETE', `/images/${PREFIX}-from-closed`);
      await must(two.bob, 'DELETE', `/images/${repo}:closed`);
    }
    assert.equal((await pull(two.engine, 'root', 'closed')).status, 200);
    assert.ok(!(await objects()).includes(`${repo}:closed`));
  });
});
