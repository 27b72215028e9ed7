// Conditions: what the fence refuses at load, and what holds for a call.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { faultOfCondition } from '../../src/policy/conditions.ts';
import { callOf, decideFor, policyOf, principal, setOf } from './support.ts';

const CREATE = ['container.create'];

describe('faultOfCondition()', () => {
  const refused: [string, string, RegExp, (readonly string[])?][] = [
    ['a misspelt field', '!host.Priviledged', /No such key: Priviledged/],
    ['a misspelt field below', 'host.Mounts.all(m, m.Sauce == "")', /No such key: Sauce/],
    ['an unknown name', 'hosts.Privileged', /Unknown variable: hosts; known: principal/],
    ['a comparison of unlike things', 'host.Memory < "4GiB"', /no such overload: int < string/],
    ['a regular expression', 'body.Image.matches("^(a+)+$")', /glob\(text, pattern\)/],
    ['a regular expression inside a loop', 'body.Env.all(e, e.matches("x"))', /glob\(text, pattern\)/],
    ['a regular expression in a list', 'true in [body.Image.matches("x")]', /glob\(text, pattern\)/],
    ['a regular expression in a map', '{"a": body.Image.matches("x")}["a"]', /glob\(text, pattern\)/],
    ['a result that is no truth', 'host.Memory', /it must be true or false/],
    ['a third loop', 'body.Env.all(a, body.Env.all(b, body.Env.all(c, a == c)))', /third loop/],
    ['a third loop of another kind', 'body.Env.all(a, body.Env.exists(b, body.Env.map(c, c) == []))', /third loop/],
    ['the constructor', 'host.constructor == ""', /No such key: constructor/],
    ['text that is no expression', 'host.Privileged ==', /./],
    ['a tree too deep', `${'('.repeat(40)}true${')'.repeat(40)}${'!'.repeat(0)} && ${'!'.repeat(60)}true`, /./],
    ['a tree too large', Array.from({ length: 300 }, () => 'true').join(' && '), /./],
    ['a text too long', `"${'x'.repeat(5000)}" == ""`, /longer than/],
    ['a body field of another action', 'body.Image == ""', /No such key: Image/, ['volume.create']],
  ];
  for (const [title, text, message, actions = CREATE] of refused) {
    it(`faultOfCondition() refuses ${title}`, () =>
      assert.match(faultOfCondition(text, actions) ?? 'nothing wrong', message));
  }
  for (const text of [
    '!host.Privileged',
    'host.Mounts.all(m, m.Type != "bind" || under(m.Source, "/srv"))',
    'host.Memory > 0 && host.Memory <= 4 * 1024 * 1024 * 1024',
    'body.Env.all(a, body.Env.exists(b, a == b))',
    'glob(body.Image, "docker.io/*") && principal.tenant in ["red", "blue"]',
    'size(resources) > 0 && resources.all(r, r.kind != "volume")',
  ]) {
    it(`faultOfCondition() takes ${text}`, () => assert.equal(faultOfCondition(text, CREATE), undefined));
  }
});

describe('a condition', () => {
  const rows: [string, string, unknown, 'allow' | string][] = [
    ['holds of an absent field by its zero value', '!host.Privileged', { Image: 'x' }, 'allow'],
    ['does not hold', '!host.Privileged', { Image: 'x', HostConfig: { Privileged: true } }, 'operation-not-allowed'],
    [
      'holds below a folder',
      'host.Mounts.all(m, under(m.Source, "/srv"))',
      { HostConfig: { Mounts: [{ Type: 'bind', Source: '/srv/a', Target: '/a' }] } },
      'allow',
    ],
    [
      'does not hold beside it',
      'host.Mounts.all(m, under(m.Source, "/srv"))',
      { HostConfig: { Mounts: [{ Type: 'bind', Source: '/srv2', Target: '/a' }] } },
      'operation-not-allowed',
    ],
    [
      'does not hold above it',
      'host.Mounts.all(m, under(m.Source, "/srv"))',
      { HostConfig: { Mounts: [{ Type: 'bind', Source: '/srv/../etc', Target: '/a' }] } },
      'operation-not-allowed',
    ],
    ['compares whole numbers', 'host.Memory == 1073741824', { HostConfig: { Memory: 1073741824 } }, 'allow'],
    ['reads maps', '"a" in body.Labels && body.Labels["a"] == "b"', { Labels: { a: 'b' } }, 'allow'],
    ['that fails denies', 'body.Labels["a"] == "b"', { Labels: {} }, 'rule-error'],
    [
      'over too long a list denies',
      'body.Env.all(e, e != "")',
      { Env: Array.from({ length: 1001 }, () => 'A=b') },
      'rule-error',
    ],
    [
      'over the longest list holds',
      'body.Env.all(e, e != "")',
      { Env: Array.from({ length: 1000 }, () => 'A=b') },
      'allow',
    ],
    ['sees no prototype', '!("toString" in body.Labels)', { Labels: {} }, 'allow'],
  ];
  for (const [title, text, body, expect] of rows) {
    it(title, () => {
      const set = setOf(policyOf(`- name: c\n  effect: allow\n  actions: [container.create]\n  when: ['${text}']`));
      const decision = decideFor(set, principal(), callOf('POST /containers/create?name=x', body));
      assert.equal(
        decision.effect === 'allow' ? 'allow' : decision.reasons[0]?.code,
        expect,
        decision.reasons[0]?.message,
      );
    });
  }

  it('must hold with all the others', () => {
    const set = setOf(
      policyOf("- { name: c, effect: allow, actions: [system.info], when: ['true', 'principal.subject == \"bob\"'] }"),
    );
    assert.equal(decideFor(set, principal(), callOf('GET /info')).effect, 'deny');
    assert.equal(decideFor(set, principal({ subject: 'bob' }), callOf('GET /info')).effect, 'allow');
  });

  it('a condition that reads objects has them looked up', () => {
    const rule = (text: string) =>
      policyOf(`- { name: c, effect: allow, actions: [container.stop], when: ['${text}'] }`);
    const call = callOf('POST /containers/x/stop');
    const needed = (text: string) => setOf(rule(text)).forPrincipal(principal()).needsResolution(call).length;
    assert.equal(needed('resources.all(r, r.exists)'), 1);
    assert.equal(needed('query.size() == 0'), 0);
  });

  it('a condition of a deny rule that fails denies', () => {
    const set = setOf(
      policyOf(
        '- { name: a, effect: allow, actions: [\'*\'] }\n- { name: d, effect: deny, actions: [container.create], when: [\'body.Labels["a"] == "b"\'] }',
      ),
    );
    assert.equal(
      decideFor(set, principal(), callOf('POST /containers/create', { Image: 'x' })).reasons[0]?.code,
      'rule-error',
    );
  });
});
