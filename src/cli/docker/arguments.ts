// The docker CLI's way of writing options: long and short, clustered, with = or without; options end at the first operand
// where a command of the container's own follows.

/** Takes an option's value; booleans get `true` or `false`. */
export type OptionSpec =
  | { readonly kind: 'flag'; readonly short?: string }
  | { readonly kind: 'value'; readonly short?: string };

export type OptionTable = Readonly<Record<string, OptionSpec>>;

export interface ParsedArguments {
  /** In the order given; `--rm=false` has the value `false`. */
  readonly options: readonly { readonly name: string; readonly value: string }[];
  readonly operands: readonly string[];
}

/** A command line that cannot be read or translated; its message says why. */
export class DockerCommandError extends Error {}

export const flag = (short?: string): OptionSpec => ({ kind: 'flag', ...(short ? { short } : {}) });
export const value = (short?: string): OptionSpec => ({ kind: 'value', ...(short ? { short } : {}) });

/**
 * Reads arguments by a table of options.
 *
 * @param interspersed false when everything after the first operand belongs to the container
 * @throws {DockerCommandError} for an option that is not in the table, or lacks its value
 */
export const parseArguments = (
  verb: string,
  args: readonly string[],
  table: OptionTable,
  interspersed: boolean,
): ParsedArguments => {
  const byShort = new Map(
    Object.entries(table).flatMap(([name, spec]) => (spec.short ? [[spec.short, name] as const] : [])),
  );
  const options: { name: string; value: string }[] = [];
  const operands: string[] = [];
  const unknown = (option: string) =>
    new DockerCommandError(`docker ${verb} ${option} is not known here; write the request down and use --request FILE`);
  const rest = [...args];
  const takeValue = (option: string): string => {
    const next = rest.shift();
    if (next === undefined) throw new DockerCommandError(`docker ${verb} ${option} needs a value`);
    return next;
  };
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    if (argument === '--') {
      operands.push(...rest);
      break;
    }
    if (argument === '-' || !argument.startsWith('-')) {
      operands.push(argument);
      if (interspersed) continue;
      operands.push(...rest);
      break;
    }
    if (argument.startsWith('--')) {
      const equals = argument.indexOf('=');
      const name = argument.slice(2, equals < 0 ? undefined : equals);
      const spec = Object.hasOwn(table, name) ? table[name] : undefined;
      if (!spec) throw unknown(`--${name}`);
      const given = equals < 0 ? undefined : argument.slice(equals + 1);
      options.push({ name, value: given ?? (spec.kind === 'flag' ? 'true' : takeValue(`--${name}`)) });
      continue;
    }
    for (let cluster = argument.slice(1); cluster !== ''; ) {
      const letter = cluster[0] ?? '';
      const name = byShort.get(letter);
      if (name === undefined) throw unknown(`-${letter}`);
      cluster = cluster.slice(1);
      if (table[name]?.kind === 'flag') {
        const given = /^=(true|false)$/.exec(cluster)?.[1];
        options.push({ name, value: given ?? 'true' });
        if (given) break;
        continue;
      }
      options.push({ name, value: cluster === '' ? takeValue(`-${letter}`) : cluster.replace(/^=/, '') });
      break;
    }
  }
  return { options, operands };
};

/** Options by name, with the reading most verbs need. */
export class Options {
  readonly #given: ParsedArguments['options'];
  constructor(parsed: ParsedArguments) {
    this.#given = parsed.options;
  }
  /** All values of a repeatable option. */
  all(name: string): string[] {
    return this.#given.filter((option) => option.name === name).map((option) => option.value);
  }
  /** The last value, as the docker CLI takes it. */
  last(...names: readonly string[]): string | undefined {
    return this.#given.findLast((option) => names.includes(option.name))?.value;
  }
  is(name: string): boolean {
    const given = this.last(name);
    return given !== undefined && !/^(0|f|false)$/i.test(given);
  }
}
