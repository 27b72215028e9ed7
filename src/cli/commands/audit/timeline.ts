// dockgate audit timeline: what happened to one object, from its making to its end and after.
import { Command } from 'commander';
import { print, printJson, shortTime, visible } from '../../output.ts';
import { paint, screenOf, screenTable } from '../../screen.ts';
import { examples, optionsOf } from '../common.ts';
import { askedBy, fromFile } from './asked.ts';
import { momentOf, numberOf } from './filter.ts';
import { decisionColour, type EventView, outcomeText } from './rows.ts';

interface TimelineView {
  readonly resource: string;
  readonly objects: readonly { readonly kind: string; readonly id: string; readonly names: readonly string[] }[];
  readonly more: boolean;
  readonly events: readonly (EventView & { readonly outside?: boolean })[];
}

interface TimelineOptions {
  readonly since?: string;
  readonly until?: string;
  readonly limit: string;
}

export const auditTimeline = (): Command =>
  fromFile(new Command('timeline'))
    .description('show what happened to an object, oldest first: who made it, used it and removed it')
    .argument('<object>', 'container/web, volume/data, an id or its beginning')
    .option('--since <moment>', 'only since 2h, yesterday, 14:02, 2030-01-31 or an RFC 3339 time')
    .option('--until <moment>', 'only until then; a day counts to its end')
    .option('--limit <number>', 'at most this many, the newest', '200')
    .addHelpText(
      'after',
      examples('dockgate audit timeline container/web', 'dockgate audit timeline 4f1c2ab09d3e --since 7d'),
    )
    .action(async (object: string, options: TimelineOptions, command: Command) => {
      const query = new URLSearchParams({ resource: object, limit: String(numberOf('limit', options.limit, 1, 2000)) });
      if (options.since !== undefined) query.set('since', momentOf('since', options.since, 'start'));
      if (options.until !== undefined) query.set('until', momentOf('until', options.until, 'end'));
      const answer = await (await askedBy(command)).call<TimelineView>('GET', `/audit/timeline?${query}`);
      if (optionsOf(command).json) return printJson(answer);
      const screen = screenOf();
      const names = answer.objects.map(({ kind, id, names: all }) =>
        visible(`${kind} ${id.slice(0, 19)}  ${all.join(', ')}`),
      );
      const table = screenTable(
        screen,
        [
          { title: 'TIME', value: ({ at }) => shortTime(at) },
          {
            title: 'ACTION',
            value: ({ action, outside }) => (outside ? `${action} (outside the gateway)` : action),
            least: 14,
          },
          {
            title: 'SUBJECT',
            value: ({ subject, outside }) => (outside ? 'unknown' : subject),
            least: 8,
            cut: 'middle',
          },
          { title: 'DECISION', value: ({ decision }) => decision, colour: decisionColour },
          { title: 'OUTCOME', value: (event) => outcomeText(event) || event.outcome, least: 8 },
          { title: 'RULE', value: ({ rule }) => rule, least: 6, from: 110 },
          { title: 'AUDIT ID', value: ({ auditId }) => auditId },
        ],
        answer.events,
      );
      if (answer.events.length === 0) return print(visible(`nothing is recorded of ${object}`));
      return print(
        [
          ...names.map((line) => paint(screen, 'bold', line)),
          ...(answer.more ? ['older calls are left out; give a higher --limit or --until'] : []),
          table,
        ].join('\n'),
      );
    });
