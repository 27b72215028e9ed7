// Routes of containers that answer at once, and those that wait for one to end.
import { type Call, Created, containerOf, Empty, filtersOf, isSet, STREAMING } from './call.ts';
import type { Container } from './containers.ts';
import { listContainer, PING_HEADERS } from './describe.ts';
import { EngineFault } from './fault.ts';

export function create({ state, body, query }: Call): Created {
  return new Created({ Id: state.create(body, query.get('name') || undefined).id, Warnings: [] });
}

export function listContainers(call: Call) {
  const { state, query } = call;
  const wanted = filtersOf(call);
  const isAll = isSet(query.get('all')) || wanted.has('status') || isSet(query.get('limit'));
  return [...state.all.values()]
    .reverse()
    .filter((container) => {
      const labels = (container.config.Labels ?? {}) as Record<string, string>;
      return (
        (isAll || container.process.running) &&
        wanted.matches('id', (id) => container.id.startsWith(id)) &&
        wanted.matches('name', (name) => container.name.includes(name.replace(/^\//, ''))) &&
        wanted.matches('status', (status) => listContainer(container).State === status) &&
        wanted.hasLabels(labels)
      );
    })
    .slice(0, Number(query.get('limit')) > 0 ? Number(query.get('limit')) : undefined)
    .map(listContainer);
}

export async function stop(call: Call) {
  const container = containerOf(call);
  return new Empty((await stopped(container, call.query)) ? 204 : 304);
}

export async function restart(call: Call) {
  const container = containerOf(call);
  await stopped(container, call.query);
  call.state.start(container);
  return new Empty(204);
}

/** @returns false for one that did not run */
async function stopped({ process }: Container, query: URLSearchParams): Promise<boolean> {
  if (!process.running) return false;
  const ended = new Promise((resolve) => process.once('exit', resolve));
  process.kill(query.get('signal') || 'TERM');
  if (process.running) setTimeout(() => process.kill('KILL'), Number(query.get('t') ?? 10) * 1000).unref();
  await ended;
  return true;
}

export function kill(call: Call) {
  const container = containerOf(call);
  if (!container.process.running) throw new EngineFault(409, `container ${container.id} is not running`);
  const signal = call.query.get('signal') || 'KILL';
  if (!container.process.kill(signal)) throw new EngineFault(400, `Invalid signal: ${signal}`);
  return new Empty(204);
}

export function remove(call: Call) {
  const container = containerOf(call);
  if (container.process.running) {
    if (!isSet(call.query.get('force'))) {
      throw new EngineFault(
        409,
        `cannot remove container "/${container.name}": container is running: stop the container before removing or force remove`,
      );
    }
    container.process.once('exit', () => call.state.remove(container));
    container.process.kill('KILL');
  } else call.state.remove(container);
  return new Empty(204);
}

/** The head goes out at once: `docker run` starts the container only after it has seen it. */
export function wait(call: Call) {
  const container = containerOf(call);
  const condition = call.query.get('condition') || 'not-running';
  // `docker run -d` asks as well, before the start, and does not stay for the end.
  const { AttachStdout, AttachStderr } = container.config;
  if (container.process.running || AttachStdout === true || AttachStderr === true) container.process.release();
  const { response, state } = call;
  response?.writeHead(200, { ...PING_HEADERS, 'Content-Type': 'application/json' });
  response?.flushHeaders();
  const finish = () => response?.end(`${JSON.stringify({ StatusCode: container.process.exitCode ?? 0 })}\n`);
  if (condition === 'not-running' && !container.process.running) finish();
  else {
    const event = condition === 'removed' ? 'destroy' : 'die';
    const listen = (which: unknown) => {
      if (which !== container) return;
      state.off(event, listen);
      finish();
    };
    state.on(event, listen);
    response?.on('close', () => state.off(event, listen));
  }
  return STREAMING;
}

export const setPaused = (isPaused: boolean) => (call: Call) => {
  containerOf(call).isPaused = isPaused;
  return new Empty(204);
};

export function rename(call: Call) {
  containerOf(call).name = call.query.get('name') ?? '';
  return new Empty(204);
}

export function update(call: Call) {
  const container = containerOf(call);
  container.hostConfig = { ...container.hostConfig, ...call.body };
  return { Warnings: [] };
}

export function top(call: Call) {
  const { process } = containerOf(call);
  return { Titles: ['PID', 'CMD'], Processes: process.running ? [['1', process.options.argv.join(' ')]] : [] };
}

/** Nothing is in a container: what is put there is read past, and a path that is asked for is missing. */
export function archive(call: Call) {
  containerOf(call);
  if (call.request.method === 'PUT') return new Empty(200);
  throw new EngineFault(404, `Could not find the file ${call.query.get('path') ?? ''} in container ${call.params[0]}`);
}

export function changes(call: Call): readonly object[] {
  containerOf(call);
  return [];
}
