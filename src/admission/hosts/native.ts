// The tiers `trusted` and `process`: one plugin in a thread or a process of its own, asked over messages. A side that does not
// answer, floods or ends is ended and started again; its calls fail closed meanwhile.
import { checkConfig, checkGrants, type Described, PluginRefused, readDescription, withActions } from './describe.ts';
import { HOOK_LIMITS, type Hook, type HookAnswer, HookFault, type PluginHost, type Tier } from './host.ts';
import { Job, noAnswer } from './job.ts';
import { readGuestMessage } from './messages.ts';
import type { FromGuest, ToGuest } from './protocol.ts';
import { configureOf, logOf, type PluginUse, replyTo } from './use.ts';
import { processWire, threadWire, type Wire } from './wire.ts';

/** A side that does not say it is there within this time, in ms, is ended. */
const PING_MS = 100;
/** Most messages for each hook asked, some in advance. */
const MESSAGES_PER_ASK = 100;
/** Hooks under way at once. */
const MAX_AT_ONCE = 16;
/** Of one caller's: hooks that wait for a slow service keep no other caller's from being asked. */
const MAX_OF_HOLDER = MAX_AT_ONCE / 2;
const QUEUE_OF_HOLDER = HOOK_LIMITS.queue / 2;
/** Wait before a side that ended is started again, in ms; doubled each time up to a minute. */
const RESTART_MS = 50;
const MAX_RESTART_MS = 60_000;

/** @throws {PluginRefused} */
export async function openNative(
  use: PluginUse,
  tier: Exclude<Tier, 'sandboxed'>,
  isShipped: boolean,
): Promise<PluginHost> {
  const host = new NativeHost(use, tier, isShipped);
  try {
    await host.start();
  } catch (error) {
    await host.close();
    throw error;
  }
  return host;
}

class NativeHost implements PluginHost {
  readonly #use: PluginUse;
  readonly tier: Exclude<Tier, 'sandboxed'>;
  readonly #isShipped: boolean;
  #described: Described | undefined;
  #config: Extract<ToGuest, { kind: 'configure' }> | undefined;
  #wire: Wire | undefined;
  /** A side that is not set up yet. */
  #starting: Wire | undefined;
  readonly #jobs = new Map<number, Job>();
  /** The hook that began last and has not ended: what keeps the other side busy is most likely this one. */
  #begun: Job | undefined;
  onKilled?: (holder: string) => void;
  #waiting: Job[] = [];
  #ids = 0;
  #credit = MESSAGES_PER_ASK;
  #isClosed = false;
  #onClosed: (() => void) | undefined;
  #ping: NodeJS.Timeout | undefined;
  #restart: NodeJS.Timeout | undefined;
  #restartMs = RESTART_MS;

  constructor(use: PluginUse, tier: Exclude<Tier, 'sandboxed'>, isShipped: boolean) {
    this.#use = use;
    this.tier = tier;
    this.#isShipped = isShipped;
  }

  get name(): string {
    return this.#use.name ?? this.#use.use;
  }
  get use(): string {
    return this.#use.use;
  }
  get sha256(): string {
    return this.#use.sha256;
  }
  get wallMs(): number {
    return this.#use.times.wallMs;
  }
  get description(): Described['description'] {
    return (this.#described as Described).description;
  }

  /** Starts the other side and sets the plugin up. @throws {PluginRefused} */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      let wire: Wire | undefined;
      let isOpen = true;
      const settle = (error?: Error) => {
        if (!isOpen) return;
        isOpen = false;
        clearTimeout(timer);
        this.#starting = undefined;
        if (error === undefined) return resolve();
        wire?.kill();
        reject(error);
      };
      const timer = setTimeout(
        () => settle(new PluginRefused(`it did not load within ${HOOK_LIMITS.loadMs} ms`)),
        HOOK_LIMITS.loadMs,
      );
      const events = {
        onMessage: (told: FromGuest) => {
          const message = readGuestMessage(told);
          if (message === undefined) {
            if (isOpen) settle(new PluginRefused('it sent a message of another shape'));
            else this.#ended('it sent a message of another shape');
            return;
          }
          if (!isOpen) return this.#onMessage(wire as Wire, message);
          if (--this.#credit < 0) return settle(new PluginRefused('it sent more messages than it was asked for'));
          try {
            if (message.kind === 'refused') settle(new PluginRefused(message.message));
            else if (message.kind === 'described') wire?.post(this.#describe(readDescription(message.description)));
            else if (message.kind === 'ready') {
              this.#described = withActions(this.#described as Described, message.actions);
              this.#wire = wire;
              settle();
              this.#dispatch();
            } else this.#onMessage(wire as Wire, message);
          } catch (error) {
            settle(error instanceof Error ? error : new Error(String(error)));
          }
        },
        onEnd: (why: string) => {
          if (isOpen) settle(new PluginRefused(why));
          else if (this.#wire === wire) this.#ended(why);
        },
      };
      try {
        const { entry, grants, files } = this.#use;
        wire =
          this.tier === 'trusted' && this.#isShipped
            ? threadWire(entry, events)
            : processWire(entry, grants, files, this.tier === 'trusted' ? 'all' : 'granted', events);
        if (isOpen) this.#starting = wire;
        if (this.#isClosed) settle(new PluginRefused('it was closed'));
      } catch (error) {
        settle(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  ask(hook: Hook, input: string, holder = ''): Promise<HookAnswer> {
    if (this.#isClosed) return Promise.reject(new HookFault('it was closed', false));
    if (this.#waiting.length >= HOOK_LIMITS.queue) {
      return Promise.reject(new HookFault(`${HOOK_LIMITS.queue} calls wait for it already`, false));
    }
    if (this.#waiting.filter((one) => one.holder === holder).length >= QUEUE_OF_HOLDER) {
      return Promise.reject(new HookFault(`${QUEUE_OF_HOLDER} calls of this caller wait for it already`, false));
    }
    const job = new Job(++this.#ids, hook, input, holder);
    this.#wait(job);
    this.#waiting.push(job);
    this.#dispatch();
    return job.result;
  }

  #wait(job: Job): void {
    job.expire(4 * this.#use.times.wallMs, 'it is not running', () => {
      this.#waiting = this.#waiting.filter((one) => one !== job);
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#restart);
    this.#starting?.kill();
    const wire = this.#wire;
    if (wire !== undefined) {
      await new Promise<void>((resolve) => {
        this.#onClosed = resolve;
        setTimeout(resolve, this.#use.times.wallMs);
        wire.post({ kind: 'close' });
      });
      this.#wire = undefined;
      wire.kill();
    }
    clearTimeout(this.#ping);
    for (const job of [...this.#jobs.values(), ...this.#waiting]) job.fail('it was closed', false);
  }

  #dispatch(): void {
    const wire = this.#wire;
    while (wire !== undefined && this.#jobs.size < MAX_AT_ONCE) {
      const job = this.#next();
      if (job === undefined) return;
      if (job.isOver) continue;
      this.#jobs.set(job.id, job);
      this.#credit = Math.min(this.#credit + MESSAGES_PER_ASK, 4 * MESSAGES_PER_ASK);
      job.expire(this.#use.times.wallMs, noAnswer(this.#use.times.wallMs), () => {
        this.#jobs.delete(job.id);
        this.#look(wire);
        this.#dispatch();
      });
      wire.post({ kind: 'ask', id: job.id, hook: job.hook, input: job.input });
    }
  }

  /** The job that waits longest, of a caller that has places left. */
  #next(): Job | undefined {
    const running = new Map<string, number>();
    for (const { holder } of this.#jobs.values()) running.set(holder, (running.get(holder) ?? 0) + 1);
    const at = this.#waiting.findIndex(({ holder }) => (running.get(holder) ?? 0) < MAX_OF_HOLDER);
    return at < 0 ? undefined : this.#waiting.splice(at, 1)[0];
  }

  /** Asks a side that was late whether it is there at all. */
  #look(wire: Wire): void {
    if (this.#ping !== undefined) return;
    wire.post({ kind: 'ping' });
    this.#ping = setTimeout(() => {
      this.#ping = undefined;
      if (this.#wire === wire) this.#ended(`${noAnswer(this.#use.times.wallMs)}, and it does not say that it is there`);
    }, PING_MS);
  }

  #onMessage(wire: Wire, message: FromGuest): void {
    if (--this.#credit < 0) {
      this.#ended('it sent more messages than it was asked for');
      return;
    }
    switch (message.kind) {
      case 'pong':
        clearTimeout(this.#ping);
        this.#ping = undefined;
        return;
      case 'started':
        this.#begun = this.#jobs.get(message.id);
        return;
      case 'answered':
      case 'threw': {
        const job = this.#jobs.get(message.id);
        this.#jobs.delete(message.id);
        if (this.#begun?.id === message.id) this.#begun = undefined;
        if (message.kind === 'threw') job?.threw(message.message);
        else job?.answer(message.value, { ...message.annotations });
        this.#restartMs = RESTART_MS;
        this.#dispatch();
        return;
      }
      case 'wish':
        void replyTo(this.#use, message.id, message.wish).then((reply) => wire.post(reply));
        return;
      case 'log':
        logOf(this.#use, message);
        return;
      case 'closed':
        this.#onClosed?.();
        return;
      default:
        return;
    }
  }

  #ended(why: string): void {
    const wire = this.#wire;
    this.#wire = undefined;
    clearTimeout(this.#ping);
    this.#ping = undefined;
    wire?.kill();
    const guilty = this.#begun ?? (this.#jobs.size === 1 ? [...this.#jobs.values()][0] : undefined);
    this.#begun = undefined;
    if (guilty !== undefined && !guilty.fail(why, true)) this.onKilled?.(guilty.holder);
    // Questions under way beside it begin again, once.
    for (const job of [...this.#jobs.values()].reverse()) {
      if (job.isOver) continue;
      if (job.isAgain || this.#isClosed) job.fail(why, false);
      else {
        job.isAgain = true;
        this.#wait(job);
        this.#waiting.unshift(job);
      }
    }
    this.#jobs.clear();
    if (this.#isClosed) return;
    this.#use.log.warn({ plugin: this.name, why }, 'a plugin was ended and is started again');
    clearTimeout(this.#restart);
    this.#restart = setTimeout(() => {
      this.#restartMs = Math.min(2 * this.#restartMs, MAX_RESTART_MS);
      this.#credit = MESSAGES_PER_ASK;
      this.start().catch((error: unknown) => this.#ended(error instanceof Error ? error.message : String(error)));
    }, this.#restartMs);
    this.#restart.unref();
  }

  #describe(described: Described): ToGuest {
    if (this.#config !== undefined) return this.#config;
    const use = this.#use;
    checkGrants(described.description, use.grants);
    const config = checkConfig(described, use.config, use.isOurs);
    this.#described = described;
    use.name ??= described.description.meta.name;
    this.#config = configureOf(use, config);
    return this.#config;
  }
}
