// Commands that run a gateway or judge its settings, and those that ask a running one how it is.
import process from 'node:process';
import { Command } from 'commander';
import { CliError, EXIT, print, printJson, sheet, usageError } from '../output.ts';
import { examples, gatewayOf, optionsOf } from './common.ts';

const configFile = (command: Command): string => {
  const file = optionsOf(command).config ?? process.env.DOCKGATE_CONFIG;
  if (!file) throw usageError(`${command.name()} needs --config FILE or DOCKGATE_CONFIG`);
  return file;
};

const serve = new Command('serve')
  .description('run the gateway with a settings file')
  .addHelpText('after', examples('dockgate serve --config /etc/dockgate/dockgate.yaml'))
  .action(async (_options: object, command: Command) => {
    const file = configFile(command);
    const { loadConfig } = await import('../../config/config.ts');
    // A wrong file is told before anything else is loaded or touched.
    loadConfig(file);
    // The audit's thread gets ready while the main one reads the program.
    const { warmAuditThread } = await import('../../store/audit-thread.ts');
    warmAuditThread();
    const { serve: run } = await import('../../main.ts');
    await run(file);
  });

const start = new Command('start')
  .description('run a gateway with nothing prepared: finds the engine, makes a data folder, a CA, a first operator')
  .option('--listen <address>', 'HTTPS address to listen on', 'https://127.0.0.1:2376')
  .addHelpText(
    'after',
    examples('dockgate start', 'dockgate start --data /tmp/dockgate --listen https://127.0.0.1:3376'),
  )
  .action(async (_options: object, command: Command) => {
    const { data, listen } = optionsOf<{ listen: string }>(command);
    const { warmAuditThread } = await import('../../store/audit-thread.ts');
    warmAuditThread();
    const { startQuick } = await import('../../main.ts');
    await startQuick({ data: data ?? './data', listen });
  });

const check = new Command('check')
  .description('judge a settings file and tell every fault with its line')
  .addHelpText(
    'after',
    examples('dockgate check --config dockgate.yaml', 'dockgate check --config dockgate.yaml --json'),
  )
  .action(async (_options: object, command: Command) => {
    const { json } = optionsOf(command);
    const file = configFile(command);
    const { checkConfig, problemText } = await import('../../config/config.ts');
    const problems = checkConfig(file);
    if (json) await printJson({ file, valid: problems.length === 0, problems });
    if (problems.length > 0) {
      if (json)
        throw new CliError(`${file} has ${problems.length} ${problems.length === 1 ? 'fault' : 'faults'}`, EXIT.usage);
      const [first = '', ...rest] = problems.map((problem) => problemText(problem, file));
      throw new CliError(first, EXIT.usage, rest);
    }
    if (!json) await print(`${file}: ok`);
  });

interface KeepingFacts {
  readonly sinks?: readonly {
    readonly name: string;
    readonly kind: string;
    readonly lagRows: number;
    readonly fault?: string;
  }[];
  readonly retention?: {
    readonly dueRows: number;
    readonly removedRows: number;
    readonly heldBy?: string;
    readonly heldSeq?: number;
    readonly fault?: string;
  };
}

const sinkText = ({ name, kind, lagRows, fault }: NonNullable<KeepingFacts['sinks']>[number]): string =>
  `${name} (${kind}), ${lagRows} rows behind${fault === undefined ? '' : `: ${fault}`}`;

const retentionText = ({ dueRows, removedRows, heldBy, heldSeq, fault }: NonNullable<KeepingFacts['retention']>) =>
  [
    `${removedRows} audit rows removed, ${dueRows} due`,
    ...(heldBy === undefined ? [] : [`row ${heldSeq} and those behind it stay for ${heldBy}`]),
    ...(fault === undefined ? [] : [fault]),
  ].join('; ');

/** Facts with those of sinks and retention as sentences. */
const told = (facts: Record<string, unknown>): [string, unknown][] => {
  const { sinks, retention } = facts as KeepingFacts;
  return Object.entries({
    ...facts,
    ...(sinks === undefined ? {} : { sinks: sinks.map(sinkText) }),
    ...(retention === undefined ? {} : { retention: retentionText(retention) }),
  });
};

const status = new Command('status')
  .description('show how a running gateway is')
  .addHelpText('after', examples('dockgate status', 'dockgate status --json'))
  .action(async (_options: object, command: Command) => {
    const facts = await (await gatewayOf(command)).call<Record<string, unknown>>('GET', '/status');
    if (optionsOf(command).json) await printJson(facts);
    else await print(sheet(told(facts)));
  });

const reload = new Command('reload')
  .description('make a running gateway read its settings, plugins and certificates again')
  .addHelpText('after', examples('dockgate reload --config dockgate.yaml'))
  .action(async (_options: object, command: Command) => {
    const facts = await (await gatewayOf(command)).call<Record<string, unknown>>('POST', '/reload', {});
    if (optionsOf(command).json) await printJson(facts);
    else {
      await print('reloaded');
      const { needsRestart } = facts as { needsRestart?: readonly string[] };
      if (needsRestart !== undefined) await print(`changed at the next start only: ${needsRestart.join(', ')}`);
    }
  });

export const gatewayCommands = (): Command[] => [start, serve, check, status, reload];
