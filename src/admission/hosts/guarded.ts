// A breaker and figures around any host. A plugin that had to be ended three times within a minute is not asked for a while:
// its matches are denied at once, which costs the gateway nothing.
import { type Hook, type HookAnswer, HookFault, type PluginHost } from './host.ts';

const KILLS = 3;
const WINDOW_MS = 60_000;
/** How long an open breaker denies before the plugin is tried again, in ms. */
const OPEN_MS = 30_000;
/** Durations kept for the percentiles. */
const KEPT = 512;

export interface PluginFigures {
  readonly calls: number;
  readonly denials: number;
  readonly faults: number;
  /** In microseconds, of the last calls; undefined before the first. */
  readonly p50Us: number | undefined;
  readonly p99Us: number | undefined;
  readonly breaker: 'closed' | 'open';
}

export class GuardedHost {
  readonly host: PluginHost;
  readonly #onBreak: (host: PluginHost) => void;
  #kills: number[] = [];
  #openUntil = 0;
  #calls = 0;
  #faults = 0;
  #denials = 0;
  readonly #durations: number[] = [];

  /** @param onBreak told when the breaker opens */
  constructor(host: PluginHost, onBreak: (host: PluginHost) => void) {
    this.host = host;
    this.#onBreak = onBreak;
  }

  /** @throws {HookFault} */
  async ask(hook: Hook, input: string): Promise<HookAnswer> {
    const startedMs = performance.now();
    if (startedMs < this.#openUntil) {
      this.#faults++;
      throw new HookFault(
        `it was ended ${KILLS} times within a minute and is not asked until ${Math.ceil((this.#openUntil - startedMs) / 1000)} s from now`,
        false,
      );
    }
    this.#calls++;
    try {
      return await this.host.ask(hook, input);
    } catch (error) {
      this.#faults++;
      if (error instanceof HookFault && error.killed) this.#killed(performance.now());
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
    return {
      calls: this.#calls,
      denials: this.#denials,
      faults: this.#faults,
      p50Us: at(0.5),
      p99Us: at(0.99),
      breaker: performance.now() < this.#openUntil ? 'open' : 'closed',
    };
  }

  #killed(now: number): void {
    this.#kills = [...this.#kills.filter((at) => at > now - WINDOW_MS), now];
    if (this.#kills.length < KILLS) return;
    this.#kills = [];
    this.#openUntil = now + OPEN_MS;
    this.#onBreak(this.host);
  }
}
