// docker-py's own integration tests, as an outside check: each is run straight against an engine and through the gateway as
// `operator`, and what passes straight must pass through. By hand, as root with a dockerd at hand, some fifteen minutes:
//   node test/outside/docker-py.ts [PYTEST ARGUMENTS]     deno run -A test/outside/docker-py.ts
// The engine is a private one; tests that want a registry fail both ways.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ran, run, startGateway } from '../support/gateway.ts';
import { pathWithEngine, startPrivateEngine } from '../support/private-engine.ts';
import { ROOT } from '../support/runtime.ts';

/** The last source package of docker-py that has its tests in it, and the library they are run with. */
const TESTS = 'docker==7.0.0';
const PACKAGES = ['docker==7.1.0', 'pytest==7.4.2', 'pytest-timeout==2.1.0', 'paramiko==3.5.1'];
const KIT = join(ROOT, 'node_modules', '.cache', 'client-kit', 'outside-docker-py');
const TIMEOUT_MS = 1_800_000;

function must(command: string, args: readonly string[], cwd?: string): void {
  const ran = spawnSync(command, args, { cwd, stdio: 'inherit' });
  if (ran.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${ran.status}`);
}

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

/** Test by its name: what became of it. */
type Outcomes = ReadonlyMap<string, string>;

async function play(socket: string, what: readonly string[]): Promise<Outcomes> {
  const home = mkdtempSync(join(tmpdir(), 'outside-'));
  const env = { PATH: process.env.PATH, HOME: home, DOCKER_HOST: `unix://${socket}`, TMPDIR: home };
  const ran: Ran = await run(
    'sh',
    ['-c', 'cd "$0" && exec "$@"', join(KIT, 'tests'), join(KIT, 'python', 'bin', 'python')].concat(
      ['-m', 'pytest', '-v', '--timeout=60', '--tb=no', '-p', 'no:cacheprovider'],
      what,
    ),
    { env, timeoutMs: TIMEOUT_MS },
  );
  rmSync(home, { recursive: true, force: true });
  const outcomes = new Map<string, string>();
  for (const [, name, outcome] of ran.stdout.matchAll(/^(tests\S+::\S+) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)/gm))
    outcomes.set(name as string, outcome as string);
  if (outcomes.size === 0) throw new Error(`no test was run: ${ran.stdout.slice(-2000)}${ran.stderr.slice(-2000)}`);
  return outcomes;
}

const count = (outcomes: Outcomes): string => {
  const all = [...outcomes.values()];
  const of = (outcome: string) => `${all.filter((one) => one === outcome).length} ${outcome.toLowerCase()}`;
  return `${outcomes.size} tests, ${['PASSED', 'FAILED', 'ERROR', 'SKIPPED'].map(of).join(', ')}`;
};

install();
const found = pathWithEngine();
if ('why' in found) throw new Error(found.why);
const engine = await startPrivateEngine({ path: found.path, isAlone: true });
let gateway: Awaited<ReturnType<typeof startGateway>> | undefined;
try {
  for (const tag of ['alpine&tag=3.10', 'alpine&tag=latest', 'busybox&tag=latest', 'hello-world&tag=latest'])
    must('curl', [
      '-fsS',
      '--unix-socket',
      engine.socket,
      '-X',
      'POST',
      `http://x/images/busybox:test/tag?repo=${tag}`,
    ]);
  gateway = await startGateway({ engine: engine.socket, unix: [{ name: 'op', identity: 'op' }] });
  await gateway.must('identity', 'create', 'op', '--policy', 'operator');
  const socket = join(gateway.dir, 'op.sock');
  const args = process.argv.slice(2);
  const what = args.length > 0 ? args : ['tests/integration'];
  const straight = await play(engine.socket, what);
  console.log(`straight: ${count(straight)}`);
  const through = await play(socket, what);
  console.log(`through:  ${count(through)}`);
  const passes = (outcomes: Outcomes, name: string) => outcomes.get(name) === 'PASSED';
  const lost = [...straight.keys()].filter((name) => passes(straight, name) && !passes(through, name));
  const wrong: string[] = [];
  // An engine of its own has its moods: alone and once more, each way.
  for (const name of lost) {
    const again = [await play(engine.socket, [name]), await play(socket, [name])] as const;
    if (passes(again[0], name) && !passes(again[1], name)) wrong.push(name);
    else console.log(`not the same twice: ${name}`);
  }
  for (const name of wrong) console.log(`PASSES STRAIGHT ALONE: ${name}`);
  const gained = [...through.keys()].filter((name) => passes(through, name) && !passes(straight, name));
  for (const name of gained) console.log(`passes through alone: ${name}`);
  console.log(`${wrong.length} of ${straight.size} tests pass straight and not through the gateway`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
} finally {
  await gateway?.remove();
  await engine.stop();
}
