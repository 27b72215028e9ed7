// Cost of the gateway's own steps for one small read, without sockets, engine or disk: what is left when everything around
// it is free. Run: `node bench/micro/gateway.ts`. Microseconds per call, the best and the median of the rounds.
import { EventEmitter } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPluginChain } from '../../src/admission/chain.ts';
import { createLogger } from '../../src/app/logger.ts';
import { createMetrics } from '../../src/app/metrics.ts';
import { maskingFor } from '../../src/app/redactor.ts';
import type { AuditEvent } from '../../src/audit/event.ts';
import { newAuditId } from '../../src/gateway/audit-id.ts';
import { assembleGateway } from '../../src/gateway/gateway.ts';
import { LiveCalls } from '../../src/gateway/live-calls.ts';
import { SeenCalls } from '../../src/gateway/seen-calls.ts';
import { createAuthenticator } from '../../src/identity/authenticate.ts';
import { createIssuer } from '../../src/identity/issue-token.ts';
import { createRevocations } from '../../src/identity/revocation.ts';
import { compilePolicies } from '../../src/policy/compile.ts';
import type { EngineClient } from '../../src/proxy/engine-client.ts';
import { answerHeaders } from '../../src/proxy/headers.ts';
import { Lane } from '../../src/proxy/lanes.ts';
import { encodeEvent } from '../../src/store/audit-row.ts';
import { openStore } from '../../src/store/open.ts';

const CALLS = 20_000;
const ROUNDS = 15;

const dir = mkdtempSync(join(tmpdir(), 'dg-micro-'));
const store = openStore(dir);
const issuer = createIssuer({
  issuer: 'urn:dockgate:bench',
  audience: 'bench',
  keys: store.keys,
  tokens: store.tokens,
  identities: store.identities,
});
await issuer.ensureKey();
store.identities.insert({
  name: 'bench',
  groups: [],
  policies: ['operator'],
  disabled: false,
  createdAt: Date.now() - 1000,
});
const { token } = await issuer.issue({ identity: 'bench', by: 'bench' });
const authenticator = createAuthenticator({
  issuer,
  revocations: createRevocations(store.tokens, store.credentials),
  identities: store.identities,
});
const policies = compilePolicies([], 0);
const log = createLogger('error');
const plugins = createPluginChain([], log);
const HEADERS = [
  'Api-Version',
  '1.51',
  'Content-Type',
  'application/json',
  'Docker-Experimental',
  'false',
  'Ostype',
  'linux',
  'Server',
  'Docker/28.5.2 (linux)',
  'Date',
  'Tue, 24 Nov 2026 23:00:00 GMT',
  'Content-Length',
  '3',
];
const BODY = Buffer.from('[]\n');
let encoded = 0;
const PLACE = { engine: 'unix:///var/run/docker.sock', gateway: 'bench' };
const engine = {
  as: () => engine,
  async forward(
    _request: unknown,
    caller: {
      head(s: number, r: string, h: readonly string[]): void;
      write(c: Uint8Array): boolean;
      end(): void;
      onGone(f: () => void): void;
    },
  ) {
    caller.onGone(() => {});
    caller.head(200, 'OK', answerHeaders(HEADERS));
    caller.write(BODY);
    caller.end();
    return { status: 200, bytesIn: 0, bytesOut: 3, end: 'complete' };
  },
} as unknown as EngineClient;
const bounds = { total: 4096, sharePercent: 25, queueMs: 0 };
const gateway = assembleGateway({
  authenticator,
  live: new LiveCalls({ recheck: (p) => authenticator.recheck(p) }),
  policies: () => policies,
  plugins: () => plugins,
  recorder: {
    record: (event: AuditEvent) => {
      encoded += encodeEvent(event, PLACE).length;
      return Promise.resolve();
    },
    append: (event: AuditEvent) => {
      encoded += encodeEvent(event).length;
    },
    settle: () => Promise.resolve(),
    healthy: true,
    close: () => Promise.resolve(),
  },
  engine,
  inFlight: new Lane({ places: 'calls', setting: 'limits.calls' }, () => bounds),
  limits: () => ({ bodyBytes: 4 << 20, bodyTimeoutMs: 1000, labelBytes: 65536 }),
  apiVersions: { minMinor: 40, maxMinor: 56 },
  seen: new SeenCalls({ minMinor: 40, maxMinor: 56 }),
  masking: maskingFor(new Uint8Array(32).fill(7)),
  now: () => Date.now(),
  newAuditId,
  log,
  meter: createMetrics({ auditHealthy: () => true, engineReachable: () => true, version: 'bench' }),
} as unknown as Parameters<typeof assembleGateway>[0]);
const channel = { kind: 'tcp', name: 'http://127.0.0.1:2375' } as const;
const rawHeaders = ['Host', 'docker', 'User-Agent', 'Docker-Client/28.5.2 (linux)', 'Authorization', `Bearer ${token}`];
const headers = { host: 'docker', 'user-agent': 'Docker-Client/28.5.2 (linux)', authorization: `Bearer ${token}` };
const socket = { remoteAddress: '127.0.0.1' };

class Outgoing extends EventEmitter {
  destroyed = false;
  writableFinished = false;
  socket = socket;
  done: () => void = () => {};
  req = { complete: true };
  shouldKeepAlive = true;
  writeHead() {
    return this;
  }
  write() {
    return true;
  }
  flushHeaders() {}
  end() {
    this.done();
    this.emit('finish');
    this.emit('close');
  }
}
const one = () =>
  new Promise<void>((resolve) => {
    const incoming = Object.assign(new EventEmitter(), {
      method: 'GET',
      url: '/v1.43/containers/json',
      rawHeaders,
      headers: { ...headers },
      socket,
      complete: true,
    });
    const outgoing = new Outgoing();
    outgoing.done = resolve;
    gateway.onRequest(incoming as unknown as IncomingMessage, outgoing as unknown as ServerResponse, channel);
  });
await one();
const times: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const from = performance.now();
  for (let i = 0; i < CALLS; i += 16) await Promise.all(Array.from({ length: 16 }, one));
  times.push(((performance.now() - from) * 1000) / CALLS);
}
times.sort((a, b) => a - b);
console.log(
  `one small read through the gateway's own steps: best ${times[0]?.toFixed(2)} us, median ${times[ROUNDS >> 1]?.toFixed(2)} us (${encoded > 0 ? 'recorded' : 'not recorded'})`,
);
store.close();
rmSync(dir, { recursive: true, force: true });
