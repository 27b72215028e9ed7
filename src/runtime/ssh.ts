// Connections to an engine on another machine through the system's ssh, as Docker's CLI makes them: each is one `ssh` that runs
// `docker system dial-stdio` over there. Keys, known hosts, jump hosts and agents are ssh's own business; nothing is asked for.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { Duplex, type Readable, type Writable } from 'node:stream';
import type { EngineAddress } from '../proxy/types.ts';

/** Least time for a connection, in ms: several round trips, and a program that starts over there. */
const LEAST_MS = 15_000;
/** Handshakes at once: sshd drops callers at random beyond ten that it has not let in yet (`MaxStartups`). */
const MAX_HANDSHAKES = 4;
/** Most of what ssh said that is kept, in characters. */
const MAX_TOLD = 2000;
/** Proves that an engine answers before a caller's request is sent: a HEAD has a head and no body. */
const PROBE = 'HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n';
const MAX_PROBE_BYTES = 16 * 1024;

type Ssh = ChildProcessByStdio<Writable, Readable, Readable>;

/** Arguments of ssh: no questions, no terminal, and nothing of the address can be read as an option or by a shell. */
export function sshArguments({ user, host = '', port, path }: EngineAddress): string[] {
  return [
    ...['-o', 'BatchMode=yes', '-o', 'ConnectTimeout=10', '-T'],
    ...(user === undefined ? [] : ['-l', user]),
    ...(port === undefined ? [] : ['-p', String(port)]),
    ...['--', host, 'docker'],
    ...(path === undefined ? [] : ['--host', `unix://${path}`]),
    ...['system', 'dial-stdio'],
  ];
}

/** What went wrong, in one sentence, from what ssh or docker wrote to standard error. */
export function sshTrouble(told: string, code: number | null): string {
  const patterns: readonly (readonly [RegExp, string])[] = [
    [
      /host key verification failed|host identification has changed/i,
      "ssh does not know the engine's machine by this host key: connect to it once by hand as the gateway's user, or correct known_hosts",
    ],
    [
      /permission denied \(|too many authentication failures/i,
      "ssh is not let in: the engine's machine takes none of the keys that the gateway's user has without a passphrase",
    ],
    [
      /docker: (command )?not found|docker: no such file|is not a docker command/i,
      'ssh is let in, but there is no docker command of 18.09 or newer on the PATH there',
    ],
    [
      /permission denied while trying to connect|dial unix .*permission denied/i,
      "ssh is let in, but that user may not open Docker's socket there",
    ],
    [/cannot connect to the docker daemon|dial unix/i, 'ssh is let in, but no engine listens there'],
    [/could not resolve hostname/i, "ssh cannot resolve the name of the engine's machine"],
    [/connection refused/i, "the engine's machine refuses ssh at this port"],
    [/timed out|no route to host|network is unreachable/i, "ssh does not reach the engine's machine"],
  ];
  const known = patterns.find(([pattern]) => pattern.test(told))?.[1];
  if (known !== undefined) return known;
  return code === 127
    ? 'ssh is let in, but there is no docker command on the PATH there'
    : `ssh ended with ${code ?? 'a signal'}`;
}

let handshakes = 0;
const queue: (() => void)[] = [];

/**
 * Connects, and waits until an engine answers.
 *
 * @throws {Error} a sentence for the gateway's log and its callers; the words of ssh are its `cause`
 */
export async function dialSsh(address: EngineAddress, timeoutMs: number): Promise<Duplex> {
  if (handshakes >= MAX_HANDSHAKES) await new Promise<void>((go) => queue.push(go));
  handshakes++;
  try {
    const stream = new SshStream(address);
    try {
      await answers(stream, Math.max(timeoutMs, LEAST_MS));
      return stream;
    } catch (error) {
      stream.destroy();
      throw error;
    }
  } finally {
    handshakes--;
    queue.shift()?.();
  }
}

function answers(stream: SshStream, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let head = '';
    const settle = (error?: Error) => {
      clearTimeout(timer);
      stream.off('data', onData).off('error', settle).off('close', onClose);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onClose = () => settle(new Error('ssh ended before an engine answered'));
    const onData = (chunk: Buffer) => {
      head += chunk.toString('latin1');
      // Nothing more comes before the next request, so that the stream may go on flowing.
      if (head.endsWith('\r\n\r\n') && head.startsWith('HTTP/1.')) settle();
      else if (head.length > MAX_PROBE_BYTES || !'HTTP/1.'.startsWith(head.slice(0, 7)))
        settle(new Error('what answers through ssh is no engine: a login script may print something'));
    };
    const timer = setTimeout(
      () => settle(Object.assign(new Error('no connection in time'), { code: 'ETIMEDOUT' })),
      timeoutMs,
    );
    stream.on('data', onData).once('error', settle).once('close', onClose);
    stream.write(PROBE);
  });
}

/** One ssh as a stream. Its end counts as the engine's only when ssh ended well: a lost network is an error. */
class SshStream extends Duplex {
  readonly #ssh: Ssh;
  #told = '';

  constructor(address: EngineAddress) {
    super({ allowHalfOpen: true });
    // A group of its own: Ctrl-C in the gateway's terminal is for the gateway, which then ends its calls in good order.
    const ssh = spawn('ssh', sshArguments(address), { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    this.#ssh = ssh;
    ssh.on('error', (error: NodeJS.ErrnoException) =>
      this.destroy(
        new Error(
          error.code === 'ENOENT' ? 'there is no ssh program on the PATH of the gateway' : 'ssh cannot be started',
          { cause: error },
        ),
      ),
    );
    ssh.stdout.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) ssh.stdout.pause();
    });
    ssh.stderr.on('data', (chunk: Buffer) => {
      this.#told = `${this.#told}${chunk}`.slice(-MAX_TOLD);
    });
    ssh.stdin.on('error', () => {
      // How ssh ended tells more.
    });
    ssh.stdout.on('error', (error) => this.destroy(error));
    // After both outputs have ended: nothing more comes.
    ssh.on('close', (code) => {
      if (code === 0) this.push(null);
      else this.destroy(new Error(sshTrouble(this.#told, code), { cause: this.#told }));
    });
  }

  override _read(): void {
    this.#ssh.stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    // Without an answer from a pipe that was broken, `close` tells why.
    this.#ssh.stdin.write(chunk, (error) => (error == null ? done() : undefined));
  }

  override _final(done: (error?: Error) => void): void {
    this.#ssh.stdin.end(() => done());
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#ssh.stdin.destroy();
    this.#ssh.stdout.destroy();
    this.#ssh.stderr.destroy();
    // A proxy command of ssh's belongs to its group.
    try {
      if (this.#ssh.pid !== undefined && this.#ssh.exitCode === null && this.#ssh.signalCode === null)
        process.kill(-this.#ssh.pid, 'SIGTERM');
    } catch {
      // it has ended
    }
    done(error);
  }
}
