// The gateway (PEP) as an app: the Engine API's route beside the gateway's own, for node:http's listeners, their upgrades, and as a
// web-standard `fetch`. What a request then goes through is pipeline.ts. Importing this starts nothing; listeners belong to runtime,
// the stores to app.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type Context, Hono } from 'hono';
import { classify, upgradesOn } from '../engine/classify.ts';
import type { ErrorCode } from '../errors.ts';
import { nodeCaller } from '../proxy/caller-node.ts';
import { webCaller } from '../proxy/caller-web.ts';
import type { CallerEnd } from '../proxy/types.ts';
import { type Arrival, type Channel, nodeArrival, webArrival } from './arrival.ts';
import { PlainEnd } from './ends/plain.ts';
import { UpgradedEnd } from './ends/upgraded.ts';
import type { GatewayParts } from './parts.ts';
import { carry } from './pipeline.ts';
import { asGatewayError } from './refusal.ts';
import { refuseHandshake, refuseUnreadable } from './unreadable.ts';
import { type ReadUpgradeBody, upgradeArrival } from './upgrade-arrival.ts';

/** What node-server puts into the context; absent when the app is called through `fetch` alone. */
interface Bindings {
  incoming?: IncomingMessage;
  outgoing?: ServerResponse;
  channel?: Channel;
  source?: string;
}
export type GatewayEnv = { Bindings: Bindings };

export interface Gateway {
  readonly app: Hono<GatewayEnv>;
  /** Web-standard handler: everything but upgrades. */
  fetch(request: Request, bindings?: Bindings): Response | Promise<Response>;
  /** `request` listener for node:http and node:https servers. */
  onRequest(incoming: IncomingMessage, outgoing: ServerResponse, channel: Channel): void;
  /** `checkContinue` listener: the call is judged before the caller is told to go on. */
  onCheckContinue(incoming: IncomingMessage, outgoing: ServerResponse, channel: Channel): void;
  /**
   * `upgrade` listener. When it comes to no upgrade, the connection goes to `giveBack` after the answer, as if it had just
   * been accepted: what the caller sends next is a new request. Without `giveBack` it is closed.
   */
  onUpgrade(
    incoming: IncomingMessage,
    socket: Duplex,
    readBody: ReadUpgradeBody,
    channel: Channel,
    giveBack?: (socket: Duplex) => void,
  ): void;
  /** Whether a request that asks for an upgrade is on a route that hijacks; all others stay ordinary requests. */
  wantsUpgrade(incoming: IncomingMessage): boolean;
  /** Records a head that could not be read and returns the answer to write. */
  onUnreadable(code: ErrorCode, message: string, channel: Channel, source: string): string;
  /** Records a TLS handshake that was refused: without identity, without a request. */
  onHandshake(message: string, channel: Channel, source: string): void;
  /** Calls under way. */
  readonly active: number;
  /** Refuses new calls, waits for ordinary ones up to `graceMs`, then ends the streams. */
  drain(graceMs: number): Promise<void>;
}

/** Joins the rooms into the gateway. `own` is mounted beside the Engine API: health, keys, admin. */
export function assembleGateway(parts: GatewayParts, own: (app: Hono<GatewayEnv>) => void = () => {}): Gateway {
  const { live } = parts;

  const handle = (arrival: Arrival, caller: CallerEnd): void => void carry(arrival, new PlainEnd(caller, parts), parts);

  const app = new Hono<GatewayEnv>();
  own(app);
  app.onError((thrown) => {
    const error = asGatewayError(thrown);
    if (error.code === 'internal') parts.log.error({ err: thrown }, 'a route failed');
    return new Response(JSON.stringify({ message: error.message }), {
      status: error.status,
      headers: { 'Content-Type': 'application/json' },
    });
  });
  const engineRoute = (c: Context<GatewayEnv>) => {
    const { incoming, outgoing, channel } = c.env ?? {};
    if (incoming !== undefined && outgoing !== undefined && channel !== undefined) {
      const onContinue = incoming.headers.expect === undefined ? undefined : () => outgoing.writeContinue();
      handle(nodeArrival(incoming, channel, onContinue), nodeCaller(outgoing));
      return RESPONSE_ALREADY_SENT;
    }
    const { caller, response } = webCaller(c.req.raw.signal);
    const at = channel ?? { kind: 'tcp', name: 'fetch' };
    handle(webArrival(c.req.raw, at, c.env?.source ?? 'unknown'), caller);
    return response;
  };
  app.all('*', engineRoute);

  /**
   * Whether the app's only route for a request is the Engine API's. Such a call goes straight to its steps: no step
   * reads a web-standard Request, and making one costs as much as all steps together.
   */
  const isEngineCall = ({ method, url }: IncomingMessage): boolean => {
    const target = url ?? '';
    const mark = target.indexOf('?');
    // As Hono does, a HEAD is routed as the GET it is about.
    const routed = method === 'HEAD' ? 'GET' : (method ?? '');
    const [matched] = app.router.match(routed, mark < 0 ? target : target.slice(0, mark));
    return matched.length === 1 && matched[0]?.[0][0] === engineRoute;
  };

  const listeners = new WeakMap<Channel, (incoming: IncomingMessage, outgoing: ServerResponse) => unknown>();
  const listenerFor = (channel: Channel) => {
    let listener = listeners.get(channel);
    if (listener === undefined) {
      listener = getRequestListener((request, env) => app.fetch(request, { ...(env as Bindings), channel }), {
        hostname: 'dockgate',
        overrideGlobalObjects: false,
        autoCleanupIncoming: false,
      });
      listeners.set(channel, listener);
    }
    return listener;
  };

  const take = (incoming: IncomingMessage, outgoing: ServerResponse, channel: Channel, onContinue?: () => void) => {
    if (isEngineCall(incoming)) {
      let arrival: Arrival;
      try {
        arrival = nodeArrival(incoming, channel, onContinue);
      } catch (fault) {
        // Nothing is known of the call and nothing was done: only its own connection ends.
        parts.log.error({ err: fault }, 'a request could not be taken');
        outgoing.destroy();
        return;
      }
      handle(arrival, nodeCaller(outgoing));
      return;
    }
    // Nothing routes by Host, and real clients send empty or odd ones: the app sees one fixed name.
    incoming.headers.host = 'dockgate';
    void listenerFor(channel)(incoming, outgoing);
  };
  const onRequest: Gateway['onRequest'] = (incoming, outgoing, channel) => take(incoming, outgoing, channel);

  return {
    app,
    fetch: (request, bindings) => app.fetch(request, bindings),
    onRequest,
    onCheckContinue(incoming, outgoing, channel) {
      take(incoming, outgoing, channel, () => outgoing.writeContinue());
    },
    onUpgrade(incoming, socket, readBody, channel, giveBack) {
      const { arrival, left } = upgradeArrival(incoming, socket, readBody, channel, giveBack);
      void carry(arrival, new UpgradedEnd(left, parts), parts);
    },
    wantsUpgrade(incoming) {
      try {
        return upgradesOn(classify(incoming.method ?? '', incoming.url ?? '')) !== 'none';
      } catch {
        return false;
      }
    },
    onHandshake: (message, channel, source) => refuseHandshake(message, channel, source, parts),
    onUnreadable: (code, message, channel, source) => refuseUnreadable(code, message, channel, source, parts),
    get active() {
      return live.size;
    },
    async drain(graceMs) {
      live.close();
      await live.idle(graceMs);
      live.endAll('shutting-down');
      // Ended streams report their byte counts on the way out; a moment is enough.
      await live.idle(1000);
    },
  };
}
