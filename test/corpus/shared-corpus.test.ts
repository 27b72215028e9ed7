// The shared corpus of hostile requests and their harmless neighbours, through the running gateway and proved on the engine
// behind it: every case on every engine given. The corpus and its `verify` lie beside the checkout; without them, python3 or
// an engine this is skipped. DOCKGATE_TEST_DOCKER_HOST_20 and _NEW name engines of the oldest and newest line to run against too.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { LONG_LINES } from '../support/engine.ts';
import { run, startGateway, type TestGateway } from '../support/gateway.ts';
import { ROOT } from '../support/runtime.ts';

const VERIFY = join(ROOT, '../shared/corpus/verify');
/** The corpus listens on one fixed port and uses fixed names: one run at a time on a machine. */
const LOCK = '/tmp/dockgate-corpus.lock';
/** A minute on a quiet machine, and the wait for the lock. */
const TIMEOUT_MS = 900_000;

const skipWithoutCorpus: false | string = !existsSync(VERIFY)
  ? `no corpus at ${VERIFY}`
  : ['python3', 'flock'].some((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0)
    ? 'no python3 or flock here'
    : false;

for (const { line, socket, skip } of LONG_LINES) {
  describe(`the corpus through the gateway, on ${line}`, { skip: skip === false ? skipWithoutCorpus : skip }, () => {
    let gateway: TestGateway;
    before(async () => {
      gateway = await startGateway({
        engine: socket as string,
        settings: { listen: ['https://127.0.0.1:0', { unix: './any.sock', mode: '0600' }] },
      });
      for (const name of ['alice', 'bob'])
        await gateway.must('identity', 'create', name, '--policy', 'baseline', '--tenant', name);
    });
    after(() => gateway?.remove());

    it('every case is denied or allowed as the corpus says', { timeout: TIMEOUT_MS }, async () => {
      const bearer = async (name: string) => `Authorization: Bearer ${await gateway.must('token', 'create', name)}`;
      const alice = await bearer('alice');
      const via = ['--socket', socket as string, '--via', join(gateway.dir, 'any.sock'), '--header', alice];
      const tenants = ['--setup-as-header', `alice=${alice}`, '--setup-as-header', `bob=${await bearer('bob')}`];
      // The corpus writes an object's owner into a label of its own; here it is the gateway's.
      const cases = join(gateway.dir, 'cases.jsonl');
      const corpus = readFileSync(join(dirname(VERIFY), 'cases.jsonl'), 'utf8');
      writeFileSync(cases, corpus.replaceAll('gwc.owner', 'dockgate.tenant'));
      via.push('--cases', cases);
      const ran = await run('flock', ['-w', '300', LOCK, 'python3', VERIFY, ...via, ...tenants], {
        timeoutMs: TIMEOUT_MS,
      });
      const lines = ran.stdout.split('\n');
      const total = Number(/(\d+) cases, \d+ wrong/.exec(ran.stdout)?.[1] ?? 0);
      assert.ok(total > 250, `the corpus did not run: ${ran.stderr.slice(-2000)}`);
      const wrong = lines.filter((text) => text.startsWith('FAIL'));
      assert.deepEqual(wrong, []);
    });
  });
}
