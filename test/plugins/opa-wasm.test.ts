// opa-wasm with bundles that the real `opa` compiles here (DOCKGATE_TEST_OPA, or opa on the PATH), at the docker CLI before a real engine.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { loadPlugins } from '../../src/admission/load.ts';
import { silentLogger } from '../../src/log.ts';
import { ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { docker, startGateway, type TestGateway } from '../support/gateway.ts';
import { pluginTable } from '../support/plugin-table.ts';
import { IS_DENO } from '../support/runtime.ts';

const OPA = process.env.DOCKGATE_TEST_OPA ?? 'opa';
const skip = spawnSync(OPA, ['version']).status === 0 ? false : 'no opa here: DOCKGATE_TEST_OPA';
const P = `dg-opa-${IS_DENO ? 'd' : 'n'}-`;
const REGO = `package dockgate

verdict := {"allow": true} if {
  startswith(input.body.Image, "busybox")
  not input.body.HostConfig.Privileged
  not blocked
}

blocked if input.body.Labels.team in data.blocked

verdict := {"allow": false, "message": sprintf("%v is not busybox", [input.body.Image])} if {
  not startswith(input.body.Image, "busybox")
}

yes if input.body.Image == "busybox:test"

odd := "yes"
`;

describe('opa-wasm', { skip }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'dg-opa-'));
  const bundle = join(dir, 'bundle.tar.gz');
  before(() => {
    writeFileSync(join(dir, 'p.rego'), REGO);
    writeFileSync(join(dir, 'data.json'), '{"blocked":["red"]}');
    const entries = ['verdict', 'yes', 'odd'].flatMap((rule) => ['-e', `dockgate/${rule}`]);
    execFileSync(OPA, ['build', '-t', 'wasm', ...entries, '-o', bundle, 'p.rego', 'data.json'], { cwd: dir });
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  const ask = pluginTable('opa-wasm');
  const create = (body: object, config: object = {}) =>
    ask({ call: 'POST /containers/create', body, config: { bundle, entrypoint: 'dockgate/verdict', ...config } });
  const image = (Image: string, rest: object = {}) => ({ Image, ...rest });
  for (const [title, body, config, verdict] of [
    ['a yes passes', image('busybox:test'), {}, 'pass'],
    ['a no denies', image('alpine:3'), {}, 'opa-denied'],
    ['undefined denies', image('busybox:test', { HostConfig: { Privileged: true } }), {}, 'opa-denied'],
    ["the bundle's data counts", image('busybox:test', { Labels: { team: 'red' } }), {}, 'opa-denied'],
    [
      "data of the settings take the bundle's place",
      image('busybox:test', { Labels: { team: 'red' } }),
      { data: { blocked: [] } },
      'pass',
    ],
    ['a rule that is true passes', image('busybox:test'), { entrypoint: 'dockgate/yes' }, 'pass'],
    ['a rule that is undefined denies', image('busybox:1'), { entrypoint: 'dockgate/yes' }, 'opa-denied'],
    ['a text is no yes', image('busybox:test'), { entrypoint: 'dockgate/odd' }, 'opa-denied'],
    ['other actions are not asked about', image('alpine:3'), { actions: ['image.*'] }, 'pass'],
  ] as const)
    it(title, async () => {
      const told = await create(body, config);
      assert.equal(told.verdict, verdict, told.message);
    });
  it("denies in the policy's words", async () =>
    assert.equal((await create(image('alpine:3'))).message, 'alpine:3 is not busybox'));

  for (const [title, config, expected] of [
    ['another pin', { bundle, sha256: '0'.repeat(64) }, /has the SHA-256 [0-9a-f]{64}, and the settings pin 0000/],
    [
      'an unknown entrypoint',
      { bundle, entrypoint: 'dockgate/nope' },
      /no entrypoint dockgate\/nope \(known: dockgate\//,
    ],
    [
      'a file that is none',
      { bundle: join(dir, 'p.rego') },
      /neither a bundle of opa build -t wasm nor a compiled policy/,
    ],
    ['a file that is not there', { bundle: join(dir, 'none') }, /ENOENT|no such file/i],
  ] as const)
    it(`opa-wasm does not load with ${title}`, () =>
      assert.rejects(loadPlugins([{ use: 'opa-wasm', config }], { baseDir: dir, log: silentLogger }), expected));

  describe('at the docker CLI', { skip: skipWithoutCli }, () => {
    let gateway: TestGateway;
    let env: NodeJS.ProcessEnv = {};
    before(async () => {
      gateway = await startGateway({
        engine: ENGINE as string,
        settings: {
          plugins: [
            { use: 'opa-wasm', config: { bundle, entrypoint: 'dockgate/verdict', actions: ['container.create'] } },
          ],
        },
      });
      await gateway.must('identity', 'create', 'op', '--policy', 'operator');
      env = gateway.dockerEnv(await gateway.must('token', 'create', 'op'));
      removeContainers(P);
    });
    after(async () => {
      removeContainers(P);
      await gateway?.remove();
    });
    it('what the policy allows goes through, and its neighbour is denied with one row in the audit', async () => {
      const ok = await docker(env, ['create', '--name', `${P}ok`, IMAGE]);
      assert.equal(ok.code, 0, ok.stderr);
      const no = await docker(env, ['create', '--name', `${P}no`, '--label', 'team=red', IMAGE]);
      assert.match(no.stderr, /denied by plugin opa-wasm: dockgate\/verdict is undefined for this call \(opa-denied\)/);
      const [, id] = /\[audit ([0-9a-f-]{36})\]/.exec(no.stderr) ?? [];
      assert.match(await gateway.must('audit', 'show', id as string), /plugin-denied/);
    });
  });
});
