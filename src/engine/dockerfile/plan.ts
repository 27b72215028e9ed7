// What a Dockerfile builds from and fetches, and the Dockerfile that is sent in its place: parsed instructions written again, the
// images of FROM and COPY --from named as they were judged. The caller of the plan answers its questions. See
// https://docs.docker.com/reference/dockerfile/ and moby, builder/dockerfile.
import { GatewayError } from '../../errors.ts';
import { canonicalImage } from '../canonical-names.ts';
import { copiedPaths, type Instruction, MAX_WORDS, readInstruction, renderInstruction } from './instruction.ts';
import { expanded, pairsOf, plainLabels } from './labels.ts';
import { readLines, refuseLine } from './lines.ts';
import { quotedWords, splitBlanks } from './words.ts';

/** What the plan must know before it goes on. */
export type Question =
  | {
      readonly kind: 'image';
      /** Canonical reference, or an id or part of one with `sha256:`. */
      readonly name: string;
      /** `Dockerfile line 3` */
      readonly at: string;
      /** A stage is built on it; files are taken from it otherwise. */
      readonly isBase: boolean;
      /** `linux/arm64`, where the file says so. */
      readonly platform?: string;
    }
  | { readonly kind: 'address'; readonly url: string; readonly at: string };

export interface Answer {
  /** How the image is named to the engine. */
  readonly write: string;
  /** Its environment, `NAME=value`. */
  readonly env: readonly string[];
  /** Its triggers, which run before the first instruction of a stage. */
  readonly triggers: readonly string[];
}

export interface PlanOptions {
  /** Values given with the build; they stand before defaults. */
  readonly buildArgs: Readonly<Record<string, string | null>>;
  /** Labels every stage begins with: what is built under another label shares no step with it. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Most bytes of all labels of an image, names and values together, and those given with the build. */
  readonly maxLabelBytes?: number;
  readonly givenLabelBytes?: number;
  /** Refuses the name of a label. */
  refuseLabel?(name: string, at: string): void;
}

/** Values the engine passes without an ARG. */
const PROXIES = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'];
const ALWAYS: ReadonlySet<string> = new Set(PROXIES.flatMap((name) => [name, name.toLowerCase()]));

/** Variables of a stage: its environment, and the arguments it declared. */
interface Stage {
  readonly name: string;
  readonly env: Map<string, string>;
  readonly args: Map<string, string | undefined>;
  /** What an ONBUILD of this stage left for a stage on top of it. */
  readonly triggers: string[];
  /** Bytes of the labels it sets. */
  labelBytes: number;
}

/** Most stages of a file, and most arguments and variables of each. */
const MAX_STAGES = 200;
const MAX_VARIABLES = 2000;
/** Longest name of a variable, in characters. */
const MAX_NAME = 1024;
/** Most triggers that run in one build. */
const MAX_TRIGGERS = 10_000;
/** Longest file once variables are filled in, in characters. */
const MAX_WRITTEN = 8 * 1024 * 1024;

/** Sets a variable. @throws {GatewayError} `archive-unreadable` */
function put<V extends string | undefined>(variables: Map<string, V>, name: string, value: V, line: number): void {
  if (name.length > MAX_NAME) refuseLine(line, `the name of a variable is longer than ${MAX_NAME} characters`);
  variables.set(name, value);
  if (variables.size > MAX_VARIABLES) refuseLine(line, `a stage has more than ${MAX_VARIABLES} variables`);
}

/** The engine's own, for images without one. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

function newStage(name: string, env: Iterable<readonly [string, string]>, labelBytes = 0): Stage {
  const variables = new Map(env);
  if (!variables.has('PATH')) variables.set('PATH', DEFAULT_PATH);
  return { name, env: variables, args: new Map(), triggers: [], labelBytes };
}

/**
 * Reads a Dockerfile and asks for what it takes.
 *
 * @returns the file to send
 * @throws {GatewayError} `archive-unreadable`, `label-reserved`
 */
export function* planBuild(content: Uint8Array, options: PlanOptions): Generator<Question, string, Answer> {
  const { escaping, lines } = readLines(content);
  const plan = new Plan(options, escaping);
  const out = escaping === '`' ? ['# escape=`'] : [];
  let written = 0;
  for (const line of lines) {
    const instruction = readInstruction(line, escaping);
    for (const sent of yield* plan.take(instruction)) {
      const text = renderInstruction(sent, escaping);
      written += text.length;
      if (written > MAX_WRITTEN)
        refuseLine(line.number, `the file is longer than ${MAX_WRITTEN} characters from here on`);
      out.push(text);
    }
  }
  if (!plan.hasStage) throw new GatewayError('archive-unreadable', 'the Dockerfile cannot be judged: it has no FROM');
  return `${out.join('\n')}\n`;
}

class Plan {
  readonly #options: PlanOptions;
  readonly #escaping: '\\' | '`';
  readonly #metaArgs = new Map<string, string | undefined>();
  readonly #stages: Stage[] = [];
  #triggers = 0;

  constructor(options: PlanOptions, escaping: '\\' | '`') {
    this.#options = options;
    this.#escaping = escaping;
  }

  get hasStage(): boolean {
    return this.#stages.length > 0;
  }

  /** The instructions to send in place of one. */
  *take(instruction: Instruction): Generator<Question, readonly Instruction[], Answer> {
    const { name, line } = instruction;
    if (name === 'FROM') return yield* this.#from(instruction);
    const stage = this.#stages.at(-1);
    if (stage === undefined) {
      if (name !== 'ARG') refuseLine(line, `${name} stands before the first FROM`);
      for (const [key, value] of this.#args(instruction, this.#given(this.#metaArgs)))
        put(this.#metaArgs, key, value, line);
      return [instruction];
    }
    return [yield* this.#step(instruction, stage, `Dockerfile line ${line}`)];
  }

  *#from(instruction: Instruction): Generator<Question, readonly Instruction[], Answer> {
    const { rest, line } = instruction;
    if (/[^ -~\t]/.test(rest)) refuseLine(line, `FROM ${rest.slice(0, 80)} has a character that is not read`);
    const words = splitBlanks(rest);
    const [written = '', as, alias] = words;
    if (rest === '' || (words.length !== 1 && !(words.length === 3 && as?.toLowerCase() === 'as')))
      refuseLine(line, `FROM ${rest.slice(0, 80)} is neither an image nor an image AS a name`);
    const name = alias?.toLowerCase() ?? '';
    if (alias !== undefined && !/^[a-z][a-z0-9\-_.]*$/.test(name))
      refuseLine(line, `${alias.slice(0, 80)} is no name of a stage`);
    if (name !== '' && this.#named(name) !== undefined) refuseLine(line, `a stage is named ${name} already`);
    const image = expanded(written, this.#given(this.#metaArgs), this.#escaping, line);
    if (image === '') refuseLine(line, `FROM ${rest.slice(0, 80)} names no image`);
    const before = this.#named(image.toLowerCase());
    const suffix = name === '' ? '' : ` AS ${name}`;
    const at = `Dockerfile line ${line}`;
    if (before !== undefined) {
      yield* this.#begin(newStage(name, before.env, before.labelBytes), before.triggers, at, line);
      return [{ ...instruction, rest: `${before.name}${suffix}` }];
    }
    if (image === 'scratch') {
      yield* this.#begin(newStage(name, []), [], at, line);
      return [{ ...instruction, rest: `scratch${suffix}` }, ...this.#marks(line)];
    }
    const platform = this.#platform(instruction);
    const flags = platform === undefined ? [] : [{ name: 'platform', value: platform }];
    const question = { kind: 'image', name: referenceOf(image, line), at, isBase: true } as const;
    const answer = yield platform === undefined ? question : { ...question, platform };
    yield* this.#begin(newStage(name, answer.env.map(splitVariable)), answer.triggers, at, line);
    return [{ ...instruction, flags, rest: `${answer.write}${suffix}` }, ...this.#marks(line)];
  }

  #platform({ flags, line }: Instruction): string | undefined {
    const [flag] = flags;
    if (flag === undefined) return undefined;
    const platform = expanded(flag.value ?? '', this.#given(this.#metaArgs), this.#escaping, line);
    if (!/^[\w/.-]+$/.test(platform))
      refuseLine(line, `--platform=${(flag.value ?? '').slice(0, 80)} is no platform once its variables are filled in`);
    return platform;
  }

  *#begin(stage: Stage, triggers: readonly string[], at: string, line: number): Generator<Question, void, Answer> {
    if (this.#stages.length >= MAX_STAGES) refuseLine(line, `it has more than ${MAX_STAGES} stages`);
    this.#triggers += triggers.length;
    if (this.#triggers > MAX_TRIGGERS) refuseLine(line, `more than ${MAX_TRIGGERS} triggers would run`);
    this.#stages.push(stage);
    for (const [i, trigger] of triggers.entries())
      yield* this.#trigger(trigger, stage, `trigger ${i + 1} of the image of ${at}`, line);
  }

  /** What a stage begins with. */
  #marks(line: number): readonly Instruction[] {
    const labels = Object.entries(this.#options.labels ?? {});
    if (labels.length === 0) return [];
    const rest = labels.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(' ');
    return [{ name: 'LABEL', written: 'LABEL', flags: [], rest, line }];
  }

  /**
   * An instruction an image brings along. It is in the image as it is and cannot be written again, so it has to be what it would be
   * written as.
   */
  *#trigger(text: string, stage: Stage, at: string, line: number): Generator<Question, void, Answer> {
    const unread = (): never => refuseLine(line, `${at} cannot be judged: ${JSON.stringify(text.slice(0, 120))}`);
    // The engine reads it with the usual escape character, and fills it in with the file's.
    if (/[\n\r]/.test(text) || (this.#escaping !== '\\' && /[\\`]/.test(text))) unread();
    let isSame: boolean;
    try {
      const instruction = readInstruction({ number: line, text }, '\\');
      if (instruction.name === 'FROM' || instruction.name === 'ONBUILD') unread();
      const sent = yield* this.#step(instruction, stage, at);
      isSame =
        renderInstruction(instruction, '\\') === canonicalTrigger(text) &&
        (sent.rest === instruction.rest || sent.name === 'LABEL') &&
        sent.flags.every(({ value }, i) => isSameName(value, instruction.flags[i]?.value));
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'archive-unreadable') return unread();
      throw error;
    }
    if (!isSame) unread();
  }

  *#step(instruction: Instruction, stage: Stage, at: string): Generator<Question, Instruction, Answer> {
    const { name, line, rest } = instruction;
    const variables = this.#variables(stage);
    switch (name) {
      case 'ARG':
        for (const [key, value] of this.#args(instruction, variables)) put(stage.args, key, value, line);
        return instruction;
      case 'ENV':
        for (const { key, value } of pairsOf(instruction, this.#escaping)) {
          const word = (text: string) => expanded(text, variables, this.#escaping, line);
          put(stage.env, word(key), word(value), line);
        }
        return instruction;
      case 'LABEL': {
        const plain = plainLabels(instruction, variables, this.#escaping);
        for (const label of plain.names) this.#options.refuseLabel?.(label, at);
        stage.labelBytes += plain.bytes;
        const { maxLabelBytes = Number.POSITIVE_INFINITY, givenLabelBytes = 0 } = this.#options;
        const bytes = givenLabelBytes + stage.labelBytes;
        if (bytes > maxLabelBytes) {
          throw new GatewayError(
            'body-too-large',
            `${at}: the labels of one image may have ${maxLabelBytes} bytes together (limits.labelBytes), these have ${bytes}`,
          );
        }
        return plain.instruction;
      }
      case 'COPY':
        return yield* this.#copy(instruction, at);
      case 'ADD':
        return yield* this.#add(instruction, variables, at);
      case 'ONBUILD':
        return this.#onBuild(instruction, stage, rest);
      default:
        return instruction;
    }
  }

  *#copy(instruction: Instruction, at: string): Generator<Question, Instruction, Answer> {
    const { line, flags } = instruction;
    copiedPaths(instruction);
    const from = flags.find(({ name }) => name === 'from');
    // An empty one means the context.
    if (from === undefined || from.value === '') return instruction;
    const value = from.value ?? refuseLine(line, '--from has no value');
    if (/[$"'\\`]/.test(value)) refuseLine(line, `--from=${value.slice(0, 80)} is not read: it takes no variables`);
    // Its own stage has no name yet: the engine would take an image of that name.
    const earlier = this.#stages.slice(0, -1);
    const stage = earlier.find((one) => one.name === value.toLowerCase());
    let write = stage?.name;
    if (write === undefined && /^\d+$/.test(value)) {
      const number = Number(value);
      if (number >= earlier.length) refuseLine(line, `--from=${value} is no stage before this one`);
      write = String(number);
    }
    write ??= (yield { kind: 'image', name: referenceOf(value, line), at, isBase: false }).write;
    const sent = { name: 'from', value: write };
    return { ...instruction, flags: flags.map((flag) => (flag === from ? sent : flag)) };
  }

  /** A source that is an address is fetched by the engine itself. */
  *#add(
    instruction: Instruction,
    variables: ReadonlyMap<string, string>,
    at: string,
  ): Generator<Question, Instruction, Answer> {
    const { line } = instruction;
    const { words, isJson } = copiedPaths(instruction);
    const sources = words.slice(0, -1);
    const sent: string[] = [];
    let isFilled = false;
    for (const source of sources) {
      const read = expanded(source, variables, this.#escaping, line);
      if (/^https?:\/\//.test(read)) yield { kind: 'address', url: read, at };
      if (read === source) {
        sent.push(source);
        continue;
      }
      isFilled = true;
      // Written out, so that it cannot become an address on the way.
      if (/[\s$"'\\`,]|[^ -~]|^[[-]/.test(read) || read === '')
        refuseLine(
          line,
          `the source ${source.slice(0, 80)} of ADD is not read once its variables are filled in; use COPY`,
        );
      sent.push(read);
    }
    if (!isFilled) return instruction;
    const all = [...sent, words.at(-1) as string];
    return { ...instruction, rest: isJson ? JSON.stringify(all) : all.join(' ') };
  }

  /** A trigger is judged where it runs; what it could take there is not known here. */
  #onBuild(instruction: Instruction, stage: Stage, rest: string): Instruction {
    const { line } = instruction;
    const inner = readInstruction({ number: line, text: rest }, this.#escaping);
    if (inner.flags.some(({ name }) => name === 'from'))
      refuseLine(line, 'an ONBUILD trigger that takes files from elsewhere is not allowed');
    let sent = inner;
    if (inner.name === 'LABEL') {
      const plain = plainLabels(inner, undefined, this.#escaping);
      for (const label of plain.names) this.#options.refuseLabel?.(label, `Dockerfile line ${line}`);
      sent = plain.instruction;
    }
    const trigger = renderInstruction(sent, this.#escaping);
    stage.triggers.push(trigger);
    return { ...instruction, rest: trigger };
  }

  #named(name: string): Stage | undefined {
    return name === '' ? undefined : this.#stages.find((stage) => stage.name === name);
  }

  /** Names and values of an ARG; the value is undefined where it has no default. */
  #args(
    { rest, line }: Instruction,
    variables: ReadonlyMap<string, string>,
  ): readonly (readonly [string, string | undefined])[] {
    const words = quotedWords(rest, this.#escaping);
    if (words.length === 0) refuseLine(line, 'ARG needs a name');
    if (words.length > MAX_WORDS) refuseLine(line, `ARG has more than ${MAX_WORDS} words`);
    return words.map((word) => {
      const equals = word.indexOf('=');
      const key = equals < 0 ? word : word.slice(0, equals);
      if (!/^[\w.-]+$/.test(key)) refuseLine(line, `${JSON.stringify(key.slice(0, 80))} is no name of an argument`);
      return [key, equals < 0 ? undefined : expanded(word.slice(equals + 1), variables, this.#escaping, line)];
    });
  }

  #variables(stage: Stage): ReadonlyMap<string, string> {
    return new Map([...this.#given(stage.args), ...stage.env]);
  }

  /** Values of arguments: given with the build, or their default, or that of an argument before the first FROM. */
  #given(args: ReadonlyMap<string, string | undefined>): Map<string, string> {
    const { buildArgs } = this.#options;
    const values = new Map<string, string>();
    for (const key of new Set([...args.keys(), ...ALWAYS])) {
      const given = Object.hasOwn(buildArgs, key) ? buildArgs[key] : undefined;
      const value = given ?? args.get(key) ?? this.#metaArgs.get(key);
      if (value !== undefined) values.set(key, value);
    }
    return values;
  }
}

const splitVariable = (text: string): readonly [string, string] => {
  const equals = text.indexOf('=');
  return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
};

/** One blank behind the name of an instruction, as a trigger would be written again. */
const canonicalTrigger = (text: string): string => text.replace(/^(\S+)[\t ]+/, '$1 ');

/** Whether two words of a flag name the same. */
function isSameName(sent: string | undefined, written: string | undefined): boolean {
  if (sent === written || (written !== undefined && sent === written.toLowerCase())) return true;
  try {
    return written !== undefined && sent === canonicalImage(written);
  } catch {
    return false;
  }
}

/** @throws {GatewayError} `archive-unreadable` */
function referenceOf(name: string, line: number): string {
  try {
    return canonicalImage(name);
  } catch {
    return refuseLine(line, `${JSON.stringify(name.slice(0, 120))} is no image`);
  }
}
