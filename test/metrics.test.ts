// What the metrics say beyond calls: how the external issuers are doing, and only those in force.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '../src/metrics.ts';

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
