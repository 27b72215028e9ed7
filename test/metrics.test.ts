// What the metrics say beyond calls: how the external issuers are doing, and only those in force.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics, type PluginState } from '../src/app/metrics.ts';

test('the keys of every external issuer are a gauge, and an issuer that is gone leaves none behind', async () => {
  let issuers = [
    { name: 'github', status: 'ready' },
    { name: 'gitlab', status: 'stale' },
    { name: 'sso', status: 'down' },
  ];
  const metrics = createMetrics({
    auditHealthy: () => true,
    engineReachable: () => true,
    issuers: () => issuers,
    version: '0',
  });
  const gauges = async () =>
    (await metrics.text()).split('\n').filter((line) => line.startsWith('dockgate_issuer_keys{'));
  assert.deepEqual(await gauges(), [
    'dockgate_issuer_keys{issuer="github"} 1',
    'dockgate_issuer_keys{issuer="gitlab"} 0.5',
    'dockgate_issuer_keys{issuer="sso"} 0',
  ]);
  issuers = [{ name: 'github', status: 'ready' }];
  assert.deepEqual(await gauges(), ['dockgate_issuer_keys{issuer="github"} 1']);
});

test('calls are counted by action, decision and status class, and their durations by bucket', async () => {
  const metrics = createMetrics({ auditHealthy: () => true, engineReachable: () => true, version: '0' });
  const call = (status: number, durationUs: number, decision: 'allow' | 'deny' = 'allow') => {
    metrics.started();
    metrics.finished({ action: 'container.list', decision, status, durationUs });
  };
  call(200, 400);
  call(204, 500);
  call(200, 70_000_000);
  call(403, 1_500, 'deny');
  // A stream's length says nothing of the gateway.
  call(101, 3_600_000_000);
  const lines = (await metrics.text()).split('\n');
  const of = (name: string) => lines.filter((line) => line.startsWith(name));
  assert.deepEqual(of('dockgate_calls_total'), [
    'dockgate_calls_total{action="container.list",decision="allow",status="2xx"} 3',
    'dockgate_calls_total{action="container.list",decision="deny",status="4xx"} 1',
    'dockgate_calls_total{action="container.list",decision="allow",status="1xx"} 1',
  ]);
  assert.ok(lines.includes('# TYPE dockgate_call_duration_seconds histogram'));
  const buckets = of('dockgate_call_duration_seconds_bucket');
  assert.equal(buckets[0], 'dockgate_call_duration_seconds_bucket{le="0.0005",decision="allow"} 2');
  assert.equal(buckets[14], 'dockgate_call_duration_seconds_bucket{le="60",decision="allow"} 2');
  assert.equal(buckets[15], 'dockgate_call_duration_seconds_bucket{le="+Inf",decision="allow"} 3');
  assert.equal(buckets[17], 'dockgate_call_duration_seconds_bucket{le="0.001",decision="deny"} 0');
  assert.equal(buckets[18], 'dockgate_call_duration_seconds_bucket{le="0.0025",decision="deny"} 1');
  assert.deepEqual(of('dockgate_call_duration_seconds_count'), [
    'dockgate_call_duration_seconds_count{decision="allow"} 3',
    'dockgate_call_duration_seconds_count{decision="deny"} 1',
  ]);
  assert.deepEqual(of('dockgate_calls_in_flight'), ['dockgate_calls_in_flight 0']);
});

test('the breaker of every plugin is a gauge, and one that is gone leaves none behind', async () => {
  const figures = { calls: 5, denials: 2, faults: 1 };
  let plugins = [
    { name: 'fine', figures: { ...figures, breaker: 'closed' as const } },
    { name: 'greedy', figures: { ...figures, breaker: 'some' as const } },
    { name: 'broken', figures: { ...figures, breaker: 'open' as const } },
  ] as readonly PluginState[];
  const metrics = createMetrics({
    auditHealthy: () => true,
    engineReachable: () => true,
    plugins: () => plugins,
    version: '0',
  });
  const lines = async (name: string) =>
    (await metrics.text()).split('\n').filter((line) => line.startsWith(`dockgate_plugin_${name}{`));
  assert.deepEqual(await lines('breaker'), [
    'dockgate_plugin_breaker{plugin="fine"} 0',
    'dockgate_plugin_breaker{plugin="greedy"} 0.5',
    'dockgate_plugin_breaker{plugin="broken"} 1',
  ]);
  plugins = plugins.slice(0, 1);
  assert.deepEqual(await lines('breaker'), ['dockgate_plugin_breaker{plugin="fine"} 0']);
  assert.deepEqual(await lines('denials_total'), ['dockgate_plugin_denials_total{plugin="fine"} 2']);
});
