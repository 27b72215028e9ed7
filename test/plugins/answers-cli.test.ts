// Shipped plugins that look at answers, at the docker CLI before a real engine: secrets that a caller names and does not see, and
// variables whose values are not shown.
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { dockerDirect, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { docker, type Ran, startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';

const P = `dg-answer-${IS_DENO ? 'd' : 'n'}-`;
const SECRET = 'correct-horse-battery';

describe('secret-inject and redact-env at the docker CLI', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  let env: NodeJS.ProcessEnv = {};
  before(async () => {
    const dir = mkdtempSync(join(tmpdir(), 'dg-secret-'));
    writeFileSync(join(dir, 'db'), `${SECRET}\n`);
    gateway = await startGateway({
      engine: ENGINE as string,
      settings: {
        plugins: [
          {
            use: 'secret-inject',
            needs: ['bodies', 'responses'],
            config: {
              secrets: {
                db: { file: join(dir, 'db') },
                made: { command: ['printf', '%s', 'made-by-a-command'] },
                others: { file: join(dir, 'db'), for: ['somebody-else'] },
              },
            },
          },
          { use: 'redact-env', needs: ['responses'], config: { names: ['HIDDEN_*'], keep: ['HIDDEN_NOT'] } },
        ],
      },
    });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
    env = gateway.dockerEnv(await gateway.must('token', 'create', 'op'));
    removeContainers(P);
  });
  after(async () => {
    removeContainers(P);
    if (ENGINE !== undefined) dockerDirect('image', 'rm', '-f', `${P}image:1`);
    await gateway?.remove();
  });

  const run = (name: string, ...flags: string[]): Promise<Ran> =>
    docker(env, ['run', '-d', '--network', 'none', '--name', `${P}${name}`, ...flags, IMAGE, 'sleep', '300']);
  /** In order: the engine keeps none. */
  const envOf = async (shown: Promise<Ran> | string): Promise<readonly string[]> => {
    const text = typeof shown === 'string' ? shown : (await shown).stdout;
    return (JSON.parse(text) as string[]).filter((one) => !one.startsWith('PATH=')).sort();
  };
  const ENV = ['--format', '{{json .Config.Env}}'];

  it('a secret that is named reaches the container, and no answer shows it', async () => {
    const ran = await run('db', '-e', 'DB=secret://db', '-e', 'PLAIN=seen');
    assert.equal(ran.code, 0, ran.stderr);
    assert.deepEqual(await envOf(dockerDirect('inspect', ...ENV, `${P}db`)), [`DB=${SECRET}`, 'PLAIN=seen']);
    assert.deepEqual(await envOf(docker(env, ['inspect', ...ENV, `${P}db`])), ['DB=***', 'PLAIN=seen']);
    const committed = await docker(env, ['commit', `${P}db`, `${P}image:1`]);
    assert.equal(committed.code, 0, committed.stderr);
    dockerDirect(
      'create',
      '--name',
      `${P}note`,
      '--label',
      `note=the value ${SECRET}!`,
      '--label',
      `${SECRET}=x`,
      IMAGE,
    );
    for (const words of [
      ['inspect', `${P}note`],
      ['inspect', `${P}db`],
      ['image', 'inspect', `${P}image:1`],
      ['history', '--no-trunc', `${P}image:1`],
      ['ps', '-a'],
    ]) {
      const { stdout, code, stderr } = await docker(env, words);
      assert.equal(code, 0, stderr);
      assert.doesNotMatch(stdout, new RegExp(SECRET), words.join(' '));
    }
  });
  it('the audit has that it was put in, and not the value', async () => {
    const rows = (await gateway.must('audit', 'ls', '--action', 'container.create', '--json')).replace(/\s+/g, ' ');
    assert.match(rows, /"plugin": "secret-inject"/);
    assert.match(
      await gateway.must('audit', 'ls', '--action', 'container.inspect', '--json'),
      /replace \/Config\/Env\/\d/,
    );
    const { stdout } = await gateway.dockgate('audit', 'ls', '--limit', '1000', '--json');
    assert.doesNotMatch(stdout + gateway.log(), new RegExp(SECRET));
  });
  it('what a command prints is put into an exec', async () => {
    const words = [
      'exec',
      '-e',
      'MADE=secret://made',
      `${P}db`,
      'sh',
      '-c',
      'test "$MADE" = made-by-a-command && echo same',
    ];
    const ran = await docker(env, words);
    assert.equal(ran.stdout, 'same\n', ran.stderr);
  });
  for (const [title, secret] of [
    ['no one has configured', 'nothing'],
    ['is for another caller', 'others'],
    ['is a member of every object', 'constructor'],
  ] as const)
    it(`a secret that ${title} is refused, with those there are`, async () => {
      const ran = await run('none', '-e', `A=secret://${secret}`);
      const words = `Env[0] sets A by the name "${secret}", which is none of those you may have (db, made)`;
      assert.ok(ran.stderr.includes(`denied by plugin secret-inject: ${words}`), ran.stderr);
      const [, id] = /\[audit ([0-9a-f-]{36})\]/.exec(ran.stderr) ?? [];
      assert.match(await gateway.must('audit', 'show', id as string), /plugin-denied/);
    });
  it('values of named variables are not shown, and their neighbours are', async () => {
    const ran = await run('env', '-e', 'HIDDEN_A=one', '-e', 'HIDDEN_NOT=two', '-e', 'OPEN=three');
    assert.equal(ran.code, 0, ran.stderr);
    assert.deepEqual(await envOf(docker(env, ['inspect', ...ENV, `${P}env`])), [
      'HIDDEN_A=<redacted>',
      'HIDDEN_NOT=two',
      'OPEN=three',
    ]);
  });
});
