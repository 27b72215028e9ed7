// Plugins that look at answers and streams, as a person at the docker CLI meets them before a real engine.
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { dockerDirect, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { docker, startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';

const P = `dg-hook-${IS_DENO ? 'd' : 'n'}-`;
const meta = (name: string) => `meta: { name: '${name}', version: '1.0.0', apiVersion: 1, description: '' }`;

const PLUGINS: Record<string, string> = {
  labels: `export default { ${meta('labels')}, needs: { responses: true },
    match: { actions: ['container.inspect', 'container.list', 'system.events'] },
    onResponse({ body }) {
      if (body.Names?.some((n) => n.includes('hidden'))) return [{ op: 'remove', path: '/body' }];
      if (body.Actor) return body.Actor.Attributes?.secret === undefined ? [] : [{ op: 'replace', path: '/body/Actor/Attributes/secret', value: '***' }];
      const at = body.Config ? '/body/Config/Labels' : '/body/Labels';
      const labels = body.Config?.Labels ?? body.Labels ?? {};
      return 'secret' in labels ? [{ op: 'replace', path: at + '/secret', value: '***' }] : [];
    } }`,
  wide: `export default { ${meta('wide')}, needs: { responses: true, env: ['DG_TEST_HIDDEN'] }, match: { actions: ['volume.inspect'] },
    onResponse: ({ body }, { env }) => body.Name.endsWith('ok') ? [] : [{ op: 'replace', path: '/body/Name', value: env.DG_TEST_HIDDEN }] }`,
  broken: `export default { ${meta('broken')}, needs: { responses: true }, match: { actions: ['volume.create', 'network.list'] },
    onResponse() { throw new Error('the key is 12345'); } }`,
  watcher: `export default { ${meta('watcher')}, needs: { streams: true }, match: { actions: ['container.logs', 'container.attach', 'container.exec.start'] },
    onStream({ phase, text, state, bytesOut }, { annotate }) {
      if (phase === 'open') return { kind: 'watch', direction: 'both', state: '' };
      if (phase === 'end') { annotate('bytes', bytesOut); return { kind: 'pass' }; }
      const seen = (state + text).slice(-200);
      return seen.includes('FORBIDDEN') ? { kind: 'end', code: 'word-seen', message: 'a word that may not pass' } : { kind: 'pass', state: seen };
    } }`,
  closed: `export default { ${meta('closed')}, needs: { streams: true }, match: { actions: ['container.export'] },
    onStream: () => ({ kind: 'end', code: 'no-export', message: 'containers are not exported here' }) }`,
};

describe('response and stream hooks at the docker CLI', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  let env: NodeJS.ProcessEnv = {};
  before(async () => {
    const dir = mkdtempSync(join(tmpdir(), 'dg-hooks-'));
    for (const [name, source] of Object.entries(PLUGINS)) writeFileSync(join(dir, `${name}.js`), source);
    const use = (name: string, ...needs: string[]) => ({ use: join(dir, `${name}.js`), needs });
    gateway = await startGateway({
      engine: ENGINE as string,
      env: { DG_TEST_HIDDEN: 'value-of-the-gateway' },
      settings: {
        plugins: [
          use('labels', 'responses'),
          use('wide', 'responses', 'env:DG_TEST_HIDDEN'),
          use('broken', 'responses'),
          use('watcher', 'streams'),
          use('closed', 'streams'),
        ],
      },
    });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
    env = gateway.dockerEnv(await gateway.must('token', 'create', 'op'));
    removeContainers(P);
    const run = (name: string, ...flags: string[]) =>
      dockerDirect(
        'run',
        '-d',
        '--network',
        'none',
        '--name',
        `${P}${name}`,
        '--label',
        'secret=s3cret',
        ...flags,
        IMAGE,
        'sh',
        '-c',
        'echo hello; sleep 300',
      );
    run('seen');
    run('hidden');
    dockerDirect('volume', 'create', `${P}ok`);
    dockerDirect('volume', 'create', `${P}wide`);
  });
  after(async () => {
    removeContainers(P);
    if (ENGINE !== undefined) dockerDirect('volume', 'rm', '-f', `${P}ok`, `${P}wide`, `${P}made`);
    await gateway?.remove();
  });

  const auditOf = async (stderr: string): Promise<string> => {
    const [, id] = /\[audit ([0-9a-f-]{36})\]/.exec(stderr) ?? [];
    assert.ok(id, stderr);
    return gateway.must('audit', 'show', id);
  };

  it('an inspected container loses what the plugin masks, and its sizes stay as they were', async () => {
    const { stdout, stderr } = await docker(env, ['inspect', `${P}seen`]);
    const [shown] = JSON.parse(stdout || '[{}]') as [{ Config: { Labels: unknown }; Name: string }];
    assert.deepEqual(shown.Config?.Labels, { secret: '***' }, stderr);
    const [direct] = JSON.parse(dockerDirect('inspect', `${P}seen`)) as [{ Config: { Labels: unknown } }];
    direct.Config.Labels = { secret: '***' };
    assert.deepEqual(shown, direct);
  });
  it('a list is shown element by element, and one that is taken out is missing', async () => {
    const { stdout } = await docker(env, ['ps', '--filter', `name=${P}`, '--format', '{{.Names}} {{.Labels}}']);
    assert.equal(stdout.trim(), `${P}seen secret=***`);
  });
  it('the audit has the places that were changed, and no value', async () => {
    const rows = (await gateway.must('audit', 'ls', '--action', 'container.list', '--json')).replace(/\s*\n\s*/g, '');
    assert.match(rows, /"answerChanges": ?\[\{"plugin": ?"labels","at": ?\[[^\]]*"replace \/\d+\/Labels\/secret"/);
    assert.doesNotMatch(rows, /s3cret/);
  });
  it('a line of the events loses the same', async () => {
    const until = `${Math.floor(Date.now() / 1000) + 1}`;
    const { stdout } = await docker(env, [
      'events',
      '--since',
      '10m',
      '--until',
      until,
      '--filter',
      `container=${P}seen`,
      '--format',
      '{{json .}}',
    ]);
    assert.match(stdout, /"secret":"\*\*\*"/);
    assert.doesNotMatch(stdout, /s3cret/);
  });
  it('a plugin that puts in what did not stand there withholds the answer, and its neighbour passes', async () => {
    const ran = await docker(env, ['volume', 'inspect', `${P}wide`]);
    assert.notEqual(ran.code, 0);
    assert.match(
      ran.stderr,
      /the answer to volume\.inspect is not shown: plugin wide failed: its change of \/body\/Name puts in/,
    );
    assert.doesNotMatch(ran.stderr + ran.stdout, /value-of-the-gateway/);
    assert.match(await auditOf(ran.stderr), /response-withheld/);
    const ok = await docker(env, ['volume', 'inspect', '--format', '{{.Name}}', `${P}ok`]);
    assert.equal(ok.stdout.trim(), `${P}ok`, ok.stderr);
  });
  it('a hook that throws withholds a read, without a word of what it threw', async () => {
    const ran = await docker(env, ['network', 'ls']);
    assert.match(
      ran.stderr,
      /the answer to network\.list is not shown: plugin broken failed: its onResponse hook threw an error/,
    );
    assert.doesNotMatch(ran.stderr, /12345/);
  });
  it('a change whose answer is withheld is told as done', async () => {
    const ran = await docker(env, ['volume', 'create', `${P}made`]);
    assert.match(
      ran.stderr,
      /the engine has done volume\.create \(status 201\), and its answer is not shown: plugin broken/,
    );
    assert.match(dockerDirect('volume', 'ls', '-q'), new RegExp(`${P}made`));
    assert.match(await auditOf(ran.stderr), /response-withheld/);
  });
  it('a refusal of the engine reaches the caller as it is', async () => {
    const ran = await docker(env, ['inspect', '--type', 'container', `${P}missing`]);
    assert.match(ran.stderr, /No such container/);
  });
  it('a watched stream passes, and ends before the piece that the plugin refuses', async () => {
    const logs = await docker(env, ['logs', `${P}seen`]);
    assert.equal(logs.stdout, 'hello\n', logs.stderr);
    const fine = await docker(env, ['exec', '-i', `${P}seen`, 'cat'], 'one\ntwo\n');
    assert.equal(fine.stdout, 'one\ntwo\n', fine.stderr);
    const bad = await docker(env, [
      'exec',
      `${P}seen`,
      'sh',
      '-c',
      'echo before; sleep 1; echo FORBID""DEN; sleep 1; echo after',
    ]);
    assert.doesNotMatch(bad.stdout, /FORBIDDEN|after/);
    const rows = await gateway.must('audit', 'ls', '--action', 'container.exec.start', '--json');
    assert.match(rows, /word-seen/);
    assert.match(rows, /"watcher\/bytes"|plugin-denied/);
  });
  it('a stream of some MiB passes whole', async () => {
    const ran = await docker(env, ['exec', `${P}seen`, 'sh', '-c', 'yes 0123456789abcde | head -c 4000000']);
    assert.equal(ran.stdout.length, 4_000_000, ran.stderr);
    const up = await docker(env, ['exec', '-i', `${P}seen`, 'wc', '-c'], 'x'.repeat(2_000_000));
    assert.equal(up.stdout.trim(), '2000000', up.stderr);
  });
  it('a stream that a plugin refuses is not opened', async () => {
    const ran = await docker(env, ['export', '-o', join(gateway.dir, 'x.tar'), `${P}seen`]);
    assert.match(ran.stderr, /denied by plugin closed: containers are not exported here \(no-export\)/);
    assert.match(await auditOf(ran.stderr), /plugin-denied/);
  });
});
