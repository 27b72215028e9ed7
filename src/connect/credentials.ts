// Where the token comes from, and when it is read again: a file that somebody renews, or a command that prints one.
// The token is not verified here, only its `exp` is read; whether it is good is for the gateway to say.
import { spawn } from 'node:child_process';
import { type BigIntStats, readFileSync, statSync } from 'node:fs';
import { GatewayError } from '../errors.ts';

/** The credential of one process, shared by all its connections. */
export interface Credentials {
  /**
   * Value of the Authorization header; undefined where the connection itself is the credential.
   * @throws {GatewayError} `credential-unavailable`
   */
  authorization(): Promise<string | undefined>;
  /**
   * The gateway refused this value (401): reads again, at most once a second.
   * @returns whether there is another one to try
   */
  renew(refused: string): Promise<boolean>;
}

/** A command's token is replaced this long before it expires, in ms, or in the last tenth of its life if that is shorter. */
const LEAD_MS = 60_000;
/** Longest run of a token command, in ms, and its largest output, in bytes. */
const COMMAND_TIMEOUT_MS = 30_000;
const MAX_TOKEN_BYTES = 64 * 1024;
/** After a failure, or a refusal, the source is left alone this long, in ms, so that a busy client starts no storm. */
const REST_MS = 1_000;

const TOKEN = /^[\x21-\x7e]+$/;

/** For a client certificate, or a socket that is an identity. */
export const noCredentials: Credentials = {
  authorization: async () => undefined,
  renew: async () => false,
};

/** A token that stays as it is. */
export function fixedToken(token: string): Credentials {
  const value = bearer(token, 'DOCKGATE_TOKEN');
  return { authorization: async () => value, renew: async () => false };
}

/** The claims of a JWT, unverified; undefined for anything else. */
export function claimsOf(token: string): { readonly exp?: unknown; readonly nbf?: unknown } | undefined {
  const [, payload, signature] = token.split('.');
  if (payload === undefined || signature === undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null ? claims : undefined;
  } catch {
    return undefined;
  }
}

/**
 * When a JWT expires, in ms since 1970; undefined for anything else. Nothing is verified.
 * @see RFC 7519 section 4.1.4
 */
export function expiryOf(token: string): number | undefined {
  const exp = claimsOf(token)?.exp;
  return typeof exp === 'number' ? exp * 1000 : undefined;
}

function bearer(text: string, source: string): string {
  const token = text.trim();
  if (token === '') throw new GatewayError('credential-unavailable', `${source} holds no token`);
  if (!TOKEN.test(token))
    throw new GatewayError('credential-unavailable', `${source} holds something that is no token`);
  return `Bearer ${token}`;
}

/** A token in a file. It is looked at on every request and read when it changed; half-written ones are passed over. */
export function tokenFile(path: string): Credentials {
  let seen = '';
  let value: string | undefined;
  const read = (): string => {
    try {
      // A change within the clock's grain that keeps the length would be missed but for the inode and nanoseconds.
      const now = fingerprint(statSync(path, { bigint: true }));
      if (now !== seen || value === undefined) {
        value = bearer(readFileSync(path, 'utf8'), `the token file ${path}`);
        seen = now;
      }
    } catch (error) {
      if (value !== undefined) return value;
      if (error instanceof GatewayError) throw error;
      const { code } = error as NodeJS.ErrnoException;
      throw new GatewayError('credential-unavailable', `the token file ${path} cannot be read (${code})`);
    }
    return value;
  };
  return {
    authorization: async () => read(),
    async renew(refused) {
      seen = '';
      return read() !== refused;
    },
  };
}

/** Tells one state of a file from the next. */
export const fingerprint = ({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  `${ino}:${size}:${mtimeNs}:${ctimeNs}`;

interface CommandOptions {
  readonly now?: () => number;
  readonly run?: (command: string) => Promise<string>;
}

/** A token printed by a command, run again before it expires and when it is refused; one run at a time. */
export function tokenCommand(command: string, { now = Date.now, run = runCommand }: CommandOptions = {}): Credentials {
  let value: string | undefined;
  /** When the next run is due; without `exp` only a refusal asks for one. */
  let dueAt = Number.POSITIVE_INFINITY;
  let expiresAt = Number.POSITIVE_INFINITY;
  let running: Promise<string> | undefined;
  let restUntil = 0;
  let failure: unknown;

  const fetch = (): Promise<string> => {
    running ??= (async () => {
      try {
        const read = bearer(await run(command), 'the output of the token command');
        const at = now();
        expiresAt = expiryOf(read.slice('Bearer '.length)) ?? Number.POSITIVE_INFINITY;
        dueAt = expiresAt - Math.min(LEAD_MS, (expiresAt - at) / 10);
        failure = undefined;
        value = read;
        return read;
      } catch (error) {
        failure = error;
        throw error;
      } finally {
        restUntil = now() + REST_MS;
        running = undefined;
      }
    })();
    return running;
  };

  return {
    async authorization() {
      const at = now();
      if (value !== undefined && at < dueAt) return value;
      if (running === undefined && at < restUntil) {
        if (value !== undefined) return value;
        throw failure;
      }
      const fetched = fetch();
      // The old one is still good: nobody waits for the new one.
      if (value !== undefined && at < expiresAt) {
        fetched.catch(() => {});
        return value;
      }
      try {
        return await fetched;
      } catch (error) {
        // An expired one lets the gateway say so; with none there is nothing to say it of.
        if (value !== undefined) return value;
        throw error;
      }
    },
    async renew(refused) {
      if (value !== undefined && value !== refused) return true;
      if (running === undefined && now() < restUntil) return false;
      try {
        return (await fetch()) !== refused;
      } catch {
        return false;
      }
    },
  };
}

/** Runs a command in the shell. Its standard error goes to ours, so that its own words are seen. */
function runCommand(command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) =>
      reject(new GatewayError('credential-unavailable', `the token command ${why}; run it by hand to see more`));
    const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      child.stdout.destroy();
      fail(`printed no token within ${COMMAND_TIMEOUT_MS / 1000} s`);
    }, COMMAND_TIMEOUT_MS);
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
      if (output.length > MAX_TOKEN_BYTES) {
        child.kill('SIGKILL');
        fail(`printed more than ${MAX_TOKEN_BYTES} bytes`);
      }
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      fail(`cannot be started (${error.code})`);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve(output);
      else fail(signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`);
    });
  });
}
