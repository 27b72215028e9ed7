// Secrets planted wherever a client can put one, by callers that may all, that may little and that are unknown, before an engine that
// repeats what it is sent and a plugin that does. None is found in any file, log line or answer of the gateway's own. The engine is a
// scripted STAND-IN.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { admin } from '../support/admin.ts';
import { run, startGateway, type TestGateway } from '../support/gateway.ts';
import { dockgateCommand } from '../support/runtime.ts';
import { type ScriptedEngine, startScriptedEngine } from '../support/scripted-engine.ts';
import { type Planted, planted } from './planted.ts';

/** Letters of which no table makes anything. */
const RUN = randomBytes(6).toString('hex');
const SECRETS = planted((i) => `Zq${RUN}x${i}y`);
const MANY = 80;

const PLUGIN = `
export default {
  meta: { name: 'loud', version: '1.0.0', apiVersion: 1, description: 'repeats what it sees' },
  match: { actions: ['*'] },
  needs: { bodies: true },
  mutate: () => [],
  validate: ({ body, query }) => {
    const all = JSON.stringify([body, query]);
    if (all.includes('--api-token')) throw new Error(all);
    if (all.includes('PGPASSWORD')) return { kind: 'deny', code: 'loud', message: 'I saw ' + all };
    return { kind: 'warn', message: 'I see ' + all.slice(0, 2000) };
  },
};`;

describe('secrets of callers', () => {
  let gateway: TestGateway;
  let engine: ScriptedEngine;
  const folder = mkdtempSync(join(tmpdir(), 'dg-secrets-'));

  /** Sends it as it is; the answer is not read. */
  const send = (
    { method, path, headers, body }: Planted,
    to: { socketPath: string } | { port: number },
  ): Promise<void> =>
    new Promise((resolve) => {
      const isRaw = typeof body === 'string' || body instanceof Uint8Array;
      const bytes = body === undefined ? undefined : Buffer.from(isRaw ? (body as string) : JSON.stringify(body));
      const options = {
        ...to,
        method,
        path,
        agent: false as const,
        rejectUnauthorized: false,
        timeout: 10_000,
        headers: {
          ...(bytes === undefined ? {} : { 'content-type': isRaw ? 'application/x-tar' : 'application/json' }),
          ...(bytes === undefined ? {} : { 'content-length': String(bytes.length) }),
          ...headers,
        },
      };
      const request = ('port' in to ? https : http).request(options, (response) => {
        response.resume();
        response.on('close', () => resolve());
      });
      request.on('timeout', () => request.destroy());
      request.on('error', () => resolve());
      request.end(bytes);
    });

  before(async () => {
    // A failure whose message repeats the request, as engines do with a field they cannot read.
    engine = await startScriptedEngine(async (seen) => {
      const body = await seen.body.catch(() => Buffer.alloc(0));
      const message = `invalid: ${seen.target} ${body.toString('utf8').slice(0, 20_000)} ${seen.head}`;
      if (seen.target.includes('/json') || seen.target.includes('/_ping') || seen.target.includes('/version')) {
        seen.answer(404, JSON.stringify({ message }), ['Content-Type: application/json']);
      } else seen.answer(400, JSON.stringify({ message }), ['Content-Type: application/json']);
    });
    const plugin = join(folder, 'loud.mjs');
    writeFileSync(plugin, PLUGIN);
    gateway = await startGateway({
      engine: engine.url,
      unix: [
        { name: 'all', identity: 'all' },
        { name: 'low', identity: 'low' },
      ],
      settings: {
        log: { level: 'debug' },
        limits: { strangerRows: 1000 },
        plugins: [{ use: plugin, needs: ['bodies'] }],
      },
    });
    await admin(gateway, 'POST', '/identities', { name: 'all', policies: ['operator'] });
    await admin(gateway, 'POST', '/identities', { name: 'low', policies: ['baseline'] });
    for (const one of SECRETS) {
      await send(one, { socketPath: join(gateway.dir, 'all.sock') });
      await send(one, { socketPath: join(gateway.dir, 'low.sock') });
      await send(one, { port: gateway.port });
    }
  });
  after(async () => {
    await gateway?.remove();
    await engine?.close();
    rmSync(folder, { recursive: true });
  });

  /** Titles of what was planted and is found in a text, in any form a reader would recognise. */
  const foundIn = (text: string): string[] =>
    SECRETS.filter(({ secret }) =>
      [secret, Buffer.from(secret).toString('base64').replace(/=+$/, ''), secret.toLowerCase()].some((form) =>
        text.includes(form),
      ),
    ).map(({ title }) => title);

  it(`there are ${MANY} and more of them, and most reached the record`, async () => {
    assert.ok(SECRETS.length >= MANY, String(SECRETS.length));
    const rows = await allRows();
    assert.ok(rows.length > 2 * SECRETS.length, `${rows.length} rows`);
    assert.ok(engine.wire().includes(`Zq${RUN}x`), 'the engine was sent some');
  });

  it('none is in an answer of the audit', async () => {
    assert.deepEqual(foundIn(JSON.stringify(await allRows())), []);
  });

  it('what was masked is found by its value from standard input, and by no other', async () => {
    const [command, args] = dockgateCommand();
    const find = async (input: string) => {
      const options = ['audit', 'find-secret', '--json', '--config', gateway.configFile];
      const { code, stdout, stderr } = await run(command, [...args, ...options], { input });
      assert.equal(code, 0, stderr);
      return (JSON.parse(stdout) as { events: { action: string }[] }).events.map(({ action }) => action);
    };
    const secretOf = (title: string) => SECRETS.find((one) => one.title === title)?.secret ?? '';
    for (const [title, action] of [
      ['body: a variable', 'container.create'],
      ['body: a variable of an exec', 'container.exec.create'],
      ['query: a build argument', 'build.run'],
      ['query: the user of a remote context', 'build.run'],
      ['body: a setting of a plugin', 'plugin.set'],
      ['path: an unknown path', 'unknown'],
    ] as const) {
      const actions = await find(`${secretOf(title)}\n`);
      assert.ok(actions.length > 0, title);
      assert.ok(actions.includes(action), `${title}: ${actions.join()}`);
    }
    assert.deepEqual(await find(`Zq${RUN}x`), []);
    assert.deepEqual(await find(secretOf('body: a secret of the swarm')), []);
    const short = await run(command, [...args, 'audit', 'find-secret', '--config', gateway.configFile], {
      input: 'abc',
    });
    assert.equal(short.code, 2);
  });

  it('none is in any file of the data folder', async () => {
    await gateway.stop();
    const files = filesOf(gateway.dir);
    assert.ok(files.some((file) => file.endsWith('audit.db')));
    const found = files.flatMap((file) => foundIn(readFileSync(file, 'latin1')).map((title) => `${file}: ${title}`));
    assert.deepEqual(found, []);
  });

  it('none is in the log', () => {
    assert.ok(gateway.log().length > 1000);
    assert.deepEqual(foundIn(gateway.log()), []);
  });

  const allRows = async (): Promise<readonly unknown[]> => {
    const rows: unknown[] = [];
    let before: number | undefined;
    for (;;) {
      const { events, next } = await admin<{ events: { seq: number }[]; next?: number }>(
        gateway,
        'GET',
        `/audit?limit=1000${before === undefined ? '' : `&before=${before}`}`,
      );
      rows.push(...events);
      const last = next ?? events.at(-1)?.seq;
      if (events.length === 0 || last === undefined || last === before) return rows;
      before = last;
    }
  };
});

function filesOf(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat?.isDirectory() ? filesOf(path) : stat?.isFile() ? [path] : [];
  });
}
