// A token's ceiling: what it covers, what it says of what it does not, and when one ceiling lies within another.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { exceeds, readAuthorizationDetails } from '../../src/policy/ceiling.ts';
import type { Ceiling, DockerAuthorization } from '../../src/policy/types.ts';
import { callOf, decideFor, type Known, policyOf, principal, setOf } from './support.ts';

const detail = (of: Omit<DockerAuthorization, 'type'>): DockerAuthorization => ({ type: 'docker', ...of });
const ALL = setOf(policyOf('- { name: all, effect: allow, actions: ["*"] }'));
const CREATE = { Image: 'busybox:test', HostConfig: { NetworkMode: 'none' } };
const CI = detail({
  actions: ['container.*'],
  resources: ['container/ci-*', 'image/docker.io/library/*'],
  host: { preset: 'baseline' },
});

interface Row {
  readonly title: string;
  readonly ceiling: Ceiling;
  readonly parents?: readonly Ceiling[];
  readonly line: string;
  readonly body?: unknown;
  readonly known?: Known;
  /** Part of the denial, undefined for an allow. */
  readonly denied?: RegExp;
}

const rows: readonly Row[] = [
  { title: 'no ceiling', ceiling: {}, line: 'GET /info' },
  { title: 'an action of the details', ceiling: { authorizationDetails: [CI] }, line: 'GET /containers/ci-1/logs' },
  {
    title: 'an action beside them',
    ceiling: { authorizationDetails: [CI] },
    line: 'GET /images/json',
    denied: /^denied by the token's ceiling: it covers container\.\*, not image\.list$/,
  },
  { title: 'what clients ask first', ceiling: { authorizationDetails: [CI] }, line: 'GET /version' },
  {
    title: 'what clients ask first, outside the scope',
    ceiling: { scope: ['container.*'] },
    line: 'GET /version',
    denied: /^denied by the token's scope: it covers container\.\*, not system\.version$/,
  },
  {
    title: 'an object beside the patterns',
    ceiling: { authorizationDetails: [CI] },
    line: 'GET /containers/web/logs',
    denied: /^denied by the token's ceiling: path\.id names container "web" \(allowed: container\/ci-\*\)$/,
  },
  {
    title: 'an object asked for by its id, of a name within',
    ceiling: { authorizationDetails: [CI] },
    line: 'GET /containers/abc/logs',
    known: { 'container/abc': { name: 'ci-9' } },
  },
  {
    title: 'an object asked for by an id that looks like a name within',
    ceiling: { authorizationDetails: [CI] },
    line: 'GET /containers/ci-1/logs',
    known: { 'container/ci-1': { name: 'web' } },
    denied: /container "ci-1"/,
  },
  {
    title: 'every object of a call within',
    ceiling: { authorizationDetails: [CI] },
    line: 'POST /containers/create?name=ci-1',
    body: CREATE,
  },
  {
    title: 'one object of a call beside',
    ceiling: { authorizationDetails: [CI] },
    line: 'POST /containers/create?name=ci-1',
    body: { ...CREATE, Image: 'ghcr.io/acme/app' },
    denied: /Image names image "ghcr\.io\/acme\/app:latest" \(allowed: image\/docker\.io\/library\/\*\)/,
  },
  {
    title: 'a new object without a name',
    ceiling: { authorizationDetails: [CI] },
    line: 'POST /containers/create',
    body: CREATE,
    denied: /the new container has no name/,
  },
  {
    title: 'a call on a whole kind',
    ceiling: { authorizationDetails: [CI] },
    line: 'POST /containers/prune',
    denied: /all containers/,
  },
  {
    title: 'a host setting beyond the preset',
    ceiling: { authorizationDetails: [CI] },
    line: 'POST /containers/create?name=ci-1',
    body: { ...CREATE, HostConfig: { Privileged: true } },
    denied: /^denied by the token's ceiling: HostConfig\.Privileged is true \(allowed: false\)$/,
  },
  {
    title: 'one of several details',
    ceiling: { authorizationDetails: [detail({ actions: ['image.*'] }), CI] },
    line: 'GET /images/json',
  },
  {
    title: 'two details, each for half of the call',
    ceiling: {
      authorizationDetails: [
        detail({ resources: ['container/ci-*'] }),
        detail({ resources: ['image/docker.io/library/*'] }),
      ],
    },
    line: 'POST /containers/create?name=ci-1',
    body: CREATE,
    denied: /denied by the token's ceiling/,
  },
  {
    title: 'scope and details, the action in both',
    ceiling: { scope: ['class:read'], authorizationDetails: [CI] },
    line: 'GET /containers/ci-1/logs',
  },
  {
    title: 'scope and details, the action in the details alone',
    ceiling: { scope: ['class:read'], authorizationDetails: [CI] },
    line: 'POST /containers/ci-1/stop',
    denied: /scope/,
  },
  {
    title: 'a parent that covers less than the token says',
    ceiling: { scope: ['*'] },
    parents: [{ authorizationDetails: [CI] }],
    line: 'GET /containers/web/logs',
    denied: /ceiling: path\.id names container "web"/,
  },
  {
    title: 'a parent that covers the call',
    ceiling: {},
    parents: [{ authorizationDetails: [CI] }, { scope: ['*'] }, {}],
    line: 'GET /containers/ci-1/logs',
  },
  {
    title: 'details that cover nothing',
    ceiling: { authorizationDetails: [] },
    line: 'GET /info',
    denied: /it covers nothing/,
  },
  {
    title: 'a scope that covers nothing',
    ceiling: { scope: [] },
    line: 'GET /info',
    denied: /it covers nothing/,
  },
];

describe("a token's ceiling", () => {
  for (const { title, ceiling, parents = [], line, body, known, denied } of rows) {
    it(`${denied === undefined ? 'lets pass' : 'denies'}: ${title}`, () => {
      const ancestors = parents.map((one, i) => ({ id: `t${i}`, ceiling: one }));
      const decision = decideFor(ALL, principal({ ...ceiling, ancestors }), callOf(line, body, known));
      if (denied === undefined) assert.equal(decision.effect, 'allow', decision.reasons[0]?.message);
      else {
        assert.equal(decision.effect, 'deny');
        assert.equal(decision.reasons[0]?.code, 'scope-exceeded');
        assert.match(decision.reasons[0]?.message ?? '', denied);
      }
    });
  }

  it('grants nothing', () => {
    const none = setOf(policyOf('- { name: ping, effect: allow, actions: [system.ping] }'));
    const who = principal({ scope: ['*'], authorizationDetails: [detail({ actions: ['*'] })] });
    assert.equal(decideFor(none, who, callOf('GET /info')).reasons[0]?.code, 'operation-not-allowed');
  });

  it("a token's ceiling asks for the real names its patterns need, and for none when they need none", () => {
    const call = callOf('GET /containers/abc/logs');
    const needs = (ceiling: Ceiling) => ALL.forPrincipal(principal(ceiling)).needsResolution(call).length;
    assert.equal(needs({}), 0);
    assert.equal(needs({ scope: ['container.*'] }), 0);
    assert.equal(needs({ authorizationDetails: [detail({ resources: ['container/*'] })] }), 0);
    assert.equal(needs({ authorizationDetails: [CI] }), 1);
  });
});

describe('readAuthorizationDetails()', () => {
  const good: readonly (readonly [string, unknown])[] = [
    ['actions', [{ type: 'docker', actions: ['container.*', 'class:read'] }]],
    ['resources', [{ type: 'docker', resources: ['container/ci-*', '*'] }]],
    ['a host preset', [{ type: 'docker', host: { preset: 'restricted' } }]],
    ['several', [CI, CI]],
  ];
  for (const [title, value] of good) {
    it(`readAuthorizationDetails() reads ${title}`, () => {
      assert.deepEqual(readAuthorizationDetails(value).details, value);
    });
  }
  const bad: readonly (readonly [string, unknown, RegExp])[] = [
    ['no list', { type: 'docker', actions: ['*'] }, /list of 1 to 16/],
    ['an empty list', [], /list of 1 to 16/],
    ['17 objects', Array(17).fill(CI), /list of 1 to 16/],
    ['another type', [{ type: 'payment', actions: ['*'] }], /\[0\]\.type must be docker/],
    ['no type', [{ actions: ['*'] }], /\[0\]\.type must be docker/],
    ['null', [null], /\[0\] must be an object/],
    ['a key that is not enforced', [{ ...CI, action: ['*'] }], /unknown key "action"; did you mean actions/],
    ['nothing narrowed', [{ type: 'docker' }], /narrows nothing/],
    ['an empty list of actions', [{ type: 'docker', actions: [] }], /\[0\]\.actions must be a list/],
    ['an action there is not', [{ type: 'docker', actions: ['container.craete'] }], /did you mean container\.create/],
    ['an action that is no text', [{ type: 'docker', actions: [7] }], /actions\[0\] must be text/],
    ['a resource without kind', [{ type: 'docker', resources: ['ci-*'] }], /unknown kind "ci-\*"/],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a place nothing fills
    ['a place to fill', [{ type: 'docker', resources: ['container/${principal.tenant}-*'] }], /holds a \$/],
    ['a short image reference', [{ type: 'docker', resources: ['image/busybox'] }], /docker\.io\/library\/busybox/],
    [
      'a preset there is not',
      [{ type: 'docker', host: { preset: 'strict' } }],
      /one of baseline, restricted, hardened/,
    ],
    ['a preset that narrows nothing', [{ type: 'docker', host: { preset: 'privileged' } }], /one of baseline/],
    ['a host override', [{ type: 'docker', host: { preset: 'baseline', binds: ['/'] } }], /must be \{ preset \}/],
  ];
  for (const [title, value, problem] of bad) {
    it(`readAuthorizationDetails() refuses ${title}`, () => {
      const read = readAuthorizationDetails(value);
      assert.equal(read.details, undefined);
      assert.match(read.problems?.join('\n') ?? '', problem);
    });
  }
});

describe('exceeds()', () => {
  const scope = (...entries: string[]): Ceiling => ({ scope: entries });
  const details = (...of: Omit<DockerAuthorization, 'type'>[]): Ceiling => ({ authorizationDetails: of.map(detail) });
  const resources = (...entries: string[]) => details({ resources: entries });
  const within: readonly (readonly [string, Ceiling, Ceiling])[] = [
    ['the same scope', scope('container.*'), scope('container.*')],
    ['an action of a pattern', scope('container.logs'), scope('container.*')],
    ['a pattern of a class', scope('container.l*'), scope('class:read')],
    ['anything of nothing set', scope('*'), {}],
    ['the same details', { authorizationDetails: [CI] }, { authorizationDetails: [CI] }],
    ['a narrower pattern', resources('container/ci-1*'), resources('container/ci-*')],
    ['a pattern of the whole kind', resources('container/*'), resources('container/*')],
    ['a kind of everything', resources('container/*'), resources('*')],
    ['a tag of a repository', resources('image/docker.io/a/b:1'), resources('image/docker.io/a/b')],
    ['a stricter preset', details({ host: { preset: 'hardened' } }), details({ host: { preset: 'baseline' } })],
    [
      'one of several details',
      details({ actions: ['image.list'] }),
      details({ actions: ['container.*'] }, { actions: ['image.*'] }),
    ],
  ];
  for (const [title, narrow, wide] of within) {
    it(`exceeds() finds ${title} within`, () => assert.equal(exceeds(narrow, wide), undefined));
  }
  const beyond: readonly (readonly [string, Ceiling, Ceiling])[] = [
    ['another action', scope('container.logs', 'image.list'), scope('container.*')],
    ['a wider pattern', scope('*'), scope('container.*')],
    ['more than an empty scope', scope('system.ping'), scope()],
    ['a wider resource', resources('container/*'), resources('container/ci-*')],
    ['a sibling resource', resources('container/cd-*'), resources('container/ci-*')],
    ['a star inside', resources('container/c*1'), resources('container/ci-*')],
    ['another kind', resources('volume/ci-*'), resources('container/ci-*')],
    ['everything', resources('*'), resources('container/*')],
    ['every tag of one tag', resources('image/docker.io/a/b'), resources('image/docker.io/a/b:1')],
    ['no resources', details({ actions: ['container.*'] }), resources('container/ci-*')],
    ['no actions', resources('container/ci-*'), details({ actions: ['container.*'] })],
    ['a looser preset', details({ host: { preset: 'baseline' } }), details({ host: { preset: 'restricted' } })],
    ['no preset', details({ actions: ['*'] }), details({ host: { preset: 'restricted' } })],
    [
      'details that only two together cover',
      details({ actions: ['container.logs', 'image.list'] }),
      details({ actions: ['container.*'] }, { actions: ['image.*'] }),
    ],
  ];
  for (const [title, narrow, wide] of beyond) {
    it(`exceeds() finds ${title} beyond`, () => assert.equal(typeof exceeds(narrow, wide), 'string'));
  }
});
