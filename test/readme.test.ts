// Every command of the README is run here, and those of docs/ that need no other machine, or named beside the test that runs
// it; every settings and policy block is judged by the program, and the embedding example is executed. The engine is the
// built-in STAND-IN.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { startStandin } from '../src/standin/standin.ts';
import { understands } from './support/command-line.ts';
import { docCommands, locally, writeReaderFiles } from './support/doc-commands.ts';
import { DOCKER_CLI } from './support/engine.ts';
import { type Ran, run } from './support/gateway.ts';
import { dockgateCommand, IS_DENO, ROOT } from './support/runtime.ts';
import { until } from './support/until.ts';

const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const blocks = [...README.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language, text]) => ({
  language: language as string,
  text: text as string,
}));
const prose = README.replace(/^```.*?^```$/gms, '');
const inline = [...new Set([...prose.matchAll(/`((?:npx |npm |dockgate )[^`]+)`/g)].map((m) => m[1] as string))];

/** Run elsewhere, because they do not end, or need what is not here. The file must exist and say the word. */
const ELSEWHERE: [command: RegExp, file: string, word: string][] = [
  [/^npm ci\b/, '.ci/run', 'npm ci'],
  [/^npm run bench$/, 'package.json', '"bench"'],
  [/^(npx )?deno task (start|test)$/, 'deno.json', '"tasks"'],
  [/^dockgate connect\b/, 'test/connect', ''],
  [/docker buildx build/, 'test/connect', ''],
];

/** The docker and dockgate lines of a shell block, with what a comment behind them says of their output. */
interface Line {
  readonly command: string;
  readonly expected: string | undefined;
}
const shellLines: Line[] = blocks
  .filter(({ language }) => language === 'sh')
  .flatMap(({ text }) => {
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    return lines.flatMap((line, i): Line[] => {
      if (line.startsWith('#')) return [];
      const next = lines[i + 1];
      return [
        {
          command: line.replace(/ +# .*$/, '').trim(),
          expected: next?.startsWith('# ') ? next.slice(2) : undefined,
        },
      ];
    });
  });

const elsewhere = (command: string) => ELSEWHERE.find(([pattern]) => pattern.test(command));

describe('the README', () => {
  const cwd = mkdtempSync(join(tmpdir(), 'dg-readme-'));
  let started: ChildProcess;
  let port = '';
  const shims = join(cwd, 'shims');
  const environment: NodeJS.ProcessEnv = {};

  let engine: Awaited<ReturnType<typeof startStandin>>;
  before(async () => {
    engine = await startStandin(join(cwd, 'engine.sock'));
    // The command of the README, with a data folder and a port of the test's own.
    const own = ['--data', join(cwd, 'data'), '--listen', 'https://127.0.0.1:0'];
    const [command, args] = IS_DENO
      ? [process.execPath, ['task', 'start', ...own]]
      : ['npm', ['start', '--silent', '--', ...own]];
    started = spawn(command as string, args as string[], {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        DOCKER_HOST: `unix://${engine.socketPath}`,
        PATH: `${ROOT}node_modules/.bin:${process.env.PATH}`,
      },
    });
    let text = '';
    started.stdout?.on('data', (data: Buffer) => {
      text += data;
    });
    await until('the welcome', () => {
      if (started.exitCode !== null) throw new Error(`npm start ended with ${started.exitCode}: ${text}`);
      return text.includes('Stop with Ctrl-C');
    });
    port = /tcp:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1] as string;
    // In a checkout npx finds dockgate by itself (test/start shows it); here the folder is another.
    mkdirSync(shims);
    const [program, first] = dockgateCommand();
    writeFileSync(
      join(shims, 'dockgate'),
      `#!/bin/sh\nexec '${program}' ${first.map((a) => `'${a}'`).join(' ')} "$@"\n`,
    );
    writeFileSync(join(shims, 'npx'), '#!/bin/sh\nexec "$@"\n');
    for (const shim of ['dockgate', 'npx']) chmodSync(join(shims, shim), 0o755);
    copyFileSync(join(cwd, 'data', 'ca.pem'), join(cwd, 'ca.pem'));
    Object.assign(environment, {
      PATH: `${shims}:${dirname(DOCKER_CLI ?? '/none/docker')}:${process.env.PATH}`,
      HOME: cwd,
    });
  });
  after(async () => {
    if (started.exitCode === null && started.pid !== undefined) {
      const ended = once(started, 'exit');
      // npm stands between: the whole group is told.
      process.kill(-started.pid, 'SIGTERM');
      await ended;
    }
    await engine?.close();
    rmSync(cwd, { recursive: true, force: true });
  });

  /** `export` lines so far: the reader's terminal. */
  const exported: string[] = [];
  const here = (text: string) => text.replaceAll(/(127\.0\.0\.1|host):2376/g, `127.0.0.1:${port}`);
  const inShell = (command: string): Promise<Ran> =>
    run('sh', ['-c', [`cd ${cwd}`, ...exported, here(command)].join('\n')], { env: environment, timeoutMs: 60_000 });

  for (const { command, expected } of shellLines) {
    for (const part of command.includes(' && ') ? command.split(' && ') : [command]) {
      const other = elsewhere(part);
      if (other !== undefined) {
        it(`${part} is run by ${other[1]}`, () => namesIt(other));
        continue;
      }
      if (part === 'npm start') continue; // it is what this test runs in
      if (part === 'npm test') {
        it('npm test runs the tests', async () => {
          const [program, args] = IS_DENO
            ? [process.execPath, ['task', 'test', 'test/architecture.test.ts']]
            : ['npm', ['test', '--silent', '--', 'test/architecture.test.ts']];
          const { NODE_TEST_CONTEXT: _c, ...env } = process.env;
          const ran = await run(program as string, args as string[], {
            env: { ...env, PATH: `${ROOT}node_modules/.bin:${process.env.PATH}` },
            timeoutMs: 90_000,
          });
          assert.equal(ran.code, 0, ran.stdout + ran.stderr);
        });
        continue;
      }
      const needsDocker = /^docker /.test(part) && DOCKER_CLI === undefined;
      const needsCurl = /^curl /.test(part) && spawnSync('curl', ['--version']).status !== 0;
      it(`${part} works`, {
        skip: needsDocker ? 'no docker CLI here' : needsCurl ? 'no curl here' : false,
      }, async () => {
        if (part.startsWith('export ')) {
          exported.push(here(part));
          return;
        }
        const ran = await inShell(part);
        const denied = expected?.startsWith('denied by') ?? false;
        if (!denied) {
          assert.equal(ran.code, 0, ran.stderr);
          return;
        }
        assert.notEqual(ran.code, 0);
        // What the README promises, up to where it shortens.
        const promised = (expected as string).split(/ \.\.\. | \[audit /)[0] as string;
        assert.ok(ran.stderr.includes(promised), `promised: ${promised}\ngot: ${ran.stderr}`);
        assert.match(ran.stderr, /\[audit [0-9a-f-]{36}\]/);
      });
    }
  }

  for (const command of inline) {
    const other = elsewhere(command);
    if (other !== undefined) it(`${command} is run by ${other[1]}`, () => namesIt(other));
    else if (/^(npx )?dockgate /.test(command)) {
      it(`${command} is a command with these options`, () => understands(command.replace(/^npx /, '')));
    } else if (/^npm run /.test(command)) {
      it(`${command} is a script`, () => {
        const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
          scripts: Record<string, string>;
        };
        assert.ok((command.split(' ')[2] as string) in scripts);
      });
    } else if (!/^npm (start|test)/.test(command)) it(`${command} is run by a test`, () => assert.fail('it is not'));
  }

  for (const [i, { text }] of blocks.filter(({ language }) => language === 'yaml').entries()) {
    const value = parse(text) as Record<string, unknown>;
    if (value.kind !== undefined) {
      it(`the ${String(value.kind)} document applies`, async () => {
        writeFileSync(join(cwd, 'ci.yaml'), text);
        const ran = await inShell('npx dockgate policy apply -f ci.yaml');
        assert.equal(ran.code, 0, ran.stderr);
      });
    } else if (value.engine !== undefined) {
      it('the settings are valid', async () => {
        writeFileSync(join(cwd, 'dockgate.yaml'), text);
        const ran = await inShell('dockgate check --config dockgate.yaml');
        assert.equal(ran.code, 0, ran.stderr);
      });
    } else if (value.issuers !== undefined || value.plugins !== undefined) {
      it(`yaml block ${i + 1} is valid within settings`, async () => {
        writeFileSync(join(cwd, 'part.yaml'), `engine: unix:///var/run/docker.sock\n${text}`);
        const ran = await inShell('dockgate check --config part.yaml');
        assert.equal(ran.code, 0, ran.stderr);
      });
    }
  }

  for (const { text } of blocks.filter(({ language }) => language === 'ts')) {
    it('the embedding example runs', async () => {
      const settings = join(cwd, 'embedded.yaml');
      writeFileSync(settings, `engine: unix://${engine.socketPath}\ndata: ./embedded\n`);
      const script = join(cwd, 'embed.ts');
      writeFileSync(
        script,
        `${text.replace(`'dockgate'`, JSON.stringify(`file://${ROOT}src/index.ts`)).replace(`'dockgate.yaml'`, JSON.stringify(settings))}
server.listen(0, '127.0.0.1', async () => {
  const { port } = server.address() as { port: number };
  console.log((await fetch(\`http://127.0.0.1:\${port}/healthz\`)).status, (await gateway.fetch(new Request('http://x/version'))).status);
  server.closeAllConnections();
  server.close();
  await gateway.close();
});
`,
      );
      const ran = await run(
        process.execPath,
        IS_DENO ? ['run', '-A', '--no-check', '--config', `${ROOT}deno.json`, script] : [script],
        {
          timeoutMs: 60_000,
        },
      );
      assert.deepEqual([ran.code, ran.stdout.trim()], [0, '200 401'], ran.stderr);
    });
  }

  describe('and of the pages in docs/', () => {
    before(async () => {
      writeReaderFiles(cwd);
      const data = `export DOCKGATE_DATA=${cwd}/data`;
      // The pages begin anew: the README made an identity of the same name.
      await inShell(`${data}\ndockgate identity delete ci`);
      const made = await inShell(`${data}\ndockgate token create operator > operator.token`);
      assert.equal(made.code, 0, made.stderr);
    });
    for (const { page, command, fails } of docCommands()) {
      const tools = [/\bcurl /.test(command) ? 'curl' : '', /\bsocket (add|remove) /.test(command) ? 'id' : ''].filter(
        Boolean,
      );
      const lacking = tools.find((tool) => spawnSync(tool, ['--version']).status !== 0);
      const missing = / -- .*\bdocker /.test(command) && DOCKER_CLI === undefined ? 'docker CLI' : lacking;
      it(`docs/${page}.md: ${command} ${fails ? 'fails' : 'works'}`, {
        skip: missing === undefined ? false : `no ${missing} here`,
      }, async () => {
        const ran = await inShell(`export DOCKGATE_DATA=${cwd}/data\n${locally(command, cwd)}`);
        if (fails) assert.notEqual(ran.code, 0);
        else assert.equal(ran.code, 0, ran.stderr);
      });
    }
  });

  it('every file it links to is there', () => {
    for (const [, target] of README.matchAll(/\]\(([^)#:]+)\)/g))
      assert.ok(existsSync(join(ROOT, target as string)), target);
  });
});

function namesIt([, file, word]: (typeof ELSEWHERE)[number]): void {
  const path = join(ROOT, file);
  assert.ok(existsSync(path), `${file} is missing`);
  if (word !== '') assert.ok(readFileSync(path, 'utf8').includes(word));
}
