// Sinks against real receivers that are stopped, killed and started again: rsyslog over TCP and TLS, and an OpenTelemetry collector.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  collector,
  hasRsyslogTls,
  rsyslog,
  skipWithoutCollector,
  skipWithoutRsyslog,
} from '../support/audit-receivers.ts';
import { loopbackMaterial } from '../support/certificates.ts';
import { until } from '../support/until.ts';
import { inFolder } from './events.ts';
import { openBench, sinksOf, upTo } from './sink-receivers.ts';

/** Each row at least once, and none before the one in front of it; what is sent again after a fault begins at an earlier row. */
function assertWhole(seqs: readonly number[], count: number): void {
  assert.deepEqual([...new Set(seqs)], upTo(count));
}

const syslogSeqs = (text: string): number[] =>
  text
    .split('\n')
    .filter((line) => line.includes('] {'))
    .map((line) => (JSON.parse(line.slice(line.indexOf('] {') + 2)) as { seq: number }).seq);

describe('rsyslog', { skip: skipWithoutRsyslog }, () => {
  it(
    'gets each row over TCP, in order, although it is stopped and killed on the way',
    inFolder(async (file, folder) => {
      const receiver = await rsyslog(folder);
      await receiver.start();
      const bench = await openBench(
        file,
        sinksOf(folder, { name: 'siem', syslog: `tcp://127.0.0.1:${receiver.port}`, batchRows: 50, timeoutMs: 3000 }),
      );
      try {
        await bench.record(120);
        await bench.caughtUp('siem');
        await receiver.stop();
        await bench.record(120, { action: 'container.exec.create', decision: 'deny' });
        await until('it fails', () => bench.state('siem').failures > 0);
        await receiver.start();
        await until('some arrived', () => bench.state('siem').lagRows < 120);
        await bench.caughtUp('siem');
        await until('all are written', () => new Set(syslogSeqs(receiver.text())).size === 240);
        assertWhole(syslogSeqs(receiver.text()), 240);
        assert.match(
          receiver.text(),
          /^110 dockgate \[meta sequenceId="1"\]\[origin software="dockgate" swVersion="1\.2\.3"\]/,
        );
        assert.match(receiver.text(), /^108 dockgate /m);
      } finally {
        await bench.close();
        await receiver.stop();
      }
    }),
  );

  it(
    'gets each row over TLS, and none while its certificate is not trusted',
    { skip: hasRsyslogTls ? false : 'no rsyslog-openssl here' },
    inFolder(async (file, folder) => {
      const { ca, material } = await loopbackMaterial(folder);
      const files = { ca: join(folder, 'rs-ca.pem'), cert: join(folder, 'rs.pem'), key: join(folder, 'rs-key.pem') };
      writeFileSync(files.ca, ca);
      writeFileSync(files.cert, material.cert);
      writeFileSync(files.key, material.key);
      const receiver = await rsyslog(folder, files);
      await receiver.start();
      const address = `tls://127.0.0.1:${receiver.port}`;
      const bench = await openBench(file, sinksOf(folder, { name: 'siem', syslog: address, timeoutMs: 5000 }));
      try {
        await bench.record(40);
        const failing = await until('it fails', () => bench.state('siem').fault);
        assert.match(failing, /CERT|SELF_SIGNED|UNABLE_TO|InvalidData|unknown/i);
        assert.deepEqual(syslogSeqs(receiver.text()), []);
        await bench.thread.apply(sinksOf(folder, { name: 'siem', syslog: address, ca: files.ca, timeoutMs: 5000 }));
        await bench.caughtUp('siem');
        await until('all are written', () => syslogSeqs(receiver.text()).length >= 40);
        assertWhole(syslogSeqs(receiver.text()), 40);
      } finally {
        await bench.close();
        await receiver.stop();
      }
    }),
  );
});

interface Taken {
  readonly resourceLogs: readonly {
    readonly scopeLogs: readonly {
      readonly logRecords: readonly {
        readonly body: { readonly stringValue: string };
        readonly attributes: readonly { readonly key: string; readonly value: { readonly intValue?: string } }[];
      }[];
    }[];
  }[];
}

const collected = (text: string): number[] =>
  text
    .split('\n')
    .filter((line) => line.endsWith('}'))
    .flatMap((line) => (JSON.parse(line) as Taken).resourceLogs)
    .flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords))
    .map(({ body, attributes }) => {
      const { seq } = JSON.parse(body.stringValue) as { seq: number };
      assert.equal(attributes.find(({ key }) => key === 'dockgate.seq')?.value.intValue, String(seq));
      return seq;
    });

describe('an OpenTelemetry collector', { skip: skipWithoutCollector }, () => {
  it(
    'gets each row as a log record, in order, although it is killed on the way',
    inFolder(async (file, folder) => {
      const receiver = await collector(folder);
      await receiver.start();
      const sinks = sinksOf(folder, { name: 'otel', otlp: `http://127.0.0.1:${receiver.port}/v1/logs`, batchRows: 50 });
      const bench = await openBench(file, sinks);
      try {
        await bench.record(120);
        await bench.caughtUp('otel');
        await until('they are written', () => collected(receiver.text()).length >= 120);
        await receiver.stop('SIGKILL');
        await bench.record(120, { detail: { text: 'Größe "1"\n\u0000\u2028' } });
        await until('it fails', () => bench.state('otel').failures > 0);
        await receiver.start();
        await bench.caughtUp('otel');
        await until('all are written', () => new Set(collected(receiver.text())).size === 240);
        assertWhole(collected(receiver.text()), 240);
        assert.equal(bench.state('otel').refusedRows, 0);
      } finally {
        await bench.close();
        await receiver.stop('SIGKILL');
      }
    }),
  );
});
