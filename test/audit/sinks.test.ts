// Sinks against receivers that fail, hang and come back: each row arrives, in order, whatever happens on the way.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { until } from '../support/until.ts';
import { inFolder } from './events.ts';
import { httpReceiver, linesOf, openBench, sinksOf, syslogReceiver, upTo } from './sink-receivers.ts';

describe('a sink of the audit', () => {
  it(
    'writes a file with each row once and in order, goes on after a restart, and rotates it by size',
    inFolder(async (file, folder) => {
      const out = join(folder, 'out', 'audit.ndjson');
      const sinks = sinksOf(folder, { name: 'disk', file: out, rotate: { size: '64KiB', keep: 2 }, batchRows: 50 });
      const bench = await openBench(file, sinks);
      try {
        await bench.record(30);
        await bench.caughtUp('disk');
        assert.deepEqual(
          linesOf(out).map(({ seq }) => seq),
          upTo(30),
        );
        assert.equal(statSync(out).mode & 0o777, 0o600);
        await bench.restart();
        await bench.record(30);
        await bench.caughtUp('disk');
        assert.deepEqual(
          linesOf(out).map(({ seq }) => seq),
          upTo(60),
        );
        await bench.record(300, { detail: { text: 'x'.repeat(700) } });
        await bench.caughtUp('disk');
        const aside = readdirSync(join(folder, 'out')).filter((name) => name !== 'audit.ndjson');
        assert.equal(aside.length, 2);
        for (const name of aside) assert.ok(statSync(join(folder, 'out', name)).size <= 64 * 1024);
        const seqs = [...aside.sort().map((name) => join(folder, 'out', name)), out].flatMap((path) =>
          linesOf(path).map(({ seq }) => seq),
        );
        assert.deepEqual(seqs, upTo(360).slice(-seqs.length));
        assert.equal(
          linesOf(join(folder, 'out', aside.at(-1) ?? '')).at(-1)?.seq,
          Number(aside.at(-1)?.split('.').at(-1)),
        );
      } finally {
        await bench.close();
      }
    }),
  );

  it(
    'takes back a line that was cut off, and begins anew a file that was moved away',
    inFolder(async (file, folder) => {
      const out = join(folder, 'audit.ndjson');
      const bench = await openBench(file, sinksOf(folder, { name: 'disk', file: out }));
      try {
        await bench.record(3);
        await bench.caughtUp('disk');
        appendFileSync(out, '{"logId":"cut o');
        await bench.record(3);
        await bench.caughtUp('disk');
        assert.deepEqual(
          linesOf(out).map(({ seq }) => seq),
          upTo(6),
        );
        renameSync(out, `${out}.moved`);
        await bench.record(2);
        await bench.caughtUp('disk');
        assert.deepEqual(
          linesOf(out).map(({ seq }) => seq),
          [7, 8],
        );
      } finally {
        await bench.close();
      }
    }),
  );

  it(
    'holds rows while its file cannot be written, tells so once, and another sink goes on',
    inFolder(async (file, folder) => {
      const [blocked, good] = [join(folder, 'blocked'), join(folder, 'good.ndjson')];
      mkdirSync(blocked);
      const bench = await openBench(
        file,
        sinksOf(folder, { name: 'blocked', file: blocked }, { name: 'good', file: good }),
      );
      try {
        await bench.record(5);
        await bench.caughtUp('good');
        const failing = await until('it fails', () => bench.state('blocked').failures > 1 && bench.state('blocked'));
        assert.equal(failing.lagRows, 5);
        assert.match(failing.fault ?? '', /EISDIR/);
        renameSync(blocked, `${blocked}.old`);
        await bench.caughtUp('blocked');
        assert.deepEqual(
          linesOf(blocked).map(({ seq }) => seq),
          upTo(5),
        );
        await until('it is told', () => bench.told.some((line) => /takes rows again/.test(line)));
        assert.equal(bench.told.filter((line) => /does not take rows/.test(line)).length, 1);
        assert.equal(bench.state('blocked').lagRows, 0);
        assert.equal(bench.state('blocked').lagSeconds, 0);
      } finally {
        await bench.close();
      }
    }),
  );

  it(
    'posts to a webhook that fails, hangs, breaks off and comes back: none lost, none out of order',
    inFolder(async (file, folder) => {
      let calls = 0;
      const receiver = await httpReceiver((answer) => {
        calls++;
        if (calls === 2) answer.writeHead(500).end('secret-echo');
        else if (calls === 3) return true;
        else if (calls === 4) answer.destroy();
        else if (calls === 5) answer.writeHead(302, { location: 'http://127.0.0.1:1/' }).end();
        else return false;
        return true;
      });
      const secrets = { bearer: join(folder, 'token'), key: join(folder, 'key'), api: join(folder, 'api') };
      writeFileSync(secrets.bearer, 'bearer-secret\n');
      writeFileSync(secrets.key, 'hmac-secret\n');
      writeFileSync(secrets.api, 'api-secret\n');
      const bench = await openBench(
        file,
        sinksOf(folder, {
          ...{ name: 'hook', webhook: `${receiver.url}/in?key=query-secret`, bearer: 'token', hmac: 'key' },
          ...{ headers: { 'X-Api-Key': 'api' }, batchRows: 10, timeoutMs: 400 },
        }),
      );
      try {
        await bench.record(10);
        await bench.caughtUp('hook');
        await bench.record(45);
        await bench.caughtUp('hook');
        assert.deepEqual(receiver.seqs(), upTo(55));
        assert.ok(bench.state('hook').failures >= 4);
        assert.equal(bench.state('hook').deliveredRows, 55);
        for (const { headers, body } of receiver.taken) {
          assert.equal(headers.authorization, 'Bearer bearer-secret');
          assert.equal(headers['x-api-key'], 'api-secret');
          const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature } = headers;
          const mac = createHmac('sha256', 'hmac-secret').update(`${id}.${at}.${body}`).digest('base64');
          assert.equal(signature, `v1,${mac}`);
          const rows = body.trim().split('\n');
          const first = JSON.parse(rows[0] ?? '') as { logId: string; seq: number };
          assert.equal(id, `${first.logId}.${first.seq}-${first.seq + rows.length - 1}`);
        }
        // What the receiver saw and said stays out of the log, the states and the cursors.
        const kept = `${bench.told.join('\n')}${JSON.stringify(bench.thread.states())}${readFileSync(join(folder, 'sinks.json'), 'utf8')}`;
        assert.doesNotMatch(kept, /-secret|secret-/);
      } finally {
        await bench.close();
        await receiver.close();
      }
    }),
  );

  it(
    'reads a secret at each delivery, and holds rows while there is none',
    inFolder(async (file, folder) => {
      const receiver = await httpReceiver();
      writeFileSync(join(folder, 'token'), '\n');
      const bench = await openBench(file, sinksOf(folder, { name: 'hook', webhook: receiver.url, bearer: 'token' }));
      try {
        await bench.record(1);
        const failing = await until('it fails', () => bench.state('hook').fault);
        assert.equal(failing, 'the file of bearer holds no line of printable ASCII');
        writeFileSync(join(folder, 'token'), 'later\n');
        await bench.caughtUp('hook');
        assert.equal(receiver.taken[0]?.headers.authorization, 'Bearer later');
      } finally {
        await bench.close();
        await receiver.close();
      }
    }),
  );

  it(
    'sends smaller batches to a receiver that finds them too large, and waits as long as one asks for',
    inFolder(async (file, folder) => {
      let askedAt = 0;
      let waitedMs = 0;
      const receiver = await httpReceiver((answer, { body }) => {
        if (body.trim().split('\n').length > 5) answer.writeHead(413).end();
        else if (askedAt === 0) {
          askedAt = Date.now();
          answer.writeHead(429, { 'retry-after': '2' }).end();
        } else {
          waitedMs ||= Date.now() - askedAt;
          return false;
        }
        return true;
      });
      const bench = await openBench(file, sinksOf(folder, { name: 'hook', webhook: receiver.url, batchRows: 40 }));
      try {
        await bench.record(40);
        await bench.caughtUp('hook');
        assert.deepEqual(receiver.seqs(), upTo(40));
        assert.ok(waitedMs >= 1900, `it waited ${waitedMs} ms`);
      } finally {
        await bench.close();
        await receiver.close();
      }
    }),
  );

  it(
    'begins with the oldest row, or with what comes from now on; taken away and put back it goes on where it was',
    inFolder(async (file, folder) => {
      const [all, late] = [join(folder, 'all.ndjson'), join(folder, 'late.ndjson')];
      const both = sinksOf(folder, { name: 'all', file: all }, { name: 'late', file: late, from: 'now' });
      const bench = await openBench(file, []);
      try {
        assert.deepEqual(bench.thread.states(), []);
        await bench.record(4);
        await bench.thread.apply(both);
        await bench.record(2);
        await bench.caughtUp('late');
        await bench.caughtUp('all');
        await bench.thread.apply(both.slice(0, 1));
        assert.deepEqual(
          bench.thread.states().map(({ name }) => name),
          ['all'],
        );
        await bench.record(2);
        await bench.thread.apply(both);
        await bench.caughtUp('late');
        await bench.caughtUp('all');
        assert.deepEqual(
          linesOf(all).map(({ seq }) => seq),
          upTo(8),
        );
        assert.deepEqual(
          linesOf(late).map(({ seq }) => seq),
          [5, 6, 7, 8],
        );
      } finally {
        await bench.close();
      }
    }),
  );

  it(
    'ends with the gateway although its receiver hangs, and has delivered what a live one takes',
    inFolder(async (file, folder) => {
      const hanging = await httpReceiver(() => true);
      const out = join(folder, 'out.ndjson');
      const bench = await openBench(
        file,
        sinksOf(folder, { name: 'hangs', webhook: hanging.url }, { name: 'disk', file: out }),
      );
      await bench.record(20);
      const began = performance.now();
      await bench.close();
      assert.ok(performance.now() - began < 15_000);
      await hanging.close();
      assert.deepEqual(
        linesOf(out).map(({ seq }) => seq),
        upTo(20),
      );
    }),
  );
});

interface LogRecord {
  readonly body: { readonly stringValue: string };
  readonly severityText: string;
  readonly timeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, string>> }[];
}

describe('a sink for OTLP', () => {
  it(
    'posts log records that hold the row, and counts those a receiver refuses',
    inFolder(async (file, folder) => {
      let isFirst = true;
      const receiver = await httpReceiver((answer) => {
        if (!isFirst) return false;
        isFirst = false;
        answer.end('{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no"}}');
        return true;
      });
      const bench = await openBench(file, sinksOf(folder, { name: 'otel', otlp: `${receiver.url}/v1/logs` }));
      try {
        await bench.record(3);
        await bench.caughtUp('otel');
        assert.equal(bench.state('otel').refusedRows, 2);
        await bench.record(1, { subject: 'ci', decision: 'deny', code: 'operation-not-allowed', status: 403 });
        await bench.caughtUp('otel');
        assert.equal(receiver.taken[0]?.headers['content-type'], 'application/json');
        const { resourceLogs } = JSON.parse(receiver.taken[0]?.body ?? '') as {
          resourceLogs: {
            resource: { attributes: { key: string; value: Record<string, string> }[] };
            scopeLogs: { logRecords: LogRecord[] }[];
          }[];
        };
        const record = resourceLogs[0]?.scopeLogs[0]?.logRecords[0];
        assert.ok(record);
        const body = JSON.parse(record.body.stringValue) as Record<string, unknown>;
        assert.equal(body.seq, 4);
        assert.equal(record.severityText, 'WARN');
        assert.equal(
          record.timeUnixNano,
          `${Date.parse(String(body.at)) * 1000 + Number(String(body.at).slice(23, 26))}000`,
        );
        const attributes = new Map(record.attributes.map(({ key, value }) => [key, value]));
        assert.deepEqual(attributes.get('dockgate.seq'), { intValue: '4' });
        assert.deepEqual(attributes.get('user.name'), { stringValue: 'ci' });
        assert.deepEqual(attributes.get('dockgate.log_id'), { stringValue: body.logId });
      } finally {
        await bench.close();
        await receiver.close();
      }
    }),
  );
});

describe('a sink for syslog', () => {
  it(
    'counts a batch once the receiver read to its end: one that breaks off or falls silent gets it again',
    inFolder(async (file, folder) => {
      const receiver = await syslogReceiver((socket, index) => {
        if (index === 1) socket.once('data', () => socket.resetAndDestroy());
        else if (index === 2) socket.on('data', () => {});
        else return false;
        return true;
      });
      const bench = await openBench(
        file,
        sinksOf(folder, { name: 'siem', syslog: receiver.address, timeoutMs: 500, batchRows: 20 }),
      );
      try {
        await bench.record(20);
        await bench.caughtUp('siem');
        await bench.record(50, { action: 'container.exec.create', decision: 'deny' });
        await bench.caughtUp('siem');
        const seqs = receiver.messages.map(
          (message) => (JSON.parse(message.slice(message.indexOf('] {') + 2)) as { seq: number }).seq,
        );
        assert.deepEqual(seqs, upTo(70));
        assert.ok(bench.state('siem').failures >= 2);
        assert.match(
          receiver.messages[0] ?? '',
          /^<110>1 20[0-9-]{8}T[0-9:]{8}\.[0-9]{6}Z \S+ dockgate - container\.create \[meta sequenceId="1"\]\[origin software="dockgate" swVersion="1\.2\.3"\] \{/,
        );
        assert.match(
          receiver.messages[20] ?? '',
          /^<108>1 .* dockgate - container\.exec\.create \[meta sequenceId="21"\]/,
        );
      } finally {
        await bench.close();
        await receiver.close();
      }
    }),
  );

  it(
    'leaves the detail out of a message that would be too long for receivers',
    inFolder(async (file, folder) => {
      const receiver = await syslogReceiver();
      const bench = await openBench(file, sinksOf(folder, { name: 'siem', syslog: receiver.address }));
      try {
        await bench.record(1, { detail: { text: 'y'.repeat(9000) } });
        await bench.record(1, { detail: { text: 'y'.repeat(5000) } });
        await bench.caughtUp('siem');
        const [long, short] = receiver.messages.map(
          (message) =>
            JSON.parse(message.slice(message.indexOf('] {') + 2)) as {
              detail: { text?: string; truncated?: { bytes: number } };
            },
        );
        assert.ok(Buffer.byteLength(receiver.messages[0] ?? '') <= 8192);
        assert.ok((long?.detail.truncated?.bytes ?? 0) > 9000);
        assert.equal(short?.detail.text?.length, 5000);
      } finally {
        await bench.close();
        await receiver.close();
      }
    }),
  );
});
