// The command line called wrongly or asked for help: what it says, and exit code 2 or 0. No gateway is running here.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Command } from 'commander';
import { createProgram } from '../../src/cli/main.ts';
import { ROOT, runCli } from './gateway.ts';

const dir = mkdtempSync(join(tmpdir(), 'dockgate-usage-'));
after(() => rmSync(dir, { recursive: true }));
const file = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};

const WRONG: [name: string, args: string[], stderr: RegExp][] = [
  ['an unknown command', ['frobnicate'], /^dockgate: unknown command 'frobnicate'\n$/],
  ['a misspelt command', ['identiy'], /^dockgate: unknown command 'identiy' \(Did you mean identity\?\)\n$/],
  ['an unknown option', ['audit', 'ls', '--foo'], /^dockgate: unknown option '--foo'\n$/],
  ['a missing name', ['identity', 'create'], /^dockgate: missing required argument 'name'\n$/],
  ['one name too many', ['identity', 'show', 'a', 'b'], /^dockgate: too many arguments/],
  ['a name in capitals', ['identity', 'create', 'CI'], /^dockgate: "CI" is no identity name: use 1 to 63/],
  ['a path as name', ['identity', 'delete', '../tokens'], /^dockgate: "\.\.\/tokens" is no identity name/],
  [
    'a ttl in words',
    ['token', 'create', 'ci', '--ttl', 'long'],
    /^dockgate: --ttl "long" is no span: write a whole number and s, m, h or d/,
  ],
  [
    'a decision that is none',
    ['audit', 'ls', '--decision', 'maybe'],
    /^dockgate: --decision "maybe" is none of allow, deny/,
  ],
  ['a moment that is none', ['audit', 'ls', '--since', 'soon'], /^dockgate: --since "soon" is no moment/],
  ['a limit that is none', ['audit', 'ls', '--limit', '0'], /^dockgate: --limit "0" is no number/],
  ['a missing file', ['policy', 'apply', '-f', '/no/such'], /^dockgate: \/no\/such cannot be read \(ENOENT\)\n$/],
  ['apply without file', ['policy', 'apply'], /^dockgate: required option '-f, --file <file\.\.\.>' not specified\n$/],
  ['explain without anything to explain', ['policy', 'explain', '--as', 'ci'], /^dockgate: say what to explain/],
  ['serve without settings', ['serve'], /^dockgate: serve needs --config FILE or DOCKGATE_CONFIG\n$/],
  [
    'serve with settings that are not there',
    ['serve', '--config', '/no/such.yaml'],
    /^dockgate: \/no\/such\.yaml:1:1: there is no such file\n$/,
  ],
  [
    'two gateways at once',
    ['status', '--data', '/a', '--host', 'https://a'],
    /^dockgate: --host and --data name two gateways/,
  ],
  ['a host over http', ['status', '--host', 'http://a:1'], /^dockgate: --host must be an address such as https/],
  [
    'a host with a password',
    ['status', '--host', 'https://u:p@a:1'],
    /^dockgate: --host is scheme, host and port only/,
  ],
  ['a host without token', ['status', '--host', 'https://a:1'], /needs an operator's token: set DOCKGATE_TOKEN/],
  [
    'a CA file that is not there',
    ['status', '--host', 'https://a:1', '--ca', '/no/ca.pem', '--token-file', '/no/token'],
    /^dockgate: token file \/no\/token cannot be read/,
  ],
];
for (const [name, args, expected] of WRONG) {
  test(`${name} is a usage error`, async () => {
    const { code, stdout, stderr } = await runCli(args);
    assert.match(stderr, expected);
    assert.deepEqual([code, stdout], [2, '']);
    assert.equal(stderr.trimEnd().split('\n').length, 1);
  });
}

test('a group without command shows its help and is a usage error', async () => {
  for (const args of [[], ['identity']]) {
    const { code, stderr } = await runCli(args);
    assert.equal(code, 2);
    assert.match(stderr, /^Usage: dockgate/);
  }
});

test('check tells every fault with file and line, exit code 2; a good file is ok', async () => {
  const bad = file('bad.yaml', 'engine: unix:///e\nlimts: {}\nlog: { level: loud }\n');
  const people = await runCli(['check', '--config', bad]);
  assert.deepEqual(
    [people.code, people.stdout, people.stderr],
    [
      2,
      '',
      `dockgate: ${bad}:2:1: limts: unknown key; did you mean limits?\ndockgate: ${bad}:3:15: log.level: must be one of debug, info, warn, error, not "loud"\n`,
    ],
  );
  const machine = await runCli(['check', '--json'], { env: { DOCKGATE_CONFIG: bad } });
  assert.equal(machine.code, 2);
  const told = JSON.parse(machine.stdout) as { valid: boolean; problems: { line: number }[] };
  assert.deepEqual([told.valid, told.problems.map((problem) => problem.line)], [false, [2, 3]]);
  const good = file('good.yaml', 'engine: unix:///e\n');
  assert.deepEqual(await runCli(['check', '--config', good]), { code: 0, stdout: `${good}: ok\n`, stderr: '' });
});

test('a client command with faulty settings is a configuration error, not a silent guess', async () => {
  const { code, stderr } = await runCli(['status', '--config', file('worse.yaml', 'engne: x\n')]);
  assert.equal(code, 2);
  assert.match(stderr, /engne: unknown key; did you mean engine\?/);
});

test('no gateway: one line that says where it was looked for, exit code 1', async () => {
  const sought: [string[], Record<string, string>, string][] = [
    [['--data', join(dir, 'd')], {}, join(dir, 'd', 'admin.sock')],
    [[], { DOCKGATE_DATA: join(dir, 'e') }, join(dir, 'e', 'admin.sock')],
    [
      ['--config', file('c.yaml', 'engine: unix:///e\ndata: f\n')],
      { DOCKGATE_DATA: '/other' },
      join(dir, 'f', 'admin.sock'),
    ],
    [[], { DOCKGATE_CONFIG: file('c2.yaml', 'engine: unix:///e\ndata: g\n') }, join(dir, 'g', 'admin.sock')],
  ];
  for (const [args, env, path] of sought) {
    const { code, stderr } = await runCli(['identity', 'list', ...args], { env });
    assert.deepEqual(
      [code, stderr],
      [1, `dockgate: no gateway answers at ${path}; start one, or say which with --config, --data or --host\n`],
    );
  }
});

test('the version is printed', async () => {
  const { code, stdout } = await runCli(['--version']);
  assert.equal(code, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

const everyCommand = (command: Command): Command[] => [command, ...command.commands.flatMap(everyCommand)];
const pathOf = (command: Command): string =>
  command.parent ? `${pathOf(command.parent)} ${command.name()}`.trim() : '';

test('every command of the contract is there', () => {
  const paths = everyCommand(createProgram()).map(pathOf);
  for (const path of `serve,check,start,identity create,identity list,identity show,identity disable,identity delete,token create,token list,token revoke,
policy apply,policy list,policy show,policy delete,policy explain,policy history,plugin list,audit ls,audit show,audit tail,
audit timeline,audit denies,audit sessions,audit tokens,audit unused,audit stats`.split(/,\s*/)) {
    assert.ok(paths.includes(path), path);
  }
});

for (const command of everyCommand(createProgram())) {
  test(`help of "${pathOf(command) || 'dockgate'}" describes it, its arguments and options, with an example`, () => {
    let text = '';
    command
      .configureOutput({
        writeOut(part) {
          text += part;
        },
      })
      .outputHelp();
    assert.ok(command.description().length > 10);
    assert.match(text, /Examples?:\n {2}\$ dockgate/m);
    assert.ok(text.includes(`dockgate ${pathOf(command)}`.trim()));
    for (const option of command.options) assert.ok(option.description.length > 3, option.flags);
    for (const argument of command.registeredArguments) assert.ok(argument.description.length > 3, argument.name());
    if (command.parent) assert.ok(text.includes('--json'), 'global options are shown');
  });
}

test('help can be asked for in both ways', async () => {
  const [flag, word] = await Promise.all([runCli(['token', 'create', '--help']), runCli(['help', 'token'])]);
  assert.equal(flag.code, 0);
  assert.match(flag.stdout, /^Usage: dockgate token create/);
  assert.equal(word.code, 0);
  assert.match(word.stdout, /^Usage: dockgate token/);
});

test('a reader that leaves early is no failure', async () => {
  const child = spawn(
    'sh',
    [
      '-c',
      `"$RUNTIME" ${'Deno' in globalThis ? 'run -A --no-check --config deno.json src/cli/main.ts' : 'bin/dockgate.js'} --help | { read -r _; }; exit 0`,
    ],
    {
      cwd: ROOT,
      env: { ...process.env, RUNTIME: process.execPath },
    },
  );
  let stderr = '';
  child.stderr.on('data', (chunk: Uint8Array) => {
    stderr += Buffer.from(chunk).toString();
  });
  await new Promise((resolve) => child.on('close', resolve));
  assert.equal(stderr, '');
});
