// The command line as scripts use it: a child process against a real socket; what is on stdout, on stderr, and the exit code.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { POLICY } from '../admin/fakes.ts';
import { startGateway, type TestGateway } from './gateway.ts';

let gateway: TestGateway;
before(async () => {
  gateway = await startGateway();
});
after(() => gateway.close());

const ok = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await gateway.cli(args);
  assert.equal(stderr, '');
  assert.equal(code, 0);
  return stdout;
};
const json = async (...args: string[]) => JSON.parse(await ok(...args, '--json')) as never;

test('identity: create, list, show, disable, enable, delete', async () => {
  assert.equal(
    await ok('identity', 'create', 'ci', '--tenant', 'red', '--group', 'a', '--group', 'b', '--policy', 'baseline'),
    'identity ci created\n',
  );
  assert.match(
    await ok('identity', 'list'),
    /^NAME +TENANT +GROUPS +POLICIES +STATE +CREATED\nci +red +a,b +baseline +enabled +20\S+Z\n$/,
  );
  assert.match(
    await ok('identity', 'show', 'ci'),
    /^name: +ci\ntenant: +red\ngroups: +a, b\npolicies: baseline\nstate: +enabled\n/,
  );
  const [listed]: { name: string; groups: string[] }[] = await json('identity', 'list');
  assert.deepEqual([listed?.name, listed?.groups], ['ci', ['a', 'b']]);
  assert.equal(await ok('identity', 'disable', 'ci'), 'identity ci disabled\n');
  const shown: { disabled: boolean } = await json('identity', 'show', 'ci');
  assert.equal(shown.disabled, true);
  assert.equal(await ok('identity', 'enable', 'ci'), 'identity ci enabled\n');
  assert.equal(await ok('identity', 'delete', 'ci'), 'identity ci deleted\n');
  assert.match(await ok('identity', 'list'), /^NAME[^\n]*\n$/);
});

test('token create prints the token alone; list and revoke know it by id', async () => {
  await ok('identity', 'create', 'bot');
  assert.equal(
    await ok('token', 'create', 'bot', '--ttl', '15m', '--scope', 'class:read', '--scope', 'container.logs'),
    'head.bot.sign\n',
  );
  const [token]: { id: string; scope: string[]; state: string }[] = await json('token', 'list', '--identity', 'bot');
  assert.ok(token);
  assert.deepEqual([token.scope, token.state], [['class:read', 'container.logs'], 'valid']);
  assert.equal(await ok('token', 'revoke', token.id), `token ${token.id} of bot revoked\n`);
  assert.match(await ok('token', 'list'), new RegExp(`${token.id} +bot +revoked`));
  const made: { token: string; identity: string } = await json('token', 'create', 'bot');
  assert.deepEqual([made.token, made.identity], ['head.bot.sign', 'bot']);
});

test('policy: apply files and standard input, list, show, history, delete', async () => {
  const [one, two] = [join(gateway.dir, 'one.yaml'), join(gateway.dir, 'two.yaml')];
  writeFileSync(one, POLICY('one'));
  writeFileSync(two, POLICY('two'));
  assert.equal(
    await ok('policy', 'apply', '-f', one, two),
    'Policy/one created\nPolicy/two created\nrevision 1 is in force\n',
  );
  const piped = await gateway.cli(['policy', 'apply', '-f', '-'], { input: POLICY('one', 'description: x\n') });
  assert.deepEqual([piped.code, piped.stdout], [0, 'Policy/one changed\nrevision 2 is in force\n']);
  assert.match(await ok('policy', 'list'), /Policy +operator +built-in +- +dockgate\n.*\n.*one +2 +20\S+Z +local\n/);
  assert.equal(await ok('policy', 'show', 'two'), POLICY('two'));
  const history: { revision: number }[] = await json('policy', 'history', 'one');
  assert.deepEqual(
    history.map((entry) => entry.revision),
    [2, 1],
  );
  assert.equal(await ok('policy', 'delete', 'two'), 'two deleted; revision 3 is in force\n');
});

test('a faulty apply names each fault on a line of its own and changes nothing', async () => {
  const file = join(gateway.dir, 'bad.yaml');
  writeFileSync(file, 'kind: Polcy\n---\nkind: Policy\n');
  const { code, stdout, stderr } = await gateway.cli(['policy', 'apply', '-f', file]);
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(
    stderr,
    /^dockgate: bad\.yaml:1:1: needs kind: Policy or kind: Binding \[audit [0-9a-f-]{36}\]\ndockgate: bad\.yaml:3:1: needs metadata\.name/,
  );
});

test('policy explain takes a request from a file', async () => {
  await ok('identity', 'create', 'x');
  const file = join(gateway.dir, 'request.json');
  writeFileSync(file, JSON.stringify({ method: 'POST', target: '/containers/create', body: {} }));
  assert.equal(
    await ok('policy', 'explain', '--as', 'x', '--request', file),
    'POST /containers/create\nx may not POST /containers/create\n',
  );
  const [result]: { decision: { effect: string } }[] = await json('policy', 'explain', '--as', 'x', '--request', file);
  assert.equal(result?.decision.effect, 'deny');
});

test('plugin list, status, reload', async () => {
  assert.match(
    await ok('plugin', 'list'),
    /^NAME +VERSION +PHASES +ACTIONS +DESCRIPTION\nno-privileged +1\.0\.0 +validate +container\.create +refuses privileged\n$/,
  );
  assert.match(await ok('status'), /^version: +0\.0\.0$/m);
  assert.equal(await ok('reload'), 'reloaded\n');
});

test('audit ls shows one line for each call, newest first; show has everything', async () => {
  const at = Date.now() * 1000;
  gateway.audit.append({
    at,
    stage: 'intent',
    auditId: 'id-1',
    subject: 'eve',
    action: 'container.create',
    resource: 'container/x',
    decision: 'allow',
  });
  gateway.audit.append({
    at,
    stage: 'complete',
    auditId: 'id-1',
    subject: 'eve',
    action: 'container.create',
    decision: 'allow',
    status: 201,
  });
  gateway.audit.append({
    at,
    stage: 'complete',
    auditId: 'id-2',
    subject: 'eve',
    action: 'container.create',
    decision: 'deny',
    code: 'host-field-denied',
    status: 403,
    detail: { field: 'HostConfig.Privileged' },
  });
  const listed = await ok('audit', 'ls', '--subject', 'eve');
  assert.match(
    listed,
    /^TIME +SUBJECT +ACTION +RESOURCE +DECISION +CODE\/STATUS +AUDIT ID\n\S+Z +eve +container\.create +- +deny +host-field-denied 403 +id-2\n\S+Z +eve +container\.create +container\/x +allow +201 +id-1\n$/,
  );
  const rows: { stage: string }[] = await json('audit', 'ls', '--subject', 'eve', '--rows');
  assert.equal(rows.length, 3);
  const denied: { auditId: string }[] = await json(
    'audit',
    'ls',
    '--subject',
    'eve',
    '--decision',
    'deny',
    '--action',
    'container.*',
    '--since',
    '1h',
    '--limit',
    '5',
  );
  assert.deepEqual(
    denied.map((event) => event.auditId),
    ['id-2'],
  );
  assert.match(await ok('audit', 'show', 'id-2'), /^field: +HostConfig\.Privileged$/m);
  assert.match(await ok('audit', 'show', 'id-2', '--rows'), /^detail: +\{"field":"HostConfig.Privileged"\}$/m);
  const shown: { events: unknown[] } = await json('audit', 'show', 'id-1');
  assert.equal(shown.events.length, 2);
});

test('audit tail follows, in JSON lines and for people, until interrupted', async () => {
  const later = setInterval(
    () =>
      gateway.audit.append({
        at: Date.now() * 1000,
        stage: 'complete',
        auditId: 'live',
        subject: 'mallory',
        action: 'system.ping',
        decision: 'allow',
        status: 200,
      }),
    100,
  );
  try {
    const machine = await gateway.cli(['audit', 'tail', '--subject', 'mallory', '--last', '0', '--json'], {
      until: (text) => text.split('\n').length > 2,
    });
    assert.equal(machine.code, 0);
    for (const line of machine.stdout.trim().split('\n'))
      assert.equal((JSON.parse(line) as { auditId: string }).auditId, 'live');
    const people = await gateway.cli(['audit', 'tail', '--subject', 'mallory'], {
      until: (text) => text.includes('\n'),
    });
    assert.equal(people.code, 0);
    assert.match(people.stdout, /^20\S+Z +mallory +system\.ping +- +allow +200 +live\n/);
  } finally {
    clearInterval(later);
  }
});

test('what strangers sent cannot steer the terminal', async () => {
  gateway.audit.append({
    at: 1,
    stage: 'complete',
    auditId: 'esc',
    subject: 'z',
    action: 'container.list',
    resource: 'container/\u001b]0;owned\u0007\u009b31m\u202e\n2030 allow',
    decision: 'deny',
  });
  const listed = await ok('audit', 'ls', '--subject', 'z');
  assert.match(listed, /container\/\\x1b\]0;owned\\x07\\x9b31m\\u\{202e\}\\x0a2030 allow/);
  const raw = await ok('audit', 'ls', '--subject', 'z', '--json');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  assert.doesNotMatch(raw.replaceAll('\n', ''), /[\u0000-\u001f\u007f-\u009f\u202e]/);
  assert.match((JSON.parse(raw) as { resource: string }[])[0]?.resource ?? '', /\u009b31m\u202e\n2030/);
});

test('errors of the gateway are one line with the audit id, exit code 1', async () => {
  const { code, stdout, stderr } = await gateway.cli(['identity', 'show', 'nobody']);
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /^dockgate: there is no identity nobody \[audit [0-9a-f-]{36}\]\n$/);
});
