// The command line: the program, its help, and how a command's end becomes an exit code.
// Commands are in commands/; each loads what it needs when it runs, so that help is fast and clients load no database.
import process from 'node:process';
import { Command, CommanderError } from 'commander';
import { VERSION } from '../version.ts';
import { auditCommand } from './commands/audit.ts';
import { backupCommands } from './commands/backup.ts';
import { certCommand } from './commands/cert.ts';
import { connectCommands } from './commands/connect.ts';
import { contextCommand } from './commands/context.ts';
import { credentialCommand } from './commands/credential.ts';
import { doctorCommand } from './commands/doctor.ts';
import { gatewayCommands } from './commands/gateway.ts';
import { identityCommand } from './commands/identity.ts';
import { issuerCommand } from './commands/issuer.ts';
import { keyCommand } from './commands/key.ts';
import { leaseCommand } from './commands/lease.ts';
import { pluginCommand } from './commands/plugin.ts';
import { policyCommand } from './commands/policy.ts';
import { shellCommands } from './commands/shell.ts';
import { socketCommand } from './commands/socket.ts';
import { tenantCommand } from './commands/tenant.ts';
import { tokenCommand } from './commands/token.ts';
import { CliError, EXIT, printError } from './output.ts';

const GATEWAY_HELP = `
Which gateway:
  serve and check read --config FILE. All other commands talk to a running gateway, found by the first of
  --host, --data, --config, DOCKGATE_HOST, DOCKGATE_DATA, DOCKGATE_CONFIG, ./dockgate.yaml, ./data

Exit codes:
  0 done   1 failed   2 wrong usage or configuration

Examples:
  $ dockgate start
  $ dockgate serve --config dockgate.yaml
  $ dockgate identity create ci --policy baseline
  $ dockgate token create ci --ttl 1h
  $ dockgate audit ls --decision deny --since 1h`;

/** The program with all its commands; parsing it runs one. */
export const createProgram = (): Command => {
  const program = new Command('dockgate')
    .description('Identity-aware gateway for the Docker Engine API')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .option('--config <file>', 'settings file of the gateway (DOCKGATE_CONFIG)')
    .option('--data <dir>', 'data folder of a running gateway (DOCKGATE_DATA)')
    .option('--host <url>', 'a gateway reached over HTTPS, with a token (DOCKGATE_HOST)')
    .option('--token-file <file>', 'file with the token for --host (DOCKGATE_TOKEN holds the token itself)')
    .option('--ca <file>', 'CA certificate to trust for --host (DOCKGATE_CA)')
    .option('--json', 'print JSON, stable for scripts')
    .addHelpText('after', GATEWAY_HELP);
  for (const command of [...gatewayCommands(), ...backupCommands(), ...connectCommands()]) program.addCommand(command);
  for (const make of [
    identityCommand,
    tenantCommand,
    leaseCommand,
    tokenCommand,
    credentialCommand,
    keyCommand,
    certCommand,
    socketCommand,
    issuerCommand,
    policyCommand,
    pluginCommand,
    contextCommand,
    auditCommand,
    doctorCommand,
  ]) {
    program.addCommand(make());
  }
  for (const command of shellCommands()) program.addCommand(command);
  settle(program);
  return program;
};

/** The same manners for every command: one-line errors, no exit from inside the parser, global options in each help. */
const settle = (command: Command): void => {
  command
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      outputError: (text) =>
        printError(
          text
            .trim()
            .replace(/^error: /, '')
            .replace(/\.$/, ''),
        ),
    });
  for (const inner of command.commands) settle(inner);
};

const report = (error: unknown): number => {
  if (error instanceof CommanderError) {
    // Help that was asked for is no error; a group called without its command is.
    const asked =
      error.code === 'commander.helpDisplayed' ||
      error.code === 'commander.version' ||
      (error.code === 'commander.help' && error.exitCode === 0);
    return asked ? EXIT.ok : EXIT.usage;
  }
  if (error instanceof CliError) {
    for (const line of [error.message, ...error.lines]) printError(line);
    return error.exitCode;
  }
  const { code, message } = error as { code?: unknown; message?: unknown };
  for (const line of String(message ?? error).split('\n')) printError(line);
  return code === 'config-invalid' ? EXIT.usage : EXIT.failed;
};

/** A reader that left (`dockgate audit ls | head -1`) is no failure. */
const outliveReader = (): void => {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE' || error.code === 'EOF') process.exit(EXIT.ok);
      throw error;
    });
  }
};

/**
 * Runs one command line and sets the process's exit code.
 *
 * @param args without the program and its path
 */
export const main = async (args: readonly string[]): Promise<void> => {
  outliveReader();
  try {
    await createProgram().parseAsync([...args], { from: 'user' });
  } catch (error) {
    process.exitCode = report(error);
  }
};

if (import.meta.main) await main(process.argv.slice(2));
