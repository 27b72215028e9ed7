// Whether the engine answers, for /readyz, the status and the metrics.
/** How long `/readyz` waits for the engine, in ms, and how long it believes the last answer. */
const READY_TIMEOUT_MS = 2000;
const READY_MEMORY_MS = 1000;

/** Asks the engine at most once per second, however often readiness is asked for. */
export function readinessOf(engine: { ping(timeoutMs: number): Promise<boolean> }): {
  last: boolean;
  ask(): Promise<boolean>;
} {
  let askedAt = 0;
  let running: Promise<boolean> | undefined;
  const state = {
    last: true,
    ask(): Promise<boolean> {
      if (running !== undefined) return running;
      if (Date.now() - askedAt < READY_MEMORY_MS) return Promise.resolve(state.last);
      running = engine.ping(READY_TIMEOUT_MS).then(
        (up) => up,
        () => false,
      );
      return running.then((up) => {
        askedAt = Date.now();
        running = undefined;
        state.last = up;
        return up;
      });
    },
  };
  return state;
}
