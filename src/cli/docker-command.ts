// Turns a docker command line into the Engine API requests its main step would send, for `policy explain`.

/** One Engine API request as the docker CLI would send it. */
export interface DockerRequest {
  readonly method: string;
  readonly target: string;
  readonly body?: unknown;
}

/** @returns the requests, or the fault as text */
export const parseDockerCommand = (args: readonly string[]): readonly DockerRequest[] | string =>
  `docker ${args[0] === 'docker' ? (args[1] ?? '') : (args[0] ?? '')} cannot be explained yet; use --request FILE`;
