// Every kind of stream against every way it can end: the caller's side and the engine's side are closed as they should be,
// and the audit holds exactly one outcome that says which it was.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type AuditView, admin } from '../support/admin.ts';
import { dockerDirect, ENGINE, IMAGE, removeContainers, skipWithoutCli } from '../support/engine.ts';
import { IS_DENO } from '../support/runtime.ts';
import { until } from '../support/until.ts';
import { type EngineRelay, startEngineRelay } from './engine-relay.ts';
import { type RawClient, type RawGateway, startRawGateway } from './raw-client.ts';

const PREFIX = `dg-streams-${IS_DENO ? 'deno' : 'node'}`;
const UPGRADE = ['Connection: Upgrade', 'Upgrade: tcp'];
const BOX = `/containers/${PREFIX}-box`;
type Ending = 'normal' | 'caller gone' | 'engine gone' | 'token revoked';

interface Stream {
  readonly name: string;
  readonly action: string;
  /** Part of the request line the engine sees. */
  readonly path: RegExp;
  /** Sends the request; for a normal end one that ends by itself. */
  open(client: RawClient, head: (line: string, ...headers: string[]) => string, ending: Ending): Promise<void>;
  /** What has come once the stream is under way; undefined where nothing comes before the end. */
  readonly under: RegExp | undefined;
  /** Makes it end, where it does not by itself. */
  finish?(client: RawClient): void;
}

const HIJACKED: ReadonlySet<string> = new Set(['attach', 'exec']);
const HEAD_200 = /^HTTP\/1\.1 200 /;
const HEAD_101 = /^HTTP\/1\.1 101 /;

describe('streams and their ends', { skip: skipWithoutCli }, () => {
  let raw: RawGateway;
  let relay: EngineRelay;
  let context: Buffer;
  let slowContext: Buffer;
  const chunk = (data: Buffer) =>
    Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n')]);

  const execOf = (): string => {
    const made = execFileSync(
      'curl',
      [
        ...['-sS', '--unix-socket', ENGINE as string, '-H', 'Content-Type: application/json'],
        ...['-d', JSON.stringify({ AttachStdin: true, AttachStdout: true, Cmd: ['cat'] }), `http://docker${BOX}/exec`],
      ],
      { encoding: 'utf8' },
    );
    return JSON.parse(made).Id as string;
  };

  const STREAMS: readonly Stream[] = [
    {
      name: 'logs -f',
      action: 'container.logs',
      path: /\/logs\?/,
      async open(client, head, ending) {
        const name = ending === 'normal' ? `/containers/${PREFIX}-ended` : BOX;
        client.send(head(`GET ${name}/logs?follow=1&stdout=1`));
      },
      under: /ready/,
    },
    {
      name: 'events',
      action: 'system.events',
      path: /\/events/,
      async open(client, head, ending) {
        const end = ending === 'normal' ? `?until=${Math.floor(Date.now() / 1000) + 1}` : '';
        client.send(head(`GET /events${end}`));
      },
      under: HEAD_200,
    },
    {
      name: 'stats',
      action: 'container.stats',
      path: /\/stats\?/,
      async open(client, head, ending) {
        client.send(head(`GET ${BOX}/stats?stream=${ending === 'normal' ? 0 : 1}`));
      },
      under: /"read"/,
    },
    {
      name: 'attach',
      action: 'container.attach',
      path: /\/attach\?/,
      async open(client, head, ending) {
        removeContainers(`${PREFIX}-cat`);
        dockerDirect('run', '-d', '-i', '--network', 'none', '--name', `${PREFIX}-cat`, IMAGE, 'sh', '-c', 'read x');
        const at = `/containers/${PREFIX}-cat/attach?stream=1&stdin=1&stdout=1&stderr=1`;
        client.send(head(`POST ${at}`, ...UPGRADE, 'Content-Length: 0'));
        if (ending === 'normal') await client.until(HEAD_101);
      },
      under: HEAD_101,
      finish: (client) => client.send('end\n'),
    },
    {
      name: 'exec',
      action: 'container.exec.start',
      path: /\/exec\/\w+\/start/,
      async open(client, head) {
        const body = '{"Detach":false,"Tty":false}';
        const more = ['Content-Type: application/json', `Content-Length: ${body.length}`];
        client.send(head(`POST /exec/${execOf()}/start`, ...UPGRADE, ...more) + body);
      },
      under: HEAD_101,
      finish: (client) => client.halfClose(),
    },
    {
      name: 'build',
      action: 'build.run',
      path: /\/build\?/,
      async open(client, head, ending) {
        client.send(head('POST /build?version=1&networkmode=none&nocache=1&forcerm=1', 'Transfer-Encoding: chunked'));
        client.send(Buffer.concat([chunk(ending === 'normal' ? context : slowContext), Buffer.from('0\r\n\r\n')]));
      },
      under: /Step 1/,
    },
    {
      name: 'load',
      action: 'image.load',
      path: /\/images\/load/,
      async open(client, head, ending) {
        client.send(head('POST /images/load?quiet=1', 'Transfer-Encoding: chunked'));
        client.send(chunk(context));
        if (ending === 'normal') client.send('0\r\n\r\n');
      },
      under: undefined,
    },
    {
      name: 'save',
      action: 'image.export',
      path: /\/images\/[^ ]*\/get/,
      async open(client, head, ending) {
        if (ending !== 'normal') client.socket.pause();
        client.send(head(`GET /images/${IMAGE}/get`));
      },
      under: undefined,
    },
  ];

  before(async () => {
    removeContainers(PREFIX);
    relay = await startEngineRelay(ENGINE as string);
    raw = await startRawGateway({ engine: relay.path });
    dockerDirect(
      'run',
      '-d',
      '--network',
      'none',
      '--name',
      `${PREFIX}-box`,
      IMAGE,
      'sh',
      '-c',
      'echo ready; exec sleep 300',
    );
    dockerDirect('run', '--network', 'none', '--name', `${PREFIX}-ended`, IMAGE, 'echo', 'ready');
    const folder = mkdtempSync(join(tmpdir(), 'streams-'));
    const tarOf = (text: string) => {
      writeFileSync(join(folder, 'Dockerfile'), text);
      return execFileSync('tar', ['-c', '-C', folder, 'Dockerfile']);
    };
    context = tarOf(`FROM ${IMAGE}\n`);
    slowContext = tarOf(`FROM ${IMAGE}\nRUN sleep 60\n`);
  });
  after(async () => {
    removeContainers(PREFIX);
    await raw?.gateway.remove();
    relay?.close();
  });

  const rowsOf = async (action: string, since: number): Promise<readonly AuditView[]> => {
    const { events } = await admin<{ events: AuditView[] }>(raw.gateway, 'GET', `/audit?action=${action}&limit=100`);
    return events.filter((row) => row.seq > since).reverse();
  };

  for (const stream of STREAMS) {
    for (const ending of ['normal', 'caller gone', 'engine gone', 'token revoked'] as const) {
      // A saved image is over before anything can happen to it.
      if (stream.name === 'save' && ending !== 'normal' && ending !== 'caller gone') continue;
      it(`${stream.name}: ${ending}`, async () => {
        const since = (await rowsOf(stream.action, 0)).at(-1)?.seq ?? 0;
        const token = ending === 'token revoked' ? await raw.gateway.must('token', 'create', 'op') : raw.token;
        const head = (line: string, ...headers: string[]) =>
          raw.head('tcp', line, ...headers).replace(raw.token, token);
        const client = await raw.connect('tcp');
        const before = relay.wires.length;
        await stream.open(client, head, ending);
        const wire = await until('the engine’s side', () =>
          relay.wires.find(({ sent, closed }, i) => stream.path.test(sent) && (!closed || i >= before)),
        );
        if (stream.under !== undefined) await client.until(stream.under);
        switch (ending) {
          case 'normal':
            stream.finish?.(client);
            break;
          case 'caller gone':
            // On a hijacked connection an orderly end is a half-close: gone is who breaks it.
            if (HIJACKED.has(stream.name)) client.reset();
            else client.destroy();
            break;
          case 'engine gone':
            wire.cut();
            // Nothing was answered yet: the caller hears why, and may still send bytes that are not read.
            if (stream.name === 'load') await client.until(/^HTTP\/1\.1 502 /);
            else await client.toEnd();
            break;
          case 'token revoked': {
            const id = JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()).jti as string;
            await raw.gateway.must('token', 'revoke', id);
            await client.toEnd();
            break;
          }
        }
        const rows = await until('the outcome', async () => {
          const found = await rowsOf(stream.action, since);
          return found.some((row) => row.stage === 'complete') ? found : undefined;
        });
        if (ending !== 'normal') await until('the engine’s side to be closed', () => wire.closed);
        client.destroy();
        const outcomes = rows.filter((row) => row.stage === 'complete');
        assert.equal(outcomes.length, 1, JSON.stringify(rows));
        assert.equal(rows.filter((row) => row.stage === 'intent').length, 1);
        const said = outcomes[0]?.code ?? outcomes[0]?.detail?.end ?? 'complete';
        assert.ok(expected(stream, ending).includes(String(said)), `${said}: ${JSON.stringify(outcomes[0])}`);
      });
    }
  }

  /** How the audit names an end. */
  function expected(stream: Stream, ending: Ending): readonly string[] {
    switch (ending) {
      case 'normal':
        return ['complete'];
      case 'caller gone':
        // An upload that stops in the middle is a broken request; a short answer may have been over already.
        if (stream.name === 'load') return ['request-malformed', 'caller-gone'];
        return stream.name === 'save' ? ['caller-gone', 'complete'] : ['caller-gone'];
      case 'engine gone':
        // A raw stream has no end but that of its connection, so an engine that goes away cannot be told from one that ended.
        if (HIJACKED.has(stream.name)) return ['engine-gone', 'complete'];
        return stream.name === 'load' ? ['engine-unreachable'] : ['engine-gone'];
      case 'token revoked':
        return ['token-revoked'];
    }
  }

  it('wait answers with its head before the container is started', async () => {
    const name = `${PREFIX}-wait`;
    dockerDirect('create', '--network', 'none', '--name', name, IMAGE, 'sh', '-c', 'exit 5');
    const client = await raw.connect('tls');
    client.send(raw.head('tls', `POST /containers/${name}/wait?condition=next-exit`, 'Content-Length: 0'));
    await client.until(HEAD_200);
    dockerDirect('start', name);
    assert.equal(JSON.parse((await client.answer()).body).StatusCode, 5);
    client.destroy();
  });
});
