// Policies and a running gateway: what may come into force, and how a decision is explained to who may change it.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ENGINE, skipWithoutEngine } from '../support/engine.ts';
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

  it('a docker command line is explained: the field, the value, and the nearest change that would allow it', async () => {
    const text = await explainText('--', 'docker', 'run', '-v', '/:/host', 'busybox:test', 'sh');
    assert.match(text, /^POST \/containers\/create/);
    assert.match(text, /HostConfig\.Binds\[0\] mounts host path "\/" \(allowed: none; use a named volume\)/);
    const explained = await explain('--', 'docker', 'run', '--privileged', 'busybox:test', 'sh');
    const create = explained.find(({ decision }) => decision.effect === 'deny');
    assert.equal(create?.decision.reasons[0]?.field, 'HostConfig.Privileged');
    const run = create?.steps.steps.find(({ rule }) => rule === 'run');
    assert.deepEqual([run?.outcome, run?.field], ['not-matched', 'HostConfig.Privileged']);
    assert.ok((create?.steps.nearest.length ?? 0) > 0);
    const plain = await explain('--', 'docker', 'run', '-v', 'data:/data', 'busybox:test', 'sh');
    assert.ok(plain.every(({ decision }) => decision.effect === 'allow'));
  });

  it('every request of a command is explained, the container that is yet to be made taken for granted', async () => {
    const narrow = policy(
      'narrow',
      '{ name: a, effect: allow, actions: [system.ping, container.create, container.start], host: { preset: baseline } }',
    );
    assert.equal((await gateway.dockgate('policy', 'apply', '-f', file('narrow.yaml', narrow))).code, 0);
    await gateway.must('identity', 'create', 'narrow', '--policy', 'narrow');
    const deniedOf = async (...docker: string[]) => {
      const args = ['policy', 'explain', '--as', 'narrow', '--json', '--', 'docker', ...docker];
      const [command, first] = dockgateCommand();
      const ran = await run(command, [...first, '--config', gateway.configFile, ...args]);
      assert.equal(ran.code, 0, ran.stderr);
      return (JSON.parse(ran.stdout) as Explained[])
        .filter(({ decision }) => decision.effect === 'deny')
        .map(({ request }) => request.target.split('?')[0]);
    };
    assert.deepEqual(await deniedOf('run', '--rm', 'busybox:test', 'true'), [
      '/containers/new/attach',
      '/containers/new/wait',
    ]);
    assert.deepEqual(await deniedOf('run', '-d', '--name', 'n', 'busybox:test', 'true'), []);
    assert.deepEqual(await deniedOf('run', '-it', '--name', 'n', 'busybox:test'), [
      '/containers/n/attach',
      '/containers/n/wait',
      '/containers/n/resize',
    ]);
    assert.deepEqual(await deniedOf('exec', 'n', 'true'), [
      '/containers/n/exec',
      '/containers/n/json',
      '/exec/new/start',
      '/exec/new/json',
    ]);
    const { stdout } = await gateway.dockgate('policy', 'explain', '--as', 'narrow', 'docker', 'run', 'busybox:test');
    assert.match(stdout, /DENY {2}the whole command: 2 of 5 requests are denied/);
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
