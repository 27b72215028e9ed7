// Parts taken out of real answers by a rule's `redact`: inspect, list and events over a bound socket, against a real engine.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { apiOver } from '../support/api.ts';
import { dockerDirect, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { IS_DENO } from '../support/runtime.ts';

const NAME = `dg-redact-${IS_DENO ? 'deno' : 'node'}`;
const POLICY = `apiVersion: dockgate/v1
kind: Policy
metadata: { name: monitor }
rules:
  - { name: look, effect: allow, actions: [container.list, container.inspect, image.inspect, container.logs],
      redact: [env, mounts.source, "labels:com.secret.*"] }
  - { name: follow, effect: allow, actions: [system.events], redact: ["labels:com.secret.*"] }
`;

describe('answers without what a rule takes out', { skip: skipWithoutCli }, () => {
  let gateway: TestGateway;
  const get = (path: string): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      http
        .get({ socketPath: join(gateway.dir, 'mon.sock'), path }, (answer) => {
          let text = '';
          answer.on('data', (chunk: Buffer) => {
            text += chunk.toString();
          });
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
        })
        .on('error', reject);
    });

  before(async () => {
    gateway = await startGateway({ engine: ENGINE as string, unix: [{ name: 'mon', identity: 'mon' }] });
    const file = join(gateway.dir, 'monitor.yaml');
    writeFileSync(file, POLICY);
    await gateway.must('policy', 'apply', '-f', file);
    await gateway.must('identity', 'create', 'mon', '--policy', 'monitor');
    dockerDirect(
      ...['run', '-d', '--name', NAME, '--network', 'none', '-e', 'TOKEN=hunter2', '--label', 'com.secret.key=hunter2'],
      ...['--label', 'com.open=yes', IMAGE, 'sh', '-c', 'echo said; sleep 300'],
    );
  });
  after(async () => {
    removeContainers(NAME);
    await gateway?.remove();
  });

  it('inspect shows the names of variables and not their values', async () => {
    const { status, text } = await get(`/v1.41/containers/${NAME}/json`);
    assert.equal(status, 200);
    assert.doesNotMatch(text, /hunter2|\/docker\/containers\//);
    const shown = JSON.parse(text) as { Config: { Env: string[]; Labels: Record<string, string> } };
    assert.ok(shown.Config.Env.includes('TOKEN=<redacted>'));
    assert.deepEqual(shown.Config.Labels, { 'com.open': 'yes' });
  });
  it('a list leaves out the labels of the pattern', async () => {
    const { text } = await get('/v1.41/containers/json');
    assert.doesNotMatch(text, /hunter2/);
    assert.match(text, /com\.open/);
  });
  it('events leave them out as well', async () => {
    dockerDirect('kill', '-s', 'CONT', NAME);
    const until = Math.ceil(Date.now() / 1000) + 1;
    // Of this container alone: of all others a busy engine forgets the oldest between two questions.
    const filters = encodeURIComponent(JSON.stringify({ container: [NAME] }));
    const asked = `/v1.41/events?since=${until - 60}&until=${until}&filters=${filters}`;
    const { text } = await get(asked);
    assert.match(text, new RegExp(NAME));
    assert.doesNotMatch(text, /hunter2/);
    // To the nanosecond as the engine tells them.
    const direct = await apiOver(ENGINE as string)('GET', asked);
    const times = (lines: string) => new Set(lines.match(/"timeNano":\d{19}/g));
    assert.ok(times(text).size > 0);
    assert.deepEqual(
      [...times(text)].filter((time) => !times(direct.text).has(time)),
      [],
    );
  });
  it('what is no JSON passes as it is, and so does a refusal of the engine', async () => {
    assert.match((await get(`/v1.41/containers/${NAME}/logs?stdout=1`)).text, /said/);
    assert.equal((await get('/v1.41/containers/dg-none/json')).status, 404);
  });
});
