// Hours, days, time zones and freezes, to the minute on both sides.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pluginTable } from '../support/plugin-table.ts';

const berlin = {
  timeZone: 'Europe/Berlin',
  open: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:00', to: '18:00' }],
  freezes: [{ from: '2026-12-20', to: '2027-01-03', reason: 'end of year' }],
  except: ['container.stop'],
};
const always = { timeZone: 'Europe/Berlin', freezes: berlin.freezes };
const night = { open: [{ days: ['sat'], from: '22:00', to: '06:00' }] };
const closed = 'outside-time-window';

describe('time-window', () => {
  const ask = pluginTable('time-window');
  for (const [at, config, verdict, call = 'POST /containers/c/start'] of [
    ['2026-06-03T05:59:59Z', berlin, closed],
    ['2026-06-03T06:00:00Z', berlin, 'pass'],
    ['2026-06-03T15:59:59Z', berlin, 'pass'],
    ['2026-06-03T16:00:00Z', berlin, closed],
    ['2026-12-02T06:59:00Z', berlin, closed],
    ['2026-12-02T07:00:00Z', berlin, 'pass'],
    ['2026-06-06T10:00:00Z', berlin, closed],
    ['2026-12-19T23:30:00Z', always, 'change-freeze'],
    ['2026-12-19T22:30:00Z', always, 'pass'],
    ['2027-01-03T22:59:00Z', always, 'change-freeze'],
    ['2027-01-03T23:00:00Z', always, 'pass'],
    ['2026-12-24T10:00:00Z', berlin, 'pass', 'POST /containers/c/stop'],
    ['2026-06-06T21:59:00Z', night, closed],
    ['2026-06-06T22:00:00Z', night, 'pass'],
    ['2026-06-07T05:59:00Z', night, 'pass'],
    ['2026-06-07T06:00:00Z', night, closed],
    ['2026-06-06T05:00:00Z', night, closed],
    ['2026-06-06T05:00:00Z', { ...night, actions: ['service.*'] }, 'pass'],
  ] as const) {
    it(`${verdict}: ${call} at ${at}`, async () => {
      const told = await ask({ call, at, config });
      assert.equal(told.verdict, verdict, told.message);
    });
  }
  it('time-window does not load with a zone that does not exist or a freeze that ends before it begins', async () => {
    const call = 'POST /containers/c/start';
    await assert.rejects(ask({ call, config: { timeZone: 'Mars/Base' } }), /timeZone Mars\/Base is unknown/);
    const freezes = [{ from: '2026-02-01', to: '2026-01-01' }];
    await assert.rejects(ask({ call, config: { freezes } }), /ends \(2026-01-01\) before it begins/);
  });
});
