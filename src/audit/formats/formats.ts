// The forms an event leaves the gateway in.
import type { AuditRow } from '../event.ts';
import type { SinkFormat } from '../sinks/setting.ts';
import type { Origin } from '../sinks/sink.ts';
import { ecsEvent } from './ecs.ts';
import { nativeEvent } from './native.ts';
import { ocsfEvent } from './ocsf.ts';

/** An event in a form, ready to be written as JSON. */
export function formatted(format: SinkFormat, row: AuditRow, logId: string, origin: Origin): Record<string, unknown> {
  switch (format) {
    case 'native':
      return nativeEvent(row, logId);
    case 'ocsf':
      return ocsfEvent(row, logId, origin);
    case 'ecs':
      return ecsEvent(row, logId, origin);
  }
}
