// Turns a docker command line into the Engine API requests it would send, for `policy explain`.
// The words are in docker/: how options are written, which commands there are, and the body of a new container.
import { DockerCommandError } from './docker/arguments.ts';
import type { DockerRequest } from './docker/verb.ts';
import { requestsOf, wholeRequestsOf } from './docker/verbs.ts';

export type { DockerRequest } from './docker/verb.ts';

/** Options of `docker` itself that say where the engine is; they change nothing about what is asked of it. */
const WITH_VALUE = new Set([
  '-H',
  '--host',
  '-c',
  '--context',
  '--config',
  '-l',
  '--log-level',
  '--tlscacert',
  '--tlscert',
  '--tlskey',
]);
const ALONE = new Set(['-D', '--debug', '--tls', '--tlsverify']);

/**
 * @param args with or without a leading `docker`
 * @returns the requests the command's work consists of, in order, or the fault as text
 */
export const parseDockerCommand = (args: readonly string[]): readonly DockerRequest[] | string =>
  parse(args, requestsOf);

/** As `parseDockerCommand`, with everything the CLI sends on the way: its greeting, look-ups, attach, wait and resize. */
export const wholeDockerCommand = (args: readonly string[]): readonly DockerRequest[] | string =>
  parse(args, wholeRequestsOf);

const parse = (
  args: readonly string[],
  read: (words: readonly string[]) => readonly DockerRequest[],
): readonly DockerRequest[] | string => {
  let words = args[0] === 'docker' ? args.slice(1) : args;
  for (let word = words[0]; word?.startsWith('-'); word = words[0]) {
    if (WITH_VALUE.has(word)) words = words.slice(2);
    else if (ALONE.has(word) || (word.includes('=') && WITH_VALUE.has(word.slice(0, word.indexOf('=')))))
      words = words.slice(1);
    else return `docker ${word} is not known here; use --request FILE`;
  }
  if (words.length === 0) return 'the docker command line is empty';
  try {
    return read(words);
  } catch (error) {
    if (error instanceof DockerCommandError) return error.message;
    throw error;
  }
};
