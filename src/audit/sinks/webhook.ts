// Batches by POST, as NDJSON or one JSON array. With a key each delivery is signed as Standard Webhooks describes it: an id that stays
// the same when a batch is sent again, a time, and an HMAC-SHA256 over both and the body.
import { createHmac } from 'node:crypto';
import { formatted } from '../formats/formats.ts';
import { jsonLine } from '../formats/json-line.ts';
import { createPoster } from './post.ts';
import type { WebhookSinkSetting } from './setting.ts';
import { type Batch, type Origin, readSecret, type Sink } from './sink.ts';

export function webhookSink(setting: WebhookSinkSetting, origin: Origin): Sink {
  const poster = createPoster(setting);
  return {
    async deliver({ logId, rows }: Batch, signal) {
      const lines = rows.map((row) => jsonLine(formatted(setting.format, row, logId, origin)));
      const isArray = setting.encoding === 'json';
      const body = isArray ? `[${lines.join(',')}]` : `${lines.join('\n')}\n`;
      const id = `${logId}.${rows[0]?.seq}-${rows.at(-1)?.seq}`;
      await poster.post(
        body,
        {
          'content-type': isArray ? 'application/json' : 'application/x-ndjson',
          'webhook-id': id,
          ...signed(setting.hmac, id, body),
        },
        signal,
      );
      return { refused: 0 };
    },
    close: () => poster.close(),
  };
}

function signed(keyFile: string | undefined, id: string, body: string): Record<string, string> {
  const at = String(Math.floor(Date.now() / 1000));
  if (keyFile === undefined) return { 'webhook-timestamp': at };
  const mac = createHmac('sha256', hmacKey(readSecret(keyFile, 'hmac')))
    .update(`${id}.${at}.${body}`)
    .digest('base64');
  return { 'webhook-timestamp': at, 'webhook-signature': `v1,${mac}` };
}

/** `whsec_` and base64, as Standard Webhooks hands keys out; anything else is the key itself, without the line's end. */
function hmacKey(file: Buffer): Buffer {
  const text = file.toString('latin1').trimEnd();
  const encoded = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text)?.[1];
  return encoded === undefined ? Buffer.from(text, 'latin1') : Buffer.from(encoded, 'base64');
}
