// Labels and driver options of one object are bounded, wherever they are written. Against a scripted STAND-IN.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type EmbeddedTestGateway, openEmbedded } from '../support/embedded-gateway.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';

const BOUND = 65_536;
/** A map of some hundred entries with so many bytes of names and values. */
const mapOf = (bytes: number): Record<string, string> => {
  const map: Record<string, string> = {};
  let left = bytes;
  for (let i = 0; left > 0; i++) {
    const key = `k${i}`;
    const value = 'v'.repeat(Math.max(0, Math.min(640, left) - key.length));
    map[key] = value;
    left -= key.length + value.length;
  }
  return map;
};

type Row = [name: string, path: string, body: (map: Record<string, string>) => object | undefined];
const ROWS: readonly Row[] = [
  ['a container', '/containers/create', (Labels) => ({ Image: 'busybox', Labels })],
  ['a volume', '/volumes/create', (Labels) => ({ Name: 'v', Labels })],
  ['the options of a volume', '/volumes/create', (DriverOpts) => ({ Name: 'v', DriverOpts })],
  ['a network', '/networks/create', (Labels) => ({ Name: 'n', Labels })],
  ['the options of a network', '/networks/create', (Options) => ({ Name: 'n', Options })],
  [
    'a volume a container brings',
    '/containers/create',
    (Labels) => ({
      Image: 'busybox',
      HostConfig: { Mounts: [{ Type: 'volume', Target: '/x', VolumeOptions: { Labels } }] },
    }),
  ],
  [
    'the annotations of a container',
    '/containers/create',
    (Annotations) => ({ Image: 'busybox', HostConfig: { Annotations } }),
  ],
  [
    'a service',
    '/services/create',
    (Labels) => ({ Name: 's', Labels, TaskTemplate: { ContainerSpec: { Image: 'busybox' } } }),
  ],
  ['a secret', '/secrets/create', (Labels) => ({ Name: 's', Data: '', Labels })],
];

describe('labels', () => {
  let engine: ScriptedEngine;
  let at: EmbeddedTestGateway;
  let token: string;
  before(async () => {
    const type = ['Content-Type: application/json'];
    engine = await startScriptedEngine((r) =>
      r.target.includes('/version')
        ? r.answer(200, '{"ApiVersion":"1.51","MinAPIVersion":"1.24","Components":[{"Name":"Engine"}]}', type)
        : r.answer(201, '{"Id":"x"}', type),
    );
    at = await openEmbedded(engine.url);
    token = await at.token('op');
  });
  after(async () => {
    await at?.close();
    await engine?.close();
  });
  const post = async (path: string, body?: object) => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const type = body === undefined ? '' : 'Content-Type: application/json\r\n';
    const caller = at.connect();
    caller.send(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n${type}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    );
    const answer = await caller.answer();
    caller.destroy();
    return answer;
  };

  for (const [name, path, body] of ROWS) {
    it(`labels of ${name} may have 64 KiB together and no byte more`, async () => {
      assert.equal((await post(path, body(mapOf(BOUND)))).status, 201);
      const answer = await post(path, body(mapOf(BOUND + 1)));
      assert.equal(answer.status, 413);
      assert.match(
        answer.body,
        /the labels and driver options of one object may have 65536 bytes together \(limits.labelBytes\), these have 65537 \[audit /,
      );
    });
  }

  it('given to a commit or a build in the query are bounded as well', async () => {
    const at64 = await openEmbedded(engine.url, { limits: { labelBytes: 64 } });
    const op = await at64.token('op2');
    const status = async (path: string) => {
      const caller = at64.connect();
      caller.send(`POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${op}\r\nContent-Length: 0\r\n\r\n`);
      const answer = await caller.answer();
      caller.destroy();
      return answer.status;
    };
    const change = (bytes: number) => encodeURIComponent(`LABEL a=${'b'.repeat(bytes - 8)}`);
    assert.equal(await status(`/commit?container=x&changes=${change(64)}`), 201);
    assert.equal(await status(`/commit?container=x&changes=${change(65)}`), 413);
    assert.equal(await status(`/commit?container=x&changes=${change(40)}&changes=${change(40)}`), 413);
    const labels = (bytes: number) => encodeURIComponent(JSON.stringify({ a: 'b'.repeat(bytes - 8) }));
    assert.equal(await status(`/build?labels=${labels(65)}`), 413);
    await at64.close();
  });
});
