// Runs one plugin as an ordinary module: in a thread of the gateway (shipped plugins), or in a process of its own.
// Started as a program: nothing imports it.
import { registerHooks } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { createGuest, type Guest } from './guest.ts';
import type { FromGuest, ToGuest } from './protocol.ts';

/** Where messages come from and go to. */
interface Wire {
  post(message: FromGuest): void;
  onMessage(receive: (message: ToGuest) => void): void;
}

const threadWire = (port: NonNullable<typeof parentPort>): Wire => ({
  post: (message) => port.postMessage(message),
  onMessage: (receive) => port.on('message', receive),
});

/** One JSON message a line. What the plugin prints itself goes to stderr and cannot be taken for a message. */
function lineWire(): Wire {
  const { stdin, stdout } = process;
  const write = stdout.write.bind(stdout);
  console.log = console.error;
  console.info = console.error;
  console.debug = console.error;
  return {
    post: (message) => void write(`${JSON.stringify(message)}\n`),
    onMessage(receive) {
      let rest = '';
      stdin.setEncoding('utf8');
      stdin.on('data', (chunk: string) => {
        const lines = `${rest}${chunk}`.split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) receive(JSON.parse(line) as ToGuest);
      });
      stdin.on('end', () => process.exit(0));
    },
  };
}

const wire = parentPort === null ? lineWire() : threadWire(parentPort);
const [module, face] =
  parentPort === null
    ? [process.argv[2] ?? '', process.argv[3]]
    : [(workerData as { module: string }).module, (workerData as { face: string }).face];
if (face !== undefined) {
  // A plugin's file need not lie beside an installed dockgate.
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === 'dockgate/plugin' ? { url: face, shortCircuit: true } : next(specifier, context),
  });
}

let guest: Guest | undefined;
const early: ToGuest[] = [];
wire.onMessage((message) => {
  if (guest === undefined) early.push(message);
  else guest.receive(message);
});
try {
  const { default: exported } = (await import(module)) as { default?: unknown };
  guest = createGuest(exported, (message) => wire.post(message));
  guest.describe();
  for (const message of early) guest.receive(message);
} catch (error) {
  wire.post({
    kind: 'refused',
    message: `it cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
  });
}
