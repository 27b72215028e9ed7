// Splits the text an operator applies into single policy documents. What they mean is the policy room's to judge.
import { LineCounter, parseAllDocuments } from 'yaml';
import { GatewayError } from '../errors.ts';
import { InputError, type ProblemDetail } from './problems.ts';
import type { NewDocument } from './services.ts';

/** Documents in one apply; a set this large is generated and can be applied in parts. */
const MAX_DOCUMENTS = 1000;
const DOCUMENT_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** Text of one file or of standard input. */
export interface DocumentSource {
  /** Shown in messages, `ci.yaml`. */
  readonly name: string;
  readonly text: string;
}

/**
 * Reads kind and name of every YAML or JSON document in the sources.
 *
 * @throws {InputError} with every fault and its file and line
 */
export const splitDocuments = (sources: readonly DocumentSource[]): NewDocument[] => {
  const problems: ProblemDetail[] = [];
  const documents: NewDocument[] = [];
  const seen = new Map<string, string>();
  for (const { name: file, text } of sources) {
    const counter = new LineCounter();
    const at = (offset: number): string => {
      const { line, col } = counter.linePos(offset);
      return `${file}:${Math.max(1, line)}:${Math.max(1, col)}`;
    };
    let parsed: ReturnType<typeof parseAllDocuments>;
    try {
      parsed = parseAllDocuments(text, { lineCounter: counter, prettyErrors: false, uniqueKeys: true, version: '1.2' });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      problems.push({ path: `${file}:1:1`, message: 'the document is nested too deeply' });
      continue;
    }
    if (!Array.isArray(parsed)) continue;
    for (const document of parsed) {
      if (document.errors.length > 0) {
        for (const error of document.errors) {
          problems.push({ path: at(error.pos[0]), message: (error.message.split('\n')[0] ?? '').replace(/[.:]$/, '') });
        }
        continue;
      }
      if (document.contents === null) continue;
      const [start, end] = [document.contents.range?.[0] ?? 0, document.contents.range?.[2] ?? text.length];
      const kind: unknown = document.get('kind');
      const name: unknown = document.getIn(['metadata', 'name']);
      if (kind !== 'Policy' && kind !== 'Binding') {
        problems.push({ path: at(start), message: 'needs kind: Policy or kind: Binding' });
        continue;
      }
      if (typeof name !== 'string' || !DOCUMENT_NAME.test(name)) {
        problems.push({
          path: at(start),
          message: 'needs metadata.name: 1 to 63 of a-z, 0-9, dot, underscore and hyphen',
        });
        continue;
      }
      const earlier = seen.get(name);
      if (earlier !== undefined) {
        problems.push({ path: at(start), message: `${name} was already given at ${earlier}` });
        continue;
      }
      seen.set(name, at(start));
      // Comments that stand above the first key belong to the document and are kept with it.
      const commentStart =
        text.lastIndexOf('---', start) >= 0 ? text.indexOf('\n', text.lastIndexOf('---', start)) + 1 : 0;
      const from = text
        .slice(commentStart, start)
        .split('\n')
        .every((line) => line.trim() === '' || line.startsWith('#'))
        ? commentStart
        : start;
      const body = text.slice(from, end);
      const skipped = body.length - body.trimStart().length;
      documents.push({
        kind,
        name,
        source: `${body.trim()}\n`,
        origin: { file, line: Math.max(1, counter.linePos(from + skipped).line) },
      });
    }
  }
  if (problems.length > 0) throw new InputError(problems);
  if (documents.length === 0) throw new GatewayError('input-invalid', 'no policy document was given');
  if (documents.length > MAX_DOCUMENTS) {
    throw new GatewayError(
      'input-invalid',
      `${documents.length} documents are more than ${MAX_DOCUMENTS} in one apply`,
    );
  }
  return documents;
};
