// Policies on files: test, lint, diff and import as CI calls them. What is found, where, and the exit code.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ROOT, runCli } from './gateway.ts';

const dir = mkdtempSync(join(tmpdir(), 'dockgate-offline-'));
after(() => rmSync(dir, { recursive: true }));
const file = (name: string, text: string): string => {
  mkdirSync(join(dir, name, '..'), { recursive: true });
  writeFileSync(join(dir, name), text);
  return name;
};
const cli = (...args: string[]) => runCli(['policy', ...args], { cwd: dir });

const policy = (name: string, rules: string, more = ''): string =>
  `apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: ${name}${more.startsWith(',') ? more : ''} }\nrules:\n${rules}${more.startsWith(',') ? '' : more}`;
const LOOK = '  - { name: look, effect: allow, actions: [container.list, container.inspect] }\n';
const RUN = '  - { name: run, effect: allow, actions: [container.create], host: { preset: baseline } }\n';
const TESTS = `tests:
  - { name: lists, request: { method: GET, path: /containers/json }, expect: allow }
  - name: refuses a privileged container
    request: { method: POST, path: "/containers/create?name=x", body: { Image: busybox, HostConfig: { Privileged: true } } }
    expect: deny
    code: host-field-denied
`;

test('policy test passes, tells each test, and ends with 0', async () => {
  file('good/ci.yaml', policy('ci', LOOK + RUN, TESTS));
  const { code, stdout, stderr } = await cli('test', 'good');
  assert.deepEqual([code, stderr], [0, '']);
  assert.equal(
    stdout,
    'ok    ci: lists\nok    ci: refuses a privileged container\n2 tests, 0 failed; no hostile call passes\n',
  );
});

test('policy test names file, line and what came instead, and ends with 1', async () => {
  file('bad.yaml', policy('ci', LOOK, TESTS));
  const { code, stdout } = await cli('test', 'bad.yaml');
  assert.equal(code, 1);
  assert.match(stdout, /^ok {4}ci: lists\nFAIL {2}bad\.yaml:8: ci: refuses a privileged container: /);
  assert.match(stdout, /2 tests, 1 failed/);
  const { ok, results } = JSON.parse((await cli('test', 'bad.yaml', '--json')).stdout) as {
    ok: boolean;
    results: { passed: boolean }[];
  };
  assert.deepEqual([ok, results.map(({ passed }) => passed)], [false, [true, false]]);
});

test('policy test holds the hostile calls against every policy that does not say it gives the host away', async () => {
  const open = '  - { name: all, effect: allow, actions: ["container.*"] }\n';
  file('open.yaml', policy('open', open));
  const lost = await cli('test', 'open.yaml');
  assert.equal(lost.code, 1);
  assert.match(lost.stdout, /FAIL {2}open\.yaml:5: rule all lets pass a privileged container/);
  file('said.yaml', policy('open', open, ', acknowledges: [host-access]'));
  assert.equal((await cli('test', 'said.yaml')).code, 0);
});

test('faults of form are told with file, line and column, on stderr', async () => {
  file('typo.yaml', policy('typo', '  - { name: look, effect: allow, actions: [container.lst] }\n'));
  for (const command of ['test', 'lint']) {
    const { code, stdout, stderr } = await cli(command, 'typo.yaml');
    assert.equal(code, 1);
    assert.match(stdout + stderr, /typo\.yaml:5:\d+: .*container\.lst.*did you mean container\.list/);
  }
  const missing = await cli('test', 'nowhere.yaml');
  assert.deepEqual([missing.code, missing.stdout], [2, '']);
  assert.match(missing.stderr, /nowhere\.yaml cannot be read \(ENOENT\)/);
});

test('policy lint warns of grave grants and of rules that never match', async () => {
  file('grave.yaml', policy('grave', '  - { name: make, effect: allow, actions: [container.create] }\n'));
  const warned = await cli('lint', 'grave.yaml');
  assert.match(warned.stdout, /grave\.yaml:5: (warning|error): .*\[escalates-without-host\]/);
  assert.equal((await cli('lint', 'grave.yaml', '--strict')).code, 1);
  file('dead.yaml', policy('dead', `${LOOK}  - { name: never, effect: deny, actions: ["container.*"] }\n`));
  assert.match((await cli('lint', 'dead.yaml')).stdout, /\[covered-by-deny\]/);
  const fine = await cli('lint', 'good');
  assert.deepEqual([fine.code, fine.stdout], [0, '1 documents, nothing found\n']);
});

test('the policies among the examples pass their tests and are above suspicion', async () => {
  const folder = join(ROOT, 'examples/policies');
  const tested = await cli('test', folder);
  assert.deepEqual([tested.code, tested.stderr], [0, ''], tested.stdout);
  const linted = await cli('lint', folder, '--strict');
  assert.equal(linted.code, 0, linted.stdout);
});

test('policy diff tells documents, rules and actions that come and go', async () => {
  file('before.yaml', policy('ci', LOOK));
  file('after.yaml', policy('ci', LOOK.replace('container.list', 'container.logs') + RUN));
  const { code, stdout } = await cli('diff', 'before.yaml', 'after.yaml');
  assert.equal(code, 0);
  assert.equal(
    stdout,
    '~ Policy/ci\n  ~ allow look: actions\n      + container.logs\n      - container.list\n  + allow run\n      + container.create\n',
  );
  assert.equal((await cli('diff', 'before.yaml', 'after.yaml', '--exit-code')).code, 1);
  const same = await cli('diff', 'before.yaml', 'before.yaml', '--exit-code');
  assert.deepEqual([same.code, same.stdout], [0, 'no policy differs between before.yaml and before.yaml\n']);
});

test('policy import turns the switches of a socket proxy into a policy that passes its own check', async () => {
  file('proxy.env', 'CONTAINERS=1\nPOST=1\nEXEC=1\nVOLUMES=1\nALLOW_START=1\nSWARM=1\n');
  const { code, stdout, stderr } = await cli('import', '--socket-proxy-env', 'proxy.env');
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, /^# .*host/m);
  assert.match(stdout, /^kind: Policy$/m);
  file('imported.yaml', stdout);
  assert.equal((await cli('test', 'imported.yaml')).code, 0);
  const piped = await runCli(['policy', 'import', '--socket-proxy-env', '-', '--json'], { input: 'CONTAINERS=1\n' });
  assert.match((JSON.parse(piped.stdout) as { source: string }).source, /container\.list/);
});

test('policy lint runs the hostile calls: what apply would refuse is an error, with its line', async () => {
  file('open.yaml', policy('open', '  - { name: run, effect: allow, actions: [container.create] }\n'));
  const { code, stdout } = await cli('lint', 'open.yaml');
  assert.equal(code, 1, stdout);
  assert.match(stdout, /^open\.yaml:5: error: rule run lets pass .*\[hostile-passes\]$/m);
  file(
    'meant.yaml',
    policy('meant', '  - { name: run, effect: allow, actions: [container.create] }\n', ', acknowledges: [host-access]'),
  );
  assert.equal((await cli('lint', 'meant.yaml')).code, 0);
});

test('policy presets lists what each allows, rule by rule and field by field', async () => {
  const all = await cli('presets');
  assert.equal(all.code, 0, all.stderr);
  for (const name of ['operator', 'baseline', 'watchtower', 'compose'])
    assert.match(all.stdout, new RegExp(`^policy ${name}: `, 'm'));
  for (const name of ['baseline', 'restricted', 'hardened', 'privileged']) {
    assert.match(all.stdout, new RegExp(`^host preset ${name}$`, 'm'));
  }
  const one = await cli('presets', 'watchtower');
  assert.match(one.stdout, /baseline, remakes: true/);
  assert.match(one.stdout, /^Privileged +false/m);
  assert.doesNotMatch(one.stdout, /policy compose/);
  const wrong = await cli('presets', 'nosuch');
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /there is no preset nosuch; known: operator, /);
});
