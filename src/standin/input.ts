// Standard input of a pretended process: bytes pushed by attached callers, read by commands; and a terminal's line discipline.

/** Bytes in, bytes out, with an end. One reader at a time. */
export class Input {
  #chunks: Buffer[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  push(chunk: Buffer): void {
    if (this.#ended || chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** The next bytes, undefined at the end. Rejects when the signal aborts. */
  async read(signal: AbortSignal): Promise<Buffer | undefined> {
    while (this.#chunks.length === 0 && !this.#ended) {
      signal.throwIfAborted();
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
      await promise;
    }
    signal.throwIfAborted();
    return this.#chunks.shift();
  }

  /** The next line without its end, undefined at the end of the input. */
  async readLine(signal: AbortSignal): Promise<string | undefined> {
    let line = Buffer.alloc(0);
    for (;;) {
      const chunk = await this.read(signal);
      if (chunk === undefined) return line.length === 0 ? undefined : line.toString();
      const end = chunk.indexOf(10);
      if (end < 0) {
        line = Buffer.concat([line, chunk]);
        continue;
      }
      if (end + 1 < chunk.length) this.#chunks.unshift(chunk.subarray(end + 1));
      return Buffer.concat([line, chunk.subarray(0, end)]).toString();
    }
  }
}

const [CTRL_C, CTRL_D, BACKSPACE, LINE_FEED, CARRIAGE_RETURN, DELETE] = [3, 4, 8, 10, 13, 127];

/** What a terminal does between keyboard and process: echo, line editing, Ctrl-C and Ctrl-D. */
export function terminalInput(
  input: Input,
  echo: (text: string) => void,
  interrupt: () => void,
): (chunk: Buffer) => void {
  let line: number[] = [];
  return (chunk) => {
    for (const byte of chunk) {
      if (byte === CTRL_C) {
        line = [];
        echo('^C\n');
        interrupt();
      } else if (byte === CTRL_D) {
        if (line.length === 0) input.end();
      } else if (byte === CARRIAGE_RETURN || byte === LINE_FEED) {
        echo('\n');
        input.push(Buffer.from([...line, LINE_FEED]));
        line = [];
      } else if (byte === BACKSPACE || byte === DELETE) {
        if (line.pop() !== undefined) echo('\b \b');
      } else if (byte >= 0x20) {
        line.push(byte);
        echo(String.fromCharCode(byte));
      }
    }
  };
}
