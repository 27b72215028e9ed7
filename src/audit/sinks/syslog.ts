// RFC 5424 messages over TCP or TLS, octets counted (RFC 6587, RFC 5425). Syslog has no acknowledgement, and what the system took for a
// connection may never be read. So each batch has a connection of its own, which is half closed behind it: a receiver that read to the
// end closes its side, one that died does not, or resets. See `confirm` in setting.ts for receivers that keep half-closed connections.
import net from 'node:net';
import tls from 'node:tls';
import type { AuditRow } from '../event.ts';
import { formatted } from '../formats/formats.ts';
import { jsonLine } from '../formats/json-line.ts';
import { timeText } from '../formats/native.ts';
import { tlsOptions } from './post.ts';
import type { SyslogSinkSetting } from './setting.ts';
import { type Batch, codeOf, type Origin, type Sink, SinkFault } from './sink.ts';

/** Numbers of RFC 5424, section 6.2.1: error, warning, informational. */
const SEVERITY = { allow: 6, deny: 4, unauthenticated: 4, error: 3 } as const;
/** Largest `sequenceId` of RFC 5424, section 7.3.1; it begins again at 1. */
const MAX_SEQUENCE_ID = 2_147_483_647;

export function syslogSink(setting: SyslogSinkSetting, origin: Origin): Sink {
  return {
    async deliver({ logId, rows }: Batch, signal) {
      const frames = rows.map((row) => frameOf(row, logId, setting, origin));
      await exchange(setting, Buffer.concat(frames), signal);
      return { refused: 0 };
    },
    close() {},
  };
}

const printable = (value: string, most: number): string => value.replace(/[^\x21-\x7e]/g, '_').slice(0, most) || '-';
const quoted = (value: string): string => value.replace(/["\\\]]/g, '\\$&');

/** One message behind its length in octets. */
export function frameOf(row: AuditRow, logId: string, setting: SyslogSinkSetting, origin: Origin): Buffer {
  const priority = setting.facility * 8 + (SEVERITY[row.decision] ?? SEVERITY.error);
  const sequence = ((row.seq - 1) % MAX_SEQUENCE_ID) + 1;
  const head =
    `<${priority}>1 ${timeText(row.at)} ${printable(origin.host, 255)} dockgate - ${printable(row.action, 32)} ` +
    `[meta sequenceId="${sequence}"][origin software="dockgate" swVersion="${quoted(origin.version)}"] `;
  const of = (event: AuditRow): Buffer =>
    Buffer.from(`${head}${jsonLine(formatted(setting.format, event, logId, origin))}`);
  let message = of(row);
  if (message.length > setting.maxBytes) {
    // Cut in the middle it would be no JSON any more. The whole row is in the gateway, under its audit id.
    message = of({ ...row, detail: { truncated: { bytes: message.length } } });
  }
  return Buffer.concat([Buffer.from(`${message.length} `), message]);
}

function exchange(setting: SyslogSinkSetting, bytes: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const { host, port } = setting;
    let isSent = false;
    let isReadToItsEnd = false;
    let fault: SinkFault | undefined;
    const socket =
      setting.tls === undefined
        ? net.connect({ host, port, allowHalfOpen: true })
        : tls.connect({
            host,
            port,
            ...(net.isIP(host) === 0 ? { servername: host } : {}),
            ...tlsOptions(setting.tls),
          });
    const fail = (message: string): void => {
      fault ??= new SinkFault(message);
      socket.destroy();
    };
    const onAbort = (): void =>
      fail(isSent ? 'the receiver did not close the connection in time' : 'the receiver did not answer in time');
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    socket.on('error', (error) => fail(`the receiver cannot be reached (${codeOf(error)})`));
    socket.once(setting.tls === undefined ? 'connect' : 'secureConnect', () => {
      socket.end(bytes, () => {
        isSent = true;
        if (setting.confirm === 'none') socket.destroy();
      });
    });
    // What a receiver says is read and dropped, or its close would not be seen.
    socket.on('data', () => {});
    socket.on('end', () => {
      isReadToItsEnd = isSent;
    });
    socket.on('close', () => {
      signal.removeEventListener('abort', onAbort);
      if (fault !== undefined) reject(fault);
      else if (isSent && (isReadToItsEnd || setting.confirm === 'none')) resolve();
      else reject(new SinkFault('the receiver closed the connection before it had everything'));
    });
  });
}
