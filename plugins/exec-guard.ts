// Which commands may be run in a container that runs already, as whom, and with a terminal or not. Never with more privileges than
// the container has. A command is a list of patterns, one for each word; `...` at the end stands for any further words.
import {
  type AdmissionRequest,
  definePlugin,
  deny,
  isLike,
  listOf,
  objectOf,
  PASS,
  textOf,
  type Verdict,
} from '../src/plugin.ts';

interface Settings {
  /** Left out: any command. */
  readonly commands?: readonly (readonly string[])[];
  /** Left out: any user. An empty text stands for the container's own. */
  readonly users?: readonly string[];
  readonly tty: 'allow' | 'deny';
  /** Names of variables a caller may set. Others could make another command of an allowed one (LD_PRELOAD). */
  readonly env: readonly string[];
  /** Folders a command of the list may be run in beside the container's own: a relative word means another file in each. */
  readonly workingDirs: readonly string[];
}

/** A pattern with a star does not reach out of its folder by `..`. */
const isWord = (pattern: string, word: string): boolean =>
  isLike(pattern, word) && (pattern === word || !/(?:^|\/)\.\.(?:\/|$)/.test(word));

function isCommand(patterns: readonly string[], words: readonly string[]): boolean {
  const isOpen = patterns.at(-1) === '...';
  const fixed = isOpen ? patterns.slice(0, -1) : patterns;
  if (isOpen ? words.length < fixed.length : words.length !== fixed.length) return false;
  return fixed.every((pattern, i) => isWord(pattern, words[i] as string));
}

function validate({ body }: AdmissionRequest, { config }: { readonly config: Settings }): Verdict {
  const asked = objectOf(body);
  if (asked.Privileged === true)
    return deny(
      'exec-privileged',
      'Privileged is true: leave --privileged out, no exec may have more than its container',
    );
  if (config.tty === 'deny' && asked.Tty === true)
    return deny('exec-tty', 'Tty is true (allowed: false): leave -t out');
  const user = textOf(asked.User);
  if (config.users !== undefined && !config.users.some((pattern) => isLike(pattern, user))) {
    const allowed = config.users.map((one) => (one === '' ? 'none given' : one)).join(', ');
    return deny('exec-user-denied', `User is "${user}" (allowed: ${allowed})`);
  }
  if (config.commands === undefined) return PASS;
  const words = listOf(asked.Cmd).map(textOf);
  if (!config.commands.some((patterns) => isCommand(patterns, words))) {
    const allowed = config.commands.map((patterns) => patterns.join(' ')).join(', ');
    return deny('exec-command-denied', `Cmd is ${JSON.stringify(words.join(' ').slice(0, 200))} (allowed: ${allowed})`);
  }
  const folder = textOf(asked.WorkingDir);
  if (folder !== '' && !config.workingDirs.some((pattern) => isWord(pattern, folder)))
    return deny(
      'exec-folder-denied',
      `WorkingDir is ${JSON.stringify(folder.slice(0, 200))} (allowed: ${["the container's own", ...config.workingDirs].join(', ')})`,
    );
  for (const variable of listOf(asked.Env).map(textOf)) {
    const name = variable.split('=', 1)[0] as string;
    if (!config.env.some((pattern) => isLike(pattern, name)))
      return deny('exec-env-denied', `Env sets ${name} (allowed: ${config.env.join(', ') || 'none'})`);
  }
  return PASS;
}

const texts = (items = {}) => ({ type: 'array', items: { type: 'string', ...items } });

export default definePlugin<Settings>({
  meta: {
    name: 'exec-guard',
    version: '1.0.0',
    apiVersion: 1,
    description:
      'Allows exec of named commands as named users only, without privileges and on demand without a terminal',
  },
  match: { actions: ['container.exec.create'] },
  config: {
    type: 'object',
    properties: {
      commands: { type: 'array', items: { ...texts(), minItems: 1 } },
      users: texts(),
      tty: { enum: ['allow', 'deny'], default: 'allow' },
      env: { ...texts(), default: [] },
      workingDirs: { ...texts(), default: [] },
    },
    additionalProperties: false,
  },
  validate,
  examples: [
    {
      name: 'a command of the list',
      action: 'container.exec.create',
      config: { commands: [['ls', '...']] },
      body: { Cmd: ['ls', '-l'] },
      expect: 'pass',
    },
    {
      name: 'a shell',
      action: 'container.exec.create',
      config: { commands: [['ls', '...']] },
      body: { Cmd: ['sh'] },
      expect: { deny: 'exec-command-denied' },
    },
  ],
});
