// Errors as admin callers see them: RFC 9457 problem details.
import { ERROR_CODES, type ErrorCode, GatewayError, statusOf, titleOf } from '../errors.ts';

/** One fault of an input that has several. */
export interface ProblemDetail {
  /** `documents[0].rules[1].effect`, `ttl`. */
  readonly path: string;
  readonly message: string;
}

/** Body of an `application/problem+json` answer. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance: string;
  readonly code: ErrorCode;
  readonly auditId: string;
  readonly problems?: readonly ProblemDetail[];
}

/** An `input-invalid` with each fault apart, so that tools can point at the place. */
export class InputError extends GatewayError {
  readonly problems: readonly ProblemDetail[];
  constructor(problems: readonly ProblemDetail[]) {
    super(
      'input-invalid',
      problems.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; '),
    );
    this.problems = problems;
  }
}

/** `type` of a code's problems: a name, not an address to fetch. */
export const problemType = (code: ErrorCode): string => `urn:dockgate:problem:${code}`;

/** The problem an error is told as. An error that is no GatewayError shows nothing of its insides. */
export const problemOf = (error: unknown, instance: string, auditId: string): Problem => {
  const known = error instanceof GatewayError && error.code in ERROR_CODES ? error : undefined;
  const code = known?.code ?? 'internal';
  return {
    type: problemType(code),
    title: titleOf(code),
    status: statusOf(code),
    detail: known?.message ?? 'an unexpected fault; the log has more under the audit id',
    instance,
    code,
    auditId,
    ...(error instanceof InputError ? { problems: error.problems } : {}),
  };
};
