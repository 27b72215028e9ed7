// docker-py's own integration tests, straight against an engine and through the gateway as `operator`. By hand, as root with a
// dockerd at hand, some fifteen minutes:
//   node test/outside/docker-py.ts [PYTEST ARGUMENTS]     deno run -A test/outside/docker-py.ts
// Tests that want a registry fail both ways.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ran, run } from '../support/gateway.ts';
import { must, OUTSIDE, type Outcomes, playBothWays, tagImages } from './compared.ts';

/** The last source package of docker-py that has its tests in it, and the library they are run with. */
const TESTS = 'docker==7.0.0';
const PACKAGES = ['docker==7.1.0', 'pytest==7.4.2', 'pytest-timeout==2.1.0', 'paramiko==3.5.1'];
const KIT = join(OUTSIDE, 'docker-py');
const TIMEOUT_MS = 1_800_000;

function install(): void {
  if (existsSync(join(KIT, 'tests', 'tests'))) return;
  rmSync(KIT, { recursive: true, force: true });
  mkdirSync(join(KIT, 'tests'), { recursive: true });
  must('python3', ['-m', 'venv', '--without-pip', join(KIT, 'python')]);
  must('python3', ['-m', 'pip', '--python', join(KIT, 'python', 'bin', 'python'), 'install', '-q', ...PACKAGES]);
  must('python3', ['-m', 'pip', 'download', '-q', '--no-deps', '--no-binary', ':all:', '-d', KIT, TESTS]);
  const archive = join(KIT, `${TESTS.replace('==', '-')}.tar.gz`);
  // The tests alone: the library is the installed one.
  must('tar', ['-xzf', archive, '-C', join(KIT, 'tests'), '--strip-components=1', '--wildcards', '*/tests/*']);
}

async function play(within: readonly string[], socket: string, only: readonly string[] | undefined): Promise<Outcomes> {
  const home = mkdtempSync(join(tmpdir(), 'outside-'));
  const chosen = process.argv.slice(2);
  const what = only ?? (chosen.length > 0 ? chosen : ['tests/integration']);
  const python = join(KIT, 'python', 'bin', 'python');
  const pytest = ['-m', 'pytest', '-v', '--timeout=60', '--tb=no', '-p', 'no:cacheprovider', ...what];
  const ran: Ran = await run('sh', ['-c', 'cd "$0" && exec "$@"', join(KIT, 'tests'), ...within, python, ...pytest], {
    env: { PATH: process.env.PATH, HOME: home, DOCKER_HOST: `unix://${socket}`, TMPDIR: home },
    timeoutMs: TIMEOUT_MS,
  });
  rmSync(home, { recursive: true, force: true });
  const outcomes = new Map<string, string>();
  for (const [, name = '', outcome = ''] of ran.stdout.matchAll(
    /^(tests\S+::\S+) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)/gm,
  ))
    outcomes.set(name, outcome.toLowerCase());
  if (outcomes.size === 0) throw new Error(`no test was run: ${ran.stdout.slice(-2000)}${ran.stderr.slice(-2000)}`);
  return outcomes;
}

install();
await playBothWays(({ engine }) => {
  tagImages(engine, 'busybox:test', ['alpine:3.10', 'alpine:latest', 'busybox:latest', 'hello-world:latest']);
  return [
    {
      name: `docker-py ${TESTS}`,
      play: (socket, only) => play(engine.within, socket, only),
      meant: {
        'tests/integration/api_container_test.py::RemoveContainerTest::test_remove_link':
          'a path of a legacy link can be split in two ways',
      },
    },
  ];
});
