// The sandboxed tier: a few threads, each with QuickJS and every sandboxed plugin of one generation. One hook at a time has a
// thread's processor; a hook that waits for a look-up leaves it to others. A thread whose plugin misbehaved is ended and
// replaced, and one thread is always left to plugins that are not busy: a hostile plugin delays its own callers alone.
import { Worker } from 'node:worker_threads';
import type { Logger } from '../../log.ts';
import { checkConfig, checkGrants, type Described, PluginRefused, readDescription, withActions } from './describe.ts';
import {
  HOOK_LIMITS,
  HOOK_TIMES,
  type Hook,
  type HookAnswer,
  HookFault,
  type HookTimes,
  type PluginHost,
} from './host.ts';
import { Job, noAnswer } from './job.ts';
import { MAX_MESSAGE, readGuestMessage } from './messages.ts';
import { guestSource, programUrl } from './programs.ts';
import type { FromGuest, ToGuest } from './protocol.ts';
import type { FromSandbox, SandboxData, SandboxedModule, ToSandbox } from './sandbox-worker.ts';
import { configureOf, logOf, type PluginUse, replyTo } from './use.ts';

/** Threads: from the start, one of them in reserve; and most of them while all are busy. */
const MIN_THREADS = 3;
const MAX_THREADS = 4;
const STACK_BYTES = 64 * 1024;
/** Wait before a thread that could not start is tried again, in ms. */
const RESTART_MS = 1000;

/** Most wishes of one hook, and of a plugin while it is set up. */
const MAX_WISHES = 64;

/** A text as a message; undefined when it is not JSON of a message. */
function readText(text: string): FromGuest | undefined {
  if (text.length > MAX_MESSAGE) return undefined;
  try {
    return readGuestMessage(JSON.parse(text));
  } catch {
    return undefined;
  }
}

export interface SandboxedUse extends PluginUse {
  readonly module: SandboxedModule;
}

/** One plugin's line of jobs. */
class Line {
  readonly use: SandboxedUse;
  readonly waiting: Job[] = [];
  running = 0;
  described: Described | undefined;
  config: ToGuest & { kind: 'configure' } = { kind: 'configure', config: undefined, name: '', env: {} };

  onKilled: ((holder: string) => void) | undefined;

  constructor(use: SandboxedUse) {
    this.use = use;
  }
}

class Thread {
  readonly worker: Worker;
  isReady = false;
  isDead = false;
  /** The plugin that has the processor. */
  running: number | undefined;
  readonly jobs = new Map<number, { readonly plugin: number; readonly job: Job }>();
  /** The hook that has it, and whose call that is. */
  job: Job | undefined;
  holder = '';
  /** Replies that wait for the processor, with the hook that asked, and whose call that is. */
  readonly mail: { readonly to: ToSandbox; readonly job: Job | undefined; readonly holder: string }[] = [];
  overrun: NodeJS.Timeout | undefined;

  constructor(data: SandboxData) {
    this.worker = new Worker(programUrl('sandbox-worker'), {
      workerData: data,
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: 128 },
    });
    this.worker.unref();
  }
}

export class SandboxPool {
  readonly #lines: readonly Line[];
  readonly #log: Logger;
  readonly #times: HookTimes;
  readonly #data: SandboxData;
  readonly #threads = new Set<Thread>();
  #jobs = 0;
  #isClosed = false;
  #restart: NodeJS.Timeout | undefined;

  private constructor(uses: readonly SandboxedUse[], log: Logger) {
    this.#log = log;
    this.#times = uses[0]?.times ?? HOOK_TIMES;
    this.#lines = uses.map((use) => new Line(use));
    this.#data = {
      plugins: uses.map(({ module }) => module),
      guest: guestSource(),
      stackBytes: STACK_BYTES,
      memoryBytes: HOOK_LIMITS.memoryBytes,
      cpuMs: this.#times.cpuMs,
      loadMs: HOOK_LIMITS.loadMs / 10,
    };
  }

  /**
   * Loads the plugins into every thread.
   *
   * @returns a host for each use, in order
   * @throws {PluginRefused} of the first plugin that does not load, with `use` told
   */
  static async open(uses: readonly SandboxedUse[], log: Logger): Promise<readonly PluginHost[]> {
    if (uses.length === 0) return [];
    const pool = new SandboxPool(uses, log);
    try {
      // One after the other: while the plugins of before still serve, the processor is theirs too.
      for (let i = 0; i < MIN_THREADS; i++) await pool.#start();
    } catch (error) {
      await pool.close();
      throw error;
    }
    let open = uses.length;
    return pool.#lines.map((line, plugin) => ({
      set onKilled(told: (holder: string) => void) {
        line.onKilled = told;
      },
      name: line.config.name,
      use: line.use.use,
      tier: 'sandboxed' as const,
      sha256: line.use.sha256,
      description: (line.described as Described).description,
      ask: (hook: Hook, input: string, holder = '') => pool.#ask(plugin, hook, input, holder),
      close: async () => {
        if (--open === 0) await pool.close();
      },
    }));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#restart);
    await Promise.all(
      [...this.#threads].map(async (thread) => {
        await Promise.race([this.#tearDown(thread), new Promise((resolve) => setTimeout(resolve, this.#times.wallMs))]);
        this.#end(thread, 'the plugins were closed', false);
      }),
    );
  }

  /** Lets every plugin close what it opened, one after the other. */
  async #tearDown(thread: Thread): Promise<void> {
    if (!thread.isReady || thread.isDead) return;
    for (let plugin = 0; plugin < this.#lines.length; plugin++) {
      await new Promise<void>((resolve) => {
        const onMessage = (from: FromSandbox) => {
          if (from.plugin === plugin && ('fault' in from || ('text' in from && from.text.includes('"closed"')))) done();
        };
        const done = () => {
          thread.worker.off('message', onMessage);
          thread.worker.off('exit', done);
          resolve();
        };
        thread.worker.on('message', onMessage);
        thread.worker.on('exit', done);
        thread.worker.postMessage({ plugin, message: { kind: 'close' } } satisfies ToSandbox);
      });
    }
  }

  #ask(plugin: number, hook: Hook, input: string, holder: string): Promise<HookAnswer> {
    const line = this.#lines[plugin] as Line;
    if (this.#isClosed) return Promise.reject(new HookFault('it was closed', false));
    if (line.waiting.length >= HOOK_LIMITS.queue)
      return Promise.reject(new HookFault(`${HOOK_LIMITS.queue} calls wait for it already`, false));
    const job = new Job(++this.#jobs, hook, input, holder);
    job.expire(4 * this.#times.wallMs, 'no thread was free for it in time', () => {
      const at = line.waiting.indexOf(job);
      if (at >= 0) line.waiting.splice(at, 1);
    });
    line.waiting.push(job);
    this.#dispatch();
    return job.result;
  }

  /** Gives free threads what waits: replies first, then the lines in turn. */
  #dispatch(): void {
    for (const thread of this.#threads) {
      if (!thread.isReady || thread.isDead || thread.running !== undefined) continue;
      const mail = thread.mail.shift();
      if (mail !== undefined) this.#run(thread, mail.to, mail.job, mail.holder);
    }
    // One thread is left to other plugins, whatever one plugin does.
    const share = Math.max(1, this.#threads.size - 1);
    for (const [plugin, line] of this.#lines.entries()) {
      while (line.waiting.length > 0 && line.running < share) {
        const thread = [...this.#threads].find((one) => one.isReady && !one.isDead && one.running === undefined);
        if (thread === undefined) {
          if (this.#threads.size < MAX_THREADS) this.#startAgain();
          return;
        }
        const job = line.waiting.shift() as Job;
        if (job.isOver) continue;
        job.expire(this.#times.wallMs, noAnswer(this.#times.wallMs), () => thread.jobs.delete(job.id));
        thread.jobs.set(job.id, { plugin, job });
        const ask = { kind: 'ask', id: job.id, hook: job.hook, input: job.input } as const;
        this.#run(thread, { plugin, message: ask }, job, job.holder);
      }
    }
  }

  #run(thread: Thread, to: ToSandbox, job: Job | undefined, holder: string): void {
    thread.running = to.plugin;
    thread.job = job;
    thread.holder = holder;
    (this.#lines[to.plugin] as Line).running++;
    thread.overrun = setTimeout(
      () => this.#end(thread, `it used more than ${this.#times.cpuMs} ms of processor time`, true),
      // The thread itself counts processor time; what keeps it from counting has failed at its whole time and is ended at twice
      // that: on a busy machine a thread may have had no processor.
      2 * this.#times.wallMs,
    );
    thread.worker.postMessage(to);
  }

  #onMessage(thread: Thread, from: FromSandbox): void {
    if (thread.isDead) return;
    if ('fault' in from) {
      this.#end(thread, from.fault, true);
      return;
    }
    if ('idle' in from) {
      if (thread.running === undefined) return;
      clearTimeout(thread.overrun);
      (this.#lines[thread.running] as Line).running--;
      thread.running = undefined;
      this.#dispatch();
      return;
    }
    const message = readText(from.text);
    if (message === undefined) {
      this.#end(thread, 'it sent a message of another shape', true);
      return;
    }
    this.#onGuest(thread, from.plugin, message);
  }

  #onGuest(thread: Thread, plugin: number, message: FromGuest): void {
    const { use } = this.#lines[plugin] as Line;
    switch (message.kind) {
      case 'answered':
      case 'threw': {
        const found = thread.jobs.get(message.id);
        if (found === undefined || found.plugin !== plugin) return;
        thread.jobs.delete(message.id);
        if (message.kind === 'answered') found.job.answer(message.value, { ...message.annotations });
        else found.job.threw(message.message);
        return;
      }
      case 'wish': {
        // Without an open hook of its own a plugin has nothing to ask: it would run on replies for ever.
        const asked = [...thread.jobs.values()].filter((one) => one.plugin === plugin).map(({ job }) => job);
        const open = asked.reduce((sum, job) => sum + MAX_WISHES - job.wishes, 0);
        if (open <= 0) {
          this.#end(thread, 'it asked for more than its hooks may', true);
          return;
        }
        const able = asked.filter((job) => job.wishes < MAX_WISHES);
        // Which hook asked is the plugin's own word, and decides no more than against whom its kills count.
        const counted = able.find(({ id }) => id === message.ask) ?? able[0];
        if (counted !== undefined) counted.wishes++;
        const holder = counted?.holder ?? '';
        void replyTo(use, message.id, message.wish).then((reply) => {
          if (thread.isDead) return;
          thread.mail.push({ to: { plugin, message: reply }, job: counted, holder });
          this.#dispatch();
        });
        return;
      }
      case 'log':
        logOf(use, message);
        return;
      default:
        return;
    }
  }

  /** Ends a thread. What waited in it for a look-up begins again elsewhere, once; what misbehaved has failed. */
  #end(thread: Thread, why: string, killed: boolean): void {
    if (thread.isDead) return;
    thread.isDead = true;
    clearTimeout(thread.overrun);
    this.#threads.delete(thread);
    void thread.worker.terminate();
    const at = thread.running;
    if (at !== undefined) (this.#lines[at] as Line).running--;
    if (killed && at !== undefined && thread.job?.fail(why, true) !== true)
      (this.#lines[at] as Line).onKilled?.(thread.holder);
    for (const { plugin, job } of thread.jobs.values()) {
      if (job.isOver) continue;
      if (!killed || job.isAgain) job.fail(why, false);
      else {
        job.isAgain = true;
        (this.#lines[plugin] as Line).waiting.unshift(job);
      }
    }
    if (killed && !this.#isClosed) {
      this.#log.warn(
        { plugin: at === undefined ? undefined : (this.#lines[at] as Line).config.name, why },
        'a thread of the plugin sandbox was ended',
      );
      if (this.#threads.size < MIN_THREADS) this.#startAgain();
      this.#dispatch();
    }
  }

  #startAgain(): void {
    this.#start().catch((error: unknown) => {
      if (this.#isClosed) return;
      this.#log.error({ err: error }, 'a thread of the plugin sandbox could not be started');
      this.#restart = setTimeout(() => {
        if (!this.#isClosed && this.#threads.size < MIN_THREADS) this.#startAgain();
      }, RESTART_MS);
      this.#restart.unref();
    });
  }

  /** Starts a thread and sets every plugin up in it. The first one also learns what the plugins are. */
  #start(): Promise<void> {
    const thread = new Thread(this.#data);
    this.#threads.add(thread);
    const { worker } = thread;
    return new Promise<void>((resolve, reject) => {
      const open = new Set(this.#lines);
      let wishes = 0;
      const timer = setTimeout(() => {
        const uses = [...open].map(({ use }) => use.use).join(', ');
        fail(new PluginRefused(`plugin ${uses}: it did not load within ${HOOK_LIMITS.loadMs} ms`));
      }, HOOK_LIMITS.loadMs);
      const fail = (error: Error) => {
        clearTimeout(timer);
        // First: one of the runtimes tells of a thread's end while it is being ended.
        reject(error);
        this.#end(thread, error.message, false);
      };
      const refused = (plugin: number, what: string) => {
        fail(new PluginRefused(`plugin ${(this.#lines[plugin] as Line).use.use}: ${what}`));
      };
      worker.on('error', (error) => {
        if (thread.isReady) this.#end(thread, `its thread ended: ${error.message}`, true);
        else fail(error);
      });
      worker.on('exit', () => {
        if (thread.isReady) this.#end(thread, 'its thread ended', true);
        else fail(new Error('the thread ended before it was ready'));
      });
      worker.on('message', (from: FromSandbox) => {
        if (thread.isReady) return this.#onMessage(thread, from);
        if ('fault' in from) return refused(from.plugin, from.fault);
        if ('idle' in from) {
          // The run in which the last plugin got ready is over: from here on every idle answers a run of ours.
          if (open.size > 0) return;
          clearTimeout(timer);
          thread.isReady = true;
          resolve();
          this.#dispatch();
          return;
        }
        const message = readText(from.text);
        if (message === undefined) return refused(from.plugin, 'it sent a message of another shape');
        const line = this.#lines[from.plugin] as Line;
        try {
          if (message.kind === 'described') {
            if (line.described === undefined) this.#describe(line, readDescription(message.description));
            worker.postMessage({ plugin: from.plugin, message: line.config } satisfies ToSandbox);
          } else if (message.kind === 'refused') refused(from.plugin, message.message);
          else if (message.kind === 'wish') {
            if (++wishes > MAX_WISHES * this.#lines.length)
              return refused(from.plugin, 'it asked for too much while it was set up');
            void replyTo(line.use, message.id, message.wish).then((reply) =>
              worker.postMessage({ plugin: from.plugin, message: reply }),
            );
          } else if (message.kind === 'log') logOf(line.use, message);
          else if (message.kind === 'ready') {
            line.described = withActions(line.described as Described, message.actions);
            open.delete(line);
          }
        } catch (error) {
          refused(from.plugin, error instanceof Error ? error.message : String(error));
        }
      });
    });
  }

  #describe(line: Line, described: Described): void {
    const { use } = line;
    checkGrants(described.description, use.grants);
    const config = checkConfig(described, use.config, use.isOurs);
    line.described = described;
    use.name ??= described.description.meta.name;
    line.config = configureOf(use, config);
  }
}
