// Where the token comes from, and when it is read again: a file that another program renews, a command that prints a
// token, or a refresh credential that is exchanged for short-lived tokens.
// Only the token's `exp` is read here; the gateway verifies the token.
import { spawn } from 'node:child_process';
import { type BigIntStats, readFileSync, statSync } from 'node:fs';
import { GatewayError } from '../errors.ts';
import { renewing } from './renewing.ts';

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

/** What every refresh credential begins with. */
const CREDENTIAL_PREFIX = 'dockgate_';
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
  return `Bearer ${secretIn(text, source)}`;
}

/** The one word a text consists of. @throws {GatewayError} `credential-unavailable` */
function secretIn(text: string, source: string): string {
  const token = text.trim();
  if (token === '') throw new GatewayError('credential-unavailable', `${source} holds no token`);
  if (!TOKEN.test(token))
    throw new GatewayError('credential-unavailable', `${source} holds something that is no token`);
  return token;
}

/** A token in a file. It is looked at on every request and read when it changed; half-written ones are passed over. */
export function tokenFile(path: string): Credentials {
  const file = watchFile(path, 'token file', bearer);
  return {
    authorization: async () => file.read(),
    async renew(refused) {
      file.forget();
      return file.read() !== refused;
    },
  };
}

/**
 * A file that holds one secret and may be replaced at any time.
 *
 * @param what as messages call it
 * @param check makes the value of the text, or throws; what it throws is told only as long as there was no good value yet
 */
function watchFile(path: string, what: string, check: (text: string, source: string) => string) {
  let seen = '';
  let value: string | undefined;
  return {
    /** @throws {GatewayError} `credential-unavailable` */
    read(): string {
      try {
        // A change within the clock's grain that keeps the length would be missed but for the inode and nanoseconds.
        const now = fingerprint(statSync(path, { bigint: true }));
        if (now !== seen || value === undefined) {
          value = check(readFileSync(path, 'utf8'), `the ${what} ${path}`);
          seen = now;
        }
      } catch (error) {
        if (value !== undefined) return value;
        if (error instanceof GatewayError) throw error;
        const { code } = error as NodeJS.ErrnoException;
        throw new GatewayError('credential-unavailable', `the ${what} ${path} cannot be read (${code})`);
      }
      return value;
    },
    /** The next look reads, whether it changed or not. */
    forget(): void {
      seen = '';
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
  return renewing(async () => {
    const value = bearer(await run(command), 'the output of the token command');
    const at = now();
    const expiresAt = expiryOf(value.slice('Bearer '.length)) ?? Number.POSITIVE_INFINITY;
    // Without `exp` only a refusal asks for another one.
    return { value, expiresAt, dueAt: expiresAt - Math.min(LEAD_MS, (expiresAt - at) / 10) };
  }, now);
}

/** A short token had for a refresh credential. */
export interface ShortToken {
  readonly token: string;
  /** In ms, from when it was asked for. */
  readonly ttlMs: number;
}

/**
 * A refresh credential in a file, exchanged for short tokens. A token is replaced at half of its life, so that a stream,
 * which ends with the token that opened it, has the other half at least. A changed file is exchanged before the next request.
 *
 * @param exchange asks the gateway; throws {GatewayError}
 */
export function credentialFile(
  path: string,
  exchange: (secret: string) => Promise<ShortToken>,
  { now = Date.now }: { readonly now?: () => number } = {},
): Credentials {
  const file = watchFile(path, 'credential file', (text, source) => {
    const secret = secretIn(text, source);
    if (secret.startsWith(CREDENTIAL_PREFIX)) return secret;
    const advice = claimsOf(secret) === undefined ? '' : '; for a token use --token-file';
    throw new GatewayError('credential-unavailable', `${source} holds no credential of dockgate${advice}`);
  });
  let secret: string | undefined;
  const tokens = renewing(async () => {
    const at = now();
    const { token, ttlMs } = await exchange(secret as string);
    return { value: `Bearer ${token}`, expiresAt: at + ttlMs, dueAt: at + ttlMs / 2 };
  }, now);
  const look = () => {
    const read = file.read();
    if (secret !== undefined && secret !== read) tokens.outdate();
    secret = read;
  };
  return {
    async authorization() {
      look();
      return tokens.authorization();
    },
    async renew(refused) {
      look();
      return tokens.renew(refused);
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
