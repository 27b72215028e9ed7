// What commands read from files or standard input: texts, and a request to the Engine API written as JSON.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { usageError } from '../output.ts';
import { readStdin } from './common.ts';

/** A request to the Engine API, for machines without the client that would send it. */
export interface WrittenRequest {
  readonly method: string;
  readonly target: string;
  readonly body?: unknown;
}

export const readSource = async (file: string): Promise<{ name: string; text: string }> => {
  if (file === '-') return { name: 'stdin', text: await readStdin() };
  try {
    return { name: basename(file), text: readFileSync(file, 'utf8') };
  } catch (error) {
    throw usageError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`);
  }
};

/** @throws {CliError} for a file that has no request in it */
export const readRequest = async (file: string): Promise<WrittenRequest> => {
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
