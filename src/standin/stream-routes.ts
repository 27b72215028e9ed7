// Routes that stream: attach, exec, logs, events.
import { type Call, containerOf, Empty, execOf, isSet, STREAMING, type Upgraded } from './call.ts';
import { notFound } from './containers.ts';
import { PING_HEADERS } from './describe.ts';
import { EngineFault } from './fault.ts';
import { frameOf, type Output, type PretendProcess } from './process.ts';
import { hasCommand } from './shell.ts';

export function attach(call: Call) {
  const container = containerOf(call);
  const { query } = call;
  const { process } = container;
  const connection = openStream(call, process);
  if (isSet(query.get('logs'))) for (const output of process.log) connection.send(output);
  if (!isSet(query.get('stream')) || process.exitCode !== undefined) {
    connection.end();
    return STREAMING;
  }
  const isWanted = (output: Output) => process.options.tty || isSet(query.get(output.stream));
  join(connection, process, isWanted, isSet(query.get('stdin')));
  // A container that could not be started has no exit of its own.
  call.state.on('die', function ended(which) {
    if (which !== container) return;
    call.state.off('die', ended);
    connection.end();
  });
  return STREAMING;
}

export function startExec(call: Call) {
  const exec = execOf(call);
  const { process } = exec;
  if (process.running || process.exitCode !== undefined) throw new EngineFault(409, `exec ${exec.id} has run already`);
  const program = process.options.argv[0] ?? '';
  if (call.body.Detach === true) {
    process.start();
    return new Empty(200);
  }
  const connection = openStream(call, process);
  if (!call.state.pretends && !hasCommand(program)) {
    process.exitCode = 127;
    const data = Buffer.from(`${notFound(program).replaceAll('create', 'exec')}\r\n`);
    connection.send({ stream: 'stdout', data, at: new Date() });
    connection.end();
    return STREAMING;
  }
  join(connection, process, () => true, exec.config.AttachStdin === true);
  process.start();
  return STREAMING;
}

interface OutputStream {
  send(output: Output): void;
  end(): void;
  /** Bytes of the caller; absent where it cannot send any. */
  readonly incoming?: Upgraded;
  onGone(listener: () => void): void;
}

/** Upgrades the connection where the caller asked for it, else answers with a body that lasts. */
function openStream({ upgraded, response }: Call, process: PretendProcess): OutputStream {
  const type = `application/vnd.docker.${process.options.tty ? 'raw' : 'multiplexed'}-stream`;
  const encode = process.options.tty ? (output: Output) => output.data : frameOf;
  if (upgraded !== undefined) {
    const { socket } = upgraded;
    socket.write(`HTTP/1.1 101 UPGRADED\r\nContent-Type: ${type}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`);
    return {
      send: (output) => void (socket.writable && socket.write(encode(output))),
      end: () => void socket.end(),
      incoming: upgraded,
      onGone: (listener) => void socket.once('close', listener),
    };
  }
  response?.writeHead(200, { ...PING_HEADERS, 'Content-Type': type });
  response?.flushHeaders();
  return {
    send: (output) => void response?.write(encode(output)),
    end: () => void response?.end(),
    onGone: (listener) => void response?.once('close', listener),
  };
}

/** Joins a caller and a process until either ends. The caller's FIN is the end of the input, no more. */
function join(
  connection: OutputStream,
  process: PretendProcess,
  isWanted: (output: Output) => boolean,
  hasInput: boolean,
): void {
  const send = (output: Output) => {
    if (isWanted(output)) connection.send(output);
  };
  process.on('output', send);
  process.once('exit', () => connection.end());
  connection.onGone(() => process.off('output', send));
  const { incoming } = connection;
  if (incoming === undefined) return;
  if (hasInput) {
    process.feed(incoming.head);
    incoming.socket.on('data', (chunk: Buffer) => process.feed(chunk));
    incoming.socket.once('end', () => process.endInput());
  }
  incoming.socket.resume();
}

export function logs(call: Call) {
  const { process } = containerOf(call);
  const { query } = call;
  const isWanted = (output: Output) => process.options.tty || isSet(query.get(output.stream));
  const stamp = isSet(query.get('timestamps'));
  const connection = openStream(call, process);
  const send = (output: Output) => {
    if (!isWanted(output)) return;
    connection.send(
      stamp ? { ...output, data: Buffer.concat([Buffer.from(`${output.at.toISOString()} `), output.data]) } : output,
    );
  };
  const tail = Number.parseInt(query.get('tail') ?? 'all', 10);
  const kept = process.log.filter(isWanted);
  for (const output of Number.isNaN(tail) || tail < 0 ? kept : kept.slice(kept.length - Math.min(tail, kept.length)))
    send(output);
  if (isSet(query.get('follow'))) process.release();
  if (isSet(query.get('follow')) && process.running) {
    process.on('output', send);
    process.once('exit', () => connection.end());
    connection.onGone(() => process.off('output', send));
  } else connection.end();
  return STREAMING;
}

export function streamEvents({ response, state, query }: Call) {
  response?.writeHead(200, { ...PING_HEADERS, 'Content-Type': 'application/json' });
  response?.flushHeaders();
  if (query.has('until')) response?.end();
  const send = (event: unknown) => response?.write(`${JSON.stringify(event)}\n`);
  state.on('event', send);
  response?.on('close', () => state.off('event', send));
  return STREAMING;
}
