// The `issuers` section: what is taken with which defaults, what each fault says and where, and that no ready setting can be
// left so open that a stranger's job is let in.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseConfig } from '../../src/config/config.ts';

const read = (issuers: string, exists?: (path: string) => boolean) =>
  parseConfig(`engine: unix:///x.sock\nissuers:\n${issuers}`, {
    baseDir: '/etc/dockgate',
    ...(exists ? { exists } : {}),
  });
const told = (issuers: string, exists?: (path: string) => boolean) =>
  read(issuers, exists).problems.map(({ line, path, message }) => `${line} ${path}: ${message}`);

const GITHUB = '  - name: github\n    preset: github-actions\n    audience: https://docker.acme.example\n';
const RULE = '    rules: [{ when: { repository_id: "1", ref: refs/heads/main } }]\n';
const GENERIC = '  - name: sso\n    issuer: https://sso.example\n    audience: dockgate\n';

describe('issuers in the settings', () => {
  it('a preset fills in what the vendor fixes', () => {
    const { config, problems } = read(GITHUB + RULE);
    assert.deepEqual(problems, []);
    assert.deepEqual(config?.issuers, [
      {
        name: 'github',
        preset: 'github-actions',
        issuer: 'https://token.actions.githubusercontent.com',
        audience: 'https://docker.acme.example',
        algorithms: ['RS256'],
        typ: 'jwt',
        keys: { kind: 'discovery' },
        jwksHosts: [],
        insecureHttp: false,
        maxLifetimeMs: 3_600_000,
        replay: 'one-source',
        require: [],
        rules: [
          {
            name: 'rule-1',
            when: [
              { claim: 'repository_id', kind: 'equals', values: ['1'] },
              { claim: 'ref', kind: 'equals', values: ['refs/heads/main'] },
            ],
            subject: `\${sub}`,
            groups: [],
            policies: [],
          },
        ],
      },
    ]);
    assert.ok(Object.isFrozen(config?.issuers[0]?.rules[0]?.when));
  });

  it('everything can be written out', () => {
    const { config, problems } = read(
      `${GENERIC}    algorithms: [ES256, EdDSA]
    jwks: https://keys.example/jwks?p=ci
    ca: ./ca.pem
    tokenFile: /run/token
    maxLifetime: 10m
    replay: one-source
    require: { azp: docker }
    rules:
      - name: ops
        when: { "/roles/docker": { contains: ops }, level: 3, active: true, org: { glob: [a-*, b-*] } }
        subject: sso:\${sub}
        tenant: sso-\${org}
        owner: \${sub}
        groups: [ops]
        groupsFrom: { claim: groups, only: [team-*], prefix: sso- }
        policies: [baseline]
      - { when: { level: 4 }, identity: ci }
      - { name: rest, when: any }
`,
    );
    // Rules two and three may meet at run time; that is the mapping's question, not one of form.
    assert.deepEqual(problems, []);
    const [issuer] = config?.issuers ?? [];
    assert.deepEqual(issuer?.keys, { kind: 'url', url: 'https://keys.example/jwks?p=ci' });
    assert.deepEqual(
      [issuer?.ca, issuer?.bearerFile, issuer?.maxLifetimeMs],
      ['/etc/dockgate/ca.pem', '/run/token', 600_000],
    );
    assert.deepEqual(issuer?.rules[0]?.when[1], { claim: 'level', kind: 'equals', values: ['3'] });
    assert.deepEqual(issuer?.rules[0]?.when[3], { claim: 'org', kind: 'glob', values: ['a-*', 'b-*'] });
    assert.deepEqual(issuer?.rules[1], {
      name: 'rule-2',
      when: [{ claim: 'level', kind: 'equals', values: ['4'] }],
      identity: 'ci',
      groups: [],
      policies: [],
    });
    assert.equal(issuer?.rules[2]?.subject, `sso:\${sub}`);
  });

  const FAULTS: [name: string, source: string, expected: readonly (string | RegExp)[]][] = [
    ['no rules', GITHUB, [/^3 issuers\[0\]: is missing|^3 issuers\[0\].rules: is missing/]],
    ['an empty list of rules', `${GITHUB}    rules: []\n`, [/^6 issuers\[0\].rules: must hold a rule/]],
    ['no audience', `  - name: github\n    preset: github-actions\n${RULE}`, [/issuers\[0\].audience: is missing/]],
    [
      'an unknown preset',
      '  - { name: a, preset: github, audience: x, rules: [{ when: any }] }\n',
      [/^3 issuers\[0\].preset: must be one of .* not "github"/],
    ],
    [
      'an unknown key',
      `${GENERIC}    audiences: [x]\n    rules: [{ when: any }]\n`,
      [/^6 issuers\[0\].audiences: unknown key; did you mean audience\?/],
    ],
    [
      'an unknown key in a rule',
      `${GENERIC}    rules: [{ when: any, polices: x }]\n`,
      [/^6 issuers\[0\].rules\[0\].polices: unknown key; did you mean policies\?/],
    ],
    ['no issuer', '  - { name: a, audience: x, rules: [{ when: any }] }\n', [/^3 issuers\[0\]: needs issuer/]],
    [
      'plain http',
      '  - { name: a, issuer: "http://sso.example", audience: x, rules: [{ when: any }] }\n',
      [/^3 issuers\[0\].issuer: must be an https address: over plain http/],
    ],
    [
      'plain http on loopback that was not asked for',
      '  - { name: a, issuer: "http://127.0.0.1:1", audience: x, rules: [{ when: any }] }\n',
      [/^3 issuers\[0\].issuer: is plain http; on loopback, for tests, add insecureHttp/],
    ],
    [
      'plain http elsewhere that was asked for',
      '  - { name: a, issuer: "http://10.0.0.1", insecureHttp: true, audience: x, rules: [{ when: any }] }\n',
      [/must be an https address/],
    ],
    [
      'an issuer with a query',
      '  - { name: a, issuer: "https://sso.example?x", audience: x, rules: [{ when: any }] }\n',
      [/without user, query or fragment/],
    ],
    [
      'HMAC',
      `${GENERIC}    algorithms: [HS256]\n    rules: [{ when: any }]\n`,
      [/^6 issuers\[0\].algorithms\[0\]: must be one of RS256, .* not "HS256"/],
    ],
    [
      'none',
      `${GENERIC}    algorithms: [none]\n    rules: [{ when: any }]\n`,
      [/^6 issuers\[0\].algorithms\[0\]: must be one of/],
    ],
    [
      'no when',
      `${GENERIC}    rules: [{ subject: "a:b" }]\n`,
      [/^6 issuers\[0\].rules\[0\].*when: is missing; must be a map of claims/],
    ],
    [
      'an empty when',
      `${GENERIC}    rules: [{ when: {} }]\n`,
      [/^6 issuers\[0\].rules\[0\].when: holds no claim; write any/],
    ],
    [
      'a glob of nothing',
      `${GENERIC}    rules: [{ when: { a: { glob: "*" } } }]\n`,
      [/^6 issuers\[0\].rules\[0\].when.a: a glob of \* alone pins nothing/],
    ],
    [
      'an identity with a tenant of its own',
      `${GENERIC}    rules: [{ when: any, identity: ci, tenant: x }]\n`,
      [/^6 issuers\[0\].rules\[0\].tenant: belongs to a rule without identity/],
    ],
    [
      'a wrong identity',
      `${GENERIC}    rules: [{ when: any, identity: "CI bot" }]\n`,
      [/^6 issuers\[0\].rules\[0\].identity: "CI bot" is no identity name/],
    ],
    [
      'a policy that is none',
      `${GENERIC}    rules: [{ when: any, policies: ["a b"] }]\n`,
      [/policies\[0\]: "a b" is none; use 1 to 128/],
    ],
    [
      'two claims side by side',
      `${GENERIC}    rules: [{ when: any, subject: "a:\${b}\${c}" }]\n`,
      [/^6 issuers\[0\].rules\[0\].subject: two claims stand side by side/],
    ],
    [
      'a dollar that begins nothing',
      `${GENERIC}    rules: [{ when: any, subject: "a:$b" }]\n`,
      [/holds a \$ that begins no/],
    ],
    [
      'groups from a claim, all of them',
      `${GENERIC}    rules: [{ when: any, groupsFrom: { claim: roles } }]\n`,
      [/groupsFrom.*only/],
    ],
    [
      'one name twice',
      `${GENERIC}    rules: [{ when: any }]\n${GENERIC.replace('sso.example', 'b.example')}    rules: [{ when: any }]\n`,
      [/^7 issuers\[1\].name: sso stands in issuers\[0\] already/],
    ],
    [
      'one issuer twice',
      `${GENERIC}    rules: [{ when: any }]\n${GENERIC.replace('name: sso', 'name: b')}    rules: [{ when: any }]\n`,
      [/^8 issuers\[1\].issuer: https:\/\/sso.example stands in issuers\[0\] already/],
    ],
    [
      'one rule name twice',
      `${GENERIC}    rules:\n      - { name: a, when: any }\n      - { name: a, when: { b: c } }\n`,
      [/^8 issuers\[0\].rules\[1\].name: there is already a rule a/],
    ],
    [
      'a lifetime without end',
      `${GENERIC}    maxLifetime: 1000h\n    rules: [{ when: any }]\n`,
      [/^6 issuers\[0\].maxLifetime: must be from 1m to 168h/],
    ],
    [
      'a lifetime as a number',
      `${GENERIC}    maxLifetime: 60\n    rules: [{ when: any }]\n`,
      [/^6 issuers\[0\].maxLifetime: must be a duration such as "1h" in quotes, "60"/],
    ],
    [
      'a number YAML cannot keep',
      `${GENERIC}    rules: [{ when: { id: 123456789012345678901 } }]\n`,
      [/issuers\[0\].rules\[0\].when/],
    ],
    ['no list', '  github: {}\n', [/^3 issuers: must be a list/]],
    // What each ready setting must have pinned.
    [
      'GitHub without a repository',
      `${GITHUB}    rules: [{ when: { ref: refs/heads/main } }]\n`,
      [/^6 issuers\[0\].rules\[0\].when: must pin repository_id, repository_owner_id or enterprise_id/],
    ],
    [
      'GitHub by name alone',
      `${GITHUB}    rules: [{ when: { repository: acme/app, ref: refs/heads/main } }]\n`,
      [/must pin repository_id/],
    ],
    [
      'GitHub by a glob of ids',
      `${GITHUB}    rules: [{ when: { repository_id: { glob: "1*" }, ref: refs/heads/main } }]\n`,
      [/must pin repository_id/],
    ],
    [
      'GitHub with any branch',
      `${GITHUB}    rules: [{ when: { repository_id: "1" } }]\n`,
      [/must pin ref, environment, job_workflow_ref/],
    ],
    [
      'GitHub by actor',
      `${GITHUB}    rules: [{ when: { repository_id: "1", ref: x, actor: octocat } }]\n`,
      [/^6 issuers\[0\].rules\[0\].when.actor: actor can be changed/],
    ],
    [
      'GitHub without a pinned repository',
      `${GITHUB}    rules: [{ when: any }]\n`,
      [/must pin repository_id/, /must pin ref/],
    ],
    [
      'GitLab without a project',
      '  - { name: gl, preset: gitlab, audience: x, rules: [{ when: { ref_protected: "true" } }] }\n',
      [/must pin project_id or namespace_id/],
    ],
    [
      'GitLab with any branch',
      '  - { name: gl, preset: gitlab, audience: x, rules: [{ when: { project_id: 1 } }] }\n',
      [/must pin ref_protected/],
    ],
    [
      'Kubernetes without its issuer',
      '  - { name: k, preset: kubernetes, audience: x, rules: [{ when: { sub: a } }] }\n',
      [/needs issuer/],
    ],
    [
      'Kubernetes for every pod',
      '  - { name: k, preset: kubernetes, issuer: "https://k.example", audience: x, rules: [{ when: any }] }\n',
      [/must pin sub, /],
    ],
    [
      'Entra without a directory',
      '  - { name: e, preset: entra, audience: x, rules: [{ when: { oid: a } }] }\n',
      [/needs tid, the id of your directory/],
    ],
    [
      'Entra by mail address',
      '  - { name: e, preset: entra, tid: 3f1c9a2e-7a44-4a0b-9d0f-2f6a5f0b7c11, audience: x, rules: [{ when: { oid: a, upn: "a@b" } }] }\n',
      [/upn can be changed/],
    ],
    [
      'Entra named by mail address',
      `  - { name: e, preset: entra, tid: 3f1c9a2e-7a44-4a0b-9d0f-2f6a5f0b7c11, audience: x, rules: [{ when: { oid: a }, subject: "e:\${email}" }] }\n`,
      [/subject: email can be changed/],
    ],
    [
      'Entra under the issuer of another directory',
      '  - { name: e, preset: entra, tid: 3f1c9a2e-7a44-4a0b-9d0f-2f6a5f0b7c11, issuer: "https://login.microsoftonline.com/common/v2.0", audience: x, rules: [{ when: { oid: a } }] }\n',
      [/must be the issuer of the directory/],
    ],
    [
      'tid elsewhere',
      `${GENERIC}    tid: 3f1c9a2e-7a44-4a0b-9d0f-2f6a5f0b7c11\n    rules: [{ when: any }]\n`,
      [/^6 issuers\[0\].tid: belongs to preset: entra/],
    ],
    [
      'Keycloak without its realm',
      '  - { name: k, preset: keycloak, audience: x, rules: [{ when: any }] }\n',
      [/needs issuer/],
    ],
  ];
  for (const [name, source, expected] of FAULTS) {
    it(`refuses ${name}, with its line`, () => {
      const problems = told(source);
      assert.equal(problems.length, expected.length, problems.join('\n'));
      for (const [index, want] of expected.entries()) assert.match(problems[index] as string, want as RegExp);
    });
  }

  it('tells every fault of every issuer at once, beside those of other sections', () => {
    const { problems } = parseConfig(
      `engine: unix:///x.sock\nlog: { level: loud }\nissuers:\n${GITHUB}    rules: [{ when: any }]\n  - { name: a, audience: x, rules: [] }\n`,
      { baseDir: '/' },
    );
    assert.deepEqual([...new Set(problems.map(({ line }) => line))], [2, 7, 8]);
  });

  it('what the settings require counts as pinned, for every rule', () => {
    const source = `${GITHUB}    require: { repository_owner_id: "65", ref_protected: "true" }\n    rules: [{ when: any }]\n`;
    assert.deepEqual(told(source), []);
  });

  it('files it names must be there', () => {
    const source = `${GENERIC}    ca: ca.pem\n    jwks: ./keys.json\n    tokenFile: token\n    rules: [{ when: any }]\n`;
    assert.deepEqual(
      told(source, () => false).map((line) => line.replace(/^\d+ /, '')),
      [
        'issuers[0].ca: there is no file ca.pem',
        'issuers[0].jwks: there is no file ./keys.json',
        'issuers[0].tokenFile: there is no file token',
      ],
    );
  });

  it('cannot be the issuer of this gateway itself', () => {
    const { problems } = parseConfig(
      `engine: unix:///x.sock\nissuer: https://sso.example\nissuers:\n${GENERIC}    rules: [{ when: any }]\n`,
      { baseDir: '/' },
    );
    assert.match(problems[0]?.message ?? '', /issuer of this gateway itself/);
  });
});
