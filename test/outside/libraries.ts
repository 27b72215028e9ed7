// Client libraries whose kits take minutes to fetch, on an engine with a bridge: docker-java over both of its transports,
// testcontainers for Java, Python and Go. Each plays its steps straight, as `operator`, under the preset made for it, and so as a tenant. By
// hand, as root with a dockerd, and Maven, Python and Go at hand:
//   node test/outside/libraries.ts [docker-java|java|python|go] ...     deno run -A test/outside/libraries.ts
// Versions: DOCKER_JAVA and TESTCONTAINERS_JAVA. With DOCKGATE_TEST_REGISTRY docker-java logs in, pushes and pulls.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../support/gateway.ts';
import { HASH_OF_PW, skipWithoutRegistry, startRegistry } from '../support/registry.ts';
import { ROOT } from '../support/runtime.ts';
import { type Callers, inPlace, must, OUTSIDE } from './compared.ts';

const HERE = join(ROOT, 'test', 'outside');
const DOCKER_JAVA = process.env.DOCKER_JAVA ?? '3.7.1';
const TESTCONTAINERS_JAVA = process.env.TESTCONTAINERS_JAVA ?? '2.0.5';
const TESTCONTAINERS_PYTHON = 'testcontainers==4.15.0';

interface Library {
  readonly name: string;
  readonly preset: string;
  command(prefix: string, registry: string | undefined): readonly string[];
  /** Steps the preset is not made for: the Docker plugin of Jenkins does not ask for them. */
  readonly meant: readonly string[];
}

function classPath(): string {
  const folder = join(OUTSIDE, `jvm-${DOCKER_JAVA}-${TESTCONTAINERS_JAVA}`);
  if (!existsSync(join(folder, 'class-path'))) {
    mkdirSync(folder, { recursive: true });
    must('cp', ['-r', `${join(HERE, 'jvm')}/.`, folder]);
    const versions = [`-Ddockerjava=${DOCKER_JAVA}`, `-Dtestcontainers=${TESTCONTAINERS_JAVA}`];
    const goals = ['compile', 'dependency:build-classpath', '-Dmdep.outputFile=class-path'];
    must('mvn', ['-q', '-B', ...versions, ...goals], { cwd: folder });
  }
  return `${join(folder, 'target', 'classes')}:${readFileSync(join(folder, 'class-path'), 'utf8')}`;
}

function python(): string {
  const folder = join(OUTSIDE, 'testcontainers-python');
  const program = join(folder, 'bin', 'python');
  if (existsSync(program)) return program;
  must('python3', ['-m', 'venv', '--without-pip', folder]);
  must('python3', ['-m', 'pip', '--python', program, 'install', '-q', TESTCONTAINERS_PYTHON]);
  return program;
}

function goProgram(): string {
  const program = join(OUTSIDE, 'testcontainers-go');
  if (!existsSync(program)) {
    const args = ['build', '-C', join(HERE, 'testcontainers-go'), '-trimpath', '-o', program, '.'];
    must('go', args, { env: { CGO_ENABLED: '0' } });
  }
  return program;
}

const java = (main: string, ...args: string[]) => [
  'java',
  '-XX:TieredStopAtLevel=1',
  '-cp',
  classPath(),
  main,
  ...args,
];
const dockerJava = (transport: string): Library => ({
  name: `docker-java ${DOCKER_JAVA}, ${transport}`,
  preset: 'jenkins-docker-plugin',
  command: (prefix, registry) => java('Verbs', transport, prefix, ...(registry === undefined ? [] : [registry])),
  meant: [
    ...[
      'top',
      'stats',
      'copy out',
      'diff',
      'rename',
      'update',
      'restart',
      'pause',
      'unpause',
      'save',
      'events',
      'prune',
    ],
    ...[
      'volume',
      'inspect volume',
      'volumes',
      'remove volume',
      'network',
      'inspect network',
      'networks',
      'remove network',
    ],
  ],
});
const testcontainers = (name: string, command: (prefix: string) => readonly string[]): Library => ({
  name: `testcontainers, ${name}`,
  preset: 'testcontainers',
  command,
  meant: [],
});
const LIBRARIES: Readonly<Record<string, readonly Library[]>> = {
  'docker-java': [dockerJava('httpclient5'), dockerJava('zerodep')],
  java: [testcontainers(`Java ${TESTCONTAINERS_JAVA}`, (prefix) => java('Tests', prefix))],
  python: [testcontainers('Python', (prefix) => [python(), join(HERE, 'testcontainers-python.py'), prefix])],
  go: [testcontainers('Go', (prefix) => [goProgram(), prefix])],
};

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(LIBRARIES);
const chosen = wanted.flatMap((name) => LIBRARIES[name] ?? []);
const callers: Callers = {
  op: { policies: ['operator'] },
  ...Object.fromEntries(
    [...new Set(chosen.map(({ preset }) => preset))].flatMap((preset) => [
      [preset, { policies: [preset] }],
      [`${preset}-red`, { policies: [preset], tenant: 'red' }],
    ]),
  ),
};

await inPlace(callers, async ({ engine, gateway, socket }) => {
  const registry = skipWithoutRegistry === false ? await startRegistry({ jane: HASH_OF_PW }, engine.within) : undefined;
  let lost = 0;
  const play = async (library: Library, at: string, who: string): Promise<ReadonlyMap<string, string>> => {
    const prefix = `dg-${who}`;
    const [command = '', ...args] = [...engine.within, ...library.command(prefix, registry?.address)];
    const env = {
      PATH: process.env.PATH,
      HOME: gateway.dir,
      DOCKER_HOST: `unix://${at}`,
      HAS_BRIDGE: '1',
      TESTCONTAINERS_RYUK_DISABLED: 'true',
      TESTCONTAINERS_HOST_OVERRIDE: '127.0.0.1',
      TC_HOST: '127.0.0.1',
    };
    const ran = await run(command, args, { env, timeoutMs: 400_000 });
    // What differs by nature: names, ids, the audit's.
    const plain = ran.stdout
      .replaceAll(new RegExp(`${prefix}|[0-9a-f]{12,}`, 'g'), '*')
      .replaceAll(/ \[audit [^\]]*\]/g, '');
    const lines = plain.split('\n').filter((line) => /^[a-z ]+: /.test(line));
    if (lines.length < 3) throw new Error(`${library.name} as ${who}: ${ran.stdout}${ran.stderr.slice(-2000)}`);
    return new Map(lines.map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]));
  };
  try {
    for (const library of chosen) {
      const straight = await play(library, engine.socket, 'direct');
      const failed = [...straight].filter(([, told]) => told.startsWith('FAILED'));
      console.log(`${library.name}: ${straight.size} steps, ${failed.length} fail straight`);
      for (const [step, told] of failed) console.log(`  straight ${step}: ${told}`);
      for (const who of ['op', library.preset, `${library.preset}-red`]) {
        const through = await play(library, socket(who), who);
        for (const [step, told] of straight) {
          const now = through.get(step) ?? 'not run';
          // A length of a name differs with the name.
          if (now === told || (/^\d+$/.test(now) && /^\d+$/.test(told))) continue;
          const isMeant = who !== 'op' && library.meant.includes(step) && /403|404/.test(now);
          if (isMeant) continue;
          lost++;
          console.log(`  LOST as ${who}: ${step}: ${now}   (straight: ${told})`);
        }
      }
    }
  } finally {
    registry?.stop();
  }
  console.log(`${lost} steps differ`);
  process.exitCode = lost === 0 ? 0 : 1;
});
