// Standard input and output as one connection. Measured on Deno 2.9.6: process.stdout blocks the whole process while
// its reader is slow, so there the runtime's own asynchronous write is used.
import process from 'node:process';
import { Duplex } from 'node:stream';

interface NativeOutput {
  write(bytes: Uint8Array): Promise<number>;
}

const native = (globalThis as { Deno?: { stdout: NativeOutput } }).Deno?.stdout;

/**
 * The two ends of this process as a half-open stream; may be asked for once. Its own end reaches the peer when the
 * process exits.
 */
export function stdio(): Duplex {
  const { stdin, stdout } = process;
  const write =
    native === undefined
      ? (chunk: Buffer, done: (error?: Error | null) => void) => void stdout.write(chunk, done)
      : (chunk: Buffer, done: (error?: Error | null) => void) => void writeAll(native, chunk).then(() => done(), done);
  const both = new Duplex({
    allowHalfOpen: true,
    read() {
      stdin.resume();
    },
    write(chunk: Buffer, _encoding, done) {
      write(chunk, done);
    },
  });
  stdin.on('data', (chunk: Buffer) => {
    if (!both.push(chunk)) stdin.pause();
  });
  stdin.on('end', () => both.push(null));
  stdin.on('error', (error) => both.destroy(error));
  stdout.on('error', (error) => both.destroy(error));
  stdin.pause();
  return both;
}

async function writeAll(output: NativeOutput, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length; ) sent += await output.write(bytes.subarray(sent));
}
