// dockgate policy test, lint, presets, diff and import: work on files, without a gateway, for editors and CI.
// What the documents mean is the policy room's; here are only files, lines and exit codes.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { Command } from 'commander';
import type { HostSpec, PresetRow } from '../../policy/host/index.ts';
import type { Finding } from '../../policy/lint.ts';
import type { ParsedDocument } from '../../policy/policy.ts';
import { CliError, EXIT, jsonText, print, printJson, table, usageError, visibleLines } from '../output.ts';
import { examples, optionsOf, readStdin } from './common.ts';

/** The files meant: those named, and in folders every .yaml, .yml and .json. */
function filesOf(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    try {
      if (!statSync(path).isDirectory()) return [path];
      return readdirSync(path, { recursive: true, encoding: 'utf8' })
        .filter((name) => /\.(ya?ml|json)$/.test(name))
        .sort()
        .map((name) => join(path, name));
    } catch (error) {
      throw unreadable(path, error);
    }
  });
}

const unreadable = (path: string, error: unknown): CliError =>
  usageError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`);

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw unreadable(path, error);
  }
}

interface Loaded {
  readonly documents: readonly ParsedDocument[];
  /** `ci.yaml:4:7: message` */
  readonly problems: readonly string[];
}

async function load(paths: readonly string[]): Promise<Loaded> {
  const { parseDocuments } = await import('../../policy/policy.ts');
  const { renderProblem } = await import('../../policy/compile.ts');
  const files = filesOf(paths);
  if (files.length === 0) throw usageError(`there is no .yaml or .json file in ${paths.join(', ')}`);
  const documents: ParsedDocument[] = [];
  const problems: string[] = [];
  for (const file of files) {
    const found = parseDocuments(read(file), file);
    documents.push(...found.documents);
    problems.push(...found.problems.map(renderProblem));
    if (found.documents.length + found.problems.length === 0) problems.push(`${file}:1:1: holds no policy document`);
  }
  return { documents, problems };
}

/** Ends the command with every fault on stderr, when there is one. */
function refuseFaults(problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new CliError(`${problems.length} faults`, EXIT.failed, problems);
}

async function compiled(paths: readonly string[]) {
  const { documents, problems } = await load(paths);
  refuseFaults(problems);
  const { compilePolicies } = await import('../../policy/compile.ts');
  return { documents, set: compilePolicies(documents, 0) };
}

const test = (): Command =>
  new Command('test')
    .description('run the tests beside the rules, and the built-in hostile calls, against policy files')
    .argument('<files...>', 'YAML or JSON files, or folders of them')
    .addHelpText('after', examples('dockgate policy test policies/', 'dockgate policy test ci.yaml --json'))
    .action(async (paths: string[], _options: object, command: Command) => {
      const { documents, set } = await compiled(paths);
      const { runPolicyTests } = await import('../../policy/run-tests.ts');
      const report = runPolicyTests(set, documents);
      const placeOf = (policy: string, line: number): string => {
        const at = documents.find(({ name }) => name === policy);
        return `${at?.file ?? policy}:${line}`;
      };
      const failed = report.results.filter(({ passed }) => !passed).length;
      const losses = report.hostile.length;
      if (optionsOf(command).json) await printJson(report);
      else {
        const lines = report.results.map(({ policy, test: name, line, passed, message }) =>
          passed ? `ok    ${policy}: ${name}` : `FAIL  ${placeOf(policy, line)}: ${policy}: ${name}: ${message}`,
        );
        lines.push(...report.hostile.map(({ policy, line, message }) => `FAIL  ${placeOf(policy, line)}: ${message}`));
        const hostile = losses === 0 ? 'no hostile call passes' : `${losses} hostile calls pass`;
        lines.push(`${report.results.length} tests, ${failed} failed; ${hostile}`);
        await print(visibleLines(lines.join('\n')));
      }
      if (!report.ok) process.exitCode = EXIT.failed;
    });

/** The hostile calls the documents would let pass: with one, apply puts none of them in force. */
async function hostileFindings(documents: readonly ParsedDocument[]): Promise<readonly Finding[]> {
  const { compilePolicies } = await import('../../policy/compile.ts');
  const { runPolicyTests } = await import('../../policy/run-tests.ts');
  const { GatewayError } = await import('../../errors.ts');
  let set: ReturnType<typeof compilePolicies>;
  try {
    set = compilePolicies(documents, 0);
  } catch (error) {
    // Documents that do not stand together are told by the other findings.
    if (error instanceof GatewayError) return [];
    throw error;
  }
  return runPolicyTests(set, documents).hostile.map(({ policy, rule, line, message }) => {
    const file = documents.find(({ name }) => name === policy)?.file;
    const found = { level: 'error', code: 'hostile-passes', document: policy, rule, line, message } as const;
    return file === undefined ? found : { ...found, file };
  });
}

const lint = (): Command =>
  new Command('lint')
    .description(
      'find what is valid but hardly meant: rules that never match, grave grants, unknown names, hostile calls that pass',
    )
    .argument('<files...>', 'YAML or JSON files, or folders of them')
    .option('--strict', 'fail on warnings too')
    .addHelpText('after', examples('dockgate policy lint policies/', 'dockgate policy lint ci.yaml --strict'))
    .action(async (paths: string[], options: { strict?: boolean }, command: Command) => {
      const { documents, problems } = await load(paths);
      const { lintDocuments, renderFinding } = await import('../../policy/lint.ts');
      const findings = [...lintDocuments(documents), ...(await hostileFindings(documents))];
      if (optionsOf(command).json) await printJson({ problems, findings });
      else {
        const lines = [...problems.map((problem) => `${problem} [invalid]`), ...findings.map(renderFinding)];
        const count = lines.length === 0 ? 'nothing found' : `${lines.length} found`;
        await print(visibleLines([...lines, `${documents.length} documents, ${count}`].join('\n')));
      }
      const grave = problems.length > 0 || findings.some(({ level }) => level === 'error' || options.strict === true);
      if (grave) process.exitCode = EXIT.failed;
    });

const diff = (): Command =>
  new Command('diff')
    .description('compare two sets of policies: documents, rules, and the actions they gain and lose')
    .argument('<before>', 'file or folder')
    .argument('<after>', 'file or folder')
    .option('--exit-code', 'end with 1 when they differ')
    .addHelpText(
      'after',
      examples('dockgate policy diff old.yaml new.yaml', 'dockgate policy diff main/ branch/ --json'),
    )
    .action(async (before: string, after: string, options: { exitCode?: boolean }, command: Command) => {
      const { diffPolicies, renderDiff } = await import('../../policy/diff.ts');
      const found = {
        ...diffPolicies((await compiled([before])).set, (await compiled([after])).set),
        from: before,
        to: after,
      };
      await (optionsOf(command).json ? printJson(found) : print(visibleLines(renderDiff(found))));
      if (options.exitCode === true && !found.isSame) process.exitCode = EXIT.failed;
    });

const importPolicy = (): Command =>
  new Command('import')
    .description('write a policy from the settings of another proxy; what was tightened stands above it as comments')
    .requiredOption('--socket-proxy-env <file>', 'CONTAINERS=1, POST=0, ... one a line; - is standard input')
    .addHelpText('after', examples('dockgate policy import --socket-proxy-env proxy.env > proxy.yaml'))
    .action(async (options: { socketProxyEnv: string }, command: Command) => {
      const { importSocketProxyEnv } = await import('../../policy/import-socket-proxy.ts');
      const file = options.socketProxyEnv;
      const imported = importSocketProxyEnv(file === '-' ? await readStdin() : read(file));
      if (optionsOf(command).json) return printJson(imported);
      const notes = imported.notes.map((note) => `# ${jsonText(note).slice(1, -1)}\n`).join('');
      return print(`${notes}${imported.source}`);
    });

/** What a host preset allows, field by field. */
function presetTable(rows: readonly PresetRow[]): string {
  return table(
    ['FIELD', 'ALLOWED', 'CHANGED BY'],
    rows.map(({ fields, allowed, override }) => [
      fields.join(', '),
      allowed,
      override === undefined ? '' : `host.${override}`,
    ]),
  );
}

const presets = (): Command =>
  new Command('presets')
    .description('list the built-in policies and host presets, with what each allows, field by field')
    .argument('[names...]', 'built-in policies or host presets; left out, all of them')
    .addHelpText('after', examples('dockgate policy presets', 'dockgate policy presets watchtower hardened'))
    .action(async (names: string[], _options: object, command: Command) => {
      const { builtIns } = await import('../../policy/compile.ts');
      const { describePreset, HOST_PRESETS } = await import('../../policy/host/index.ts');
      const policies = builtIns().flatMap(({ document: { document } }) =>
        document.kind === 'Policy' ? [document] : [],
      );
      const known = [...policies.map(({ name }) => name), ...HOST_PRESETS];
      for (const name of names) {
        if (!known.includes(name))
          throw usageError(`there is no preset ${name}; known: ${[...new Set(known)].join(', ')}`);
      }
      const isMeant = (name: string): boolean => names.length === 0 || names.includes(name);
      const told = policies.filter(({ name }) => isMeant(name));
      const used = new Set(told.flatMap(({ rules }) => rules.map(({ host }) => host?.preset)));
      const hosts = HOST_PRESETS.filter((preset) => isMeant(preset) || used.has(preset)).map((preset) => ({
        preset,
        rows: describePreset(preset),
      }));
      if (optionsOf(command).json) {
        const rulesOf = ({ name, description, rules }: (typeof policies)[number]) => ({
          name,
          description,
          rules: rules.map(({ name: rule, actions, resources, host, when }) => ({
            rule,
            actions,
            resources,
            host,
            when,
          })),
        });
        return printJson({ policies: told.map(rulesOf), hosts });
      }
      const parts = told.map(({ name, description, rules }) =>
        [
          `policy ${name}: ${description ?? ''}`,
          table(
            ['RULE', 'ACTIONS', 'HOST PRESET', 'ONLY'],
            rules.map(({ name: rule, actions, resources, host, when }) => [
              rule,
              actions.join(', '),
              host === undefined ? '' : hostText(host),
              [...(resources ?? []), ...(when ?? [])].join('; '),
            ]),
          ),
        ].join('\n'),
      );
      parts.push(...hosts.map(({ preset, rows }) => `host preset ${preset}\n${presetTable(rows)}`));
      return print(visibleLines(parts.join('\n\n')));
    });

/** A host block in short: its preset and its overrides. */
const hostText = ({ preset = 'baseline', ...changes }: HostSpec): string =>
  [preset, ...Object.entries(changes).map(([key, value]) => `${key}: ${JSON.stringify(value)}`)].join(', ');

/** The subcommands that need no gateway. */
export const offlinePolicyCommands = (): readonly Command[] => [test(), lint(), presets(), diff(), importPolicy()];
