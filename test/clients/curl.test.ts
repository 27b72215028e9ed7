// curl through every channel: a plain call, an upload that asks for leave first, a download and a followed stream.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { dockerDirect, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { type Ran, run, startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';
import { authorizationOf, CLIENT_CHANNELS, type ClientChannel, callerOverAll, clientEnv } from './channels.ts';

const PREFIX = `dg-curl-${IS_DENO ? 'deno' : 'node'}`;

describe('curl through dockgate', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  let caller: Awaited<ReturnType<typeof callerOverAll>>;
  let archive: string;

  before(async () => {
    removeContainers(PREFIX);
    gateway = await startGateway({ engine: ENGINE as string, unix: [{ name: 'op', identity: 'op' }] });
    await gateway.must('identity', 'create', 'op', '--policy', 'operator');
    caller = await callerOverAll(gateway, 'op');
    dockerDirect(
      ...['run', '-d', '--network', 'none', '--name', PREFIX, IMAGE, 'sh', '-c', 'echo one; sleep 300 & wait'],
    );
    archive = join(gateway.dir, 'archive.tar');
    // More than 1 MB: curl sends it only when asked to go on.
    writeFileSync(archive, Buffer.concat([tarEntry('sent', Buffer.alloc(3 << 20, 'x')), Buffer.alloc(1024)]));
  });
  after(async () => {
    removeContainers(PREFIX);
    await caller?.stop();
    await gateway?.remove();
  });

  function curl(channel: ClientChannel, path: string, ...more: string[]): Promise<Ran> {
    const env = clientEnv(gateway, channel, caller);
    const host = env.DOCKER_HOST as string;
    const authorization = authorizationOf(channel, caller.token);
    const folder = env.DOCKER_CERT_PATH ?? '';
    const at = host.startsWith('unix://')
      ? ['--unix-socket', host.slice('unix://'.length), `http://docker${path}`]
      : ['--cacert', join(folder, 'ca.pem'), `${host.replace('tcp', 'https')}${path}`];
    if (authorization !== undefined) at.push('-H', `Authorization: ${authorization}`);
    if (channel === 'mtls') at.push('--cert', join(folder, 'cert.pem'), '--key', join(folder, 'key.pem'));
    return run('curl', ['-sSv', ...more, ...at]);
  }

  for (const channel of CLIENT_CHANNELS) {
    it(`curl through dockgate asks, uploads, downloads and follows (${channel})`, async () => {
      const version = await curl(channel, '/version');
      assert.equal((JSON.parse(version.stdout) as { Os: string }).Os, 'linux', version.stderr);

      const sent = await curl(channel, `/containers/${PREFIX}/archive?path=/tmp`, '-T', archive);
      assert.match(sent.stderr, /> Expect: 100-continue/);
      assert.match(sent.stderr, /< HTTP\/1\.1 200/);
      const back = join(gateway.dir, `back-${channel}.tar`);
      const got = await curl(channel, `/containers/${PREFIX}/archive?path=/tmp/sent`, '-o', back);
      assert.equal(got.code, 0, got.stderr);
      assert.ok(readFileSync(back).includes(Buffer.alloc(3 << 20, 'x')));

      // The stream has no end: curl gives up, with what came till then.
      const followed = await curl(channel, `/containers/${PREFIX}/logs?stdout=1&follow=1`, '-N', '-m', '3');
      assert.equal(followed.code, 28, followed.stderr);
      assert.match(followed.stdout, /one\n$/);
    });
  }
});
