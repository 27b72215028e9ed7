// The commands of the pages in docs/ that are run against a gateway, in the order of a reader: with what a page names replaced by what
// is there in the test, and without what needs another machine, root or a running service.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './runtime.ts';

/** Pages whose shell blocks are run, in this order: the first makes what later ones name. */
const PAGES = [
  'tenants',
  'identities',
  'first-policies',
  'certificates',
  'audit',
  'admin-api',
  'tools',
  'operations',
  'plugins',
];

/** Not run here: what does not end, needs root or a settings file in force, or names an object that is not there. */
const NOT_RUN: readonly RegExp[] = [
  /^sudo /,
  /^docker /,
  /^DOCKER_HOST=/,
  /^dockgate audit tail\b/,
  /^dockgate audit show 0199/,
  /^dockgate audit play 0199/,
  /^dockgate restore\b/,
  /^dockgate plugin (reload|show)\b/,
  /^curl --unix-socket/,
];
/** These must fail: they show a denial. */
const FAILS: readonly RegExp[] = [/^dockgate plugin try owner-label -- docker run --rm busybox true$/];

export interface DocCommand {
  readonly page: string;
  /** As the page has it. */
  readonly command: string;
  readonly fails: boolean;
}

/** The lines of a page's shell blocks that are run. */
export function docCommands(): DocCommand[] {
  return PAGES.flatMap((page) => {
    const text = readFileSync(join(ROOT, 'docs', `${page}.md`), 'utf8');
    return [...text.matchAll(/^```sh\n(.*?)^```$/gms)]
      .flatMap(([, block]) => (block as string).replaceAll('\\\n', ' ').split('\n'))
      .map((line) => line.replace(/ +# .*$/, '').trim())
      .filter((line) => line !== '' && !line.startsWith('#') && !NOT_RUN.some((pattern) => pattern.test(line)))
      .map((command) => ({ page, command, fails: FAILS.some((pattern) => pattern.test(command)) }));
  });
}

/** The audit id of a call, in the words of any shell. */
const A_CALL = `id=$(dockgate audit ls --action identity.create --limit 1 --ndjson); id=\${id#*\\"auditId\\":\\"}; id=\${id%%\\"*}`;

/** A command with folders and groups that are there. */
export const locally = (command: string, cwd: string): string =>
  command
    .replaceAll(/(--(?:path|out|to|socket) |remove )\/(?:[\w-]+\/)*/g, `$1${cwd}/`)
    .replaceAll('--file copy/audit.db', '--file "$DOCKGATE_DATA/audit.db"')
    // A month that has rows, and a call that was made.
    .replaceAll('--since 2030-01-01 --until 2030-01-31', '--since 2020-01-01')
    .replace(/^(dockgate audit proof )0199[0-9a-f-]+/, `${A_CALL}\n$1$id`)
    .replaceAll(/--group (docker-ci|traefik|agents)/g, '--group "$(id -gn)"')
    .replace(/^curl /, 'curl --fail-with-body ')
    .replaceAll('$TOKEN', '$(cat operator.token)')
    .replaceAll(/https:\/\/gateway:2376/g, 'https://127.0.0.1:2376');

/** The files a reader of the pages has made by then. */
export function writeReaderFiles(cwd: string): void {
  const page = readFileSync(join(ROOT, 'docs', 'first-policies.md'), 'utf8');
  const policy = /^```yaml\n(.*?)^```$/ms.exec(page)?.[1] ?? '';
  writeFileSync(join(cwd, 'red-ci.yaml'), policy);
  writeFileSync(join(cwd, 'old.yaml'), policy.replace('image.inspect', 'image.history'));
  writeFileSync(join(cwd, 'leaked.txt'), 'a-secret-that-leaked\n');
  writeFileSync(join(cwd, 'dockgate.yaml'), 'engine: unix:///var/run/docker.sock\n');
}
