// TCP keep-alive as the kernel has it, looked at from outside with `ss`: on the connections a listener accepts, and on those
// that are dialled to engines and gateways. A stream that idles for hours must notice a peer that is gone.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { silentLogger } from '../../src/log.ts';
import type { EngineAddress } from '../../src/proxy/types.ts';
import { dial } from '../../src/runtime/dial.ts';
import { listen, type RunningListener } from '../../src/runtime/listen.ts';
import { loopbackMaterial } from '../support/certificates.ts';
import { makeOutsideCa } from '../support/outside-ca.ts';
import { IS_DENO } from '../support/runtime.ts';
import { until } from '../support/until.ts';

const LIMITS = { headBytes: 8192, headTimeoutMs: 60_000, idleTimeoutMs: 60_000, connections: 9, connectionsPerIp: 9 };

/** The kernel's line for the connection between two ports of this machine; undefined when there is none. */
const lineOf = (source: number, destination: number): string | undefined =>
  spawnSync('ss', ['-tnoH', `sport = :${source} and dport = :${destination}`], { encoding: 'utf8' }).stdout?.trim();
/** Probes begin after 60 s. */
const KEPT = /timer:\(keepalive,(59|60)/;
/** Deno's own TLS connections can only be told the system's time. */
const DIALLED_TLS = IS_DENO ? /timer:\(keepalive,/ : KEPT;

describe('TCP keep-alive', {
  skip: spawnSync('ss', ['-tnoH']).status === 0 ? false : 'ss (iproute2) is not here to look with',
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-keep-'));
  let ca: string;
  let material: { cert: string; key: string };
  before(async () => {
    ({ ca, material } = await loopbackMaterial(folder));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const WAYS: readonly [name: string, tls: () => Promise<EngineAddress['tls']>, dialled: RegExp][] = [
    ['TCP', async () => undefined, KEPT],
    ['TLS', async () => ({ ca }), DIALLED_TLS],
    // Deno's call that takes a certificate makes a connection that cannot be told anything.
    [
      'TLS with a client certificate',
      async () => ({ ca, ...(await (await makeOutsideCa()).issue()) }),
      IS_DENO ? /^ESTAB/ : KEPT,
    ],
  ];
  for (const [name, makeTls, dialled] of WAYS) {
    it(`TCP keep-alive is on for both ends of ${name}, from the first request on`, async () => {
      const tls = await makeTls();
      let at: RunningListener | undefined;
      let near: Duplex | undefined;
      try {
        let port = 0;
        at = await listen(
          { kind: tls === undefined ? 'http' : 'https', host: '127.0.0.1', port: 0 },
          {
            onRequest(incoming, outgoing) {
              port = incoming.socket.remotePort ?? (incoming.socket.address() as AddressInfo).port;
              outgoing.write('begun');
            },
            onCheckContinue() {},
            onUpgrade() {},
            wantsUpgrade: () => false,
            onUnreadable: (code) => code,
          },
          LIMITS,
          silentLogger,
          tls === undefined ? undefined : material,
        );
        const served = at.port as number;
        const address = { kind: 'tcp', host: '127.0.0.1', port: served } as const;
        near = await dial(tls === undefined ? address : { ...address, tls }, 10_000);
        near.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
        await until('the request', () => port);
        // While bytes wait to be acknowledged the kernel shows that timer instead.
        await until('keep-alive of the listener', () => KEPT.test(lineOf(served, port) ?? ''), 10_000);
        await until('keep-alive of the dialled end', () => dialled.test(lineOf(port, served) ?? ''), 10_000);
      } finally {
        near?.destroy();
        await at?.close();
      }
    });
  }
});
