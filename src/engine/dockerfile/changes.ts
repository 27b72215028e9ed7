// `changes` of a commit or an import: instructions the engine joins and reads as one Dockerfile. They are sent one by one, each on
// one line as it was read. See moby, builder/dockerfile/builder.go, BuildFromConfig.
import { GatewayError } from '../../errors.ts';
import { type Instruction, readInstruction, renderInstruction } from './instruction.ts';
import { plainLabels } from './labels.ts';
import { readLines } from './lines.ts';

/** Instructions that change how an image runs, and nothing in it. */
const ALLOWED: ReadonlySet<string> = new Set([
  ...[
    'CMD',
    'ENTRYPOINT',
    'HEALTHCHECK',
    'ENV',
    'EXPOSE',
    'LABEL',
    'ONBUILD',
    'STOPSIGNAL',
    'USER',
    'VOLUME',
    'WORKDIR',
  ],
]);

/**
 * @param refuseLabel refuses the name of a label
 * @throws {GatewayError} `query-ambiguous`, `label-reserved`
 */
export function renderChanges(
  changes: readonly string[],
  refuseLabel: (name: string, at: string) => void,
): readonly string[] {
  try {
    const { escaping, lines } = readLines(Buffer.from(changes.join('\n')));
    if (escaping !== '\\') throw new GatewayError('archive-unreadable', 'line 1: an escape directive is not read');
    return lines.map((line) => renderInstruction(plain(readInstruction(line, escaping), refuseLabel), escaping));
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== 'archive-unreadable') throw error;
    const why = error.message.replace('the Dockerfile cannot be judged: ', '');
    throw new GatewayError('query-ambiguous', `query.changes cannot be judged: ${why}`, { cause: error });
  }
}

function plain(instruction: Instruction, refuseLabel: (name: string, at: string) => void): Instruction {
  const { name, line, rest } = instruction;
  if (!ALLOWED.has(name))
    throw new GatewayError(
      'archive-unreadable',
      `line ${line}: ${name} is no change (allowed: ${[...ALLOWED].join(', ')})`,
    );
  if (name === 'ONBUILD') {
    const inner = readInstruction({ number: line, text: rest }, '\\');
    const sent = inner.name === 'LABEL' ? plain(inner, refuseLabel) : inner;
    return { ...instruction, rest: renderInstruction(sent, '\\') };
  }
  if (name !== 'LABEL') return instruction;
  const labels = plainLabels(instruction, undefined, '\\');
  for (const label of labels.names) refuseLabel(label, 'query.changes');
  return labels.instruction;
}
