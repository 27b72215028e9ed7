// What no host preset can judge passes no preset by a pattern. The actions come from the table of operations, so that an
// operation added tomorrow is refused until a table judges it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OPERATIONS } from '../../src/engine/operations.ts';
import { compilePolicies } from '../../src/policy/compile.ts';
import { JUDGED_ACTIONS } from '../../src/policy/host/index.ts';
import { HOSTILE_CALLS } from '../../src/policy/hostile.ts';
import { lintDocuments } from '../../src/policy/lint.ts';
import { parseDocuments } from '../../src/policy/policy.ts';
import { runPolicyTests } from '../../src/policy/run-tests.ts';
import type { Principal } from '../../src/policy/types.ts';
import { UNJUDGED_ACTIONS, unjudgedCalls } from '../../src/policy/unjudged.ts';
import { callOf, decideFor, policyOf, principal, setOf } from './support.ts';

const rule = (actions: string, host: string): string =>
  `- { name: r, effect: allow, actions: [${actions}], host: { preset: ${host} } }`;
const acknowledged = (yaml: string): string => yaml.replace('{ name: p }', '{ name: p, acknowledges: [host-access] }');
const GRAVE = OPERATIONS.filter(
  ({ served, risk, class: kind, action }) =>
    served && (risk.includes('escalates') || kind === 'admin') && !JUDGED_ACTIONS.has(action),
);
const lineOf = ({ method, path }: { method: string; path: string }): string =>
  `${method} ${path.replaceAll(/\{[^}]*\}/g, 'x')}`;

describe('UNJUDGED_ACTIONS', () => {
  it('UNJUDGED_ACTIONS are those of the table that escalate or govern the engine and that no preset judges', () => {
    assert.deepEqual(
      [...UNJUDGED_ACTIONS].filter((action) => action !== 'build.opaque').sort(),
      [...new Set(GRAVE.map(({ action }) => action))].sort(),
    );
    for (const action of ['plugin.create', 'plugin.install', 'plugin.set', 'swarm.init', 'image.load', 'node.update'])
      assert.ok(UNJUDGED_ACTIONS.has(action), action);
    for (const action of ['container.create', 'service.update', 'container.logs', 'network.remove'])
      assert.ok(!UNJUDGED_ACTIONS.has(action), action);
  });
  it('UNJUDGED_ACTIONS are in the hostile set, each operation once, but for prunes', () => {
    // Builds that are read come through the same door, and are judged by what they ask for.
    const calls = HOSTILE_CALLS.filter(({ path, body }) => path !== '/grpc' || body === undefined).map(
      ({ method, path }) => `${method} ${path}`,
    );
    for (const { method, path, action } of unjudgedCalls()) {
      assert.equal(calls.filter((call) => call === `${method} ${path}`).length, 1, action);
    }
    assert.deepEqual(
      GRAVE.filter(({ action }) => !unjudgedCalls().some((call) => call.action === action)).map(({ action }) => action),
      ['container.prune', 'image.prune', 'build.prune', 'volume.prune', 'network.prune'],
    );
  });
});

describe('decide() on what no preset judges', () => {
  for (const operation of GRAVE) {
    const { action } = operation;
    const name = ['build.session', 'build.control'].includes(action) ? 'build.opaque' : action;
    const call = callOf(lineOf(operation));
    const refused = (yaml: string, over: Partial<Principal> = {}) => {
      const { effect, isUnread } = decideFor(setOf(yaml), principal(over), call);
      // A door of BuildKit that is open to be read lets nothing through unjudged.
      return effect === 'deny' || isUnread === false;
    };
    it(`${lineOf(operation)} passes no preset but privileged unless it is named and acknowledged`, () => {
      for (const preset of ['baseline', 'restricted', 'hardened']) {
        assert.ok(refused(policyOf(rule('"*"', preset))), `* under ${preset}`);
        assert.ok(refused(acknowledged(policyOf(rule('"*"', preset)))), `* under ${preset}, acknowledged`);
        assert.ok(refused(acknowledged(policyOf(rule('"class:write", "class:admin"', preset)))), `classes, ${preset}`);
        assert.ok(refused(acknowledged(policyOf(rule(`"${name.split('.')[0]}.*"`, preset)))), `pattern, ${preset}`);
        assert.ok(refused(policyOf(rule(name, preset))), `named under ${preset}`);
        assert.ok(!refused(acknowledged(policyOf(rule(name, preset)))), `named under ${preset}, acknowledged`);
      }
      assert.ok(!refused(acknowledged(policyOf(rule(name, 'privileged')))));
      assert.ok(!refused(policyOf(`- { name: r, effect: allow, actions: [${name}] }`)), 'without a preset');
    });
    it(`${lineOf(operation)} is beyond a token narrowed by a preset alone`, () => {
      const all = policyOf('- { name: all, effect: allow, actions: ["*", build.opaque] }');
      const token = (...actions: string[]) => ({
        authorizationDetails: [{ type: 'docker' as const, actions, host: { preset: 'hardened' as const } }],
      });
      assert.ok(refused(all, token('*')));
      assert.ok(refused(all, { authorizationDetails: [{ type: 'docker', host: { preset: 'baseline' } }] }));
      assert.ok(refused(all, { ancestors: [{ id: 't', ceiling: token('*') }] }));
      assert.ok(!refused(all, token(name)), 'named in full');
    });
  }
  it('says what is missing, and lets judged calls beside it pass', () => {
    const set = setOf(policyOf(rule('"*"', 'baseline')));
    const decision = decideFor(set, principal(), callOf('POST /plugins/create?name=x'));
    assert.match(
      decision.reasons[0]?.message ?? '',
      /^denied by policy p, rule r: no host preset can judge plugin\.create \(allowed: where a rule names plugin\.create in full/,
    );
    for (const line of [
      'POST /containers/create',
      'GET /info',
      'DELETE /volumes/v',
      'POST /services/x/update?version=1',
    ]) {
      const body = line.includes('create') ? { Image: 'busybox' } : line.includes('update') ? { Name: 'x' } : undefined;
      assert.equal(decideFor(set, principal(), callOf(line, body)).effect, 'allow', line);
    }
  });
});

describe('apply and lint on what no preset judges', () => {
  it('a policy that allows one without acknowledging does not come into force', () => {
    for (const { action } of GRAVE.filter(({ action: name }) => !/\.prune$|^build\./.test(name))) {
      const { documents } = parseDocuments(policyOf(`- { name: r, effect: allow, actions: [${action}] }`));
      const { hostile } = runPolicyTests(compilePolicies(documents, 1), documents);
      assert.match(
        hostile[0]?.message ?? '',
        /which no host preset can judge, or write metadata\.acknowledges/,
        action,
      );
    }
  });
  it('a rule that names one under a preset without acknowledging hears that it never matches', () => {
    const findings = (yaml: string) => lintDocuments(parseDocuments(yaml).documents).map(({ message }) => message);
    const yaml = policyOf(rule('plugin.create', 'baseline'));
    assert.ok(findings(yaml).some((message) => /can never allow plugin\.create, which no host preset/.test(message)));
    assert.ok(!findings(acknowledged(yaml)).some((message) => /no host preset/.test(message)));
  });
});
