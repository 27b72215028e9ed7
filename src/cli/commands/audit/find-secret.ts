// dockgate audit find-secret: calls that carried a secret, which comes from standard input so that it stands in no list of processes
// and in no history of a shell.
import { Command } from 'commander';
import { print, printJson, usageError } from '../../output.ts';
import { screenOf } from '../../screen.ts';
import { examples, gatewayOf, optionsOf, readStdin } from '../common.ts';
import { numberOf } from './filter.ts';
import { type EventView, eventsTable } from './rows.ts';

interface Found {
  readonly hash: string;
  readonly events: readonly EventView[];
  readonly next: number | null;
}

export const auditFindSecret = (): Command =>
  new Command('find-secret')
    .description('find calls that carried a secret, given on standard input')
    .option('--limit <number>', 'at most this many', '50')
    .addHelpText(
      'after',
      `
The audit keeps no secret, but a keyed hash of each. The value is read from standard input, without
the line feed at its end; it is never taken from the command line. Secrets that are not stored in any
form (registry credentials, data of secrets, join tokens) are not found.
${examples('dockgate audit find-secret < leaked.txt', 'pass show ci/token | dockgate audit find-secret --json')}`,
    )
    .action(async (options: { limit: string }, command: Command) => {
      const limit = numberOf('limit', options.limit, 1, 1000);
      if (process.stdin.isTTY) process.stderr.write('secret, then end of input (Ctrl-D): ');
      const secret = (await readStdin()).replace(/\r?\n$/, '');
      if (secret.length < 4) throw usageError('give a secret of at least four characters on standard input');
      const found = await (await gatewayOf(command)).call<Found>('POST', '/audit/find-secret', { secret, limit });
      if (optionsOf(command).json) return printJson(found);
      if (found.events.length === 0) return print(`no call carried it (${found.hash})`);
      return print(eventsTable(screenOf(), found.events, Date.now()));
    });
