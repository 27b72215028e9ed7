// dockgate plugin new, test, try and add: for authors of plugins. They work on files, without a gateway and without an engine.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import process from 'node:process';
import { Command, Option } from 'commander';
import type { Tier } from '../../admission/hosts/host.ts';
import type { Json } from '../../engine/types.ts';
import { endOf } from '../dry-run/command.ts';
import { CliError, EXIT, print, printJson, table, usageError } from '../output.ts';
import { collect, examples, optionsOf, timeoutOf } from './common.ts';
import { pluginTemplate } from './plugin-template.ts';
import { readRequest } from './read-input.ts';

const tierOption = () =>
  new Option('--tier <tier>', 'how it is contained').choices(['sandboxed', 'process', 'trusted']);
const configOption = () => new Option('--settings <json>', "the plugin's own config, as JSON");

interface RunOptions {
  readonly tier?: Tier;
  readonly settings?: string;
}

function settingsOf({ settings }: RunOptions): { config?: Json } {
  if (settings === undefined) return {};
  try {
    return { config: JSON.parse(settings) as Json };
  } catch {
    throw usageError('--settings must be JSON, such as \'{"team":"red"}\'');
  }
}

/** A path as the loader knows one: names of packages and shipped plugins stay. */
const useOf = (path: string): string => (existsSync(path) ? resolve(path) : path);

const make = (): Command =>
  new Command('new')
    .description('make a folder with a plugin to start from')
    .argument('<name>', 'name of the plugin, kebab-case; the folder is named so too')
    .addHelpText('after', examples('dockgate plugin new owner-label'))
    .action(async (name: string) => {
      if (!/^[a-z][a-z0-9-]{0,62}$/.test(name))
        throw usageError('the name must be in kebab-case, at most 63 characters');
      if (existsSync(name)) throw usageError(`${name} exists already`);
      mkdirSync(name);
      for (const [file, text] of Object.entries(pluginTemplate(name))) writeFileSync(join(name, file), text);
      await print(`made ${name}/
  ${name}/index.ts    the plugin: start here
  ${name}/cases.yaml  calls it must pass and deny
next:
  dockgate plugin test ${name}
  dockgate plugin try ${name} -- docker run --label owner=me busybox true
  dockgate plugin add ${name} --config dockgate.yaml`);
    });

const test = (): Command =>
  new Command('test')
    .description('run the examples of a plugin and the cases beside it, under the tier that would serve them')
    .argument('<plugin>', 'a file, a folder, a shipped plugin or a package')
    .addOption(tierOption())
    .addOption(configOption())
    .addHelpText('after', examples('dockgate plugin test owner-label', 'dockgate plugin test ./x.ts --tier process'))
    .action(async (plugin: string, _options: object, command: Command) => {
      const options = optionsOf<RunOptions>(command);
      const { testPlugin, CasesFault } = await import('../../admission/cases.ts');
      const report = await testPlugin(useOf(plugin), {
        baseDir: process.cwd(),
        ...(options.tier === undefined ? {} : { tier: options.tier }),
        ...settingsOf(options),
      }).catch((error: unknown) => {
        throw error instanceof CasesFault ? usageError(error.message) : error;
      });
      const failed = report.results.filter(({ fault }) => fault !== undefined);
      if (options.json) await printJson(report);
      else {
        const { name, version, tier, sha256 } = report.plugin;
        const ms = (value: number | undefined) => (value === undefined ? '-' : `${value.toFixed(1)} ms`);
        await print(
          [
            `${name} ${version}, ${tier}, SHA-256 ${sha256}`,
            `needs: ${report.needs.length === 0 ? 'nothing' : report.needs.join(', ')}`,
            ...report.results.map(
              (one) =>
                `${one.fault === undefined ? 'ok  ' : 'FAIL'} ${one.name}${one.fault === undefined ? '' : `: ${one.fault}`}`,
            ),
            `${report.results.length - failed.length} passed, ${failed.length} failed; a case took ${ms(report.p50Ms)} (p99 ${ms(report.p99Ms)})`,
          ].join('\n'),
        );
      }
      if (report.results.length === 0)
        throw new CliError('there are no cases: write examples or cases.yaml', EXIT.failed);
      if (failed.length > 0)
        throw new CliError(`${failed.length} of ${report.results.length} cases failed`, EXIT.failed);
    });

const attempt = (): Command =>
  new Command('try')
    .description('show what a plugin does to a docker command; nothing is sent')
    .argument('<plugin>', 'a file, a folder, a shipped plugin or a package')
    .argument('[command...]', 'after --, a command to run against a stand-in engine: docker, compose, a program')
    .addOption(tierOption())
    .addOption(configOption())
    .option('--timeout <duration>', 'end a command that runs longer', '60s')
    .option(
      '--request <file>',
      'a request of a file in the place of a command: method, target, body as JSON; - is standard input',
    )
    .addHelpText('after', examples('dockgate plugin try owner-label -- docker run --privileged busybox true'))
    .action(async (plugin: string, words: readonly string[], _options: object, command: Command) => {
      const options = optionsOf<RunOptions & { timeout: string; request?: string }>(command);
      const use = {
        use: useOf(plugin),
        ...(options.tier === undefined ? {} : { tier: options.tier }),
        needs: ['*'],
        config: undefined,
        ...settingsOf(options),
      };
      if ((options.request === undefined) === (words.length === 0))
        throw usageError('say what to try: -- docker run ..., or --request FILE');
      const { dryRequest, dryRun, OPEN_BASIS } = await import('../dry-run/dry-run.ts');
      const { calls, ended } =
        options.request === undefined
          ? await dryRun(words, OPEN_BASIS, timeoutOf(options.timeout), [use])
          : await dryRequest(await readRequest(options.request), OPEN_BASIS, [use]);
      if (options.json) await printJson(calls);
      else {
        const { renderTried } = await import('../dry-run/calls.ts');
        await print([...calls.map(renderTried), `the command ended with ${endOf(ended)}`].join('\n'));
      }
      if (calls.some(({ decision }) => decision.effect === 'deny')) process.exitCode = EXIT.failed;
    });

const add = (): Command =>
  new Command('add')
    .description('write a plugin into the settings file, pinned by its SHA-256, with all it needs granted')
    .argument('<plugin>', 'a file, a folder, a shipped plugin or a package')
    .addOption(tierOption())
    .addOption(configOption())
    .option('--name <name>', 'tells this use of the plugin from another')
    .option('--grant <need>', 'grant this, and nothing that is not named; default: ask with --grant-all', collect)
    .option('--grant-all', 'grant everything the plugin asks for')
    .addHelpText('after', examples('dockgate plugin add ./owner-label --config dockgate.yaml'))
    .action(async (plugin: string, _options: object, command: Command) => {
      const options = optionsOf<RunOptions & { name?: string; grant?: readonly string[]; grantAll?: boolean }>(command);
      const file = options.config;
      if (file === undefined) throw usageError('say which settings file: --config dockgate.yaml');
      const { testPlugin } = await import('../../admission/cases.ts');
      const report = await testPlugin(useOf(plugin), {
        baseDir: process.cwd(),
        ...(options.tier === undefined ? {} : { tier: options.tier }),
        ...settingsOf(options),
      });
      const broken = report.results.find(({ fault }) => fault !== undefined);
      if (broken !== undefined)
        throw new CliError(`its case ${JSON.stringify(broken.name)} fails: ${broken.fault}`, EXIT.failed);
      const granted = options.grantAll === true ? report.needs : (options.grant ?? []);
      const missing = report.needs.filter((need) => !granted.includes(need));
      if (missing.length > 0) {
        throw usageError(`it needs ${missing.join(', ')}: name each with --grant, or take all with --grant-all`);
      }
      const path = existsSync(plugin) ? relative(resolve(file, '..'), resolve(plugin)) : plugin;
      const { addPlugin } = await import('../plugin-settings.ts');
      addPlugin(file, {
        use: existsSync(plugin) && !path.startsWith('.') ? `./${path}` : path,
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(options.tier === undefined ? {} : { tier: options.tier }),
        ...(report.plugin.sha256 === '' ? {} : { sha256: report.plugin.sha256 }),
        ...(granted.length === 0 ? {} : { needs: granted }),
        ...settingsOf(options),
      });
      await print(
        table(
          ['NAME', 'TIER', 'SHA-256', 'GRANTED'],
          [[options.name ?? report.plugin.name, report.plugin.tier, report.plugin.sha256, granted.join(',') || '-']],
        ),
      );
      await print(`written to ${basename(file)}; a running gateway takes it over with: dockgate plugin reload`);
    });

export const offlinePluginCommands = (): Command[] => [make(), test(), attempt(), add()];
