// What docs/ says is held to the program: links lead somewhere, commands and options exist, policies compile and settings parse,
// and the pages that follow from the code are the ones it gives. Nothing is run, and no engine is needed.
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { generatedPages } from '../scripts/docs.ts';
import { parseConfig } from '../src/config/config.ts';
import { compilePolicies } from '../src/policy/compile.ts';
import { parseDocuments } from '../src/policy/policy.ts';
import { faultsOfTests } from '../src/policy/run-tests.ts';
import { understands } from './support/command-line.ts';
import { ROOT } from './support/runtime.ts';

const FILES = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...globSync('docs/*.md', { cwd: ROOT }),
];
const generated = generatedPages();
/** Where one line of the admin API stands for two routes. */
const VERB = /\$\{verb\}/;
const textOf = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

interface Block {
  readonly language: string;
  readonly text: string;
  readonly line: number;
}
const blocksOf = (text: string): Block[] =>
  [...text.matchAll(/^```(\w*)[^\n]*\n(.*?)^```$/gms)].map((match) => ({
    language: match[1] as string,
    text: match[2] as string,
    line: text.slice(0, match.index).split('\n').length,
  }));
const proseOf = (text: string): string => text.replace(/^```.*?^```$/gms, '');

/** Anchors of a page's headings, as GitHub makes them. */
const anchorsOf = (text: string): Set<string> =>
  new Set(
    [...proseOf(text).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      (heading as string)
        .toLowerCase()
        .replace(/[^\w\s-]/g, '')
        .trim()
        .replace(/\s/g, '-'),
    ),
  );

function brokenLinks(file: string): string[] {
  return [...proseOf(textOf(file)).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target]) => {
    if (/^[a-z]+:/.test(target as string)) return [];
    const [path = '', anchor] = (target as string).split('#');
    const found = path === '' ? file : normalize(join(dirname(file), path));
    if (!existsSync(join(ROOT, found))) return [`${target} is not there`];
    if (anchor !== undefined && !anchorsOf(textOf(found)).has(anchor)) return [`${target} has no such heading`];
    return [];
  });
}

/** The dockgate commands of a page: of shell blocks, of units, and of inline code. */
function commandsOf(file: string): string[] {
  const text = textOf(file);
  const lines = blocksOf(text)
    .filter(({ language }) => ['sh', 'ini'].includes(language))
    .flatMap((block) => block.text.replaceAll('\\\n', ' ').split('\n'))
    .filter((line) => !line.trim().startsWith('#'))
    .map((line) => line.replace(/\s# .*$/, ''));
  const inline = [...proseOf(text).matchAll(/`(dockgate [^`]+)`/g)].map((match) => match[1] as string);
  return [...lines, ...inline].flatMap((line) =>
    [...line.matchAll(/(?:^|[\s/="'(])(dockgate +(?!dockgate\b)[a-z][^|;&>)"']*)/g)].map((match) =>
      (match[1] as string).trim().replace(/\s+/g, ' '),
    ),
  );
}

/** What is at fault with a YAML block: a policy must compile and pass its tests, settings must be valid, alone or as a part. */
function faultsOfYaml(text: string): readonly string[] {
  if (/^(#.*\n)*apiVersion: dockgate\/v1/.test(text)) {
    const { documents, problems } = parseDocuments(text);
    if (problems.length > 0) return problems.map(({ message }) => message);
    return faultsOfTests(compilePolicies(documents, 1), documents);
  }
  // A part of a rule, a compose file or another program's file says so in its first line.
  if (/^# (part of a|compose\.yaml|\.?[\w./-]+\.ya?ml of )/.test(text)) {
    parse(text);
    return [];
  }
  const value = parse(text) as Record<string, unknown>;
  const whole = 'engine' in value ? text : `engine: unix:///var/run/docker.sock\n${text}`;
  return parseConfig(whole, { baseDir: '/' }).problems.map(({ path, message }) => `${path}: ${message}`);
}

describe('the documentation', () => {
  for (const file of FILES) {
    it(`${file}: every link leads to a page and a heading`, () => assert.deepEqual(brokenLinks(file), []));
    if (file === join('docs', 'commands.md')) continue;
    it(`${file}: every dockgate command exists with its options`, () => {
      for (const command of commandsOf(file)) understands(command);
    });
    for (const { language, text, line } of blocksOf(textOf(file))) {
      if (language === 'yaml')
        it(`${file}: the YAML on line ${line} is valid`, () => assert.deepEqual(faultsOfYaml(text), []));
    }
  }

  for (const [file, text] of Object.entries(generated)) {
    it(`docs/${file} is what npm run docs writes`, () =>
      assert.ok(textOf(`docs/${file}`) === text, `docs/${file} no longer follows from the code: npm run docs`));
  }

  it('docs/README.md leads to every page', () => {
    const index = textOf('docs/README.md');
    const missing = globSync('docs/*.md', { cwd: ROOT }).filter((file) => !index.includes(`(${file.slice(5)}`));
    assert.deepEqual(missing, ['docs/README.md']);
  });

  for (const file of ['ARCHITECTURE.md', 'CONTRIBUTING.md']) {
    it(`${file}: every file and folder it names is there`, () => {
      const named = [...proseOf(textOf(file)).matchAll(/`([\w.][\w./*-]*(?:\.(?:ts|tsv|yaml|md)|\/))`/g)].map(
        (match) => match[1] as string,
      );
      assert.ok(named.length > 10);
      const missing = named.filter(
        (name) => !/NAME/.test(name) && globSync([name, `src/**/${name}`], { cwd: ROOT }).length === 0,
      );
      assert.deepEqual(missing, []);
    });
  }

  it('every npm script that is named is there', () => {
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
    const named = FILES.flatMap((file) =>
      [...textOf(file).matchAll(/npm run ([\w:]+)/g)].map((match) => match[1] as string),
    );
    assert.deepEqual(
      named.filter((name) => !(name in scripts)),
      [],
    );
  });

  it('docs/operations.md names every metric, and no other', () => {
    const inCode = new Set(textOf('src/app/metrics.ts').match(/(?<=')dockgate_\w+(?=')/g));
    const told = [...textOf('docs/operations.md').matchAll(/^\| `(dockgate_\w+)`/gm)].map(
      (match) => match[1] as string,
    );
    assert.deepEqual(told.sort(), [...inCode].sort());
  });

  it('docs/admin-api.md names every route of the admin API, and no other', () => {
    const routes = new Set(
      globSync('src/admin/*.ts', { cwd: ROOT })
        .flatMap((file) => [...textOf(file).matchAll(/app\.(get|post|put|patch|delete)\(\s*['`](\/[^'`]*)['`]/g)])
        .flatMap(([, method, path]) =>
          VERB.test(path as string)
            ? ['enable', 'disable'].map((verb) => `POST ${(path as string).replace(VERB, verb)}`)
            : [`${(method as string).toUpperCase()} ${path}`],
        ),
    );
    const told = [...textOf('docs/admin-api.md').matchAll(/^\| `([A-Z]+ \/[^`]*)`/gm)].map(
      (match) => match[1] as string,
    );
    assert.deepEqual(told.sort(), [...routes].sort());
  });

  it('SECURITY.md names the test of each promise, and each of them is there', () => {
    const text = textOf('SECURITY.md');
    for (const [, file] of text.matchAll(/`(test\/[^`]+)`/g)) assert.ok(existsSync(join(ROOT, file as string)), file);
    const promises =
      /## What dockgate defends against\n(.*?)\n## /s
        .exec(text)?.[1]
        ?.split(/\n- \*\*/)
        .slice(1) ?? [];
    assert.ok(promises.length > 8);
    for (const promise of promises) assert.match(promise, /`test\/[\w/-]+\.test\.ts`/, promise.slice(0, 60));
  });

  it("the steps of ARCHITECTURE.md's picture are those of pipeline.ts, in their order", () => {
    const picture = /```\n(.*?)```/s.exec(textOf('ARCHITECTURE.md'))?.[1] ?? '';
    const [first, ...drawn] = [...picture.matchAll(/^ +\d+ (\w+)/gm)].map(([, step]) => step);
    const source = textOf('src/gateway/pipeline.ts');
    const steps = [...source.matchAll(/^import \{ (\w+) \} from '\.\/steps\/[\w-]+\.ts';/gm)].map(([, step]) => step);
    const places = steps.map((step) => [step, source.search(new RegExp(`[ (]${step}\\(`))] as const);
    const inCode = places.sort((a, b) => a[1] - b[1]).map(([step]) => step);
    assert.equal(first, 'listen', 'what comes before the chain');
    assert.ok(places.every(([, at]) => at > 0));
    assert.deepEqual(drawn, [...inCode, 'send']);
  });
});
