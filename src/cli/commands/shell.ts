// dockgate version and dockgate completion: what a shell asks of any program. The scripts are made from the commands themselves.
import { Command } from 'commander';
import { VERSION } from '../../version.ts';
import { print, printJson, usageError } from '../output.ts';
import { examples, optionsOf } from './common.ts';

const version = (): Command =>
  new Command('version')
    .description('print the version of this program')
    .addHelpText('after', examples('dockgate version', 'dockgate version --json'))
    .action(async (_options: object, command: Command) => {
      if (optionsOf(command).json) return printJson({ version: VERSION });
      return print(VERSION);
    });

/** What can follow a command: its own commands and options, each with its description. */
interface Node {
  /** Words that lead here, without the program: `audit`, `audit ls`; empty for the program. */
  readonly path: string;
  readonly commands: readonly (readonly [word: string, description: string])[];
  readonly options: readonly (readonly [word: string, description: string])[];
}

const nodesOf = (command: Command, path: string, shared: Node['options']): readonly Node[] => {
  const inner = command.commands.filter((each) => each.name() !== 'help');
  const own = command.options.flatMap(({ long, description }) => (long ? [[long, description] as const] : []));
  const options = [...own, ...shared];
  const node: Node = { path, commands: inner.map((each) => [each.name(), each.description()] as const), options };
  const further = path === '' ? options : shared;
  return [node, ...inner.flatMap((each) => nodesOf(each, `${path} ${each.name()}`.trim(), further))];
};

const words = ({ commands, options }: Node): string => [...commands, ...options].map(([word]) => word).join(' ');

const bash = (
  nodes: readonly Node[],
): string => `# dockgate completion bash: source it, or put it into /etc/bash_completion.d
_dockgate() {
  local at='' word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "\${at:+$at }$word" in
${nodes
  .filter(({ path }) => path !== '')
  .map(({ path }) => `      '${path}') at='${path}' ;;`)
  .join('\n')}
    esac
  done
  case $at in
${nodes.map((node) => `    '${node.path}') word='${words(node)}' ;;`).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$word" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _dockgate dockgate`;

const zsh = (nodes: readonly Node[]): string => `#compdef dockgate
# dockgate completion zsh: source it behind compinit
autoload -U +X bashcompinit && bashcompinit
${bash(nodes)}`;

/** A description between single quotes, as fish reads it. */
const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

const fish = (
  nodes: readonly Node[],
): string => `# dockgate completion fish: put it into ~/.config/fish/completions/dockgate.fish
function __dockgate_at
  set -l at
  for word in (commandline -opc)[2..-1]
    switch (string join ' ' $at $word)
      case ${nodes
        .filter(({ path }) => path !== '')
        .map(({ path }) => quoted(path))
        .join(' ')}
        set at $at $word
    end
  end
  test (string join ' ' $at) = "$argv"
end
${nodes
  .flatMap(({ path, commands, options }) => {
    const begin = `complete -c dockgate -n '__dockgate_at ${path}'`;
    return [
      ...commands.map(([word, about]) => `${begin} -f -a ${word} -d ${quoted(about)}`),
      ...options.map(([word, about]) => `${begin} -l ${word.slice(2)} -d ${quoted(about)}`),
    ];
  })
  .join('\n')}`;

const SHELLS: Readonly<Record<string, (nodes: readonly Node[]) => string>> = { bash, zsh, fish };

const completion = (): Command =>
  new Command('completion')
    .description('print a script that lets a shell complete the commands of dockgate')
    .argument('<shell>', 'bash, zsh or fish')
    .addHelpText(
      'after',
      examples(
        'dockgate completion bash > /etc/bash_completion.d/dockgate',
        'dockgate completion fish > ~/.config/fish/completions/dockgate.fish',
      ),
    )
    .action(async (shell: string, _options: object, command: Command) => {
      const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
      if (script === undefined) throw usageError(`"${shell}" is none of bash, zsh and fish`);
      let program = command;
      while (program.parent !== null) program = program.parent;
      return print(script(nodesOf(program, '', [])));
    });

export const shellCommands = (): readonly Command[] => [version(), completion()];
