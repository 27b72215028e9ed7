// How the stand-in answers: JSON, a status alone, on an ordinary connection and on one that was to be upgraded.
import { type Call, Created, Empty, STREAMING } from './call.ts';
import { PING_HEADERS } from './describe.ts';

export function answer(call: Call, result: unknown): void {
  if (result === STREAMING) return;
  if (result instanceof Created) answerJson(call, 201, result.value);
  else if (result instanceof Empty || result === undefined) {
    const status = result === undefined ? 200 : result.status;
    call.response?.writeHead(status, PING_HEADERS).end();
    call.upgraded?.socket.end(`HTTP/1.1 ${status} OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
  } else answerJson(call, 200, result);
}

export function answerJson(
  { response, upgraded }: Pick<Call, 'response' | 'upgraded'>,
  status: number,
  value: unknown,
): void {
  const text = `${JSON.stringify(value)}\n`;
  if (upgraded !== undefined) {
    const head = `HTTP/1.1 ${status} Fault\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}`;
    upgraded.socket.end(`${head}\r\nConnection: close\r\n\r\n${text}`);
  } else if (response !== undefined && !response.headersSent) {
    response.writeHead(status, {
      ...PING_HEADERS,
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(text),
    });
    response.end(text);
  } else response?.destroy();
}
