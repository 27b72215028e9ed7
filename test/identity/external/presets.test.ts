// The ready settings against claims as the vendors document them: from the text of the settings to the principal, with keys
// from a file, so that no vendor is asked. Beside each job that is let in stand its neighbours that are not.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { parseConfig } from '../../../src/config/config.ts';
import type { IssuerSetting } from '../../../src/identity/external/setting.ts';
import { startIssuer, type TestIssuer } from '../../support/oidc-issuer.ts';
import { openExternalRoom } from './room.ts';

const AUD = 'https://docker.acme.example';
const TID = '3f1c9a2e-7a44-4a0b-9d0f-2f6a5f0b7c11';

type Claims = Record<string, unknown>;
type Change = [name: string, claims: Claims, header?: Record<string, unknown>];

interface Case {
  readonly settings: Record<string, unknown>;
  /** Claims of a token, without times and audience. */
  readonly claims: Claims;
  readonly header?: Record<string, unknown>;
  readonly principal: Record<string, unknown>;
  /** Still let in. */
  readonly also?: readonly Change[];
  readonly refused: readonly Change[];
}

const CASES: Record<string, Case> = {
  'github-actions': {
    settings: {
      preset: 'github-actions',
      rules: [
        {
          name: 'deploy',
          when: {
            repository_id: '74',
            ref: ['refs/heads/main', 'refs/heads/release'],
            environment: 'prod',
            job_workflow_ref: { glob: 'octo-org/octo-automation/.github/workflows/*@refs/heads/main' },
          },
          subject: `github:\${repository}:\${environment}`,
          tenant: `gh-\${repository_owner_id}`,
          owner: `gh-\${run_id}`,
          groups: ['ci'],
          policies: ['baseline'],
        },
      ],
    },
    header: { typ: 'JWT', x5t: 'example-thumbprint' },
    claims: {
      jti: 'example-id',
      iss: 'https://token.actions.githubusercontent.com',
      sub: 'repo:octo-org/octo-repo:environment:prod',
      environment: 'prod',
      ref: 'refs/heads/main',
      sha: 'example-sha',
      repository: 'octo-org/octo-repo',
      repository_owner: 'octo-org',
      actor_id: '12',
      repository_visibility: 'private',
      repository_id: '74',
      repository_owner_id: '65',
      run_id: 'example-run-id',
      run_number: '10',
      run_attempt: '2',
      runner_environment: 'github-hosted',
      actor: 'octocat',
      workflow: 'example-workflow',
      head_ref: '',
      base_ref: '',
      event_name: 'workflow_dispatch',
      ref_type: 'branch',
      ref_protected: 'true',
      job_workflow_ref: 'octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main',
    },
    principal: {
      subject: 'github:octo-org/octo-repo:prod',
      issuer: 'https://token.actions.githubusercontent.com',
      tenant: 'gh-65',
      groups: ['ci'],
      policies: ['baseline'],
      tokenId: 'it:example-id',
    },
    also: [['another branch of the list', { ref: 'refs/heads/release' }]],
    refused: [
      ['another repository of the same name', { repository_id: '75' }],
      ['another branch', { ref: 'refs/heads/feature' }],
      ['a branch that begins like it', { ref: 'refs/heads/main2' }],
      ['a pull request', { ref: 'refs/pull/1/merge', event_name: 'pull_request' }],
      ['another environment', { environment: 'staging' }],
      ['no environment', { environment: undefined }],
      [
        'a workflow of another branch',
        { job_workflow_ref: 'octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/x' },
      ],
      ['the default audience', { aud: 'https://github.com/octo-org' }],
      ['another issuer', { iss: 'https://token.actions.githubusercontent.com/octo' }],
      ['no jti', { jti: undefined }],
      ['a lifetime of two hours', { life: 7200 }],
      ['another typ', {}, { typ: 'at+jwt' }],
      ['no typ', {}, { typ: undefined }],
    ],
  },
  gitlab: {
    settings: {
      preset: 'gitlab',
      rules: [
        {
          name: 'main',
          when: { project_id: 20, ref_protected: true, environment: 'production' },
          tenant: `gl-\${namespace_id}`,
          policies: ['baseline'],
        },
      ],
    },
    header: { typ: 'JWT' },
    claims: {
      namespace_id: '72',
      namespace_path: 'my-group',
      project_id: '20',
      project_path: 'my-group/my-project',
      user_id: '1',
      user_login: 'sample-user',
      user_email: 'sample-user@example.com',
      user_access_level: 'developer',
      pipeline_id: '574',
      pipeline_source: 'push',
      job_id: '302',
      ref: 'main',
      ref_type: 'branch',
      ref_path: 'refs/heads/main',
      ref_protected: 'true',
      groups_direct: ['mygroup/mysubgroup', 'myothergroup/myothersubgroup'],
      environment: 'production',
      environment_protected: 'false',
      deployment_tier: 'production',
      deployment_action: 'start',
      runner_id: 1,
      runner_environment: 'self-hosted',
      sha: '714a629c0b401fdce83e847fc9589983fc6f46bc',
      project_visibility: 'public',
      ci_config_ref_uri: 'gitlab.example.com/my-group/my-project//.gitlab-ci.yml@refs/heads/main',
      ci_config_sha: '714a629c0b401fdce83e847fc9589983fc6f46bc',
      jti: '235b3a54-b797-45c7-ae9a-f72d7bc6ef5b',
      iss: 'https://gitlab.com',
      sub: 'project_path:my-group/my-project:ref_type:branch:ref:main',
    },
    principal: {
      subject: 'project_path:my-group/my-project:ref_type:branch:ref:main',
      issuer: 'https://gitlab.com',
      tenant: 'gl-72',
      groups: [],
      policies: ['baseline'],
    },
    also: [['a job of twelve hours', { life: 12 * 3600 }]],
    refused: [
      ['another project', { project_id: '200' }],
      ['a branch that is not protected', { ref_protected: 'false' }],
      ['another environment', { environment: 'production/eu' }],
      ['the audience of another service', { aud: 'https://vault.example.com' }],
      ['the audience of GitLab itself', { aud: 'https://gitlab.com' }],
    ],
  },
  kubernetes: {
    settings: {
      preset: 'kubernetes',
      issuer: 'https://kubernetes.default.svc.cluster.local',
      rules: [
        {
          name: 'builders',
          when: { sub: 'system:serviceaccount:ci:builder', '/kubernetes.io/namespace': 'ci' },
          tenant: `k8s-\${/kubernetes.io/namespace}`,
          owner: `\${/kubernetes.io/pod/uid}`,
        },
      ],
    },
    header: { typ: undefined },
    claims: {
      iss: 'https://kubernetes.default.svc.cluster.local',
      jti: 'aed34954-b33a-4142-b1ec-389d6bbb4936',
      'kubernetes.io': {
        namespace: 'ci',
        node: { name: 'my-node', uid: '646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1' },
        pod: { name: 'my-pod', uid: '5e0bd49b-f040-43b0-99b7-22765a53f7f3' },
        serviceaccount: { name: 'builder', uid: '14ee3fa4-a7e2-420f-9f9a-dbc4507c3798' },
      },
      sub: 'system:serviceaccount:ci:builder',
    },
    principal: {
      subject: 'system:serviceaccount:ci:builder',
      issuer: 'https://kubernetes.default.svc.cluster.local',
      tenant: 'k8s-ci',
      groups: [],
      policies: [],
    },
    also: [['our audience in a list, as the API server writes it', { aud: [AUD] }]],
    refused: [
      ['another account', { sub: 'system:serviceaccount:ci:default' }],
      ['the account of that name elsewhere', { sub: 'system:serviceaccount:other:builder' }],
      ['a token bound to another namespace', { 'kubernetes.io': { namespace: 'other' } }],
      ['a token bound to no pod', { 'kubernetes.io': { namespace: 'ci' } }],
      ['a token for the API server', { aud: ['https://kubernetes.default.svc.cluster.local'] }],
      ['a token of a year', { life: 365 * 86_400 }],
      ['a token without end', { exp: undefined }],
    ],
  },
  keycloak: {
    settings: {
      preset: 'keycloak',
      issuer: 'https://sso.acme.example/realms/acme',
      rules: [
        {
          name: 'people',
          when: { '/realm_access/roles': { contains: 'docker' } },
          groupsFrom: { claim: '/realm_access/roles', only: ['docker-*'], prefix: 'kc-' },
          groups: ['people'],
        },
      ],
    },
    header: { typ: 'JWT' },
    claims: {
      auth_time: 1767225590,
      jti: 'onrtac:0c2ff5d1-1f0e-4a38-8b3f-1d3a5ad2f1f7',
      iss: 'https://sso.acme.example/realms/acme',
      aud: [AUD, 'account'],
      sub: 'f1c4f64e-2c0c-4cda-8c9f-9f3f8f3a2b0e',
      typ: 'Bearer',
      azp: 'docker-cli',
      sid: '4c0a3a8a-3a47-4f2f-8e89-9e5f9b0a0a0a',
      acr: '1',
      'allowed-origins': ['/*'],
      realm_access: {
        roles: ['default-roles-acme', 'offline_access', 'docker', 'docker-ops', 'docker-dev', 'operator'],
      },
      resource_access: { account: { roles: ['manage-account', 'view-profile'] } },
      scope: 'openid profile email',
      email_verified: true,
      preferred_username: 'ada',
      email: 'ada@acme.example',
    },
    principal: {
      subject: 'keycloak:f1c4f64e-2c0c-4cda-8c9f-9f3f8f3a2b0e',
      issuer: 'https://sso.acme.example/realms/acme',
      groups: ['people', 'kc-docker-ops', 'kc-docker-dev'],
      policies: [],
    },
    also: [['no further role', { realm_access: { roles: ['docker'] } }]],
    refused: [
      ['an id token', { typ: 'ID' }],
      ['a refresh token', { typ: 'Refresh' }],
      ['a logout token', { typ: 'Logout' }],
      ['no typ', { typ: undefined }],
      ['another audience', { aud: 'account' }],
      ['another realm', { iss: 'https://sso.acme.example/realms/other' }],
      ['without the role', { realm_access: { roles: ['dockers'] } }],
      ['roles that are no list', { realm_access: { roles: 'docker' } }],
      ['no roles', { realm_access: undefined }],
    ],
  },
  entra: {
    settings: {
      preset: 'entra',
      tid: TID,
      rules: [
        {
          name: 'app',
          when: { oid: ['690222be-ff1a-4d56-abd1-7e4f7d38e474'], azp: '6f5c7a3f-96a0-4d4f-a84a-aad9d2cd6c08' },
        },
        {
          name: 'people',
          when: { roles: { contains: 'Docker.User' } },
          groupsFrom: { claim: 'roles', only: ['Docker.User'] },
        },
      ],
    },
    header: { typ: 'JWT' },
    claims: {
      iss: `https://login.microsoftonline.com/${TID}/v2.0`,
      aio: 'AXQAi/8IAAAA',
      azp: '6f5c7a3f-96a0-4d4f-a84a-aad9d2cd6c08',
      azpacr: '1',
      idtyp: 'app',
      oid: '690222be-ff1a-4d56-abd1-7e4f7d38e474',
      rh: '0.AgoAv4j5cvGGr0GRqy180BHbR',
      sub: '690222be-ff1a-4d56-abd1-7e4f7d38e474',
      tid: TID,
      uti: 'fqiBqXLPj0eQa82S-IYFAA',
      ver: '2.0',
    },
    principal: {
      subject: 'entra:690222be-ff1a-4d56-abd1-7e4f7d38e474',
      issuer: `https://login.microsoftonline.com/${TID}/v2.0`,
      groups: [],
      policies: [],
    },
    also: [
      [
        'a person with the role',
        { oid: 'aaaaaaaa-0000-4000-8000-000000000001', azp: 'x', roles: ['Docker.User', 'Admin'] },
      ],
      ['the token of a managed identity, which lives for a day', { life: 86_700 }],
    ],
    refused: [
      ['another directory', { tid: '00000000-7a44-4a0b-9d0f-2f6a5f0b7c11' }],
      [
        'the issuer of another directory',
        { iss: 'https://login.microsoftonline.com/00000000-7a44-4a0b-9d0f-2f6a5f0b7c11/v2.0' },
      ],
      ['another object', { oid: 'aaaaaaaa-0000-4000-8000-000000000001' }],
      ['another application', { azp: 'aaaaaaaa-0000-4000-8000-000000000002' }],
      ['a token for Graph', { aud: '00000003-0000-0000-c000-000000000000' }],
      ['two rules at once', { roles: ['Docker.User'] }],
    ],
  },
};

describe('ready settings of well-known issuers', () => {
  const dir = mkdtempSync(join(tmpdir(), 'dg-presets-'));
  let issuer: TestIssuer;
  before(async () => {
    issuer = await startIssuer();
    await issuer.addKey('k1');
    writeFileSync(join(dir, 'jwks.json'), JSON.stringify({ keys: issuer.jwks }));
  });
  after(async () => {
    rmSync(dir, { recursive: true, force: true });
    await issuer.stop();
  });

  const settingsOf = (settings: Record<string, unknown>): readonly IssuerSetting[] => {
    const written = { name: 'it', audience: AUD, jwks: './jwks.json', ...settings };
    const { config, problems } = parseConfig(stringify({ engine: 'unix:///x.sock', issuers: [written] }), {
      baseDir: dir,
    });
    assert.deepEqual(problems, []);
    return config?.issuers ?? [];
  };

  for (const [preset, { settings, claims, header, principal, also, refused }] of Object.entries(CASES)) {
    describe(preset, () => {
      const tokenOf = async (at: number, changes: Claims, headerChanges: Record<string, unknown> = {}) => {
        const iat = Math.floor(at / 1000);
        const { life, ...rest } = changes;
        const whole = { aud: AUD, nbf: iat, iat, exp: iat + ((life as number | undefined) ?? 300), ...claims, ...rest };
        return issuer.sign('k1', whole, { ...header, ...headerChanges });
      };
      it('lets the job in that the rule names', async () => {
        const room = await openExternalRoom(issuer, settingsOf(settings));
        const named = await room.principal(await tokenOf(room.clock.at, {}), '192.0.2.1');
        for (const [key, value] of Object.entries(principal)) {
          assert.deepEqual(named[key as 'subject'], value as never, key);
        }
        assert.equal(named.tokenId?.startsWith('it:'), true);
      });
      for (const [name, changes, headerChanges] of also ?? []) {
        it(`lets in ${name}`, async () => {
          const room = await openExternalRoom(issuer, settingsOf(settings));
          assert.ok(await room.principal(await tokenOf(room.clock.at, changes, headerChanges), '192.0.2.1'));
        });
      }
      for (const [name, changes, headerChanges] of refused) {
        it(`refuses ${name}`, async () => {
          const room = await openExternalRoom(issuer, settingsOf(settings));
          const error = await room.refusal(await tokenOf(room.clock.at, changes, headerChanges), '192.0.2.1');
          assert.equal(error.status, 401);
        });
      }
    });
  }
});
