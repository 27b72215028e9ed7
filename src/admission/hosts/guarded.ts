// A breaker and figures around any host. A plugin that had to be ended three times within a minute for calls of one caller is not
// asked for that caller for a while: its calls are denied at once, which costs the gateway nothing. Others are served on, unless
// the plugin ends for several callers and more often than it answers: then it is the plugin, and no call asks it.
import { type Hook, type HookAnswer, HookFault, type PluginHost } from './host.ts';

/** Kills of one caller's calls, and callers whose calls ended the plugin, that open a breaker. */
const KILLS = 3;
const CALLERS = 3;
const WINDOW_MS = 60_000;
/** How long an open breaker denies before the plugin is tried again, in ms. */
const OPEN_MS = 30_000;
/** Callers remembered with their kills; the oldest are forgotten. */
const MAX_CALLERS = 1000;
/** Durations kept for the percentiles. */
const KEPT = 512;

export interface PluginFigures {
  readonly calls: number;
  readonly denials: number;
  readonly faults: number;
  /** In microseconds, of the last calls; undefined before the first. */
  readonly p50Us: number | undefined;
  readonly p99Us: number | undefined;
  /** `some`: the calls of some callers alone are denied, whose calls ended the plugin again and again. */
  readonly breaker: 'closed' | 'some' | 'open';
}

/** What one caller's calls did to the plugin. */
interface Caller {
  kills: number[];
  openUntil: number;
}

export class GuardedHost {
  readonly host: PluginHost;
  readonly #onBreak: (host: PluginHost, holder: string | undefined) => void;
  readonly #callers = new Map<string, Caller>();
  /** When it was ended, and when it answered last, for any caller. */
  #answers: number[] = [];
  #openUntil = 0;
  #calls = 0;
  #faults = 0;
  #denials = 0;
  readonly #durations: number[] = [];

  /** @param onBreak told when a breaker opens, and for which holder: undefined for all callers */
  constructor(host: PluginHost, onBreak: (host: PluginHost, holder: string | undefined) => void) {
    this.host = host;
    this.#onBreak = onBreak;
    host.onKilled = (holder) => this.#killed(performance.now(), holder);
  }

  /** @throws {HookFault} */
  async ask(hook: Hook, input: string, holder = ''): Promise<HookAnswer> {
    const startedMs = performance.now();
    const openUntil = Math.max(this.#openUntil, this.#callers.get(holder)?.openUntil ?? 0);
    if (startedMs < openUntil) {
      this.#faults++;
      const whose = startedMs < this.#openUntil ? '' : " for this caller's calls";
      throw new HookFault(
        `it was ended ${KILLS} times within a minute${whose} and is not asked until ${Math.ceil((openUntil - startedMs) / 1000)} s from now`,
        false,
      );
    }
    this.#calls++;
    try {
      const answer = await this.host.ask(hook, input, holder);
      this.#answered(performance.now());
      return answer;
    } catch (error) {
      this.#faults++;
      if (error instanceof HookFault && error.killed) this.#killed(performance.now(), holder);
      throw error;
    } finally {
      this.#durations[this.#calls % KEPT] = Math.round((performance.now() - startedMs) * 1000);
    }
  }

  denied(): void {
    this.#denials++;
  }

  get figures(): PluginFigures {
    const sorted = this.#durations.filter((one) => one !== undefined).sort((a, b) => a - b);
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
    const now = performance.now();
    return {
      calls: this.#calls,
      denials: this.#denials,
      faults: this.#faults,
      p50Us: at(0.5),
      p99Us: at(0.99),
      breaker:
        now < this.#openUntil
          ? 'open'
          : [...this.#callers.values()].some(({ openUntil }) => now < openUntil)
            ? 'some'
            : 'closed',
    };
  }

  /** A few of the last answers are enough to weigh them against kills. */
  #answered(now: number): void {
    this.#answers.push(now);
    if (this.#answers.length > 64) this.#answers.shift();
  }

  #killed(now: number, holder: string): void {
    const since = now - WINDOW_MS;
    const record = this.#callers.get(holder) ?? { kills: [], openUntil: 0 };
    record.kills = [...record.kills.filter((at) => at > since), now];
    // The caller of the last kill stands last: the first are forgotten.
    this.#callers.delete(holder);
    this.#callers.set(holder, record);
    if (this.#callers.size > MAX_CALLERS) this.#callers.delete(this.#callers.keys().next().value as string);
    if (record.kills.length >= KILLS) {
      record.kills = [];
      record.openUntil = now + OPEN_MS;
      this.#onBreak(this.host, holder);
    }
    let kills = 0;
    let callers = 0;
    for (const one of this.#callers.values()) {
      const recent = one.kills.filter((at) => at > since).length + (one.openUntil > now ? KILLS : 0);
      if (recent > 0) callers++;
      kills += recent;
    }
    const answers = this.#answers.filter((at) => at > since).length;
    if (callers < CALLERS || kills <= answers) return;
    this.#callers.clear();
    this.#openUntil = now + OPEN_MS;
    this.#onBreak(this.host, undefined);
  }
}
