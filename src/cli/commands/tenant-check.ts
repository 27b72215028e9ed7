// dockgate tenant check: which settings of an engine weaken what keeps tenants apart. Looks as doctor does, and tells only that.
import process from 'node:process';
import { Command } from 'commander';
import { EXIT, print, printJson, visible } from '../output.ts';
import { examples, optionsOf } from './common.ts';
import { type DoctorFlags, questionsOf } from './doctor.ts';

/** What one engine shares whatever its settings are; SECURITY.md says what to do about it. */
const ALWAYS_SHARED =
  'shared on one engine in any case: kernel, image store, layer cache, names, disk (see SECURITY.md)';

export const check = (): Command =>
  new Command('check')
    .description("tell which of an engine's settings weaken what keeps tenants apart, each with its remedy")
    .argument(
      '[url...]',
      'the engine, or a gateway as an operator sees it; else the engine of --config, or as doctor finds it',
    )
    .option('--cert <file>', 'client certificate, PEM')
    .option('--key <file>', 'its private key, PEM')
    .addHelpText(
      'after',
      examples(
        'dockgate tenant check --config dockgate.yaml',
        'dockgate tenant check unix:///var/run/docker.sock --json',
      ),
    )
    .action(async (urls: string[], _options: object, command: Command) => {
      const flags = optionsOf<DoctorFlags>(command);
      const questions = (await questionsOf(urls, flags)).filter(({ role }) => role !== 'listener');
      const { lookAt, lookHere } = await import('../../doctor/probe.ts');
      const { judge, SEPARATION } = await import('../../doctor/findings.ts');
      const targets = await Promise.all(questions.map((question) => lookAt(question)));
      const findings = judge({ here: lookHere(process.env, Date.now()), targets }).filter(
        // What keeps it from looking is a finding as well.
        ({ level, code }) => level === 'trouble' || SEPARATION.has(code),
      );
      if (flags.json) await printJson({ findings });
      else {
        const lines = findings.map(
          ({ code, address, message, remedy }) =>
            `${visible(address)}: ${visible(message)}${remedy === undefined ? '' : `; ${visible(remedy)}`} [${code}]`,
        );
        await print([...(lines.length === 0 ? ['no setting weakens it'] : lines), ALWAYS_SHARED].join('\n'));
      }
      if (findings.length > 0) process.exitCode = EXIT.failed;
    });
