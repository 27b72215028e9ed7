// Folders a policy lists as read-only, on real engines: with other mounts below them they are mounted only where the engine makes
// those read-only too, and nothing is written into them by an archive.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { must } from '../support/api.ts';
import { LONG_LINES } from '../support/engine.ts';
import { type HostRulesGateway, PODMAN_LINE, sleeper, startHostRules } from '../support/host-rules.ts';
import { IS_DENO } from '../support/runtime.ts';
import { tarEntry } from '../support/tar.ts';

const PREFIX = `dg-ro-${IS_DENO ? 'deno' : 'node'}`;

for (const { line, socket, skip } of [...LONG_LINES, PODMAN_LINE]) {
  describe(`read-only roots on ${line}`, { skip }, () => {
    let gateway: HostRulesGateway;
    let folder: string;
    let isDeep: boolean;
    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'dg-ro-'));
      gateway = await startHostRules(socket as string, {
        ro: `- { name: run, effect: allow, actions: [container.create, container.start, container.remove, "container.archive.*", container.exec.create], host: { preset: baseline, binds: [{ path: ${folder}, readOnly: true }], runtimes: [io.containerd.runsc.v1] } }`,
      });
      await gateway.clean(PREFIX);
      const { ApiVersion } = await must<{ ApiVersion: string }>(gateway.engine, 'GET', '/version');
      isDeep = Number(ApiVersion.split('.')[1]) >= 44;
    });
    after(async () => {
      await gateway?.clean(PREFIX);
      await gateway?.remove();
      rmSync(folder, { recursive: true, force: true });
    });

    const create = (host: object) =>
      gateway.as('ro')('POST', `/containers/create?name=${PREFIX}-c`, {
        body: sleeper(host as Record<string, unknown>),
      });

    it('are mounted where mounts below them are read-only too, and refused with the remedy elsewhere', async () => {
      for (const host of [
        { Binds: [`${folder}:/x:ro`] },
        { Mounts: [{ Type: 'bind', Source: folder, Target: '/x', ReadOnly: true }] },
      ]) {
        const made = await create(host);
        assert.equal(made.status, isDeep ? 201 : 403, made.text);
        if (!isDeep) assert.match(made.text, /mounts below it writable \(allowed: (?:API 1\.44|Docker 25)/);
        await gateway.clean(PREFIX);
      }
      const runtime = await create({ Binds: [`${folder}:/x:ro`], Runtime: 'io.containerd.runsc.v1' });
      assert.equal(runtime.status, 403, runtime.text);
      if (isDeep) assert.match(runtime.text, /with the runtime .*runsc.* does for the folder alone/);
    });

    it('are written to by no archive, also into a container others made', async () => {
      const ro = gateway.as('ro');
      await must(
        gateway.engine,
        'POST',
        `/v1.41/containers/create?name=${PREFIX}-o`,
        sleeper({ Binds: [`${folder}:/x:ro`] }),
      );
      await must(gateway.engine, 'POST', `/v1.41/containers/create?name=${PREFIX}-p`, sleeper());
      const put = (name: string, path: string, entry: string) =>
        ro('PUT', `/containers/${PREFIX}-${name}/archive?path=${path}`, {
          body: Buffer.concat([tarEntry(entry, 'x'), Buffer.alloc(1024)]),
        });
      for (const [path, entry] of [
        ['/x', 'a'],
        ['/', 'x/a'],
      ] as const) {
        const written = await put('o', path, entry);
        assert.notEqual(written.status, 200, written.text);
        if (!isDeep) assert.equal(written.status, 403, written.text);
      }
      assert.equal((await put('p', '/tmp', 'a')).status, 200);
      // What only reads changes nothing below it.
      assert.equal((await ro('GET', `/containers/${PREFIX}-o/archive?path=/x`)).status, 200);
    });

    it('are not mounted shallow again by a start', async () => {
      if (!isDeep) return;
      const Mounts = [
        { Type: 'bind', Source: folder, Target: '/x', ReadOnly: true, BindOptions: { ReadOnlyNonRecursive: true } },
      ];
      await must(gateway.engine, 'POST', `/v1.44/containers/create?name=${PREFIX}-s`, sleeper({ Mounts }));
      const started = await gateway.as('ro')('POST', `/containers/${PREFIX}-s/start`);
      assert.equal(started.status, 403, started.text);
    });
  });
}
