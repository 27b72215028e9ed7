// A container makes a link in a writable folder, the next one mounts it: on each engine, the host stays out of reach.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { HOST_LINES, type HostRulesGateway, sleeper, startHostRules } from '../support/host-rules.ts';
import { IS_DENO } from '../support/runtime.ts';

const P = `dg-link-${IS_DENO ? 'd' : 'n'}-`;

for (const { line, socket, skip } of HOST_LINES) {
  describe(`links below a writable folder, on ${line}`, { skip }, () => {
    let gateway: HostRulesGateway;
    let folder = '';
    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'dg-link-'));
      mkdirSync(join(folder, 'job2'));
      const run = (bind: string) => `
- { name: run, effect: allow, actions: [container.create, container.start], host: { preset: baseline, binds: [${bind}] } }`;
      gateway = await startHostRules(socket as string, {
        plain: run(folder),
        trusted: run(`{ path: ${folder}, subpaths: true }`),
      });
      await gateway.clean(P);
    });
    after(async () => {
      await gateway?.clean(P);
      await gateway?.remove();
      rmSync(folder, { recursive: true, force: true });
    });
    const create = (policy: string, name: string, Binds: string[], Cmd: string[] = ['true']) =>
      gateway.as(policy)('POST', `/v1.41/containers/create?name=${P}${name}`, { body: { ...sleeper({ Binds }), Cmd } });

    it('the folder itself is mounted, what a link in it leads to is not', async () => {
      const maker = await create('plain', 'maker', [`${folder}:/w`], ['ln', '-sfn', '/', '/w/job1']);
      assert.equal(maker.status, 201, maker.text);
      assert.equal((await gateway.as('plain')('POST', `/v1.41/containers/${P}maker/start`)).status, 204);
      await gateway.engine('POST', `/v1.41/containers/${P}maker/wait`);
      for (const path of ['job1', 'job2', 'job1/etc']) {
        const { status, text } = await create('plain', 'next', [`${folder}/${path}:/h`]);
        assert.equal(status, 403, text);
        assert.match(text, /may be a link to anywhere/);
      }
      const mount = { Type: 'bind', Source: `${folder}/job1`, Target: '/h' };
      const mounted = await gateway.as('plain')('POST', `/v1.41/containers/create?name=${P}mount`, {
        body: sleeper({ Mounts: [mount] }),
      });
      assert.equal(mounted.status, 403, mounted.text);
    });
    it('a policy that trusts its callers opens what is below', async () => {
      const { status, text } = await create('trusted', 'below', [`${folder}/job2:/h`]);
      assert.equal(status, 201, text);
    });
  });
}
