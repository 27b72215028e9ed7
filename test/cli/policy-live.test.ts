// Policies and a running gateway: what may come into force, and how a decision is explained to who may change it.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { apiOver } from '../support/api.ts';
import { DOCKER_CLI, ENGINE, IMAGE, skipWithoutCli, skipWithoutEngine } from '../support/engine.ts';
import { run, startGateway, type TestGateway } from '../support/gateway.ts';
import { dockgateCommand } from '../support/runtime.ts';

interface Explained {
  readonly request: { readonly target: string };
  readonly decision: { readonly effect: string; readonly reasons: readonly { readonly field?: string }[] };
  readonly text: string;
  readonly steps: {
    readonly nearest: readonly string[];
    readonly steps: readonly { readonly rule: string; readonly outcome: string; readonly field?: string }[];
  };
}

describe('policies of a running gateway', { skip: skipWithoutEngine }, () => {
  let gateway: TestGateway;
  before(async () => {
    gateway = await startGateway({ engine: ENGINE as string });
    await gateway.must('identity', 'create', 'ci', '--policy', 'baseline', '--tenant', 'acme');
  });
  after(() => gateway?.remove());

  const file = (name: string, text: string): string => {
    const path = join(gateway.dir, name);
    writeFileSync(path, text);
    return path;
  };
  const policy = (name: string, rule: string, metadata = '', tests = ''): string =>
    `apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: ${name}${metadata} }\nrules:\n  - ${rule}\n${tests}`;
  const LOOK = '{ name: look, effect: allow, actions: [container.list] }';
  const test = (expect: string) =>
    `tests:\n  - { name: lists, request: { method: GET, path: /containers/json }, expect: ${expect} }\n`;

  it('a policy whose own tests fail does not come into force, and the place is told', async () => {
    const failing = file('failing.yaml', policy('failing', LOOK, '', test('deny')));
    const { code, stderr } = await gateway.dockgate('policy', 'apply', '-f', failing);
    assert.equal(code, 1);
    assert.match(stderr, /failing\.yaml:7:\d+: test "lists": /);
    assert.doesNotMatch(await gateway.must('policy', 'list'), /failing/);
    await gateway.must('policy', 'apply', '-f', file('passing.yaml', policy('passing', LOOK, '', test('allow'))));
    assert.match(await gateway.must('policy', 'list'), /passing/);
  });

  it('a policy that gives the host away must say so', async () => {
    const rule = '{ name: all, effect: allow, actions: ["container.*"] }';
    const silent = await gateway.dockgate('policy', 'apply', '-f', file('silent.yaml', policy('open', rule)));
    assert.equal(silent.code, 1);
    assert.match(silent.stderr, /silent\.yaml:5:\d+: rule all lets pass a privileged container .*acknowledges/);
    await gateway.must(
      ...['policy', 'apply', '-f'],
      file('said.yaml', policy('open', rule, ', acknowledges: [host-access]')),
    );
  });

  it('one fault keeps every document of the apply out of force', async () => {
    const good = file('two-good.yaml', policy('two-good', LOOK));
    const bad = file('two-bad.yaml', policy('two-bad', LOOK, '', test('deny')));
    assert.equal((await gateway.dockgate('policy', 'apply', '-f', good, bad)).code, 1);
    assert.doesNotMatch(await gateway.must('policy', 'list'), /two-/);
  });

  /** Everything behind `--` is the docker command line, so the settings file comes first. */
  const explainText = async (...args: string[]): Promise<string> => {
    const [command, first] = dockgateCommand();
    const ran = await run(command, [
      ...first,
      '--config',
      gateway.configFile,
      'policy',
      'explain',
      '--as',
      'ci',
      ...args,
    ]);
    assert.equal(ran.code, 0, ran.stderr);
    return ran.stdout;
  };
  const explain = async (...args: string[]): Promise<Explained[]> =>
    JSON.parse(await explainText('--json', ...args)) as Explained[];

  it('a command is run and explained, with what the engine has, and none of it reaches the engine', {
    skip: skipWithoutCli,
  }, async () => {
    const engine = apiOver(ENGINE as string);
    const name = `explained-${process.pid}`;
    const made = await engine('POST', `/containers/create?name=${name}`, {
      body: { Image: IMAGE, Cmd: ['sleep', '1'] },
    });
    assert.equal(made.status, 201, made.text);
    try {
      await gateway.must('identity', 'create', 'op', '--policy', 'baseline');
      const script = `"$0" rm ${name}; "$0" run -d --name ${name}-2 ${IMAGE} sleep 60; "$0" exec ${name}-2 true; "$0" run --privileged ${IMAGE}`;
      const [command, first] = dockgateCommand();
      const ran = await run(command, [
        ...[...first, '--config', gateway.configFile, 'policy', 'explain', '--as', 'op', '--json'],
        ...['--', 'sh', '-c', script, DOCKER_CLI as string],
      ]);
      assert.equal(ran.code, 0, ran.stderr);
      const calls = JSON.parse(ran.stdout) as (Explained & { readonly action: string })[];
      assert.deepEqual(
        calls
          .filter(({ action }) => !/^system\.ping|wait$|inspect$/.test(action))
          .map(({ action, decision }) => `${action} ${decision.effect}`),
        [
          'container.remove allow',
          'container.create allow',
          'container.start allow',
          'container.exec.create allow',
          'container.exec.start allow',
          'container.create deny',
        ],
      );
      const denied = calls.find(({ decision }) => decision.effect === 'deny');
      assert.equal(denied?.decision.reasons[0]?.field, 'HostConfig.Privileged');
      assert.ok((denied?.steps.nearest.length ?? 0) > 0);
      assert.match(ran.stderr, /the command ended with exit code 125/);
      assert.equal((await engine('GET', `/containers/${name}/json`)).status, 200);
      assert.equal((await engine('GET', `/containers/${name}-2/json`)).status, 404);
    } finally {
      await engine('DELETE', `/containers/${name}?force=1`);
    }
  });

  it('a request of a file is explained as it would be decided', async () => {
    const body = { Image: 'busybox:test', HostConfig: { PidMode: 'host' } };
    const request = file('r.json', JSON.stringify({ method: 'POST', target: '/v1.45/containers/create', body }));
    const [explained] = await explain('--request', request);
    assert.equal(explained?.decision.reasons[0]?.field, 'HostConfig.PidMode');
    const info = file('i.json', JSON.stringify({ method: 'GET', target: '/info' }));
    assert.equal((await explain('--request', info))[0]?.decision.effect, 'allow');
    const odd = file('o.json', JSON.stringify({ method: 'GET', target: '/v1.45//info' }));
    const refused = await gateway.dockgate('policy', 'explain', '--as', 'ci', '--request', odd);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /the path has an empty segment/);
  });
});

describe('an identity and the policies that hold for it', () => {
  let gateway: TestGateway;
  before(async () => {
    gateway = await startGateway({ engine: '/nonexistent/docker.sock' });
  });
  after(() => gateway.remove());

  const policy = (name: string, subjects = '') =>
    `apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: ${name} }\n${subjects}rules:\n  - { name: look, effect: allow, actions: [container.list] }\n`;
  const apply = async (name: string, text: string): Promise<string> => {
    const path = join(gateway.dir, `${name}.yaml`);
    writeFileSync(path, text);
    return gateway.must('policy', 'apply', '-f', path);
  };

  it('is changed: policies, groups and tenant, each alone or together', async () => {
    await gateway.must('identity', 'create', 'ci', '--policy', 'baseline', '--tenant', 'red');
    await gateway.must('identity', 'update', 'ci', '--policy', 'compose', '--policy', 'ci-build', '--group', 'ops');
    const shown = async () =>
      JSON.parse(await gateway.must('identity', 'show', 'ci', '--json')) as Record<string, unknown>;
    const { policies, groups, tenant } = await shown();
    assert.deepEqual([policies, groups, tenant], [['compose', 'ci-build'], ['ops'], 'red']);
    await gateway.must('identity', 'update', 'ci', '--tenant', 'none', '--group', 'none');
    assert.deepEqual([(await shown()).groups, (await shown()).tenant], [[], null]);
    assert.equal((await gateway.dockgate('identity', 'update', 'ci')).code, 2);
    const wrong = await gateway.dockgate('identity', 'update', 'ci', '--policy', 'nosuch');
    assert.notEqual(wrong.code, 0);
    assert.match(wrong.stderr, /nosuch/);
  });

  it('a policy that is applied and bound to no caller is told so, until it is bound', async () => {
    assert.match(await apply('lonely', policy('lonely')), /warning: policy lonely is bound to no caller/);
    assert.doesNotMatch(await apply('own', policy('own', 'subjects: [{ identity: ci }]\n')), /warning/);
    await gateway.must('identity', 'update', 'ci', '--policy', 'lonely');
    assert.doesNotMatch(await apply('lonely', policy('lonely')), /warning/);
  });

  it('identity show tells the policies that hold and what binds each', async () => {
    await apply(
      'ops',
      'apiVersion: dockgate/v1\nkind: Binding\nmetadata: { name: ops }\nsubjects: [{ group: ops }]\npolicies: [reader]\n',
    );
    await gateway.must('identity', 'update', 'ci', '--policy', 'lonely', '--group', 'ops');
    const text = await gateway.must('identity', 'show', 'ci');
    assert.match(text, /lonely \(by the identity itself\)/);
    assert.match(text, /reader \(by binding ops\)/);
    assert.match(text, /own \(by binding own\)/);
    await gateway.must('identity', 'create', 'bare');
    assert.match(await gateway.must('identity', 'show', 'bare'), /no policy, so everything is denied/);
  });

  it('a limit on the life of tokens beyond what is possible is refused, and the way for a service is shown', async () => {
    for (const args of [
      ['create', 'service', '--max-ttl', '30d'],
      ['update', 'bare', '--max-ttl', '25h'],
      ['create', 'chief', '--policy', 'operator', '--max-ttl', '8d'],
    ]) {
      const { code, stderr } = await gateway.dockgate('identity', ...args);
      assert.notEqual(code, 0, args.join(' '));
      assert.match(stderr, /socket add.*--credential-file.*cert issue/);
    }
    await gateway.must('identity', 'create', 'chief', '--policy', 'operator', '--max-ttl', '7d');
    await gateway.must('identity', 'create', 'service', '--max-ttl', '24h');
  });
});
