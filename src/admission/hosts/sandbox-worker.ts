// A thread of the sandbox's pool: QuickJS in WebAssembly, with a runtime for each plugin. Started as a worker: nothing imports
// it. A runtime is never disposed and never used again after a fault: the pool ends the whole thread instead, since what a
// hostile module can leave behind in the WebAssembly instance is only gone with it.
import { parentPort, workerData } from 'node:worker_threads';
import variant from '@jitl/quickjs-singlefile-mjs-release-sync';
import {
  newQuickJSWASMModuleFromVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSRuntime,
  type QuickJSWASMModule,
} from 'quickjs-emscripten-core';
import type { ToGuest } from './protocol.ts';

/** One plugin, with the text of every module it consists of. */
export interface SandboxedModule {
  readonly entry: string;
  /** Path to JavaScript. */
  readonly sources: Readonly<Record<string, string>>;
  /** Path and specifier, joined by a newline, to the path that is meant. */
  readonly links: Readonly<Record<string, string>>;
}

export interface SandboxData {
  readonly plugins: readonly SandboxedModule[];
  /** Text of guest.ts as JavaScript. */
  readonly guest: string;
  readonly stackBytes: number;
  readonly memoryBytes: number;
  readonly cpuMs: number;
  readonly loadMs: number;
}

/** To the pool: a message of one plugin's guest as JSON, that it gave the processor back, or what leaves the thread unfit for use. */
export type FromSandbox =
  | { readonly plugin: number; readonly text: string }
  | { readonly plugin: number; readonly idle: true }
  | { readonly plugin: number; readonly fault: string };
export type ToSandbox = { readonly plugin: number; readonly message: ToGuest };

const port = parentPort;
if (port === null) throw new Error('this module is the program of a thread');
const data = workerData as SandboxData;
const GUEST = 'dockgate:guest';
const ENTRY = 'dockgate:entry';
const MAIN = 'dockgate:main';
/** Most messages of one run: an answer, some lines of the log, some look-ups. */
const MAX_POSTS = 100;

const GUEST_END = `const __post = globalThis.__post, __stringify = JSON.stringify, __parse = JSON.parse; delete globalThis.__post;
export const open = (plugin) => {
  const guest = createGuest(plugin, (message) => __post(__stringify(message)));
  guest.describe();
  return (text) => guest.receive(__parse(text));
};`;

class Sandboxed {
  readonly #index: number;
  /** Messages of this run: told when it ended well, since an interrupted hook looks to the guest like one that threw. */
  #posts: string[] = [];
  readonly #runtime: QuickJSRuntime;
  readonly #context: QuickJSContext;
  readonly #receive: QuickJSHandle;
  /** Until when the code may run, in ms of this thread's processor time. */
  #deadline = 0;
  /** The run was interrupted. The guest may take that for an error of the hook. */
  #isLate = false;

  constructor(wasm: QuickJSWASMModule, index: number, module: SandboxedModule) {
    this.#index = index;
    const runtime = wasm.newRuntime();
    this.#runtime = runtime;
    runtime.setMemoryLimit(data.memoryBytes);
    runtime.setMaxStackSize(data.stackBytes);
    runtime.setInterruptHandler(() => {
      this.#isLate ||= processorMs() > this.#deadline;
      return this.#isLate;
    });
    runtime.setModuleLoader(
      (name) => {
        // The guest is evaluated first: it takes what it needs before the plugin's module can reach it.
        if (name === GUEST) return `${data.guest};${GUEST_END}`;
        if (name === ENTRY)
          return `import { open } from '${GUEST}';import plugin from '${module.entry}';export const receive = open(plugin);`;
        const source = module.sources[name];
        return source ?? { error: new Error(`there is no module ${name}`) };
      },
      (from, specifier) => {
        if (from === MAIN && specifier === ENTRY) return ENTRY;
        if (from === ENTRY && (specifier === GUEST || specifier === module.entry)) return specifier;
        return (
          module.links[`${from}\n${specifier}`] ?? { error: new Error(`${specifier} was not loaded with the plugin`) }
        );
      },
    );
    const context = runtime.newContext();
    this.#context = context;
    const post = context.newFunction('post', (text) => {
      if (this.#posts.length <= MAX_POSTS) this.#posts.push(context.getString(text));
    });
    context.setProp(context.global, '__post', post);
    const loaded = this.#run(data.loadMs, () => {
      const evaluated = context.evalCode(`export { receive } from '${ENTRY}'`, MAIN, { type: 'module' });
      return context.unwrapResult(evaluated);
    });
    this.#receive = context.getProp(loaded, 'receive');
  }

  receive(message: ToGuest): void {
    const { cpuMs, loadMs } = data;
    this.#run(message.kind === 'ask' || message.kind === 'reply' ? cpuMs : loadMs, () => {
      const text = this.#context.newString(JSON.stringify(message));
      this.#context.unwrapResult(this.#context.callFunction(this.#receive, this.#context.undefined, text)).dispose();
      text.dispose();
      const jobs = this.#runtime.executePendingJobs();
      if (jobs.error !== undefined)
        throw new Error(String(jobs.error.context.dump(jobs.error)?.message ?? 'a job failed'));
    });
  }

  #run<T>(ms: number, code: () => T): T {
    const tell = (what: { idle: true } | { fault: string }) =>
      port?.postMessage({ plugin: this.#index, ...what } satisfies FromSandbox);
    this.#posts = [];
    this.#deadline = processorMs() + ms;
    this.#isLate = false;
    let result: T;
    try {
      result = code();
    } catch (error) {
      tell({ fault: this.#isLate ? late(ms) : told(error) });
      throw error;
    }
    // A built-in that ran past the deadline ends as if nothing were.
    if (this.#isLate || processorMs() > this.#deadline) tell({ fault: late(ms) });
    else if (this.#posts.length > MAX_POSTS) tell({ fault: `it sent more than ${MAX_POSTS} messages at once` });
    else {
      for (const text of this.#posts) port?.postMessage({ plugin: this.#index, text } satisfies FromSandbox);
      tell({ idle: true });
    }
    return result;
  }
}

/** Processor time of this thread; time that passes where the runtime does not tell it. */
function processorMs(): number {
  const { threadCpuUsage } = process as { threadCpuUsage?: () => { user: number; system: number } };
  if (threadCpuUsage === undefined) return performance.now();
  const { user, system } = threadCpuUsage.call(process);
  return (user + system) / 1000;
}

const late = (ms: number): string => `it used more than ${ms} ms of processor time`;

function told(error: unknown): string {
  const text =
    error instanceof Error ? `${error.name === 'Error' ? '' : `${error.name}: `}${error.message}` : String(error);
  return text === '' ? 'it failed without a word' : text.slice(0, 500);
}

const wasm = await newQuickJSWASMModuleFromVariant(variant);
const plugins: (Sandboxed | undefined)[] = [];
port.on('message', ({ plugin, message }: ToSandbox) => {
  try {
    plugins[plugin]?.receive(message);
  } catch {
    // told as a fault
  }
});
data.plugins.forEach((module, index) => {
  try {
    plugins[index] = new Sandboxed(wasm, index, module);
  } catch {
    // told as a fault
  }
});
