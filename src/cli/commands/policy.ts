// dockgate policy: documents in force, their history, and why a call is decided as it is.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { Command } from 'commander';
import { print, printJson, shortTime, table, usageError, visibleLines } from '../output.ts';
import { examples, gatewayOf, optionsOf, readStdin, segment } from './common.ts';
import { checkName } from './identity.ts';
import { offlinePolicyCommands } from './policy-offline.ts';

interface DocumentView {
  readonly kind: string;
  readonly name: string;
  readonly revision: number;
  readonly builtIn: boolean;
  readonly deleted: boolean;
  readonly at: string | null;
  readonly by: string;
  readonly source?: string;
}

const readSource = async (file: string): Promise<{ name: string; text: string }> => {
  if (file === '-') return { name: 'stdin', text: await readStdin() };
  try {
    return { name: basename(file), text: readFileSync(file, 'utf8') };
  } catch (error) {
    throw usageError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`);
  }
};

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
      const applied = await gateway.call<{
        revision: number;
        documents: { kind: string; name: string; change: string }[];
      }>('POST', '/policies', { sources });
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
      const { documents } = await (await gatewayOf(command)).call<{ documents: DocumentView[] }>('GET', '/policies');
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
      const document = await (await gatewayOf(command)).call<DocumentView>('GET', `/policies/${segment(name)}`);
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
      const answer = await (await gatewayOf(command)).call<{ history: DocumentView[] }>(
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

interface ExplainRequest {
  readonly method: string;
  readonly target: string;
  readonly body?: unknown;
  readonly assumes?: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly within?: string;
}

const readRequest = async (file: string): Promise<ExplainRequest> => {
  const { name, text } = await readSource(file);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw usageError(`${name} is not JSON; write { "method": "POST", "target": "/containers/create", "body": {} }`);
  }
  const { method, target, body } = (value ?? {}) as { method?: unknown; target?: unknown; body?: unknown };
  if (typeof method !== 'string' || typeof target !== 'string') {
    throw usageError(
      `${name} needs method and target, for example { "method": "POST", "target": "/containers/create", "body": {} }`,
    );
  }
  return { method, target, ...(body === undefined ? {} : { body }) };
};

const requestsOf = async (docker: readonly string[], file: string | undefined): Promise<readonly ExplainRequest[]> => {
  if (file !== undefined) {
    if (docker.length > 0) throw usageError('give --request or a docker command line, not both');
    return [await readRequest(file)];
  }
  if (docker.length === 0) throw usageError('say what to explain: -- docker run ..., or --request FILE');
  const { wholeDockerCommand } = await import('../docker-command.ts');
  const parsed = wholeDockerCommand(docker);
  if (typeof parsed === 'string') throw usageError(parsed);
  return parsed;
};

const explain = (): Command =>
  new Command('explain')
    .description('tell how a call would be decided, rule by rule; nothing is sent to the engine')
    .requiredOption('--as <identity>', 'identity to judge as')
    .option('--request <file>', 'JSON file with method, target and body of an Engine API request; - is standard input')
    .argument('[docker...]', 'a docker command line, after --')
    .addHelpText(
      'after',
      examples(
        'dockgate policy explain --as ci -- docker run --privileged alpine',
        'dockgate policy explain --as ci --request create.json --json',
      ),
    )
    .action(async (docker: string[], options: { as: string; request?: string }, command: Command) => {
      checkName(options.as);
      const requests = await requestsOf(docker, options.request);
      const gateway = await gatewayOf(command);
      const results = [];
      for (const request of requests) {
        results.push({
          request,
          ...(await gateway.call<{ decision: { effect: string }; text: string }>('POST', '/explain', {
            as: options.as,
            request,
          })),
        });
      }
      if (optionsOf(command).json) return printJson(results);
      const texts = results.map(({ request, text }) =>
        visibleLines(`${request.method} ${request.target}\n${text.trimEnd()}`),
      );
      if (results.length > 1) texts.push(wholeOf(results));
      return print(texts.join('\n\n'));
    });

/** What becomes of a command: it works when every request of it is allowed. */
function wholeOf(results: readonly { request: ExplainRequest; decision: { effect: string } }[]): string {
  const denied = results.filter(({ decision }) => decision.effect !== 'allow');
  if (denied.length === 0) return `ALLOW  the whole command, ${results.length} requests`;
  const lines = denied.map(({ request }) => visibleLines(`  ${request.method} ${request.target}`));
  return [`DENY  the whole command: ${denied.length} of ${results.length} requests are denied`, ...lines].join('\n');
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
