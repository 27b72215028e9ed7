// A few commands and the smallest of shells: quotes, $VARIABLES, `;`, `&&`, `||`, `>&2`. Nothing here touches the machine.
import type { Input } from './input.ts';

/** What a pretended process has. */
export interface ProcessContext {
  readonly env: Record<string, string>;
  readonly hostname: string;
  readonly input: Input;
  /** A terminal prompts. */
  readonly tty: boolean;
  /** Of a dry run: a program that is not here, and one that would wait, runs until this resolves. */
  readonly released?: Promise<void> | undefined;
  /** Aborted when the process is killed. */
  readonly signal: AbortSignal;
  write(stream: 'stdout' | 'stderr', text: string | Buffer): void;
}

type Command = (args: readonly string[], context: ProcessContext) => number | Promise<number>;

const FILES: Record<string, (context: ProcessContext) => string> = {
  '/etc/hostname': (context) => `${context.hostname}\n`,
  '/etc/os-release': () => 'NAME="dockgate stand-in"\nID=dockgate-standin\n',
  '/etc/hosts': (context) => `127.0.0.1\tlocalhost\n172.17.0.2\t${context.hostname}\n`,
};
const FOLDERS: Record<string, readonly string[]> = {
  '/': ['bin', 'dev', 'etc', 'home', 'proc', 'root', 'sys', 'tmp', 'usr', 'var'],
  '/etc': ['hostname', 'hosts', 'os-release'],
};

const print = (context: ProcessContext, text: string): number => {
  context.write('stdout', text);
  return 0;
};
const complain = (context: ProcessContext, text: string, code = 1): number => {
  context.write('stderr', `${text}\n`);
  return code;
};

const untilReleased = (released: Promise<void>, signal: AbortSignal): Promise<number> =>
  new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    void released.then(() => resolve(0));
  });

const COMMANDS: Record<string, Command> = {
  true: () => 0,
  false: () => 1,
  ':': () => 0,
  echo: (args, context) =>
    args[0] === '-n' ? print(context, args.slice(1).join(' ')) : print(context, `${args.join(' ')}\n`),
  env: (_args, context) =>
    print(
      context,
      Object.entries(context.env)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    ),
  printenv: (args, context) => {
    const value = context.env[args[0] ?? ''];
    return value === undefined ? 1 : print(context, `${value}\n`);
  },
  hostname: (_args, context) => print(context, `${context.hostname}\n`),
  id: (_args, context) => print(context, 'uid=0(root) gid=0(root) groups=0(root)\n'),
  whoami: (_args, context) => print(context, 'root\n'),
  pwd: (_args, context) => print(context, '/\n'),
  uname: (args, context) =>
    print(context, args.includes('-a') ? `Linux ${context.hostname} dockgate-standin\n` : 'Linux\n'),
  date: (_args, context) => print(context, `${new Date().toUTCString()}\n`),
  '/hello': (_args, context) =>
    print(
      context,
      '\nHello from the stand-in engine of dockgate!\nNo container was started: this machine has no Docker Engine.\n\n',
    ),
  async cat(args, context) {
    let code = 0;
    for (const name of args.length === 0 ? ['-'] : args) {
      if (name === '-') {
        for (
          let chunk = await context.input.read(context.signal);
          chunk;
          chunk = await context.input.read(context.signal)
        ) {
          context.write('stdout', chunk);
        }
      } else {
        const file = FILES[name];
        code = file
          ? print(context, file(context))
          : complain(context, `cat: can't open '${name}': No such file or directory`);
      }
    }
    return code;
  },
  ls(args, context) {
    const path = args.find((arg) => !arg.startsWith('-')) ?? '/';
    const entries = FOLDERS[path === '/' ? path : path.replace(/\/$/, '')] ?? (path in FILES ? [path] : undefined);
    if (entries === undefined) return complain(context, `ls: ${path}: No such file or directory`);
    return print(context, entries.map((entry) => `${entry}\n`).join(''));
  },
  async sleep(args, context) {
    if (context.released !== undefined) return untilReleased(context.released, context.signal);
    const match = /^(\d+(?:\.\d+)?)([smhd]?)$/.exec(args[0] ?? '');
    if (args[0] !== 'infinity' && match === null) return complain(context, `sleep: invalid number '${args[0] ?? ''}'`);
    const unit = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 }[match?.[2] ?? ''] ?? 1;
    // A timer takes at most 2^31-1 ms, 24 days: as good as for ever here.
    const ms = match === null ? 2 ** 31 - 1 : Math.min(Number(match[1]) * unit * 1000, 2 ** 31 - 1);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      context.signal.addEventListener('abort', () => {
        clearTimeout(timer);
        reject(context.signal.reason);
      });
    });
    return 0;
  },
  async sh(args, context) {
    if (args[0] === '-c') return runScript(args[1] ?? '', context);
    if (args.length > 0) return complain(context, `sh: can't open '${args[0]}': No such file or directory`, 2);
    if (context.tty && context.released !== undefined) return untilReleased(context.released, context.signal);
    let code = 0;
    for (;;) {
      if (context.tty) context.write('stdout', '/ # ');
      const line = await context.input.readLine(context.signal);
      if (line === undefined) return code;
      const leave = /^\s*exit(?:\s+(\d+))?\s*$/.exec(line);
      if (leave !== null) return leave[1] === undefined ? code : Number(leave[1]) & 255;
      code = await runScript(line, context);
    }
  },
};

/** Strips the folders a command may be called by. `/hello` is a name of its own. */
const commandOf = (name: string): Command | undefined => {
  const plain = /^\/(?:usr\/)?s?bin\/([^/]+)$/.exec(name)?.[1] ?? name;
  const known = plain === 'ash' ? 'sh' : plain;
  return Object.hasOwn(COMMANDS, known) ? COMMANDS[known] : undefined;
};

/** Is there such a command? The engine asks before it starts a container. */
export const hasCommand = (name: string): boolean => commandOf(name) !== undefined;

/** Runs a command to its exit code. Rejects when killed. */
export async function runCommand(argv: readonly string[], context: ProcessContext): Promise<number> {
  const [name = '', ...args] = argv;
  const command = commandOf(name);
  if (command === undefined) {
    if (context.released !== undefined) return untilReleased(context.released, context.signal);
    return complain(context, `sh: ${name}: not found`, 127);
  }
  // Ctrl-C and kill must reach even a loop of commands that never wait.
  await null;
  context.signal.throwIfAborted();
  return command(args, context);
}

/** Runs a line of commands joined by `;`, `&&` and `||`. */
async function runScript(script: string, context: ProcessContext): Promise<number> {
  const words = split(script, context.env);
  if (typeof words === 'string') return complain(context, `sh: ${words}`, 2);
  let code = 0;
  let runs = true;
  let argv: string[] = [];
  for (const word of [...words, { operator: ';' }]) {
    if ('text' in word) {
      argv.push(word.text);
      continue;
    }
    if (runs && argv.length > 0) {
      if (argv[0] === 'exit') return Number(argv[1] ?? code) & 255;
      const toStderr = argv.at(-1) === '>&2' || argv.at(-1) === '1>&2';
      const here = toStderr
        ? { ...context, write: (_: unknown, text: string | Buffer) => context.write('stderr', text) }
        : context;
      code = await runCommand(toStderr ? argv.slice(0, -1) : argv, here);
    }
    runs = word.operator === ';' || (word.operator === '&&' ? code === 0 : code !== 0);
    argv = [];
  }
  return code;
}

type Word = { readonly text: string } | { readonly operator: string };

/** Words and operators of a line, or its fault. */
function split(script: string, env: Record<string, string>): Word[] | string {
  const words: Word[] = [];
  let text: string | undefined;
  const finish = () => {
    if (text !== undefined) words.push({ text });
    text = undefined;
  };
  const expand = (from: string) => from.replace(/\$(?:(\w+)|\{(\w+)\})/g, (_, a, b) => env[a ?? b] ?? '');
  const token =
    /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|(&&|\|\||;|\n)|(\s+)|(1?>&2)(?=\s|;|$)|([|<>&`()'"])|([^\s'"\\;&|<>`()]+)/gsy;
  while (token.lastIndex < script.length) {
    const match = token.exec(script);
    if (match === null) return 'syntax error';
    const [, single, double, escaped, operator, space, redirect, refused, plain] = match;
    if (refused !== undefined) return `the stand-in's shell has no ${refused}`;
    if (operator !== undefined || space !== undefined) finish();
    if (operator !== undefined) words.push({ operator: operator === '\n' ? ';' : operator });
    if (redirect !== undefined) text = (text ?? '') + redirect;
    else if (operator === undefined && space === undefined) {
      const piece =
        single ?? escaped ?? (double === undefined ? expand(plain ?? '') : expand(double.replace(/\\(["\\$])/g, '$1')));
      text = (text ?? '') + piece;
    }
  }
  finish();
  return words;
}
