// What every suite of this folder shares: it is played straight against a private engine and through a gateway as `operator`, and
// what passes straight must pass through, but for the losses the suite names with their reason.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { admin } from '../support/admin.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type PrivateEngine, pathWithEngine, startPrivateEngine } from '../support/private-engine.ts';
import { ROOT } from '../support/runtime.ts';

/** Test by its name: what became of it, `passed` or the suite's own word. */
export type Outcomes = ReadonlyMap<string, string>;

export interface Suite {
  readonly name: string;
  /** Plays the tests at a socket, all of them or those named. */
  play(socket: string, only?: readonly string[]): Promise<Outcomes>;
  /** Tests that are lost on purpose: name, or the beginning of names that ends in `*`, to the reason. */
  readonly meant?: Readonly<Record<string, string>>;
}

/** Where outside suites are unpacked and built; nothing of them is committed. */
export const OUTSIDE = join(ROOT, 'node_modules', '.cache', 'client-kit', 'outside');
mkdirSync(OUTSIDE, { recursive: true });

/** Runs a command that must end with 0, with what it writes shown. */
export function must(command: string, args: readonly string[], options: { cwd?: string; env?: object } = {}): void {
  const env = { ...process.env, ...options.env };
  const ran = spawnSync(command, args, { ...options, env, stdio: ['ignore', 'inherit', 'inherit'] });
  if (ran.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${ran.status}`);
}

/** A git repository at a tag, unpacked under {@link OUTSIDE}: from DOCKGATE_OUTSIDE_GIT/OWNER+NAME/repo where it is, else from GitHub. */
export function unpackedAt(owner: string, name: string, tag: string): string {
  const folder = join(OUTSIDE, `${name}-${tag}`);
  if (spawnSync('test', ['-d', folder]).status === 0) return folder;
  const mirror = process.env.DOCKGATE_OUTSIDE_GIT;
  const part = `${folder}.part`;
  must('rm', ['-rf', part]);
  mkdirSync(part, { recursive: true });
  if (mirror === undefined) {
    must('git', ['clone', '-q', '--depth', '1', '--branch', tag, `https://github.com/${owner}/${name}`, part]);
  } else {
    const git = join(mirror, `${owner}+${name}`, 'repo');
    must('sh', ['-c', 'git -C "$0" archive "$1" | tar -x -C "$2"', git, tag, part]);
  }
  must('mv', [part, folder]);
  return folder;
}

/** Gives an image of the engine further names. */
export function tagImages(engine: PrivateEngine, from: string, names: readonly string[]): void {
  for (const name of names) {
    // The host of a registry has a colon, too.
    const [, repo = '', tag = 'latest'] = /^(.+?)(?::([^:/]+))?$/.exec(name) ?? [];
    const url = `http://x/images/${from}/tag?repo=${repo}&tag=${tag}`;
    must('curl', ['-fsS', '--unix-socket', engine.socket, '-X', 'POST', url]);
  }
}

const count = (outcomes: Outcomes): string => {
  const words = [...outcomes.values()];
  const kinds = [...new Set(words)].sort().map((word) => `${words.filter((one) => one === word).length} ${word}`);
  return `${words.length} tests, ${kinds.join(', ')}`;
};

const isMeant = (suite: Suite, test: string): string | undefined =>
  Object.entries(suite.meant ?? {}).find(([name]) =>
    name.endsWith('*') ? test.startsWith(name.slice(0, -1)) : test === name,
  )?.[1];

const passes = (outcomes: Outcomes, name: string): boolean => outcomes.get(name) === 'passed';

/** Plays one suite both ways; what is lost is played once more alone, since an engine has its moods. @returns how many are lost */
async function compare(suite: Suite, straightAt: string, throughAt: string): Promise<number> {
  const straight = await suite.play(straightAt);
  console.log(`${suite.name}, straight: ${count(straight)}`);
  const through = await suite.play(throughAt);
  console.log(`${suite.name}, through:  ${count(through)}`);
  if (straight.size === 0) throw new Error(`${suite.name} ran no test`);
  const lost = [...straight.keys()].filter((name) => passes(straight, name) && !passes(through, name));
  let wrong = 0;
  for (const name of lost) {
    const again = [await suite.play(straightAt, [name]), await suite.play(throughAt, [name])] as const;
    const isLost = passes(again[0], name) && !passes(again[1], name);
    const why = isMeant(suite, name);
    if (isLost && why === undefined) wrong++;
    console.log(`  ${!isLost ? 'not the same twice' : why === undefined ? 'LOST' : `meant (${why})`}: ${name}`);
  }
  const gained = [...through.keys()].filter((name) => passes(through, name) && !passes(straight, name));
  for (const name of gained) console.log(`  passes through alone: ${name}`);
  console.log(`${suite.name}: ${wrong} of ${[...straight.keys()].filter((n) => passes(straight, n)).length} lost`);
  return wrong;
}

/** Who calls, by the name of the socket bound to it: an identity with its policies, and a tenant where it has one. */
export type Callers = Readonly<Record<string, { readonly policies: readonly string[]; readonly tenant?: string }>>;

export interface Place {
  readonly engine: PrivateEngine;
  readonly gateway: TestGateway;
  /** Socket of the gateway that is bound to one of the callers. */
  socket(name: string): string;
}

/** Starts an engine with a bridge and a gateway before it with a socket for each caller, and takes both down again. */
export async function inPlace(callers: Callers, use: (place: Place) => Promise<void>): Promise<void> {
  const found = pathWithEngine();
  if ('why' in found) throw new Error(found.why);
  const engine = await startPrivateEngine({ path: found.path, hasBridge: true });
  let gateway: TestGateway | undefined;
  try {
    const unix = Object.keys(callers).map((name) => ({ name, identity: name }));
    const started = await startGateway({ engine: engine.socket, unix });
    gateway = started;
    for (const [name, caller] of Object.entries(callers))
      await admin(started, 'POST', '/identities', { name, ...caller });
    await use({ engine, gateway: started, socket: (name) => join(started.dir, `${name}.sock`) });
  } finally {
    await gateway?.remove();
    await engine.stop();
  }
}

/** Plays suites both ways, and sets the exit code: 1 when a test is lost that no suite names. */
export const playBothWays = (prepare: (place: Place) => readonly Suite[]): Promise<void> =>
  inPlace({ op: { policies: ['operator'] } }, async (place) => {
    let wrong = 0;
    for (const suite of prepare(place)) wrong += await compare(suite, place.engine.socket, place.socket('op'));
    process.exitCode = wrong === 0 ? 0 : 1;
  });
