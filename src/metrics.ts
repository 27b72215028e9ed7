// Prometheus metrics through prom-client: what operators watch, none of it per identity (cardinality, and privacy).
// The meter the gateway calls is bound once per label set, so that a call costs a map lookup.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { GatewayMeter } from './gateway/parts.ts';

/** Buckets of call durations, in seconds: the gateway adds fractions of a millisecond, engines take up to minutes. */
const DURATION_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];

export interface Metrics extends GatewayMeter {
  /** Prometheus text exposition format 0.0.4. */
  text(): Promise<string>;
}

/** @param observe values read when the metrics are scraped */
export function createMetrics(observe: {
  auditHealthy(): boolean;
  engineReachable(): boolean;
  /** External issuers and whether their keys are at hand. */
  issuers?(): readonly { readonly name: string; readonly status: string }[];
  version: string;
}): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const calls = new Counter({
    name: 'dockgate_calls_total',
    help: 'Calls by action, decision and status class',
    labelNames: ['action', 'decision', 'status'] as const,
    registers,
  });
  const duration = new Histogram({
    name: 'dockgate_call_duration_seconds',
    help: 'Time from the head of a call to the end of its answer, streams left out',
    labelNames: ['decision'] as const,
    buckets: DURATION_BUCKETS,
    registers,
  });
  let flying = 0;
  new Gauge({
    name: 'dockgate_calls_in_flight',
    help: 'Calls under way',
    registers,
    collect() {
      this.set(flying);
    },
  });
  const streams = new Gauge({ name: 'dockgate_streams_open', help: 'Hijacked connections open', registers });
  new Gauge({
    name: 'dockgate_audit_healthy',
    help: '1 while the audit log can be written',
    registers,
    collect() {
      this.set(observe.auditHealthy() ? 1 : 0);
    },
  });
  new Gauge({
    name: 'dockgate_engine_reachable',
    help: '1 while the engine answered when last asked',
    registers,
    collect() {
      this.set(observe.engineReachable() ? 1 : 0);
    },
  });
  new Gauge({
    name: 'dockgate_issuer_keys',
    help: 'Per external issuer: 1 with fresh keys, 0.5 while older ones bridge an outage, 0 without',
    labelNames: ['issuer'] as const,
    registers,
    collect() {
      this.reset();
      for (const { name, status } of observe.issuers?.() ?? []) {
        this.set({ issuer: name }, status === 'ready' ? 1 : status === 'stale' ? 0.5 : 0);
      }
    },
  });
  new Gauge({
    name: 'dockgate_info',
    help: 'Version of the gateway',
    labelNames: ['version'] as const,
    registers,
  }).set({ version: observe.version }, 1);
  new Gauge({
    name: 'dockgate_resident_memory_bytes',
    help: 'Resident memory of the process',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });

  const counters = new Map<string, { inc(): void }>();
  const durations = new Map<string, { observe(seconds: number): void }>();
  let open = 0;
  return {
    started() {
      flying++;
    },
    finished({ action, decision, status, durationUs }) {
      flying--;
      const key = `${action} ${decision} ${status}`;
      let counter = counters.get(key);
      if (counter === undefined) {
        counter = calls.labels({ action, decision, status: `${Math.floor(status / 100)}xx` });
        counters.set(key, counter);
      }
      counter.inc();
      if (status === 101) return;
      let timer = durations.get(decision);
      if (timer === undefined) {
        timer = duration.labels({ decision });
        durations.set(decision, timer);
      }
      timer.observe(durationUs / 1e6);
    },
    streamOpened() {
      streams.set(++open);
    },
    streamClosed() {
      streams.set(--open);
    },
    text: () => registry.metrics(),
  };
}
