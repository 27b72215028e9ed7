// The images a Dockerfile takes something from: FROM, COPY --from and mounts of RUN, with the arguments before the first FROM filled
// in. What cannot be read for certain is refused. See https://docs.docker.com/reference/dockerfile/
import { GatewayError } from '../errors.ts';

const refuse = (why: string): GatewayError =>
  new GatewayError('archive-unreadable', `the Dockerfile cannot be judged: ${why}`);

/**
 * Image references as written, without those of stages of the file itself and `scratch`.
 *
 * @param buildArgs values given with the build; they stand before defaults
 * @throws {GatewayError} `archive-unreadable`
 */
export function imagesOfDockerfile(
  text: string,
  buildArgs: Readonly<Record<string, string | null>>,
): readonly string[] {
  const stages = new Set<string>();
  const images: string[] = [];
  const args = new Map<string, string>();
  let seenFrom = false;
  for (const line of instructionsOf(text)) {
    const [, name = '', rest = ''] = /^(\S+)\s*([\s\S]*)$/.exec(line) ?? [];
    const instruction = name.toUpperCase();
    if (instruction === 'ARG' && !seenFrom) {
      for (const word of rest.split(/\s+/).filter(Boolean)) {
        const equals = word.indexOf('=');
        const key = equals < 0 ? word : word.slice(0, equals);
        const given = buildArgs[key];
        if (given !== undefined && given !== null) args.set(key, given);
        else if (equals >= 0) args.set(key, filled(unquoted(word.slice(equals + 1)), args));
      }
    } else if (instruction === 'FROM') {
      seenFrom = true;
      const words = rest.split(/\s+/).filter(Boolean);
      while (words[0]?.startsWith('--') === true) words.shift();
      const image = filled(words[0] ?? '', args);
      if (image === '' || (words.length !== 1 && !(words.length === 3 && words[1]?.toUpperCase() === 'AS'))) {
        throw refuse(`FROM ${rest.slice(0, 80)} is not read`);
      }
      if (!stages.has(image.toLowerCase()) && image !== 'scratch') images.push(image);
      const alias = words[2]?.toLowerCase();
      if (alias !== undefined) stages.add(alias);
    } else if (/--from[\s=]|from=/i.test(rest) && /^(COPY|ADD|RUN|ONBUILD)$/.test(instruction)) {
      images.push(...takenFrom(instruction, rest, stages));
    }
  }
  return images;
}

/** Images named by `--from=` of a COPY and by `from=` of a mount. */
function takenFrom(instruction: string, rest: string, stages: ReadonlySet<string>): string[] {
  if (instruction === 'ONBUILD') throw refuse('an ONBUILD trigger that takes files from elsewhere is not allowed');
  const found: string[] = [];
  for (const flag of rest.split(/\s+/)) {
    if (!flag.startsWith('--')) break;
    const from = /^--from=(.+)$/i.exec(flag)?.[1] ?? /^--mount=(?:.*,)?from=([^,]+)/i.exec(flag)?.[1];
    if (from === undefined) continue;
    if (/[$"'\\]/.test(from)) throw refuse(`${flag.slice(0, 80)} is not read`);
    if (/^\d+$/.test(from) || stages.has(from.toLowerCase())) continue;
    found.push(from);
  }
  return found;
}

/** Instructions with their continuation lines joined, without comments. */
function instructionsOf(text: string): string[] {
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/);
  let escaping = '\\';
  for (const line of lines) {
    const directive = /^#\s*([a-z]+)\s*=\s*(\S+)\s*$/i.exec(line);
    if (directive === null) break;
    const [, key = '', value = ''] = directive;
    if (key.toLowerCase() === 'escape') escaping = value;
    if (key.toLowerCase() === 'syntax') throw refuse('a syntax directive lets another program read it');
  }
  if (escaping !== '\\' && escaping !== '`') throw refuse('its escape directive is not read');
  const instructions: string[] = [];
  let open: string | undefined;
  for (const line of lines) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    if (/<<[-~]?["']?\w/.test(trimmed) && /^(RUN|COPY|ADD)\b/i.test(open ?? trimmed)) {
      throw refuse('a here-document is not read');
    }
    // Engines differ in where a continued line ends: what could be an instruction of its own in there is refused.
    if (open !== undefined && /^(FROM|COPY|ADD|ONBUILD)\s/i.test(trimmed)) {
      throw refuse(`${trimmed.slice(0, 80)} stands in a continued line`);
    }
    const ending = line.trimEnd();
    if (ending.endsWith(escaping + escaping)) throw refuse('a line ends in two escape characters');
    const isContinued = ending.endsWith(escaping);
    const piece = isContinued ? ending.slice(0, -1) : ending;
    open = open === undefined ? piece.trimStart() : open + piece;
    if (isContinued) continue;
    instructions.push(open.trim());
    open = undefined;
  }
  if (open !== undefined && open.trim() !== '') instructions.push(open.trim());
  return instructions;
}

const unquoted = (text: string): string => {
  const inner = /^(["'])(.*)\1$/.exec(text)?.[2] ?? text;
  if (/["'\\]/.test(inner)) throw refuse(`the argument ${text.slice(0, 80)} is not read`);
  return inner;
};

/** `$A`, `${A}`, `${A:-b}` and `${A-b}` of the arguments before the first FROM. */
function filled(text: string, args: ReadonlyMap<string, string>): string {
  if (/["'\\]/.test(text)) throw refuse(`${text.slice(0, 80)} is not read`);
  const out = text.replace(/\$(?:\{(\w+)(?:(:?-)([^}$]*))?\}|(\w+))/g, (_all, braced, dash, fallback, plain) => {
    const value = args.get((braced ?? plain) as string) ?? '';
    return value === '' && dash !== undefined ? (fallback as string) : value;
  });
  if (out.includes('$')) throw refuse(`${text.slice(0, 80)} is not read`);
  return out;
}
