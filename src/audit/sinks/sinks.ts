// Makes the sink a setting describes.
import { fileSink } from './file.ts';
import { otlpSink } from './otlp.ts';
import type { SinkSetting } from './setting.ts';
import type { Origin, Sink } from './sink.ts';
import { syslogSink } from './syslog.ts';
import { webhookSink } from './webhook.ts';

export function createSink(setting: SinkSetting, origin: Origin): Sink {
  switch (setting.kind) {
    case 'file':
      return fileSink(setting, origin);
    case 'webhook':
      return webhookSink(setting, origin);
    case 'otlp':
      return otlpSink(setting, origin);
    case 'syslog':
      return syslogSink(setting, origin);
  }
}
