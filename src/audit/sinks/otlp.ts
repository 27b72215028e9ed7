// OTLP/HTTP logs in JSON: one log record for each row, its body the event in the chosen form, its attributes what collectors route and
// filter by. See https://opentelemetry.io/docs/specs/otlp/#otlphttp
import type { AuditRow } from '../event.ts';
import { formatted } from '../formats/formats.ts';
import { jsonLine } from '../formats/json-line.ts';
import { createPoster } from './post.ts';
import type { OtlpSinkSetting } from './setting.ts';
import { type Batch, type Origin, type Sink, SinkFault } from './sink.ts';

type Attribute = { readonly key: string; readonly value: Readonly<Record<string, unknown>> };

const text = (key: string, value: string | undefined): Attribute[] =>
  value === undefined ? [] : [{ key, value: { stringValue: value } }];
/** 64-bit integers are strings in the JSON of protobuf. */
const whole = (key: string, value: number | undefined): Attribute[] =>
  value === undefined ? [] : [{ key, value: { intValue: String(value) } }];

/** Numbers of the OpenTelemetry log data model: INFO, WARN, ERROR. */
const SEVERITY = {
  allow: [9, 'INFO'],
  deny: [13, 'WARN'],
  unauthenticated: [13, 'WARN'],
  error: [17, 'ERROR'],
} as const;

export function otlpSink(setting: OtlpSinkSetting, origin: Origin): Sink {
  const poster = createPoster(setting);
  return {
    async deliver({ logId, rows }: Batch, signal) {
      const now = `${Date.now()}000000`;
      const body = JSON.stringify({
        resourceLogs: [
          {
            resource: {
              attributes: [
                ...text('service.name', 'dockgate'),
                ...text('service.version', origin.version),
                ...text('service.instance.id', logId),
                ...text('host.name', origin.host),
              ],
            },
            scopeLogs: [
              {
                scope: { name: 'dockgate.audit', version: origin.version },
                logRecords: rows.map((row) => recordOf(row, logId, setting, origin, now)),
              },
            ],
          },
        ],
      });
      const answer = await poster.post(body, { 'content-type': 'application/json' }, signal);
      return { refused: refusedIn(answer.body) };
    },
    close: () => poster.close(),
  };
}

function recordOf(row: AuditRow, logId: string, setting: OtlpSinkSetting, origin: Origin, observed: string): object {
  const [severityNumber, severityText] = SEVERITY[row.decision] ?? SEVERITY.error;
  return {
    timeUnixNano: `${row.at}000`,
    observedTimeUnixNano: observed,
    severityNumber,
    severityText,
    eventName: row.action,
    body: { stringValue: jsonLine(formatted(setting.format, row, logId, origin)) },
    attributes: [
      ...text('dockgate.log_id', logId),
      ...whole('dockgate.seq', row.seq),
      ...text('dockgate.hash', row.hash),
      ...text('dockgate.audit_id', row.auditId),
      ...text('dockgate.stage', row.stage),
      ...text('dockgate.action', row.action),
      ...text('dockgate.decision', row.decision),
      ...text('dockgate.code', row.code),
      ...text('dockgate.rule', row.rule),
      ...text('dockgate.tenant', row.tenant),
      ...text('dockgate.resource', row.resource),
      ...text('user.name', row.subject),
      ...text('client.address', row.source),
      ...text('user_agent.original', row.client),
      ...whole('http.response.status_code', row.status),
    ],
  };
}

/** A partial success is not sent again, as the protocol has it: the receiver would take the rest twice and refuse the same again. */
function refusedIn(body: string): number {
  if (body.trim() === '') return 0;
  let answer: { partialSuccess?: { rejectedLogRecords?: string | number } | null };
  try {
    answer = JSON.parse(body) as typeof answer;
  } catch {
    throw new SinkFault('the answer of the receiver is no JSON: is it OTLP over HTTP?');
  }
  const refused = Number(answer?.partialSuccess?.rejectedLogRecords ?? 0);
  return Number.isSafeInteger(refused) && refused > 0 ? refused : 0;
}
