// A CI job with the CI system's own token and no stored secret: over HTTPS to a running gateway, with the real docker CLI,
// against a real engine. The issuer is a server of this test; its settings are those of a real one.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import { dockerDirect, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { docker, startGateway, type TestGateway } from '../support/gateway.ts';
import { JWKS, startIssuer, type TestIssuer } from '../support/oidc-issuer.ts';
import { IS_DENO } from '../support/runtime.ts';

const PREFIX = `dg-citoken-${IS_DENO ? 'deno' : 'node'}`;
const AUD = 'https://docker.acme.example';
const POLICY = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: jobs, description: jobs of acme/app run their own containers }
subjects: [{ issuer: ISSUER, subject: "github:acme/app:*" }]
rules:
  - { name: look, effect: allow, actions: [system.ping, system.version, system.info, container.list, "image.inspect"] }
  - name: run
    effect: allow
    actions: ["container.*"]
    resources: ["container/${PREFIX}-*", "image/*"]
    host: { preset: baseline }
`;

interface Row {
  readonly [key: string]: unknown;
  readonly detail: { readonly origin?: Record<string, unknown>; readonly message?: string };
}

describe('a CI job with its own token', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  let issuer: TestIssuer;
  const rules = (ref: string) => [
    {
      name: 'app',
      when: { repository_id: '74', ref },
      subject: `github:\${repository}:\${run_id}`,
      tenant: `gh-\${repository_owner_id}`,
    },
    { name: 'bot', when: { repository_id: '75', ref }, identity: 'ci' },
  ];
  const settings = (ref = 'refs/heads/main') => [
    {
      name: 'github',
      preset: 'github-actions',
      issuer: issuer.url,
      insecureHttp: true,
      audience: AUD,
      rules: rules(ref),
    },
  ];
  let count = 0;
  const token = (changes: Record<string, unknown> = {}) => {
    const iat = Math.floor(Date.now() / 1000);
    return issuer.sign('k1', {
      iss: issuer.url,
      aud: AUD,
      sub: 'repo:acme/app:ref:refs/heads/main',
      jti: `job-${++count}`,
      iat,
      nbf: iat,
      exp: iat + 300,
      ref: 'refs/heads/main',
      repository: 'acme/app',
      repository_id: '74',
      repository_owner_id: '65',
      run_id: '1001',
      actor: 'octocat',
      ...changes,
    });
  };
  const audit = async (...filter: string[]): Promise<Row[]> =>
    JSON.parse(await gateway.must('audit', 'ls', '--json', ...filter)) as Row[];

  before(async () => {
    issuer = await startIssuer();
    await issuer.addKey('k1');
    gateway = await startGateway({ engine: ENGINE as string, settings: { issuers: settings() } });
    const file = `${gateway.dir}/jobs.yaml`;
    writeFileSync(file, POLICY.replace('ISSUER', issuer.url));
    await gateway.must('policy', 'apply', '-f', file);
    await gateway.must('identity', 'create', 'ci', '--policy', 'baseline', '--tenant', 'acme');
  });
  after(async () => {
    if (skipWithoutCli === false) removeContainers(PREFIX);
    await gateway?.remove();
    await issuer?.stop();
  });

  it('runs a container under the name its claims give it, and the audit says on whose word', async () => {
    const text = await token();
    const run = ['run', '--rm', '--network', 'none', '--name', `${PREFIX}-run`, IMAGE, 'echo', 'built'];
    const ran = await docker(gateway.dockerEnv(text), run);
    assert.deepEqual(ran, { code: 0, stdout: 'built\n', stderr: '' });
    const rows = await audit('--action', 'container.create');
    const [row] = rows;
    assert.equal(row?.subject, 'github:acme/app:1001');
    assert.equal(row?.issuer, issuer.url);
    assert.equal(row?.tenant, 'gh-65');
    assert.equal(row?.tokenId, `github:job-${count}`);
    const origin = rows.map(({ detail }) => detail?.origin).find((found) => found !== undefined);
    assert.deepEqual(origin, {
      issuer: 'github',
      iss: issuer.url,
      subject: 'repo:acme/app:ref:refs/heads/main',
      rule: 'app',
      claims: {
        sub: 'repo:acme/app:ref:refs/heads/main',
        repository_id: '74',
        ref: 'refs/heads/main',
        repository: 'acme/app',
        run_id: '1001',
        repository_owner_id: '65',
      },
    });
    assert.ok(!JSON.stringify(rows).includes(text.split('.')[2] as string), 'the token itself is nowhere');
  });

  it('a CI job with its own token is held to its policy', async () => {
    const env = gateway.dockerEnv(await token());
    const privileged = await docker(env, ['run', '--rm', '--privileged', '--name', `${PREFIX}-p`, IMAGE, 'true']);
    assert.notEqual(privileged.code, 0);
    assert.match(privileged.stderr, /Privileged/);
    const elsewhere = await docker(env, ['run', '--rm', '--network', 'none', '--name', 'other-name', IMAGE, 'true']);
    assert.match(elsewhere.stderr, /denied|No policy|no policy|no rule/i);
  });

  it('a CI job with its own token may speak for an identity of the gateway', async () => {
    const env = gateway.dockerEnv(await token({ repository_id: '75', repository: 'acme/bot' }));
    const ran = await docker(env, ['ps', '-q']);
    assert.equal(ran.code, 0, ran.stderr);
    const [row] = await audit('--subject', 'ci');
    assert.equal(row?.issuer, 'dockgate');
    assert.equal(row?.tenant, 'acme');
  });

  it('an unmapped job is told so with an audit id, and no more; operators see why', async () => {
    const ran = await docker(gateway.dockerEnv(await token({ ref: 'refs/heads/feature' })), ['ps']);
    assert.notEqual(ran.code, 0);
    assert.match(ran.stderr, /no rule of this gateway says who its caller is.*\[audit [0-9a-f-]+\]/);
    assert.doesNotMatch(ran.stderr, /refs\/heads/);
    const row = (await audit('--decision', 'unauthenticated')).find(({ code }) => code === 'identity-not-mapped');
    assert.equal(row?.status, 401);
    assert.deepEqual(row?.detail.origin?.notes, [
      'rule app: ref is "refs/heads/feature", not one of refs/heads/main',
      'rule bot: repository_id is "74", not one of 75',
    ]);
  });

  it('a CI job with its own token is refused when its audience is another service, or its key another one', async () => {
    for (const bad of [
      await token({ aud: 'https://github.com/acme' }),
      `${(await token()).slice(0, -20)}${'A'.repeat(20)}`,
    ]) {
      const ran = await docker(gateway.dockerEnv(bad), ['ps']);
      assert.notEqual(ran.code, 0);
      assert.match(ran.stderr, /token|signature/);
    }
  });

  it('issuer list tells how each issuer is doing', async () => {
    const [state] = JSON.parse(await gateway.must('issuer', 'list', '--json')) as Record<string, unknown>[];
    assert.equal(state?.name, 'github');
    assert.equal(state?.status, 'ready');
    assert.deepEqual(state?.keys, ['k1']);
    assert.match(await gateway.must('issuer', 'list'), /github +github-actions +ready +1 /);
    assert.equal(issuer.requests.get(JWKS), 1, 'one fetch for everything so far');
  });

  it('a reload takes over new rules at once, and ends streams of those it no longer names', async () => {
    const env = gateway.dockerEnv(await token({ run_id: '1002' }));
    const name = `${PREFIX}-logs`;
    assert.equal(
      (await docker(env, ['run', '-d', '--network', 'none', '--name', name, IMAGE, 'sh', '-c', 'echo up; sleep 300']))
        .code,
      0,
    );
    const following = docker(env, ['logs', '-f', name]);
    const opened = async () => (await audit('--action', 'container.logs')).some(({ stage }) => stage === 'stream-open');
    while (!(await opened())) await new Promise((resolve) => setTimeout(resolve, 50));
    const written = parse(readFileSync(gateway.configFile, 'utf8')) as Record<string, unknown>;
    writeFileSync(gateway.configFile, stringify({ ...written, issuers: settings('refs/heads/release') }));
    await gateway.must('reload');
    await following;
    assert.match((await docker(env, ['ps'])).stderr, /no rule of this gateway says/);
    writeFileSync(gateway.configFile, stringify(written));
    await gateway.must('reload');
    assert.equal((await docker(env, ['ps'])).code, 0);
    // A fault in the section is told, and the old settings stay in force.
    writeFileSync(gateway.configFile, stringify({ ...written, issuers: [{ name: 'x' }] }));
    const { code, stderr } = await gateway.dockgate('check');
    assert.equal(code, 2);
    assert.match(stderr, /issuers\[0\]/);
    writeFileSync(gateway.configFile, stringify(written));
    dockerDirect('rm', '-f', name);
  });

  it('a blocked subject is refused at once, in a live stream too, until the block ends', async () => {
    const name = `${PREFIX}-blocked`;
    const env = gateway.dockerEnv(await token({ run_id: '1003' }));
    const script = ['sh', '-c', 'echo up; sleep 300'];
    assert.equal((await docker(env, ['run', '-d', '--network', 'none', '--name', name, IMAGE, ...script])).code, 0);
    const following = docker(env, ['logs', '-f', name]);
    const streams = async (stage: string) =>
      (await audit('--subject', 'github:acme/app:1003', '--action', 'container.logs')).filter(
        (row) => row.stage === stage,
      );
    while ((await streams('stream-open')).length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
    await gateway.must('issuer', 'block', 'github', '--subject', 'github:acme/app:1003');
    await following;
    assert.match((await docker(env, ['ps'])).stderr, /blocked here/);
    assert.equal((await docker(gateway.dockerEnv(await token()), ['ps'])).code, 0, 'others are not');
    assert.match(await gateway.must('issuer', 'blocks'), /github +subject +github:acme\/app:1003/);
    await gateway.must('issuer', 'unblock', 'github', '--subject', 'github:acme/app:1003');
    assert.equal((await docker(env, ['ps'])).code, 0);
    dockerDirect('rm', '-f', name);
  });

  it('the gateway serves while the issuer is away, from the keys it has', async () => {
    const env = gateway.dockerEnv(await token());
    await issuer.stop();
    try {
      assert.equal((await docker(env, ['ps'])).code, 0);
    } finally {
      await issuer.resume();
    }
  });

  it('a gateway starts while the issuer is away, serves others, and says why it cannot take its tokens', async () => {
    await gateway.stop();
    await issuer.stop();
    await gateway.restart();
    const own = gateway.dockerEnv(await gateway.must('token', 'create', 'ci'));
    assert.equal((await docker(own, ['ps'])).code, 0);
    const ran = await docker(gateway.dockerEnv(await token()), ['ps']);
    assert.match(ran.stderr, /keys of the issuer cannot be had/);
    assert.match(await gateway.must('issuer', 'list'), /down/);
    await issuer.resume();
  });
});
