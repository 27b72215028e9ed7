// Uploads against a real engine: decided before a byte of them is asked for, carried in chunks or by length, and answered
// early where the engine does.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { dockerDirect, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { run } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { type RawGateway, startRawGateway, TRANSPORTS } from './raw-client.ts';

const PREFIX = `dg-uploads-${IS_DENO ? 'deno' : 'node'}`;

describe('uploads', { skip: skipWithoutCli }, () => {
  let raw: RawGateway;
  let tar: Buffer;
  let tarFile: string;
  before(async () => {
    removeContainers(PREFIX);
    raw = await startRawGateway({ policy: 'baseline' });
    dockerDirect('run', '-d', '--network', 'none', '--name', `${PREFIX}-box`, IMAGE, 'sleep', '300');
    const folder = mkdtempSync(join(tmpdir(), 'upload-'));
    writeFileSync(join(folder, 'big'), Buffer.alloc(3 * 1024 * 1024, 'x'));
    tar = execFileSync('tar', ['-c', '-C', folder, 'big'], { maxBuffer: 16 * 1024 * 1024 });
    tarFile = join(folder, 'big.tar');
    writeFileSync(tarFile, tar);
  });
  after(async () => {
    removeContainers(PREFIX);
    await raw?.gateway.remove();
  });

  const at = (path: string) => `PUT /containers/${PREFIX}-box/archive?path=${path}`;
  const sizeOf = (path: string) => dockerDirect('exec', `${PREFIX}-box`, 'wc', '-c', path).split(' ')[0];
  const chunked = (data: Buffer) =>
    Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n0\r\n\r\n')]);

  for (const transport of TRANSPORTS) {
    describe(`over ${transport}`, () => {
      const name = `/tmp/${transport}`;
      before(() => {
        dockerDirect('exec', `${PREFIX}-box`, 'mkdir', '-p', `${name}-length`, `${name}-chunks`, `${name}-expect`);
      });

      it('an upload with a length and one in chunks arrive whole', async () => {
        const client = await raw.connect(transport);
        client.send(raw.head(transport, at(`${name}-length`), `Content-Length: ${tar.length}`));
        client.send(tar);
        assert.equal((await client.answer()).status, 200);
        client.send(raw.head(transport, at(`${name}-chunks`), 'Transfer-Encoding: chunked'));
        client.send(chunked(tar));
        assert.equal((await client.answer()).status, 200);
        client.destroy();
        assert.equal(sizeOf(`${name}-length/big`), String(3 * 1024 * 1024));
        assert.equal(sizeOf(`${name}-chunks/big`), String(3 * 1024 * 1024));
      });

      it('an upload with Expect: 100-continue is told to go on, and only once it is judged', async () => {
        const client = await raw.connect(transport);
        client.send(raw.head(transport, at(`${name}-expect`), `Content-Length: ${tar.length}`, 'Expect: 100-continue'));
        assert.equal((await client.answer()).status, 100);
        client.send(tar);
        assert.equal((await client.answer()).status, 200);
        client.destroy();
        assert.equal(sizeOf(`${name}-expect/big`), String(3 * 1024 * 1024));
      });

      for (const [title, line, status] of [
        ['policy does not allow', 'POST /images/load', 403],
        ['to an unknown path', 'POST /containers/x/nothing', 404],
      ] as const) {
        it(`an upload ${title} is refused without being asked for`, async () => {
          const client = await raw.connect(transport);
          client.send(raw.head(transport, line, 'Content-Length: 1000000', 'Expect: 100-continue'));
          const { status: got, headers } = await client.answer();
          assert.equal(got, status);
          assert.equal(headers['content-type'], 'application/json');
          client.destroy();
        });
      }

      it('the engine’s answer to an upload it does not want comes before the upload ends', async () => {
        const client = await raw.connect(transport);
        client.send(
          raw.head(transport, `PUT /containers/${PREFIX}-absent/archive?path=/`, 'Transfer-Encoding: chunked'),
        );
        // The engine first reads some 256 KB of an unwanted body (Go's net/http), then answers and reads no more.
        client.send(Buffer.concat([Buffer.from('80000\r\n'), Buffer.alloc(0x80000, 'x'), Buffer.from('\r\n')]));
        const { status, headers } = await client.answer();
        assert.equal(status, 404);
        assert.equal(headers['content-type'], 'application/json');
        client.destroy();
      });
    });
  }

  it('a caller without a token is refused without being asked for its upload', async () => {
    for (const transport of ['tcp', 'tls'] as const) {
      const client = await raw.connect(transport);
      client.send(
        `${at('/tmp')} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer no\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n`,
      );
      const { status, headers } = await client.answer();
      assert.equal(status, 401);
      assert.match(headers['www-authenticate'] ?? '', /^Bearer realm="dockgate"/);
      client.destroy();
    }
  });

  it('curl -T uploads with a token in either header, and is refused without', async () => {
    const url = `https://127.0.0.1:${raw.gateway.port}/containers/${PREFIX}-box/archive?path=/tmp`;
    const upload = (...args: string[]) =>
      run('curl', ['-sS', '-o', '/dev/null', '-w', '%{http_code} %{size_upload}', ...args, '-T', tarFile, url]);
    const ca = ['--cacert', join(raw.gateway.dir, 'data', 'ca.pem')];
    assert.equal((await upload(...ca, '-H', `Authorization: Bearer ${raw.token}`)).stdout, `200 ${tar.length}`);
    assert.equal((await upload(...ca, '-u', `bot:${raw.token}`)).stdout, `200 ${tar.length}`);
    assert.equal((await upload(...ca, '-u', 'bot:wrong')).stdout, '401 0');
  });
});
