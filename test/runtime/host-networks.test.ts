// Networks of this machine, as its kernel tells them.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { parseSubnet } from '../../src/policy/host/index.ts';
import { hostNetworks, routes4, routes6 } from '../../src/runtime/host-networks.ts';

it('routes4() and routes6() read the tables of Linux, without the default route', () => {
  const table = [
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    'eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0',
    'eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
    'tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0',
    'junk',
  ].join('\n');
  assert.deepEqual(routes4(table), ['192.168.1.0/24', '10.0.0.0/8']);
  const zero = '0'.repeat(32);
  const six = [
    `fd000000000000000000000000000000 08 ${zero} 00 ${zero} 00000100 00000001 00000000 00000001     eth0`,
    `${zero} 00 ${zero} 00 ${zero} ffffffff 00000001 00000000 00200200       lo`,
    `${zero.slice(1)}1 80 ${zero} 00 ${zero} 00000000 00000002 00000000 80200001       lo`,
  ].join('\n');
  assert.deepEqual(routes6(six), ['fd00:0000:0000:0000:0000:0000:0000:0000/8']);
});

it('hostNetworks() gives ranges that can be compared, without loopback', () => {
  for (const range of hostNetworks()) {
    assert.ok(parseSubnet(range) !== undefined, range);
    assert.ok(!range.startsWith('127.'), range);
  }
});
