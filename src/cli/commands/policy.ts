// dockgate policy: documents in force, their history, and why a call is decided as it is.
import { Command } from 'commander';
import type { AppliedAnswer, PolicyDocumentAnswer } from '../../admin/answers.ts';
import type { DryRunBasis } from '../../admin/dry-run.ts';
import { type Ended, endOf } from '../dry-run/command.ts';
import { print, printError, printJson, shortTime, table, usageError, visible, visibleLines } from '../output.ts';
import { examples, gatewayOf, optionsOf, segment, timeoutOf } from './common.ts';
import { checkName } from './identity.ts';
import { offlinePolicyCommands } from './policy-offline.ts';
import { readRequest, readSource, type WrittenRequest } from './read-input.ts';

const apply = (): Command =>
  new Command('apply')
    .description('put policy documents in force, all of them or none')
    .requiredOption('-f, --file <file...>', 'YAML or JSON files with one or more documents; - is standard input')
    .addHelpText(
      'after',
      examples('dockgate policy apply -f ci.yaml bindings.yaml', 'cat ci.yaml | dockgate policy apply -f -'),
    )
    .action(async (options: { file: string[] }, command: Command) => {
      const sources = [];
      for (const file of options.file) sources.push(await readSource(file));
      const gateway = await gatewayOf(command);
      const applied = await gateway.call<AppliedAnswer>('POST', '/policies', { sources });
      if (optionsOf(command).json) return printJson(applied);
      const lines = applied.documents.map(({ kind, name, change }) => `${kind}/${name} ${change}`);
      const { policies } = await gateway.call<{ policies: string[] }>('GET', '/unbound-policies');
      for (const { name } of applied.documents.filter((one) => policies.includes(one.name))) {
        lines.push(
          `warning: policy ${name} is bound to no caller, so it changes nothing yet; bind it with dockgate identity update NAME --policy ${name}, with subjects in it, or with a Binding`,
        );
      }
      return print([...lines, `revision ${applied.revision} is in force`].join('\n'));
    });

const list = (): Command =>
  new Command('list')
    .alias('ls')
    .description('list the documents in force, built-in ones included')
    .addHelpText('after', examples('dockgate policy list', 'dockgate policy list --json'))
    .action(async (_options: object, command: Command) => {
      const { documents } = await (await gatewayOf(command)).call<{ documents: PolicyDocumentAnswer[] }>(
        'GET',
        '/policies',
      );
      if (optionsOf(command).json) return printJson(documents);
      return print(
        table(
          ['KIND', 'NAME', 'REVISION', 'APPLIED', 'BY'],
          documents.map((one) => [
            one.kind,
            one.name,
            one.builtIn ? 'built-in' : one.revision,
            one.at && shortTime(one.at),
            one.by,
          ]),
        ),
      );
    });

const show = (): Command =>
  new Command('show')
    .description('print a document as it was applied')
    .argument('<name>', 'name of the policy or binding')
    .addHelpText('after', examples('dockgate policy show baseline', 'dockgate policy show ci > ci.yaml'))
    .action(async (name: string, _options: object, command: Command) => {
      const document = await (await gatewayOf(command)).call<PolicyDocumentAnswer>('GET', `/policies/${segment(name)}`);
      if (optionsOf(command).json) await printJson(document);
      else await print(visibleLines(document.source ?? ''));
    });

const remove = (): Command =>
  new Command('delete')
    .alias('rm')
    .description('take a document out of force; its history stays')
    .argument('<name>', 'name of the policy or binding')
    .addHelpText('after', examples('dockgate policy delete ci'))
    .action(async (name: string, _options: object, command: Command) => {
      const { revision } = await (await gatewayOf(command)).call<{ revision: number }>(
        'DELETE',
        `/policies/${segment(name)}`,
      );
      if (optionsOf(command).json) await printJson({ name, deleted: true, revision });
      else await print(`${name} deleted; revision ${revision} is in force`);
    });

const history = (): Command =>
  new Command('history')
    .description('list every revision of a document, newest first')
    .argument('<name>', 'name of the policy or binding')
    .addHelpText('after', examples('dockgate policy history ci', 'dockgate policy history ci --json'))
    .action(async (name: string, _options: object, command: Command) => {
      const answer = await (await gatewayOf(command)).call<{ history: PolicyDocumentAnswer[] }>(
        'GET',
        `/policies/${segment(name)}/history`,
      );
      if (optionsOf(command).json) return printJson(answer.history);
      return print(
        table(
          ['REVISION', 'AT', 'CHANGE', 'BY'],
          answer.history.map((one) => [
            one.builtIn ? 'built-in' : one.revision,
            one.at && shortTime(one.at),
            one.deleted ? 'deleted' : 'applied',
            one.by,
          ]),
        ),
      );
    });

interface Explained {
  readonly decision: { readonly effect: string };
  readonly text: string;
}

interface ExplainOptions {
  readonly as: string;
  readonly request?: string;
  readonly timeout: string;
  readonly full?: boolean;
}

const explain = (): Command =>
  new Command('explain')
    .description('tell how each call of a command would be decided, rule by rule; none reaches an engine')
    .requiredOption('--as <identity>', 'identity to judge as')
    .option('--request <file>', 'JSON file with method, target and body of an Engine API request; - is standard input')
    .option('--timeout <duration>', 'end a command that runs longer', '60s')
    .option('--full', 'tell the whole way to each decision, allowed calls included')
    .argument('[command...]', 'after --, a command to run against a stand-in engine: docker, compose, a program')
    .addHelpText(
      'after',
      examples(
        'dockgate policy explain --as ci -- docker run --privileged alpine',
        'dockgate policy explain --as ci -- docker compose up -d',
        'dockgate policy explain --as ci --json -- python3 deploy.py',
        'dockgate policy explain --as ci --request create.json --json',
      ),
    )
    .action(async (words: string[], options: ExplainOptions, command: Command) => {
      checkName(options.as);
      if (options.request !== undefined) {
        if (words.length > 0) throw usageError('give --request or a command, not both');
        return explainFile(options.as, await readRequest(options.request), command);
      }
      if (words.length === 0) throw usageError('say what to explain: -- docker run ..., or --request FILE');
      return explainCommand(words, options, command);
    });

async function explainFile(as: string, request: WrittenRequest, command: Command) {
  const explained = await (await gatewayOf(command)).call<Explained>('POST', '/explain', { as, request });
  if (optionsOf(command).json) return printJson([{ request, ...explained }]);
  return print(visibleLines(`${request.method} ${request.target}\n${explained.text.trimEnd()}`));
}

async function explainCommand(words: readonly string[], options: ExplainOptions, command: Command) {
  const timeoutMs = timeoutOf(options.timeout);
  const gateway = await gatewayOf(command);
  const basis = await gateway.call<DryRunBasis>('GET', `/dry-run?as=${segment(options.as)}`);
  const { dryRun } = await import('../dry-run/dry-run.ts');
  const { calls, ended } = await dryRun(words, basis, timeoutMs);
  const { renderCall, wholeOf } = await import('../dry-run/calls.ts');
  const notes = notesOf(basis, ended);
  if (optionsOf(command).json) {
    for (const note of notes) printError(note);
    return printJson(calls);
  }
  const texts = calls.map((call) => renderCall(call, options.full === true));
  return print([...texts, [wholeOf(calls), ...notes].join('\n')].join('\n\n'));
}

/** What the reader of a dry run must know of it. */
function notesOf({ plugins, engine }: DryRunBasis, ended: Ended): string[] {
  const notes = [`the command ended with ${endOf(ended)}`];
  if (ended.isCut) notes.push('it ran longer than --timeout and was ended: it may have had more to call');
  if (plugins.length > 0) notes.push(`plugins were not asked: ${plugins.map(visible).join(', ')}`);
  if (engine.fault !== undefined) notes.push(`the engine's own objects are not known here: ${visible(engine.fault)}`);
  return notes;
}

export const policyCommand = (): Command => {
  const policy = new Command('policy')
    .description('apply, show, explain and test policies')
    .addCommand(apply())
    .addCommand(list())
    .addCommand(show())
    .addCommand(remove())
    .addCommand(explain())
    .addCommand(history())
    .addHelpText('after', examples('dockgate policy apply -f ci.yaml', 'dockgate policy test ci.yaml'));
  for (const command of offlinePolicyCommands()) policy.addCommand(command);
  return policy;
};
