// The built-in policies: their own tests, the hostile set, and what each role may and may not do.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACTIONS, BUILD_OPAQUE } from '../../src/policy/actions.ts';
import { builtIns, compilePolicies } from '../../src/policy/compile.ts';
import type { PolicyDocument } from '../../src/policy/policy.ts';
import { runPolicyTests } from '../../src/policy/run-tests.ts';
import { callOf, decideFor, policyOf, principal, setOf } from './support.ts';

const set = compilePolicies([], 1);
const documents = builtIns().map(({ document }) => document);

describe('the built-in policies', () => {
  for (const document of documents) {
    it(`${document.name} passes its own tests and the hostile set`, () => {
      const report = runPolicyTests(set, [document]);
      const wrong = report.results.filter(({ passed }) => !passed).map(({ test, message }) => `${test}: ${message}`);
      assert.deepEqual([...wrong, ...report.hostile.map(({ message }) => message)], []);
    });
    it(`${document.name} allows nothing that escalates without judging the host`, () => {
      if (document.name === 'operator') return;
      const rules = (document.document as PolicyDocument).rules.filter((rule) => rule.host === undefined);
      const grave = rules.flatMap((rule) =>
        rule.actions.filter((action) => ACTIONS.get(action)?.risks.has('escalates')),
      );
      assert.deepEqual(grave, []);
    });
    it(`${document.name} names its actions one by one`, () => {
      if (document.name === 'operator') return;
      const { rules } = document.document as PolicyDocument;
      assert.deepEqual(
        rules.flatMap((rule) => rule.actions.filter((action) => !ACTIONS.has(action))),
        [],
      );
    });
  }

  it('every preset for a tool has tests of both kinds', () => {
    const tools = documents.filter(
      ({ name }) => !['operator', 'reader', 'reviewer', 'baseline', 'restricted'].includes(name),
    );
    assert.equal(tools.length, 15);
    for (const { name, document } of tools) {
      const expected = new Set((document as PolicyDocument).tests.map((test) => test.expect));
      assert.deepEqual([...expected].sort(), ['allow', 'deny'], name);
    }
  });
});

const CREATE = { Image: 'busybox:test', Cmd: ['sleep', '60'], HostConfig: { NetworkMode: 'none' } };
const rows: [role: string, line: string, expect: 'allow' | 'deny', body?: unknown][] = [
  ['operator', 'GET /swarm', 'allow'],
  ['operator', 'POST /containers/create', 'allow', { Image: 'x', HostConfig: { Privileged: true } }],
  ['operator', 'POST /images/load', 'allow'],
  ['operator', 'POST /build?version=2&t=x', 'deny'],
  ['operator', 'POST /build?version=1&t=x', 'allow'],
  ['operator', 'POST /build/prune', 'allow'],
  ['operator', 'POST /grpc', 'allow'],
  ['operator', 'POST /session', 'allow'],
  ['operator', 'POST /containers/create?name=builder', 'allow', { Image: 'x', HostConfig: { Privileged: true } }],
  ['operator', 'POST /containers/create?name=buildx_buildkit_b0', 'deny', { Image: 'x' }],
  ['operator', 'DELETE /containers/buildx_buildkit_b0', 'allow'],
  ['reader', 'GET /containers/json', 'allow'],
  ['reader', 'GET /containers/x/logs?stdout=1', 'allow'],
  ['reader', 'GET /containers/x/archive?path=/etc', 'deny'],
  ['reader', 'GET /containers/x/export', 'deny'],
  ['reader', 'GET /images/x/get', 'deny'],
  ['reader', 'GET /configs/x', 'deny'],
  ['reader', 'GET /images/search?term=x', 'deny'],
  ['reader', 'GET /distribution/x/json', 'deny'],
  ['reader', 'GET /swarm', 'deny'],
  ['reader', 'GET /containers/x/attach/ws', 'deny'],
  ['reader', 'GET /containers/x/checkpoints', 'deny'],
  ['reader', 'POST /containers/x/stop', 'deny'],
  ['baseline', 'GET /info', 'allow'],
  ['baseline', 'POST /containers/create?name=x', 'allow', CREATE],
  ['baseline', 'POST /containers/x/start', 'allow'],
  ['baseline', 'POST /containers/x/exec', 'allow', { Cmd: ['true'] }],
  ['baseline', 'POST /containers/x/exec', 'deny', { Cmd: ['true'], Privileged: true }],
  ['baseline', 'GET /containers/x/archive?path=/bin', 'allow'],
  ['baseline', 'PUT /containers/x/archive?path=/', 'allow'],
  ['baseline', 'POST /commit?container=x&repo=y', 'allow'],
  ['baseline', 'POST /images/create?fromImage=busybox&tag=1', 'allow'],
  ['baseline', 'POST /images/create?fromImage=127.0.0.1:5000/x&tag=1', 'deny'],
  ['baseline', 'POST /images/create?fromSrc=-&repo=x', 'deny'],
  ['baseline', 'POST /images/create?fromSrc=http%3A%2F%2F192.0.2.1%2Fa.tar&repo=x', 'deny'],
  ['baseline', 'POST /images/load', 'deny'],
  ['baseline', 'POST /images/me/app/push?tag=1', 'allow'],
  ['baseline', 'POST /images/127.0.0.1:5000/x/push?tag=1', 'deny'],
  ['baseline', 'POST /auth', 'allow', { username: 'u', password: 'p', serveraddress: 'http://192.0.2.1' }],
  ['baseline', 'POST /auth', 'deny', { username: 'u', password: '', serveraddress: 'http://192.0.2.1' }],
  ['baseline', 'GET /distribution/127.0.0.1:5000/x/json', 'deny'],
  ['baseline', 'GET /distribution/busybox/json', 'allow'],
  ['baseline', 'GET /images/search?term=x', 'deny'],
  ['baseline', 'GET /system/df', 'allow'],
  ['baseline', 'GET /events', 'allow'],
  ['baseline', 'POST /containers/prune', 'allow'],
  ['baseline', 'POST /images/prune', 'allow'],
  ['baseline', 'POST /volumes/prune', 'allow'],
  ['baseline', 'POST /networks/prune', 'allow'],
  ['baseline', 'POST /build/prune', 'allow'],
  ['baseline', 'POST /build?t=x', 'allow'],
  ['baseline', 'POST /session', 'allow'],
  ['baseline', 'POST /grpc', 'allow'],
  ['baseline', 'GET /plugins', 'deny'],
  ['baseline', 'GET /plugins/privileges?remote=x', 'deny'],
  ['baseline', 'POST /swarm/leave', 'deny'],
  ['baseline', 'POST /services/create', 'deny', { Name: 'x', TaskTemplate: { ContainerSpec: { Image: 'x' } } }],
  ['baseline', 'POST /secrets/create', 'deny', { Name: 's', Data: 'eA==' }],
  ['baseline', 'POST /containers/x/checkpoints', 'deny', { CheckpointID: 'c' }],
  ['restricted', 'GET /info', 'allow'],
  ['restricted', 'POST /containers/create?name=x', 'deny', CREATE],
  ['restricted', 'POST /build?t=x', 'deny'],
  ['restricted', 'POST /session', 'deny'],
  ['restricted', 'POST /grpc', 'deny'],
  ['restricted', 'POST /images/me/app/push?tag=1', 'deny'],
];

describe('the built-in roles', () => {
  for (const [role, line, expect, body] of rows) {
    it(`${role}: ${line} ${body === undefined ? '' : JSON.stringify(body).slice(0, 60)} is ${expect === 'allow' ? 'allowed' : 'denied'}`, () => {
      const decision = decideFor(set, principal({ policies: [role], tenant: 'red' }), callOf(line, body));
      assert.equal(decision.effect, expect, decision.reasons[0]?.message);
    });
  }

  it('prunes are for tenants, whose own objects they take, and for no caller without one', () => {
    for (const role of ['baseline', 'restricted', 'testcontainers', 'docker-py', 'lazydocker']) {
      for (const kind of ['containers', 'images', 'networks', 'volumes']) {
        const prune = (who: object) =>
          decideFor(set, principal({ policies: [role], ...who }), callOf(`POST /${kind}/prune`));
        assert.equal(prune({ tenant: 'red' }).effect, 'allow', `${role} ${kind}`);
        assert.equal(prune({}).effect, 'deny', `${role} ${kind}`);
      }
    }
  });

  it('a pull with credentials of its own may come from any registry, where the policy lists none', () => {
    const listed = setOf(
      policyOf(
        '- { name: pull, effect: allow, actions: [image.pull], host: { preset: baseline, registries: [ghcr.io] } }',
      ),
    );
    const line = (image: string) => `POST /images/create?fromImage=${image}&tag=1`;
    const rows = [
      [set, 'registry.test/x', true, 'allow'],
      [set, 'registry.test/x', false, 'deny'],
      [set, 'busybox', false, 'allow'],
      [listed, 'registry.test/x', true, 'deny'],
      [listed, 'ghcr.io/x', false, 'allow'],
      [listed, 'busybox', true, 'deny'],
    ] as const;
    for (const [policies, image, credentials, expect] of rows) {
      const call = { ...callOf(line(image)), ...(credentials ? { credentials } : {}) };
      const who = principal({ policies: policies === set ? ['baseline'] : [], tenant: 'red' });
      assert.equal(decideFor(policies, who, call).effect, expect, `${image} ${credentials}`);
    }
  });

  it('operator covers every served action but build.opaque: no preset lets BuildKit through unread', () => {
    const policies = set.forPrincipal(principal({ policies: ['operator'] }));
    for (const action of ACTIONS.keys()) {
      assert.equal(policies.mayAllow(action), action !== BUILD_OPAQUE, action);
    }
    for (const action of ['debug.pprof', 'podman.libpod', 'system.options'])
      assert.ok(!policies.mayAllow(action), action);
  });

  it('the host denial names field, value and what is allowed', () => {
    const body = { Image: 'x', HostConfig: { Binds: ['/:/host'] } };
    const decision = decideFor(set, principal({ policies: ['baseline'] }), callOf('POST /containers/create', body));
    assert.equal(decision.reasons[0]?.code, 'host-field-denied');
    assert.match(
      decision.reasons[0]?.message ?? '',
      /^denied by policy baseline: HostConfig\.Binds\[0\] mounts host path "\/" \(allowed: none/,
    );
  });
});
