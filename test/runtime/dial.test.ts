// Connections as they are dialled to engines, gateways and issuers: who is believed to be at the other end, half-close
// both ways, and backpressure, over TLS with each kind of material, beside TCP and a unix socket.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import type { EngineAddress } from '../../src/proxy/types.ts';
import { dial } from '../../src/runtime/dial.ts';
import { makePausable } from '../../src/runtime/pausable.ts';
import { loopbackMaterial } from '../support/certificates.ts';
import { makeLookalike } from '../support/lookalike.ts';
import { makeOutsideCa } from '../support/outside-ca.ts';
import { IS_DENO } from '../support/runtime.ts';

const MIB = 1024 * 1024;
/** What is sent, and the most that may be on its way without a reader, in MiB. */
const SENT = 64;
const MAX_AHEAD = 32;

describe('a dialled connection', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dg-dial-'));
  const open = new Set<net.Socket>();
  const servers: net.Server[] = [];
  let ca: string;
  let material: { cert: string; key: string };
  before(async () => {
    ({ ca, material } = await loopbackMaterial(folder));
  });
  after(() => {
    for (const socket of open) socket.destroy();
    for (const server of servers) server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Listens; @returns where, and the other end of the next connection */
  async function serve(
    how: 'unix' | 'tcp' | { cert: string; key: string },
  ): Promise<{ address: EngineAddress; next: Promise<net.Socket> }> {
    let took: (socket: net.Socket) => void;
    const next = new Promise<net.Socket>((resolve) => {
      took = resolve;
    });
    const accept = (socket: net.Socket) => {
      open.add(socket.on('error', () => socket.destroy()));
      makePausable(socket);
      took(socket);
    };
    const server =
      typeof how === 'string'
        ? net.createServer({ allowHalfOpen: true }, accept)
        : tls.createServer({ allowHalfOpen: true, ...how } as tls.TlsOptions, accept);
    servers.push(server);
    const path = join(folder, `${servers.length}.sock`);
    if (how === 'unix') server.listen(path);
    else server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address: EngineAddress =
      how === 'unix'
        ? { kind: 'unix', path }
        : { kind: 'tcp', host: '127.0.0.1', port: (server.address() as net.AddressInfo).port };
    return { address, next };
  }

  const WAYS: readonly [name: string, more: () => Promise<EngineAddress['tls']>][] = [
    ['a unix socket', async () => undefined],
    ['TCP', async () => undefined],
    ['TLS', async () => ({ ca })],
    ['TLS to another name', async () => ({ ca, servername: 'localhost' })],
    ['TLS with a client certificate', async () => ({ ca, ...(await (await makeOutsideCa()).issue()) })],
  ];
  for (const [name, more] of WAYS) {
    const connect = async (): Promise<[Duplex, net.Socket]> => {
      const extra = await more();
      const { address, next } = await serve(name === 'a unix socket' ? 'unix' : extra === undefined ? 'tcp' : material);
      const dialled = dial(extra === undefined ? address : { ...address, tls: extra }, 10_000);
      return [await dialled, await next];
    };

    it(`over ${name} ends each direction by itself`, async () => {
      for (const first of ['ours', 'theirs'] as const) {
        const [near, far] = await connect();
        const [ending, other] = first === 'ours' ? [near, far] : [far, near];
        const told = readAll(other);
        ending.end('the end');
        assert.equal(await told, 7);
        const answered = readAll(ending);
        other.write('after ');
        other.end('all');
        assert.equal(await answered, 9);
      }
    });

    it(`over ${name} makes the faster side wait, both ways`, async () => {
      const [near, far] = await connect();
      for (const [from, to] of [
        [far, near],
        [near, far],
      ] as const) {
        to.pause();
        const { left, taken } = await fill(from);
        assert.ok(taken < MAX_AHEAD, `${taken} MiB were taken without a reader`);
        const read = readAll(to);
        for (let i = 0; i < left; i++) if (!from.write(PIECE)) await once(from, 'drain');
        from.end();
        assert.equal(await read, SENT * MIB);
      }
    });
  }

  it('a dialled connection is not made to one whose certificate only bears the name of the authority', async () => {
    const authority = await makeOutsideCa({ name: 'Corp CA' });
    const { address } = await serve(makeLookalike('Corp CA', 'localhost'));
    for (const extra of [{}, await authority.issue()]) {
      const at = { ...address, host: 'localhost', tls: { ca: authority.pem, ...extra } };
      await assert.rejects(dial(at, 10_000), /certificate|signature/i);
    }
  });

  it('a dialled connection is not made to one with another name, nor to one of another authority', async () => {
    const { address } = await serve(material);
    await assert.rejects(dial({ ...address, tls: { ca, servername: 'other.example' } }, 10_000));
    const { pem } = await makeOutsideCa();
    await assert.rejects(dial({ ...address, tls: { ca: pem } }, 10_000));
  });

  it('a dialled connection with a client certificate to another name is refused in words', {
    skip: IS_DENO ? false : 'Node has both',
  }, async () => {
    const { address } = await serve(material);
    const own = await (await makeOutsideCa()).issue();
    await assert.rejects(dial({ ...address, tls: { ca, ...own, servername: 'localhost' } }, 10_000), /servername/);
  });
});

const PIECE = Buffer.alloc(MIB, 97);

/** Writes until the other side takes no more. @returns what is left to write, and what was taken, in MiB */
async function fill(stream: Duplex): Promise<{ left: number; taken: number }> {
  let written = 0;
  while (written < SENT) {
    written++;
    if (stream.write(PIECE)) continue;
    const drained = await Promise.race([
      once(stream, 'drain').then(() => true),
      new Promise<boolean>((resolve) => setTimeout(resolve, 300, false)),
    ]);
    if (!drained) break;
  }
  return { left: SENT - written, taken: written - stream.writableLength / MIB };
}

function readAll(stream: Duplex): Promise<number> {
  return new Promise((resolve, reject) => {
    let size = 0;
    stream.on('data', (data: Buffer) => {
      size += data.length;
    });
    stream.on('end', () => resolve(size)).on('error', reject);
    stream.resume();
  });
}
