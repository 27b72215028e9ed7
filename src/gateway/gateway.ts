// The gateway (PEP): one path for ordinary, streaming and upgraded requests. Steps 2 to 6 are judge.ts; here are
// 7 (record), 8 (send), 9 (respond) and 10 (record), the Hono app they hang in, and the upgrade handler beside it.
// Importing this starts nothing; listeners belong to runtime, the stores to main.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type Context, Hono } from 'hono';
import type { StreamWatch } from '../admission/streams.ts';
import { classify, upgradesOn } from '../engine/classify.ts';
import { maskText } from '../engine/mask.ts';
import { renderTarget } from '../engine/render-target.ts';
import type { EngineCall } from '../engine/types.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import { nodeCaller } from '../proxy/caller-node.ts';
import { socketCaller } from '../proxy/caller-socket.ts';
import { webCaller } from '../proxy/caller-web.ts';
import type { Ending } from '../proxy/ending.ts';
import { forwardedRequestHeaders } from '../proxy/headers.ts';
import { type HijackWatch, spliceHijack } from '../proxy/hijack.ts';
import type { CallerEnd, EngineRequest, Outcome } from '../proxy/types.ts';
import { AUDIT_ID_HEADER, rawRefusal, reasonOf, refusalOf, sendRefusal } from './answer.ts';
import { type Arrival, type Channel, headerValues, nodeArrival, webArrival } from './arrival.ts';
import { type Mediation, mediationOf } from './buildkit/mediate.ts';
import { buildTarget, judgedBuild } from './builds/judged-build.ts';
import type { EventOutcome } from './call-event.ts';
import { execFacts } from './exec-facts.ts';
import { type Judged, judge } from './judge.ts';
import { leftOutWarning, warningCaller } from './left-out.ts';
import type { LiveCall } from './live-calls.ts';
import { MarkedCaller } from './marked-caller.ts';
import type { GatewayParts } from './parts.ts';
import { endRecording, noteResize, recordingOf, tellsTerminal, withRecording } from './recorded.ts';
import { redactingCaller } from './redacting-caller.ts';
import { asGatewayError, decisionOf, refusalDecision } from './refusal.ts';
import { respondVersion } from './respond.ts';
import { shownCaller, watchedUpload } from './shown-caller.ts';
import { refusingCaller } from './tenancy/refusing-caller.ts';
import { respondToTenant } from './tenancy/respond.ts';
import type { TenantCall } from './tenancy/tenant-call.ts';
import { noticed } from './tenancy/upload.ts';
import { Trace } from './trace.ts';
import { UploadDigests } from './upload-digests.ts';

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

/** Reads exactly the announced body of an upgrade request; `rest` are bytes that came behind it. */
export type ReadUpgradeBody = (
  length: number | 'chunked',
  timeoutMs?: number,
) => Promise<{ body: Uint8Array; rest: Uint8Array }>;

/** Largest body of a request that upgrades (exec start's JSON), in bytes. */
const UPGRADE_BODY_BYTES = 64 * 1024;
/** The body of a refused call is not waited for longer than this, in ms; then the answer closes the connection. */
const UNWANTED_BODY_MS = 100;

/** Joins the rooms into the gateway. `own` is mounted beside the Engine API: health, keys, admin. */
export function assembleGateway(parts: GatewayParts, own: (app: Hono<GatewayEnv>) => void = () => {}): Gateway {
  const { live } = parts;
  let stopping = false;

  const enter = (): LiveCall => {
    parts.meter.started();
    return live.enter();
  };

  /** Records a refusal, then answers it: a caller never hears of a denial that is not in the audit. */
  async function refuse(trace: Trace, caller: CallerEnd, thrown: unknown): Promise<void> {
    trace.tenantCall?.abandon();
    trace.ownSocket?.abandon();
    trace.ledger = undefined;
    let error = withoutSecretsIn(asGatewayError(thrown));
    if (error.code === 'internal')
      parts.log.error({ err: thrown, auditId: trace.auditId }, 'a call could not be judged');
    const decision = refusalDecision(error, trace);
    const field = trace.decision?.effect === 'deny' ? trace.decision.reasons[0]?.field : undefined;
    const counted = trace.principal === undefined ? parts.strangers.fold(trace.arrival.source, error.code) : undefined;
    try {
      if (error.code !== 'audit-unwritable' && counted === undefined) {
        await parts.recorder.record(
          trace.event('complete', decision, {
            code: error.code,
            message: error.message,
            field,
            origin: error.audit,
            status: error.status,
          }),
        );
      }
    } catch (unwritable) {
      error = asGatewayError(unwritable);
    }
    if (error.code === 'audit-unwritable') parts.onUnwritable(error);
    const challenge = error.status === 401 ? parts.authenticator.challengeFor(error) : undefined;
    sendRefusal(caller, refusalOf(error, counted ?? trace.auditId, challenge), trace.arrival.method);
    finish(trace, decision, error.status);
  }

  const finish = (trace: Trace, decision: 'allow' | 'deny' | 'error' | 'unauthenticated', status: number) =>
    parts.meter.finished({
      action: trace.target?.action ?? 'unknown',
      decision,
      status,
      durationUs: trace.durationUs(),
    });

  /** Steps 2 to 7: the judged call, its intent recorded. */
  async function admit(trace: Trace): Promise<Judged> {
    if (stopping) throw new GatewayError('shutting-down', 'the gateway is stopping, try again in a moment');
    const judged = await judge(trace, parts);
    // A body may take its time: what ended meanwhile must not be sent on.
    parts.authenticator.recheck(judged.principal);
    trace.recording = await recordingOf(trace, judged.call, parts);
    trace.watch = withRecording(trace.watch, trace.recording);
    await parts.recorder.record(trace.event('intent', 'allow'), onlyReads(judged) ? 'by-kernel' : 'on-disk');
    return judged;
  }

  /**
   * The outcome of a call whose intent is on disk. It is queued, not awaited: a lost one is closed at the next start.
   * A call that we ended says why, in the place of who went away.
   */
  const complete = (trace: Trace, outcome: Outcome, call: LiveCall, cut?: GatewayError): undefined | Promise<void> => {
    const code = cut?.code ?? (outcome.end === 'complete' ? undefined : call.endedBy);
    const ended = code === undefined ? outcome : { ...outcome, code, end: code, message: cut?.message };
    finish(trace, 'allow', outcome.status);
    const { call: done, recording } = trace;
    if (done !== undefined && outcome.status < 300) noteResize(done, parts);
    const isExec = done?.operation.id === 'ExecStart' && outcome.status > 0 && outcome.status < 400;
    if (done !== undefined && (isExec || recording !== undefined)) return completeSession(trace, done, ended, isExec);
    parts.recorder.append(trace.event('complete', 'allow', ended));
    return undefined;
  };

  /** What ran is known to the engine alone, once it is over; its transcript is on disk before its digest is recorded. */
  const completeSession = async (
    trace: Trace,
    call: EngineCall,
    ended: EventOutcome,
    isExec: boolean,
  ): Promise<void> => {
    const { recording } = trace;
    const { transcript, fault } = recording === undefined ? {} : await endRecording(recording);
    const lost = fault === undefined ? {} : { code: fault.code, message: fault.message };
    const exec = isExec ? await execFacts(call, parts.engine) : undefined;
    parts.recorder.append(trace.event('complete', 'allow', { ...lost, ...ended, exec, transcript }));
  };

  const engineFailed = (trace: Trace, caller: CallerEnd, thrown: unknown, { endedBy }: LiveCall) => {
    const error =
      endedBy === undefined ? asGatewayError(thrown) : new GatewayError(endedBy, `the call was ended: ${endedBy}`);
    // What an upload holds is judged on its way: then the one row of the outcome is a denial.
    const decision = decisionOf(error) === 'deny' ? 'deny' : 'allow';
    parts.recorder.append(
      trace.event('complete', decision, { code: error.code, message: error.message, status: error.status }),
    );
    sendRefusal(caller, refusalOf(error, trace.auditId), trace.arrival.method);
    finish(trace, decision === 'deny' ? decision : 'error', error.status);
  };

  /** Steps 8 to 10 of a tenant's call. */
  async function respondTenant(
    trace: Trace,
    tenantCall: TenantCall,
    { call }: Judged,
    request: EngineRequest,
    caller: CallerEnd,
    running: LiveCall,
    settle: Settle,
  ): Promise<void> {
    try {
      const { outcome, changes } = await respondToTenant(call, request, caller, tenantCall, parts, {
        ending: running,
        ...(call.operation.stream === 'none'
          ? {}
          : { onHead: (status: number) => parts.recorder.append(trace.event('stream-open', 'allow', { status })) }),
      });
      trace.ledger = changes;
      await complete(trace, outcome, running, await settle());
    } catch (failed) {
      trace.ledger ??= tenantCall.withdraw();
      throw failed;
    }
  }

  async function handle(arrival: Arrival, caller: CallerEnd): Promise<void> {
    const running = enter();
    const trace = new Trace(arrival, parts);
    try {
      let judged: Judged;
      try {
        judged = await admit(trace);
        if (trace.decision?.isUnread === false) throw notUpgraded(judged);
      } catch (refused) {
        await refuse(trace, caller, refused);
        return;
      }
      try {
        const { call } = judged;
        const request = engineRequestOf(judged, trace, running);
        const end = new MarkedCaller(caller, trace, parts.apiVersions.maxMinor);
        const hide = trace.decision?.obligations.redact;
        const { responses, watch } = trace;
        const shown =
          responses === undefined && watch === undefined ? undefined : shownCaller(end, call, responses, watch);
        const redacting = hide === undefined ? undefined : redactingCaller(shown ?? end, call.operation, hide);
        const settle = () => {
          redacting?.check();
          return shown?.settle();
        };
        const warning = leftOutWarning(call.leftOut);
        const whole = redacting ?? shown ?? end;
        const marked = warning === undefined ? whole : warningCaller(whole, call.operation.id, warning);
        const long = call.operation.stream !== 'none';
        if (long) live.hold(running, judged.principal);
        if (trace.tenantCall !== undefined) {
          const refusing = refusingCaller(marked, call, trace.tenantCall);
          await respondTenant(trace, trace.tenantCall, judged, request, refusing, running, settle);
          return;
        }
        if (call.action === 'system.version') {
          const outcome = await respondVersion(request, marked, trace.engine, parts.apiVersions);
          await complete(trace, outcome, running, await settle());
          return;
        }
        const outcome = await trace.engine.forward(request, marked, {
          ending: running,
          ...(long
            ? { onHead: (status: number) => parts.recorder.append(trace.event('stream-open', 'allow', { status })) }
            : {}),
        });
        const settled = settle();
        await complete(trace, outcome, running, settled === undefined ? undefined : await settled);
      } catch (failed) {
        engineFailed(trace, caller, failed, running);
      }
    } catch (unexpected) {
      // Reached only when answering itself failed: the caller is gone or the socket broke.
      parts.log.error({ err: unexpected, auditId: trace.auditId }, 'a call could not be answered');
      caller.abort();
    } finally {
      trace.end();
      live.leave(running);
    }
  }

  /** Watches a hijacked stream; `cut` tells what ended it. */
  const watchHijack = (watch: StreamWatch | undefined) => {
    const told: { cut?: GatewayError } = {};
    if (watch === undefined) return { told, watch: undefined };
    const see: HijackWatch['see'] = (direction, bytes) =>
      watch.see(direction, bytes).catch((error: unknown) => {
        told.cut ??= asGatewayError(error);
        throw error;
      });
    return { told, watch: { watches: (direction: 'in' | 'out') => watch.watches(direction), see } };
  };

  async function handleUpgrade(arrival: Arrival, socket: Duplex, after: AfterUpgrade): Promise<void> {
    const running = enter();
    const gone = new AbortController();
    const trace = new Trace(arrival, parts);
    const caller = socketCallerOnce(socket, after);
    const onClose = () => gone.abort();
    socket.once('close', onClose);
    try {
      let judged: Judged;
      let protocol: string;
      let request: EngineRequest;
      let mediation: Mediation | undefined;
      try {
        judged = await admit(trace);
        protocol = protocolOf(judged, arrival);
        request = engineRequestOf(judged, trace, running);
        mediation = mediationOf(judged, request, trace, parts);
      } catch (refused) {
        await refuse(trace, await caller(), refused);
        return;
      }
      try {
        live.hold(running, judged.principal);
        // Bytes stay in the socket's buffer until the stream begins, but that a caller goes away must be noticed.
        socket.read(0);
        const answer = await trace.engine.upgrade(mediation?.request ?? request, protocol, {
          signal: AbortSignal.any([running.signal, gone.signal]),
        });
        if (answer.kind === 'answer') {
          const marked = new MarkedCaller(await caller(), trace, parts.apiVersions.maxMinor);
          const { tenantCall } = trace;
          const end = tenantCall === undefined ? marked : refusingCaller(marked, judged.call, tenantCall);
          await complete(trace, await answer.deliver(end), running);
          return;
        }
        parts.recorder.append(trace.event('stream-open', 'allow', { status: 101 }));
        trace.recording?.began(tellsTerminal(answer.headers));
        socket.write(upgradeHead(answer.reason, answer.headers, protocol, trace.auditId), 'latin1');
        const early = after.read();
        if (early !== undefined && early.length > 0) socket.unshift(early);
        parts.meter.streamOpened();
        try {
          const { told, watch } = watchHijack(trace.watch);
          const moved =
            mediation === undefined
              ? await spliceHijack(socket, answer.socket, { signal: running.signal, watch })
              : await mediation.run(socket, answer.socket, running.signal);
          await complete(trace, { status: 101, ...moved }, running, told.cut);
        } finally {
          parts.meter.streamClosed();
        }
      } catch (failed) {
        if (socket.destroyed && running.endedBy === undefined) await complete(trace, GONE, running);
        else engineFailed(trace, await caller(), failed, running);
      }
    } catch (unexpected) {
      parts.log.error({ err: unexpected, auditId: trace.auditId }, 'an upgraded call could not be answered');
      socket.destroy();
    } finally {
      socket.off('close', onClose);
      trace.end();
      live.leave(running);
    }
  }

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
      void handle(nodeArrival(incoming, channel, onContinue), nodeCaller(outgoing));
      return RESPONSE_ALREADY_SENT;
    }
    const { caller, response } = webCaller(c.req.raw.signal);
    const at = channel ?? { kind: 'tcp', name: 'fetch' };
    void handle(webArrival(c.req.raw, at, c.env?.source ?? 'unknown'), caller);
    return response;
  };
  app.all('*', engineRoute);

  /**
   * Whether the app's only route for a request is the Engine API's. Such a call goes straight to its steps: a web-standard
   * Request made of it would be looked at by nobody, and costs as much as all steps together.
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
        // Nothing is known of the call and nothing was done: its connection ends, and nobody else's.
        parts.log.error({ err: fault }, 'a request could not be taken');
        outgoing.destroy();
        return;
      }
      void handle(arrival, nodeCaller(outgoing));
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
      let early: Uint8Array | undefined;
      const length = Number(headerValues(incoming.rawHeaders, 'content-length')[0] ?? 0);
      /** Where the next request begins is known. */
      let mayStay = true;
      const arrival: Arrival = {
        ...nodeArrival(incoming, channel),
        body: {
          present: true,
          async readAll(maxBytes) {
            const codings = headerValues(incoming.rawHeaders, 'transfer-encoding');
            const isChunked = codings.length === 1 && /^chunked$/i.test(codings[0] ?? '');
            if (codings.length > 0 && (!isChunked || incoming.headers['content-length'] !== undefined)) {
              const message = 'a request that upgrades announces its body by Content-Length or in chunks, not by both';
              throw new GatewayError('request-malformed', message);
            }
            if (!Number.isSafeInteger(length))
              throw new GatewayError('request-malformed', 'Content-Length is no number');
            if (length > Math.min(maxBytes, UPGRADE_BODY_BYTES)) {
              throw new GatewayError('body-too-large', `the body is larger than ${UPGRADE_BODY_BYTES} bytes`);
            }
            mayStay = false;
            const read = await readBody(isChunked ? 'chunked' : length);
            mayStay = true;
            early = read.rest;
            return read.body;
          },
          stream() {
            throw new GatewayError('upgrade-not-allowed', 'an upload cannot upgrade its connection');
          },
        },
      };
      const wantsToStay =
        incoming.httpVersion === '1.1' &&
        !/\bclose\b/i.test(incoming.headers.connection ?? '') &&
        incoming.headers['transfer-encoding'] === undefined &&
        length <= UPGRADE_BODY_BYTES;
      void handleUpgrade(arrival, socket, {
        read: () => early,
        async giveBack() {
          if (giveBack === undefined || !mayStay || !wantsToStay) return undefined;
          try {
            early ??= (await readBody(length, UNWANTED_BODY_MS)).rest;
          } catch {
            return undefined;
          }
          const rest = early;
          return () => {
            if (rest.length > 0) socket.unshift(rest);
            giveBack(socket);
          };
        },
      });
    },
    wantsUpgrade(incoming) {
      try {
        return upgradesOn(classify(incoming.method ?? '', incoming.url ?? '')) !== 'none';
      } catch {
        return false;
      }
    },
    onHandshake(message, channel, source) {
      if (parts.strangers.fold(source, HANDSHAKE_REFUSED) !== undefined) return;
      parts.recorder.append({
        at: parts.now() * 1000,
        stage: 'gateway',
        auditId: parts.newAuditId(),
        source,
        action: 'connection.refused',
        decision: 'unauthenticated',
        code: HANDSHAKE_REFUSED,
        outcome: 'not-sent',
        detail: { message: message.slice(0, MAX_HANDSHAKE_WORDS), listener: channel.name },
      });
    },
    onUnreadable(code, message, channel, source) {
      const arrival: Arrival = { method: '', target: '', rawHeaders: [], channel, source, body: NO_BODY };
      const trace = new Trace(arrival, parts);
      const error = new GatewayError(code, message);
      const counted = parts.strangers.fold(source, code);
      if (counted === undefined)
        parts.recorder.append(trace.event('complete', 'error', { code, message, status: error.status }));
      parts.meter.started();
      finish(trace, 'error', error.status);
      return rawRefusal(code, message, counted ?? trace.auditId);
    },
    get active() {
      return live.size;
    },
    async drain(graceMs) {
      stopping = true;
      await live.idle(graceMs);
      live.endAll('shutting-down');
      // Ended streams report their byte counts on the way out; a moment is enough.
      await live.idle(1000);
    },
  };
}

/** Code of a TLS handshake that came to nothing: a version, a certificate, or no TLS at all. */
const HANDSHAKE_REFUSED = 'handshake-refused';
/** Longest reason kept of one, in characters. */
const MAX_HANDSHAKE_WORDS = 200;

/** What a connection that left the HTTP server can still give, and where it goes if it was for nothing. */
interface AfterUpgrade {
  /** Bytes behind the request's body; undefined while the body was not read. */
  read(): Uint8Array | undefined;
  /** Reads past the body; returns what hands the connection back, or undefined when it has to be closed. */
  giveBack(): Promise<(() => void) | undefined>;
}

/** The outcome of a call whose caller left before there was an answer. */
const GONE: Outcome = { status: 0, bytesIn: 0, bytesOut: 0, end: 'caller-gone' };

const NO_BODY: Arrival['body'] = {
  present: false,
  readAll: () => Promise.resolve(new Uint8Array(0)),
  stream: () => {
    throw new GatewayError('body-not-allowed', 'there is no body');
  },
};

/** It changes nothing and is over soon: its row need not be on disk before the engine sees it. */
const onlyReads = ({ call: { operation } }: Judged): boolean =>
  operation.class === 'read' && operation.stream === 'none';

/** Ends the caller's side of an answer: what plugins look at is sent now. @throws {GatewayError} when nothing was sent */
type Settle = () => Promise<GatewayError | undefined> | undefined;

/** Step 8's request: everything in it comes from the judged value, but for the headers on the allow list. */
function engineRequestOf({ call, build }: Judged, trace: Trace, ending: Ending): EngineRequest {
  const { arrival, seen, tenantCall, watch } = trace;
  const headers = forwardedRequestHeaders(arrival.rawHeaders, call);
  const method = call.operation.method;
  const target = build !== undefined ? buildTarget(call) : seen === undefined ? renderTarget(call) : seen.render(call);
  const lane = call.operation.waits ? 'stream' : 'call';
  if (call.opaque) {
    if (!arrival.body.present) return { method, target, headers, body: undefined, lane };
    headers.push('Content-Type', 'application/x-tar');
    const digests = trace.decision?.obligations.audit === 'request-response' ? new UploadDigests() : undefined;
    trace.uploads = digests;
    const arriving = tenantCall?.archive?.body() ?? arrival.body.stream();
    const upload = digests?.receiving(arriving) ?? arriving;
    const isWatched = watch?.watches('in') === true;
    const judged = build === undefined ? upload : judgedBuild(call, upload, { ...build, ending });
    const leaving = isWatched ? watchedUpload(judged, watch) : judged;
    const stream = digests?.sending(leaving) ?? leaving;
    // Carried as it came; no reader on its way keeps it.
    if (build === undefined && tenantCall === undefined && !isWatched && digests === undefined)
      return { method, target, headers, body: stream, lane, givesUpChunks: arrival.body.ownsChunks === true };
    return { method, target, headers, body: tenantCall === undefined ? stream : noticed(stream, tenantCall), lane };
  }
  const body = trace.rendered(call);
  if (body !== undefined) headers.push('Content-Type', 'application/json');
  return { method, target, headers, body, lane };
}

/** A door of BuildKit that is read opens by an upgrade alone: there is nothing to send without one. The engine's words come first. */
const notUpgraded = ({ call }: Judged): GatewayError =>
  new GatewayError('upgrade-not-allowed', `no upgrade proto in request: ${call.action} wants Upgrade: h2c`);

/** The protocol a judged call may upgrade to; the engine hears this word, not the caller's. */
function protocolOf({ call }: Judged, arrival: Arrival): string {
  const asked = headerValues(arrival.rawHeaders, 'upgrade');
  switch (upgradesOn(call)) {
    case 'h2c':
      if (asked.length !== 1 || asked[0] !== 'h2c') {
        const told = asked[0] === undefined ? 'the protocol is' : `protocol ${asked[0].slice(0, 60)}`;
        throw new GatewayError('upgrade-not-allowed', `${told} not supported: ${call.action} wants Upgrade: h2c`);
      }
      return 'h2c';
    case 'hijack':
      return call.operation.method === 'GET' ? 'websocket' : 'tcp';
    case 'none':
      throw new GatewayError('upgrade-not-allowed', `${call.action} does not upgrade its connection`);
  }
}

function upgradeHead(reason: string, headers: readonly string[], protocol: string, auditId: string): string {
  let head = `HTTP/1.1 101 ${reason === '' ? reasonOf(101) : reason}\r\n`;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (/^(connection|upgrade)$/i.test(headers[i] as string)) continue;
    head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  }
  return `${head}Connection: Upgrade\r\nUpgrade: ${protocol}\r\n${AUDIT_ID_HEADER}: ${auditId}\r\n\r\n`;
}

/** The raw socket is taken for an ordinary answer only when one is due: an upgraded one must keep its bytes. */
function socketCallerOnce(socket: Duplex, after: AfterUpgrade): () => Promise<CallerEnd> {
  let made: Promise<CallerEnd> | undefined;
  socket.on('error', () => socket.destroy());
  return () => {
    made ??= after.giveBack().then((giveBack) => socketCaller(socket, giveBack));
    return made;
  };
}

/** A refusal quotes what the caller sent, and its message is read by others than the caller: in logs of jobs, and in the audit. */
function withoutSecretsIn(error: GatewayError): GatewayError {
  // A plugin's name may sound like one of a secret, and is none.
  const [named = ''] = /^denied by plugin [a-z][a-z0-9-]*: /.exec(error.message) ?? [];
  const message =
    error.status === 401 ? error.message : `${named}${maskText(error.message.slice(named.length), undefined)}`;
  if (message === error.message) return error;
  const { code, audit, retryAfterS, cause } = error;
  return new GatewayError(code, message, { cause, audit, ...(retryAfterS === undefined ? {} : { retryAfterS }) });
}
