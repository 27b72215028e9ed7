// Whatever a plugin answers, and whatever the policy: what reaches the engine, policy alone would have let the caller send. Shown by
// sending it again, as the caller's own request, through a gateway with the same policy and no plugin. The engine is a stand-in that
// says yes to everything and keeps what it was sent.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type EmbeddedTestGateway, openEmbedded } from '../support/embedded-gateway.ts';
import { type ScriptedEngine, type SeenRequest, startScriptedEngine } from '../support/scripted-engine.ts';

/** Answers anything a plugin can: changes in and out of bounds, verdicts and what looks like one. Its choices follow from its own count. */
const HOSTILE = `let n = SEED; const next = (k) => { n = (n * 1103515245 + 12345) & 0x7fffffff; return (n >> 8) % k; };
const pick = (list) => list[next(list.length)];
const PATHS = ['/body/HostConfig/Privileged', '/body/HostConfig/Binds', '/body/HostConfig/Binds/-', '/body/HostConfig/Binds/0', '/body/HostConfig/NetworkMode',
  '/body/HostConfig/PidMode', '/body/HostConfig/CapAdd', '/body/HostConfig/Memory', '/body/Image', '/body/User', '/body/Env', '/body/Env/0', '/body/Labels/team', '/body/Labels',
  '/body/HostConfig', '/body/privileged', '/body/HostConfig/Mounts', '/body/HostConfig/__proto__/Privileged', '/body/__proto__', '/body', '', '/', '/query/name', '/query/name/0', '/query/platform',
  '/path/id', '/action', '/operation/action', '/principal/subject', '/resources/0/name', '/body/HostConfig/Privileged/x', '/body/Cmd', '/body/~1'];
const VALUES = [true, false, 'host', ['/:/host'], '/:/host', '/srv/ci/x:/x', ['SYS_ADMIN'], [], {}, null, 0, 1e300, 'red', ['a=b'], 'evil/image:1', 'busybox:test', { Privileged: true },
  { Binds: ['/etc:/e'] }, [{ Type: 'bind', Source: '/', Target: '/h' }], 'container:other', '\\u0000', 'x'.repeat(1000), [[[[]]]], undefined];
const change = () => ({ op: pick(['add', 'add', 'replace', 'remove', 'test', 'move', undefined]), path: pick(PATHS), value: pick(VALUES) });
const VERDICTS = [...Array(16).fill({ kind: 'pass' }), { kind: 'pass', changes: [{ op: 'add', path: '/body/HostConfig/Privileged', value: true }] }, { kind: 'allow' }, true, undefined, 'pass', { kind: 'warn', message: 'x' },
  { kind: 'deny', code: 'no', message: 'no' }, [], { kind: ['pass'] }, { allow: true }];
export default { meta: { name: 'hostile', version: '1.0.0', apiVersion: 1, description: '' }, match: { actions: ['*'] }, needs: { bodies: true }, reinvoke: true,
  mutate() { switch (next(8)) { case 0: case 1: return []; case 2: return pick(VALUES); case 3: case 4: case 5: return [change()]; default: return Array.from({ length: 1 + next(3) }, change); } },
  validate: () => pick(VERDICTS) };`;

const POLICIES: Readonly<Record<string, string>> = {
  'my-baseline': 'host: { preset: baseline }',
  'my-restricted': 'host: { preset: restricted }',
  binds: 'host: { preset: baseline, binds: [/srv/ci] }',
  names: 'host: { preset: baseline }, resources: ["container/ci-*", "image/docker.io/library/*"]',
};

describe('plugins narrow', () => {
  const dir = mkdtempSync(join(tmpdir(), 'dg-narrows-'));
  let engine: ScriptedEngine;
  const gateways: EmbeddedTestGateway[] = [];
  before(async () => {
    engine = await startScriptedEngine(answer);
  });
  after(async () => {
    for (const gateway of gateways) await gateway.close();
    await engine?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  for (const seed of [1, 20_261_130]) {
    it(`plugins narrow with the answers that follow from ${seed}`, async () => {
      const file = join(dir, `hostile-${seed}.js`);
      writeFileSync(file, HOSTILE.replace('SEED', String(seed)));
      const uses = ['one', 'two'].map((name) => ({ use: file, name, needs: ['bodies'] }));
      const open = async (plugins: readonly object[]) => {
        const gateway = await openEmbedded(engine.url, { plugins });
        gateways.push(gateway);
        const tokens: Record<string, string> = {};
        for (const [name, block] of Object.entries(POLICIES)) {
          await gateway.policy(name, policyOf(name, block));
          tokens[name] = await gateway.token(`u-${name}`, name);
        }
        return { gateway, tokens };
      };
      const [hostile, plain] = [await open(uses), await open([])];
      let sent = 0;
      for (let i = 0; i < 240; i++) {
        const name = Object.keys(POLICIES)[i % 4] as string;
        const before_ = engine.requests.length;
        await call(
          hostile.gateway,
          hostile.tokens[name] as string,
          'POST',
          '/v1.43/containers/create?name=ci-a',
          BODIES[i % BODIES.length],
        );
        const reached = engine.requests.slice(before_).filter(({ method }) => method !== 'GET' && method !== 'HEAD');
        for (const one of reached) {
          sent++;
          const body = JSON.parse((await one.body).toString()) as unknown;
          const again = await call(plain.gateway, plain.tokens[name] as string, one.method, one.target, body);
          assert.equal(
            again.status,
            201,
            `${name}: ${one.method} ${one.target} ${JSON.stringify(body)}: ${again.text}`,
          );
        }
      }
      assert.ok(sent >= 5, `only ${sent} calls got past the plugins, which shows little`);
    });
  }
});

const BODIES: readonly object[] = [
  { Image: 'busybox:test', Env: ['A=1'], HostConfig: { Binds: [] } },
  { Image: 'busybox:test', HostConfig: { Memory: 33_554_432 }, Labels: { team: 'red' } },
  { Image: 'busybox:test' },
];

const policyOf = (name: string, block: string): string =>
  `apiVersion: dockgate/v1\nkind: Policy\nmetadata: { name: ${name} }\nrules:\n  - { name: all, effect: allow, actions: [container.create], ${block} }\n`;

function answer(seen: SeenRequest): unknown {
  if (seen.target.includes('_ping')) return seen.answer(200, 'OK', ['Api-Version: 1.51']);
  if (seen.target.endsWith('/version'))
    return seen.answer(200, '{"ApiVersion":"1.51","MinAPIVersion":"1.24","Version":"28.5.2"}', [
      'Content-Type: application/json',
    ]);
  if (seen.method === 'GET')
    return seen.answer(404, '{"message":"no such object"}', ['Content-Type: application/json']);
  return seen.body.then(() => seen.answer(201, '{"Id":"abc","Warnings":[]}', ['Content-Type: application/json']));
}

function call(
  gateway: EmbeddedTestGateway,
  token: string,
  method: string,
  path: string,
  body: unknown,
): Promise<{ status: number; text: string }> {
  const bytes = Buffer.from(JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        host: '127.0.0.1',
        port: gateway.port,
        method,
        path,
        headers: {
          Authorization: `Bearer ${token}`,
          'Content-Type': 'application/json',
          'Content-Length': bytes.length,
        },
      },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        response.on('error', reject);
      },
    );
    asked.on('error', reject);
    asked.end(bytes);
  });
}
