// Prometheus metrics through prom-client: what operators watch, none of it per identity (cardinality, and privacy).
// The meter the gateway calls keeps plain numbers, so that a call costs a map lookup; they become samples when scraped.
import { Counter, Gauge, type Metric, Registry } from 'prom-client';
import type { GatewayMeter } from '../gateway/parts.ts';
import type { LaneState } from '../proxy/lanes.ts';
import type { ConnectionCounts } from '../runtime/connections.ts';
import type { RetentionState } from '../store/retention.ts';
import type { SinkState } from '../store/sink-runner.ts';
import type { IntegrityState } from './audit-integrity.ts';

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
  /** What is known of the audit's integrity. */
  integrity?(): IntegrityState;
  /** External issuers and whether their keys are at hand. */
  issuers?(): readonly { readonly name: string; readonly status: string }[];
  /** Refusals of unknown callers that were counted and have no row of their own. */
  strangersCounted?(): number;
  /** Connections of each listener. */
  connections?(): readonly ConnectionCounts[];
  /** How full the lanes to the engine are, and that of calls under way. */
  lanes?(): Readonly<Record<string, LaneState>>;
  /** Sinks of the audit. */
  sinks?(): readonly SinkState[];
  /** How removing old rows of the audit stands; undefined where all are kept. */
  retention?(): RetentionState | undefined;
  /** Plugins in force, by the name of their use, since they were loaded. */
  plugins?(): readonly PluginState[];
  version: string;
}): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const counters = new Map<string, CallCount>();
  new Counter({
    name: 'dockgate_calls_total',
    help: 'Calls by action, decision and status class',
    labelNames: ['action', 'decision', 'status'] as const,
    registers,
    collect() {
      this.reset();
      for (const { action, decision, status, count } of counters.values())
        this.inc({ action, decision, status }, count);
    },
  });
  const durations = new Map<string, Durations>();
  registry.registerMetric(durationMetric(durations));
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
  integrityMetrics(registers, () => observe.integrity?.());
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
  new Counter({
    name: 'dockgate_strangers_counted_total',
    help: 'Refusals of callers without credentials that have no audit row of their own',
    registers,
    collect() {
      this.reset();
      this.inc(observe.strangersCounted?.() ?? 0);
    },
  });
  const sumOf = (key: keyof ConnectionCounts): number =>
    (observe.connections?.() ?? []).reduce((sum, counts) => sum + counts[key], 0);
  new Gauge({
    name: 'dockgate_connections',
    help: 'Open connections: with the credentials of an identity, and without so far',
    labelNames: ['caller'] as const,
    registers,
    collect() {
      this.set({ caller: 'unproven' }, sumOf('unproven'));
      this.set({ caller: 'identity' }, sumOf('open') - sumOf('unproven'));
    },
  });
  new Counter({
    name: 'dockgate_connections_turned_away_total',
    help: 'Connections refused, and silent ones closed to make room for others',
    labelNames: ['how'] as const,
    registers,
    collect() {
      this.reset();
      this.inc({ how: 'refused' }, sumOf('refused'));
      this.inc({ how: 'closed' }, sumOf('closed'));
    },
  });
  const ofLanes = (name: string, help: string, read: (of: LaneState) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['lane'] as const,
      registers,
      collect() {
        for (const [lane, state] of Object.entries(observe.lanes?.() ?? {})) this.set({ lane }, read(state));
      },
    });
  ofLanes('dockgate_places_used', 'Calls under way, and those at the engine by lane', ({ used }) => used);
  ofLanes('dockgate_waiting', 'Calls that wait for their turn at the engine by lane', (of) => of.waiting);
  ofLanes('dockgate_largest_share', 'Places of the identity that holds most', (of) => of.largestShare);
  new Counter({
    name: 'dockgate_refused_total',
    help: 'Calls refused because the lane was full or their identity had its share',
    labelNames: ['lane'] as const,
    registers,
    collect() {
      this.reset();
      for (const [lane, { refused }] of Object.entries(observe.lanes?.() ?? {})) this.inc({ lane }, refused);
    },
  });
  sinkMetrics(registers, () => observe.sinks?.() ?? []);
  pluginMetrics(registers, () => observe.plugins?.() ?? []);
  new Gauge({
    name: 'dockgate_audit_due_rows',
    help: 'Audit rows older or more than is to be kept that are still there',
    registers,
    collect() {
      this.set(observe.retention?.()?.dueRows ?? 0);
    },
  });
  new Gauge({
    name: 'dockgate_audit_held',
    help: '1 while an audit row that is due has to stay: a hold, an open call, a sink that does not have it',
    registers,
    collect() {
      this.set(observe.retention?.()?.heldBy === undefined ? 0 : 1);
    },
  });
  new Gauge({
    name: 'dockgate_audit_retention_healthy',
    help: '0 while audit rows that are due cannot be exported or removed',
    registers,
    collect() {
      this.set(observe.retention?.()?.fault === undefined ? 1 : 0);
    },
  });
  new Counter({
    name: 'dockgate_audit_removed_rows_total',
    help: 'Audit rows that were exported and removed',
    registers,
    collect() {
      this.reset();
      this.inc(observe.retention?.()?.removedRows ?? 0);
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

  let open = 0;
  return {
    started() {
      flying++;
    },
    finished({ action, decision, status, durationUs }) {
      flying--;
      const byStatus = `${action} ${decision} ${status}`;
      let counter = counters.get(byStatus);
      if (counter === undefined) {
        counter = { action, decision, status: `${Math.floor(status / 100)}xx`, count: 0 };
        counters.set(byStatus, counter);
      }
      counter.count++;
      if (status === 101) return;
      let duration = durations.get(decision);
      if (duration === undefined) {
        duration = { counts: new Array<number>(DURATION_BUCKETS.length + 1).fill(0), sum: 0 };
        durations.set(decision, duration);
      }
      const seconds = durationUs / 1e6;
      let bucket = 0;
      while (bucket < DURATION_BUCKETS.length && seconds > (DURATION_BUCKETS[bucket] as number)) bucket++;
      duration.counts[bucket] = (duration.counts[bucket] as number) + 1;
      duration.sum += seconds;
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

/** What is counted of a plugin. */
export interface PluginState {
  readonly name: string;
  readonly figures: {
    readonly calls: number;
    readonly denials: number;
    readonly faults: number;
    readonly breaker: 'closed' | 'some' | 'open';
  };
}

const BREAKER = { closed: 0, some: 0.5, open: 1 } as const;

function pluginMetrics(registers: Registry[], states: () => readonly PluginState[]): void {
  const labelNames = ['plugin'] as const;
  new Gauge({
    name: 'dockgate_plugin_breaker',
    help: 'Per plugin: 1 while all its calls are denied because it was ended again and again, 0.5 for calls of some callers',
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { name, figures } of states()) this.set({ plugin: name }, BREAKER[figures.breaker]);
    },
  });
  const counter = (name: string, help: string, read: (figures: PluginState['figures']) => number) =>
    new Counter({
      ...{ name, help, labelNames, registers },
      collect() {
        this.reset();
        for (const state of states()) this.inc({ plugin: state.name }, read(state.figures));
      },
    });
  counter('dockgate_plugin_asked_total', 'Questions to the plugin since it was loaded', ({ calls }) => calls);
  counter('dockgate_plugin_denials_total', 'Calls the plugin denied since it was loaded', ({ denials }) => denials);
  counter(
    'dockgate_plugin_faults_total',
    'Questions without an answer that can be used since it was loaded',
    ({ faults }) => faults,
  );
}

/** What is to be known of the audit's sinks, by the name the settings give each. */
function sinkMetrics(registers: Registry[], states: () => readonly SinkState[]): void {
  const labelNames = ['sink'] as const;
  const gauge = (name: string, help: string, read: (state: SinkState) => number) =>
    new Gauge({
      ...{ name, help, labelNames, registers },
      collect() {
        this.reset();
        for (const state of states()) this.set({ sink: state.name }, read(state));
      },
    });
  const counter = (name: string, help: string, read: (state: SinkState) => number) =>
    new Counter({
      ...{ name, help, labelNames, registers },
      collect() {
        this.reset();
        for (const state of states()) this.inc({ sink: state.name }, read(state));
      },
    });
  gauge('dockgate_sink_lag_rows', 'Audit rows the sink does not have yet', (state) => state.lagRows);
  gauge('dockgate_sink_lag_seconds', 'Age of the oldest audit row the sink does not have yet', (of) => of.lagSeconds);
  counter(
    'dockgate_sink_failures_total',
    'Deliveries to the sink that failed and are tried again',
    (of) => of.failures,
  );
  counter('dockgate_sink_rows_total', 'Audit rows the sink has taken', (state) => state.deliveredRows);
  counter('dockgate_sink_refused_rows_total', 'Audit rows the sink said it will not take', (of) => of.refusedRows);
}

/** Whether the audit log is what was written, and how far that is proved. */
function integrityMetrics(registers: Registry[], state: () => IntegrityState | undefined): void {
  const gauge = (name: string, help: string, read: (of: IntegrityState) => number | undefined) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        const now = state();
        const value = now === undefined ? undefined : read(now);
        if (value === undefined) this.reset();
        else this.set(value);
      },
    });
  gauge('dockgate_audit_intact', '0 once the audit log was found altered, 1 while it was not', ({ log }) =>
    log === 'altered' ? 0 : 1,
  );
  gauge('dockgate_audit_signing', '0 while the audit log cannot be signed', ({ notSigned }) =>
    notSigned === undefined ? 1 : 0,
  );
  gauge('dockgate_audit_signed_rows', 'Rows the newest checkpoint covers', ({ signedThrough }) => signedThrough ?? 0);
  gauge('dockgate_audit_verified_timestamp_seconds', 'When the newest part of the audit log was last verified', (of) =>
    of.verifiedAt === undefined ? 0 : Date.parse(of.verifiedAt) / 1000,
  );
}

/** Calls of one action, decision and status; statuses of one class share a sample. */
interface CallCount {
  readonly action: string;
  readonly decision: string;
  readonly status: string;
  count: number;
}

/** How long the calls of one decision took: how many fell into each bucket (the last one has no end), and their sum in seconds. */
interface Durations {
  readonly counts: number[];
  sum: number;
}

/** prom-client's own histogram works out labels and checks them on each observation; this one is only read through it. */
function durationMetric(durations: ReadonlyMap<string, Durations>): Metric {
  const name = 'dockgate_call_duration_seconds';
  const metric = {
    name,
    help: 'Time from the head of a call to the end of its answer, streams left out',
    type: 'histogram',
    aggregator: 'sum',
    reset: () => {},
    async get() {
      const values = [...durations].flatMap(([decision, { counts, sum }]) => {
        let total = 0;
        const buckets = counts.map((count, i) => {
          total += count;
          return {
            metricName: `${name}_bucket`,
            labels: { le: DURATION_BUCKETS[i] ?? '+Inf', decision },
            value: total,
          };
        });
        return [
          ...buckets,
          { metricName: `${name}_sum`, labels: { decision }, value: sum },
          { metricName: `${name}_count`, labels: { decision }, value: total },
        ];
      });
      const { help, type, aggregator } = metric;
      return { name, help, type, aggregator, values };
    },
  };
  return metric as unknown as Metric;
}
