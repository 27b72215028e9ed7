// What the runtime alone costs: node:http in front of the gateway's engine client, with no caller known, nothing decided and
// nothing recorded. No gateway on node:http can be quicker; it is measured beside dockgate so that the rest is seen.
//   node bench/bare.ts SOCKET PORT
import http from 'node:http';
import { nodeCaller } from '../src/proxy/caller-node.ts';
import { createEngineClient } from '../src/proxy/engine-client.ts';

const [path, port] = process.argv.slice(2);
const engine = createEngineClient(
  { kind: 'unix', path: path as string },
  { bounds: () => ({ engineConnections: 512, engineStreams: 512, engineQueueMs: 10_000, sharePercent: 100 }) },
);
http
  .createServer((incoming, outgoing) => {
    const request = {
      method: incoming.method ?? '',
      target: incoming.url ?? '',
      headers: [],
      body: undefined,
      lane: 'call' as const,
    };
    engine.forward(request, nodeCaller(outgoing)).catch(() => outgoing.destroy());
  })
  .listen(Number(port), '127.0.0.1');
